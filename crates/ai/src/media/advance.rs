//! One step of a job: its work begins at an upstream, or is looked at there.
//!
//! Who takes a step holds the job by a claim that is renewed while the step lasts, so that no other
//! node takes it too, and whose end makes it free when this node is gone.

use std::sync::Arc;
use std::time::Duration;

use downcity_core::{Cx, Error, Metering, Result, Resumed, Runtime};
use downcity_types::{ErrorCode, Timestamp};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use tokio::sync::OwnedSemaphorePermit;
use tokio::task::JoinHandle;

use super::answer::{Outcome, Pending};
use super::end::{Ending, Tries};
use super::keep::Kept;
use super::order::{Order, StateAsk, Terms};
use super::store::{self, GoesOn, MediaJob};
use crate::catalog::Catalog;
use crate::exchange::{look, send_with_retries};
use crate::failure::Failure;
use crate::heavy::heavy;
use crate::metering::Meter;
use crate::provider::succeeded;
use crate::routing::Lane;
use crate::service::Ai;

/// How long a claim lasts, and how often it is renewed meanwhile.
const CLAIM: Duration = Duration::from_secs(60);
const RENEW: Duration = Duration::from_secs(20);
/// How long a worker waits for a step: steps that take longer run on without it.
const WORKER_WAIT: Duration = Duration::from_secs(1);
/// When to look again at a step that is under way.
const UNDER_WAY: Duration = Duration::from_secs(5);
/// When to try again what failed for now, such as a look that met no answer.
const TRY_AGAIN: Duration = Duration::from_secs(15);

/// What is to be done for a job next.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Next {
    /// Nothing: it has ended.
    Ended,
    /// Another step after this time.
    Later(Duration),
}

/// Who works on a job.
#[derive(Clone, Debug, Serialize, Deserialize)]
struct Worker {
    provider: String,
    key: Option<String>,
    upstream_model: String,
}

/// What came of a step.
enum Step {
    Made { kept: Kept, terms: Terms },
    GoesOn { worker: Option<Worker>, pending: Pending },
    TryAgain,
    Failed(Failure),
}

impl Ai {
    /// Takes a step of a job, where one is due, and says when the next one is. A step that takes long
    /// goes on by itself.
    pub(crate) async fn advance(
        self: &Arc<Self>,
        runtime: &Arc<Runtime>,
        job_id: &str,
    ) -> Result<Next> {
        let wanted = job_id.to_owned();
        let Some(job) = runtime.db().read(move |tx| store::find(tx, &wanted)).await? else {
            return Ok(Next::Ended);
        };
        let due_in = job.due_at.millis().saturating_sub(runtime.clock().now().millis());
        if !job.status.is_final() && due_in > 0 && !self.is_overdue(&job, runtime) {
            return Ok(Next::Later(Duration::from_millis(due_in.unsigned_abs())));
        }
        match self.begin_step(runtime, job).await? {
            Begun::Not(next) => Ok(next),
            Begun::Step(step) => match tokio::time::timeout(WORKER_WAIT, step).await {
                Ok(Ok(next)) => next,
                // It was lost with its task, or goes on: its claim tells.
                Ok(Err(_)) | Err(_) => Ok(Next::Later(UNDER_WAY)),
            },
        }
    }

    /// Takes a step of a job now, due or not, and waits for its end.
    pub(crate) async fn advance_now(
        self: &Arc<Self>,
        runtime: &Arc<Runtime>,
        job: MediaJob,
    ) -> Result<()> {
        match self.begin_step(runtime, job).await? {
            Begun::Not(_) => Ok(()),
            Begun::Step(step) => {
                step.await.map_err(Error::internal)??;
                Ok(())
            }
        }
    }

    async fn begin_step(self: &Arc<Self>, runtime: &Arc<Runtime>, job: MediaJob) -> Result<Begun> {
        if job.status.is_final() {
            return Ok(Begun::Not(Next::Ended));
        }
        if let Some(next) = self.end_if_gone(runtime, &job).await? {
            return Ok(Begun::Not(next));
        }
        if self.is_overdue(&job, runtime) {
            self.end_overdue(runtime, &job).await?;
            return Ok(Begun::Not(Next::Ended));
        }
        let now = runtime.clock().now();
        let left = job.claimed_until.millis().saturating_sub(now.millis());
        if left > 0 {
            let left = Duration::from_millis(left.unsigned_abs());
            return Ok(Begun::Not(Next::Later(left.min(UNDER_WAY))));
        }
        let catalog = self.catalog();
        let Ok(slot) = catalog.take_slot() else {
            return Ok(Begun::Not(Next::Later(WORKER_WAIT)));
        };
        let (job_id, seen, until) = (job.job_id.clone(), job.claim, now.saturating_add(CLAIM));
        let claimed =
            runtime.db().write(move |tx| store::claim(tx, &job_id, seen, now, until)).await?;
        let Some(claim) = claimed else { return Ok(Begun::Not(Next::Later(UNDER_WAY))) };
        let (ai, node) = (self.clone(), runtime.clone());
        let step = runtime.tasks().spawn(async move {
            let job_id = job.job_id.clone();
            tokio::select! {
                next = ai.step(&node, &catalog, job, claim, slot) => next,
                // Somebody else has it, or it has ended: what is under way here is cancelled.
                () = claim_lost(&node, &job_id, claim) => Ok(Next::Later(UNDER_WAY)),
            }
        });
        Ok(Begun::Step(step))
    }

    async fn step(
        self: &Arc<Self>,
        runtime: &Arc<Runtime>,
        catalog: &Catalog,
        job: MediaJob,
        claim: i64,
        slot: Option<OwnedSemaphorePermit>,
    ) -> Result<Next> {
        let cx = resumed(runtime, &job)?;
        let taken = match &job.upstream_id {
            None => begin(&cx, catalog, &job, slot).await?,
            Some(id) => poll(&cx, catalog, &job, id).await?,
        };
        let ending = match taken {
            Step::Made { kept, terms } => Ending::made(&cx, &job, terms, kept),
            Step::Failed(failure) => Ending::failed(failure),
            Step::TryAgain => return goes_on(self, &cx, &job, claim, None, TRY_AGAIN).await,
            Step::GoesOn { worker, pending } => {
                let wait = pending.wait();
                let known = worker.map(|worker| (worker, pending.id));
                return goes_on(self, &cx, &job, claim, known, wait).await;
            }
        };
        self.end_job(&cx, &job, Some(claim), ending).await?;
        Ok(Next::Ended)
    }

    /// Ends a job that nobody can go on with, as its city or its action is gone, and says when to
    /// look again; `None` for any other job.
    pub(crate) async fn end_if_gone(
        self: &Arc<Self>,
        runtime: &Arc<Runtime>,
        job: &MediaJob,
    ) -> Result<Option<Next>> {
        let Some(gone) = gone(runtime, job) else { return Ok(None) };
        // Nodes of another release may know the action, and have the time of the job for it.
        if matches!(gone, Gone::Action) && !self.is_overdue(job, runtime) {
            return Ok(Some(Next::Later(TRY_AGAIN)));
        }
        let has_ended = self.end_gone(runtime, job, gone).await?;
        Ok(Some(if has_ended { Next::Ended } else { Next::Later(UNDER_WAY) }))
    }

    /// Whether a job has taken longer than any may.
    pub(crate) fn is_overdue(&self, job: &MediaJob, runtime: &Runtime) -> bool {
        let end = job.created_at.saturating_add(self.catalog().settings.max_pending);
        runtime.clock().now() >= end
    }

    /// Ends a job that has taken too long. No upstream is asked.
    pub(crate) async fn end_overdue(
        self: &Arc<Self>,
        runtime: &Arc<Runtime>,
        job: &MediaJob,
    ) -> Result<()> {
        let most = self.catalog().settings.max_pending.as_millis();
        let most = u64::try_from(most).unwrap_or(u64::MAX);
        let facts = json!({
            "timeout_reason": super::end::TIMED_OUT, "max_pending_duration_ms": most,
        });
        let cx = resumed(runtime, job)?;
        self.end_job(&cx, job, None, Ending::timed_out(facts)).await
    }
}

/// Whether a step was begun.
enum Begun {
    Not(Next),
    Step(JoinHandle<Result<Next>>),
}

/// What is missing of the call that ordered a job.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Gone {
    /// Its city was removed, also where another one has the id since.
    City,
    /// This node does not know its action.
    Action,
}

fn gone(runtime: &Runtime, job: &MediaJob) -> Option<Gone> {
    if let Some(city_id) = &job.city_id {
        let city = runtime.snapshot().city(city_id).cloned();
        if city.is_none_or(|city| city.created_at > job.created_at) {
            return Some(Gone::City);
        }
    }
    let mut actions = runtime.registry().actions();
    let is_known =
        actions.any(|action| action.service_id() == "ai" && action.id() == job.action_id);
    (!is_known).then_some(Gone::Action)
}

/// The call that ordered the job.
fn resumed(runtime: &Arc<Runtime>, job: &MediaJob) -> Result<Cx> {
    let owner = job.city_id.clone().zip(job.user_id.clone());
    let named = [("city_id", &job.city_id), ("user_id", &job.user_id)].into_iter();
    let named = named.filter_map(|(name, id)| Some((name.to_owned(), id.as_deref()?.into())));
    let metering: Metering = serde_json::from_str(&job.metering).unwrap_or_default();
    Cx::resume(
        runtime,
        Resumed {
            service_id: "ai".to_owned(),
            action_id: job.action_id.clone(),
            request_id: job.request_id.clone(),
            user: owner.filter(|_| job.is_by_user),
            metering,
            input: named.collect(),
            started_at: job.created_at,
        },
    )
}

/// What is to be made, as JSON; `None` where the job has ended meanwhile.
async fn input_of(cx: &Cx, job: &MediaJob) -> Result<Option<String>> {
    let job_id = job.job_id.clone();
    cx.runtime().db().read(move |tx| store::input(tx, &job_id)).await
}

/// Asks the upstreams of the model for the work. One whose answer or files are none has not answered:
/// the next one is asked.
async fn begin(
    cx: &Cx,
    catalog: &Catalog,
    job: &MediaJob,
    slot: Option<OwnedSemaphorePermit>,
) -> Result<Step> {
    let model = match catalog.resolve(Some(&job.model_id), job.mode, cx) {
        Ok(model) => model,
        // Its key may come back.
        Err(error) if error.code() == ErrorCode::MissingConfig => return Ok(Step::TryAgain),
        Err(error) => return Ok(Step::Failed(Failure::Ours(error))),
    };
    let Some(input) = input_of(cx, job).await? else { return Ok(Step::TryAgain) };
    let (job_id, asked) = (job.job_id.clone(), model.clone());
    let outgoing = heavy(input.len(), move || {
        let order: Order = serde_json::from_str(&input).map_err(Error::internal)?;
        // Orders of an older release may hold an id of the client's in its place.
        let order = Order { job_id, ..order };
        Ok((order.outgoing(&asked)?, order.terms()))
    });
    let (mut outgoing, terms) = match outgoing.await? {
        Ok(outgoing) => outgoing,
        Err(error) => return Ok(Step::Failed(Failure::Ours(error))),
    };
    let settings = &catalog.settings;
    let mut meter = Meter::begin(cx, &model, job.mode, slot);
    loop {
        let asked = async {
            let (response, lane) = send_with_retries(&mut meter, &outgoing, settings).await?;
            Ok((Outcome::read(response, lane.mask(cx), &settings.limits).await, lane))
        };
        let asked = tokio::time::timeout(settings.limits.total, asked).await;
        let (failure, place) = match asked.unwrap_or(Err(Failure::TimedOut)) {
            Ok((outcome, lane)) => {
                let kept = match outcome {
                    Ok(Outcome::Made(answer)) => Kept::of(cx, catalog, job.mode, answer).await,
                    Ok(Outcome::Pending(pending)) => {
                        return Ok(Step::GoesOn { worker: Some(Worker::of(lane)), pending });
                    }
                    Err(failure) => Err(failure),
                };
                match kept {
                    Ok(kept) => return Ok(Step::Made { kept, terms }),
                    Err(failure) => {
                        failure.log(cx, lane.model(), 1);
                        (failure, Some(lane.place(&outgoing)))
                    }
                }
            }
            Err(failure) => (failure, None),
        };
        let is_none = matches!(failure, Failure::BadFile(_) | Failure::Unreadable(_));
        let place = place.filter(|_| is_none);
        meter.spoiled(&failure);
        match place.and_then(|place| outgoing.after(place)) {
            Some(next) => outgoing = next,
            None => {
                meter.failed();
                return Ok(Step::Failed(failure));
            }
        }
    }
}

impl Worker {
    fn of(lane: Lane<'_>) -> Self {
        Self {
            provider: lane.model().provider.id.clone(),
            key: lane.key().map(str::to_owned),
            upstream_model: lane.model().upstream_model.clone(),
        }
    }

    fn is(&self, lane: Lane<'_>) -> bool {
        lane.model().provider.id == self.provider
            && lane.key() == self.key.as_deref()
            && lane.model().upstream_model == self.upstream_model
    }
}

/// Asks the upstream that works on it how far it is. What may pass is asked again until the job has
/// taken too long.
async fn poll(cx: &Cx, catalog: &Catalog, job: &MediaJob, id: &str) -> Result<Step> {
    let worker = job.upstream.as_deref().and_then(|text| serde_json::from_str(text).ok());
    let Some::<Worker>(worker) = worker else { return Ok(Step::TryAgain) };
    // What the configuration no longer has may come back with its next change.
    let Some(model) = catalog.find(&job.model_id) else { return Ok(Step::TryAgain) };
    let outgoing = match StateAsk::outgoing(job.mode, id, &job.job_id, model) {
        Ok(outgoing) => outgoing,
        Err(error) => return Ok(Step::Failed(Failure::Ours(error))),
    };
    let Some(lane) = Lane::find(&outgoing, |lane| worker.is(lane)) else {
        return Ok(Step::TryAgain);
    };
    cx.meter(|metering| metering.request_count = metering.request_count.map(|count| count + 1));
    let limits = &catalog.settings.limits;
    let asked = async {
        let response = look(cx, lane, limits).await?;
        let now = cx.runtime().clock().now();
        let response = succeeded(response, || lane.mask(cx), limits, now).await?;
        Outcome::read(response, lane.mask(cx), limits).await
    };
    let kept = match asked.await {
        Ok(Outcome::Made(answer)) => Kept::of(cx, catalog, job.mode, answer).await,
        Ok(Outcome::Pending(pending)) => {
            return Ok(Step::GoesOn { worker: Some(worker), pending });
        }
        Err(failure) => Err(failure),
    };
    match kept {
        Ok(kept) => {
            let Some(input) = input_of(cx, job).await? else { return Ok(Step::TryAgain) };
            let terms = heavy(input.len(), move || serde_json::from_str(&input)).await?;
            Ok(Step::Made { kept, terms: terms.map_err(Error::internal)? })
        }
        Err(failure) => {
            failure.log(cx, lane.model(), 1);
            Ok(if is_final(&failure) { Step::Failed(failure) } else { Step::TryAgain })
        }
    }
}

/// Whether a look that failed says that the work did.
fn is_final(failure: &Failure) -> bool {
    match failure {
        Failure::Told(_) | Failure::BadFile(_) => true,
        Failure::Refused(refusal) => {
            let status = refusal.status;
            status.is_client_error()
                && !matches!(status.as_u16(), 401 | 403 | 408 | 409 | 425 | 429)
        }
        _ => false,
    }
}

/// Stores how far a job is, and lets go of it.
async fn goes_on(
    ai: &Ai,
    cx: &Cx,
    job: &MediaJob,
    claim: i64,
    known: Option<(Worker, String)>,
    wait: Duration,
) -> Result<Next> {
    let now = cx.runtime().clock().now();
    let (upstream, upstream_id) = match known {
        Some((worker, id)) => (serde_json::to_string(&worker).ok(), Some(id)),
        None => (job.upstream.clone(), job.upstream_id.clone()),
    };
    let goes_on = GoesOn {
        upstream,
        upstream_id,
        metering: written(&cx.metering()),
        wait_ms: i64::try_from(wait.as_millis()).unwrap_or(i64::MAX),
        now,
        due_at: now.saturating_add(wait),
    };
    // What the upstream's id is lost of is ordered again.
    let mut tries = Tries::default();
    let released = loop {
        let (job_id, goes_on) = (job.job_id.clone(), goes_on.clone());
        let write =
            move |tx: &mut downcity_db::Tx<'_>| store::release(tx, &job_id, claim, &goes_on);
        match cx.runtime().db().write(write).await {
            Ok(released) => break released,
            Err(error) => tries.again(ai, cx.runtime(), job, true, error).await?,
        }
    };
    // A job that was taken away is looked at by whoever has it.
    Ok(Next::Later(if released { wait } else { UNDER_WAY }))
}

/// The metering as it is stored.
pub(super) fn written(metering: &Metering) -> String {
    serde_json::to_string(metering)
        .unwrap_or_else(|_| Value::Object(Default::default()).to_string())
}

/// Renews a claim; resolves when it is lost.
async fn claim_lost(runtime: &Arc<Runtime>, job_id: &str, claim: i64) {
    loop {
        tokio::time::sleep(RENEW).await;
        let until: Timestamp = runtime.clock().now().saturating_add(CLAIM);
        let wanted = job_id.to_owned();
        match runtime.db().write(move |tx| store::renew(tx, &wanted, claim, until)).await {
            Ok(true) => {}
            Ok(false) => return,
            Err(error) => tracing::warn!(job_id, %error, "could not renew the claim of a job"),
        }
    }
}
