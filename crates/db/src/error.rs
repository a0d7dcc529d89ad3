//! The one error of this crate.

use std::borrow::Cow;

/// What went wrong, the same on both engines: callers branch on this and on nothing else.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum DbErrorKind {
    /// A row with the same unique key exists.
    UniqueViolation,
    /// A CHECK, or a trigger that guards a table, refused the row.
    CheckViolation,
    /// A referenced row is missing, or a row is still referenced.
    ForeignKeyViolation,
    /// A required column was NULL.
    NotNull,
    /// Concurrent transactions kept colliding after all automatic retries.
    SerializationFailure,
    /// The database is locked by somebody else, or too many closures are waiting.
    Busy,
    /// The closure, or one of its statements, took longer than its time limit.
    Timeout,
    /// The database cannot be reached, or its file cannot be opened, read or written.
    Unavailable,
    /// COMMIT was sent and its answer was lost: the transaction may or may not have happened.
    CommitUnknown,
    /// The database was migrated by a newer binary.
    SchemaNewer {
        /// Service whose schema is newer.
        service: &'static str,
        /// Version found in the database.
        found: u32,
        /// Newest version that this binary knows.
        known: u32,
    },
    /// An applied migration differs from the one of the same number in this binary.
    SchemaDivergent,
    /// A write was tried in a closure that may only read.
    ReadOnly,
    /// No space is left for the database.
    DiskFull,
    /// A value does not have the type that the caller asked for.
    Decode,
    /// A parameter cannot be stored on both engines (a NUL character in text, a float that is not a
    /// number), or does not fit its statement.
    InvalidValue,
    /// A query that must give one row gave none or several.
    RowCount,
    /// The handle was closed.
    Closed,
    /// The closure panicked; its changes were rolled back.
    Panicked,
    /// The database that a copy is to be put into holds something already.
    NotEmpty,
    /// The URL or an option cannot be used.
    Config,
    /// Any other error of the engine, such as a malformed statement.
    Engine,
}

/// An error of the database layer.
///
/// Its text is safe for logs: it may show SQL identifiers, never a parameter or a stored value.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{message}")]
pub struct DbError {
    kind: DbErrorKind,
    message: Cow<'static, str>,
    is_local: bool,
}

impl DbError {
    pub(crate) fn new(kind: DbErrorKind, message: impl Into<Cow<'static, str>>) -> Self {
        Self { kind, message: message.into(), is_local: false }
    }

    pub(crate) fn closed() -> Self {
        Self::new(DbErrorKind::Closed, "the database handle is closed")
    }

    pub(crate) fn busy() -> Self {
        Self::new(DbErrorKind::Busy, "too many transactions are waiting for the database")
    }

    pub(crate) fn timeout() -> Self {
        Self::new(DbErrorKind::Timeout, "the transaction took longer than its time limit")
    }

    pub(crate) fn parameter_count(expected: usize, given: usize) -> Self {
        Self::new(
            DbErrorKind::InvalidValue,
            format!("the statement has {expected} parameters, {given} were given"),
        )
    }

    /// What went wrong.
    pub fn kind(&self) -> DbErrorKind {
        self.kind
    }

    /// True for an error of a file on this machine, rather than of a database server.
    pub fn is_local(&self) -> bool {
        self.is_local
    }

    /// True for a duplicate of a unique key.
    pub fn is_unique_violation(&self) -> bool {
        self.kind == DbErrorKind::UniqueViolation
    }

    /// True where the same call can succeed a little later without any change by the caller.
    /// `CommitUnknown` is not among them: only an idempotent call may be repeated then.
    pub fn is_transient(&self) -> bool {
        matches!(
            self.kind,
            DbErrorKind::SerializationFailure
                | DbErrorKind::Busy
                | DbErrorKind::Timeout
                | DbErrorKind::Unavailable
        )
    }

    /// What a refusal to write means to whoever is meant to: the database accepts no changes at the
    /// moment, as after its disk was mounted read-only or its server became a standby.
    pub(crate) fn of_a_writer(self) -> Self {
        match self.kind {
            DbErrorKind::ReadOnly => Self::new(
                DbErrorKind::Unavailable,
                format!("the database accepts no changes: {}", self.message),
            ),
            _ => self,
        }
    }

    /// Adds where the error happened, keeping its kind.
    pub(crate) fn within(self, place: &str) -> Self {
        let message = format!("{place}: {}", self.message).into();
        Self { message, ..self }
    }

    /// Adds what else is to be known, keeping its kind.
    pub(crate) fn followed_by(self, more: &str) -> Self {
        let message = format!("{}{more}", self.message).into();
        Self { message, ..self }
    }

    /// Says that it is about a file on this machine.
    pub(crate) fn of_a_file(self) -> Self {
        Self { is_local: true, ..self }
    }
}
