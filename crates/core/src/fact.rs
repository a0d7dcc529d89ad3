//! What is told of a call once it has ended: who called what, how it ended, what it consumed.

use std::panic::AssertUnwindSafe;
use std::sync::OnceLock;
use std::sync::atomic::{AtomicUsize, Ordering};

use downcity_db::Tx;
use downcity_types::{ErrorCode, Microcredits, Timestamp};
use http::StatusCode;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::{Call, Cx, Metering, Result};

/// The status of a call whose client left before the answer began, as nginx made it customary;
/// never sent.
pub(crate) const CLIENT_LEFT: u16 = 499;

/// How a call ended, in one word.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum FactStatus {
    /// It was answered, a stream to its last byte.
    Success,
    /// It failed: a status of 400 or more, or an answer that broke off.
    Error,
    /// Its client left before the end of the answer.
    Canceled,
}

impl FactStatus {
    /// The status as it stands on the wire.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Success => "success",
            Self::Error => "error",
            Self::Canceled => "canceled",
        }
    }
}

/// The end of a call.
#[derive(Clone, Debug)]
pub struct Ended {
    /// The status of the answer; 499 when the client left before it began.
    pub status: StatusCode,
    /// The code of the error, when it failed or broke off.
    pub code: Option<ErrorCode>,
    /// The sentence of the error.
    pub message: Option<String>,
    /// Whether the whole answer was handed to the transport, rather than left by its client.
    pub complete: bool,
    /// Whether the answer was streamed.
    pub streamed: bool,
    /// When the answer ended.
    pub at: Timestamp,
}

impl Ended {
    /// The end in one word.
    pub fn status(&self) -> FactStatus {
        if self.status.as_u16() == CLIENT_LEFT {
            FactStatus::Canceled
        } else if self.status.as_u16() >= 400 || self.code.is_some() {
            FactStatus::Error
        } else if self.complete {
            FactStatus::Success
        } else {
            FactStatus::Canceled
        }
    }
}

/// One call of a user, as it is stored.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct CallFact {
    /// `usage_` and what follows `req_` in the request id.
    pub event_id: String,
    /// The id of the request; one fact per request.
    pub request_id: String,
    /// The user's city.
    pub city_id: String,
    /// The user.
    pub user_id: String,
    /// The id of the service.
    pub service: String,
    /// The action's path within its service, such as `redeem-codes/create`.
    pub action: String,
    /// How the call ended.
    pub status: FactStatus,
    /// The status of the answer; 499 when the client left before it began.
    pub http_status: u16,
    /// The code of the error.
    pub code: Option<ErrorCode>,
    /// The sentence of the error, as the caller read it.
    pub message: Option<String>,
    /// Whether the answer was streamed.
    pub streamed: bool,
    /// What the call consumed; `duration_ms` is always there.
    pub metering: Metering,
    /// What the call cost.
    pub charge: Microcredits,
    /// The hold that covered the call, where it was billed.
    pub hold_id: Option<String>,
    /// The charge of the call, where it was billed.
    pub charge_id: Option<String>,
    /// When the request arrived.
    pub started_at: Timestamp,
    /// When the answer ended.
    pub ended_at: Timestamp,
}

impl CallFact {
    /// The fact of a call that has ended, without a charge; `None` when its caller is no user.
    pub fn of(call: &Call, ended: &Ended) -> Option<Self> {
        let user = call.identity().user()?;
        Some(Self::of_user(call, ended, &user.city.city_id, &user.user_id))
    }

    /// The fact of a call that has ended, on behalf of this user, whoever called.
    pub fn of_user(call: &Call, ended: &Ended, city_id: &str, user_id: &str) -> Self {
        let mut metering = call.metering();
        if metering.duration_ms.is_none() {
            metering.duration_ms = u64::try_from(call.elapsed().as_millis()).ok();
        }
        let request_id = call.request_id();
        let own = request_id.strip_prefix("req_").unwrap_or(request_id);
        Self {
            event_id: ["usage_", own].concat(),
            request_id: request_id.to_owned(),
            city_id: city_id.to_owned(),
            user_id: user_id.to_owned(),
            service: call.action().service_id().to_owned(),
            action: call.action().id().to_owned(),
            status: ended.status(),
            http_status: ended.status.as_u16(),
            code: ended.code,
            message: ended.message.clone(),
            streamed: ended.streamed,
            metering,
            charge: Microcredits::ZERO,
            hold_id: None,
            charge_id: None,
            started_at: call.started_at(),
            ended_at: ended.at,
        }
    }
}

/// Is told of every call of an action, exactly once: when its answer has ended, and nothing
/// [keeps it open](Cx::keep_open) any more, so that its metering is final.
///
/// It is called on the way of the answer: it must not block. See
/// [`ServiceDef::recorder`](crate::ServiceDef::recorder).
pub trait Recorder: Send + Sync + 'static {
    /// A call has come to its end.
    fn record(&self, call: &Cx, ended: &Ended);
}

/// Left in [`Call::locals`] by whoever stores the fact of a call in a transaction of its own:
/// the usage service leaves such a call out.
#[derive(Clone, Copy, Debug)]
pub struct OwnFact;

/// Stores facts.
pub trait FactStore: Send + Sync + 'static {
    /// Stores a fact in the caller's transaction. A second fact of the same request changes
    /// nothing.
    ///
    /// # Errors
    /// Those of the database.
    fn insert(&self, tx: &mut Tx<'_>, fact: &CallFact) -> Result<()>;
}

/// Keeps a call open until it is dropped: recorders are told afterwards.
#[derive(Debug)]
pub struct OpenCall(Option<Cx>);

impl Drop for OpenCall {
    fn drop(&mut self) {
        if let Some(cx) = self.0.take() {
            release(&cx);
        }
    }
}

/// How far a call is from being told of.
#[derive(Debug)]
pub(crate) struct Ending {
    /// The answer itself, and the guards that are out; zero is final.
    open: AtomicUsize,
    ended: OnceLock<Ended>,
    /// Why an answer that had begun was not brought to its end.
    broke_off: OnceLock<(ErrorCode, String)>,
}

impl Default for Ending {
    fn default() -> Self {
        Self { open: AtomicUsize::new(1), ended: OnceLock::new(), broke_off: OnceLock::new() }
    }
}

impl Call {
    /// Notes that an answer that had begun broke off, such as a stream whose source failed: the
    /// call counts as failed, whatever status was sent. The first note counts.
    pub fn broke_off(&self, code: ErrorCode, message: impl Into<String>) {
        let _ = self.ending.broke_off.set((code, message.into()));
    }

    /// The code of what broke an answer off.
    pub(crate) fn broken_code(&self) -> Option<ErrorCode> {
        self.ending.broke_off.get().map(|(code, _)| *code)
    }
}

impl Cx {
    /// Keeps the call open beyond the end of its answer, for work that still changes its metering.
    /// Recorders are told when the answer has ended and the last guard is dropped.
    #[must_use = "the call is open for as long as the guard lives"]
    pub fn keep_open(&self) -> OpenCall {
        let count = |open: usize| (open > 0).then_some(open + 1);
        let kept = self.0.ending.open.fetch_update(Ordering::AcqRel, Ordering::Acquire, count);
        OpenCall(kept.is_ok().then(|| self.clone()))
    }
}

/// The answer of a call has ended.
pub(crate) fn ended(cx: &Cx, ended: impl FnOnce() -> Ended) {
    if cx.runtime.registry().recorders().is_empty() {
        return;
    }
    if cx.ending.ended.set(ended()).is_ok() {
        release(cx);
    }
}

fn release(cx: &Cx) {
    if cx.ending.open.fetch_sub(1, Ordering::AcqRel) == 1 {
        tell(cx);
    }
}

fn tell(cx: &Cx) {
    let Some(ended) = cx.ending.ended.get() else { return };
    let broken = cx.ending.broke_off.get().filter(|_| ended.message.is_none()).map(|broken| {
        let (code, message) = broken.clone();
        Ended { code: Some(code), message: Some(message), ..ended.clone() }
    });
    let ended = broken.as_ref().unwrap_or(ended);
    for recorder in cx.runtime.registry().recorders() {
        // A fact is never worth the answer of its call.
        let told = std::panic::catch_unwind(AssertUnwindSafe(|| recorder.record(cx, ended)));
        if told.is_err() {
            metrics::counter!("downcity_panics_total").increment(1);
            tracing::error!(request_id = cx.request_id(), action = ?cx.action(), "a recorder panicked");
        }
    }
}
