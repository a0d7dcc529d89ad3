//! The PostgreSQL side of a copy: one connection, and what its tables are.

use std::time::Duration;

use tokio_postgres::Client;

use super::quoted;
use super::text::Kind;
use crate::Engine;
use crate::error::{DbError, DbErrorKind};
use crate::migrate::{Found, MigrationSet, refuse_newer};
use crate::options::DbOptions;
use crate::postgres::{Ended, Session, connector, translate};
use crate::url::PostgresTarget;

/// How long one table may take. A server that is gone is noticed long before.
const LONG: Duration = Duration::from_secs(24 * 3600);

/// Every type has one text then, which keeps all of its value.
const SETTINGS: &str = "
    SET DateStyle = 'ISO, YMD'; SET IntervalStyle = 'postgres'; SET TimeZone = 'UTC';
    SET extra_float_digits = 1; SET bytea_output = 'hex'; SET client_min_messages = 'warning'";

/// Limits that suit short statements.
const NO_LIMITS: &str = "SELECT set_config(name, '0', false) FROM pg_settings WHERE name IN
    ('statement_timeout', 'transaction_timeout', 'idle_in_transaction_session_timeout')";

/// The tables of the schema that names are looked up in first, without those of extensions.
const COLUMNS: &str = "
    SELECT CAST(c.relname AS TEXT) AS table_name, CAST(a.attname AS TEXT) AS column_name,
           CAST(COALESCE(base.typname, t.typname) AS TEXT) AS type_name,
           a.attgenerated <> '' AS is_generated,
           pg_get_serial_sequence(quote_ident(c.relname), a.attname) AS sequence
    FROM pg_class c
    JOIN pg_namespace n ON n.oid = c.relnamespace
    JOIN pg_attribute a ON a.attrelid = c.oid AND a.attnum > 0 AND NOT a.attisdropped
    JOIN pg_type t ON t.oid = a.atttypid
    LEFT JOIN pg_type base ON base.oid = t.typbasetype
    WHERE n.nspname = current_schema() AND c.relkind IN ('r', 'p') AND NOT c.relispartition
      AND NOT EXISTS (SELECT 1 FROM pg_depend d WHERE d.objid = c.oid AND d.deptype = 'e')
    ORDER BY c.relname, a.attnum";

/// A table of the server.
#[derive(Clone, Debug)]
pub(super) struct ServerTable {
    pub(super) name: String,
    /// Without those that the engine works out by itself.
    pub(super) columns: Vec<ServerColumn>,
}

/// A column of the server.
#[derive(Clone, Debug)]
pub(super) struct ServerColumn {
    pub(super) name: String,
    pub(super) kind: Kind,
    /// What gives it its numbers, as SQL names it.
    pub(super) sequence: Option<String>,
}

/// What came of asking for an advisory lock.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Lock {
    Taken,
    /// Somebody else has it.
    Refused,
    /// The engine has no such locks.
    Absent,
}

/// A connection for one copy.
pub(super) struct Server {
    session: Session,
}

impl Server {
    pub(super) fn open(target: &PostgresTarget, options: &DbOptions) -> Result<Self, DbError> {
        let session = Session::connect(target, &connector(target)?, options.connect_timeout)?;
        let mut server = Self { session };
        server.command(SETTINGS)?;
        server.rows(NO_LIMITS)?;
        Ok(server)
    }

    /// Runs commands that give no rows.
    pub(super) fn command(&mut self, text: &str) -> Result<(), DbError> {
        self.session.command(LONG, text).map_err(Ended::into_db_error)
    }

    /// Runs a query.
    pub(super) fn rows(&mut self, text: &str) -> Result<Vec<tokio_postgres::Row>, DbError> {
        self.run(async |client| client.query(text, &[]).await.map_err(|error| translate(&error)))
    }

    /// Runs a query that gives one value.
    pub(super) fn value<T>(&mut self, text: &str) -> Result<T, DbError>
    where
        T: for<'v> tokio_postgres::types::FromSql<'v>,
    {
        self.run(async |client| {
            let row = client.query_one(text, &[]).await.map_err(|error| translate(&error))?;
            row.try_get(0).map_err(|error| translate(&error))
        })
    }

    /// Runs work on the connection.
    pub(super) fn run<T>(
        &mut self,
        work: impl AsyncFnOnce(&mut Client) -> Result<T, DbError>,
    ) -> Result<T, DbError> {
        self.session.run(LONG, work).map_err(|ended| match ended {
            Ended::Failed(error) => error,
            Ended::Lost(error) => translate(&error),
            Ended::Silent => DbError::new(DbErrorKind::Unavailable, "the database fell silent"),
        })
    }

    /// Sends COMMIT.
    ///
    /// # Errors
    /// `CommitUnknown` when its answer was lost.
    pub(super) fn commit(&mut self) -> Result<(), DbError> {
        self.session.command(LONG, "COMMIT").map_err(|ended| match ended {
            Ended::Failed(error) if error.as_db_error().is_some() => translate(&error),
            _ => DbError::new(
                DbErrorKind::CommitUnknown,
                "the connection was lost after COMMIT was sent: look whether the database has the copy",
            ),
        })
    }

    /// The tables, by name.
    pub(super) fn tables(&mut self) -> Result<Vec<ServerTable>, DbError> {
        let mut tables: Vec<ServerTable> = Vec::new();
        for row in self.rows(COLUMNS)? {
            let text =
                |name: &str| row.try_get::<_, String>(name).map_err(|error| translate(&error));
            let (table, name) = (text("table_name")?, text("column_name")?);
            let kind = Kind::of(&text("type_name")?);
            let sequence = row.try_get("sequence").map_err(|error| translate(&error))?;
            let is_generated: bool =
                row.try_get("is_generated").map_err(|error| translate(&error))?;
            if tables.last().is_none_or(|last| last.name != table) {
                tables.push(ServerTable { name: table, columns: Vec::new() });
            }
            if let Some(table) = tables.last_mut()
                && !is_generated
            {
                table.columns.push(ServerColumn { name, kind, sequence });
            }
        }
        Ok(tables)
    }

    /// The version that the database has of a schema, by the name of its history.
    pub(super) fn version(&mut self, history: &str) -> Result<u32, DbError> {
        let text = format!("SELECT COALESCE(MAX(version), 0) FROM {}", quoted(history));
        let version: i32 = self.value(&text)?;
        u32::try_from(version).map_err(|_negative| {
            DbError::new(DbErrorKind::SchemaDivergent, format!("{history} cannot be read"))
        })
    }

    /// The version that the database has of a set of migrations, which have to be those that it has.
    ///
    /// # Errors
    /// `SchemaNewer`, `SchemaDivergent`.
    pub(super) fn version_of(&mut self, set: &MigrationSet) -> Result<u32, DbError> {
        let history = set.history_table();
        let version = self.version(&history)?;
        refuse_newer(&[Found { set: *set, version }])?;
        let steps = set.steps(Engine::Postgres)?;
        let text = format!("SELECT version, checksum FROM {}", quoted(&history));
        for row in self.rows(&text)? {
            let number: i32 = row.try_get("version").map_err(|error| translate(&error))?;
            let sum: String = row.try_get("checksum").map_err(|error| translate(&error))?;
            let is_known = |step: &refinery::Migration| {
                step.version() == number && step.checksum().to_string() == sum
            };
            if !steps.iter().any(is_known) {
                return Err(DbError::new(
                    DbErrorKind::SchemaDivergent,
                    format!(
                        "step {number} of the service {:?} is not the one of this program: use the program that made the database",
                        set.service
                    ),
                ));
            }
        }
        Ok(version)
    }

    /// Tries to take an advisory lock for as long as the connection lasts. Not for use within a
    /// transaction: an engine without such locks would give that up.
    pub(super) fn lock(&mut self, call: &str) -> Result<Lock, DbError> {
        match self.value::<bool>(&format!("SELECT {call}")) {
            Ok(true) => Ok(Lock::Taken),
            Ok(false) => Ok(Lock::Refused),
            Err(error) if error.kind() == DbErrorKind::Engine => Ok(Lock::Absent),
            Err(error) => Err(error),
        }
    }
}
