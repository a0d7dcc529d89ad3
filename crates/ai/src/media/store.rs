//! The table `ai_jobs`.

use downcity_core::{Error, Result};
use downcity_db::{Row, Tx, sql};
use downcity_types::{ErrorCode, Timestamp};
use serde::de::DeserializeOwned;
use serde_json::{Map, Value};

use super::job::StoredResult;
use crate::config::Mode;

/// How far a job is.
#[derive(
    Clone, Copy, Debug, PartialEq, Eq, serde::Serialize, serde::Deserialize, schemars::JsonSchema,
)]
#[serde(rename_all = "snake_case")]
pub enum MediaStatus {
    /// It waits for a worker.
    Queued,
    /// It is worked on.
    Running,
    /// The result is there.
    Succeeded,
    /// It came to nothing, and cost nothing.
    Failed,
}

impl MediaStatus {
    /// Whether nothing changes any more.
    pub(crate) fn is_final(self) -> bool {
        matches!(self, Self::Succeeded | Self::Failed)
    }

    fn parse(text: &str) -> Self {
        match text {
            "queued" => Self::Queued,
            "running" => Self::Running,
            "succeeded" => Self::Succeeded,
            _ => Self::Failed,
        }
    }
}

/// A stored job.
#[derive(Clone, Debug)]
pub(crate) struct MediaJob {
    pub(crate) job_id: String,
    pub(crate) mode: Mode,
    pub(crate) status: MediaStatus,
    pub(crate) model_id: String,
    pub(crate) city_id: Option<String>,
    pub(crate) user_id: Option<String>,
    pub(crate) is_by_user: bool,
    pub(crate) action_id: String,
    pub(crate) request_id: String,
    pub(crate) bill: Option<String>,
    pub(crate) metering: String,
    pub(crate) upstream: Option<String>,
    pub(crate) upstream_id: Option<String>,
    pub(crate) metadata: Map<String, Value>,
    pub(crate) result: Option<StoredResult>,
    pub(crate) error: Option<String>,
    pub(crate) code: Option<ErrorCode>,
    pub(crate) poll_after_ms: Option<i64>,
    pub(crate) due_at: Timestamp,
    pub(crate) claim: i64,
    pub(crate) claimed_until: Timestamp,
    pub(crate) created_at: Timestamp,
}

/// A job that is not stored yet: everything else is as it is in the beginning.
#[derive(Clone, Debug)]
pub(crate) struct NewMediaJob {
    pub(crate) job_id: String,
    pub(crate) mode: Mode,
    pub(crate) model_id: String,
    pub(crate) city_id: Option<String>,
    pub(crate) user_id: Option<String>,
    pub(crate) is_by_user: bool,
    pub(crate) action_id: String,
    pub(crate) request_id: String,
    pub(crate) input: String,
    pub(crate) bill: Option<String>,
    pub(crate) poll_after_ms: i64,
    pub(crate) now: Timestamp,
}

fn read<T: DeserializeOwned>(text: &str) -> Result<T> {
    serde_json::from_str(text).map_err(Error::internal)
}

fn job(row: &Row) -> Result<MediaJob> {
    let mode = row.get::<String>("mode")?;
    let mode = Mode::ALL.into_iter().find(|known| known.as_str() == mode);
    let result: Option<String> = row.get("result_json")?;
    Ok(MediaJob {
        job_id: row.get("job_id")?,
        mode: mode.ok_or_else(|| Error::internal("a job of no known mode"))?,
        status: MediaStatus::parse(&row.get::<String>("status")?),
        model_id: row.get("model_id")?,
        city_id: row.get("city_id")?,
        user_id: row.get("user_id")?,
        is_by_user: row.get("is_by_user")?,
        action_id: row.get("action_id")?,
        request_id: row.get("request_id")?,
        bill: row.get("bill_json")?,
        metering: row.get("metering_json")?,
        upstream: row.get("upstream_json")?,
        upstream_id: row.get("upstream_id")?,
        metadata: read(&row.get::<String>("metadata_json")?)?,
        result: result.map(|text| read(&text)).transpose()?,
        error: row.get("error")?,
        code: row.get::<Option<String>>("code")?.and_then(|code| code.parse().ok()),
        poll_after_ms: row.get("poll_after_ms")?,
        due_at: Timestamp::from_millis(row.get("due_at")?),
        claim: row.get("claim")?,
        claimed_until: Timestamp::from_millis(row.get("claimed_until")?),
        created_at: Timestamp::from_millis(row.get("created_at")?),
    })
}

/// A job by its id, without what is to be made: that may be large, and few who look at a job need it.
pub(crate) fn find(tx: &mut Tx<'_>, job_id: &str) -> Result<Option<MediaJob>> {
    let row = tx.query_opt(
        sql!(
            "SELECT job_id, mode, status, model_id, city_id, user_id, is_by_user, action_id,
             request_id, bill_json, metering_json, upstream_json, upstream_id, metadata_json, result_json, error, code, poll_after_ms, due_at, claim, claimed_until,
             created_at FROM ai_jobs WHERE job_id = $1"
        ),
        &[&job_id],
    )?;
    row.as_ref().map(job).transpose()
}

/// What is to be made, as JSON; `None` of a job that has ended.
pub(crate) fn input(tx: &mut Tx<'_>, job_id: &str) -> Result<Option<String>> {
    let row = tx.query_opt(
        sql!("SELECT input_json FROM ai_jobs WHERE job_id = $1 AND ended_at IS NULL"),
        &[&job_id],
    )?;
    row.map(|row| Ok(row.get("input_json")?)).transpose()
}

/// Whether a job has ended; `None` where there is none.
pub(crate) fn has_ended(tx: &mut Tx<'_>, job_id: &str) -> Result<Option<bool>> {
    let row = tx.query_opt(sql!("SELECT status FROM ai_jobs WHERE job_id = $1"), &[&job_id])?;
    row.map(|row| Ok(MediaStatus::parse(&row.get::<String>("status")?).is_final())).transpose()
}

/// Stores a job.
pub(crate) fn insert(tx: &mut Tx<'_>, job: &NewMediaJob) -> Result<()> {
    tx.execute(
        sql!(
            "INSERT INTO ai_jobs (job_id, mode, status, model_id, city_id, user_id, is_by_user,
             action_id, request_id, input_json, bill_json, metering_json, metadata_json,
             poll_after_ms, due_at, claim, claimed_until, created_at, updated_at)
             VALUES ($1, $2, 'queued', $3, $4, $5, $6, $7, $8, $9, $10, '{}', '{}', $11, $12, 0, 0,
             $12, $12)"
        ),
        &[
            &job.job_id,
            &job.mode.as_str(),
            &job.model_id,
            &job.city_id,
            &job.user_id,
            &job.is_by_user,
            &job.action_id,
            &job.request_id,
            &job.input,
            &job.bill,
            &job.poll_after_ms,
            &job.now.millis(),
        ],
    )?;
    Ok(())
}

/// When a city was created; `None` when it was removed. What a node knows of cities may be older.
pub(crate) fn city_created_at(tx: &mut Tx<'_>, city_id: &str) -> Result<Option<Timestamp>> {
    let row =
        tx.query_opt(sql!("SELECT created_at FROM cities WHERE city_id = $1"), &[&city_id])?;
    row.map(|row| Ok(Timestamp::from_millis(row.get("created_at")?))).transpose()
}

/// Takes a job as it was seen; `None` when another worker was faster, or it has ended.
pub(crate) fn claim(
    tx: &mut Tx<'_>,
    job_id: &str,
    seen: i64,
    now: Timestamp,
    until: Timestamp,
) -> Result<Option<i64>> {
    let row = tx.query_opt(
        sql!(
            "UPDATE ai_jobs SET status = 'running', claim = claim + 1, claimed_until = $4,
             updated_at = $3 WHERE job_id = $1 AND claim = $2 AND claimed_until <= $3
             AND status IN ('queued', 'running') RETURNING claim"
        ),
        &[&job_id, &seen, &now.millis(), &until.millis()],
    )?;
    row.map(|row| Ok(row.get("claim")?)).transpose()
}

/// Keeps a claim for longer; `false` when it is lost, or the job has ended.
pub(crate) fn renew(tx: &mut Tx<'_>, job_id: &str, claim: i64, until: Timestamp) -> Result<bool> {
    let changed = tx.execute(
        sql!(
            "UPDATE ai_jobs SET claimed_until = $3
             WHERE job_id = $1 AND claim = $2 AND status = 'running'"
        ),
        &[&job_id, &claim, &until.millis()],
    )?;
    Ok(changed == 1)
}

/// How a job goes on after a look that did not end it.
#[derive(Clone, Debug)]
pub(crate) struct GoesOn {
    pub(crate) upstream: Option<String>,
    pub(crate) upstream_id: Option<String>,
    pub(crate) metering: String,
    pub(crate) wait_ms: i64,
    pub(crate) now: Timestamp,
    pub(crate) due_at: Timestamp,
}

/// Lets go of a job that goes on; `false` when the claim is lost.
pub(crate) fn release(tx: &mut Tx<'_>, job_id: &str, claim: i64, goes_on: &GoesOn) -> Result<bool> {
    let changed = tx.execute(
        sql!(
            "UPDATE ai_jobs SET upstream_json = $3, upstream_id = $4, metering_json = $5,
             poll_after_ms = $6, due_at = $7, claimed_until = claimed_until * 0, updated_at = $8
             WHERE job_id = $1 AND claim = $2 AND status = 'running'"
        ),
        &[
            &job_id,
            &claim,
            &goes_on.upstream,
            &goes_on.upstream_id,
            &goes_on.metering,
            &goes_on.wait_ms,
            &goes_on.due_at.millis(),
            &goes_on.now.millis(),
        ],
    )?;
    Ok(changed == 1)
}

/// The end of a job.
#[derive(Clone, Debug)]
pub(crate) struct Ended {
    pub(crate) result: Option<String>,
    pub(crate) error: Option<String>,
    pub(crate) code: Option<ErrorCode>,
    pub(crate) metadata: String,
    pub(crate) metering: String,
    pub(crate) now: Timestamp,
}

/// Ends a job; `false` when it has ended before, or `claim` is lost where there is one. What was to
/// be made is forgotten.
pub(crate) fn end(
    tx: &mut Tx<'_>,
    job_id: &str,
    claim: Option<i64>,
    ended: &Ended,
) -> Result<bool> {
    let status = if ended.result.is_some() { "succeeded" } else { "failed" };
    let changed = tx.execute(
        sql!(
            "UPDATE ai_jobs SET status = $3, result_json = $4, error = $5, code = $6,
             metadata_json = $7, metering_json = $8, input_json = '', poll_after_ms = NULL,
             ended_at = $9, updated_at = $9
             WHERE job_id = $1 AND status IN ('queued', 'running') AND claim = COALESCE($2, claim)"
        ),
        &[
            &job_id,
            &claim,
            &status,
            &ended.result,
            &ended.error,
            &ended.code.map(ErrorCode::as_str),
            &ended.metadata,
            &ended.metering,
            &ended.now.millis(),
        ],
    )?;
    Ok(changed == 1)
}

/// Forgets jobs that ended before `before`, at most `chunk` of them; says how many.
pub(crate) fn forget_ended(tx: &mut Tx<'_>, before: Timestamp, chunk: i64) -> Result<u64> {
    Ok(tx.execute(
        sql!(
            "DELETE FROM ai_jobs WHERE job_id IN (SELECT job_id FROM ai_jobs
             WHERE ended_at IS NOT NULL AND ended_at < $1 LIMIT $2)"
        ),
        &[&before.millis(), &chunk],
    )?)
}
