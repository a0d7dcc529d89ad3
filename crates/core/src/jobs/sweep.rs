//! Forgets what nobody asks for any more.

use std::sync::Arc;
use std::time::Duration;

use super::store;
use crate::{Result, Runtime, idempotency};

const SWEEP_EVERY: Duration = Duration::from_secs(3600);

/// Rows per transaction, so that a sweep never keeps writers waiting.
const CHUNK: i64 = 500;

pub(crate) async fn sweep_regularly(runtime: Arc<Runtime>) {
    loop {
        if let Err(error) = sweep(&runtime).await {
            tracing::warn!(%error, "could not sweep old rows");
        }
        tokio::time::sleep(SWEEP_EVERY).await;
    }
}

/// Forgets stored answers and ended jobs that are older than 30 days; says how many.
///
/// # Errors
/// Those of the database.
pub async fn sweep(runtime: &Arc<Runtime>) -> Result<u64> {
    let now = runtime.clock().now();
    let mut total = 0;
    loop {
        let forgotten = runtime
            .db()
            .write(move |tx| {
                let before = now.saturating_sub(idempotency::KEPT);
                let jobs = store::forget_ended(tx, before, CHUNK)?;
                Ok::<_, crate::Error>(jobs + idempotency::forget_old(tx, now, CHUNK)?)
            })
            .await?;
        if forgotten == 0 {
            return Ok(total);
        }
        total += forgotten;
    }
}
