//! Whoever tries codes that do not exist is soon told to wait: by user and by address, on all nodes
//! together.

use std::net::IpAddr;
use std::time::Duration;

use downcity_core::{Cx, Error, Result};
use downcity_db::{Tx, sql};
use downcity_types::{ErrorCode, Timestamp};
use http::HeaderValue;
use http::header::RETRY_AFTER;

use crate::balance::wallet::Owner;

/// Unknown codes that one user, and one address, may try within [`WINDOW`].
const MOST: i64 = 10;

const WINDOW: Duration = Duration::from_mins(10);

/// Rows that one transaction of the sweeper removes.
const CHUNK: i64 = 500;

/// Who is counted: the caller's user and address.
#[derive(Clone, Debug)]
pub(super) struct Subjects(Vec<String>);

impl Subjects {
    /// The subjects of a call. Addresses that no limit concerns are left out, as those of a product's
    /// own server should be.
    pub(super) fn of(cx: &Cx, owner: &Owner) -> Self {
        let mut subjects = vec![format!("user {} {}", owner.scope, owner.user_id)];
        let exempt = &cx.runtime().settings().limits.exempt;
        if let Some(address) = cx.client_address()
            && !exempt.iter().any(|block| block.contains(&address))
        {
            subjects.push(match address.to_canonical() {
                IpAddr::V4(address) => format!("address {address}"),
                // As one subscriber gets it: a block of 64 bits.
                IpAddr::V6(address) => {
                    let [a, b, c, d, ..] = address.segments();
                    format!("address {a:x}:{b:x}:{c:x}:{d:x}::/64")
                }
            });
        }
        Self(subjects)
    }
}

/// Refuses those who have tried too many unknown codes. Their rows stay locked until the commit, so
/// that calls at once are counted one after the other.
///
/// # Errors
/// 429 with `Retry-After`.
pub(super) fn check(tx: &mut Tx<'_>, subjects: &Subjects, now: Timestamp) -> Result<()> {
    for subject in &subjects.0 {
        let row = tx.query_opt(
            sql!(
                "UPDATE balance_redeem_failures SET failures = failures WHERE subject = $1
                 RETURNING since, failures"
            ),
            &[subject],
        )?;
        let Some(row) = row else { continue };
        let end = Timestamp::from_millis(row.get("since")?).saturating_add(WINDOW);
        if row.get::<i64>("failures")? >= MOST && now < end {
            return Err(refusal(end.millis().saturating_sub(now.millis())));
        }
    }
    Ok(())
}

/// Counts an unknown code. To be committed, whatever the caller is told.
///
/// # Errors
/// Those of the database.
pub(super) fn count(tx: &mut Tx<'_>, subjects: &Subjects, now: Timestamp) -> Result<()> {
    let over = now.saturating_sub(WINDOW);
    for subject in &subjects.0 {
        tx.execute(
            sql!(
                "INSERT INTO balance_redeem_failures (subject, since, failures) VALUES ($1, $2, 1)
                 ON CONFLICT (subject) DO UPDATE SET
                     since = CASE WHEN balance_redeem_failures.since <= $3
                         THEN excluded.since ELSE balance_redeem_failures.since END,
                     failures = CASE WHEN balance_redeem_failures.since <= $3
                         THEN 1 ELSE balance_redeem_failures.failures + 1 END"
            ),
            &[subject, &now.millis(), &over.millis()],
        )?;
    }
    Ok(())
}

/// Forgets counts that are over, a limited number of them; says how many.
///
/// # Errors
/// Those of the database.
pub(in crate::balance) fn forget(tx: &mut Tx<'_>, now: Timestamp) -> Result<u64> {
    Ok(tx.execute(
        sql!(
            "DELETE FROM balance_redeem_failures WHERE subject IN
                 (SELECT subject FROM balance_redeem_failures WHERE since <= $1 LIMIT $2)"
        ),
        &[&now.saturating_sub(WINDOW).millis(), &CHUNK],
    )?)
}

fn refusal(wait_ms: i64) -> Error {
    let seconds = wait_ms.max(1).saturating_add(999) / 1_000;
    Error::new(
        ErrorCode::RateLimited,
        format!("Too many unknown codes were tried; try again in {seconds} s."),
    )
    .with_header(RETRY_AFTER, HeaderValue::from(seconds))
}
