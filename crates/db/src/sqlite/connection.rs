//! One SQLite connection: how it is opened, how it runs statements, what its errors mean.

use std::fs::OpenOptions;
use std::io::ErrorKind;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use rusqlite::config::DbConfig;
use rusqlite::types::{ToSqlOutput, ValueRef};
use rusqlite::{Connection, ErrorCode, OpenFlags, ToSql, ffi};

use crate::Engine;
use crate::error::{DbError, DbErrorKind};
use crate::row::Row;
use crate::sql::Sql;
use crate::value::{Param, Value};

/// Statements that a connection keeps prepared.
const CACHED_STATEMENTS: usize = 512;
/// Steps of the virtual machine between two looks at the deadline: well below a millisecond.
const STEPS_PER_LOOK: i32 = 4_096;
const NO_DEADLINE: u64 = u64::MAX;

/// Creates the folder and the file of a database, readable by its owner alone.
pub(crate) fn prepare_file(path: &Path) -> Result<(), DbError> {
    let unusable = |error: std::io::Error| {
        DbError::new(
            DbErrorKind::Unavailable,
            format!("the database file {} cannot be opened: {error}", path.display()),
        )
    };
    if let Some(parent) = path.parent().filter(|parent| !parent.as_os_str().is_empty()) {
        std::fs::create_dir_all(parent).map_err(unusable)?;
    }
    let mut options = OpenOptions::new();
    options.create_new(true).write(true);
    #[cfg(unix)]
    {
        use std::os::unix::fs::OpenOptionsExt;
        options.mode(0o600);
    }
    // An existing file is not opened here: closing any handle of a file drops the locks that
    // SQLite holds on it in this process.
    match options.open(path) {
        Ok(_created) => sync_folder(path).map_err(unusable),
        Err(error) if error.kind() == ErrorKind::AlreadyExists => Ok(()),
        Err(error) => Err(unusable(error)),
    }
}

/// Makes a new or renamed file survive a power cut: its name is part of the folder.
pub(crate) fn sync_folder(path: &Path) -> std::io::Result<()> {
    #[cfg(unix)]
    {
        let parent = path.parent().filter(|parent| !parent.as_os_str().is_empty());
        std::fs::File::open(parent.unwrap_or(Path::new(".")))?.sync_all()?;
    }
    Ok(())
}

/// Opens an existing file with the settings that every connection has.
pub(crate) fn open_plain(path: &Path, busy_timeout: Duration) -> Result<Connection, DbError> {
    let flags = OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    let connection = Connection::open_with_flags(path, flags)
        .map_err(|error| translate(&error).within(&path.display().to_string()))?;
    connection.busy_timeout(busy_timeout).map_err(|error| translate(&error))?;
    // A plan is made once and kept: without this, statements whose plan could depend on the values of
    // their parameters are prepared anew whenever one is bound.
    connection
        .set_db_config(DbConfig::SQLITE_DBCONFIG_ENABLE_QPSG, true)
        .map_err(|error| translate(&error))?;
    connection.set_prepared_statement_cache_capacity(CACHED_STATEMENTS);
    Ok(connection)
}

/// Settings of a connection that writes. Every commit reaches the disk before it is reported.
pub(crate) fn writer_pragmas(connection: &Connection) -> Result<(), DbError> {
    // `secure_delete`: what a sealed value replaced must not linger in free pages.
    // `wal_autocheckpoint`: pages that change with every commit, such as the ends of tables, are copied
    // into the file once in about 16 MiB of log.
    connection
        .execute_batch(
            "PRAGMA journal_mode = WAL;
             PRAGMA synchronous = FULL;
             PRAGMA foreign_keys = ON;
             PRAGMA secure_delete = ON;
             PRAGMA temp_store = MEMORY;
             PRAGMA journal_size_limit = 67108864;
             PRAGMA wal_autocheckpoint = 4000;
             PRAGMA cache_size = -8000;",
        )
        .map_err(|error| translate(&error))
}

/// A connection whose statements stop at a deadline.
pub(crate) struct Guarded {
    pub(crate) connection: Connection,
    /// Nanoseconds since `origin`, or [`NO_DEADLINE`].
    deadline: Arc<AtomicU64>,
    origin: Instant,
}

impl Guarded {
    /// Opens the connection of the writer.
    pub(crate) fn writer(path: &Path, busy_timeout: Duration) -> Result<Self, DbError> {
        let connection = open_plain(path, busy_timeout)?;
        writer_pragmas(&connection)?;
        Self::new(connection)
    }

    /// Opens a connection on which SQLite refuses every write.
    pub(crate) fn reader(path: &Path, busy_timeout: Duration) -> Result<Self, DbError> {
        let connection = open_plain(path, busy_timeout)?;
        connection
            .execute_batch(
                "PRAGMA query_only = ON;
                 PRAGMA temp_store = MEMORY;
                 PRAGMA cache_size = -2000;",
            )
            .map_err(|error| translate(&error))?;
        Self::new(connection)
    }

    fn new(mut connection: Connection) -> Result<Self, DbError> {
        let deadline = Arc::new(AtomicU64::new(NO_DEADLINE));
        let origin = Instant::now();
        let seen = Arc::clone(&deadline);
        connection
            .progress_handler(
                STEPS_PER_LOOK,
                Some(move || {
                    let deadline = seen.load(Ordering::Relaxed);
                    deadline != NO_DEADLINE && nanos(origin.elapsed()) > deadline
                }),
            )
            .map_err(|error| translate(&error))?;
        Ok(Self { connection, deadline, origin })
    }

    /// Lets statements run for `limit` from now on and gives that deadline.
    pub(crate) fn arm(&self, limit: Duration) -> Instant {
        let now = Instant::now();
        let end = now + limit;
        self.deadline.store(nanos(end.duration_since(self.origin)), Ordering::Relaxed);
        end
    }

    /// Lets statements run as long as they take.
    pub(crate) fn disarm(&self) {
        self.deadline.store(NO_DEADLINE, Ordering::Relaxed);
    }

    /// Runs a fixed command, such as COMMIT.
    pub(crate) fn command(&self, text: &'static str) -> Result<(), DbError> {
        let run = || -> rusqlite::Result<()> {
            self.connection.prepare_cached(text)?.raw_execute().map(drop)
        };
        run().map_err(|error| translate(&error).within(text))
    }
}

fn nanos(duration: Duration) -> u64 {
    u64::try_from(duration.as_nanos()).unwrap_or(NO_DEADLINE - 1)
}

impl ToSql for Param<'_> {
    fn to_sql(&self) -> rusqlite::Result<ToSqlOutput<'_>> {
        Ok(ToSqlOutput::Borrowed(match *self {
            Self::Text(text) => ValueRef::Text(text.as_bytes()),
            Self::Integer(number) => ValueRef::Integer(number),
            Self::Boolean(flag) => ValueRef::Integer(i64::from(flag)),
            Self::Real(number) => ValueRef::Real(number),
            Self::Null(_) => ValueRef::Null,
        }))
    }
}

/// Runs a query and collects its rows.
pub(crate) fn query(
    connection: &Connection,
    sql: &'static Sql,
    params: &[Param<'_>],
) -> Result<Vec<Row>, DbError> {
    let mut statement = bound(connection, sql, params)?;
    let columns = sql.columns(Engine::Sqlite, ColumnNames { statement: &statement, next: 0 });
    let mut found = Vec::new();
    let mut rows = statement.raw_query();
    while let Some(row) = rows.next().map_err(|error| translate(&error))? {
        let mut values = Vec::with_capacity(columns.len());
        for (index, name) in columns.iter().enumerate() {
            let stored = row.get_ref(index).map_err(|error| translate(&error))?;
            values.push(owned(stored, name)?);
        }
        found.push(Row::new(Arc::clone(&columns), values));
    }
    Ok(found)
}

/// Runs a change and counts the rows that it touched.
pub(crate) fn execute(
    connection: &Connection,
    sql: &'static Sql,
    params: &[Param<'_>],
) -> Result<u64, DbError> {
    let mut statement = bound(connection, sql, params)?;
    if statement.column_count() == 0 {
        let changed = statement.raw_execute().map_err(|error| translate(&error))?;
        return Ok(changed as u64);
    }
    let mut rows = statement.raw_query();
    while rows.next().map_err(|error| translate(&error))?.is_some() {}
    Ok(connection.changes())
}

/// Checks that a statement can be prepared.
pub(crate) fn prepare(connection: &Connection, sql: &'static Sql) -> Result<(), DbError> {
    connection.prepare(sql.sqlite_text()).map(drop).map_err(|error| translate(&error))
}

fn bound<'c>(
    connection: &'c Connection,
    sql: &'static Sql,
    params: &[Param<'_>],
) -> Result<rusqlite::CachedStatement<'c>, DbError> {
    let mut statement =
        connection.prepare_cached(sql.sqlite_text()).map_err(|error| translate(&error))?;
    if statement.parameter_count() != params.len() {
        return Err(DbError::parameter_count(statement.parameter_count(), params.len()));
    }
    for (index, param) in params.iter().enumerate() {
        statement.raw_bind_parameter(index + 1, param).map_err(|error| translate(&error))?;
    }
    Ok(statement)
}

/// The column names of a statement without collecting them.
#[derive(Clone)]
struct ColumnNames<'s, 'c> {
    statement: &'s rusqlite::CachedStatement<'c>,
    next: usize,
}

impl<'s> Iterator for ColumnNames<'s, '_> {
    type Item = &'s str;

    fn next(&mut self) -> Option<&'s str> {
        let name = self.statement.column_name(self.next).ok()?;
        self.next += 1;
        Some(name)
    }
}

fn owned(stored: ValueRef<'_>, column: &str) -> Result<Value, DbError> {
    let undecodable =
        |problem: &str| DbError::new(DbErrorKind::Decode, format!("column {column}: {problem}"));
    Ok(match stored {
        ValueRef::Null => Value::Null,
        ValueRef::Integer(number) => Value::Integer(number),
        ValueRef::Real(number) => Value::Real(number),
        ValueRef::Text(bytes) => Value::Text(
            String::from_utf8(bytes.to_vec())
                .map_err(|_not_utf8| undecodable("the stored text is not UTF-8"))?,
        ),
        ValueRef::Blob(_) => return Err(undecodable("binary values are not supported")),
    })
}

/// What an error of SQLite means. Its messages name tables, columns and constraints, never values.
pub(crate) fn translate(error: &rusqlite::Error) -> DbError {
    meaning(error).of_a_file()
}

fn meaning(error: &rusqlite::Error) -> DbError {
    let Some(cause) = error.sqlite_error() else {
        return DbError::new(DbErrorKind::Engine, error.to_string());
    };
    let kind = match (cause.code, cause.extended_code) {
        (
            _,
            ffi::SQLITE_CONSTRAINT_UNIQUE
            | ffi::SQLITE_CONSTRAINT_PRIMARYKEY
            | ffi::SQLITE_CONSTRAINT_ROWID,
        ) => DbErrorKind::UniqueViolation,
        (_, ffi::SQLITE_CONSTRAINT_CHECK | ffi::SQLITE_CONSTRAINT_TRIGGER) => {
            DbErrorKind::CheckViolation
        }
        (_, ffi::SQLITE_CONSTRAINT_FOREIGNKEY) => DbErrorKind::ForeignKeyViolation,
        (_, ffi::SQLITE_CONSTRAINT_NOTNULL) => DbErrorKind::NotNull,
        (ErrorCode::DatabaseBusy | ErrorCode::DatabaseLocked, _) => DbErrorKind::Busy,
        (ErrorCode::ReadOnly, _) => DbErrorKind::ReadOnly,
        // The index of the log could not grow: the first thing that a full disk refuses at a start.
        (ErrorCode::DiskFull, _) | (_, ffi::SQLITE_IOERR_SHMSIZE) => DbErrorKind::DiskFull,
        (ErrorCode::OperationInterrupted, _) => return DbError::timeout(),
        (ErrorCode::CannotOpen | ErrorCode::SystemIoFailure, _) => DbErrorKind::Unavailable,
        _ => DbErrorKind::Engine,
    };
    if cause.extended_code == ffi::SQLITE_CONSTRAINT_TRIGGER {
        // The text is made by the trigger and may quote what it refuses.
        return DbError::new(kind, "a trigger refused the change");
    }
    DbError::new(kind, error.to_string())
}
