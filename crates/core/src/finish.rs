//! The end of a call: metrics, and what follows a streamed body.

use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::Bytes;
use http::StatusCode;
use http_body::{Frame, SizeHint};

use crate::action::Action;
use crate::hook::Outcome;
use crate::{Body, BoxError, Call, Reply};

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
    pub(crate) fn register(action: &Action) -> Self {
        let name = format!("{action:?}");
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

/// Counts and logs a finished call.
pub(crate) fn record(call: &Call, status: StatusCode) {
    let elapsed = call.elapsed();
    call.action.metrics.record(status, elapsed);
    tracing::info!(
        target: "downcity::access",
        request_id = %call.request_id,
        action = ?call.action,
        status = status.as_u16(),
        identity = call.identity.kind(),
        key_id = call.identity.service_key().map(|key| key.id()),
        duration_us = u64::try_from(elapsed.as_micros()).unwrap_or(u64::MAX),
        "request"
    );
}

/// A streamed body that settles its call when it ends, or when its client leaves.
pub(crate) struct FinishBody {
    inner: Body,
    /// Taken once, when the body ends.
    end: Option<(Arc<Call>, StatusCode)>,
}

impl FinishBody {
    /// Wraps a streamed reply so that metrics and `after` hooks follow its last byte.
    pub(crate) fn wrap(call: Arc<Call>, mut reply: Reply) -> Reply {
        let inner = std::mem::take(&mut reply.body);
        let body = Self { inner, end: Some((call, reply.status)) };
        reply.body = Body::Stream(Box::pin(body));
        reply
    }

    fn finish(&mut self, complete: bool) {
        let Some((call, status)) = self.end.take() else { return };
        // Without a runtime the process is about to end, or a program drops the body outside of
        // its own: there is nothing for hooks to run on.
        if call.action.hooks.is_empty() || tokio::runtime::Handle::try_current().is_err() {
            record(&call, status);
            return;
        }
        let tasks = call.runtime.tasks().clone();
        tasks.spawn(async move {
            let mut outcome = Outcome { reply: Reply::new(status), complete };
            // The answer is delivered: a failing hook can only be logged.
            let _ = crate::dispatch::run_after(&call, &mut outcome).await;
            record(&call, status);
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
            Some(Err(_)) => self.finish(false),
            Some(Ok(_)) => {}
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
