//! What has ended is deleted, and memory that is idle is given back.

use std::sync::Arc;
use std::time::Duration;

use downcity_core::{Result, Runtime};
use downcity_db::{Tx, sql};
use downcity_types::Timestamp;

use super::oauth;
use super::store::{addresses, codes, failures, sessions};

/// How often.
pub(super) const EVERY: Duration = Duration::from_secs(60);

/// For how long the list of sessions shows one that has ended.
const SESSION_KEPT: Duration = Duration::from_secs(7 * 24 * 3600);

/// For how long an address counts as one from which a user signs in.
const ADDRESS_KEPT: Duration = Duration::from_secs(180 * 24 * 3600);

/// Rows per transaction.
const CHUNK: u32 = 500;

/// Deletes codes, sign-ins with a provider, counts, sessions and addresses that are of no use any more.
///
/// # Errors
/// Those of the database.
pub async fn sweep(runtime: &Arc<Runtime>) -> Result<()> {
    let now = runtime.clock().now();
    // A look first, so that an idle node writes nothing.
    while runtime.db().read(move |tx| any_ended(tx, now)).await? {
        runtime.db().write(move |tx| delete_ended(tx, now)).await?;
    }
    Ok(())
}

fn any_ended(tx: &mut Tx<'_>, now: Timestamp) -> Result<bool> {
    let rows = tx.query(
        sql!(
            "SELECT code_id AS id FROM
                 (SELECT code_id FROM accounts_codes WHERE expires_at <= $1 LIMIT 1) AS codes
             UNION ALL SELECT bucket FROM
                 (SELECT bucket FROM accounts_failures WHERE ends_at <= $1 LIMIT 1) AS failures
             UNION ALL SELECT session_id FROM
                 (SELECT session_id FROM accounts_sessions WHERE expires_at < $2 LIMIT 1) AS sessions
             UNION ALL SELECT user_id FROM
                 (SELECT user_id FROM accounts_addresses WHERE used_at < $3 LIMIT 1) AS addresses
             UNION ALL SELECT flow_id FROM
                 (SELECT flow_id FROM accounts_oauth_states WHERE expires_at <= $1 LIMIT 1) AS flows"
        ),
        &[
            &now.millis(),
            &now.saturating_sub(SESSION_KEPT).millis(),
            &now.saturating_sub(ADDRESS_KEPT).millis(),
        ],
    )?;
    Ok(!rows.is_empty())
}

fn delete_ended(tx: &mut Tx<'_>, now: Timestamp) -> Result<()> {
    codes::delete_ended(tx, now, CHUNK)?;
    oauth::store::delete_ended(tx, now, CHUNK)?;
    failures::delete_ended(tx, now, CHUNK)?;
    sessions::delete_ended(tx, now.saturating_sub(SESSION_KEPT), CHUNK)?;
    addresses::delete_unused(tx, now.saturating_sub(ADDRESS_KEPT), CHUNK)?;
    Ok(())
}
