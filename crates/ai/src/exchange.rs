//! One call to a provider, with its limits of time and its repetitions.

use std::future::Future;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use downcity_core::{Body, Cx, Error, Result};
use http::Response;
use tokio::time::Instant;

use crate::catalog::{CallSettings, Model};
use crate::config::OnDisconnect;
use crate::failure::Failure;
use crate::limits::CallLimits;
use crate::metering::Meter;
use crate::provider::succeeded;

/// Sends a request once; resolves when the head of the answer is there, whatever its status.
pub(crate) async fn send(
    meter: &mut Meter,
    model: &Model,
    body: Bytes,
    limits: &CallLimits,
) -> Result<Response<Body>, Failure> {
    meter.sent();
    let cx = meter.cx();
    let patience = limits.first_byte.min(limits.total.saturating_sub(cx.elapsed()));
    let answer = model.provider.protocol.chat(cx, body);
    let answer = tokio::time::timeout(patience, answer).await.unwrap_or(Err(Failure::TimedOut));
    if answer.as_ref().map_or(true, |response| !response.status().is_success()) {
        meter.failed();
    }
    answer
}

/// Sends a request, and again where that may help, until a provider's answer of success begins.
pub(crate) async fn send_with_retries(
    meter: &mut Meter,
    model: &Model,
    body: Bytes,
    settings: &CallSettings,
) -> Result<Response<Body>, Failure> {
    let cx = &meter.cx().clone();
    let retries = &settings.retries;
    let began = Instant::now();
    let mut backoff = Duration::from_millis(retries.backoff_ms);
    let mut attempt = 1;
    loop {
        let failure = match send(meter, model, body.clone(), &settings.limits).await {
            Ok(response) => {
                let now = cx.runtime().clock().now();
                let mask = || model.provider.protocol.mask(cx);
                match succeeded(response, mask, &settings.limits, now).await {
                    Ok(response) => return Ok(response),
                    Err(failure) => failure,
                }
            }
            Err(failure) => failure,
        };
        let wait = failure.retry_after().unwrap_or(backoff);
        let in_budget =
            began.elapsed().saturating_add(wait) <= Duration::from_millis(retries.budget_ms);
        if attempt >= retries.attempts || !failure.may_pass() || !in_budget {
            failure.log(cx, model, attempt);
            return Err(failure);
        }
        attempt += 1;
        backoff *= 2;
        tokio::time::sleep(wait).await;
        meter.retried();
    }
}

/// Runs a call: to its end, or until its client leaves.
pub(crate) async fn run<T, F>(cx: &Cx, on_disconnect: OnDisconnect, work: F) -> Result<T>
where
    T: Send + 'static,
    F: Future<Output = Result<T>> + Send + 'static,
{
    match on_disconnect {
        OnDisconnect::Cancel => work.await,
        OnDisconnect::Finish => {
            let task = Arc::clone(cx.runtime()).tasks().spawn(work);
            task.await.unwrap_or_else(|stopped| Err(Error::internal(stopped)))
        }
    }
}
