//! The writer thread: group commit.
//!
//! Whatever waits is taken as one batch into one transaction, each closure in a savepoint of its
//! own, and made durable by one commit. Nobody is answered before that commit, so an answer means
//! that the change is on disk. While a commit waits for the disk, the next batch gathers.
//!
//! After a fault of the disk the writer opens the file anew before it goes on: a connection that
//! found a read-only disk, say, stays read-only after the disk is not.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::thread::JoinHandle;
use std::time::Duration;

use super::connection::Guarded;
use super::place::{Missing, Place};
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
    let mut writer = Writer {
        connection: Guarded::writer(path, options.connect_timeout)?,
        path: path.to_owned(),
        place: Place::of(path),
        busy_timeout: options.connect_timeout,
        is_suspect: false,
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
    path: PathBuf,
    place: Place,
    busy_timeout: Duration,
    /// The disk failed under the connection, or its files were not in place: look before going on.
    is_suspect: bool,
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
    /// The commit succeeded in files that are not where the next start looks for them.
    Misplaced(DbError),
}

impl Writer {
    fn serve(&mut self, mut jobs: Vec<Box<dyn Job>>) {
        jobs.retain(|job| !job.abandoned());
        if jobs.is_empty() {
            return;
        }
        let done = match self.look() {
            Ok(()) => self.transact(&mut jobs),
            Err(error) => Err(Lost::NotBegun(error)),
        };
        match done {
            Ok(()) => jobs.into_iter().for_each(Job::answer),
            Err(Lost::NotBegun(error) | Lost::Misplaced(error)) => fail_all(jobs, &error),
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

    /// After a fault: are the files in place, and does a new connection work?
    fn look(&mut self) -> Result<(), DbError> {
        if !self.is_suspect {
            return Ok(());
        }
        self.place.check().map_err(|missing| self.place.error(missing))?;
        // Opened before the old one is closed: closing the last connection would remove the log.
        let connection = Guarded::writer(&self.path, self.busy_timeout)?;
        self.connection = connection;
        self.is_suspect = false;
        Ok(())
    }

    /// Runs all jobs in one transaction and commits it.
    fn transact(&mut self, jobs: &mut [Box<dyn Job>]) -> Result<(), Lost> {
        self.connection.disarm();
        self.connection.command("BEGIN IMMEDIATE").map_err(|error| {
            let error = error.of_a_writer();
            self.suspect(&error);
            Lost::NotBegun(error)
        })?;
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
                self.is_suspect = true;
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
            self.place.check().map_err(|missing| self.misplaced(missing))?;
        } else {
            self.connection.command("ROLLBACK").map_err(|error| self.abort(error))?;
        }
        if let Some(revision) = revision {
            self.notifier.publish(revision);
        }
        Ok(())
    }

    fn in_savepoint(&mut self, job: &mut dyn Job) -> Result<(Verdict, Option<i64>), DbError> {
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

    fn attempt(&mut self, job: &mut dyn Job) -> (Verdict, Option<i64>) {
        let deadline = self.connection.arm(self.limit);
        let mut tx = Tx::sqlite(&self.connection.connection, deadline, true);
        let verdict = job.attempt(&mut tx);
        let (revision, fault) = (tx.revision(), tx.fault().cloned());
        if let Some(fault) = fault {
            self.suspect(&fault);
        }
        (verdict, revision)
    }

    /// What the callers of a commit are told whose files are not in place.
    fn misplaced(&mut self, missing: Missing) -> Lost {
        self.is_suspect = true;
        let error = self.place.error(missing);
        tracing::error!(%error, "the database is not where it was");
        // Whoever was answered before has changes in the log that only this process can see now.
        if missing == Missing::Log
            && self.place.is_file_in_place()
            && let Err(error) = self.connection.command("PRAGMA wal_checkpoint(PASSIVE)")
        {
            tracing::error!(%error, "the log could not be saved into the database");
        }
        Lost::Misplaced(DbError::new(DbErrorKind::CommitUnknown, error.to_string()))
    }

    /// Notes an error after which the connection may be of no use.
    fn suspect(&mut self, error: &DbError) {
        self.is_suspect |=
            matches!(error.kind(), DbErrorKind::Unavailable | DbErrorKind::CommitUnknown);
    }

    /// Ends what is left of a transaction after one of the batch's own commands failed.
    fn abort(&mut self, error: DbError) -> Lost {
        let error = error.of_a_writer();
        self.suspect(&error);
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
