//! The table `accounts_failures`: what is counted against guessing and flooding.

use downcity_core::Result;
use downcity_db::{Tx, sql};
use downcity_types::Timestamp;

/// How much was counted in a bucket, and when its window ends; `None` when nothing is counted now.
pub(crate) fn find(
    tx: &mut Tx<'_>,
    bucket: &str,
    now: Timestamp,
) -> Result<Option<(i64, Timestamp)>> {
    let row = tx.query_opt(
        sql!("SELECT count, ends_at FROM accounts_failures WHERE bucket = $1 AND ends_at > $2"),
        &[&bucket, &now.millis()],
    )?;
    let Some(row) = row else { return Ok(None) };
    Ok(Some((row.get("count")?, Timestamp::from_millis(row.get("ends_at")?))))
}

/// Counts one more; a window that has ended begins anew and ends then.
pub(crate) fn count(
    tx: &mut Tx<'_>,
    bucket: &str,
    now: Timestamp,
    ends_at: Timestamp,
) -> Result<()> {
    tx.execute(
        sql!(
            "INSERT INTO accounts_failures (bucket, count, ends_at) VALUES ($1, 1, $3)
             ON CONFLICT (bucket) DO UPDATE SET
                 count = CASE WHEN accounts_failures.ends_at > $2
                     THEN accounts_failures.count + 1 ELSE 1 END,
                 ends_at = CASE WHEN accounts_failures.ends_at > $2
                     THEN accounts_failures.ends_at ELSE excluded.ends_at END"
        ),
        &[&bucket, &now.millis(), &ends_at.millis()],
    )?;
    Ok(())
}

/// Forgets what was counted in a bucket.
pub(crate) fn forgive(tx: &mut Tx<'_>, bucket: &str) -> Result<()> {
    tx.execute(sql!("DELETE FROM accounts_failures WHERE bucket = $1"), &[&bucket])?;
    Ok(())
}

/// Deletes windows that have ended, at most `chunk`; says how many.
pub(crate) fn delete_ended(tx: &mut Tx<'_>, now: Timestamp, chunk: u32) -> Result<u64> {
    Ok(tx.execute(
        sql!(
            "DELETE FROM accounts_failures WHERE bucket IN
             (SELECT bucket FROM accounts_failures WHERE ends_at <= $1 LIMIT $2)"
        ),
        &[&now.millis(), &chunk],
    )?)
}
