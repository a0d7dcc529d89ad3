//! What ends by itself: top-ups that are not paid in time, and counts of guesses that are over.

use std::sync::Arc;
use std::time::Duration;

use downcity_core::{Error, Result, Runtime};

use super::{codes, topups};

const EVERY: Duration = Duration::from_mins(1);

/// Sweeps until the node stops.
pub(super) async fn sweep_regularly(runtime: Arc<Runtime>) {
    loop {
        tokio::time::sleep(EVERY).await;
        if let Err(error) = sweep_vouchers(&runtime).await {
            tracing::warn!(%error, "could not end overdue top-ups");
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
