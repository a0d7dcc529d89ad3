//! Workers: look for due jobs, claim, run, let go.

use std::panic::AssertUnwindSafe;
use std::sync::Arc;
use std::time::Duration;

use futures_util::FutureExt as _;
use tokio::sync::Semaphore;

use super::job::{JobCx, JobEnd, JobPolicy, Lease};
use super::store::{self, JobRow, Release};
use crate::{Error, Result, Runtime};

/// How often a node looks for jobs that other nodes or the clock made due.
const LOOK_EVERY: Duration = Duration::from_secs(1);

/// How many due jobs of a kind one look takes.
const BATCH: i64 = 32;

/// Starts the workers of this node: one loop that looks, and as many runs at once as configured.
pub(crate) fn start_workers(runtime: &Arc<Runtime>) {
    let workers = runtime.settings().job_workers;
    if workers == 0 {
        return;
    }
    let tasks = runtime.tasks().clone();
    tasks.spawn_until_stopped(look_for_jobs(runtime.clone(), Arc::new(Semaphore::new(workers))));
    tasks.spawn_until_stopped(super::sweep::sweep_regularly(runtime.clone()));
}

async fn look_for_jobs(runtime: Arc<Runtime>, free: Arc<Semaphore>) {
    loop {
        match due(&runtime).await {
            Ok(jobs) if jobs.is_empty() => {
                let woken = runtime.jobs_wanted.notified();
                let _ = tokio::time::timeout(LOOK_EVERY, woken).await;
            }
            Ok(jobs) => {
                for job in jobs {
                    let Ok(permit) = free.clone().acquire_owned().await else { return };
                    let runner = runtime.clone();
                    match claim(&runtime, &job).await {
                        Ok(Some(lease)) => {
                            runtime.tasks().spawn(async move {
                                run(&runner, job, lease).await;
                                drop(permit);
                            });
                        }
                        Ok(None) => {}
                        Err(error) => {
                            // The same jobs are found again at once: not in a hot loop.
                            tracing::warn!(%error, "could not claim a job; trying again");
                            tokio::time::sleep(LOOK_EVERY).await;
                            break;
                        }
                    }
                }
            }
            Err(error) => {
                tracing::warn!(%error, "could not look for jobs; trying again");
                tokio::time::sleep(LOOK_EVERY).await;
            }
        }
    }
}

/// Runs every job that is due, one after the other, and says how many ran: what a test calls in
/// place of workers.
///
/// # Errors
/// Those of the database.
pub async fn run_due(runtime: &Arc<Runtime>) -> Result<usize> {
    let mut count = 0;
    loop {
        let jobs = due(runtime).await?;
        if jobs.is_empty() {
            return Ok(count);
        }
        for job in jobs {
            if let Some(lease) = claim(runtime, &job).await? {
                run(runtime, job, lease).await;
                count += 1;
            }
        }
    }
}

/// A look is a read: an idle node writes nothing. Only kinds that this binary knows are taken.
async fn due(runtime: &Arc<Runtime>) -> Result<Vec<JobRow>> {
    let now = runtime.clock().now();
    let kinds: Vec<&'static str> = runtime.registry().jobs().keys().copied().collect();
    if kinds.is_empty() {
        return Ok(Vec::new());
    }
    runtime
        .db()
        .scan(move |tx| {
            let mut jobs = Vec::new();
            for kind in &kinds {
                jobs.append(&mut store::list_due(tx, kind, now, BATCH)?);
            }
            jobs.sort_by_key(|job| job.due_at);
            Ok(jobs)
        })
        .await
}

pub(super) fn policy(runtime: &Runtime, kind: &str) -> JobPolicy {
    runtime.registry().jobs().get(kind).map(|job| job.policy).unwrap_or_default()
}

async fn claim(runtime: &Arc<Runtime>, job: &JobRow) -> Result<Option<Lease>> {
    let now = runtime.clock().now();
    let ends = now.saturating_add(policy(runtime, &job.kind).lease);
    let seen = job.clone();
    runtime.db().write(move |tx| store::claim(tx, &seen, now, ends)).await
}

async fn run(runtime: &Arc<Runtime>, job: JobRow, lease: Lease) {
    let Some(registration) = runtime.registry().jobs().get(job.kind.as_str()) else { return };
    let attempt = job.attempts.saturating_add(1);
    let cx = JobCx {
        runtime: runtime.clone(),
        lease: lease.clone(),
        attempt,
        city_id: job.city_id,
        user_id: job.user_id,
    };
    let policy = registration.policy;
    // A run that takes its node down never lets go of its job: its attempts are counted by claims.
    let end = if attempt > policy.max_attempts {
        Err(Error::internal("none of its runs came to an end"))
    } else {
        let work = AssertUnwindSafe((registration.run)(cx, job.payload)).catch_unwind();
        match tokio::time::timeout(policy.lease, work).await {
            Ok(Ok(end)) => end,
            Ok(Err(_panic)) => Err(Error::internal("the job panicked")),
            Err(_elapsed) => Err(Error::internal("the run took longer than its lease")),
        }
    };
    let now = runtime.clock().now();
    let release = match end {
        Ok(JobEnd::Done) => Release::Done,
        Ok(JobEnd::Again(wait)) => Release::Again(now.saturating_add(wait)),
        Ok(JobEnd::Failed(error)) => Release::Dead(told(&job.kind, &error)),
        Err(error) if attempt >= policy.max_attempts => Release::Dead(told(&job.kind, &error)),
        Err(error) => {
            let due_at = now.saturating_add(policy.wait(attempt));
            Release::Retry(due_at, told(&job.kind, &error))
        }
    };
    // When this write fails the lease runs out and the job is due again: nothing is lost.
    let released =
        runtime.db().write(move |tx| store::release(tx, &lease, release.clone(), now)).await;
    if let Err(error) = released {
        tracing::warn!(%error, job = %job.job_id, "could not let go of a job; its lease will end");
    }
}

/// Logs the whole failure; what is stored is the part fit for people.
fn told(kind: &str, error: &Error) -> String {
    tracing::warn!(kind, code = error.code().as_str(), error = ?error, "a job failed");
    format!("{} ({})", error.message(), error.code().as_str())
}
