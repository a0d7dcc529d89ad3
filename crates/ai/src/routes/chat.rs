//! `POST /v1/ai/chat/completions`

use std::sync::Arc;

use downcity_core::{Cx, JsonObject, Reply, Result};
use http::HeaderValue;
use http::header::{CACHE_CONTROL, CONTENT_TYPE};
use http_body::Body as _;
use schemars::JsonSchema;
use serde_json::{Map, Value};

use super::surface::{Answered, Surface, passed_headers};
use crate::catalog::CallSettings;
use crate::convert::answer::Completion;
use crate::failure::Failure;
use crate::limits::Patience;
use crate::mask::Rolling;
use crate::metering::tells_output;
use crate::provider::{Content, read_answer};
use crate::service::Ai;
use crate::stream::body::stream_body;
use crate::stream::relay::{Relay, Tap};
use crate::stream::tap::{JsonTap, StreamTap, usage_of};

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
struct PassThrough;

impl Ai {
    pub(crate) async fn chat(
        self: Arc<Self>,
        cx: Cx,
        input: JsonObject<ChatRequest>,
    ) -> Result<Reply> {
        self.converse(&cx, &input.bytes, PassThrough).await
    }
}

impl Surface for PassThrough {
    const RELAYS_ERRORS: bool = true;

    /// Streams and long answers are relayed, short ones are read first.
    async fn answer(self, answered: Answered, settings: &CallSettings) -> Result<Reply> {
        let Answered { response, mut meter, mask, hides_usage, .. } = answered;
        let (parts, body) = response.into_parts();
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
                Tap::Json(JsonTap::default(), Rolling::new(mask))
            }
            Content::Json | Content::Unknown => {
                let bytes = read_answer(body, &settings.limits).await.and_then(|bytes| {
                    meter.first_byte();
                    if is_json_object(&bytes, content) {
                        return Ok(bytes);
                    }
                    Err(Failure::Unreadable("not a JSON object".to_owned()))
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
        let relay = Relay::new(body, tap, patience, meter);
        reply.body = stream_body(relay, &cx, settings.on_disconnect);
        Ok(reply)
    }
}

/// Answers that say they are JSON are believed at their first byte; others are read.
fn is_json_object(bytes: &[u8], content: Content) -> bool {
    let first = bytes.iter().find(|byte| !byte.is_ascii_whitespace());
    first == Some(&b'{')
        && (content == Content::Json
            || serde_json::from_slice::<serde::de::IgnoredAny>(bytes).is_ok())
}
