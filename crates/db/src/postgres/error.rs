//! What errors of PostgreSQL mean, in words that hold no data.

use std::error::Error as _;

use tokio_postgres::error::SqlState;

use crate::error::{DbError, DbErrorKind};

/// Translates an error of the driver. DETAIL, HINT and CONTEXT hold stored values: they are left
/// out, and so is the message of classes that quote input.
pub(crate) fn translate(error: &tokio_postgres::Error) -> DbError {
    let Some(cause) = error.as_db_error() else {
        return of_connection(error);
    };
    let state = cause.code();
    let kind = kind_of(state);
    let quotes_input = state.code().starts_with("22") || *state == SqlState::RAISE_EXCEPTION;
    let message = if quotes_input {
        format!("the database refused a value (SQLSTATE {})", state.code())
    } else {
        format!("{} (SQLSTATE {})", cause.message(), state.code())
    };
    DbError::new(kind, message)
}

/// True if the connection that gave this error is of no use any more.
pub(crate) fn ends_connection(error: &tokio_postgres::Error) -> bool {
    match error.code() {
        None => true,
        Some(state) => {
            matches!(state.code().get(..2), Some("08"))
                || matches!(
                    *state,
                    SqlState::ADMIN_SHUTDOWN
                        | SqlState::CRASH_SHUTDOWN
                        | SqlState::CANNOT_CONNECT_NOW
                        | SqlState::DATABASE_DROPPED
                        // The server has forgotten a statement of this connection.
                        | SqlState::INVALID_SQL_STATEMENT_NAME
                )
                || is_stale_plan(error)
        }
    }
}

/// True if the schema has changed under a statement that this connection keeps prepared.
fn is_stale_plan(error: &tokio_postgres::Error) -> bool {
    error.as_db_error().is_some_and(|cause| {
        *cause.code() == SqlState::FEATURE_NOT_SUPPORTED && cause.message().contains("cached plan")
    })
}

fn kind_of(state: &SqlState) -> DbErrorKind {
    match *state {
        SqlState::UNIQUE_VIOLATION => DbErrorKind::UniqueViolation,
        SqlState::CHECK_VIOLATION | SqlState::RAISE_EXCEPTION => DbErrorKind::CheckViolation,
        SqlState::FOREIGN_KEY_VIOLATION => DbErrorKind::ForeignKeyViolation,
        SqlState::NOT_NULL_VIOLATION => DbErrorKind::NotNull,
        SqlState::T_R_SERIALIZATION_FAILURE | SqlState::T_R_DEADLOCK_DETECTED => {
            DbErrorKind::SerializationFailure
        }
        SqlState::QUERY_CANCELED => DbErrorKind::Timeout,
        SqlState::LOCK_NOT_AVAILABLE => DbErrorKind::Busy,
        SqlState::READ_ONLY_SQL_TRANSACTION => DbErrorKind::ReadOnly,
        SqlState::DISK_FULL => DbErrorKind::DiskFull,
        SqlState::INVALID_CATALOG_NAME => DbErrorKind::Unavailable,
        _ => match state.code().get(..2) {
            Some("08" | "28" | "53" | "57") => DbErrorKind::Unavailable,
            Some("22") => DbErrorKind::InvalidValue,
            _ => DbErrorKind::Engine,
        },
    }
}

fn of_connection(error: &tokio_postgres::Error) -> DbError {
    let cause = error.source().map(|source| format!(": {source}")).unwrap_or_default();
    DbError::new(DbErrorKind::Unavailable, format!("{error}{cause}"))
}
