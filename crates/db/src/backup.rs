//! Copies of a database for keeps.

use std::io;
use std::path::{Path, PathBuf};
use std::time::Duration;

use crate::error::{DbError, DbErrorKind};
use crate::sqlite::{beside, not_written, open_plain, sync_folder, translate, write_copy};
use crate::url::{DbUrl, Target};

/// Writes a copy of a SQLite database to `target` and gives its size in bytes. The copy is one
/// consistent state and passes SQLite's own check; servers go on reading and writing meanwhile. Blocks.
///
/// # Errors
/// `Config` for a PostgreSQL database, whose own tools make its copies; `Unavailable` when the
/// database cannot be read, or when `target` exists or cannot be written; `DiskFull`. Nothing
/// is at `target` then that was not there before, except where its folder could not be synced.
pub fn backup(url: &DbUrl, target: &Path, patience: Duration) -> Result<u64, DbError> {
    let Target::Sqlite(path) = url.target() else {
        return Err(DbError::new(
            DbErrorKind::Config,
            "PostgreSQL is copied with its own tools, such as pg_dump",
        ));
    };
    let failed = |error| not_written(target, &error);
    if target.try_exists().map_err(failed)? {
        return Err(failed(io::ErrorKind::AlreadyExists.into()));
    }
    // Named after the process: two that copy to one target do not write into one draft.
    let draft = beside(target, &format!(".{}.part", std::process::id()));
    let written = open_plain(path, patience)
        .and_then(|connection| write_copy(&connection, &draft))
        .and_then(|()| check(&draft, patience))
        .and_then(|()| place(&draft, target).map_err(failed));
    // Its content has its name by now, or is of no use; that it stays would change nothing.
    let _ = std::fs::remove_file(&draft);
    written?;
    Ok(target.metadata().map_err(failed)?.len())
}

/// Puts a copy in the place of a SQLite database and gives its size in bytes; the copy itself stays as
/// it is. What stands there is renamed to `aside`, whole, with nothing left in its log. Blocks.
///
/// # Errors
/// `Config` for a PostgreSQL database; `Unavailable` when the copy cannot be read, and when the database
/// or `aside` cannot be written; `Busy` when somebody has the database open; `Engine` when the copy is
/// damaged. The database is as it was then.
pub fn restore(copy: &Path, url: &DbUrl, aside: &Path, patience: Duration) -> Result<u64, DbError> {
    let Target::Sqlite(path) = url.target() else {
        return Err(DbError::new(
            DbErrorKind::Config,
            "PostgreSQL is restored with its own tools, such as pg_restore",
        ));
    };
    let failed = |error| not_written(path, &error);
    let draft = beside(path, &format!(".{}.restore", std::process::id()));
    let _ = std::fs::remove_file(&draft);
    let put = backup(&DbUrl::sqlite(copy), &draft, patience).and_then(|bytes| {
        let stands = path.try_exists().map_err(failed)?;
        if stands {
            close(path)?;
        }
        // The engine would play it into the copy.
        if let Some(left) = log_of(path) {
            let what = "is left of another database: move it away, then restore again";
            return Err(DbError::new(
                DbErrorKind::Unavailable,
                format!("{} {what}", left.display()),
            ));
        }
        if stands {
            std::fs::rename(path, aside).map_err(failed)?;
        }
        if let Err(error) = std::fs::rename(&draft, path) {
            if stands {
                std::fs::rename(aside, path).map_err(failed)?;
            }
            return Err(failed(error));
        }
        sync_folder(path).map_err(failed)?;
        Ok(bytes)
    });
    let _ = std::fs::remove_file(&draft);
    put
}

/// What is left of a database's log.
fn log_of(path: &Path) -> Option<PathBuf> {
    let parts = ["-wal", "-journal"].map(|end| beside(path, end));
    parts.into_iter().find(|part| part.metadata().is_ok_and(|part| part.len() > 0))
}

/// Takes everything of a database's log into its file and removes the log, so that the file is the whole
/// database. The engine does that only for who has the database alone.
fn close(path: &Path) -> Result<(), DbError> {
    let mode: String = open_plain(path, Duration::ZERO)?
        .query_row("PRAGMA journal_mode = DELETE", [], |row| row.get(0))
        .map_err(|error| translate(&error).within("closing the database"))?;
    if mode == "delete" {
        return Ok(());
    }
    Err(DbError::new(DbErrorKind::Busy, "somebody has the database open"))
}

/// Gives the draft its name, unless something has that name by now.
fn place(draft: &Path, target: &Path) -> io::Result<()> {
    match std::fs::hard_link(draft, target) {
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => return Err(error),
        // Not every file system has second names for a file.
        Err(_) => std::fs::rename(draft, target)?,
        Ok(()) => {}
    }
    sync_folder(target)
}

fn check(copy: &Path, patience: Duration) -> Result<(), DbError> {
    let verdict: String = open_plain(copy, patience)?
        .query_row("PRAGMA integrity_check(1)", [], |row| row.get(0))
        .map_err(|error| translate(&error).within("checking the copy"))?;
    if verdict == "ok" {
        return Ok(());
    }
    Err(DbError::new(DbErrorKind::Engine, format!("the copy is damaged: {verdict}")))
}
