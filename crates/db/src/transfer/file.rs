//! The SQLite file of a copy.

use std::path::Path;
use std::time::Duration;

use rusqlite::config::DbConfig;
use rusqlite::types::Value;
use rusqlite::{Connection, OptionalExtension as _};

use super::quoted;
use crate::error::{DbError, DbErrorKind};
use crate::migrate::MigrationSet;
use crate::sqlite::{open_plain, private_file, translate};

/// What `PRAGMA application_id` says in the copy of a PostgreSQL database: `dcPg`.
const FROM_POSTGRES: i32 = 0x6463_5067;

/// Nobody else has the file.
const NO_WAIT: Duration = Duration::ZERO;

/// A table of a file.
#[derive(Clone, Debug)]
pub(super) struct FileTable {
    pub(super) name: String,
    /// Without those that the engine works out by itself.
    pub(super) columns: Vec<String>,
    /// Whether numbers of deleted rows are not given again.
    pub(super) counts: bool,
}

/// Makes an empty file with the schema of these migrations, to be filled at once: until it is whole, a
/// crash may leave it damaged.
pub(super) fn create(path: &Path, sets: &[MigrationSet]) -> Result<Connection, DbError> {
    let failed = |error| crate::sqlite::not_written(path, &error);
    private_file().create(true).truncate(true).open(path).map_err(failed)?;
    let mut connection = open_plain(path, NO_WAIT)?;
    run(
        &connection,
        "PRAGMA journal_mode = OFF; PRAGMA synchronous = OFF; PRAGMA temp_store = MEMORY;
         PRAGMA cache_size = -16000;",
    )?;
    migrate(&mut connection, sets)?;
    run(
        &connection,
        &format!("PRAGMA application_id = {FROM_POSTGRES}; PRAGMA foreign_keys = OFF"),
    )?;
    connection
        .set_db_config(DbConfig::SQLITE_DBCONFIG_ENABLE_TRIGGER, false)
        .map_err(|error| translate(&error))?;
    Ok(connection)
}

/// An empty database in memory with the schema of these migrations.
pub(super) fn in_memory(sets: &[MigrationSet]) -> Result<Connection, DbError> {
    let mut connection = Connection::open_in_memory().map_err(|error| translate(&error))?;
    migrate(&mut connection, sets)?;
    Ok(connection)
}

/// Opens a private copy of a file and brings it to the schema of these migrations.
pub(super) fn open_migrated(path: &Path, sets: &[MigrationSet]) -> Result<Connection, DbError> {
    let mut connection = open_plain(path, NO_WAIT)?;
    run(&connection, "PRAGMA temp_store = MEMORY")?;
    crate::migrate::refuse_newer(&crate::migrate::sqlite::versions(&connection, sets)?)?;
    migrate(&mut connection, sets)?;
    Ok(connection)
}

/// Brings a private copy of a file to the schema of these migrations. Other files stay as they are: given
/// all tables, they would pass for the database of a Federation.
///
/// # Errors
/// `Engine` for a file that no server was started on.
pub(crate) fn migrate_copy(path: &Path, sets: &[MigrationSet]) -> Result<(), DbError> {
    let connection = open_plain(path, NO_WAIT)?;
    let found = crate::migrate::sqlite::versions(&connection, sets)?;
    drop(connection);
    // The first one is of this crate alone.
    if found.iter().filter(|found| found.version > 0).count() < 2 {
        return Err(DbError::new(DbErrorKind::Engine, "this is no database of a Federation"));
    }
    open_migrated(path, sets)?.close().map_err(|(_, error)| translate(&error))
}

/// Whether a file is the copy of a PostgreSQL database.
///
/// # Errors
/// When it cannot be read.
pub(crate) fn came_from_postgres(path: &Path) -> Result<bool, DbError> {
    let connection = open_plain(path, NO_WAIT)?;
    let id: i32 = value(&connection, "PRAGMA application_id")?;
    Ok(id == FROM_POSTGRES)
}

/// Makes a file one that was never in PostgreSQL.
pub(crate) fn forget_origin(path: &Path) -> Result<(), DbError> {
    run(&open_plain(path, NO_WAIT)?, "PRAGMA application_id = 0")
}

/// The tables of a file, by name.
pub(super) fn tables(connection: &Connection) -> Result<Vec<FileTable>, DbError> {
    let text = "SELECT list.name, list.type, master.sql LIKE '%AUTOINCREMENT%'
        FROM pragma_table_list AS list JOIN sqlite_master AS master ON master.name = list.name
        WHERE list.schema = 'main' AND list.type IN ('table', 'virtual') AND list.name NOT GLOB 'sqlite_*'
        ORDER BY list.name";
    let found = || -> rusqlite::Result<Vec<(String, String, bool)>> {
        let mut statement = connection.prepare(text)?;
        let rows = statement.query_map([], |row| Ok((row.get(0)?, row.get(1)?, row.get(2)?)))?;
        rows.collect()
    };
    let mut tables = Vec::new();
    for (name, kind, counts) in found().map_err(|error| translate(&error))? {
        if kind == "virtual" {
            return Err(DbError::new(
                DbErrorKind::SchemaDivergent,
                format!("{name} is a virtual table, which only SQLite has"),
            ));
        }
        let columns = columns(connection, &name).map_err(|error| translate(&error))?;
        tables.push(FileTable { name, columns, counts });
    }
    Ok(tables)
}

fn columns(connection: &Connection, table: &str) -> rusqlite::Result<Vec<String>> {
    let mut statement = connection
        .prepare("SELECT name FROM pragma_table_xinfo(?1) WHERE hidden = 0 ORDER BY cid")?;
    statement.query_map([table], |row| row.get(0))?.collect()
}

/// How many rows a table has.
pub(super) fn count(connection: &Connection, table: &str) -> Result<i64, DbError> {
    value(connection, &format!("SELECT COUNT(*) FROM {}", quoted(table)))
}

/// The version that a file has of a schema, by the name of its history.
pub(super) fn version(connection: &Connection, history: &str) -> Result<i64, DbError> {
    value(connection, &format!("SELECT COALESCE(MAX(version), 0) FROM {}", quoted(history)))
}

/// The largest number that a table has given to a row, by this column; 0 for none.
pub(super) fn last_number(
    connection: &Connection,
    table: &FileTable,
    column: &str,
) -> Result<i64, DbError> {
    let (name, column) = (quoted(&table.name), quoted(column));
    let stored: i64 = value(connection, &format!("SELECT COALESCE(MAX({column}), 0) FROM {name}"))?;
    if !table.counts {
        return Ok(stored);
    }
    let counted = connection
        .query_row("SELECT seq FROM sqlite_sequence WHERE name = ?1", [&table.name], |row| {
            row.get(0)
        })
        .optional()
        .map_err(|error| translate(&error))?;
    Ok(stored.max(counted.unwrap_or(0)))
}

/// Lets a table that counts its rows go on after this number.
pub(super) fn count_from(connection: &Connection, table: &str, last: i64) -> Result<(), DbError> {
    let set = || -> rusqlite::Result<()> {
        connection.execute("DELETE FROM sqlite_sequence WHERE name = ?1", [table])?;
        connection
            .execute("INSERT INTO sqlite_sequence (name, seq) VALUES (?1, ?2)", (table, last))
            .map(drop)
    };
    set().map_err(|error| translate(&error))
}

/// Writes rows into one table.
pub(super) struct Insert<'c> {
    statement: rusqlite::Statement<'c>,
}

impl<'c> Insert<'c> {
    /// Begins with an empty table.
    pub(super) fn into(
        connection: &'c Connection,
        table: &str,
        columns: &[String],
    ) -> Result<Self, DbError> {
        run(connection, &format!("DELETE FROM {}", quoted(table)))?;
        let names: Vec<_> = columns.iter().map(|column| quoted(column)).collect();
        let places: Vec<_> = (1..=columns.len()).map(|number| format!("?{number}")).collect();
        let text = format!(
            "INSERT INTO {} ({}) VALUES ({})",
            quoted(table),
            names.join(", "),
            places.join(", ")
        );
        let statement = connection.prepare(&text).map_err(|error| translate(&error))?;
        Ok(Self { statement })
    }

    pub(super) fn row(&mut self, values: &[Value]) -> Result<(), DbError> {
        self.statement
            .execute(rusqlite::params_from_iter(values))
            .map(drop)
            .map_err(|error| translate(&error))
    }
}

/// Refuses rows that refer to rows that are not there.
pub(super) fn check_references(connection: &Connection) -> Result<(), DbError> {
    let broken: Option<String> = connection
        .query_row("SELECT \"table\" FROM pragma_foreign_key_check LIMIT 1", [], |row| row.get(0))
        .optional()
        .map_err(|error| translate(&error))?;
    match broken {
        None => Ok(()),
        Some(table) => Err(DbError::new(
            DbErrorKind::ForeignKeyViolation,
            format!("a row of {table} refers to a row that is not there"),
        )),
    }
}

/// Runs commands that give no rows, or whose rows do not matter.
pub(super) fn run(connection: &Connection, text: &str) -> Result<(), DbError> {
    connection.execute_batch(text).map_err(|error| translate(&error))
}

fn value<T: rusqlite::types::FromSql>(connection: &Connection, text: &str) -> Result<T, DbError> {
    connection.query_row(text, [], |row| row.get(0)).map_err(|error| translate(&error))
}

fn migrate(connection: &mut Connection, sets: &[MigrationSet]) -> Result<(), DbError> {
    crate::migrate::sqlite::apply(connection, sets)
}
