//! The `jobs` table.

use downcity_db::{Row, Tx, sql};
use downcity_types::Timestamp;
use schemars::JsonSchema;
use serde::Deserialize;

use super::job::{Lease, NewJob};
use crate::Result;

/// Where a job stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum JobStatus {
    /// It waits for its due time.
    Queued,
    /// A worker holds it.
    Running,
    /// The work is done.
    Done,
    /// It was given up; the reason is kept.
    Dead,
}

impl JobStatus {
    fn parse(text: &str) -> Self {
        match text {
            "queued" => Self::Queued,
            "running" => Self::Running,
            "done" => Self::Done,
            _ => Self::Dead,
        }
    }

    /// The word in the table and on the wire.
    pub(crate) const fn as_str(self) -> &'static str {
        match self {
            Self::Queued => "queued",
            Self::Running => "running",
            Self::Done => "done",
            Self::Dead => "dead",
        }
    }
}

/// A stored job.
#[derive(Clone, Debug)]
pub struct JobRow {
    /// The id.
    pub job_id: String,
    /// The kind.
    pub kind: String,
    /// Where it stands.
    pub status: JobStatus,
    /// When it is due; for a running job the end of its lease.
    pub due_at: Timestamp,
    /// How often it was claimed since it last went well.
    pub attempts: u32,
    /// Why the last run failed, in words fit for people.
    pub last_error: Option<String>,
    pub(crate) payload: String,
    pub(crate) lease: i64,
    pub(crate) city_id: Option<String>,
    pub(crate) user_id: Option<String>,
    pub(crate) created_at: Timestamp,
    pub(crate) updated_at: Timestamp,
}

fn job(row: &Row) -> Result<JobRow> {
    Ok(JobRow {
        job_id: row.get("job_id")?,
        kind: row.get("kind")?,
        status: JobStatus::parse(&row.get::<String>("status")?),
        due_at: Timestamp::from_millis(row.get("due_at")?),
        attempts: u32::try_from(row.get::<i64>("attempts")?).unwrap_or(u32::MAX),
        last_error: row.get("last_error")?,
        payload: row.get("payload")?,
        lease: row.get("lease")?,
        city_id: row.get("city_id")?,
        user_id: row.get("user_id")?,
        created_at: Timestamp::from_millis(row.get("created_at")?),
        updated_at: Timestamp::from_millis(row.get("updated_at")?),
    })
}

/// Stores a job. Says whether it is new: a job with a key that is taken is not stored again.
///
/// # Errors
/// Those of the database.
pub fn enqueue(tx: &mut Tx<'_>, job: &NewJob) -> Result<bool> {
    let stored = tx.execute(
        sql!(
            "INSERT INTO jobs (job_id, kind, payload, status, due_at, idempotency_key, city_id,
             user_id, created_at, updated_at)
             VALUES ($1, $2, $3, 'queued', $4, $5, $6, $7, $8, $8)
             ON CONFLICT (kind, idempotency_key) DO NOTHING"
        ),
        &[
            &job.job_id,
            &job.kind,
            &job.payload,
            &job.due_at.millis(),
            &job.idempotency_key,
            &job.city_id,
            &job.user_id,
            &job.now.millis(),
        ],
    )?;
    Ok(stored == 1)
}

/// A job by its id.
///
/// # Errors
/// Those of the database.
pub fn get(tx: &mut Tx<'_>, job_id: &str) -> Result<Option<JobRow>> {
    let row = tx.query_opt(
        sql!(
            "SELECT job_id, kind, payload, status, due_at, lease, attempts, last_error, city_id,
             user_id, created_at, updated_at FROM jobs WHERE job_id = $1"
        ),
        &[&job_id],
    )?;
    row.as_ref().map(job).transpose()
}

/// Jobs before this one in the order of their ids, which is that of their making; newest first.
pub(crate) fn list(
    tx: &mut Tx<'_>,
    before: Option<&str>,
    status: Option<JobStatus>,
    kind: Option<&str>,
    limit: i64,
) -> Result<Vec<JobRow>> {
    let rows = tx.query(
        sql!(
            "SELECT job_id, kind, payload, status, due_at, lease, attempts, last_error, city_id,
             user_id, created_at, updated_at FROM jobs
             WHERE ($1 = '' OR job_id < $1) AND ($2 = '' OR status = $2) AND ($3 = '' OR kind = $3)
             ORDER BY job_id DESC LIMIT $4"
        ),
        &[
            &before.unwrap_or_default(),
            &status.map(JobStatus::as_str).unwrap_or_default(),
            &kind.unwrap_or_default(),
            &limit,
        ],
    )?;
    rows.iter().map(job).collect()
}

/// Lets a job that no worker holds run now, its attempts counted anew. `false` when it runs or is
/// done.
pub(crate) fn requeue(tx: &mut Tx<'_>, job_id: &str, now: Timestamp) -> Result<bool> {
    let changed = tx.execute(
        sql!(
            "UPDATE jobs SET status = 'queued', due_at = $2, attempts = 0, updated_at = $2
             WHERE job_id = $1 AND status IN ('queued', 'dead')"
        ),
        &[&job_id, &now.millis()],
    )?;
    Ok(changed == 1)
}

/// Gives up a job that no worker holds. `false` when it runs or has ended.
pub(crate) fn give_up(tx: &mut Tx<'_>, job_id: &str, why: &str, now: Timestamp) -> Result<bool> {
    let changed = tx.execute(
        sql!(
            "UPDATE jobs SET status = 'dead', due_at = $3, last_error = $2, updated_at = $3
             WHERE job_id = $1 AND status = 'queued'"
        ),
        &[&job_id, &why, &now.millis()],
    )?;
    Ok(changed == 1)
}

/// Jobs of a kind that are due, the longest waiting first; those whose lease ended without an end
/// are due again.
pub(crate) fn list_due(
    tx: &mut Tx<'_>,
    kind: &str,
    now: Timestamp,
    limit: i64,
) -> Result<Vec<JobRow>> {
    let rows = tx.query(
        sql!(
            "SELECT job_id, kind, payload, status, due_at, lease, attempts, last_error, city_id,
             user_id, created_at, updated_at FROM jobs WHERE kind = $1 AND status IN ('queued', 'running') AND due_at <= $2
             ORDER BY due_at, job_id LIMIT $3"
        ),
        &[&kind, &now.millis(), &limit],
    )?;
    rows.iter().map(job).collect()
}

/// Takes a job as it was seen. `None` when another worker was faster.
pub(crate) fn claim(
    tx: &mut Tx<'_>,
    seen: &JobRow,
    now: Timestamp,
    lease_ends: Timestamp,
) -> Result<Option<Lease>> {
    let row = tx.query_opt(
        sql!(
            "UPDATE jobs SET status = 'running', due_at = $4, lease = lease + 1,
             attempts = attempts + 1, updated_at = $3
             WHERE job_id = $1 AND lease = $2 AND status IN ('queued', 'running') AND due_at <= $3
             RETURNING lease"
        ),
        &[&seen.job_id, &seen.lease, &now.millis(), &lease_ends.millis()],
    )?;
    row.map(|row| Ok(Lease { job_id: seen.job_id.clone(), token: row.get("lease")? })).transpose()
}

/// Ends a running job as done, in the transaction of its effect. `false` when the lease was lost:
/// the transaction must then be given up.
///
/// # Errors
/// Those of the database.
pub fn finish(tx: &mut Tx<'_>, lease: &Lease, now: Timestamp) -> Result<bool> {
    release(tx, lease, Release::Done, now)
}

/// How a worker lets go of a job.
#[derive(Clone, Debug)]
pub(crate) enum Release {
    Done,
    /// Waits for its next look; the attempts start anew.
    Again(Timestamp),
    /// Waits for another attempt.
    Retry(Timestamp, String),
    Dead(String),
}

/// Lets go of a job; `false` when the lease was lost.
pub(crate) fn release(
    tx: &mut Tx<'_>,
    lease: &Lease,
    end: Release,
    now: Timestamp,
) -> Result<bool> {
    let (status, due_at, attempts_kept, error) = match end {
        Release::Done => ("done", now, true, None),
        Release::Again(due_at) => ("queued", due_at, false, None),
        Release::Retry(due_at, error) => ("queued", due_at, true, Some(error)),
        Release::Dead(error) => ("dead", now, true, Some(error)),
    };
    let changed = tx.execute(
        sql!(
            "UPDATE jobs SET status = $3, due_at = $4, last_error = $6, updated_at = $7,
             attempts = CASE WHEN $5 THEN attempts ELSE attempts * 0 END
             WHERE job_id = $1 AND lease = $2 AND status = 'running'"
        ),
        &[
            &lease.job_id,
            &lease.token,
            &status,
            &due_at.millis(),
            &attempts_kept,
            &error,
            &now.millis(),
        ],
    )?;
    Ok(changed == 1)
}

/// Forgets jobs that ended before `before`, at most `chunk` of them; says how many.
pub(crate) fn forget_ended(tx: &mut Tx<'_>, before: Timestamp, chunk: i64) -> Result<u64> {
    Ok(tx.execute(
        sql!(
            "DELETE FROM jobs WHERE job_id IN (SELECT job_id FROM jobs
             WHERE status IN ('done', 'dead') AND due_at < $1 LIMIT $2)"
        ),
        &[&before.millis(), &chunk],
    )?)
}
