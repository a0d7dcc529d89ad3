//! Nodes count together: what they told each other last stands in the table `limit_windows`.

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use downcity_db::{Tx, sql};

use super::table::Busy;
use super::window::SLICES;
use super::{Limiter, SHARED_FROM};
use crate::{Ids, Result, Runtime};

/// How often nodes tell each other. A limit can be passed by what the others let in meanwhile.
const EVERY: Duration = Duration::from_secs(1);

/// Windows that a node tells of at most, those nearest to their limit first: some 80 KiB of text.
const MOST: usize = 1_000;

/// A row holds the windows of one node as JSON: number of the key, newest slice, counts by slice up
/// to the newest. Counts are totals: whoever reads them twice counts them once.
type Told = (u64, i64, [u32; SLICES]);

/// What a node remembers of telling others.
#[derive(Default)]
pub(super) struct Sharing {
    /// The name of this node's row, made when there is something to tell.
    node: String,
    /// The newest slice in the node's row, while it has one.
    told: Option<i64>,
}

/// Tells other nodes of this node's windows, hears of theirs, and forgets what is over, until the
/// node stops.
pub(crate) async fn share_regularly(runtime: Arc<Runtime>) {
    let mut fails = false;
    let mut swept = runtime.clock().now();
    loop {
        tokio::time::sleep(EVERY).await;
        let limiter = runtime.limiter();
        match limiter.share(&runtime).await {
            Ok(_) => fails = false,
            Err(error) => {
                if !fails {
                    tracing::warn!(%error, "limits are counted by each node alone until the database answers");
                }
                fails = true;
            }
        }
        let now = runtime.clock().now();
        if now.millis().abs_diff(swept.millis()) >= limiter.settings.window.as_millis() as u64 {
            limiter.table.sweep(limiter.measure.at(now.millis()).slice);
            swept = now;
        }
    }
}

impl Limiter {
    /// One round of telling and hearing; says of how many windows this node told. Does nothing
    /// while no window has counted a good part of its limit.
    ///
    /// # Errors
    /// Those of the database; this node's own counts stand.
    pub async fn share(&self, runtime: &Runtime) -> Result<usize> {
        let slice = self.measure.at(runtime.clock().now().millis()).slice;
        let mut sharing = self.sharing.lock().await;
        if !self.busy.swap(false, Ordering::Relaxed) {
            sharing.withdraw(runtime, slice).await?;
            return Ok(0);
        }
        let told = told(self.table.busy(slice, SHARED_FROM));
        let count = told.len();
        let heard = sharing.exchange(runtime, slice, told).await;
        let heard = heard.inspect_err(|_| self.busy.store(true, Ordering::Relaxed))?;
        for (id, counts) in heard {
            self.table.peek(id, slice, |window| window.set_others(&counts));
        }
        Ok(count)
    }
}

fn told(mut busy: Vec<Busy>) -> Vec<Told> {
    if busy.len() > MOST {
        busy.select_nth_unstable_by_key(MOST, |window| std::cmp::Reverse(window.share));
        busy.truncate(MOST);
    }
    busy.into_iter().map(|window| (window.id, window.newest, window.counts)).collect()
}

impl Sharing {
    /// Writes this node's row and reads those of the others, by key.
    async fn exchange(
        &mut self,
        runtime: &Runtime,
        slice: i64,
        told: Vec<Told>,
    ) -> Result<HashMap<u64, Vec<(i64, [u32; SLICES])>>> {
        if self.node.is_empty() {
            self.node = node_name(runtime.ids());
        }
        let node = self.node.clone();
        let counts = serde_json::to_string(&told).map_err(crate::Error::internal)?;
        self.told = Some(slice);
        let rows = runtime.db().write(move |tx| {
            forget_old(tx, slice)?;
            put(tx, &node, slice, &counts)?;
            others(tx, &node)
        });
        let mut heard: HashMap<u64, Vec<(i64, [u32; SLICES])>> = HashMap::new();
        for row in rows.await? {
            // A row that cannot be read is from a later version: its node is counted apart.
            let windows: Vec<Told> = serde_json::from_str(&row).unwrap_or_default();
            for (id, newest, counts) in windows {
                heard.entry(id).or_default().push((newest, counts));
            }
        }
        Ok(heard)
    }

    /// Removes this node's row, and those of nodes that ended, when its counts are over.
    async fn withdraw(&mut self, runtime: &Runtime, slice: i64) -> Result<()> {
        let Some(told) = self.told else { return Ok(()) };
        if slice.abs_diff(told) <= SLICES as u64 {
            return Ok(());
        }
        runtime.db().write(move |tx| forget_old(tx, slice)).await?;
        self.told = None;
        Ok(())
    }
}

fn node_name(ids: &Ids) -> String {
    ids.secret::<9>("node_")
}

fn put(tx: &mut Tx<'_>, node: &str, slice: i64, counts: &str) -> Result<()> {
    tx.execute(
        sql!(
            "INSERT INTO limit_windows (node, newest, counts) VALUES ($1, $2, $3)
             ON CONFLICT (node) DO UPDATE SET newest = excluded.newest, counts = excluded.counts"
        ),
        &[&node, &slice, &counts],
    )?;
    Ok(())
}

fn others(tx: &mut Tx<'_>, node: &str) -> Result<Vec<String>> {
    let rows = tx.query(sql!("SELECT counts FROM limit_windows WHERE node <> $1"), &[&node])?;
    rows.iter().map(|row| Ok(row.at(0)?)).collect()
}

/// Deletes rows whose counts are over, and those of a clock that was wrong.
fn forget_old(tx: &mut Tx<'_>, slice: i64) -> Result<()> {
    let span = SLICES as i64;
    tx.execute(
        sql!("DELETE FROM limit_windows WHERE newest < $1 OR newest > $2"),
        &[&slice.saturating_sub(span), &slice.saturating_add(span)],
    )?;
    Ok(())
}
