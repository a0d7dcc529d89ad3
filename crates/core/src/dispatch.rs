//! From a request to an answer: the one way every call goes.
//!
//! limit of the address → identify → limits of the caller → authorise → read and decode →
//! city match → `before` hooks → handler → `after` hooks.

use std::panic::AssertUnwindSafe;
use std::sync::{Arc, Mutex, OnceLock};
use std::time::Instant;

use bytes::{Bytes, BytesMut};
use downcity_types::{AnthropicError, ErrorCode, OpenAiError};
use futures_util::FutureExt as _;
use http::header::{ALLOW, CONTENT_ENCODING, CONTENT_TYPE, HeaderName};
use http::request::Parts;
use http::{HeaderMap, HeaderValue, Method, Request, Response, StatusCode};
use http_body_util::BodyExt as _;
use percent_encoding::percent_decode_str;

use crate::action::{Action, ErrorShape, InputKind};
use crate::call::{AnyInput, Call, ClientAddress, Cx, Locals, lock};
use crate::decode::{InputSource, PathParams};
use crate::dialect::{self, Speech};
use crate::fact::Ending;
use crate::finish::{self, End, FinishBody, Unmatched};
use crate::form;
use crate::hook::Outcome;
use crate::limits::Pass;
use crate::registry::Found;
use crate::runtime::Counted;
use crate::tenant::Tenants;
use crate::{Body, Dialect, Error, GuestReason, Hook, Identity, Reply, Result, Runtime};

static X_REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");
/// The name of the same in the Messages API of Anthropic.
static REQUEST_ID: HeaderName = HeaderName::from_static("request-id");

/// Answers one request. Never fails and never panics: every failure is an answer.
pub(crate) async fn handle(runtime: &Arc<Runtime>, request: Request<Body>) -> Response<Body> {
    let (mut parts, body) = request.into_parts();
    let stated = Dialect::stated(dialect::unmount(&mut parts.uri), &parts.headers);
    let found = find(runtime, &parts, stated.as_ref().ok().copied().flatten());
    let (limited, shape) = match &found {
        Found::Action(action, ..) => (action.limited, action.errors),
        Found::WrongMethod(_) | Found::Nothing => {
            (true, runtime.registry().shape_around(parts.uri.path()))
        }
    };
    let limited = limited && parts.extensions.get::<Counted>().is_none();
    let mut pass = Pass::new(runtime, ClientAddress::of(&parts.extensions), limited);
    if let Err(refused) = pass.enter(runtime.limiter()) {
        return reply(runtime, &Unmatched::of(&parts), shape, Err(refused));
    }
    let stated = match stated {
        Ok(stated) => stated,
        Err(error) => return reply(runtime, &Unmatched::of(&parts), shape, Err(error)),
    };
    let mut response = match found {
        Found::Action(action, params, family) => {
            let (action, speech) = (action.clone(), Speech::new(stated, family));
            act(runtime, action, speech, params, parts, body, &mut pass).await
        }
        Found::WrongMethod(allow) => {
            let allowed = other_methods(&parts.method, &allow);
            reply(runtime, &Unmatched::of(&parts), shape, allowed)
        }
        Found::Nothing => {
            let nothing = Err(not_found(runtime, parts.uri.path()));
            reply(runtime, &Unmatched::of(&parts), shape, nothing)
        }
    };
    pass.sign(response.headers_mut());
    response
}

/// Answers a request of an action.
async fn act(
    runtime: &Arc<Runtime>,
    action: Arc<Action>,
    mut speech: Speech,
    params: PathParams,
    parts: Parts,
    body: Body,
    pass: &mut Pass,
) -> Response<Body> {
    let request_id = runtime.next_request_id();
    let shape = action.errors;
    let work = async {
        crate::env::look(runtime).await;
        let call = Call {
            runtime: runtime.clone(),
            request_id: request_id.clone(),
            identity: runtime.identify_at(action.credential, &parts.headers),
            input: InputSource::with_params(params),
            speech,
            raw_body: Mutex::new(body),
            started: Instant::now(),
            started_at: pass.arrived_at(),
            locals: Locals::default(),
            metering: Mutex::default(),
            ending: Ending::default(),
            served_city: OnceLock::new(),
            own_env: OnceLock::new(),
            city_env: Mutex::default(),
            parts,
            action,
        };
        serve(call, pass, &mut speech).await
    };
    let reply = match AssertUnwindSafe(work).catch_unwind().await {
        Ok(reply) => reply,
        Err(panic) => Err(panicked(&*panic)),
    };
    if let Err(error) = &reply {
        log_failure(&request_id, error);
    }
    respond(&request_id, shape, speech.words, reply)
}

/// An answer that no action gave, with a request id of its own; counted and logged.
pub(crate) fn reply(
    runtime: &Runtime,
    request: &Unmatched<'_>,
    shape: ErrorShape,
    reply: Result<Reply>,
) -> Response<Body> {
    let request_id = runtime.next_request_id();
    let end = match &reply {
        Ok(reply) => End::of(reply),
        Err(error) => End::failed(error),
    };
    request.record(runtime, &request_id, end);
    respond(&request_id, shape, Dialect::City, reply)
}

fn find<'a>(runtime: &'a Runtime, parts: &Parts, stated: Option<Dialect>) -> Found<'a> {
    let path = parts.uri.path();
    if !path.contains('%') {
        return runtime.registry().find(&parts.method, path, stated);
    }
    match percent_decode_str(path).decode_utf8() {
        Ok(path) => runtime.registry().find(&parts.method, &path, stated),
        Err(_) => Found::Nothing,
    }
}

/// What a path answers to methods that it does not have.
fn other_methods(method: &Method, allow: &str) -> Result<Reply> {
    let header = HeaderValue::from_str(allow).map_err(Error::internal)?;
    if method == Method::OPTIONS {
        return Ok(Reply::new(StatusCode::NO_CONTENT).with_header(ALLOW, header));
    }
    let message = format!("{method} is not answered here; use {allow}.");
    Err(Error::new(ErrorCode::MethodNotAllowed, message).with_header(ALLOW, header))
}

fn not_found(runtime: &Runtime, path: &str) -> Error {
    if runtime.registry().is_of_openai(path) {
        let message = "This part of the API of OpenAI is not offered by this Federation; \
                       GET /openapi.json lists every route.";
        return Error::new(ErrorCode::NotFound, message);
    }
    Error::new(ErrorCode::NotFound, "There is nothing at this address.")
        .with_fix("GET /v1/services lists the services, GET /openapi.json every route.")
}

/// Runs a call. `speech` is told how the answer is to speak, also when the call fails.
async fn serve(call: Call, pass: &mut Pass, speech: &mut Speech) -> Result<Reply> {
    let (cx, input) = Preparing(Some(call)).run(pass, speech).await?;
    let runtime = cx.runtime.clone();
    let limit = cx.action.timeout.or(runtime.settings().request_timeout);
    let detached = cx.action.detached;
    let mut left = Left((!detached).then(|| cx.clone()));
    let work = complete(cx.clone(), input);
    let work = async {
        if detached {
            runtime
                .tasks()
                .spawn(work)
                .await
                .unwrap_or_else(|stopped| Err(Error::internal(stopped)))
        } else {
            work.await
        }
    };
    let ended = match limit {
        None => work.await,
        Some(limit) => match tokio::time::timeout(limit, work).await {
            Ok(reply) => reply,
            Err(_) => {
                let error = Error::new(
                    ErrorCode::Unavailable,
                    format!("The answer took longer than {} s.", limit.as_secs_f32()),
                );
                // Detached work goes on and ends its call itself.
                Err(if detached { error } else { fail(&cx, error).await })
            }
        },
    };
    left.0 = None;
    ended
}

/// Counts a call whose client left before the answer began; the handler is dropped then.
struct Left(Option<Cx>);

impl Drop for Left {
    fn drop(&mut self) {
        if let Some(cx) = self.0.take() {
            finish::record(&cx, End::left());
        }
    }
}

/// The same while the call is prepared, such as while its body arrives.
struct Preparing(Option<Call>);

impl Drop for Preparing {
    fn drop(&mut self) {
        if let Some(call) = self.0.take() {
            finish::record(&Cx(Arc::new(call)), End::left());
        }
    }
}

impl Preparing {
    /// The call with its input, or with what is wrong with it.
    async fn run(mut self, pass: &mut Pass, speech: &mut Speech) -> Result<(Cx, AnyInput)> {
        let Some(call) = self.0.as_mut() else {
            return Err(Error::internal("a call is prepared once"));
        };
        let prepared = AssertUnwindSafe(prepare(call, pass)).catch_unwind().await;
        let prepared = prepared.unwrap_or_else(|panic| Err(panicked(&*panic)));
        let Some(call) = self.0.take() else {
            return Err(Error::internal("a call is prepared once"));
        };
        *speech = call.speech;
        let cx = Cx(Arc::new(call));
        match prepared {
            Ok(input) => Ok((cx, input)),
            Err(error) => {
                let mut left = Left(Some(cx.clone()));
                let error = fail(&cx, error).await;
                left.0 = None;
                Err(error)
            }
        }
    }
}

/// Everything before the handler: nothing has been changed yet when this fails.
async fn prepare(call: &mut Call, pass: &mut Pass) -> Result<AnyInput> {
    pass.identified(call.runtime.limiter(), &call.identity)?;
    authorise(call)?;
    let action = call.action.clone();
    if let InputKind::Raw = action.input {
        return action.handler.decode(call);
    }
    read_input(call).await?;
    unite_names(call)?;
    let mut input = action.handler.decode(call)?;
    match_city(call)?;
    if action.hooks.is_empty() {
        return Ok(input);
    }
    for hook in &action.hooks {
        hook.before(call).await?;
    }
    if call.input.is_changed() {
        input = action.handler.decode(call)?;
    }
    Ok(input)
}

/// From here on the tenant field is called `city_id`, whoever calls.
fn unite_names(call: &mut Call) -> Result<()> {
    let snapshot = call.runtime.snapshot();
    let is_new = call.action.makes_city;
    let tenants = Tenants {
        all_names: call.action.builtin || call.speech.is_older(),
        stored_as: &|id| if is_new { None } else { snapshot.first_city_for(id) },
    };
    if let Some(words) = tenants.unite(&mut call.input)? {
        call.speech.hear(words);
    }
    Ok(())
}

async fn read_input(call: &mut Call) -> Result<()> {
    if matches!(call.parts.method, Method::GET | Method::HEAD) {
        call.input.query = Some(call.parts.uri.query().unwrap_or_default().into());
        return Ok(());
    }
    check_encoding(&call.parts.headers)?;
    let limit = call.action.body_limit.unwrap_or(call.runtime.settings().body_limit);
    let body = std::mem::take(&mut *lock(&call.raw_body));
    let read = read_body(body, limit);
    call.input.body = match call.runtime.settings().body_timeout {
        None => read.await?,
        Some(patience) => tokio::time::timeout(patience, read).await.unwrap_or_else(|_| {
            Err(Error::new(ErrorCode::RequestTimeout, "The body did not arrive in time."))
        })?,
    };
    if call.action.takes_forms
        && let Some(boundary) = form::boundary(&call.parts.headers)
    {
        let form = form::read(&call.input.body, &boundary)?;
        call.input.body = form.fields_json()?;
        call.input.files = form.files;
    }
    Ok(())
}

/// Bodies are read as they are: nothing is unpacked.
fn check_encoding(headers: &HeaderMap) -> Result<()> {
    let is_plain =
        |value: &HeaderValue| value.as_bytes().trim_ascii().eq_ignore_ascii_case(b"identity");
    if headers.get_all(CONTENT_ENCODING).iter().all(is_plain) {
        return Ok(());
    }
    let message = "A packed body is not read; send it without Content-Encoding.";
    Err(Error::new(ErrorCode::UnsupportedMediaType, message))
}

/// Bodies below this are copied: about what a connection reads at once.
const SMALL_BODY: usize = 8 * 1024;

/// Reads a whole body of at most `limit` bytes.
pub(crate) async fn read_body(body: Body, limit: usize) -> Result<Bytes> {
    let too_large = || {
        Error::new(ErrorCode::PayloadTooLarge, format!("The body is larger than {limit} bytes."))
    };
    match body {
        Body::Empty => Ok(Bytes::new()),
        Body::Full(bytes) if bytes.len() > limit => Err(too_large()),
        Body::Full(bytes) => Ok(bytes),
        Body::Stream(stream) if http_body::Body::size_hint(&stream).lower() > limit as u64 => {
            Err(too_large())
        }
        Body::Stream(mut stream) => {
            // Many bodies are one piece, which is taken as it is.
            let mut first = Bytes::new();
            let mut whole = BytesMut::new();
            while let Some(frame) = stream.frame().await {
                let frame = frame
                    .map_err(|_| Error::new(ErrorCode::InvalidInput, "The body broke off."))?;
                let Ok(piece) = frame.into_data() else { continue };
                if first.len() + whole.len() + piece.len() > limit {
                    return Err(too_large());
                }
                if first.is_empty() && whole.is_empty() {
                    first = piece;
                } else {
                    whole.extend_from_slice(&std::mem::take(&mut first));
                    whole.extend_from_slice(&piece);
                }
            }
            Ok(match first.len() {
                0 => whole.freeze(),
                // A small piece is part of the connection's buffer, which a long call would keep.
                length if length < SMALL_BODY => Bytes::copy_from_slice(&first),
                _ => first,
            })
        }
    }
}

/// Checks the caller against what the action declares, and a service key against the action.
fn authorise(call: &mut Call) -> Result<()> {
    call.identity.authorise(call.action.access)?;
    match call.identity.service_key() {
        Some(key) => {
            key.note_use(call.started_at);
            let checked = key.check_action(&call.action);
            within_scope(call, checked)
        }
        None => Ok(()),
    }
}

/// What follows for a service key from a check of its scope. On an action open to guests, a key
/// that does not cover the call is no key, like any bad credential.
fn within_scope(call: &mut Call, checked: Result<()>) -> Result<()> {
    if checked.is_err() && call.action.access.is_public() {
        call.identity = Identity::Guest(GuestReason::OutOfScope);
        return Ok(());
    }
    checked
}

/// A user may only name the city of the token, a service key only cities that it lists. Actions
/// open to guests take any.
fn match_city(call: &mut Call) -> Result<()> {
    match &call.identity {
        Identity::User(user) if !call.action.access.is_public() => match call.input.city_id()? {
            Some(id) if *id != user.city.city_id => Err(Error::new(
                ErrorCode::CityMismatch,
                "city_id is not the city of this user_token.",
            )
            .with_fix("Leave city_id out, or send the city that the token was issued for.")),
            _ => Ok(()),
        },
        Identity::Service(key) if key.is_limited_to_cities() => {
            let checked = key.check_city(call.input.city_id()?.as_deref());
            within_scope(call, checked)
        }
        _ => Ok(()),
    }
}

/// Handler and `after` hooks.
async fn complete(cx: Cx, input: AnyInput) -> Result<Reply> {
    let work = AssertUnwindSafe(cx.action.handler.run(cx.clone(), input)).catch_unwind();
    let reply = match work.await.unwrap_or_else(|panic| Err(panicked(&*panic))) {
        Ok(reply) => reply,
        Err(error) => return Err(fail(&cx, error).await),
    };
    if reply.body.is_stream() {
        return Ok(FinishBody::wrap(cx, reply));
    }
    if cx.action.hooks.is_empty() {
        finish::record(&cx, End::of(&reply));
        return Ok(reply);
    }
    let mut outcome = Outcome { reply, complete: true };
    match run_after(&cx, &mut outcome).await {
        Ok(()) => {
            finish::record(&cx, End::of(&outcome.reply));
            Ok(outcome.reply)
        }
        Err(error) => Err(fail(&cx, error).await),
    }
}

/// Runs the `after` hooks from the innermost level outwards, each level in order of registration.
///
/// Returns the failure of a critical hook; other failures are logged and counted.
pub(crate) async fn run_after(call: &Call, outcome: &mut Outcome) -> Result<()> {
    let mut critical = Ok(());
    for hook in inside_out(&call.action) {
        let ran = AssertUnwindSafe(hook.after(call, outcome)).catch_unwind().await;
        if let Err(error) = ran.unwrap_or_else(|panic| Err(panicked(&*panic))) {
            metrics::counter!("downcity_after_hook_failures_total").increment(1);
            tracing::error!(request_id = %call.request_id, action = ?call.action, error = %chain(&error), "after hook failed");
            if hook.is_critical() && critical.is_ok() {
                critical = Err(error);
            }
        }
    }
    critical
}

async fn fail(cx: &Cx, error: Error) -> Error {
    for hook in inside_out(&cx.action) {
        if AssertUnwindSafe(hook.on_error(cx, &error)).catch_unwind().await.is_err() {
            tracing::error!(request_id = %cx.request_id, action = ?cx.action, "error hook panicked");
        }
    }
    let error = error.for_caller(cx.identity.is_trusted());
    let error = dialect::named_tenant(cx.words(), &cx.input, error);
    finish::record(cx, End::failed(&error));
    error
}

fn inside_out(action: &Action) -> impl Iterator<Item = &Arc<dyn Hook>> {
    let [global, service] = action.hook_levels;
    let (outer, own) = action.hooks.split_at(service);
    let (global, service) = outer.split_at(global);
    own.iter().chain(service).chain(global)
}

fn panicked(panic: &(dyn std::any::Any + Send)) -> Error {
    metrics::counter!("downcity_panics_total").increment(1);
    // A text that was put together may hold what a caller sent; one that stands in the source not.
    match panic.downcast_ref::<&'static str>() {
        Some(text) => Error::internal(format!("panicked: {text}")),
        None => Error::internal("panicked"),
    }
}

/// The whole chain of causes, for the log.
fn chain(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut next = error.source();
    while let Some(cause) = next {
        text.push_str(": ");
        text.push_str(&cause.to_string());
        next = cause.source();
    }
    text
}

fn log_failure(request_id: &str, error: &Error) {
    if error.status().is_server_error() {
        tracing::error!(%request_id, code = error.code().as_str(), error = %chain(error), "request failed");
    }
}

fn respond(
    request_id: &Arc<str>,
    shape: ErrorShape,
    words: Dialect,
    reply: Result<Reply>,
) -> Response<Body> {
    let reply = match reply {
        Ok(reply) => finish::in_words(words, reply),
        Err(error) => error_reply(request_id, shape, words, &error),
    };
    let mut response = Response::new(reply.body);
    *response.status_mut() = reply.status;
    *response.headers_mut() = reply.headers;
    if let Ok(value) = HeaderValue::from_str(request_id) {
        if shape == ErrorShape::Anthropic {
            response.headers_mut().insert(&REQUEST_ID, value.clone());
        }
        response.headers_mut().insert(&X_REQUEST_ID, value);
    }
    response
}

fn error_reply(request_id: &str, shape: ErrorShape, words: Dialect, error: &Error) -> Reply {
    if let Some((headers, body)) = error.relayed() {
        let body = body.clone().into();
        return Reply { status: error.status(), headers: headers.clone(), body };
    }
    let mut body = error.body(request_id);
    if words != Dialect::City {
        dialect::reword(words, &mut body);
    }
    let code = dialect::code_in_words(words, body.code);
    let body = match shape {
        ErrorShape::Standard => dialect::with_code(&body, code),
        ErrorShape::OpenAi => dialect::with_code(&OpenAiError::from(body), code),
        ErrorShape::Anthropic => {
            dialect::with_code(&AnthropicError::of(body, error.status().as_u16()), code)
        }
    };
    let mut reply = Reply::new(error.status());
    reply.body = body.into();
    reply.headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
    for (name, value) in error.headers() {
        reply.headers.insert(name, value.clone());
    }
    reply
}
