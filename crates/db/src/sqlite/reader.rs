//! The pool of read-only connections.

use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::sync::{OwnedSemaphorePermit, Semaphore, SemaphorePermit};
use tokio::time::timeout;

use super::connection::Guarded;
use crate::error::DbError;
use crate::job::run_closure;
use crate::options::DbOptions;
use crate::tx::Tx;

/// Read-only connections, opened when first needed. Point reads and scans have permits of their
/// own, so that long scans never keep point reads waiting.
pub(crate) struct Readers {
    path: PathBuf,
    busy_timeout: Duration,
    /// How long to wait for a turn.
    patience: Duration,
    read_limit: Duration,
    scan_limit: Duration,
    reads: Semaphore,
    scans: Arc<Semaphore>,
    idle: Mutex<Vec<Guarded>>,
    closed: AtomicBool,
}

impl Readers {
    pub(super) fn new(path: &Path, options: &DbOptions) -> Self {
        Self {
            path: path.to_owned(),
            busy_timeout: options.connect_timeout,
            patience: options.queue_wait,
            read_limit: options.closure_limit,
            scan_limit: options.scan_limit,
            reads: Semaphore::new(options.read_connections.max(1)),
            scans: Arc::new(Semaphore::new(options.scan_connections.max(1))),
            idle: Mutex::default(),
            closed: AtomicBool::new(false),
        }
    }

    /// Waits for the turn of a point read.
    pub(crate) async fn read_turn(&self) -> Result<SemaphorePermit<'_>, DbError> {
        match timeout(self.patience, self.reads.acquire()).await {
            Ok(turn) => turn.map_err(|_closed| DbError::closed()),
            Err(_elapsed) => Err(DbError::busy()),
        }
    }

    /// Waits for the turn of a scan. The turn goes with the scan: it ends when that does, also if
    /// nobody waits for its result any more.
    pub(crate) async fn scan_turn(&self) -> Result<OwnedSemaphorePermit, DbError> {
        match timeout(self.patience, Arc::clone(&self.scans).acquire_owned()).await {
            Ok(turn) => turn.map_err(|_closed| DbError::closed()),
            Err(_elapsed) => Err(DbError::busy()),
        }
    }

    /// Runs a point read on the calling thread.
    pub(crate) fn read<T, E, F>(&self, closure: F) -> Result<T, E>
    where
        F: FnMut(&mut Tx<'_>) -> Result<T, E>,
        E: From<DbError>,
    {
        self.run(closure, self.read_limit)
    }

    /// Runs a scan on the calling thread, which must be one that may block.
    pub(crate) fn scan<T, E, F>(&self, closure: F) -> Result<T, E>
    where
        F: FnMut(&mut Tx<'_>) -> Result<T, E>,
        E: From<DbError>,
    {
        self.run(closure, self.scan_limit)
    }

    fn run<T, E, F>(&self, mut closure: F, limit: Duration) -> Result<T, E>
    where
        F: FnMut(&mut Tx<'_>) -> Result<T, E>,
        E: From<DbError>,
    {
        let connection = self.take()?;
        // One transaction, so that all statements of the closure see the same state.
        connection.command("BEGIN")?;
        let deadline = connection.arm(limit);
        let (result, _verdict) =
            run_closure(&mut closure, &mut Tx::sqlite(&connection.connection, deadline, false));
        connection.disarm();
        // A connection that cannot end its transaction is not used again.
        if connection.command("COMMIT").is_ok() {
            self.put_back(connection);
        }
        result
    }

    /// Refuses further reads and closes idle connections.
    pub(super) fn close(&self) {
        self.closed.store(true, Ordering::Release);
        self.reads.close();
        self.scans.close();
        self.lock().clear();
    }

    fn take(&self) -> Result<Guarded, DbError> {
        let idle = self.lock().pop();
        match idle {
            Some(connection) => Ok(connection),
            None => Guarded::reader(&self.path, self.busy_timeout),
        }
    }

    fn put_back(&self, connection: Guarded) {
        let mut idle = self.lock();
        if !self.closed.load(Ordering::Acquire) {
            idle.push(connection);
        }
    }

    fn lock(&self) -> MutexGuard<'_, Vec<Guarded>> {
        self.idle.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
