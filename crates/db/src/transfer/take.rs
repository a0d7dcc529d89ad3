//! A PostgreSQL database into a SQLite file.

use std::path::Path;
use std::pin::pin;

use futures_util::StreamExt as _;
use rusqlite::Connection;
use rusqlite::types::Value;

use super::file::{self, Insert};
use super::plan::{Pair, Plan, is_history, plan, service_of};
use super::server::{Lock, Server, ServerTable};
use super::text::{decode, fields};
use super::{CopyProgress, CopyWatch, ROWS_PER_WORD, quoted};
use crate::backup::room_for;
use crate::error::{DbError, DbErrorKind};
use crate::migrate::{MigrationSet, all_sets, postgres::LOCK_KEY};
use crate::options::DbOptions;
use crate::postgres::translate;
use crate::url::PostgresTarget;

/// Writes everything of a database into `draft`, as it stands at one moment.
///
/// # Errors
/// `SchemaDivergent` where the database has tables of a service whose migrations are not among `sets`;
/// `Busy` while a server migrates it; `InvalidValue` for what SQLite cannot hold.
pub(crate) fn take(
    target: &PostgresTarget,
    options: &DbOptions,
    sets: &[MigrationSet],
    draft: &Path,
    watch: &mut CopyWatch,
) -> Result<(), DbError> {
    let sets = all_sets(sets)?;
    let mut server = Server::open(target, options)?;
    // Not every engine of this protocol knows its size.
    if let Ok(bytes) = server.value::<i64>("SELECT pg_database_size(current_database())") {
        room_for(bytes.unsigned_abs(), draft)?;
    }
    let lock = begin(&mut server, options)?;
    let tables = server.tables()?;
    let applied = applied(&mut server, &tables, &sets)?;
    let connection = file::create(draft, &applied)?;
    let Plan { pairs, only_server, only_file } = plan(tables, file::tables(&connection)?)?;
    if let Some(missing) = only_file.first() {
        return Err(DbError::new(
            DbErrorKind::SchemaDivergent,
            format!("the database lacks the table {missing}, which its migrations have made"),
        ));
    }
    hold(&mut server, &pairs, lock)?;
    if !only_server.is_empty() {
        let left = only_server.join(", ");
        tracing::warn!("tables that no service has made are not in the copy: {left}");
    }
    file::run(&connection, "BEGIN IMMEDIATE")?;
    for (index, pair) in pairs.iter().enumerate() {
        let mut progress = Progress { watch, pair, number: index + 1, of: pairs.len() };
        rows(&mut server, &connection, pair, &mut progress)?;
        numbers(&mut server, &connection, pair)?;
    }
    file::check_references(&connection)?;
    file::run(&connection, "COMMIT")?;
    connection.close().map_err(|(_, error)| crate::sqlite::translate(&error))
}

/// Begins to read one state of the database, while no server migrates it: gives what came of the lock that
/// sees to that.
fn begin(server: &mut Server, options: &DbOptions) -> Result<Lock, DbError> {
    let lock = server.lock(&format!("pg_try_advisory_lock_shared({LOCK_KEY})"))?;
    if lock == Lock::Refused {
        return Err(DbError::new(
            DbErrorKind::Busy,
            "a server is migrating the database; try again once it has started",
        ));
    }
    let wait = options.connect_timeout.as_millis();
    server.command(&format!(
        "SET lock_timeout = {wait}; BEGIN ISOLATION LEVEL REPEATABLE READ, READ ONLY"
    ))?;
    Ok(lock)
}

/// Keeps the tables that are copied as they are until they were read, so that whoever migrates waits for
/// them and not for the lock. The histories were read by now, which does the same. Other tables of the
/// database may be those of other programs.
fn hold(server: &mut Server, pairs: &[Pair], lock: Lock) -> Result<(), DbError> {
    let names: Vec<_> = pairs.iter().map(|pair| quoted(&pair.server)).collect();
    server.command(&format!("LOCK TABLE {} IN ACCESS SHARE MODE", names.join(", ")))?;
    // What fails within the transaction ends it: only what was taken is given back.
    if lock == Lock::Taken {
        server.rows(&format!("SELECT pg_advisory_unlock_shared({LOCK_KEY})"))?;
    }
    Ok(())
}

/// The migrations as far as the database has them.
fn applied(
    server: &mut Server,
    tables: &[ServerTable],
    sets: &[MigrationSet],
) -> Result<Vec<MigrationSet>, DbError> {
    let histories = || tables.iter().map(|table| &*table.name).filter(|name| is_history(name));
    if let Some(unknown) =
        histories().find(|name| sets.iter().all(|set| set.history_table() != *name))
    {
        return Err(DbError::new(
            DbErrorKind::SchemaDivergent,
            format!(
                "the database has tables of the service {:?}, which this program does not have: let the server make the copy, or a program that has the service",
                service_of(unknown)
            ),
        ));
    }
    let mut applied = Vec::new();
    for set in sets {
        let history = set.history_table();
        if histories().any(|name| name == history) {
            let version = server.version_of(set)?;
            let steps = set.steps.iter().take_while(|step| step.version <= version).count();
            applied.push(MigrationSet { service: set.service, steps: &set.steps[..steps] });
        }
    }
    if applied.len() < 2 {
        return Err(DbError::new(
            DbErrorKind::Unavailable,
            "the database is empty: no server has been started on it",
        ));
    }
    Ok(applied)
}

/// Says how far one table is.
struct Progress<'a> {
    watch: &'a mut CopyWatch,
    pair: &'a Pair,
    number: usize,
    of: usize,
}

impl Progress<'_> {
    fn tell(&mut self, rows: u64, is_done: bool) -> Result<(), DbError> {
        let (number, of) = (self.number, self.of);
        self.watch.tell(CopyProgress { table: &self.pair.server, number, of, rows, is_done })
    }
}

/// Copies the rows of one table.
fn rows(
    server: &mut Server,
    connection: &Connection,
    pair: &Pair,
    progress: &mut Progress<'_>,
) -> Result<(), DbError> {
    progress.tell(0, false)?;
    let mut insert = Insert::into(connection, &pair.file.name, &pair.file.columns)?;
    let text =
        format!("COPY (SELECT {} FROM {}) TO STDOUT", pair.server_columns(), quoted(&pair.server));
    let mut done = 0;
    server.run(async |client| {
        let lines = client.copy_out(&text).await.map_err(|error| translate(&error))?;
        let mut lines = pin!(lines);
        let mut values = Vec::with_capacity(pair.columns.len());
        // A line may come in pieces.
        let mut kept = Vec::new();
        while let Some(chunk) = lines.next().await {
            let chunk = chunk.map_err(|error| translate(&error))?;
            for piece in chunk.split_inclusive(|byte| *byte == b'\n') {
                kept.extend_from_slice(piece);
                let Some(line) = kept.strip_suffix(b"\n") else { continue };
                done += 1;
                read(line, pair, done, &mut values)?;
                insert.row(&values).map_err(|error| error.within(&place(pair, done)))?;
                kept.clear();
                if done % ROWS_PER_WORD == 0 {
                    progress.tell(done, false)?;
                }
            }
        }
        Ok(())
    })?;
    progress.tell(done, true)
}

/// The values of a line, in the place of those of the line before.
fn read(line: &[u8], pair: &Pair, row: u64, values: &mut Vec<Value>) -> Result<(), DbError> {
    values.clear();
    for (field, column) in fields(line).zip(&pair.columns) {
        values.push(decode(field, column.kind).map_err(|why| {
            let place = format!("{}, column {}", place(pair, row), column.name);
            DbError::new(DbErrorKind::InvalidValue, format!("{place}: {why}"))
        })?);
    }
    Ok(())
}

fn place(pair: &Pair, row: u64) -> String {
    format!("row {row} of SELECT * FROM {}", quoted(&pair.server))
}

/// Numbers that were given once are not given again.
fn numbers(server: &mut Server, connection: &Connection, pair: &Pair) -> Result<(), DbError> {
    if !pair.file.counts {
        return Ok(());
    }
    for (column, name) in pair.columns.iter().zip(&pair.file.columns) {
        if let Some(sequence) = &column.sequence {
            let given = format!(
                "SELECT CASE WHEN is_called THEN last_value ELSE last_value - 1 END FROM {sequence}"
            );
            let given: i64 = server.value(&given)?;
            let last = given.max(file::last_number(connection, &pair.file, name)?);
            file::count_from(connection, &pair.file.name, last)?;
        }
    }
    Ok(())
}
