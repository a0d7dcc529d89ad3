//! What a call consumed, written into the call for hooks, statistics and its bill.

use std::sync::Arc;
use std::time::Duration;

use downcity_core::fact::{OpenCall, OwnFact};
use downcity_core::{Body, Cx, Error, Metering, Result, Wallets};
use downcity_types::{ErrorCode, TokenCounts};
use http::Response;
use serde_json::Value;
use tokio::sync::OwnedSemaphorePermit;

use crate::billing::{Bill, Progress};
use crate::catalog::Model;
use crate::config::Mode;
use crate::failure::Failure;
use crate::limits::CallLimits;
use crate::price::Consumed;
use crate::routing::{Attempts, Lane, Told};

/// Keeps account of one call until its answer has ended, or its client has left.
///
/// Usage and times are final when the meter is closed; dropping it closes it. Until then the call
/// is kept open, so that nobody records it with half of its figures.
pub(crate) struct Meter {
    cx: Cx,
    usage: Option<Value>,
    has_begun: bool,
    is_closed: bool,
    /// Whether what the answer holds is what a model wrote.
    writes: bool,
    /// What the call costs, where it costs money.
    bill: Option<Box<Bill>>,
    progress: Progress,
    /// Bytes of texts in the answer, where the call costs money.
    produced: u64,
    attempts: Attempts,
    open: Option<OpenCall>,
    /// The call's place among those under way, given back with the meter.
    _slot: Option<OwnedSemaphorePermit>,
}

impl Meter {
    /// Notes who answers.
    pub(crate) fn begin(
        cx: &Cx,
        model: &Model,
        mode: Mode,
        slot: Option<OwnedSemaphorePermit>,
    ) -> Self {
        cx.meter(|metering| {
            metering.provider_id = Some(model.provider.id.clone());
            metering.model_id = Some(model.id.clone());
            metering.upstream_model = Some(model.upstream_model.clone());
            metering.request_count = Some(1);
            metering.metadata.insert("mode".to_owned(), Value::from(mode.as_str()));
        });
        Self {
            cx: cx.clone(),
            usage: None,
            has_begun: false,
            is_closed: false,
            writes: matches!(mode, Mode::Text | Mode::Stream | Mode::Openai),
            bill: None,
            progress: Progress::default(),
            produced: 0,
            attempts: Attempts::default(),
            open: Some(cx.keep_open()),
            _slot: slot,
        }
    }

    /// The call.
    pub(crate) fn cx(&self) -> &Cx {
        &self.cx
    }

    /// Reserves what the call may cost.
    ///
    /// # Errors
    /// 402 when the wallet does not cover it; those of the database.
    pub(crate) async fn hold(
        &mut self,
        bill: Bill,
        wallets: &Arc<dyn Wallets>,
        limits: &CallLimits,
    ) -> Result<()> {
        let held = bill.hold(&self.cx, wallets, limits);
        self.bill = Some(Box::new(bill));
        // A client that leaves now must not leave the hold behind: the call stays open until the
        // hold stands, and whatever ends the call then finds it.
        let open = self.cx.keep_open();
        let held = self.cx.runtime().tasks().spawn(async move {
            let held = held.await;
            drop(open);
            held
        });
        let held = held.await.unwrap_or_else(|stopped| Err(Error::internal(stopped)));
        if held.as_ref().is_err_and(|error| error.code() != ErrorCode::CommitUnknown) {
            self.bill = None;
        }
        held
    }

    /// Whether the call costs money.
    pub(crate) fn is_billed(&self) -> bool {
        self.bill.is_some()
    }

    /// The request goes to a provider.
    pub(crate) fn sent(&mut self, lane: Lane<'_>) {
        self.progress = Progress::Sent;
        let (model, is_again) =
            (lane.model(), self.attempts.begin(&self.cx, lane, self.cx.elapsed()));
        if let Some(bill) = &mut self.bill {
            bill.answered_by(&model.provider.id);
        }
        self.cx.meter(|metering| {
            if is_again {
                metering.request_count = metering.request_count.map(|count| count + 1);
            }
            for (known, now) in [
                (&mut metering.provider_id, &model.provider.id),
                (&mut metering.upstream_model, &model.upstream_model),
            ] {
                if known.as_ref() != Some(now) {
                    *known = Some(now.clone());
                }
            }
        });
    }

    /// What became of the request that was sent last.
    pub(crate) fn answered(&mut self, answer: &Result<Response<Body>, Failure>) {
        self.attempts.end(answer, self.cx.elapsed());
        // No answer has begun that could break off: another attempt may still succeed.
        if answer.as_ref().map_or(true, |response| !response.status().is_success()) {
            self.progress = Progress::Failed;
        }
    }

    /// The answer that was there is not delivered.
    pub(crate) fn spoiled(&mut self, failure: &Failure) {
        match failure {
            Failure::BadFile(_) => self.attempts.spoil(Told::BadFile),
            Failure::Unreadable(_) => self.attempts.spoil(Told::Unreadable),
            _ => {}
        }
    }

    /// The provider failed. A call that ends like this owes what was produced before.
    pub(crate) fn failed(&mut self) {
        self.progress = Progress::Failed;
        // Where the failure is an answer of its own, or was told in more words, this changes nothing.
        self.cx.broke_off(ErrorCode::UpstreamError, "The AI provider broke its answer off.");
    }

    /// So many bytes of texts have been produced so far. They count where a model writes texts.
    pub(crate) fn produced(&mut self, bytes: u64) {
        if self.writes {
            self.produced = bytes;
        }
    }

    /// The first byte of the answer is there; later calls say nothing.
    pub(crate) fn first_byte(&mut self) {
        if !std::mem::replace(&mut self.has_begun, true) {
            let elapsed = millis(self.cx.elapsed());
            self.cx.meter(|metering| metering.first_byte_ms = Some(elapsed));
        }
    }

    /// The provider's usage, of which the last word counts.
    pub(crate) fn usage(&mut self, usage: Option<Value>) {
        if usage.is_some() {
            self.usage = usage;
        }
    }

    /// So many seconds were spoken or heard; a begun second counts. `None` counts `probable` ones,
    /// and says so.
    pub(crate) fn sound(&mut self, seconds: Option<f64>, probable: u64) {
        self.cx.meter(|metering| {
            // Saturates.
            metering.audio_seconds = Some(seconds.map_or(probable, |told| told.ceil() as u64));
            if seconds.is_none() {
                metering.metadata.insert("estimated".to_owned(), Value::Bool(true));
            }
        });
    }

    /// The answer has ended.
    pub(crate) fn close(&mut self) {
        if std::mem::replace(&mut self.is_closed, true) {
            return;
        }
        let usage = self.usage.take();
        let elapsed = millis(self.cx.elapsed());
        let bill = self.bill.take();
        let (progress, produced) = (self.progress, self.produced);
        let attempts = std::mem::take(&mut self.attempts).into_details(self.cx.elapsed());
        let mut due = None;
        self.cx.meter(|metering| {
            metering.duration_ms = Some(elapsed);
            metering.metadata.insert("attempts".to_owned(), attempts);
            let counts = usage.and_then(|usage| note_usage(metering, usage));
            let Some(bill) = bill else { return };
            let told = consumed(metering, counts, bill.sent());
            let ended = bill.end(progress, produced, told);
            if ended.is_estimate() {
                metering.metadata.insert("estimated".to_owned(), Value::Bool(true));
            }
            due = Some(ended);
        });
        if let Some(due) = due {
            self.cx.locals().put(due);
            self.cx.locals().put(OwnFact);
        }
        self.open = None;
    }
}

impl Drop for Meter {
    fn drop(&mut self) {
        if std::thread::panicking() {
            self.failed();
        }
        self.close();
    }
}

/// The tokens of a usage; none where it is none, or no call can have consumed as much.
fn counts_of(usage: &Value) -> Option<TokenCounts> {
    TokenCounts::from_usage(usage).filter(|counts| of_tokens(counts).is_plausible())
}

/// Whether a usage says how much was produced.
pub(crate) fn tells_output(usage: &Value) -> bool {
    counts_of(usage).is_some_and(|counts| counts.output_tokens > 0)
}

/// Figures that no call can have consumed are kept as the provider's words only.
pub(crate) fn note_usage(metering: &mut Metering, usage: Value) -> Option<TokenCounts> {
    let counts = counts_of(&usage);
    if let Some(counts) = &counts {
        metering.input_tokens = Some(counts.input_tokens);
        metering.cached_tokens = Some(counts.cached_tokens);
        metering.output_tokens = Some(counts.output_tokens);
    }
    metering.raw_usage = Some(usage);
    counts
}

fn of_tokens(counts: &TokenCounts) -> Consumed {
    Consumed {
        input_tokens: counts.input_tokens,
        cached_tokens: counts.cached_tokens,
        output_tokens: counts.output_tokens,
        ..Consumed::default()
    }
}

/// What prices count, where the provider told its tokens or the length of a sound is known. Tokens
/// that go with a sound and that nobody told are those of the bytes that were sent.
fn consumed(metering: &Metering, counts: Option<TokenCounts>, sent: u64) -> Option<Consumed> {
    let video = metering.video_seconds.unwrap_or(0);
    let tokens = match (counts, metering.audio_seconds) {
        (Some(counts), _) => of_tokens(&counts),
        (None, Some(_)) => Consumed::of_bytes(sent, 0),
        (None, None) => return None,
    };
    Some(Consumed {
        images: metering.image_count.unwrap_or(0),
        seconds: video.saturating_add(metering.audio_seconds.unwrap_or(0)),
        ..tokens
    })
}

/// What prices count of work whose end was metered.
pub(crate) fn consumed_by(metering: &Metering) -> Consumed {
    let video = metering.video_seconds.unwrap_or(0);
    Consumed {
        input_tokens: metering.input_tokens.unwrap_or(0),
        cached_tokens: metering.cached_tokens.unwrap_or(0),
        output_tokens: metering.output_tokens.unwrap_or(0),
        images: metering.image_count.unwrap_or(0),
        seconds: video.saturating_add(metering.audio_seconds.unwrap_or(0)),
    }
}

fn millis(time: Duration) -> u64 {
    u64::try_from(time.as_millis()).unwrap_or(u64::MAX)
}
