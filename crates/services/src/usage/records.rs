//! What the actions take and answer.

use downcity_types::{LimitParam, Timestamp};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use super::events::Event;
use super::summary::{Group, GroupBy, Sums};
use super::sums::DAY;

/// One recorded call.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct UsageEvent {
    /// The id of the record.
    pub event_id: String,
    /// The user's city.
    pub city_id: String,
    /// The user.
    pub user_id: String,
    /// The id of the service.
    pub service: String,
    /// The model that answered; empty for calls that are not about one.
    pub model_id: String,
    /// `success`, `error` (a status of 400 or more, or an answer that broke off) or `canceled` (its
    /// client left before the end).
    pub status: String,
    /// A JSON object with `started_at`, `ended_at`, `variant` (the model) and `error` (the code), as
    /// older clients read it.
    pub metadata_json: String,
    /// When the record was stored.
    pub created_at: Timestamp,
    /// The action's path within its service.
    pub action: String,
    /// The id of the request.
    pub request_id: String,
    /// The status of the answer; 499 when the client left before it began.
    pub http_status: i64,
    /// The code of the error.
    pub code: Option<String>,
    /// The sentence of the error, without credentials, at most 500 characters. Users see the code.
    pub error: Option<String>,
    /// Whether the answer was streamed.
    pub streamed: bool,
    /// The provider that did the work; empty for calls that need none.
    pub provider_id: String,
    /// The provider's own name of the model.
    pub upstream_model: String,
    /// The kind of an AI call, such as `text` or `stream`.
    pub mode: Option<String>,
    /// Each request that an AI call made to a provider, in order; absent where there was none.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub attempts: Vec<Attempt>,
    /// Input tokens that were not served from a cache.
    pub input_tokens: Option<i64>,
    /// Output tokens.
    pub output_tokens: Option<i64>,
    /// Input tokens served from the provider's cache.
    pub cached_tokens: Option<i64>,
    /// Images produced.
    pub image_count: Option<i64>,
    /// Seconds of audio.
    pub audio_seconds: Option<i64>,
    /// Seconds of video.
    pub video_seconds: Option<i64>,
    /// Milliseconds until the first byte of the answer, where they were measured.
    pub first_byte_ms: Option<i64>,
    /// Milliseconds until the answer was complete.
    pub duration_ms: i64,
    /// What the call cost, in microcredits (1 credit = 1,000,000).
    pub charge_microcredits: i64,
    /// The hold that covered the call, where it was billed.
    pub hold_id: Option<String>,
    /// The charge of the call, where it was billed.
    pub charge_id: Option<String>,
    /// When the request arrived.
    pub started_at: Timestamp,
    /// When the answer ended.
    pub ended_at: Timestamp,
}

impl UsageEvent {
    /// The record as the trusted side sees it, or its user.
    pub(super) fn new(event: Event, is_trusted: bool) -> Self {
        let own = event.request_id.strip_prefix("req_").unwrap_or(&event.request_id);
        let mode = event.details.get("mode").and_then(Value::as_str).map(str::to_owned);
        let error = if is_trusted { event.error.clone() } else { event.code.clone() };
        Self {
            event_id: ["usage_", own].concat(),
            metadata_json: metadata(&event),
            city_id: event.city_id,
            user_id: event.user_id,
            service: event.service,
            model_id: event.model_id,
            status: event.status,
            created_at: event.created_at,
            action: event.action,
            request_id: event.request_id,
            http_status: event.http_status,
            code: event.code,
            error,
            streamed: event.streamed,
            provider_id: event.provider_id,
            upstream_model: event.upstream_model,
            mode,
            attempts: attempts(&event.details, is_trusted),
            input_tokens: event.input_tokens,
            output_tokens: event.output_tokens,
            cached_tokens: event.cached_tokens,
            image_count: event.image_count,
            audio_seconds: event.audio_seconds,
            video_seconds: event.video_seconds,
            first_byte_ms: event.first_byte_ms,
            duration_ms: event.duration_ms,
            charge_microcredits: event.charge_microcredits,
            hold_id: event.hold_id,
            charge_id: event.charge_id,
            started_at: event.started_at,
            ended_at: event.ended_at,
        }
    }
}

/// One request to a provider.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Attempt {
    /// The provider.
    pub provider: String,
    /// The name of the env key whose value was sent. For the trusted side only.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub key: Option<String>,
    /// Whose value of the key was sent: `city` for the city's own, else `federation`. For the trusted
    /// side only.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub key_of: Option<String>,
    /// The provider's own name of the model.
    pub upstream_model: String,
    /// `success`, `key_refused` (401), `forbidden` (402, 403), `rate_limited` (429), `failed` (408,
    /// 5xx), `not_found` (404, 405: no such model or address there), `refused` (any other status),
    /// `unreachable`, `timed_out`, `unusable` (a value of the env cannot be sent), `unfit` (the provider
    /// has no words for the request), `unreadable` (a status of success without an answer), `bad_file`
    /// (what it made is none of what was asked for) or `canceled` (its client left before the answer
    /// began).
    pub outcome: String,
    /// The status of the provider's answer, where there was one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub status: Option<u16>,
    /// Milliseconds until the answer began, or failed to.
    pub duration_ms: u64,
}

/// The attempts that the details of a call tell.
fn attempts(details: &Map<String, Value>, is_trusted: bool) -> Vec<Attempt> {
    let told = details.get("attempts").cloned().unwrap_or_default();
    let mut attempts: Vec<Attempt> = serde_json::from_value(told).unwrap_or_default();
    for attempt in attempts.iter_mut().filter(|_| !is_trusted) {
        attempt.key = None;
        attempt.key_of = None;
    }
    attempts
}

fn metadata(event: &Event) -> String {
    let mut metadata = Map::new();
    if !event.model_id.is_empty() {
        metadata.insert("variant".to_owned(), event.model_id.clone().into());
    }
    metadata.insert("started_at".to_owned(), event.started_at.to_string().into());
    metadata.insert("ended_at".to_owned(), event.ended_at.to_string().into());
    if let Some(code) = &event.code {
        metadata.insert("error".to_owned(), code.clone().into());
    }
    Value::from(metadata).to_string()
}

/// One group of a summary: the keys that were asked for, and its measures.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct SummaryItem {
    /// The city.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub city_id: Option<String>,
    /// The user.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub user_id: Option<String>,
    /// The service.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub service: Option<String>,
    /// The action.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub action: Option<String>,
    /// The model; empty for calls that are not about one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub model_id: Option<String>,
    /// The status.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub status: Option<String>,
    /// The day in UTC, such as `2026-01-02`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub day: Option<String>,
    /// How many calls there were.
    pub count: i64,
    /// Input tokens that were not served from a cache.
    pub input_tokens: i64,
    /// Output tokens.
    pub output_tokens: i64,
    /// Input tokens served from a cache.
    pub cached_tokens: i64,
    /// What the calls cost, in microcredits.
    pub charge_microcredits: i64,
    /// The mean of the durations, in milliseconds.
    pub avg_duration_ms: i64,
}

impl SummaryItem {
    pub(super) fn new(group: Group, by: GroupBy) -> Self {
        let key = |wanted: bool, key: String| wanted.then_some(key);
        let Sums { calls, input_tokens, output_tokens, cached_tokens, charge_microcredits, .. } =
            group.sums;
        Self {
            city_id: key(by.city_id, group.city_id),
            user_id: key(by.user_id, group.user_id),
            service: key(by.service, group.service),
            action: key(by.action, group.action),
            model_id: key(by.model_id, group.model_id),
            status: key(by.status, group.status),
            day: by.day.then(|| day_text(group.day)),
            count: calls,
            input_tokens,
            output_tokens,
            cached_tokens,
            charge_microcredits,
            avg_duration_ms: group.sums.avg_duration_ms(),
        }
    }
}

/// A day as it is written: `2026-01-02`.
pub(super) fn day_text(day: i64) -> String {
    let text = Timestamp::from_millis(day.saturating_mul(DAY)).to_string();
    text.split('T').next().unwrap_or_default().to_owned()
}

/// What a user used: a page of calls, and sums.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Mine {
    /// The calls, newest first.
    pub items: Vec<UsageEvent>,
    /// Send it as `cursor` to read on; absent on the last page.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub next_cursor: Option<String>,
    /// Sums of all calls that the filters leave, on this page or not.
    pub summary: MySummary,
}

/// Sums of a user's calls.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct MySummary {
    /// How many calls there were.
    pub count: i64,
    /// How many of them failed.
    pub errors: i64,
    /// How many of them were left by their client.
    pub canceled: i64,
    /// Input tokens that were not served from a cache.
    pub input_tokens: i64,
    /// Output tokens.
    pub output_tokens: i64,
    /// Input tokens served from a cache.
    pub cached_tokens: i64,
    /// What the calls cost, in microcredits.
    pub charge_microcredits: i64,
    /// The mean of the durations, in milliseconds.
    pub avg_duration_ms: i64,
    /// The same per day, the newest first; at most the last 31 days with calls.
    pub days: Vec<MyDay>,
}

/// One day of a user.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct MyDay {
    /// The day in UTC, such as `2026-01-02`.
    pub day: String,
    /// How many calls there were.
    pub count: i64,
    /// How many of them failed.
    pub errors: i64,
    /// How many of them were left by their client.
    pub canceled: i64,
    /// Input tokens that were not served from a cache.
    pub input_tokens: i64,
    /// Output tokens.
    pub output_tokens: i64,
    /// Input tokens served from a cache.
    pub cached_tokens: i64,
    /// What the calls cost, in microcredits.
    pub charge_microcredits: i64,
    /// The mean of the durations, in milliseconds.
    pub avg_duration_ms: i64,
}

/// How the recording goes on this node.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct RecordingStatus {
    /// Facts that wait for the database.
    pub waiting: u64,
    /// How many may wait.
    pub capacity: u64,
    /// Facts that this node stored since its start, those of billed calls not counted.
    pub stored: u64,
    /// Facts that were lost since its start, because the database did not take them in time.
    pub dropped: u64,
    /// Everything stored before this time is in the daily sums.
    pub summed_to: Timestamp,
}

/// The filters of lists and summaries. Those that are given together all apply.
#[derive(Clone, Debug, Default, Deserialize, JsonSchema)]
#[serde(default)]
pub(super) struct EventsIn {
    /// Only calls of this city's users. A service key for certain cities has to name one.
    pub(super) city_id: Option<String>,
    /// Only calls of this user.
    pub(super) user_id: Option<String>,
    /// Only calls of this service.
    pub(super) service: Option<String>,
    /// Only calls of this action.
    pub(super) action: Option<String>,
    /// Only calls that this model answered.
    pub(super) model_id: Option<String>,
    /// Only calls of this status: `success`, `error` or `canceled`.
    pub(super) status: Option<String>,
    /// Only calls recorded at this time or later.
    pub(super) from: Option<Timestamp>,
    /// Only calls recorded before this time.
    pub(super) to: Option<Timestamp>,
    /// How many to return; a bad value means 100, one too high 1,000.
    pub(super) limit: LimitParam,
    /// The `next_cursor` of the page before.
    pub(super) cursor: Option<String>,
}

#[derive(Clone, Debug, Default, Deserialize, JsonSchema)]
#[serde(default)]
pub(super) struct SummaryIn {
    /// Any of `city_id`, `user_id`, `service`, `action`, `model_id`, `status` and `day`, separated by
    /// commas; without it `city_id,service,status`.
    pub(super) group_by: Option<String>,
    /// Only calls of this city's users. A service key for certain cities has to name one.
    pub(super) city_id: Option<String>,
    /// Only calls of this user.
    pub(super) user_id: Option<String>,
    /// Only calls of this service.
    pub(super) service: Option<String>,
    /// Only calls of this action.
    pub(super) action: Option<String>,
    /// Only calls that this model answered.
    pub(super) model_id: Option<String>,
    /// Only calls of this status: `success`, `error` or `canceled`.
    pub(super) status: Option<String>,
    /// Only calls recorded at this time or later.
    pub(super) from: Option<Timestamp>,
    /// Only calls recorded before this time.
    pub(super) to: Option<Timestamp>,
    /// How many groups to return; a bad value means 1,000, one too high 10,000.
    pub(super) limit: LimitParam,
    /// The `next_cursor` of the page before.
    pub(super) cursor: Option<String>,
}

#[derive(Clone, Debug, Default, Deserialize, JsonSchema)]
#[serde(default)]
pub(super) struct MeIn {
    /// Only calls of this service.
    pub(super) service: Option<String>,
    /// Only calls of this action.
    pub(super) action: Option<String>,
    /// Only calls that this model answered.
    pub(super) model_id: Option<String>,
    /// Only calls of this status: `success`, `error` or `canceled`.
    pub(super) status: Option<String>,
    /// Only calls recorded at this time or later.
    pub(super) from: Option<Timestamp>,
    /// Only calls recorded before this time.
    pub(super) to: Option<Timestamp>,
    /// How many calls to return; a bad value means 100, one too high 1,000.
    pub(super) limit: LimitParam,
    /// The `next_cursor` of the page before.
    pub(super) cursor: Option<String>,
}

#[derive(Clone, Debug, Deserialize, JsonSchema)]
pub(super) struct ReceiptIn {
    /// The id of the request, as in the `x-request-id` header of its answer.
    pub(super) request_id: String,
}
