//! Why a Federation did not start, in one sentence for its operator.

use std::fmt;

use downcity_core::Error;
use downcity_db::{DbError, DbErrorKind};

use crate::config::ConfigError;

/// The class of a failure, which decides the exit code of the process.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FailureKind {
    /// Something failed.
    Failed,
    /// What was asked for does not exist.
    NotFound,
    /// A file, a folder or a key keeps the process out.
    NotAllowed,
    /// Something else has what is needed, such as the port.
    Conflict,
    /// The database does not answer.
    Unreachable,
}

impl FailureKind {
    /// The exit code: 1 failure, 3 not found, 4 not allowed, 5 conflict, 6 unreachable.
    pub const fn exit_code(self) -> u8 {
        match self {
            Self::Failed => 1,
            Self::NotFound => 3,
            Self::NotAllowed => 4,
            Self::Conflict => 5,
            Self::Unreachable => 6,
        }
    }
}

/// A Federation that did not start. Its text says what to do and holds no secret.
#[derive(Clone, Debug)]
pub struct StartError {
    kind: FailureKind,
    message: String,
}

impl StartError {
    /// An error with a sentence that says what to do next.
    pub fn new(kind: FailureKind, message: impl Into<String>) -> Self {
        Self { kind, message: message.into() }
    }

    /// The class of the failure.
    pub fn kind(&self) -> FailureKind {
        self.kind
    }

    /// A socket that could not be opened.
    pub(crate) fn bind(listen: &str, error: &std::io::Error) -> Self {
        let (kind, advice) = match error.kind() {
            std::io::ErrorKind::AddrInUse => (
                FailureKind::Conflict,
                "another program listens there; stop it, or choose another port with --listen, PORT or server.listen",
            ),
            std::io::ErrorKind::PermissionDenied => (
                FailureKind::NotAllowed,
                "this user may not; ports below 1024 need privileges, others do not",
            ),
            std::io::ErrorKind::AddrNotAvailable => (
                FailureKind::Failed,
                "this machine has no such address; 0.0.0.0 listens on all it has",
            ),
            _ => {
                return Self::new(
                    FailureKind::Failed,
                    format!("Cannot listen on {listen}: {error}."),
                );
            }
        };
        Self::new(kind, format!("Cannot listen on {listen}: {advice}."))
    }

    /// A kernel that did not start on the database shown as `database`.
    pub(crate) fn kernel(database: &str, error: &Error) -> Self {
        match cause(error) {
            Some(cause) => Self::database(database, cause),
            None => {
                // Without a cause in the database the message is for the operator already: it is
                // about the master key, or names the rule that a service breaks.
                let is_key = error.code() == downcity_types::ErrorCode::MissingConfig;
                let kind = if is_key { FailureKind::NotAllowed } else { FailureKind::Failed };
                Self::new(kind, with_causes(error))
            }
        }
    }

    fn database(database: &str, error: &DbError) -> Self {
        let is_file = database.starts_with("sqlite:");
        let (kind, advice) = match error.kind() {
            DbErrorKind::Unavailable | DbErrorKind::Timeout | DbErrorKind::ReadOnly if is_file => (
                FailureKind::NotAllowed,
                "Check that this user may write to the file and its folder, or name another one with --database or DOWNCITY_FEDERATION_DATABASE_URL.",
            ),
            DbErrorKind::Unavailable | DbErrorKind::Timeout => (
                FailureKind::Unreachable,
                "Check that the server runs and that host, port, user and password are right; the URL comes from --database, DOWNCITY_FEDERATION_DATABASE_URL or database.url.",
            ),
            DbErrorKind::Busy => {
                (FailureKind::Conflict, "Another process holds the database; try again shortly.")
            }
            DbErrorKind::SchemaNewer { .. } => (
                FailureKind::Conflict,
                "Run the newer version, or restore the copy that was taken before it migrated.",
            ),
            DbErrorKind::SchemaDivergent => {
                (FailureKind::Conflict, "The database belongs to another build; use that one.")
            }
            DbErrorKind::DiskFull => (FailureKind::Failed, "Free some space and start again."),
            _ => (FailureKind::Failed, "The log above may say more."),
        };
        Self::new(kind, format!("The database {database} cannot be used: {error}. {advice}"))
    }
}

/// The database's own error in the chain of causes.
fn cause(error: &Error) -> Option<&DbError> {
    let mut next = std::error::Error::source(error);
    while let Some(cause) = next {
        if let Some(found) = cause.downcast_ref() {
            return Some(found);
        }
        next = cause.source();
    }
    None
}

fn with_causes(error: &Error) -> String {
    let mut text = error.message().to_owned();
    let mut next = std::error::Error::source(error);
    while let Some(cause) = next {
        text.push_str(&format!(" Cause: {cause}."));
        next = cause.source();
    }
    text
}

impl fmt::Display for StartError {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str(&self.message)
    }
}

impl std::error::Error for StartError {}

impl From<ConfigError> for StartError {
    fn from(error: ConfigError) -> Self {
        Self::new(error.kind, error.to_string())
    }
}
