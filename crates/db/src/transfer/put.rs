//! A SQLite file into a PostgreSQL database, in one transaction.

use std::path::Path;
use std::pin::pin;
use std::time::Instant;

use bytes::Bytes;
use futures_util::SinkExt as _;
use rusqlite::Connection;

use super::file::{self, FileTable};
use super::plan::{Pair, Plan, is_history, plan, service_of};
use super::server::{Lock, Server, ServerTable};
use super::text::encode;
use super::{CopyProgress, CopyWatch, ROWS_PER_WORD, quoted};
use crate::Engine;
use crate::error::{DbError, DbErrorKind};
use crate::migrate::{MigrationSet, all_sets, postgres::LOCK_KEY};
use crate::options::DbOptions;
use crate::postgres::{NODES_KEY, translate};
use crate::url::PostgresTarget;

/// Bytes that are sent at once.
const PIECE: usize = 64 * 1024;

/// Other connections of this kind of program, and of those with the name that the URL gives ours.
const OTHERS: &str = "
    SELECT COUNT(*) FROM pg_stat_activity
    WHERE datname = current_database() AND pid <> pg_backend_pid()
      AND application_name IN ('downcity', current_setting('application_name'))";

/// Rules of the tables `{tables}` that stand in the way of rows which come in any order: what takes each
/// away, and what brings it back as it was.
const RULES: &str = "
    SELECT format('ALTER TABLE %s DISABLE TRIGGER %I', t.tgrelid::regclass, t.tgname) AS off,
           format('ALTER TABLE %s ENABLE %s TRIGGER %I', t.tgrelid::regclass,
             CASE t.tgenabled WHEN 'A' THEN 'ALWAYS' WHEN 'R' THEN 'REPLICA' ELSE '' END, t.tgname) AS again
    FROM pg_trigger t JOIN pg_class c ON c.oid = t.tgrelid
    JOIN pg_namespace n ON n.oid = c.relnamespace
    WHERE n.nspname = current_schema() AND c.relname IN ({tables})
      AND NOT t.tgisinternal AND t.tgenabled <> 'D'
    UNION ALL
    SELECT format('ALTER TABLE %s DROP CONSTRAINT %I', k.conrelid::regclass, k.conname),
           format('ALTER TABLE %s ADD CONSTRAINT %I %s', k.conrelid::regclass, k.conname,
             pg_get_constraintdef(k.oid))
    FROM pg_constraint k JOIN pg_class c ON c.oid = k.conrelid
    JOIN pg_namespace n ON n.oid = c.relnamespace
    WHERE n.nspname = current_schema() AND c.relname IN ({tables})
      AND k.contype = 'f' AND k.conparentid = 0";

/// Puts everything of a file into a database, whose tables are made where they are missing and emptied
/// where `replace` says so. The file is the caller's own copy: its schema is brought up to date.
///
/// # Errors
/// `Busy` when a server runs on the database; `NotEmpty` when it holds something and `replace` is
/// false; `SchemaDivergent` for tables of a service whose migrations are not among `sets`, unless the
/// database has them; `InvalidValue` for what PostgreSQL cannot hold. Except after `CommitUnknown`,
/// nothing has changed.
pub(crate) fn put(
    target: &PostgresTarget,
    options: &DbOptions,
    sets: &[MigrationSet],
    file: &Path,
    replace: bool,
    watch: &mut CopyWatch,
) -> Result<(), DbError> {
    let sets = all_sets(sets)?;
    let connection = file::open_migrated(file, &sets)?;
    let mut server = Server::open(target, options)?;
    alone(&mut server, options)?;
    server.command("BEGIN ISOLATION LEVEL READ COMMITTED")?;
    let found = server.tables()?;
    same_services(&mut server, &connection, &found, &sets)?;
    for set in &sets {
        migrate(&mut server, set)?;
    }
    let Plan { pairs, only_file, .. } = plan(server.tables()?, file::tables(&connection)?)?;
    if let Some(table) = only_file.first() {
        return Err(DbError::new(
            DbErrorKind::SchemaDivergent,
            format!(
                "the copy has the table {table}, which no service of this program makes: make it in the new database too, or drop it in the copy"
            ),
        ));
    }
    if !replace {
        refuse_content(&mut server, &pairs, &sets)?;
    }
    let rules = lift(&mut server, &pairs)?;
    let names: Vec<_> = pairs.iter().map(|pair| quoted(&pair.server)).collect();
    server.command(&format!("TRUNCATE {}", names.join(", ")))?;
    for (index, pair) in pairs.iter().enumerate() {
        let (table, number, of) = (&*pair.server, index + 1, pairs.len());
        let mut tell =
            |rows, is_done| watch.tell(CopyProgress { table, number, of, rows, is_done });
        tell(0, false)?;
        let rows = rows(&mut server, &connection, pair, &mut tell)?;
        number_on(&mut server, &connection, pair)?;
        tell(rows, true)?;
    }
    for rule in rules {
        server.command(&rule)?;
    }
    server.commit()?;
    // Without figures about the tables their first queries would be slow; they come by themselves, too.
    if let Err(error) = server.command(&format!("ANALYZE {}", names.join(", "))) {
        tracing::debug!(%error, "the tables were not analysed");
    }
    Ok(())
}

/// Makes sure that nobody else works on the database, and that no server starts on it, for as long as
/// the connection lasts.
fn alone(server: &mut Server, options: &DbOptions) -> Result<(), DbError> {
    let wait = options.connect_timeout;
    server.command(&format!("SET lock_timeout = {}", wait.as_millis()))?;
    let began = Instant::now();
    loop {
        let nobody = server.value::<i64>(OTHERS)? == 0
            && server.lock(&format!("pg_try_advisory_lock({LOCK_KEY})"))? != Lock::Refused
            && server.lock(&format!("pg_try_advisory_lock({NODES_KEY})"))? != Lock::Refused;
        if nobody {
            return Ok(());
        }
        // The server notices a little later that somebody has left.
        if began.elapsed() > wait {
            return Err(DbError::new(
                DbErrorKind::Busy,
                "a server, or another command, is connected to the database",
            ));
        }
        std::thread::sleep(std::time::Duration::from_millis(100));
    }
}

/// Refuses two databases that do not have the same services, as far as this program cannot make them
/// the same.
fn same_services(
    server: &mut Server,
    connection: &Connection,
    found: &[ServerTable],
    sets: &[MigrationSet],
) -> Result<(), DbError> {
    let refused = |message: String| Err(DbError::new(DbErrorKind::SchemaDivergent, message));
    let of_file = file::tables(connection)?;
    let of_file: Vec<&str> = histories(of_file.iter().map(|table: &FileTable| &*table.name));
    let of_server: Vec<&str> = histories(found.iter().map(|table| &*table.name));
    let known = |history: &str| sets.iter().any(|set| set.history_table() == history);
    let mut only_there = of_server.iter().filter(|name| !known(name) && !of_file.contains(name));
    if let Some(history) = only_there.next() {
        return refused(format!(
            "the database has tables of the service {:?}, which neither the copy nor this program has: restore into a new database",
            service_of(history)
        ));
    }
    for history in of_file.iter().filter(|name| !known(name)) {
        let service = service_of(history);
        if !of_server.contains(history) {
            return refused(format!(
                "the copy has tables of the service {service:?}, which this program does not have: start the program that has it on the new database, stop it, and restore with --replace"
            ));
        }
        let here = file::version(connection, history)?;
        let there = server.version(history)?;
        if here != i64::from(there) {
            return refused(format!(
                "the tables of the service {service:?} are at version {here} in the copy and at {there} in the database: start the program that has the service on both"
            ));
        }
    }
    Ok(())
}

fn histories<'n>(names: impl Iterator<Item = &'n str>) -> Vec<&'n str> {
    names.filter(|name| is_history(name)).collect()
}

/// Applies what is pending, in the transaction that is open: it is of no effect unless all of it is.
fn migrate(server: &mut Server, set: &MigrationSet) -> Result<(), DbError> {
    let history = set.history_table();
    server.command(&format!(
        "CREATE TABLE IF NOT EXISTS {history} (version int4 PRIMARY KEY, name VARCHAR(255),
         applied_on VARCHAR(255), checksum VARCHAR(255))"
    ))?;
    let version = server.version_of(set)?;
    for step in set.steps(Engine::Postgres)? {
        if u32::try_from(step.version()).is_ok_and(|number| number > version) {
            server.command(step.sql().unwrap_or_default()).map_err(|error| {
                error.within(&format!("making the tables of {:?}", set.service))
            })?;
            server.command(&format!(
                "INSERT INTO {history} (version, name, applied_on, checksum) VALUES ({}, '{}',
                 to_char(now() AT TIME ZONE 'utc', 'YYYY-MM-DD\"T\"HH24:MI:SS\"Z\"'), '{}')",
                step.version(),
                step.name(),
                step.checksum()
            ))?;
        }
    }
    Ok(())
}

/// Refuses a database that holds more than its migrations put there.
fn refuse_content(
    server: &mut Server,
    pairs: &[Pair],
    sets: &[MigrationSet],
) -> Result<(), DbError> {
    let fresh = file::in_memory(sets)?;
    let known = file::tables(&fresh)?;
    for pair in pairs {
        let own = match known.iter().find(|table| table.name == pair.file.name) {
            Some(table) => file::count(&fresh, &table.name)?,
            None => 0,
        };
        let table = quoted(&pair.server);
        let text =
            format!("SELECT COUNT(*) FROM (SELECT 1 FROM {table} LIMIT {}) AS found", own + 1);
        if server.value::<i64>(&text)? > own {
            return Err(DbError::new(
                DbErrorKind::NotEmpty,
                format!("the database holds rows already, such as in {}", pair.server),
            ));
        }
    }
    Ok(())
}

/// Takes the rules of the tables away; gives what brings them back.
fn lift(server: &mut Server, pairs: &[Pair]) -> Result<Vec<String>, DbError> {
    let names = pairs.iter().map(|pair| format!("'{}'", pair.server.replace('\'', "''")));
    let tables = names.collect::<Vec<_>>().join(", ");
    let mut again = Vec::new();
    for row in server.rows(&RULES.replace("{tables}", &tables))? {
        let text = |name: &str| row.try_get::<_, String>(name).map_err(|error| translate(&error));
        server.command(&text("off")?)?;
        again.push(text("again")?);
    }
    Ok(again)
}

/// Copies the rows of one table; gives their number.
fn rows(
    server: &mut Server,
    connection: &Connection,
    pair: &Pair,
    tell: &mut impl FnMut(u64, bool) -> Result<(), DbError>,
) -> Result<u64, DbError> {
    let names: Vec<_> = pair.file.columns.iter().map(|name| quoted(name)).collect();
    let select = format!("SELECT {} FROM {}", names.join(", "), quoted(&pair.file.name));
    let copy = format!("COPY {} ({}) FROM STDIN", quoted(&pair.server), pair.server_columns());
    let unread = |error: rusqlite::Error| crate::sqlite::translate(&error);
    let mut statement = connection.prepare(&select).map_err(unread)?;
    server.run(async |client| {
        let refused = |error| located(&error, pair);
        let mut sink = pin!(client.copy_in::<_, Bytes>(&copy).await.map_err(refused)?);
        let mut rows = statement.query([]).map_err(unread)?;
        let (mut piece, mut done) = (Vec::with_capacity(PIECE * 2), 0);
        while let Some(row) = rows.next().map_err(unread)? {
            done += 1;
            line(row, pair, done, &mut piece)?;
            if piece.len() >= PIECE {
                let full = std::mem::replace(&mut piece, Vec::with_capacity(PIECE * 2));
                sink.send(full.into()).await.map_err(refused)?;
            }
            if done % ROWS_PER_WORD == 0 {
                tell(done, false)?;
            }
        }
        sink.send(piece.into()).await.map_err(refused)?;
        sink.finish().await.map_err(refused)
    })
}

/// Appends a row as a line.
fn line(
    row: &rusqlite::Row<'_>,
    pair: &Pair,
    number: u64,
    piece: &mut Vec<u8>,
) -> Result<(), DbError> {
    for (index, column) in pair.columns.iter().enumerate() {
        if index > 0 {
            piece.push(b'\t');
        }
        let value = row.get_ref(index).map_err(|error| crate::sqlite::translate(&error))?;
        encode(value, column.kind, piece).map_err(|why| {
            let place = place(pair, number, Some(&column.name));
            DbError::new(DbErrorKind::InvalidValue, format!("{place}: {why}"))
        })?;
    }
    piece.push(b'\n');
    Ok(())
}

fn place(pair: &Pair, row: impl std::fmt::Display, column: Option<&str>) -> String {
    let table = quoted(&pair.file.name);
    match column {
        None => format!("row {row} of SELECT * FROM {table}"),
        Some(column) => format!("row {row} of SELECT * FROM {table}, column {column}"),
    }
}

/// An error of the server with the row that it is about.
fn located(error: &tokio_postgres::Error, pair: &Pair) -> DbError {
    let told = translate(error);
    let Some(context) = error.as_db_error().and_then(|cause| cause.where_()) else { return told };
    // What follows the column is a value.
    let rest = context.strip_prefix(&format!("COPY {}, line ", pair.server)).unwrap_or_default();
    let digits = rest.len() - rest.trim_start_matches(|digit: char| digit.is_ascii_digit()).len();
    let (row, rest) = rest.split_at(digits);
    if row.is_empty() {
        return told.within(&pair.server);
    }
    let column = pair.columns.iter().map(|column| &*column.name);
    let column = column
        .filter(|name| rest.strip_prefix(", column ").is_some_and(|rest| rest.starts_with(*name)))
        .max_by_key(|name| name.len());
    told.within(&place(pair, row, column))
}

/// Lets what gives numbers to rows go on after those that are there.
fn number_on(server: &mut Server, connection: &Connection, pair: &Pair) -> Result<(), DbError> {
    for (column, name) in pair.columns.iter().zip(&pair.file.columns) {
        if let Some(sequence) = &column.sequence {
            let next = file::last_number(connection, &pair.file, name)?.max(0) + 1;
            server.command(&format!("ALTER SEQUENCE {sequence} RESTART WITH {next}"))?;
        }
    }
    Ok(())
}
