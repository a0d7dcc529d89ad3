//! `POST /v1/ai/chat/completions`

use std::sync::Arc;

use bytes::Bytes;
use downcity_core::{Body, Cx, JsonObject, Reply, Result};
use http::HeaderValue;
use http::header::{CACHE_CONTROL, CONTENT_TYPE};
use http_body::Body as _;
use schemars::JsonSchema;
use serde::Deserialize;
use serde::de::IgnoredAny;
use serde_json::{Map, Value};
use tokio::time::Instant;

use super::surface::{Answered, Surface, passed_headers};
use crate::catalog::CallSettings;
use crate::config::Mode;
use crate::convert::answer::Completion;
use crate::failure::Failure;
use crate::limits::{CallLimits, Patience};
use crate::mask::Rolling;
use crate::metering::tells_output;
use crate::outgoing::Outgoing;
use crate::provider::{Content, MAX_ERROR, next_piece, read_answer};
use crate::service::Ai;
use crate::stream::body::stream_body;
use crate::stream::relay::{Relay, Tap};
use crate::stream::tap::{JsonTap, StreamTap, usage_of};

/// How an answer that is an error begins, where it is written without blanks.
const ERROR_BEGINS: &[u8] = b"{\"error\"";
/// Whole answers up to this size are read before they are passed on: head and body leave together.
const READ_WHOLE: u64 = 256 * 1024;

/// A chat completion in the form of OpenAI. Fields that are not listed are passed on as well.
#[derive(Clone, Debug, JsonSchema)]
pub struct ChatRequest {
    /// Id of the model; without it the default model answers.
    pub model: Option<String>,
    /// The conversation so far.
    pub messages: Vec<Map<String, Value>>,
    /// Whether the answer is a stream of events.
    pub stream: Option<bool>,
    /// City of the user; may be left out. It is never passed on.
    pub city_id: Option<String>,
    /// For the trusted side: the user of `city_id` who pays, where its calls are billed. It is never
    /// passed on.
    pub user_id: Option<String>,
}

/// The provider's own bytes, with little left out.
pub(super) struct PassThrough;

impl Ai {
    pub(crate) async fn chat(
        self: Arc<Self>,
        cx: Cx,
        input: JsonObject<ChatRequest>,
    ) -> Result<Reply> {
        let catalog = self.catalog();
        let resolve = |asked: Option<&str>| catalog.resolve(asked, Mode::Openai, &cx);
        let outgoing = Outgoing::read(&input.bytes, resolve)?;
        self.carry(&cx, catalog, Mode::Openai, outgoing, PassThrough).await
    }
}

impl Surface for PassThrough {
    const RELAYS_ERRORS: bool = true;

    /// Streams and long answers are relayed, short ones are read first.
    async fn answer(self, answered: Answered, settings: &CallSettings) -> Result<Reply> {
        let Answered { response, mut meter, mask, hides_usage, .. } = answered;
        let (parts, mut body) = response.into_parts();
        let mut first = None;
        let now = meter.cx().runtime().clock().now();
        let mut reply = Reply::new(parts.status);
        reply.headers = passed_headers(&parts.headers, now);
        let content = Content::of(&parts.headers);
        let tap = match content {
            Content::EventStream => {
                reply.headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-cache"));
                reply.headers.insert("x-accel-buffering", HeaderValue::from_static("no"));
                Tap::Stream(StreamTap::new(hides_usage, mask).counting(meter.is_billed()))
            }
            Content::Json if body.size_hint().upper().is_none_or(|length| length > READ_WHOLE) => {
                let piece = first_piece(&mut body, &settings.limits).await;
                first = Some(piece.map_err(|failure| {
                    meter.failed();
                    failure.into_error()
                })?);
                Tap::Json(JsonTap::default(), Rolling::new(mask))
            }
            Content::Json | Content::Unknown => {
                let bytes = read_answer(body, &settings.limits).await.and_then(|bytes| {
                    meter.first_byte();
                    is_completion(&bytes, content).map(|()| bytes)
                });
                let bytes = bytes.map_err(|failure| {
                    meter.failed();
                    failure.into_error()
                })?;
                let usage = usage_of(&bytes);
                if meter.is_billed() && !usage.as_ref().is_some_and(tells_output) {
                    let completion = Completion::read(&bytes);
                    meter.produced(completion.map_or(bytes.len() as u64, |read| read.produced()));
                }
                meter.usage(usage);
                meter.close();
                reply.headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
                reply.body = mask.bytes(bytes).into();
                return Ok(reply);
            }
        };
        let cx = meter.cx().clone();
        let patience = Patience::new(&settings.limits, cx.elapsed());
        let mut relay = Relay::new(body, tap, patience, meter);
        if let Some(first) = first {
            relay.data(first);
        }
        reply.body = stream_body(relay, &cx, settings.on_disconnect);
        Ok(reply)
    }
}

/// The begin of a long answer, looked at before its head is passed on. It is believed where a JSON
/// object begins, and where only blanks have come, which some providers send while their model
/// works; an error is told as a whole, and is none.
async fn first_piece(body: &mut Body, limits: &CallLimits) -> Result<Bytes, Failure> {
    let end = Instant::now() + limits.total;
    let mut piece = Bytes::new();
    while let Some(next) = next_piece(body, end, limits).await? {
        piece = if piece.is_empty() { next } else { [piece, next].concat().into() };
        let begin = piece.trim_ascii_start();
        let may_be_error = ERROR_BEGINS.starts_with(begin) || begin.starts_with(ERROR_BEGINS);
        if begin.is_empty() || !may_be_error || piece.len() > MAX_ERROR {
            break;
        }
    }
    if piece.trim_ascii_start().first().is_some_and(|byte| *byte != b'{') {
        return Err(Failure::Unreadable("not a JSON object".to_owned()));
    }
    if is_error(&piece) {
        return Err(Failure::Unreadable("an error under a status of success".to_owned()));
    }
    Ok(piece)
}

/// Answers that say they are JSON are believed at their ends; others are read.
fn is_completion(bytes: &[u8], content: Content) -> Result<(), Failure> {
    let whole = bytes.trim_ascii();
    let is_object = whole.starts_with(b"{")
        && whole.ends_with(b"}")
        && std::str::from_utf8(whole).is_ok()
        && (content == Content::Json || serde_json::from_slice::<IgnoredAny>(whole).is_ok());
    let what = match is_object {
        false => "not a JSON object",
        true if is_error(whole) => "an error under a status of success",
        true => return Ok(()),
    };
    Err(Failure::Unreadable(what.to_owned()))
}

/// Whether an answer tells an error and nothing else.
fn is_error(bytes: &[u8]) -> bool {
    #[derive(Deserialize)]
    struct Told {
        error: Option<IgnoredAny>,
        choices: Option<IgnoredAny>,
    }
    memchr::memmem::find(bytes, b"\"error\"").is_some()
        && serde_json::from_slice::<Told>(bytes)
            .is_ok_and(|told| told.error.is_some() && told.choices.is_none())
}
