//! The `revocations` table: a log that every node follows.

use downcity_db::{Row, Tx, sql};
use downcity_types::Timestamp;

use super::Revocation;
use crate::{Error, Result};

/// By how many seconds the clocks of two nodes may differ without a revocation missing a token.
const CLOCKS_DIFFER: i64 = 10;

/// How long a revocation is kept after the end of its token, in seconds: a clock that jumped ahead
/// and back again must not have forgotten it.
pub(super) const KEPT_AFTER_END: i64 = 7 * 24 * 3600;

/// A revocation as the log holds it.
#[derive(Debug)]
pub(crate) struct LogEntry {
    pub(crate) revocation: Revocation,
    /// For cities and users: the earliest `iat` that is still good.
    pub(crate) not_before: i64,
}

/// Revokes inside a transaction of [`Runtime::change`](crate::Runtime::change): what is revoked is
/// refused on this node when the change returns, on others within a second.
///
/// Nothing that has been issued until `now` survives, also by a node whose clock is up to
/// `CLOCKS_DIFFER` ahead of this one's, and nothing that will be issued is hit, even within the
/// same second: issuing dates tokens to the bound at the earliest.
///
/// # Errors
/// Those of the database.
pub fn revoke(tx: &mut Tx<'_>, revocation: &Revocation, now: Timestamp) -> Result<()> {
    // Taken before the bound is read: its lock puts revocations in one order, so that a node that
    // has seen a revision has seen every row up to it, and bounds only rise.
    let revision = tx.bump_revision()?;
    let (kind, city_id, subject, not_before, expires_at) = match revocation {
        Revocation::City { city_id } => {
            let bound = tx.query_one(
                sql!(
                    "SELECT CAST(COALESCE(MAX(not_before), 0) AS BIGINT) FROM revocations
                     WHERE kind IN ('city', 'user') AND city_id = $1"
                ),
                &[city_id],
            )?;
            ("city", city_id.as_str(), "", after(now, bound.at(0)?), None)
        }
        Revocation::User { city_id, user_id } => {
            let bound = tx.query_one(
                sql!(
                    "SELECT CAST(COALESCE(MAX(not_before), 0) AS BIGINT) FROM revocations
                     WHERE kind IN ('city', 'user') AND city_id = $1 AND subject IN ('', $2)"
                ),
                &[city_id, user_id],
            )?;
            ("user", city_id.as_str(), user_id.as_str(), after(now, bound.at(0)?), None)
        }
        Revocation::Token { city_id, token_id, expires_at } => {
            let city_id = city_id.as_deref().unwrap_or_default();
            ("token", city_id, token_id.as_str(), 0, *expires_at)
        }
    };
    tx.execute(
        sql!(
            "INSERT INTO revocations
                 (kind, city_id, subject, not_before, expires_at, revision, created_at)
             VALUES ($1, $2, $3, $4, $5, $6, $7)
             ON CONFLICT (kind, city_id, subject) DO UPDATE SET
                 not_before = excluded.not_before, expires_at = excluded.expires_at,
                 revision = excluded.revision, created_at = excluded.created_at"
        ),
        &[&kind, &city_id, &subject, &not_before, &expires_at, &revision, &now.millis()],
    )?;
    Ok(())
}

/// The second after every `iat` given out so far: now by the fastest clock, or the bound that
/// issuing has kept to.
fn after(now: Timestamp, bound: i64) -> i64 {
    now.seconds().saturating_add(CLOCKS_DIFFER).max(bound).saturating_add(1)
}

/// What was revoked after this revision.
pub(crate) fn find_since(tx: &mut Tx<'_>, revision: i64) -> Result<Vec<LogEntry>> {
    tx.query(
        sql!(
            "SELECT kind, city_id, subject, not_before, expires_at FROM revocations
             WHERE revision > $1 ORDER BY revision"
        ),
        &[&revision],
    )?
    .iter()
    .map(log_entry)
    .collect()
}

fn log_entry(row: &Row) -> Result<LogEntry> {
    let kind: String = row.get("kind")?;
    let city_id: String = row.get("city_id")?;
    let subject: String = row.get("subject")?;
    let revocation = match kind.as_str() {
        "city" => Revocation::City { city_id },
        "user" => Revocation::User { city_id, user_id: subject },
        "token" => Revocation::Token {
            city_id: (!city_id.is_empty()).then_some(city_id),
            token_id: subject,
            expires_at: row.get("expires_at")?,
        },
        _ => return Err(Error::internal("a revocation of an unknown kind")),
    };
    Ok(LogEntry { revocation, not_before: row.get("not_before")? })
}

/// Deletes revocations of tokens that had ended by themselves at `end`, in seconds since 1970.
pub(super) fn delete_expired(tx: &mut Tx<'_>, end: i64) -> Result<()> {
    tx.execute(sql!("DELETE FROM revocations WHERE expires_at <= $1"), &[&end])?;
    Ok(())
}
