//! The writer thread: group commit.
//!
//! Whatever waits is taken as one batch into one transaction, each closure in a savepoint of its
//! own, and made durable by one commit. Nobody is answered before that commit, so an answer means
//! that the change is on disk. While a commit waits for the disk, the next batch gathers.

use std::path::Path;
use std::sync::Arc;
use std::thread::JoinHandle;
use std::time::Duration;

use super::connection::Guarded;
use crate::error::{DbError, DbErrorKind};
use crate::job::{Job, Queue, Verdict};
use crate::options::DbOptions;
use crate::revision::Notifier;
use crate::tx::Tx;

/// Opens the writing connection and starts its thread.
pub(super) fn start(
    path: &Path,
    options: &DbOptions,
    queue: Arc<Queue>,
    notifier: Arc<Notifier>,
) -> Result<JoinHandle<()>, DbError> {
    let writer = Writer {
        connection: Guarded::writer(path, options.connect_timeout)?,
        notifier,
        limit: options.closure_limit,
        replay: options.replay_writes,
    };
    let most = options.batch_limit.max(1);
    std::thread::Builder::new()
        .name("db-writer".to_owned())
        .spawn(move || {
            while let Some(jobs) = queue.pop(most) {
                writer.serve(jobs);
            }
        })
        .map_err(|error| {
            DbError::new(DbErrorKind::Unavailable, format!("no thread for the writer: {error}"))
        })
}

struct Writer {
    connection: Guarded,
    notifier: Arc<Notifier>,
    limit: Duration,
    replay: bool,
}

/// Why a batch was not committed.
enum Lost {
    /// Nothing ran: the transaction could not begin.
    NotBegun(DbError),
    /// The engine ended the transaction under the closure at this place in the batch.
    At(usize),
    /// A command of the batch itself, COMMIT above all, failed.
    Failed(DbError),
}

impl Writer {
    fn serve(&self, mut jobs: Vec<Box<dyn Job>>) {
        jobs.retain(|job| !job.abandoned());
        if jobs.is_empty() {
            return;
        }
        match self.transact(&mut jobs) {
            Ok(()) => jobs.into_iter().for_each(Job::answer),
            Err(Lost::NotBegun(error)) => fail_all(jobs, &error),
            Err(Lost::Failed(error)) if jobs.len() == 1 => fail_all(jobs, &error),
            // The closure under which the engine gave up has its error. The others did nothing
            // wrong: their changes are gone, so each is run again, alone.
            Err(lost) => {
                for (index, job) in jobs.into_iter().enumerate() {
                    if matches!(lost, Lost::At(at) if at == index) {
                        job.answer();
                    } else {
                        self.serve(vec![job]);
                    }
                }
            }
        }
    }

    /// Runs all jobs in one transaction and commits it.
    fn transact(&self, jobs: &mut [Box<dyn Job>]) -> Result<(), Lost> {
        self.connection.disarm();
        self.connection.command("BEGIN IMMEDIATE").map_err(Lost::NotBegun)?;
        let alone = jobs.len() == 1 && !self.replay;
        let mut revision = None;
        let mut changed = false;
        for (index, job) in jobs.iter_mut().enumerate() {
            let outcome = if alone {
                Ok(self.attempt(job.as_mut()))
            } else {
                self.in_savepoint(job.as_mut())
            };
            // A full disk, an I/O error or an interrupted change can end the whole transaction and
            // not just the savepoint.
            if self.connection.connection.is_autocommit() {
                return Err(Lost::At(index));
            }
            let (verdict, made) = outcome.map_err(|error| self.abort(error))?;
            if verdict == Verdict::Commit {
                changed = true;
                revision = made.or(revision);
            }
        }
        self.connection.disarm();
        if changed {
            self.connection.command("COMMIT").map_err(|error| self.abort(unknown(error)))?;
        } else {
            self.connection.command("ROLLBACK").map_err(|error| self.abort(error))?;
        }
        if let Some(revision) = revision {
            self.notifier.publish(revision);
        }
        Ok(())
    }

    fn in_savepoint(&self, job: &mut dyn Job) -> Result<(Verdict, Option<i64>), DbError> {
        self.connection.command("SAVEPOINT closure")?;
        let mut outcome = self.attempt(job);
        if self.replay && outcome.0 != Verdict::Panicked {
            self.connection.disarm();
            self.connection.command("ROLLBACK TO closure")?;
            outcome = self.attempt(job);
        }
        self.connection.disarm();
        if outcome.0 != Verdict::Commit {
            self.connection.command("ROLLBACK TO closure")?;
        }
        self.connection.command("RELEASE closure")?;
        Ok(outcome)
    }

    fn attempt(&self, job: &mut dyn Job) -> (Verdict, Option<i64>) {
        let deadline = self.connection.arm(self.limit);
        let mut tx = Tx::sqlite(&self.connection.connection, deadline);
        let verdict = job.attempt(&mut tx);
        (verdict, tx.revision())
    }

    /// Ends what is left of a transaction after one of the batch's own commands failed.
    fn abort(&self, error: DbError) -> Lost {
        self.connection.disarm();
        if !self.connection.connection.is_autocommit()
            && let Err(second) = self.connection.command("ROLLBACK")
        {
            tracing::error!(error = %second, "a failed transaction could not be rolled back");
        }
        Lost::Failed(error)
    }
}

/// A COMMIT that failed on the disk may still be found, complete, in the log after a crash.
fn unknown(error: DbError) -> DbError {
    if error.kind() == DbErrorKind::Unavailable {
        DbError::new(DbErrorKind::CommitUnknown, error.to_string())
    } else {
        error
    }
}

fn fail_all(jobs: Vec<Box<dyn Job>>, error: &DbError) {
    for mut job in jobs {
        job.fail(error.clone());
        job.answer();
    }
}
