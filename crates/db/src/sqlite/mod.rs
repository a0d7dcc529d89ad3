//! The SQLite backend: one writer thread with group commit, a pool of read-only connections.

mod connection;
mod copy;
mod place;
mod reader;
mod writer;

use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::JoinHandle;

pub(crate) use connection::{
    execute, open_plain, prepare, prepare_file, query, sync_folder, translate, writer_pragmas,
};
pub(crate) use copy::{beside, not_written, private_file, write_copy};

use crate::error::DbError;
use crate::job::{Job, Queue};
use crate::options::DbOptions;
use crate::revision::Notifier;
pub(crate) use reader::Readers;

/// An open SQLite database.
pub(crate) struct Sqlite {
    queue: Arc<Queue>,
    writer: Mutex<Option<JoinHandle<()>>>,
    pub(crate) readers: Arc<Readers>,
}

impl Sqlite {
    /// Opens the migrated database and starts its writer.
    pub(crate) fn start(
        path: &Path,
        options: &DbOptions,
        notifier: Arc<Notifier>,
    ) -> Result<Self, DbError> {
        let queue = Arc::new(Queue::new(options.queue_limit, options.queue_wait));
        let writer = writer::start(path, options, Arc::clone(&queue), notifier)?;
        let readers = Arc::new(Readers::new(path, options));
        Ok(Self { queue, writer: Mutex::new(Some(writer)), readers })
    }

    /// Opens a database as it stands, with no writer.
    pub(crate) fn to_read(path: &Path, options: &DbOptions) -> Self {
        let queue = Arc::new(Queue::new(0, options.queue_wait));
        queue.close();
        let readers = Arc::new(Readers::new(path, options));
        Self { queue, writer: Mutex::default(), readers }
    }

    pub(crate) fn submit(&self, job: Box<dyn Job>) -> Result<(), DbError> {
        self.queue.push(job)
    }

    /// Refuses further work. What is queued is still committed.
    pub(crate) fn close(&self) {
        self.queue.close();
        self.readers.close();
    }

    /// The writer thread, for whoever waits for its end first.
    pub(crate) fn take_threads(&self) -> Vec<JoinHandle<()>> {
        self.writer.lock().unwrap_or_else(PoisonError::into_inner).take().into_iter().collect()
    }
}
