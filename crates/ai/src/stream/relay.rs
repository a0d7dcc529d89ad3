//! A provider's answer passed on byte by byte.

use std::collections::VecDeque;
use std::pin::Pin;
use std::task::{Context, Poll};

use bytes::Bytes;
use downcity_core::{Body, BoxError};
use downcity_types::OpenAiError;
use http_body::{Body as _, SizeHint};

use super::body::Source;
use super::tap::{JsonTap, StreamTap};
use crate::failure::{EndedEarly, Failure};
use crate::limits::{AFTER_DONE, Patience};
use crate::mask::Rolling;
use crate::metering::{Meter, tells_output};
use crate::sound;

/// What watches the bytes.
pub(crate) enum Tap {
    Stream(StreamTap),
    Json(JsonTap, Rolling),
    Sound(SoundTap),
}

/// Measures a sound that passes.
pub(crate) struct SoundTap {
    media_type: String,
    head: Vec<u8>,
    passed: u64,
    /// The seconds that count where the sound does not tell.
    probable: u64,
    /// The usage, where the sound comes as events.
    events: Option<JsonTap>,
}

impl SoundTap {
    pub(crate) fn new(media_type: String, probable: u64) -> Self {
        let events = (media_type == "text/event-stream").then(JsonTap::default);
        Self { media_type, head: Vec::new(), passed: 0, probable, events }
    }

    fn push(&mut self, bytes: &Bytes) {
        self.passed += bytes.len() as u64;
        let room = sound::HEAD.saturating_sub(self.head.len()).min(bytes.len());
        if let Some(events) = &mut self.events {
            events.push(bytes);
        } else {
            self.head.extend_from_slice(&bytes[..room]);
        }
    }

    /// Tells what was made so far.
    fn tell(&self, meter: &mut Meter) {
        if self.passed == 0 {
            return;
        }
        meter.usage(self.events.as_ref().and_then(JsonTap::usage));
        meter.sound(sound::seconds(&self.media_type, &self.head, self.passed), self.probable);
    }
}

/// Passes an answer on and closes the account of its call at the end.
pub(crate) struct Relay {
    body: Body,
    tap: Tap,
    out: VecDeque<Bytes>,
    patience: Patience,
    meter: Meter,
    broken: Option<BoxError>,
    /// The provider said that it is done; only the end of the connection may follow.
    is_complete: bool,
    has_ended: bool,
}

impl Relay {
    pub(crate) fn new(body: Body, tap: Tap, patience: Patience, meter: Meter) -> Self {
        let out = VecDeque::new();
        Self { body, tap, out, patience, meter, broken: None, is_complete: false, has_ended: false }
    }

    /// Takes a piece of the answer.
    pub(crate) fn data(&mut self, bytes: Bytes) {
        if self.is_complete {
            return self.end();
        }
        self.meter.first_byte();
        self.patience.touch();
        match &mut self.tap {
            Tap::Stream(tap) => tap.push(bytes, &mut self.out),
            Tap::Json(tap, rolling) => {
                tap.push(&bytes);
                self.out.push_back(rolling.push(bytes));
            }
            Tap::Sound(tap) => {
                tap.push(&bytes);
                self.out.push_back(bytes);
            }
        }
        if self.body.is_end_stream() {
            self.end();
        } else if matches!(&self.tap, Tap::Stream(tap) if tap.is_done()) {
            self.is_complete = true;
            self.patience = Patience::after(AFTER_DONE);
            self.close();
        } else if self.patience.is_over() {
            self.break_off(Failure::TimedOut);
        }
    }

    fn end(&mut self) {
        match &mut self.tap {
            Tap::Stream(tap) if tap.is_cut() => {
                return self.break_off(Failure::Broken(EndedEarly.into()));
            }
            Tap::Stream(tap) => tap.end(&mut self.out),
            Tap::Json(tap, _) if !tap.is_answer() => {
                return self.break_off(Failure::Unreadable("no answer in the end".to_owned()));
            }
            Tap::Json(_, rolling) => self.out.push_back(rolling.end()),
            Tap::Sound(_) => {}
        }
        self.has_ended = true;
        self.close();
        // What a provider sends after it said that it is done is nobody's.
        self.body = Body::Empty;
    }

    fn close(&mut self) {
        let usage = match &mut self.tap {
            Tap::Stream(tap) => {
                if tap.has_failed() {
                    self.meter.failed();
                }
                self.meter.produced(tap.produced());
                tap.usage().cloned()
            }
            Tap::Json(tap, _) => {
                let tap = std::mem::take(tap);
                let usage = tap.usage();
                if self.meter.is_billed() && !usage.as_ref().is_some_and(tells_output) {
                    self.meter.produced(tap.produced());
                }
                usage
            }
            Tap::Sound(tap) => {
                tap.tell(&mut self.meter);
                None
            }
        };
        self.meter.usage(usage);
        self.meter.close();
    }

    /// A stream ends with an error event, after its last whole event; other answers break.
    fn break_off(&mut self, failure: Failure) {
        if self.is_complete {
            return self.end();
        }
        self.has_ended = true;
        self.meter.cx().broke_off(failure.code(), failure.sentence());
        tracing::warn!(request_id = self.meter.cx().request_id(), ?failure, "the answer broke off");
        self.meter.failed();
        match &self.tap {
            Tap::Stream(tap) => {
                self.meter.produced(tap.produced());
                self.meter.usage(tap.usage().cloned());
                let error = OpenAiError::new(failure.code(), failure.sentence(), None);
                let error = serde_json::to_string(&error).unwrap_or_default();
                // An event that was passed on while it came ends here.
                let end = if tap.is_passing() { "\n\n" } else { "" };
                self.out.push_back(format!("{end}data: {error}\n\n").into());
            }
            // Half of an answer is of no use, and nothing is owed for it.
            Tap::Json(..) | Tap::Sound(_) => self.broken = Some(failure.sentence().into()),
        }
        self.meter.close();
        // The connection to the provider is of no use any more.
        self.body = Body::Empty;
    }
}

impl Drop for Relay {
    /// A client that leaves early still used what was told so far.
    fn drop(&mut self) {
        match &self.tap {
            Tap::Stream(tap) => {
                self.meter.produced(tap.produced());
                self.meter.usage(tap.usage().cloned());
            }
            Tap::Json(tap, _) => self.meter.produced(tap.passed()),
            Tap::Sound(tap) if !self.has_ended => tap.tell(&mut self.meter),
            Tap::Sound(_) => {}
        }
    }
}

impl Source for Relay {
    fn poll_next(&mut self, cx: &mut Context<'_>) -> Poll<Option<Result<Bytes, BoxError>>> {
        loop {
            if let Some(bytes) = self.out.pop_front() {
                if !bytes.is_empty() {
                    return Poll::Ready(Some(Ok(bytes)));
                }
            } else if self.has_ended {
                return Poll::Ready(self.broken.take().map(Err));
            } else {
                match Pin::new(&mut self.body).poll_frame(cx) {
                    Poll::Ready(Some(Ok(frame))) => {
                        if let Ok(bytes) = frame.into_data() {
                            self.data(bytes);
                        }
                    }
                    Poll::Ready(Some(Err(error))) => self.break_off(Failure::Broken(error)),
                    Poll::Ready(None) => self.end(),
                    Poll::Pending if self.patience.poll(cx).is_ready() => {
                        self.break_off(Failure::TimedOut);
                    }
                    Poll::Pending => return Poll::Pending,
                }
            }
        }
    }

    fn is_done(&self) -> bool {
        self.has_ended && self.out.is_empty() && self.broken.is_none()
    }

    fn size_hint(&self) -> SizeHint {
        match &self.tap {
            // Events may be left out or added.
            Tap::Stream(_) => SizeHint::default(),
            Tap::Json(_, rolling) if self.out.is_empty() && rolling.is_empty() => {
                self.body.size_hint()
            }
            Tap::Sound(_) if self.out.is_empty() => self.body.size_hint(),
            Tap::Json(..) | Tap::Sound(_) => SizeHint::default(),
        }
    }
}
