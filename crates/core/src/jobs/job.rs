//! Kinds of jobs.

use std::ops::Deref;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use downcity_types::Timestamp;
use futures_util::future::BoxFuture;
use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::{Error, Result, Runtime};

/// A kind of durable work.
#[async_trait]
pub trait Job: Send + Sync + 'static {
    /// The name in the `jobs` table; never changed once rows exist.
    const KIND: &'static str;

    /// What the work is about; stored as JSON.
    type Payload: Serialize + DeserializeOwned + Send + 'static;

    /// How often and how long it is tried.
    fn policy(&self) -> JobPolicy {
        JobPolicy::default()
    }

    /// Does the work.
    ///
    /// # Errors
    /// An error is tried again with backoff until the policy's attempts are used up; for faults
    /// that do not go away return [`JobEnd::Failed`].
    async fn run(&self, cx: JobCx, payload: Self::Payload) -> Result<JobEnd>;
}

/// How a run ended.
#[derive(Debug)]
pub enum JobEnd {
    /// The work is done.
    Done,
    /// All is well, but there is more to do: look again after this time. Not counted as an attempt.
    Again(Duration),
    /// It cannot be done; the reason is kept.
    Failed(Error),
}

/// How often and how long a job is tried.
#[derive(Clone, Copy, Debug)]
pub struct JobPolicy {
    /// Runs that may fail before the job is given up.
    pub max_attempts: u32,
    /// The longest run; a lease lasts this long.
    pub lease: Duration,
    /// The wait after the first failure; doubled after each further one.
    pub backoff: Duration,
    /// The longest wait between two runs.
    pub max_backoff: Duration,
    /// Whether operators may give it up. Not where something else waits for its end: money that is
    /// held, or a row of its own.
    pub cancelable: bool,
}

impl Default for JobPolicy {
    fn default() -> Self {
        Self {
            max_attempts: 10,
            lease: Duration::from_secs(60),
            backoff: Duration::from_secs(1),
            max_backoff: Duration::from_secs(600),
            cancelable: true,
        }
    }
}

impl JobPolicy {
    /// The wait after this many failed runs.
    pub(crate) fn wait(&self, failed: u32) -> Duration {
        let doublings = failed.saturating_sub(1).min(20);
        self.backoff.saturating_mul(1 << doublings).min(self.max_backoff)
    }
}

/// What holds a job: its id and the fencing token of the claim.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Lease {
    /// The job.
    pub job_id: String,
    /// Grows with every claim; an older one can change nothing.
    pub token: i64,
}

/// What a running job can reach.
#[derive(Clone)]
pub struct JobCx {
    pub(crate) runtime: Arc<Runtime>,
    pub(crate) lease: Lease,
    pub(crate) attempt: u32,
    pub(crate) city_id: Option<String>,
    pub(crate) user_id: Option<String>,
}

impl JobCx {
    /// The claim, for [`finish`](super::finish) in the job's own transaction.
    pub fn lease(&self) -> &Lease {
        &self.lease
    }

    /// Which attempt this is, from 1.
    pub fn attempt(&self) -> u32 {
        self.attempt
    }

    /// The city that the job belongs to.
    pub fn city_id(&self) -> Option<&str> {
        self.city_id.as_deref()
    }

    /// The user that the job belongs to.
    pub fn user_id(&self) -> Option<&str> {
        self.user_id.as_deref()
    }
}

impl Deref for JobCx {
    type Target = Arc<Runtime>;

    fn deref(&self) -> &Arc<Runtime> {
        &self.runtime
    }
}

/// A job that is not yet stored. It is made before the transaction that enqueues it.
#[derive(Clone, Debug)]
pub struct NewJob {
    pub(crate) job_id: String,
    pub(crate) kind: &'static str,
    pub(crate) payload: String,
    pub(crate) now: Timestamp,
    pub(crate) due_at: Timestamp,
    pub(crate) idempotency_key: Option<String>,
    pub(crate) city_id: Option<String>,
    pub(crate) user_id: Option<String>,
}

impl NewJob {
    /// A job that is due at once.
    ///
    /// # Errors
    /// When the payload cannot be written as JSON.
    pub fn new<J: Job>(runtime: &Runtime, payload: &J::Payload) -> Result<Self> {
        let now = runtime.clock().now();
        Ok(Self {
            job_id: runtime.ids().sortable("job_"),
            kind: J::KIND,
            payload: serde_json::to_string(payload).map_err(Error::internal)?,
            now,
            due_at: now,
            idempotency_key: None,
            city_id: None,
            user_id: None,
        })
    }

    /// The id that the job will have.
    pub fn job_id(&self) -> &str {
        &self.job_id
    }

    /// Runs it after this time.
    #[must_use]
    pub fn after(mut self, wait: Duration) -> Self {
        self.due_at = self.now.saturating_add(wait);
        self
    }

    /// At most one job of its kind has this key; further ones are not stored.
    #[must_use]
    pub fn key(mut self, key: impl Into<String>) -> Self {
        self.idempotency_key = Some(key.into());
        self
    }

    /// Whom the job belongs to.
    #[must_use]
    pub fn owner(mut self, city_id: Option<String>, user_id: Option<String>) -> Self {
        self.city_id = city_id;
        self.user_id = user_id;
        self
    }
}

type Run = dyn Fn(JobCx, String) -> BoxFuture<'static, Result<JobEnd>> + Send + Sync;

/// A kind of job with its types erased.
pub(crate) struct JobRegistration {
    kind: &'static str,
    pub(crate) policy: JobPolicy,
    pub(crate) run: Box<Run>,
}

impl JobRegistration {
    pub(crate) fn new<J: Job>(job: J) -> Self {
        let policy = job.policy();
        let job = Arc::new(job);
        let run = move |cx: JobCx, payload: String| -> BoxFuture<'static, Result<JobEnd>> {
            let job = job.clone();
            Box::pin(async move {
                match serde_json::from_str(&payload) {
                    Ok(payload) => job.run(cx, payload).await,
                    // A payload that no longer reads does not get better by waiting.
                    Err(error) => Ok(JobEnd::Failed(Error::internal(error))),
                }
            })
        };
        Self { kind: J::KIND, policy, run: Box::new(run) }
    }

    pub(crate) fn kind(&self) -> &'static str {
        self.kind
    }
}
