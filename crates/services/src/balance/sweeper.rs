//! What ends by itself: holds past their deadline, credits whose time is over, top-ups that are not paid
//! in time, and counts of guesses that are over.

use std::sync::Arc;
use std::time::Duration;

use downcity_core::{Error, Result, Runtime};

use super::{codes, holds, topups, wallet};

const EVERY: Duration = Duration::from_mins(1);

/// Holds that one transaction ends, and wallets whose credits it takes out: few, so that no writer waits.
const CHUNK: i64 = 100;

/// Sweeps until the node stops.
pub(super) async fn sweep_regularly(runtime: Arc<Runtime>) {
    loop {
        tokio::time::sleep(EVERY).await;
        if let Err(error) = sweep_vouchers(&runtime).await {
            tracing::warn!(%error, "could not end overdue top-ups");
        }
        if let Err(error) = sweep_wallets(&runtime).await {
            tracing::warn!(%error, "could not end overdue holds and credits");
        }
    }
}

/// Cancels overdue top-ups and forgets counts of guesses that are over; says how many of both.
///
/// # Errors
/// Those of the database.
pub async fn sweep_vouchers(runtime: &Arc<Runtime>) -> Result<u64> {
    let now = runtime.clock().now();
    let mut total = 0;
    loop {
        let sweep = move |tx: &mut downcity_db::Tx<'_>| {
            Ok::<_, Error>(topups::expire(tx, now)? + codes::forget_guesses(tx, now)?)
        };
        match runtime.db().write(sweep).await? {
            0 => return Ok(total),
            ended => total += ended,
        }
    }
}

/// Ends holds past their deadline and takes out credits that have ended; says how many holds and wallets
/// that were.
///
/// # Errors
/// Those of the database.
pub async fn sweep_wallets(runtime: &Arc<Runtime>) -> Result<u64> {
    let now = runtime.clock().now();
    let mut total = 0;
    loop {
        let ended = runtime.db().write(move |tx| holds::expire(tx, now, CHUNK)).await?;
        total += ended as u64;
        if ended < CHUNK as usize {
            break;
        }
    }
    // What is reserved does not end, so that a wallet may stay in the list.
    let mut after = (i64::MIN, String::new());
    loop {
        let from = after.clone();
        let due = runtime.db().scan(move |tx| wallet::list_expiring(tx, &from, now, CHUNK)).await?;
        let Some(last) = due.last() else { return Ok(total) };
        after = last.clone();
        total += due.len() as u64;
        let end = move |tx: &mut downcity_db::Tx<'_>| {
            for (_, wallet_id) in &due {
                wallet::expire_of(tx, wallet_id, now)?;
            }
            Ok::<_, Error>(())
        };
        runtime.db().write(end).await?;
    }
}
