//! Migrating a SQLite file, with a copy of it taken first.

use std::fs::File;
use std::io;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use rusqlite::Connection;
use rusqlite::OptionalExtension as _;

use super::{Found, MigrationSet, refuse_newer};
use crate::Engine;
use crate::error::{DbError, DbErrorKind};
use crate::options::DbOptions;
use crate::sqlite::{
    beside, not_written, open_plain, prepare_file, private_file, sync_folder, translate,
    write_copy, writer_pragmas,
};

/// How long to wait for other processes that use a file that is to be migrated.
const MIGRATION_WAIT: Duration = Duration::from_secs(60);

/// Creates the file if there is none and applies what is pending.
pub(crate) fn run(path: &Path, options: &DbOptions, sets: &[MigrationSet]) -> Result<(), DbError> {
    prepare_file(path)?;
    let mut connection = open_plain(path, options.connect_timeout)?;
    let mut found = versions(&connection, sets)?;
    refuse_newer(&found)?;
    prepare(&connection, options.connect_timeout)?;
    // The lock makes processes that start together migrate one after the other; it ends with the
    // file handle. Its file stays, empty.
    let mut _lock = None;
    if pending(&found).is_some() {
        _lock = Some(locked(path)?);
        connection.busy_timeout(MIGRATION_WAIT).map_err(|error| translate(&error))?;
        found = versions(&connection, sets)?;
        refuse_newer(&found)?;
        if let Some(first) = pending(&found)
            && !is_empty(&connection)?
        {
            let copy = copy_before(&connection, path, options, first)?;
            tracing::info!(copy = %copy.display(), "a copy of the database was taken before migrating it");
        }
    }
    for Found { set, version } in &found {
        apply(&mut connection, &[*set])?;
        if set.known() > *version {
            tracing::info!(service = set.service, version = set.known(), "schema migrated");
        }
    }
    Ok(())
}

/// Applies what is pending to a file that nobody else has.
pub(crate) fn apply(connection: &mut Connection, sets: &[MigrationSet]) -> Result<(), DbError> {
    for set in sets {
        set.runner(Engine::Sqlite)?.run(connection).map_err(|error| set.failed(&error))?;
    }
    Ok(())
}

/// Sets what a writer needs. Of several that turn a new file to write-ahead logging at the same
/// moment, SQLite refuses all but one at once, whatever their patience: they try again.
fn prepare(connection: &Connection, patience: Duration) -> Result<(), DbError> {
    let began = Instant::now();
    loop {
        match writer_pragmas(connection) {
            Err(error) if error.kind() == DbErrorKind::Busy && began.elapsed() < patience => {
                std::thread::sleep(Duration::from_millis(10));
            }
            done => return done,
        }
    }
}

fn pending(found: &[Found]) -> Option<&MigrationSet> {
    found.iter().find(|found| found.set.known() > found.version).map(|found| &found.set)
}

pub(crate) fn versions(
    connection: &Connection,
    sets: &[MigrationSet],
) -> Result<Vec<Found>, DbError> {
    sets.iter()
        .map(|set| {
            let table = set.history_table();
            let exists = connection
                .query_row(
                    "SELECT 1 FROM sqlite_master WHERE type = 'table' AND name = ?1",
                    [&table],
                    |_row| Ok(()),
                )
                .optional();
            let version = match exists {
                Ok(None) => Ok(0),
                Ok(Some(())) => connection.query_row(
                    &format!("SELECT COALESCE(MAX(version), 0) FROM {table}"),
                    [],
                    |row| row.get(0),
                ),
                Err(error) => Err(error),
            };
            version
                .map(|version| Found { set: *set, version })
                .map_err(|error| translate(&error).within("reading the schema's version"))
        })
        .collect()
}

fn is_empty(connection: &Connection) -> Result<bool, DbError> {
    connection
        .query_row("SELECT COUNT(*) = 0 FROM sqlite_master", [], |row| row.get(0))
        .map_err(|error| translate(&error))
}

fn locked(path: &Path) -> Result<File, DbError> {
    let lock = beside(path, ".lock");
    let take = || {
        let file = private_file().create(true).truncate(false).open(&lock)?;
        file.lock()?;
        Ok(file)
    };
    take().map_err(|error: io::Error| {
        DbError::new(
            DbErrorKind::Unavailable,
            format!("the lock {} cannot be taken: {error}", lock.display()),
        )
    })
}

/// Writes a copy named after the first pending step, `<file>.before-<service>-<version>.bak`. A
/// copy of the same name is kept; if the database has changed since, a numbered one joins it.
fn copy_before(
    connection: &Connection,
    path: &Path,
    options: &DbOptions,
    first: &MigrationSet,
) -> Result<PathBuf, DbError> {
    let base = match (&options.backup_dir, path.file_name()) {
        (Some(folder), Some(name)) => folder.join(name),
        _ => path.to_owned(),
    };
    let stem = beside(&base, &format!(".before-{}-{}", first.service, first.known()));
    let draft = beside(&stem, ".part");
    let failed = |error: io::Error| {
        not_written(&stem, &error).within("the database is not migrated without a copy")
    };
    if let Some(folder) = &options.backup_dir {
        std::fs::create_dir_all(folder).map_err(failed)?;
    }
    write_copy(connection, &draft)
        .map_err(|error| error.within("the database is not migrated without a copy"))?;
    keep(&draft, &stem).map_err(failed)
}

/// Gives the finished copy the first name that is free, unless an equal copy is there already.
fn keep(draft: &Path, stem: &Path) -> io::Result<PathBuf> {
    let mut number = 1_u32;
    loop {
        let suffix = if number == 1 { ".bak".to_owned() } else { format!(".{number}.bak") };
        let name = beside(stem, &suffix);
        if !name.try_exists()? {
            std::fs::rename(draft, &name)?;
            sync_folder(&name)?;
            return Ok(name);
        }
        if same_content(draft, &name)? {
            std::fs::remove_file(draft)?;
            return Ok(name);
        }
        number += 1;
    }
}

fn same_content(left: &Path, right: &Path) -> io::Result<bool> {
    use std::io::{BufRead as _, BufReader};
    let (left, right) = (File::open(left)?, File::open(right)?);
    if left.metadata()?.len() != right.metadata()?.len() {
        return Ok(false);
    }
    let mut left = BufReader::with_capacity(1 << 16, left);
    let mut right = BufReader::with_capacity(1 << 16, right);
    loop {
        let (one, other) = (left.fill_buf()?, right.fill_buf()?);
        let count = one.len().min(other.len());
        if one[..count] != other[..count] {
            return Ok(false);
        }
        if count == 0 {
            return Ok(true);
        }
        left.consume(count);
        right.consume(count);
    }
}
