//! The end of a call: metrics, and what follows a streamed body.

use std::pin::Pin;
use std::sync::LazyLock;
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::Bytes;
use downcity_types::ErrorCode;
use http::header::CONTENT_TYPE;
use http::request::Parts;
use http::{Extensions, HeaderMap, Method, StatusCode};
use http_body::{Frame, SizeHint};

use crate::fact::{self, CLIENT_LEFT, Ended};
use crate::hook::Outcome;
use crate::observe::{Finished, method_name};
use crate::{Body, BoxError, Call, ClientAddress, Cx, Dialect, Error, Reply, Runtime, tenant};

/// Handles of an action's metrics, looked up once at start.
pub(crate) struct ActionMetrics {
    by_class: [metrics::Counter; 5],
    seconds: metrics::Histogram,
}

impl Default for ActionMetrics {
    fn default() -> Self {
        Self {
            by_class: std::array::from_fn(|_| metrics::Counter::noop()),
            seconds: metrics::Histogram::noop(),
        }
    }
}

impl ActionMetrics {
    /// Handles for a name of which there are few: an action, or `none`.
    pub(crate) fn register(action: &str) -> Self {
        let name = action.to_owned();
        Self {
            by_class: std::array::from_fn(|class| {
                metrics::counter!(
                    "downcity_requests_total",
                    "action" => name.clone(),
                    "status" => format!("{}xx", class + 1)
                )
            }),
            seconds: metrics::histogram!("downcity_request_seconds", "action" => name.clone()),
        }
    }

    /// Counts one finished call.
    pub(crate) fn record(&self, status: StatusCode, elapsed: Duration) {
        if let Some(counter) = self.by_class.get(usize::from(status.as_u16() / 100).wrapping_sub(1))
        {
            counter.increment(1);
        }
        self.seconds.record(elapsed.as_secs_f64());
    }
}

/// How a call ended, as far as it is counted and logged.
#[derive(Clone, Copy)]
pub(crate) struct End<'a> {
    pub(crate) status: StatusCode,
    pub(crate) code: Option<ErrorCode>,
    /// The sentence of the error.
    message: Option<&'a str>,
    pub(crate) bytes: Option<u64>,
    /// Whether the whole answer was handed to the transport.
    complete: bool,
    streamed: bool,
}

impl<'a> End<'a> {
    /// The end of a call that is answered with this status.
    pub(crate) fn status(status: StatusCode) -> Self {
        Self { status, code: None, message: None, bytes: None, complete: true, streamed: false }
    }

    /// The end of a call that is answered with this.
    pub(crate) fn of(reply: &Reply) -> Self {
        let bytes = http_body::Body::size_hint(&reply.body).exact();
        Self { bytes, ..Self::status(reply.status) }
    }

    /// The end of a call that failed.
    pub(crate) fn failed(error: &'a Error) -> Self {
        let (code, message) = (Some(error.code()), Some(error.message()));
        Self { code, message, ..Self::status(error.status()) }
    }

    /// The end of a call whose client left before its answer began.
    pub(crate) fn left() -> Self {
        static LEFT: LazyLock<StatusCode> =
            LazyLock::new(|| StatusCode::from_u16(CLIENT_LEFT).unwrap_or(StatusCode::BAD_REQUEST));
        Self { complete: false, ..Self::status(*LEFT) }
    }
}

/// An answer in the words of a dialect. Streams and what is no JSON stay as they are.
pub(crate) fn in_words(words: Dialect, mut reply: Reply) -> Reply {
    if words == Dialect::City {
        return reply;
    }
    let is_json = reply
        .headers
        .get(CONTENT_TYPE)
        .is_some_and(|value| value.as_bytes().starts_with(b"application/json"));
    if let Body::Full(bytes) = &reply.body
        && is_json
        && let Some(renamed) = tenant::rename(words, bytes)
    {
        reply.body = renamed.into();
    }
    reply
}

/// Counts and logs a finished call, and has its recorders told.
pub(crate) fn record(cx: &Cx, end: End<'_>) {
    let call: &Call = cx;
    let elapsed = call.elapsed();
    call.action.metrics.record(end.status, elapsed);
    let finished = Finished {
        request_id: &call.request_id,
        method: method_name(&call.parts.method),
        route: Some(&call.action.path),
        status: end.status,
        code: end.code,
        identity: Some(call.identity.kind()),
        key_id: call.identity.service_key().map(|key| key.id()),
        city_id: call.city().map(|city| city.city_id.as_str()),
        client: call.client_address(),
        bytes: end.bytes,
        started_at: call.started_at,
        elapsed,
        headers: &call.parts.headers,
    };
    tell(&call.runtime, &finished);
    fact::ended(cx, || Ended {
        status: end.status,
        code: end.code,
        message: end.message.map(str::to_owned),
        complete: end.complete,
        streamed: end.streamed,
        at: call.runtime.clock().now(),
    });
}

/// A request for which no action was found or looked for, or that was refused before it got to one.
pub(crate) struct Unmatched<'a> {
    pub(crate) method: &'a Method,
    pub(crate) headers: &'a HeaderMap,
    pub(crate) extensions: &'a Extensions,
}

impl<'a> Unmatched<'a> {
    pub(crate) fn of(parts: &'a Parts) -> Self {
        Self { method: &parts.method, headers: &parts.headers, extensions: &parts.extensions }
    }

    /// Counts and logs it.
    pub(crate) fn record(&self, runtime: &Runtime, request_id: &str, end: End<'_>) {
        // It is answered as soon as its head was read.
        let elapsed = Duration::ZERO;
        runtime.registry().unmatched().record(end.status, elapsed);
        let finished = Finished {
            request_id,
            method: method_name(self.method),
            route: None,
            status: end.status,
            code: end.code,
            identity: None,
            key_id: None,
            city_id: None,
            client: ClientAddress::of(self.extensions),
            bytes: end.bytes,
            started_at: runtime.clock().now(),
            elapsed,
            headers: self.headers,
        };
        tell(runtime, &finished);
    }
}

fn tell(runtime: &Runtime, finished: &Finished<'_>) {
    finished.log();
    if let Some(observer) = &runtime.observer {
        observer.finished(finished);
    }
}

/// A streamed body that settles its call when it ends, or when its client leaves.
pub(crate) struct FinishBody {
    inner: Body,
    /// Taken once, when the body ends.
    end: Option<(Cx, StatusCode)>,
    bytes: u64,
}

impl FinishBody {
    /// Wraps a streamed reply so that metrics and `after` hooks follow its last byte.
    pub(crate) fn wrap(cx: Cx, mut reply: Reply) -> Reply {
        let inner = std::mem::take(&mut reply.body);
        let body = Self { inner, end: Some((cx, reply.status)), bytes: 0 };
        reply.body = Body::Stream(Box::pin(body));
        reply
    }

    fn finish(&mut self, complete: bool) {
        let Some((cx, status)) = self.end.take() else { return };
        let end = End {
            code: cx.broken_code(),
            bytes: Some(self.bytes),
            complete,
            streamed: true,
            ..End::status(status)
        };
        // Without a runtime the process is about to end, or a program drops the body outside of
        // its own: there is nothing for hooks to run on.
        if cx.action.hooks.is_empty() || tokio::runtime::Handle::try_current().is_err() {
            record(&cx, end);
            return;
        }
        let tasks = cx.runtime.tasks().clone();
        tasks.spawn(async move {
            let mut outcome = Outcome { reply: Reply::new(status), complete };
            // The answer is delivered: a failing hook can only be logged.
            let _ = crate::dispatch::run_after(&cx, &mut outcome).await;
            record(&cx, end);
        });
    }
}

impl http_body::Body for FinishBody {
    type Data = Bytes;
    type Error = BoxError;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, BoxError>>> {
        let frame = std::task::ready!(Pin::new(&mut self.inner).poll_frame(cx));
        match &frame {
            None => self.finish(true),
            Some(Err(_)) => {
                if let Some((cx, _)) = &self.end {
                    // The source of the stream may have said so itself, and why.
                    cx.broke_off(ErrorCode::Internal, "The answer broke off.");
                }
                self.finish(false);
            }
            Some(Ok(frame)) => {
                self.bytes += frame.data_ref().map_or(0, |data| data.len() as u64);
            }
        }
        Poll::Ready(frame)
    }

    fn is_end_stream(&self) -> bool {
        self.inner.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.inner.size_hint()
    }
}

impl Drop for FinishBody {
    fn drop(&mut self) {
        let complete = http_body::Body::is_end_stream(&self.inner);
        // What the body settles when it goes comes before the hooks that read it.
        drop(std::mem::take(&mut self.inner));
        self.finish(complete);
    }
}
