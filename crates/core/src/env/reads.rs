//! When each value was last read.
//!
//! Reads happen in every call, so they touch memory alone: one number per key, to the second, which
//! outlives the snapshots. A loop exchanges these numbers with the table `env_reads`: what is newer
//! here is written there in one transaction, and what other nodes wrote is taken over.

use std::collections::HashMap;
use std::sync::atomic::{AtomicI64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use downcity_db::sql;
use downcity_types::Timestamp;

use super::EnvValues;
use crate::call::lock;
use crate::{Clock, Error, Result, Runtime};

/// The distance between two exchanges.
const EVERY: Duration = Duration::from_secs(10);
/// How long the last exchange of a node may take.
const LAST: Duration = Duration::from_secs(2);

/// When one key was last read, in seconds since 1970; 0 = never.
#[derive(Debug, Default)]
pub(crate) struct LastRead {
    at: AtomicI64,
    /// What the table says.
    stored: AtomicI64,
}

impl LastRead {
    fn at(&self) -> i64 {
        self.at.load(Ordering::Relaxed)
    }
}

/// The last reads of every key that this node has seen.
pub(crate) struct Reads {
    clock: Arc<dyn Clock>,
    keys: Mutex<HashMap<String, Arc<LastRead>>>,
}

impl Reads {
    pub(crate) fn new(clock: Arc<dyn Clock>) -> Arc<Self> {
        Arc::new(Self { clock, keys: Mutex::default() })
    }

    /// Notes reads of these values from now on.
    pub(crate) fn follow(self: &Arc<Self>, values: &mut EnvValues) {
        let mut keys = lock(&self.keys);
        for (key, entry) in &mut values.entries {
            entry.read = Some(keys.entry(key.clone()).or_default().clone());
        }
        values.reads = Some(self.clone());
    }

    /// Notes a read. Within one second the first one writes, and the others only look.
    pub(crate) fn note(&self, read: &LastRead) {
        let now = self.clock.now_seconds();
        if read.at() < now {
            read.at.fetch_max(now, Ordering::Relaxed);
        }
    }

    /// When a key was last read.
    pub(crate) fn last(&self, key: &str) -> Option<Timestamp> {
        let at = lock(&self.keys).get(key)?.at();
        (at > 0).then(|| Timestamp::from_seconds(at))
    }

    /// What is newer than in the table.
    fn unsaved(&self) -> Vec<(String, i64)> {
        let newer = |(key, read): (&String, &Arc<LastRead>)| {
            let at = read.at();
            (at > read.stored.load(Ordering::Relaxed)).then(|| (key.clone(), at))
        };
        lock(&self.keys).iter().filter_map(newer).collect()
    }

    /// Takes over what stands in the table.
    fn merge(&self, rows: Vec<(String, i64)>) {
        let mut keys = lock(&self.keys);
        for (key, at) in rows {
            let read = keys.entry(key).or_default();
            read.stored.fetch_max(at, Ordering::Relaxed);
            read.at.fetch_max(at, Ordering::Relaxed);
        }
    }
}

/// Writes down which values were read on this node since the last time, and learns of the reads on
/// other nodes. Nodes do so by themselves every ten seconds, and when they stop.
///
/// # Errors
/// When the database does not answer; nothing is lost then.
pub async fn exchange_reads(runtime: &Runtime) -> Result<()> {
    let reads = runtime.state().reads();
    let unsaved = reads.unsaved();
    if !unsaved.is_empty() {
        let write = runtime.db().write(move |tx| {
            for (key, at) in &unsaved {
                tx.execute(
                    sql!(
                        "INSERT INTO env_reads (key, last_read_at) VALUES ($1, $2)
                         ON CONFLICT (key) DO UPDATE SET last_read_at = excluded.last_read_at
                         WHERE env_reads.last_read_at < excluded.last_read_at"
                    ),
                    &[key, &Timestamp::from_seconds(*at).millis()],
                )?;
            }
            Ok::<_, Error>(())
        });
        write.await?;
    }
    let rows = runtime.db().scan(|tx| {
        let rows = tx.query(sql!("SELECT key, last_read_at FROM env_reads"), &[])?;
        let seconds = |millis: i64| Timestamp::from_millis(millis).seconds();
        rows.iter()
            .map(|row| Ok::<_, Error>((row.get("key")?, seconds(row.get("last_read_at")?))))
            .collect::<Result<Vec<(String, i64)>, _>>()
    });
    reads.merge(rows.await?);
    Ok(())
}

/// Exchanges reads until the node stops.
pub(crate) async fn exchange_reads_forever(runtime: Arc<Runtime>) {
    loop {
        if let Err(error) = exchange_reads(&runtime).await {
            tracing::debug!(%error, "the last reads of env values are not written down yet");
        }
        tokio::time::sleep(EVERY).await;
    }
}

/// The last exchange, when a node stops. A database that is away does not hold it up.
pub(crate) async fn exchange_last_reads(runtime: &Runtime) {
    if runtime.state().reads().unsaved().is_empty() {
        return;
    }
    let saved = tokio::time::timeout(LAST, exchange_reads(runtime)).await;
    if !matches!(saved, Ok(Ok(()))) {
        tracing::warn!("the last reads of env values could not be written down");
    }
}
