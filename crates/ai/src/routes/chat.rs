//! `POST /v1/ai/chat/completions`

use std::sync::Arc;

use downcity_core::{Body, Cx, Error, JsonObject, Reply, Result};
use downcity_types::{ErrorCode, Timestamp};
use http::header::{CACHE_CONTROL, CONTENT_TYPE, HeaderName, RETRY_AFTER};
use http::{HeaderMap, HeaderValue, Response};
use http_body::Body as _;
use schemars::JsonSchema;
use serde_json::{Map, Value};

use crate::catalog::CallSettings;
use crate::config::Mode;
use crate::convert::answer::Completion;
use crate::exchange::{ask, run};
use crate::failure::{Failure, Refusal};
use crate::limits::Patience;
use crate::mask::{Mask, Rolling};
use crate::metering::{Meter, tells_output};
use crate::outgoing::Outgoing;
use crate::provider::{Content, read_answer, read_error, retry_after};
use crate::routing::Lane;
use crate::service::Ai;
use crate::stream::body::stream_body;
use crate::stream::relay::{Relay, Tap};
use crate::stream::tap::{JsonTap, StreamTap, usage_of};

/// Whole answers up to this size are read before they are passed on: head and body leave together.
const READ_WHOLE: u64 = 256 * 1024;

static UPSTREAM_REQUEST_ID: HeaderName = HeaderName::from_static("x-upstream-request-id");
/// Names under which providers tell their own request id.
static REQUEST_IDS: [HeaderName; 4] = [
    HeaderName::from_static("x-request-id"),
    HeaderName::from_static("request-id"),
    HeaderName::from_static("x-amzn-requestid"),
    HeaderName::from_static("apim-request-id"),
];

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

impl Ai {
    pub(crate) async fn chat(
        self: Arc<Self>,
        cx: Cx,
        input: JsonObject<ChatRequest>,
    ) -> Result<Reply> {
        let catalog = self.catalog();
        let outgoing =
            Outgoing::read(&input.bytes, |asked| catalog.resolve(asked, Mode::Openai, &cx))?;
        let mut meter = self.begin(&cx, &catalog, Mode::Openai, &outgoing).await?;
        let on_disconnect = catalog.settings.on_disconnect;
        let work = async move {
            let settings = &catalog.settings;
            let (lane, answer) = connect(&mut meter, &outgoing, settings).await;
            let response = answer.map_err(|failure| failed(&meter, lane, failure))?;
            if !response.status().is_success() {
                return refused(response, &meter, lane, settings).await;
            }
            let mask = lane.mask(meter.cx());
            relayed(response, meter, lane.hides_usage(), mask, settings).await
        };
        run(&cx, on_disconnect, work).await
    }
}

/// Asks the model's upstreams; once more where the last of them cannot have looked at the request: no
/// connection could be made, or the provider had closed the one that was kept.
async fn connect<'a>(
    meter: &mut Meter,
    outgoing: &'a Outgoing,
    settings: &CallSettings,
) -> (Lane<'a>, Result<Response<Body>, Failure>) {
    let mut round = ask(meter, outgoing, settings).await;
    if let Err(Failure::Unreachable(_) | Failure::Stale(_)) = round.answer {
        round = ask(meter, outgoing, settings).await;
    }
    (round.lane, round.answer)
}

fn failed(meter: &Meter, lane: Lane<'_>, failure: Failure) -> Error {
    failure.log(meter.cx(), lane.model(), 1);
    failure.into_error()
}

/// An answer of success: streams and long answers are relayed, short ones are read first.
async fn relayed(
    response: Response<Body>,
    mut meter: Meter,
    hide_usage: bool,
    mask: Mask,
    settings: &CallSettings,
) -> Result<Reply> {
    let (parts, body) = response.into_parts();
    let now = meter.cx().runtime().clock().now();
    let mut reply = Reply::new(parts.status);
    reply.headers = passed_headers(&parts.headers, now);
    let content = Content::of(&parts.headers);
    let tap = match content {
        Content::EventStream => {
            reply.headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-cache"));
            reply.headers.insert("x-accel-buffering", HeaderValue::from_static("no"));
            Tap::Stream(StreamTap::new(hide_usage, mask).counting(meter.is_billed()))
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

/// Answers that say they are JSON are believed at their first byte; others are read.
fn is_json_object(bytes: &[u8], content: Content) -> bool {
    let first = bytes.iter().find(|byte| !byte.is_ascii_whitespace());
    first == Some(&b'{')
        && (content == Content::Json
            || serde_json::from_slice::<serde::de::IgnoredAny>(bytes).is_ok())
}

/// Any other answer: a JSON object as it is, anything else as an error of ours. The refusal of our
/// own key is not the caller's matter.
async fn refused(
    response: Response<Body>,
    meter: &Meter,
    lane: Lane<'_>,
    settings: &CallSettings,
) -> Result<Reply> {
    let (parts, body) = response.into_parts();
    let status = parts.status;
    let now = meter.cx().runtime().clock().now();
    let bytes = read_error(body, &settings.limits).await;
    let mask = lane.mask(meter.cx());
    let refusal = Refusal { status, retry_after: retry_after(&parts.headers, now), message: None };
    let is_key_fault = matches!(status.as_u16(), 401 | 403);
    let is_error = status.is_client_error() || status.is_server_error();
    let is_json = serde_json::from_slice::<Map<String, Value>>(&bytes).is_ok();
    if is_json && is_error && !is_key_fault {
        let mut headers = passed_headers(&parts.headers, now);
        headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
        let text = mask.sentence(&String::from_utf8_lossy(&bytes)).into_owned();
        let error = Failure::Refused(refusal).into_error().with_status(status);
        return Err(error.with_relayed(headers, text.into()));
    }
    let error = failed(meter, lane, Failure::Refused(refusal));
    Err(match error.code() {
        ErrorCode::UpstreamAuth => error,
        _ if is_error => error.with_status(status),
        _ => error,
    })
}

/// The headers of a provider's answer that are passed on; all others are the connection's matter.
fn passed_headers(headers: &HeaderMap, now: Timestamp) -> HeaderMap {
    let mut passed = HeaderMap::with_capacity(8);
    if let Some(value) = headers.get(CONTENT_TYPE) {
        passed.insert(CONTENT_TYPE, value.clone());
    }
    if let Some(seconds) = retry_after(headers, now) {
        passed.insert(RETRY_AFTER, HeaderValue::from(seconds));
    }
    if let Some(id) = REQUEST_IDS.iter().find_map(|name| headers.get(name)) {
        passed.insert(&UPSTREAM_REQUEST_ID, id.clone());
    }
    passed
}
