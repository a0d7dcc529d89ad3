//! Forgetting what nobody asks for any more: jobs that ended long ago, and old files.

use std::sync::Arc;
use std::time::Duration;

use arc_swap::ArcSwap;
use downcity_core::{Result, Runtime};

use super::store;
use crate::catalog::Catalog;
use crate::service::Ai;

/// How often.
const EVERY: Duration = Duration::from_secs(3_600);
/// How long a job is kept that has ended, unless the configuration says otherwise.
const KEPT: Duration = Duration::from_secs(30 * DAY);
/// Jobs of one transaction, so that no writer waits.
const CHUNK: i64 = 100;
const DAY: u64 = 24 * 3_600;

impl Ai {
    /// Forgets jobs whose time is over, and deletes files that are older than all jobs that are kept,
    /// where the configuration says for how long; nodes do so by themselves every hour. Says how many
    /// jobs and files.
    ///
    /// # Errors
    /// Those of the database, and when the directory of files cannot be read.
    pub async fn sweep(&self, runtime: &Arc<Runtime>) -> Result<(u64, u64)> {
        sweep(&self.catalog(), runtime).await
    }
}

/// Sweeps until the node stops, with the configuration that is in effect then.
pub(crate) async fn sweep_regularly(catalog: Arc<ArcSwap<Catalog>>, runtime: Arc<Runtime>) {
    loop {
        tokio::time::sleep(EVERY).await;
        if let Err(error) = sweep(&catalog.load_full(), &runtime).await {
            tracing::warn!(%error, "could not forget old jobs and files");
        }
    }
}

async fn sweep(catalog: &Catalog, runtime: &Arc<Runtime>) -> Result<(u64, u64)> {
    let now = runtime.clock().now();
    let kept = catalog.storage.kept();
    let before = now.saturating_sub(kept.unwrap_or(KEPT));
    let mut jobs = 0;
    loop {
        let forgotten =
            runtime.db().write(move |tx| store::forget_ended(tx, before, CHUNK)).await?;
        jobs += forgotten;
        if forgotten < CHUNK.unsigned_abs() {
            break;
        }
    }
    let Some(kept) = kept else { return Ok((jobs, 0)) };
    // A file is stored before its job ends: at most as long as a job may last.
    let longest = catalog.settings.max_pending + Duration::from_secs(DAY);
    let files = catalog.storage.forget(runtime, now.saturating_sub(kept + longest)).await?;
    Ok((jobs, files))
}
