//! The PostgreSQL backend: one thread per connection, fed by a queue for each kind of work.

mod connection;
mod error;
mod link;
mod listen;
mod session;
mod tls;
mod worker;

use std::sync::{Arc, Mutex, PoisonError};
use std::thread::JoinHandle;

pub(crate) use connection::PgConnection;
pub(crate) use error::translate;
pub(crate) use listen::NODES_KEY;
pub(crate) use session::{Ended, Session};
pub(crate) use tls::{Connector, connector};

use crate::error::{DbError, DbErrorKind};
use crate::job::{Job, Queue};
use crate::options::DbOptions;
use crate::revision::Notifier;
use crate::url::PostgresTarget;
use link::Link;
use worker::{Settings, Worker};

/// What a server can do beyond plain SQL.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Features {
    /// `pg_notify` exists.
    pub(crate) notify: bool,
}

/// The three kinds of work, each with connections of its own.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Lane {
    Write,
    Read,
    Scan,
}

/// An open PostgreSQL database.
pub(crate) struct Postgres {
    target: PostgresTarget,
    connector: Connector,
    features: Features,
    writes: Arc<Queue>,
    reads: Arc<Queue>,
    scans: Arc<Queue>,
    threads: Mutex<Vec<JoinHandle<()>>>,
}

impl Postgres {
    /// Starts the threads; each connects when it gets its first job.
    pub(crate) fn start(
        target: &PostgresTarget,
        options: &DbOptions,
        features: Features,
        notifier: Arc<Notifier>,
    ) -> Result<Self, DbError> {
        let queue = || Arc::new(Queue::new(options.queue_limit, options.queue_wait));
        let this = Self {
            target: target.clone(),
            connector: connector(target)?,
            features,
            writes: queue(),
            reads: queue(),
            scans: queue(),
            threads: Mutex::default(),
        };
        let link = Arc::new(Link::default());
        for (lane, count) in [
            (Lane::Write, options.write_connections),
            (Lane::Read, options.read_connections),
            (Lane::Scan, options.scan_connections),
        ] {
            for _ in 0..count.max(1) {
                let worker = Worker::new(
                    Settings {
                        target: target.clone(),
                        connector: this.connector.clone(),
                        features,
                        lane,
                        connect_timeout: options.connect_timeout,
                        limit: match lane {
                            Lane::Scan => options.scan_limit,
                            Lane::Write | Lane::Read => options.closure_limit,
                        },
                        replay: options.replay_writes && lane == Lane::Write,
                    },
                    Arc::clone(&link),
                    Arc::clone(&notifier),
                );
                if let Err(error) = this.start_thread(lane, worker) {
                    this.close();
                    return Err(error);
                }
            }
        }
        Ok(this)
    }

    fn start_thread(&self, lane: Lane, mut worker: Worker) -> Result<(), DbError> {
        let queue = Arc::clone(self.queue(lane));
        let thread = std::thread::Builder::new()
            .name(format!("db-{lane:?}").to_lowercase())
            .spawn(move || {
                while let Some(jobs) = queue.pop(1) {
                    for job in jobs {
                        worker.serve(job);
                    }
                }
            })
            .map_err(|error| {
                DbError::new(
                    DbErrorKind::Unavailable,
                    format!("no thread for a database connection: {error}"),
                )
            })?;
        self.threads.lock().unwrap_or_else(PoisonError::into_inner).push(thread);
        Ok(())
    }

    pub(crate) fn submit(&self, lane: Lane, job: Box<dyn Job>) -> Result<(), DbError> {
        self.queue(lane).push(job)
    }

    /// The task that follows the server's notices, if the server has them.
    pub(crate) fn listen(
        &self,
        notifier: Arc<Notifier>,
    ) -> Option<impl Future<Output = ()> + Send + 'static> {
        self.features
            .notify
            .then(|| listen::follow(self.target.clone(), self.connector.clone(), notifier))
    }

    /// Refuses further writes, and ends the connections for them.
    pub(crate) fn refuse_writes(&self) {
        self.writes.close();
    }

    /// Refuses further work. What is queued is still carried out.
    pub(crate) fn close(&self) {
        for queue in [&self.writes, &self.reads, &self.scans] {
            queue.close();
        }
    }

    /// The threads, for whoever waits for their end first.
    pub(crate) fn take_threads(&self) -> Vec<JoinHandle<()>> {
        std::mem::take(&mut *self.threads.lock().unwrap_or_else(PoisonError::into_inner))
    }

    fn queue(&self, lane: Lane) -> &Arc<Queue> {
        match lane {
            Lane::Write => &self.writes,
            Lane::Read => &self.reads,
            Lane::Scan => &self.scans,
        }
    }
}
