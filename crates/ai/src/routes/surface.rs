//! One call of a surface: a chat request to the model's upstreams, and the answer on its way back.
//!
//! The model's choice, the hold, the routing, the account of the call, the masking of keys and the
//! ways a call can break off are the same whatever form the caller speaks. A [`Surface`] says only
//! how an answer of success is written; most do so as a [`Translation`].

use std::sync::Arc;

use bytes::Bytes;
use downcity_core::{Body, Cx, Error, Reply, Result, Sse};
use downcity_types::{ErrorCode, Timestamp};
use http::header::{CONTENT_TYPE, HeaderName, RETRY_AFTER};
use http::{HeaderMap, HeaderValue, Response, StatusCode};
use serde_json::Value;

use crate::catalog::{CallSettings, Catalog};
use crate::config::Mode;
use crate::convert::answer::Completion;
use crate::exchange::{ask, run};
use crate::failure::{Failure, Refusal, error_text};
use crate::mask::Mask;
use crate::metering::Meter;
use crate::outgoing::Outgoing;
use crate::provider::{read_answer, read_error, retry_after};
use crate::routing::Lane;
use crate::service::Ai;
use crate::stream::body::stream_body;
use crate::stream::encoded::EncodedStream;
use crate::stream::encoder::{Encoder, Sink};

static UPSTREAM_REQUEST_ID: HeaderName = HeaderName::from_static("x-upstream-request-id");
/// Names under which providers tell their own request id.
static REQUEST_IDS: [HeaderName; 4] = [
    HeaderName::from_static("x-request-id"),
    HeaderName::from_static("request-id"),
    HeaderName::from_static("x-amzn-requestid"),
    HeaderName::from_static("apim-request-id"),
];

/// An answer of success, from its head on.
pub(crate) struct Answered {
    pub(crate) response: Response<Body>,
    pub(crate) meter: Meter,
    /// Hides the provider's key in what is passed on.
    pub(crate) mask: Mask,
    /// Whether the usage of a stream was asked for on our own account.
    pub(crate) hides_usage: bool,
    /// The id under which the caller knows the model.
    pub(crate) model: String,
}

/// A form in which callers speak to models.
pub(crate) trait Surface: Send + 'static {
    /// Whether a provider's error in the form of OpenAI reaches the caller as it is, completed where
    /// it lacks one of its four keys. Otherwise its words do, in an error of ours with the
    /// provider's status.
    const RELAYS_ERRORS: bool;

    /// Writes an answer of success.
    fn answer(
        self,
        answered: Answered,
        settings: &CallSettings,
    ) -> impl Future<Output = Result<Reply>> + Send;
}

/// A form that chat completions are translated to.
pub(crate) trait Translation: Send + Sync + 'static {
    /// As [`Surface::RELAYS_ERRORS`].
    const RELAYS_ERRORS: bool;

    /// What writes streamed answers.
    type Sink: Sink;

    /// Whether the caller wants a stream.
    fn is_stream(&self) -> bool;

    /// What writes the answer of this model as a stream.
    fn sink(self, cx: &Cx, model: String) -> Self::Sink;

    /// Writes the answer of this model as a whole.
    ///
    /// # Errors
    /// Those of writing JSON.
    fn whole(self, cx: &Cx, model: String, completion: Completion) -> Result<Bytes>;
}

/// The surface of a translation.
pub(crate) struct Translated<T>(pub(crate) T);

impl Ai {
    /// Runs a request that is ready to be sent for a surface, until its answer begins.
    ///
    /// # Errors
    /// Those of the caller's wallet and of the providers.
    pub(crate) async fn carry<S: Surface>(
        &self,
        cx: &Cx,
        catalog: Arc<Catalog>,
        mode: Mode,
        outgoing: Outgoing,
        surface: S,
    ) -> Result<Reply> {
        let mut meter = self.begin(cx, &catalog, mode, &outgoing).await?;
        let on_disconnect = catalog.settings.on_disconnect;
        let work = async move {
            let settings = &catalog.settings;
            let (lane, answer) = connect(&mut meter, &outgoing, settings).await;
            let response = answer.map_err(|failure| failed(&meter, lane, failure))?;
            if !response.status().is_success() {
                return Err(refused(response, &meter, lane, settings, S::RELAYS_ERRORS).await);
            }
            let mask = lane.mask(meter.cx());
            let (hides_usage, model) = (lane.hides_usage(), outgoing.model.id.clone());
            let answered = Answered { response, meter, mask, hides_usage, model };
            surface.answer(answered, settings).await
        };
        run(cx, on_disconnect, work).await
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

/// Any other answer, which the caller sees in the provider's words. What is about our own key or
/// configuration is not the caller's matter.
async fn refused(
    response: Response<Body>,
    meter: &Meter,
    lane: Lane<'_>,
    settings: &CallSettings,
    relays: bool,
) -> Error {
    let (parts, body) = response.into_parts();
    let status = parts.status;
    let now = meter.cx().runtime().clock().now();
    let bytes = read_error(body, &settings.limits).await;
    let mask = lane.mask(meter.cx());
    let mut refusal =
        Refusal { status, retry_after: retry_after(&parts.headers, now), message: None };
    let is_the_callers =
        (status.is_client_error() || status.is_server_error()) && !refusal.is_about_us();
    let said = serde_json::from_slice::<Value>(&bytes).ok();
    if let Some(mut said) = said.filter(|said| is_the_callers && said.is_object()) {
        if relays && let Some(is_changed) = complete(&mut said, refusal.code()) {
            let mut headers = passed_headers(&parts.headers, now);
            headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
            let text = match is_changed {
                true => said.to_string().into(),
                false => String::from_utf8_lossy(&bytes),
            };
            let text = mask.sentence(&text).into_owned();
            let error = Failure::Refused(refusal).into_error().with_status(status);
            return error.with_relayed(headers, text.into());
        }
        refusal.message = error_text(&said, &mask);
    }
    let error = failed(meter, lane, Failure::Refused(refusal));
    if is_the_callers { error.with_status(status) } else { error }
}

/// Adds those of an error's four keys that a provider left out, and says whether it did; `None` where
/// the error is not in the form of OpenAI.
fn complete(said: &mut Value, code: ErrorCode) -> Option<bool> {
    let error = said.get_mut("error")?.as_object_mut()?;
    error.get("message")?.as_str()?;
    let whole = error.len();
    for (name, value) in [
        ("type", Value::from(code.openai_type())),
        ("param", Value::Null),
        ("code", Value::from(code.as_str())),
    ] {
        error.entry(name).or_insert(value);
    }
    Some(error.len() > whole)
}

/// The headers of a provider's answer that are passed on; all others are the connection's matter.
pub(crate) fn passed_headers(headers: &HeaderMap, now: Timestamp) -> HeaderMap {
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

impl<T: Translation> Surface for Translated<T> {
    const RELAYS_ERRORS: bool = T::RELAYS_ERRORS;

    async fn answer(self, answered: Answered, settings: &CallSettings) -> Result<Reply> {
        let Answered { response, mut meter, mask, model, .. } = answered;
        let (parts, body) = response.into_parts();
        let cx = meter.cx().clone();
        let mut headers = passed_headers(&parts.headers, cx.runtime().clock().now());
        headers.remove(CONTENT_TYPE);
        let mut reply = if self.0.is_stream() {
            let encoder = Encoder::new(self.0.sink(&cx, model), mask);
            let stream = EncodedStream::new(body, encoder, &settings.limits, meter);
            Reply::from(Sse(stream_body(stream, &cx, settings.on_disconnect)))
        } else {
            let bytes = read_answer(body, &settings.limits).await;
            meter.first_byte();
            let completion = closed(&mut meter, bytes)?;
            let mut reply = Reply::new(StatusCode::OK);
            headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
            reply.body = mask.bytes(self.0.whole(&cx, model, completion)?).into();
            reply
        };
        reply.headers.extend(headers);
        Ok(reply)
    }
}

/// Reads a whole answer and closes the account of its call.
///
/// # Errors
/// Those of an answer that could not be had, or is no chat completion.
pub(super) fn closed(meter: &mut Meter, answer: Result<Bytes, Failure>) -> Result<Completion> {
    let completion = answer.and_then(|bytes| Completion::read(&bytes)).map_err(|failure| {
        meter.failed();
        failure.into_error()
    })?;
    meter.usage(completion.usage.clone());
    meter.produced(completion.produced());
    meter.close();
    Ok(completion)
}
