//! When things were last used: service keys by calls, env values by reads.
//!
//! Uses happen in every call, so they touch memory alone: one number per thing, to the second, which
//! outlives the snapshots. A loop exchanges these numbers with the database: what is newer here is
//! written there, and what other nodes wrote is taken over.

use std::collections::HashMap;
use std::sync::atomic::{AtomicI64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use downcity_db::{Db, Sql};
use downcity_types::Timestamp;

use crate::call::lock;
use crate::{Clock, Error, Result, Runtime};

/// The distance between two exchanges.
const EVERY: Duration = Duration::from_secs(10);
/// How long the last exchange of a node may take.
const LAST: Duration = Duration::from_secs(2);
/// Rows per transaction, so that an exchange never keeps other writers waiting.
const CHUNK: usize = 500;

/// When one thing was last used, in seconds since 1970; 0 = never.
#[derive(Debug, Default)]
pub(crate) struct LastUse {
    at: AtomicI64,
    /// What the database says.
    stored: AtomicI64,
}

impl LastUse {
    /// Notes a use at `now`. Within one second the first one writes, and the others only look.
    pub(crate) fn note(&self, now: i64) {
        if self.at() < now {
            self.at.fetch_max(now, Ordering::Relaxed);
        }
    }

    fn at(&self) -> i64 {
        self.at.load(Ordering::Relaxed)
    }
}

/// The last uses of all things of one kind that this node has seen.
pub(crate) struct Uses {
    clock: Arc<dyn Clock>,
    things: Mutex<HashMap<String, Arc<LastUse>>>,
    /// Writes one time: `$1` is the id, `$2` the milliseconds. It leaves a later time alone.
    write: &'static Sql,
    /// Lists id and milliseconds of everything that was ever used.
    read: &'static Sql,
}

impl Uses {
    pub(crate) fn new(clock: Arc<dyn Clock>, write: &'static Sql, read: &'static Sql) -> Self {
        Self { clock, things: Mutex::default(), write, read }
    }

    /// The last use of the thing with this id: for those who load a snapshot.
    pub(crate) fn of(&self, id: &str) -> Arc<LastUse> {
        let mut things = lock(&self.things);
        match things.get(id) {
            Some(known) => known.clone(),
            None => things.entry(id.to_owned()).or_default().clone(),
        }
    }

    /// Notes a use now.
    pub(crate) fn note(&self, last_use: &LastUse) {
        last_use.note(self.clock.now_seconds());
    }

    /// When a thing was last used.
    pub(crate) fn last(&self, id: &str) -> Option<Timestamp> {
        let at = lock(&self.things).get(id)?.at();
        (at > 0).then(|| Timestamp::from_seconds(at))
    }

    /// What is newer than in the database, in the order of ids, in which all nodes write.
    fn unsaved(&self) -> Vec<(String, i64)> {
        let newer = |(id, last_use): (&String, &Arc<LastUse>)| {
            let at = last_use.at();
            (at > last_use.stored.load(Ordering::Relaxed)).then(|| (id.clone(), at))
        };
        let mut unsaved: Vec<_> = lock(&self.things).iter().filter_map(newer).collect();
        unsaved.sort_unstable();
        unsaved
    }

    async fn exchange(&self, db: &Db) -> Result<()> {
        let (write, read) = (self.write, self.read);
        for chunk in self.unsaved().chunks(CHUNK) {
            let chunk = chunk.to_vec();
            let save = db.write(move |tx| {
                for (id, at) in &chunk {
                    tx.execute(write, &[id, &Timestamp::from_seconds(*at).millis()])?;
                }
                Ok::<_, Error>(())
            });
            save.await?;
        }
        let rows = db.scan(move |tx| {
            let rows = tx.query(read, &[])?;
            let seconds = |millis: i64| Timestamp::from_millis(millis).seconds();
            rows.iter()
                .map(|row| Ok::<_, Error>((row.at(0)?, seconds(row.at(1)?))))
                .collect::<Result<Vec<(String, i64)>, _>>()
        });
        self.merge(rows.await?);
        Ok(())
    }

    /// Takes over what stands in the database.
    fn merge(&self, rows: Vec<(String, i64)>) {
        let mut things = lock(&self.things);
        for (id, at) in rows {
            let last_use = things.entry(id).or_default();
            last_use.stored.fetch_max(at, Ordering::Relaxed);
            last_use.at.fetch_max(at, Ordering::Relaxed);
        }
    }
}

/// All that a node notes the last use of.
pub(crate) struct LastUses {
    pub(crate) env: Arc<Uses>,
    pub(crate) keys: Uses,
}

impl LastUses {
    pub(crate) fn new(clock: Arc<dyn Clock>) -> Self {
        Self { env: Arc::new(crate::env::uses(clock.clone())), keys: crate::keys::uses(clock) }
    }

    fn is_saved(&self) -> bool {
        self.env.unsaved().is_empty() && self.keys.unsaved().is_empty()
    }
}

/// Writes down what was used on this node since the last time, and learns of the uses on other
/// nodes. Nodes do so by themselves every ten seconds, and when they stop.
///
/// # Errors
/// When the database does not answer; nothing is lost then.
pub async fn exchange(runtime: &Runtime) -> Result<()> {
    let uses = runtime.state().last_uses();
    uses.env.exchange(runtime.db()).await?;
    uses.keys.exchange(runtime.db()).await
}

/// Exchanges last uses until the node stops.
pub(crate) async fn exchange_forever(runtime: Arc<Runtime>) {
    loop {
        if let Err(error) = exchange(&runtime).await {
            tracing::debug!(%error, "the last uses of keys and env values are not written down yet");
        }
        tokio::time::sleep(EVERY).await;
    }
}

/// The last exchange, when a node stops. A database that is away does not hold it up.
pub(crate) async fn exchange_at_end(runtime: &Runtime) {
    if runtime.state().last_uses().is_saved() {
        return;
    }
    let saved = tokio::time::timeout(LAST, exchange(runtime)).await;
    if !matches!(saved, Ok(Ok(()))) {
        tracing::warn!("the last uses of keys and env values could not be written down");
    }
}
