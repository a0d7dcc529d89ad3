//! `POST /v1/ai/chat/completions`

use std::sync::Arc;

use bytes::Bytes;
use downcity_core::{Body, Cx, JsonObject, Reply, Result};
use http::HeaderValue;
use http::header::{CACHE_CONTROL, CONTENT_TYPE};
use schemars::JsonSchema;
use serde_json::{Map, Value};

use super::surface::{Answered, Surface, passed_headers};
use crate::catalog::CallSettings;
use crate::config::Mode;
use crate::convert::answer::Completion;
use crate::limits::Patience;
use crate::mask::Rolling;
use crate::metering::{Meter, tells_output};
use crate::outgoing::Outgoing;
use crate::provider::Content;
use crate::service::Ai;
use crate::stream::body::stream_body;
use crate::stream::relay::{Relay, Tap};
use crate::stream::tap::{JsonTap, StreamTap, usage_of};

/// A chat completion in the form of OpenAI. Fields that are not listed are passed on as well.
#[derive(Clone, Debug, JsonSchema)]
#[schemars(extend("additionalProperties" = true))]
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

    /// Streams and long answers are relayed; short ones were read already.
    async fn answer(self, answered: Answered, settings: &CallSettings) -> Result<Reply> {
        let Answered { response, mut meter, mask, hides_usage, .. } = answered;
        let (parts, body) = response.into_parts();
        let now = meter.cx().runtime().clock().now();
        let mut reply = Reply::new(parts.status);
        reply.headers = passed_headers(&parts.headers, now);
        let tap = if Content::of(&parts.headers) == Content::EventStream {
            reply.headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-cache"));
            reply.headers.insert("x-accel-buffering", HeaderValue::from_static("no"));
            Tap::Stream(StreamTap::new(hides_usage, mask).counting(meter.is_billed()))
        } else {
            reply.headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
            if let Body::Full(bytes) = body {
                note(&bytes, &mut meter);
                reply.body = mask.bytes(bytes).into();
                return Ok(reply);
            }
            Tap::Json(JsonTap::of_chat(), Rolling::new(mask))
        };
        let cx = meter.cx().clone();
        let patience = Patience::new(&settings.limits, cx.elapsed());
        let relay = Relay::new(body, tap, patience, meter);
        reply.body = stream_body(relay, &cx, settings.on_disconnect);
        Ok(reply)
    }
}

/// Closes the account of an answer that is there as a whole.
pub(super) fn note(bytes: &Bytes, meter: &mut Meter) {
    meter.first_byte();
    let usage = usage_of(bytes);
    if meter.is_billed() && !usage.as_ref().is_some_and(tells_output) {
        let completion = Completion::read(bytes);
        meter.produced(completion.map_or(bytes.len() as u64, |read| read.produced()));
    }
    meter.usage(usage);
    meter.close();
}
