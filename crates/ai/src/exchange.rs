//! One call to a provider, with its limits of time and its repetitions.

use std::future::Future;
use std::sync::Arc;
use std::time::Duration;

use downcity_core::{Body, Cx, Error, Result};
use http::Response;
use tokio::time::Instant;

use crate::catalog::CallSettings;
use crate::config::OnDisconnect;
use crate::failure::Failure;
use crate::first_look::first_look;
use crate::limits::CallLimits;
use crate::metering::Meter;
use crate::outgoing::Outgoing;
use crate::provider::succeeded;
use crate::routing::{Lane, Told};

/// What became of asking the upstreams of a model, each once at most.
pub(crate) struct Round<'a> {
    /// Who was asked last.
    pub(crate) lane: Lane<'a>,
    /// What it answered, whatever the status.
    pub(crate) answer: Result<Response<Body>, Failure>,
    /// Whether one of those that were asked before it may answer when it is asked again.
    may_pass: bool,
}

/// Asks the upstreams of a model in order, until one answers with what is no reason to ask the next;
/// resolves when the head of that answer is there, and it looks like one.
pub(crate) async fn ask<'a>(
    meter: &mut Meter,
    outgoing: &'a Outgoing,
    settings: &CallSettings,
) -> Round<'a> {
    let (mut lane, others) = settings.cooling.lanes(meter.cx(), outgoing);
    let mut others = others.into_iter();
    let mut may_pass = false;
    loop {
        let answer = send(meter, lane, &settings.limits).await;
        let cx = meter.cx();
        settings.cooling.note(cx, lane, &answer, &settings.cool_down);
        let is_over = cx.elapsed() >= settings.limits.total;
        let next =
            if is_over || !Told::of(&answer).is_for_the_next() { None } else { others.next() };
        let Some(next) = next else { return Round { lane, answer, may_pass } };
        may_pass |= Told::of(&answer).may_pass();
        tracing::warn!(
            request_id = cx.request_id(),
            provider = lane.model().provider.id,
            key = lane.key(),
            model = lane.model().id,
            outcome = Told::of(&answer).as_str(),
            "an upstream failed; the next one is asked"
        );
        lane = next;
    }
}

/// Asks one upstream once.
async fn send(
    meter: &mut Meter,
    lane: Lane<'_>,
    limits: &CallLimits,
) -> Result<Response<Body>, Failure> {
    meter.sent(lane);
    let cx = meter.cx();
    let first_byte = lane.model().first_byte.unwrap_or(limits.first_byte).min(limits.first_byte);
    let patience = first_byte.min(limits.total.saturating_sub(cx.elapsed()));
    let answer = lane.protocol().ask(cx, lane.asked());
    let mut answer = tokio::time::timeout(patience, answer).await.unwrap_or(Err(Failure::TimedOut));
    if answer.as_ref().is_ok_and(|response| response.status().is_success()) {
        let rest = limits.total.saturating_sub(cx.elapsed());
        let limits = CallLimits { total: rest, ..*limits };
        answer = match answer {
            Ok(response) => first_look(response, lane.outgoing(), &limits).await,
            failed => failed,
        };
    }
    meter.answered(&answer);
    answer
}

/// Asks the upstream that has taken work on how far it is: once, and no other.
pub(crate) async fn look(
    cx: &Cx,
    lane: Lane<'_>,
    limits: &CallLimits,
) -> Result<Response<Body>, Failure> {
    let patience = limits.first_byte.min(limits.total);
    let answer = lane.protocol().ask(cx, lane.asked());
    tokio::time::timeout(patience, answer).await.unwrap_or(Err(Failure::TimedOut))
}

/// Asks the upstreams of a model, and again where that may help, until an answer of success begins.
pub(crate) async fn send_with_retries<'a>(
    meter: &mut Meter,
    outgoing: &'a Outgoing,
    settings: &CallSettings,
) -> Result<(Response<Body>, Lane<'a>), Failure> {
    let cx = &meter.cx().clone();
    let retries = &settings.retries;
    let began = Instant::now();
    let mut backoff = Duration::from_millis(retries.backoff_ms);
    let mut attempt = 1;
    loop {
        let Round { lane, answer, may_pass } = ask(meter, outgoing, settings).await;
        let failure = match answer {
            Ok(response) => {
                let now = cx.runtime().clock().now();
                match succeeded(response, || lane.mask(cx), &settings.limits, now).await {
                    Ok(response) => return Ok((response, lane)),
                    Err(failure) => failure,
                }
            }
            Err(failure) => failure,
        };
        // Where another upstream may answer, nobody waits for the one that was asked last.
        let wait = failure.retry_after().filter(|_| !may_pass).unwrap_or(backoff);
        let in_budget =
            began.elapsed().saturating_add(wait) <= Duration::from_millis(retries.budget_ms);
        if attempt >= retries.attempts || !(may_pass || failure.may_pass()) || !in_budget {
            failure.log(cx, lane.model(), attempt);
            return Err(failure);
        }
        attempt += 1;
        backoff *= 2;
        tokio::time::sleep(wait).await;
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
