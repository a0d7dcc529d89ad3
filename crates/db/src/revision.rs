//! The revision: a counter in the database that tells every node when shared state has changed.

use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use tokio::sync::watch;
use tokio::task::JoinHandle;

use crate::sql::Sql;
use crate::{Db, DbError};

/// Channel name of PostgreSQL's LISTEN and NOTIFY.
pub(crate) const CHANNEL: &str = "downcity_revision";

/// PostgreSQL with NOTIFY: not registered, because it can be prepared on that engine only.
static BUMP_AND_NOTIFY: Sql = Sql::new(
    "WITH bumped AS (UPDATE db_revision SET value = value + 1 WHERE id = 1 RETURNING value)
     SELECT value, CAST(pg_notify('downcity_revision', CAST(value AS TEXT)) AS TEXT) FROM bumped",
    file!(),
    line!(),
);

pub(crate) fn bump_statement(notifies: bool) -> &'static Sql {
    if notifies {
        &BUMP_AND_NOTIFY
    } else {
        crate::sql!("UPDATE db_revision SET value = value + 1 WHERE id = 1 RETURNING value")
    }
}

/// The newest revision that this node has heard of. It never goes back.
pub(crate) struct Notifier {
    sender: watch::Sender<i64>,
    unreachable_since: Mutex<Option<Instant>>,
}

impl Notifier {
    pub(crate) fn new() -> Self {
        Self { sender: watch::Sender::new(0), unreachable_since: Mutex::default() }
    }

    pub(crate) fn publish(&self, revision: i64) {
        self.sender.send_if_modified(|seen| {
            let newer = revision > *seen;
            *seen = (*seen).max(revision);
            newer
        });
    }

    pub(crate) fn subscribe(&self) -> watch::Receiver<i64> {
        self.sender.subscribe()
    }

    pub(crate) fn unreachable_since(&self) -> Option<Instant> {
        *self.reach()
    }

    /// Takes in what came of a look at the revision that began at `began`.
    fn looked(&self, began: Instant, found: Result<i64, DbError>) {
        let mut since = self.reach();
        match found {
            Ok(revision) => {
                if let Some(since) = since.take() {
                    let seconds = since.elapsed().as_secs();
                    tracing::info!("the database answers again, after {seconds} s");
                }
                self.publish(revision);
            }
            Err(error) => {
                if since.is_none() {
                    *since = Some(began);
                    tracing::warn!(%error, "the database does not answer; trying again until it does");
                }
            }
        }
    }

    fn reach(&self) -> MutexGuard<'_, Option<Instant>> {
        self.unreachable_since.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Looks at the revision in the database every `interval`, for as long as the handle lives. This
/// is what makes nodes agree where there are no change notices.
pub(crate) async fn poll(db: crate::db::WeakDb, interval: Duration) {
    loop {
        tokio::time::sleep(interval).await;
        let Some(db) = db.upgrade() else { return };
        let began = Instant::now();
        let found = db.revision().await;
        db.notifier().looked(began, found);
    }
}

/// Starts a background task of a database handle.
#[expect(
    clippy::disallowed_methods,
    reason = "the one place of this crate that starts tasks; the handle keeps them and ends them on close"
)]
pub(crate) fn start(task: impl Future<Output = ()> + Send + 'static) -> JoinHandle<()> {
    tokio::spawn(task)
}

/// Reads the revision.
pub(crate) async fn read(db: &Db) -> Result<i64, DbError> {
    db.read(|tx| {
        tx.query_one(crate::sql!("SELECT value FROM db_revision WHERE id = 1"), &[])?.get("value")
    })
    .await
}
