//! Throw-away databases for tests.

mod proxy;

use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use tempfile::TempDir;

use crate::postgres::{Ended, Session, connector};
use crate::url::Target;
use crate::{DbError, DbUrl, Engine};

pub use proxy::Proxy;

/// Environment variable with the URL of a PostgreSQL server on which the user may create databases.
pub const POSTGRES_VARIABLE: &str = "DOWNCITY_TEST_POSTGRES";

/// For one administrative command.
const PATIENCE: Duration = Duration::from_secs(30);

const SQLITE_FILE: &str = "test.sqlite";

/// An empty database of its own for one test, removed when dropped.
#[derive(Debug)]
pub struct TestDatabase {
    url: DbUrl,
    place: Place,
}

#[derive(Debug)]
enum Place {
    Folder(TempDir),
    Server { admin: DbUrl, name: String },
}

impl TestDatabase {
    /// Makes an empty database.
    ///
    /// # Errors
    /// A sentence that says what is missing. A test must fail with it, not skip.
    pub fn new(engine: Engine) -> Result<Self, String> {
        match engine {
            Engine::Sqlite => {
                let folder = TempDir::new().map_err(|error| error.to_string())?;
                let url = DbUrl::sqlite(folder.path().join(SQLITE_FILE));
                Ok(Self { url, place: Place::Folder(folder) })
            }
            Engine::Postgres => {
                static NEXT: AtomicU32 = AtomicU32::new(0);
                let admin: DbUrl = std::env::var(POSTGRES_VARIABLE)
                    .map_err(|_missing| format!("set {POSTGRES_VARIABLE} or run ./test"))?
                    .parse()
                    .map_err(|error: DbError| format!("{POSTGRES_VARIABLE}: {error}"))?;
                let number = NEXT.fetch_add(1, Ordering::Relaxed);
                let name = format!("downcity_test_{}_{number}", std::process::id());
                administer(&admin, vec![drop_command(&name), format!("CREATE DATABASE {name}")])?;
                Ok(Self { url: admin.with_database(&name), place: Place::Server { admin, name } })
            }
        }
    }

    /// Where it is.
    pub fn url(&self) -> DbUrl {
        self.url.clone()
    }

    /// The URL as text, for another process.
    pub fn connection_string(&self) -> String {
        let Place::Server { name, .. } = &self.place else { return self.url.to_string() };
        // `DbUrl` shows no password, so the text that the run was given is changed.
        let given = std::env::var(POSTGRES_VARIABLE).unwrap_or_default();
        let (base, options) = given.split_once('?').map_or((&*given, None), |(b, o)| (b, Some(o)));
        let server = base.rsplit_once('/').map_or(base, |(server, _)| server);
        match options {
            Some(options) => format!("{server}/{name}?{options}"),
            None => format!("{server}/{name}"),
        }
    }

    /// Runs administrative SQL outside any handle: to damage or prepare a database by hand.
    ///
    /// # Errors
    /// The engine's message.
    pub fn execute(&self, sql: &str) -> Result<(), String> {
        match &self.place {
            Place::Folder(folder) => rusqlite::Connection::open(folder.path().join(SQLITE_FILE))
                .and_then(|connection| connection.execute_batch(sql))
                .map_err(|error| error.to_string()),
            Place::Server { .. } => administer(&self.url, vec![sql.to_owned()]),
        }
    }
}

impl TestDatabase {
    /// Everything that is stored: the bytes of every file beside the database, or the text of every
    /// row of every table. To search for what must not be there.
    ///
    /// # Errors
    /// The engine's message.
    pub fn dump(&self) -> Result<Vec<u8>, String> {
        match &self.place {
            Place::Folder(folder) => {
                let mut found = Vec::new();
                for entry in std::fs::read_dir(folder.path()).map_err(|error| error.to_string())? {
                    let path = entry.map_err(|error| error.to_string())?.path();
                    if path.is_file() {
                        found.extend(std::fs::read(path).map_err(|error| error.to_string())?);
                    }
                }
                Ok(found)
            }
            Place::Server { .. } => dump_server(&self.url),
        }
    }
}

/// Runs SQL on a SQLite file that nobody has open.
///
/// # Errors
/// The engine's message.
pub fn run_on(file: &std::path::Path, sql: &str) -> Result<(), String> {
    rusqlite::Connection::open(file)
        .and_then(|connection| connection.execute_batch(sql))
        .map_err(|error| error.to_string())
}

/// The tables of a SQLite file, with how many rows each has.
///
/// # Errors
/// The engine's message.
pub fn tables_of(file: &std::path::Path) -> Result<Vec<(String, i64)>, String> {
    let read = || -> rusqlite::Result<_> {
        let connection = rusqlite::Connection::open(file)?;
        let mut tables = connection
            .prepare("SELECT name FROM sqlite_master WHERE type = 'table' ORDER BY name")?;
        let names = tables.query_map([], |row| row.get::<_, String>(0))?;
        names
            .map(|name| {
                let name = name?;
                let count = format!("SELECT COUNT(*) FROM \"{name}\"");
                let rows = connection.query_row(&count, [], |row| row.get(0))?;
                Ok((name, rows))
            })
            .collect()
    };
    read().map_err(|error| error.to_string())
}

/// What is in a folder, by name.
///
/// # Errors
/// When the folder cannot be read.
pub fn names_in(folder: &std::path::Path) -> std::io::Result<Vec<String>> {
    let name = |entry: std::fs::DirEntry| entry.file_name().to_string_lossy().into_owned();
    let entries = std::fs::read_dir(folder)?;
    let mut names: Vec<_> = entries.map(|entry| entry.map(name)).collect::<Result<_, _>>()?;
    names.sort();
    Ok(names)
}

/// Every row of every table of a SQLite file as text, in one order; without the histories of migrations.
///
/// # Errors
/// The engine's message.
pub fn rows_of(file: &std::path::Path) -> Result<Vec<String>, String> {
    let read = || -> rusqlite::Result<Vec<String>> {
        let connection = rusqlite::Connection::open(file)?;
        let mut rows = Vec::new();
        for table in texts(&connection, ROW_TABLES)? {
            let columns = format!("SELECT name FROM pragma_table_info('{table}')");
            let values = texts(&connection, &columns)?;
            let values: Vec<_> = values.iter().map(|name| format!("quote(\"{name}\")")).collect();
            let text = format!("SELECT {} FROM \"{table}\"", values.join(" || '|' || "));
            let found = texts(&connection, &text)?;
            rows.extend(found.into_iter().map(|row| format!("{table}: {row}")));
        }
        rows.sort_unstable();
        Ok(rows)
    };
    read().map_err(|error| error.to_string())
}

const ROW_TABLES: &str = "SELECT name FROM sqlite_master WHERE type = 'table'
    AND name NOT GLOB 'sqlite_*' AND name NOT GLOB 'schema_history_*'";

fn texts(connection: &rusqlite::Connection, sql: &str) -> rusqlite::Result<Vec<String>> {
    let mut statement = connection.prepare(sql)?;
    statement.query_map([], |row| row.get(0))?.collect()
}

const TABLES: &str = "SELECT CAST(table_name AS TEXT) FROM information_schema.tables
    WHERE table_schema = 'public' AND table_type = 'BASE TABLE'";

fn dump_server(url: &DbUrl) -> Result<Vec<u8>, String> {
    let Target::Postgres(target) = url.target().clone() else { return Ok(Vec::new()) };
    let work = move || -> Result<Vec<u8>, DbError> {
        let mut session = Session::connect(&target, &connector(&target)?, PATIENCE)?;
        let found = session.run(PATIENCE, async |client| {
            let mut found = Vec::new();
            for table in client.query(TABLES, &[]).await? {
                let table: String = table.get(0);
                let rows = format!("SELECT CAST(stored AS TEXT) FROM \"{table}\" AS stored");
                for row in client.query(&rows, &[]).await? {
                    found.extend_from_slice(row.get::<_, String>(0).as_bytes());
                    found.push(b'\n');
                }
            }
            Ok(found)
        });
        found.map_err(Ended::into_db_error)
    };
    on_a_thread(work)
}

impl Drop for TestDatabase {
    fn drop(&mut self) {
        if let Place::Server { admin, name } = &self.place
            && let Err(error) = administer(admin, vec![drop_command(name)])
        {
            tracing::warn!(%error, "a test database was not removed");
        }
    }
}

fn drop_command(name: &str) -> String {
    format!("DROP DATABASE IF EXISTS {name} WITH (FORCE)")
}

/// Runs commands on a thread of their own: the driver must not block inside a runtime.
fn administer(url: &DbUrl, commands: Vec<String>) -> Result<(), String> {
    let Target::Postgres(target) = url.target().clone() else {
        return Err(format!("{POSTGRES_VARIABLE} must be a postgres:// URL"));
    };
    let work = move || -> Result<(), DbError> {
        let mut session = Session::connect(&target, &connector(&target)?, PATIENCE)?;
        for command in commands {
            session.command(PATIENCE, &command).map_err(Ended::into_db_error)?;
        }
        Ok(())
    };
    on_a_thread(work)
}

fn on_a_thread<T: Send + 'static>(
    work: impl FnOnce() -> Result<T, DbError> + Send + 'static,
) -> Result<T, String> {
    std::thread::Builder::new()
        .name("test-database".to_owned())
        .spawn(work)
        .map_err(|error| error.to_string())?
        .join()
        .map_err(|_panic| "the thread panicked".to_owned())?
        .map_err(|error| error.to_string())
}
