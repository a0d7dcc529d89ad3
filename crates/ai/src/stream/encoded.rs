//! A provider's stream in the form of a surface.

use std::task::{Context, Poll};
use std::time::Duration;

use bytes::Bytes;
use downcity_core::{Body, BoxError};
use tokio::time::Instant;

use super::body::Source;
use super::encoder::{Encoder, Sink};
use super::events::Events;
use crate::failure::{EndedEarly, Failure};
use crate::limits::{AFTER_DONE, Alarm, CallLimits, Patience};
use crate::metering::Meter;

/// Chunks that are encoded before any are handed out, when the provider is faster than the client.
const FLUSH_AT: usize = 16 * 1024;

/// Encodes a stream and closes the account of its call at the end.
pub(crate) struct EncodedStream<S: Sink> {
    events: Events,
    encoder: Encoder<S>,
    patience: Patience,
    keep_alive: Duration,
    keep_alive_alarm: Alarm,
    last_sent: Instant,
    meter: Meter,
    /// The answer is complete; only the end of the connection may follow.
    is_complete: bool,
    has_ended: bool,
}

impl<S: Sink> EncodedStream<S> {
    pub(crate) fn new(body: Body, encoder: Encoder<S>, limits: &CallLimits, meter: Meter) -> Self {
        Self {
            events: Events::new(body),
            encoder,
            patience: Patience::new(limits, meter.cx().elapsed()),
            keep_alive: limits.keep_alive,
            keep_alive_alarm: Alarm::default(),
            last_sent: Instant::now(),
            meter,
            is_complete: false,
            has_ended: false,
        }
    }

    fn event(&mut self, data: &str) {
        if self.is_complete {
            return;
        }
        self.meter.first_byte();
        self.patience.touch();
        if data.trim() == "[DONE]" {
            self.complete();
            self.patience = Patience::after(AFTER_DONE);
            return;
        }
        self.encoder.event(data);
        if self.encoder.is_over() {
            self.end();
        } else if self.patience.is_over() {
            self.fail(&Failure::TimedOut);
        }
    }

    fn fail(&mut self, failure: &Failure) {
        if !self.is_complete {
            self.meter.cx().broke_off(failure.code(), failure.sentence());
            tracing::warn!(
                request_id = self.meter.cx().request_id(),
                ?failure,
                "the stream broke off"
            );
            self.encoder.fail(failure.code(), &failure.sentence());
            self.meter.failed();
        }
        self.end();
    }

    fn complete(&mut self) {
        if !std::mem::replace(&mut self.is_complete, true) {
            self.encoder.end();
            if self.encoder.has_failed() {
                self.meter.failed();
            }
            self.account();
            self.meter.close();
        }
    }

    /// Tells what was used and produced so far.
    fn account(&mut self) {
        self.meter.usage(self.encoder.usage().cloned());
        self.meter.produced(self.encoder.produced());
    }

    fn end(&mut self) {
        self.complete();
        self.has_ended = true;
        // The connection to the provider is of no use any more.
        self.events = Events::new(Body::Empty);
    }

    /// Whether a stream that ends here was cut: it began, and its end was not told.
    fn is_cut(&self) -> bool {
        !self.is_complete && self.events.has_begun() && !self.encoder.has_end()
    }

    /// Reads what is there; says whether more may come later.
    fn read(&mut self, cx: &mut Context<'_>) -> bool {
        while !self.has_ended && self.encoder.len() < FLUSH_AT {
            match self.events.poll_next(cx) {
                Poll::Ready(Some(Ok(data))) => self.event(&data),
                Poll::Ready(Some(Err(failure))) => self.fail(&failure),
                Poll::Ready(None) if self.is_cut() => {
                    self.fail(&Failure::Broken(EndedEarly.into()));
                }
                Poll::Ready(None) => self.end(),
                Poll::Pending => {
                    // Comments are signs of life, too.
                    if self.events.has_moved() && !self.is_complete {
                        self.patience.touch();
                    }
                    if self.patience.poll(cx).is_pending() {
                        return true;
                    }
                    self.fail(&Failure::TimedOut);
                }
            }
        }
        false
    }
}

impl<S: Sink> Drop for EncodedStream<S> {
    /// A client that leaves early still used what was told so far.
    fn drop(&mut self) {
        self.account();
    }
}

impl<S: Sink> Source for EncodedStream<S> {
    fn poll_next(&mut self, cx: &mut Context<'_>) -> Poll<Option<Result<Bytes, BoxError>>> {
        let is_waiting = self.read(cx);
        if self.encoder.len() > 0 {
            self.last_sent = Instant::now();
            return Poll::Ready(Some(Ok(self.encoder.take())));
        }
        if !is_waiting {
            return Poll::Ready(None);
        }
        if !self.is_complete
            && self.keep_alive_alarm.poll(cx, self.last_sent + self.keep_alive).is_ready()
        {
            self.last_sent = Instant::now();
            return Poll::Ready(Some(Ok(Bytes::from_static(S::KEEP_ALIVE))));
        }
        Poll::Pending
    }

    fn is_done(&self) -> bool {
        self.has_ended && self.encoder.len() == 0
    }
}
