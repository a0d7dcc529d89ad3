//! Copies of a database for keeps.

use std::ffi::OsString;
use std::io;
use std::path::Path;
use std::time::Duration;

use rusqlite::Connection;
use tempfile::TempPath;

use crate::error::{DbError, DbErrorKind};
use crate::migrate::{MigrationSet, all_sets};
use crate::options::DbOptions;
use crate::sqlite::{
    beside, not_written, open_plain, private_file, sync_folder, translate, write_copy,
};
use crate::transfer::{self, CopyStop, CopyWatch};
use crate::url::Target;

/// How long to wait for a lock that another process holds on a SQLite file.
const LOCK_WAIT: Duration = Duration::from_secs(60);
/// How much SQLite does between two looks at whether the copy was stopped.
const STEPS_PER_LOOK: i32 = 100_000;
/// What a copy leaves free on its disk, in bytes: a server that runs there needs it for its log.
const MARGIN: u64 = 64 * 1024 * 1024;

/// Writes a copy of a database to `target` and gives its size in bytes: a SQLite file, whatever the
/// engine. The copy is one consistent state and passes SQLite's own check; servers go on reading and
/// writing meanwhile. Blocks.
///
/// `sets` are the migrations of the services; a copy of a PostgreSQL database gets its tables from them,
/// as far as the database has them. Those of a SQLite file come along by themselves.
///
/// # Errors
/// `Unavailable` when the database cannot be read, or when `target` exists or cannot be written;
/// `DiskFull`, at once where the disk is known to lack the room; `Closed` once `watch` has stopped it.
/// Of a PostgreSQL database also `SchemaDivergent` where it has tables of a service whose migrations are
/// not among `sets`, `SchemaNewer` where this program lacks its newest, `Busy` while a server migrates
/// it, and `InvalidValue` for a value that SQLite cannot hold. Nothing is at `target` then that was not
/// there before, except where its folder could not be synced.
pub fn backup(
    options: &DbOptions,
    sets: &[MigrationSet],
    target: &Path,
    watch: &mut CopyWatch,
) -> Result<u64, DbError> {
    let failed = |error| not_written(target, &error);
    if target.try_exists().map_err(failed)? {
        return Err(failed(io::ErrorKind::AlreadyExists.into()));
    }
    let draft = drafted(options, sets, target, watch)?;
    place(&draft, target).map_err(failed)?;
    Ok(target.metadata().map_err(failed)?.len())
}

/// A copy that was checked and is on the disk, in a draft beside `target`.
pub(crate) fn drafted(
    options: &DbOptions,
    sets: &[MigrationSet],
    target: &Path,
    watch: &mut CopyWatch,
) -> Result<TempPath, DbError> {
    let draft = draft_beside(target).map_err(|error| not_written(target, &error))?;
    match options.url.target() {
        Target::Sqlite(path) => copy_file(path, &draft, &watch.stop()),
        Target::Postgres(server) => transfer::take(server, options, sets, &draft, watch),
    }?;
    check(&draft, &watch.stop())?;
    synced(&draft).map_err(|error| not_written(target, &error))?;
    Ok(draft)
}

/// A new, empty file beside another, for its owner alone, of a name that nobody foresees: who may write
/// into the folder cannot have a file or a link of theirs opened instead. It goes with this value.
pub(crate) fn draft_beside(path: &Path) -> io::Result<TempPath> {
    let mut name = path.file_name().map(OsString::from).unwrap_or_default();
    name.push(".");
    let mut draft = tempfile::Builder::new();
    draft.prefix(&name).suffix(".part");
    Ok(draft.tempfile_in(folder_of(path))?.into_temp_path())
}

fn folder_of(path: &Path) -> &Path {
    let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty());
    folder.unwrap_or(Path::new("."))
}

/// Copies a SQLite file into an empty draft.
pub(crate) fn copy_file(path: &Path, draft: &Path, stop: &CopyStop) -> Result<(), DbError> {
    let size = |path: &Path| path.metadata().map_or(0, |file| file.len());
    room_for(size(path).saturating_add(size(&beside(path, "-wal"))), draft)?;
    let connection = stoppable(path, stop)?;
    write_copy(&connection, draft).map_err(|error| unless_stopped(stop, error))
}

/// Refuses a copy of about this size where its disk is known to lack the room: filled to the last byte,
/// the disk would stop whoever else writes there.
pub(crate) fn room_for(bytes: u64, draft: &Path) -> Result<(), DbError> {
    let needed = bytes.saturating_add(MARGIN);
    match free_beside(draft) {
        Some(free) if free < needed => Err(DbError::new(
            DbErrorKind::DiskFull,
            format!(
                "the disk of {} has no room for the copy: {} MiB are free, {} MiB are needed",
                folder_of(draft).display(),
                free >> 20,
                needed >> 20
            ),
        )
        .of_a_file()),
        _ => Ok(()),
    }
}

/// The bytes that are free on the disk of a file, where that can be known.
#[cfg(unix)]
fn free_beside(file: &Path) -> Option<u64> {
    let disk = rustix::fs::statvfs(file).ok()?;
    // Some network file systems say nothing of their size.
    (disk.f_blocks > 0).then(|| disk.f_bavail.saturating_mul(disk.f_frsize))
}

#[cfg(not(unix))]
fn free_beside(_file: &Path) -> Option<u64> {
    None
}

/// A connection whose work ends soon once the copy was stopped.
fn stoppable(path: &Path, stop: &CopyStop) -> Result<Connection, DbError> {
    let mut connection = open_plain(path, LOCK_WAIT)?;
    let seen = stop.clone();
    connection
        .progress_handler(STEPS_PER_LOOK, Some(move || seen.is_stopped()))
        .map_err(|error| translate(&error))?;
    Ok(connection)
}

fn unless_stopped(stop: &CopyStop, error: DbError) -> DbError {
    if stop.is_stopped() { transfer::stopped() } else { error }
}

fn synced(draft: &Path) -> io::Result<()> {
    private_file().open(draft)?.sync_all()
}

fn place(draft: &Path, target: &Path) -> io::Result<()> {
    named(draft, target)?;
    sync_folder(target)
}

/// Gives the draft its name, unless something has that name by now.
pub(crate) fn named(draft: &Path, target: &Path) -> io::Result<()> {
    match std::fs::hard_link(draft, target) {
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => Err(error),
        // Not every file system has second names for a file.
        Err(_) => std::fs::rename(draft, target),
        Ok(()) => Ok(()),
    }
}

fn check(copy: &Path, stop: &CopyStop) -> Result<(), DbError> {
    let verdict: String = stoppable(copy, stop)?
        .query_row("PRAGMA integrity_check(1)", [], |row| row.get(0))
        .map_err(|error| unless_stopped(stop, translate(&error).within("checking the copy")))?;
    if stop.is_stopped() {
        return Err(transfer::stopped());
    }
    if verdict == "ok" {
        return Ok(());
    }
    Err(DbError::new(DbErrorKind::Engine, format!("the copy is damaged: {verdict}")))
}

/// Whether a copy is that of a PostgreSQL database. A copy that has become a SQLite database is none
/// any more.
///
/// # Errors
/// When it cannot be read.
pub fn came_from_postgres(copy: &Path) -> Result<bool, DbError> {
    transfer::came_from_postgres(copy)
}

/// Brings a copy that nobody else has open to the schema of this program; `sets` are the migrations of the
/// services. Nothing is kept of how it was. Blocks.
///
/// # Errors
/// `Engine` when it is not the database of a server that was started; `SchemaNewer` when a newer program
/// has migrated it; `SchemaDivergent` when an applied step is not the one of this program; otherwise the
/// error of the step that failed.
pub fn migrate_copy(copy: &Path, sets: &[MigrationSet]) -> Result<(), DbError> {
    transfer::migrate_copy(copy, &all_sets(sets)?)
}
