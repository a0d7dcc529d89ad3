//! What is kept of each attempt of a call: in its fact, and so in its receipt.

use std::time::Duration;

use downcity_core::env::EnvOf;
use downcity_core::{Body, Call};
use http::Response;
use serde_json::{Value, json};

use super::{Lane, Told};
use crate::failure::Failure;

/// The attempts of a call, in order.
#[derive(Default)]
pub(crate) struct Attempts {
    ended: Vec<Value>,
    under_way: Option<UnderWay>,
}

struct UnderWay {
    provider: String,
    key: Option<String>,
    /// Whose value of the key it is.
    key_of: Option<EnvOf>,
    upstream_model: String,
    began: Duration,
}

impl Attempts {
    /// An attempt begins, so long after the call did. Says whether there was one before.
    pub(crate) fn begin(&mut self, call: &Call, lane: Lane<'_>, elapsed: Duration) -> bool {
        self.under_way = Some(UnderWay {
            provider: lane.model().provider.id.clone(),
            key: lane.key().map(str::to_owned),
            key_of: lane.key_of(call),
            upstream_model: lane.model().upstream_model.clone(),
            began: elapsed,
        });
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
            last["outcome"] = told.as_str().into();
        }
    }

    fn record(&mut self, outcome: &'static str, status: Option<u16>, elapsed: Duration) {
        let Some(attempt) = self.under_way.take() else { return };
        metrics::counter!(
            "downcity_ai_attempts_total",
            "provider" => attempt.provider.clone(),
            "outcome" => outcome
        )
        .increment(1);
        let duration = elapsed.saturating_sub(attempt.began).as_millis();
        self.ended.push(json!({
            "provider": attempt.provider,
            "key": attempt.key,
            "key_of": attempt.key_of,
            "upstream_model": attempt.upstream_model,
            "outcome": outcome,
            "status": status,
            "duration_ms": u64::try_from(duration).unwrap_or(u64::MAX),
        }));
    }

    /// All of them, for the details of the fact. One that is under way was left by its client.
    pub(crate) fn into_details(mut self, elapsed: Duration) -> Value {
        self.record("canceled", None, elapsed);
        Value::Array(self.ended)
    }
}
