//! What is kept behind the facts: sums per day (`usage_daily`, `usage_daily_users`) and the facts of
//! each user (`usage_of_users`).
//!
//! Facts are added once they are older than [`SETTLING`], in the order of their ids, up to a mark
//! (`usage_state.summed_to`); what is newer is summed and looked through when it is asked for. So
//! storing a fact touches the ends of a few tables and no place of its user's, and no transaction
//! waits for the sums. It relies on ids being times of
//! transactions, which end within seconds, and on nodes whose clocks agree to within that time.

use std::time::Duration;

use downcity_core::{Result, Runtime};
use downcity_db::{Row, Tx, sql};
use downcity_types::Timestamp;

use super::events::{self, first_id};

/// After this time, every transaction that began before has ended.
const SETTLING: Duration = Duration::from_secs(30);

/// Facts per transaction, so that no writer waits for long.
const CHUNK: u32 = 4_000;
const ERASED: u32 = 1_000;

/// Milliseconds of a day.
pub(super) const DAY: i64 = 86_400_000;

/// How far the sums are.
#[derive(Clone, Copy, Debug)]
pub(super) struct State {
    /// Rows with ids below are in the sums.
    pub(super) summed_to: i64,
    /// Rows with ids below may be gone.
    pub(super) erased_to: i64,
}

/// How far the sums are.
pub(super) fn state(tx: &mut Tx<'_>) -> Result<State> {
    let row =
        tx.query_one(sql!("SELECT summed_to, erased_to FROM usage_state WHERE id = 1"), &[])?;
    read(&row)
}

fn read(row: &Row) -> Result<State> {
    Ok(State { summed_to: row.get("summed_to")?, erased_to: row.get("erased_to")? })
}

/// Locks the state: whoever sums or erases next waits for the commit.
fn lock(tx: &mut Tx<'_>) -> Result<State> {
    let row = tx.query_one(
        sql!(
            "UPDATE usage_state SET summed_to = summed_to WHERE id = 1
             RETURNING summed_to, erased_to"
        ),
        &[],
    )?;
    read(&row)
}

/// Adds all facts to the sums that are old enough, and forgets those that are older than
/// `retention_days`; says how many facts were forgotten.
///
/// # Errors
/// Those of the database. What was done so far stays.
pub(super) async fn sweep(runtime: &Runtime, retention_days: Option<u32>) -> Result<u64> {
    let target = first_id(runtime.clock().now().saturating_sub(SETTLING));
    while runtime.db().write(move |tx| add_chunk(tx, target)).await? {}
    let Some(days) = retention_days else { return Ok(0) };
    // Whole days, so that no day is half told.
    let kept = runtime.clock().now().millis().div_euclid(DAY) - i64::from(days);
    let below = first_id(Timestamp::from_millis(kept * DAY));
    let mut total = 0;
    loop {
        let erased = runtime.db().write(move |tx| erase_chunk(tx, below)).await?;
        if erased == 0 {
            return Ok(total);
        }
        total += erased;
    }
}

fn erase_chunk(tx: &mut Tx<'_>, below: i64) -> Result<u64> {
    let state = lock(tx)?;
    let below = below.min(state.summed_to);
    if state.erased_to < below {
        tx.execute(sql!("UPDATE usage_state SET erased_to = $1 WHERE id = 1"), &[&below])?;
    }
    events::erase(tx, below, ERASED)
}

/// Adds a chunk of facts to the sums; says whether more may follow.
fn add_chunk(tx: &mut Tx<'_>, target: i64) -> Result<bool> {
    let from = lock(tx)?.summed_to;
    if from >= target {
        return Ok(false);
    }
    let next = tx.query_opt(
        sql!(
            "SELECT id FROM usage_events WHERE id >= $1 AND id < $2
             ORDER BY id LIMIT 1 OFFSET $3"
        ),
        &[&from, &target, &CHUNK],
    )?;
    let to = match &next {
        Some(row) => row.at(0)?,
        None => target,
    };
    events::note_users(tx, from, to)?;
    add_users(tx, from, to)?;
    add_all(tx, from, to)?;
    tx.execute(sql!("UPDATE usage_state SET summed_to = $1 WHERE id = 1"), &[&to])?;
    Ok(next.is_some())
}

/// The measures of the sums.
macro_rules! measures {
    () => {
        "calls, input_tokens, output_tokens, cached_tokens, image_count, audio_seconds,
         video_seconds, duration_ms, charge_microcredits"
    };
}

/// Adds the facts between two ids to a table of sums, whose key is given.
macro_rules! add {
    ($table:literal, $key:literal, $values:literal) => {
        sql!(concat!(
            "INSERT INTO ",
            $table,
            " (",
            $key,
            ", ",
            measures!(),
            ")
             SELECT ",
            $values,
            ",
                 CAST(COUNT(*) AS BIGINT),
                 CAST(COALESCE(SUM(input_tokens), 0) AS BIGINT),
                 CAST(COALESCE(SUM(output_tokens), 0) AS BIGINT),
                 CAST(COALESCE(SUM(cached_tokens), 0) AS BIGINT),
                 CAST(COALESCE(SUM(image_count), 0) AS BIGINT),
                 CAST(COALESCE(SUM(audio_seconds), 0) AS BIGINT),
                 CAST(COALESCE(SUM(video_seconds), 0) AS BIGINT),
                 CAST(COALESCE(SUM(duration_ms), 0) AS BIGINT),
                 CAST(COALESCE(SUM(charge_microcredits), 0) AS BIGINT)
             FROM usage_events WHERE id >= $1 AND id < $2
             GROUP BY ",
            $values,
            "
             ON CONFLICT (",
            $key,
            ") DO UPDATE SET
                 calls = ",
            $table,
            ".calls + excluded.calls,
                 input_tokens = ",
            $table,
            ".input_tokens + excluded.input_tokens,
                 output_tokens = ",
            $table,
            ".output_tokens + excluded.output_tokens,
                 cached_tokens = ",
            $table,
            ".cached_tokens + excluded.cached_tokens,
                 image_count = ",
            $table,
            ".image_count + excluded.image_count,
                 audio_seconds = ",
            $table,
            ".audio_seconds + excluded.audio_seconds,
                 video_seconds = ",
            $table,
            ".video_seconds + excluded.video_seconds,
                 duration_ms = ",
            $table,
            ".duration_ms + excluded.duration_ms,
                 charge_microcredits = ",
            $table,
            ".charge_microcredits
                     + excluded.charge_microcredits"
        ))
    };
}

fn add_users(tx: &mut Tx<'_>, from: i64, to: i64) -> Result<()> {
    let statement = add!(
        "usage_daily_users",
        "user_id, city_id, day, service, action, model_id, status",
        "user_id, city_id, created_at / 86400000, service, action, model_id, status"
    );
    tx.execute(statement, &[&from, &to])?;
    Ok(())
}

fn add_all(tx: &mut Tx<'_>, from: i64, to: i64) -> Result<()> {
    let statement = add!(
        "usage_daily",
        "day, city_id, service, action, model_id, status",
        "created_at / 86400000, city_id, service, action, model_id, status"
    );
    tx.execute(statement, &[&from, &to])?;
    Ok(())
}
