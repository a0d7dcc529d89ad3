//! What the thread of a connection does.

use std::sync::Arc;
use std::time::{Duration, Instant};

use super::connection::PgConnection;
use super::link::Link;
use super::session::Session;
use super::{Connector, Features, Lane};
use crate::error::{DbError, DbErrorKind};
use crate::job::{Job, Verdict};
use crate::revision::Notifier;
use crate::tx::Tx;
use crate::url::PostgresTarget;

/// Runs of one closure that collides with others, the first included.
const ATTEMPTS: u32 = 8;
/// Runs of one closure whose connection is lost, the first included.
const CONNECTIONS: u32 = 3;
/// A connection that was not used for so long is looked at before it is used again.
const IDLE: Duration = Duration::from_secs(30);

/// What a worker needs to know.
pub(super) struct Settings {
    pub(super) target: PostgresTarget,
    pub(super) connector: Connector,
    pub(super) features: Features,
    pub(super) lane: Lane,
    pub(super) connect_timeout: Duration,
    pub(super) limit: Duration,
    pub(super) replay: bool,
}

/// The thread's side of a connection.
pub(super) struct Worker {
    settings: Settings,
    link: Arc<Link>,
    notifier: Arc<Notifier>,
    kept: Option<Kept>,
}

/// A connection between two jobs.
struct Kept {
    connection: PgConnection,
    since: Instant,
    /// The doubts at that time.
    doubts: u64,
}

/// Why a run did not come to an end.
enum Again {
    /// Another transaction was in the way.
    Collision(DbError),
    /// The connection was lost or is of no use, and COMMIT had not been sent.
    Lost(DbError),
}

impl Worker {
    pub(super) fn new(settings: Settings, link: Arc<Link>, notifier: Arc<Notifier>) -> Self {
        Self { settings, link, notifier, kept: None }
    }

    /// Runs one job to its end and answers it.
    pub(super) fn serve(&mut self, mut job: Box<dyn Job>) {
        if job.abandoned() {
            return;
        }
        let started = Instant::now();
        let (mut attempts, mut connections) = (1, 1);
        loop {
            let mut connection = match self.connection() {
                Ok(connection) => connection,
                Err(error) => {
                    job.fail(error);
                    break;
                }
            };
            match self.run(&mut connection, job.as_mut()) {
                Ok(()) => {
                    job.answer();
                    self.finish(connection);
                    return;
                }
                Err(Again::Collision(error)) => {
                    self.finish(connection);
                    if attempts == ATTEMPTS {
                        job.fail(error);
                        break;
                    }
                    std::thread::sleep(Duration::from_millis(1 << attempts));
                    attempts += 1;
                }
                Err(Again::Lost(error)) => {
                    self.part(&connection);
                    if connections == CONNECTIONS || started.elapsed() > self.settings.limit {
                        job.fail(error);
                        break;
                    }
                    connections += 1;
                }
            }
        }
        job.answer();
    }

    /// Runs the closure in a transaction and commits it if it is to be.
    fn run(&self, connection: &mut PgConnection, job: &mut dyn Job) -> Result<(), Again> {
        if self.settings.replay {
            self.begin(connection)?;
            let (verdict, fault, _) = self.attempt(connection, job);
            again(connection, fault)?;
            connection.roll_back();
            if verdict == Verdict::Panicked {
                return Ok(());
            }
        }
        self.begin(connection)?;
        let (verdict, fault, revision) = self.attempt(connection, job);
        again(connection, fault)?;
        // `finish` ends what stays open, after the caller has its answer.
        if self.settings.lane != Lane::Write || verdict != Verdict::Commit {
            return Ok(());
        }
        match connection.commit() {
            Ok(()) => {
                if let Some(revision) = revision {
                    self.notifier.publish(revision);
                }
                Ok(())
            }
            Err(error) if error.kind() == DbErrorKind::SerializationFailure => {
                Err(Again::Collision(error))
            }
            Err(_) if connection.is_broken() => {
                job.fail(DbError::new(
                    DbErrorKind::CommitUnknown,
                    "the connection was lost after COMMIT was sent: the change may or may not have been made",
                ));
                Ok(())
            }
            Err(error) => {
                job.fail(error);
                Ok(())
            }
        }
    }

    fn begin(&self, connection: &mut PgConnection) -> Result<(), Again> {
        let begin = match self.settings.lane {
            Lane::Write => "BEGIN ISOLATION LEVEL READ COMMITTED",
            Lane::Read | Lane::Scan => "BEGIN ISOLATION LEVEL REPEATABLE READ, READ ONLY",
        };
        connection.begin(begin).map_err(Again::Lost)
    }

    fn attempt(
        &self,
        connection: &mut PgConnection,
        job: &mut dyn Job,
    ) -> (Verdict, Option<DbError>, Option<i64>) {
        let mut tx = Tx::postgres(
            connection,
            Instant::now() + self.settings.limit,
            self.settings.lane == Lane::Write,
        );
        let verdict = job.attempt(&mut tx);
        (verdict, tx.fault().cloned(), tx.revision())
    }

    /// Ends a transaction that is still open and keeps the connection for the next job.
    fn finish(&mut self, mut connection: PgConnection) {
        connection.roll_back();
        if connection.is_broken() {
            self.part(&connection);
        } else {
            let (since, doubts) = (Instant::now(), self.link.doubts());
            self.kept = Some(Kept { connection, since, doubts });
        }
    }

    /// Draws the conclusion from the end of a connection.
    fn part(&self, connection: &PgConnection) {
        if connection.fell_silent() {
            tracing::warn!("a connection to the database fell silent; it is replaced");
            self.link.doubt();
        }
    }

    /// The kept connection, or a new one.
    fn connection(&mut self) -> Result<PgConnection, DbError> {
        if let Some(Kept { mut connection, since, doubts }) = self.kept.take()
            && !connection.is_broken()
        {
            let doubtful = doubts != self.link.doubts() || since.elapsed() > IDLE;
            if !doubtful || connection.answers() {
                return Ok(connection);
            }
        }
        let Settings { target, connector, features, limit, connect_timeout, .. } = &self.settings;
        self.link.admit(*connect_timeout)?;
        let connected = Session::connect(target, connector, *connect_timeout)
            .and_then(|session| PgConnection::new(session, *features, *limit));
        match &connected {
            Ok(_) => self.link.connected(),
            Err(error) => self.link.failed(error),
        }
        connected
    }
}

/// Whether the closure has to run again, whatever it made of the error it saw.
fn again(connection: &mut PgConnection, fault: Option<DbError>) -> Result<(), Again> {
    match fault {
        // A server that is up and takes no changes may have become a standby: a new connection
        // finds the one that does.
        Some(error) if connection.is_broken() || error.kind() == DbErrorKind::Unavailable => {
            Err(Again::Lost(error))
        }
        Some(error) if error.kind() == DbErrorKind::SerializationFailure => {
            Err(Again::Collision(error))
        }
        _ => Ok(()),
    }
}
