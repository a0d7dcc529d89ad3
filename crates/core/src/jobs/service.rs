//! `/v1/jobs/*`: what the durable work of the Federation is doing, for its operators.

use std::sync::Arc;

use downcity_db::Tx;
use downcity_types::{Cursor, ErrorCode, Items, LimitParam, Page, Timestamp};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::store::{self, JobRow, JobStatus};
use super::worker::policy;
use crate::audit::{Target, Trail};
use crate::{ADMIN, Cx, Error, Result, Service, ServiceDef};

/// What the audit trail calls a job.
const TARGET: &str = "job";
/// Jobs on a page, unless fewer are asked for.
const PAGE: u32 = 100;
/// The most on a page.
const MOST: u32 = 500;
/// What is kept as the reason of a job that was canceled.
const CANCELED: &str = "canceled by an operator";

/// The service `jobs`.
pub struct JobsService;

/// A job as operators see it. What it is about is not shown: it may hold what users said.
#[derive(Clone, Debug, Serialize, JsonSchema)]
pub struct JobRecord {
    /// The id.
    pub job_id: String,
    /// The kind of work, such as `ai.settle`.
    pub kind: String,
    /// `queued`, `running`, `done`, or `dead`: given up.
    pub status: &'static str,
    /// When it is due; for a running job the end of its lease.
    pub due_at: Timestamp,
    /// How often it was tried since it last went well.
    pub attempts: u32,
    /// Why the last try failed.
    pub last_error: Option<String>,
    /// The city that it belongs to.
    pub city_id: Option<String>,
    /// The user that it belongs to.
    pub user_id: Option<String>,
    /// When it was enqueued.
    pub created_at: Timestamp,
    /// When it last changed.
    pub updated_at: Timestamp,
}

#[derive(Deserialize, JsonSchema)]
struct JobsIn {
    /// Only jobs of this status: `queued`, `running`, `done` or `dead`.
    #[serde(default)]
    status: Option<JobStatus>,
    /// Only jobs of this kind.
    #[serde(default)]
    kind: Option<String>,
    /// How many records at most, 1 to 500.
    #[serde(default)]
    limit: LimitParam,
    /// The `next_cursor` of the page before.
    #[serde(default)]
    cursor: Option<String>,
}

#[derive(Deserialize, JsonSchema)]
struct JobIn {
    /// The job.
    job_id: String,
}

impl Service for JobsService {
    fn id(&self) -> &'static str {
        "jobs"
    }

    fn name(&self) -> &'static str {
        "Jobs"
    }

    fn define(self: Arc<Self>, service: &mut ServiceDef) {
        service.instruction(include_str!("instruction.md"));
        service
            .get("list", ADMIN, &self, Self::list)
            .summary("List durable jobs, newest first.")
            .description(
                "Jobs that ended are kept for a while. What a job is about is not shown: it may hold \
                 what users said.",
            );
        service
            .post("retry", ADMIN, &self, Self::retry)
            .summary("Let a job that was given up, or that waits, run now.")
            .description("409 for a job that runs or is done.");
        service
            .post("cancel", ADMIN, &self, Self::cancel)
            .summary("Give up a job that waits.")
            .description(
                "What the job should have brought about does not come about. 409 for a job that runs or \
                 is done, and for kinds whose end something waits for: money that is held, images and \
                 videos that were ordered.",
            );
    }
}

impl JobsService {
    async fn list(self: Arc<Self>, cx: Cx, input: JobsIn) -> Result<Items<JobRecord>> {
        let page = Page { limit: input.limit, cursor: input.cursor };
        let invalid =
            |_| Error::invalid("cursor", "is not the next_cursor of a page; leave it out");
        let limit = page.limit(PAGE, MOST);
        let before = match page.cursor().map_err(invalid)? {
            Some(cursor) => Some(cursor.text(0).map_err(invalid)?.to_owned()),
            None => None,
        };
        let holds_nul =
            |text: &Option<String>| text.as_ref().is_some_and(|text| text.contains('\0'));
        if holds_nul(&before) || holds_nul(&input.kind) {
            return Err(Error::invalid("kind", "must be the name of a kind of jobs"));
        }
        let (status, kind) = (input.status, input.kind);
        let list = move |tx: &mut Tx<'_>| {
            store::list(tx, before.as_deref(), status, kind.as_deref(), i64::from(limit) + 1)
        };
        let mut items: Vec<JobRecord> =
            cx.runtime().db().scan(list).await?.into_iter().map(JobRecord::from).collect();
        let more = items.len() > limit as usize;
        items.truncate(limit as usize);
        let last = items.last().filter(|_| more);
        let next_cursor = last.map(|job| Cursor::new([job.job_id.as_str().into()]).encode());
        Ok(Items { items, next_cursor })
    }

    async fn retry(self: Arc<Self>, cx: Cx, input: JobIn) -> Result<JobRecord> {
        let now = cx.runtime().clock().now();
        let job =
            change(&cx, input, move |tx, before| store::requeue(tx, &before.job_id, now)).await?;
        cx.runtime().wake_workers();
        Ok(job)
    }

    async fn cancel(self: Arc<Self>, cx: Cx, input: JobIn) -> Result<JobRecord> {
        let now = cx.runtime().clock().now();
        let runtime = cx.runtime().clone();
        let give_up = move |tx: &mut Tx<'_>, before: &JobRow| {
            if !policy(&runtime, &before.kind).cancelable {
                let message = format!("Jobs of the kind {} are not given up.", before.kind);
                return Err(Error::new(ErrorCode::Conflict, message)
                    .with_fix("Something waits for its end: let it run, or retry it."));
            }
            store::give_up(tx, &before.job_id, CANCELED, now)
        };
        change(&cx, input, give_up).await
    }
}

/// Changes a job that no worker holds, and records it.
///
/// # Errors
/// 404 for a job that is not there, 409 for one that runs or is done.
async fn change(
    cx: &Cx,
    input: JobIn,
    mut change: impl FnMut(&mut Tx<'_>, &JobRow) -> Result<bool> + Send + 'static,
) -> Result<JobRecord> {
    let job_id = input.job_id.trim().to_owned();
    if job_id.is_empty() || job_id.contains('\0') {
        return Err(unknown());
    }
    let write = move |tx: &mut Tx<'_>, trail: &mut Trail| {
        let before = store::get(tx, &job_id)?.ok_or_else(unknown)?;
        if !change(tx, &before)? {
            let status = before.status.as_str();
            return Err(Error::new(ErrorCode::Conflict, format!("The job is {status}."))
                .with_fix("Only jobs that wait or were given up can be changed."));
        }
        let after = JobRecord::from(store::get(tx, &job_id)?.ok_or_else(unknown)?);
        let mut target = Target::new(TARGET, &job_id);
        if let Some(city_id) = &after.city_id {
            target = target.in_city(city_id);
        }
        trail.record(target, JobRecord::from(before), &after);
        Ok(after)
    };
    cx.write(write).await
}

impl From<JobRow> for JobRecord {
    fn from(job: JobRow) -> Self {
        Self {
            job_id: job.job_id,
            kind: job.kind,
            status: job.status.as_str(),
            due_at: job.due_at,
            attempts: job.attempts,
            last_error: job.last_error,
            city_id: job.city_id,
            user_id: job.user_id,
            created_at: job.created_at,
            updated_at: job.updated_at,
        }
    }
}

fn unknown() -> Error {
    Error::new(ErrorCode::NotFound, "No job has this job_id.")
        .with_fix("GET /v1/jobs/list lists the jobs.")
}
