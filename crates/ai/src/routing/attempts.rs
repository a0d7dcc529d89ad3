//! What is kept of each attempt of a call: in its fact, and so in its receipt.

use std::time::Duration;

use downcity_core::env::EnvOf;
use downcity_core::{Body, Call};
use http::Response;
use serde::Serialize;
use serde_json::Value;

use super::{Lane, Told};
use crate::failure::Failure;

/// The attempts of a call, in order.
#[derive(Default)]
pub(crate) struct Attempts {
    ended: Vec<Attempt>,
    under_way: Option<UnderWay>,
}

struct UnderWay {
    of: Of,
    began: Duration,
}

/// Who was asked.
#[derive(Serialize)]
struct Of {
    provider: String,
    key: Option<String>,
    /// Whose value of the key it is.
    key_of: Option<EnvOf>,
    upstream_model: String,
}

/// An attempt as the fact tells it. It waits for the end of its call in this form, as JSON takes
/// several times the room.
#[derive(Serialize)]
struct Attempt {
    #[serde(flatten)]
    of: Of,
    outcome: &'static str,
    status: Option<u16>,
    duration_ms: u64,
}

impl Attempts {
    /// An attempt begins, so long after the call did. Says whether there was one before.
    pub(crate) fn begin(&mut self, call: &Call, lane: Lane<'_>, elapsed: Duration) -> bool {
        let of = Of {
            provider: lane.model().provider.id.clone(),
            key: lane.key().map(str::to_owned),
            key_of: lane.key_of(call),
            upstream_model: lane.model().upstream_model.clone(),
        };
        self.under_way = Some(UnderWay { of, began: elapsed });
        !self.ended.is_empty()
    }

    /// The attempt has its answer.
    pub(crate) fn end(&mut self, answer: &Result<Response<Body>, Failure>, elapsed: Duration) {
        let status = answer.as_ref().ok().map(|response| response.status().as_u16());
        self.record(Told::of(answer).as_str(), status, elapsed);
    }

    /// What the last answer held was of no use.
    pub(crate) fn spoil(&mut self, told: Told) {
        if let Some(last) = self.ended.last_mut() {
            last.outcome = told.as_str();
        }
    }

    fn record(&mut self, outcome: &'static str, status: Option<u16>, elapsed: Duration) {
        let Some(UnderWay { of, began }) = self.under_way.take() else { return };
        metrics::counter!(
            "downcity_ai_attempts_total",
            "provider" => of.provider.clone(),
            "outcome" => outcome
        )
        .increment(1);
        let duration = elapsed.saturating_sub(began).as_millis();
        let duration_ms = u64::try_from(duration).unwrap_or(u64::MAX);
        // Most calls have one.
        self.ended.reserve_exact(1);
        self.ended.push(Attempt { of, outcome, status, duration_ms });
    }

    /// All of them, for the details of the fact. One that is under way was left by its client.
    pub(crate) fn into_details(mut self, elapsed: Duration) -> Value {
        self.record("canceled", None, elapsed);
        serde_json::to_value(self.ended).unwrap_or_default()
    }
}
