//! Edits from outside that apply without a refresh.

use std::sync::Arc;
use std::time::Duration;

use super::erase::erase_clear_text;
use super::store::{self, Writer};
use super::{Mark, NonceSeed, backing::Values};
use crate::audit::Trail;
use crate::{Result, Runtime};

/// The distance between two looks at a file.
const EVERY: Duration = Duration::from_millis(500);
/// How long a file that has changed has to rest: editors may write it in parts.
const REST: Duration = Duration::from_millis(50);
/// What the audit trail calls the sealing of rows that were found in the clear.
const ACTION: &str = "env/auto_refresh";

/// Follows the edits of a file until the node stops.
pub(crate) async fn watch(runtime: Arc<Runtime>) {
    let Some(file) = runtime.state().backing().file().cloned() else { return };
    let stamp = async || {
        let file = file.clone();
        // A file system may hang, as others' do over a network.
        tokio::task::spawn_blocking(move || file.stamp()).await.ok()
    };
    loop {
        tokio::time::sleep(EVERY).await;
        let Some(mut seen) = stamp().await else { continue };
        if Mark::File(seen.clone()) == runtime.snapshot().env().mark {
            continue;
        }
        loop {
            tokio::time::sleep(REST).await;
            let Some(again) = stamp().await else { break };
            if again == seen {
                break;
            }
            seen = again;
        }
        if let Err(error) = runtime.state().follow_env(&Mark::File(seen)).await {
            tracing::warn!(%error, "an edit of the env file does not apply yet; trying again");
        }
    }
}

/// Looks whether the table was edited by hand, before a request; free where that is not asked for. A
/// database that does not answer leaves the values in effect that the node has.
pub(crate) async fn look(runtime: &Arc<Runtime>) {
    let backing = runtime.state().backing();
    if !backing.auto_refresh() || backing.file().is_some() {
        return;
    }
    if let Err(error) = follow_table(runtime).await {
        tracing::debug!(%error, "the env table could not be looked at");
    }
}

async fn follow_table(runtime: &Arc<Runtime>) -> Result<()> {
    let mark = runtime.db().read(store::mark).await?;
    if mark == runtime.snapshot().env().mark {
        return Ok(());
    }
    runtime.state().follow_env(&mark).await?;
    if matches!(mark, Mark::Table { in_the_clear: true, .. }) {
        seal(runtime).await?;
    }
    Ok(())
}

/// Seals what stands in the table in the clear, and overwrites it behind the request.
async fn seal(runtime: &Arc<Runtime>) -> Result<()> {
    let (vault, seed) = (runtime.state().vault().clone(), NonceSeed::draw(runtime.random()));
    let now = runtime.clock().now();
    let trail = Trail::system(vault.clone(), ACTION, now);
    let sealed = runtime.change(move |tx| {
        store::lock(tx)?;
        trail.run(tx, |tx, trail| {
            let values = Values::of_table();
            let writer = Writer { vault: &vault, seed: &seed, now, values: &values };
            let sealed = store::seal_clear_rows(tx, &writer)?;
            if sealed.len() > 0 {
                sealed.record(trail);
            } else {
                trail.unchanged();
            }
            Ok(sealed.len())
        })
    });
    if sealed.await? > 0 {
        let db = runtime.db().clone();
        runtime.tasks().spawn(async move { erase_clear_text(&db).await });
    }
    Ok(())
}
