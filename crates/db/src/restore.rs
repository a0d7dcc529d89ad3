//! Copies put in the place of a database.

use std::io;
use std::path::{Path, PathBuf};
use std::time::Duration;

use rusqlite::ErrorCode;
use rusqlite::config::DbConfig;

use crate::backup::{copy_file, draft_beside, drafted};
use crate::error::{DbError, DbErrorKind};
use crate::migrate::MigrationSet;
use crate::options::DbOptions;
use crate::sqlite::{beside, not_written, open_plain, sync_folder, translate};
use crate::transfer::{self, CopyWatch};
use crate::url::{DbUrl, Target};

/// What stands beside the file of a database that is in use or was left in the middle.
const LOGS: [&str; 3] = ["-wal", "-journal", "-shm"];

/// Puts a copy into a PostgreSQL database, in one transaction: either all of it is there afterwards, or
/// the database is as it was. Tables that are missing are made; `replace` says that what is in them may
/// be lost. `scratch` is a folder with room for the copy once more. The copy stays as it is. Blocks.
///
/// # Errors
/// `Config` for a SQLite database; `NotEmpty` when there are rows and `replace` is false; `Busy` when a
/// server runs on the database; `SchemaDivergent` and `SchemaNewer` where copy, database and `sets` do
/// not have the same services; `InvalidValue` for a value that PostgreSQL cannot hold, with its table and
/// row; `CommitUnknown` when the connection was lost at the very end.
pub fn restore_server(
    copy: &Path,
    scratch: &Path,
    options: &DbOptions,
    sets: &[MigrationSet],
    replace: bool,
    watch: &mut CopyWatch,
) -> Result<(), DbError> {
    let Target::Postgres(server) = options.url.target() else {
        return Err(DbError::new(DbErrorKind::Config, "this is for a PostgreSQL database"));
    };
    let own = scratch.join("restore.sqlite");
    let own = draft_beside(&own).map_err(|error| not_written(&own, &error))?;
    copy_file(copy, &own, &watch.stop())?;
    transfer::put(server, options, sets, &own, replace, watch)
}

/// Puts a copy in the place of a SQLite database and gives its size in bytes; the copy itself stays as
/// it is. What stands there gets the name `aside`: whole, with nothing left in its log, or, where it is
/// damaged or no database at all, as it is, its log beside it. Blocks.
///
/// # Errors
/// `Config` for a PostgreSQL database; `Unavailable` when the copy cannot be read, and when the database
/// or `aside` cannot be written; `DiskFull`; `Busy` when somebody has the database open; `Engine` when the
/// copy is damaged; `Closed` once `watch` has stopped it. The database is as it was then. `CommitUnknown`
/// when the copy is in its place, but a power cut may undo that.
pub fn restore(
    copy: &Path,
    url: &DbUrl,
    aside: &Path,
    watch: &mut CopyWatch,
) -> Result<u64, DbError> {
    let Target::Sqlite(path) = url.target() else {
        return Err(DbError::new(DbErrorKind::Config, "this is for a SQLite database"));
    };
    let failed = |error| not_written(path, &error);
    let draft = drafted(&DbOptions::new(DbUrl::sqlite(copy)), &[], path, watch)?;
    transfer::forget_origin(&draft)?;
    let bytes = draft.metadata().map_err(failed)?.len();
    let stands = path.try_exists().map_err(failed)?;
    let is_damaged = stands && !close(path)?;
    // The engine would play it into the copy.
    if let Some(left) = log_of(path).filter(|_| !is_damaged) {
        let what = "is left of another database: move it away, then restore again";
        return Err(DbError::new(DbErrorKind::Unavailable, format!("{} {what}", left.display())));
    }
    if watch.stop().is_stopped() {
        return Err(transfer::stopped());
    }
    let logs = if is_damaged { move_logs(path, aside).map_err(failed)? } else { Vec::new() };
    let replaced = replace(&draft, path, stands.then_some(aside), sync_folder);
    if replaced.as_ref().is_err_and(|error| error.kind() != DbErrorKind::CommitUnknown) {
        move_back(&logs);
    }
    replaced.map(|()| bytes)
}

/// What is left of a database's log.
fn log_of(path: &Path) -> Option<PathBuf> {
    let parts = ["-wal", "-journal"].map(|end| beside(path, end));
    parts.into_iter().find(|part| part.metadata().is_ok_and(|part| part.len() > 0))
}

/// Takes everything of a database's log into its file and removes the log, so that the file is the whole
/// database. The engine does that only for who has the database alone. Gives false, and leaves the file
/// as it is, where the engine finds no database in it, or a damaged one.
fn close(path: &Path) -> Result<bool, DbError> {
    let connection = open_plain(path, Duration::ZERO)?;
    // The log of a damaged database stays as it is, too.
    connection
        .set_db_config(DbConfig::SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, true)
        .map_err(|error| translate(&error))?;
    let mode =
        connection.query_row("PRAGMA journal_mode = DELETE", [], |row| row.get::<_, String>(0));
    // What was opened here is not to be found open below.
    drop(connection);
    let is_free = match mode {
        Ok(mode) => mode == "delete",
        Err(error) => match error.sqlite_error_code() {
            Some(ErrorCode::NotADatabase | ErrorCode::DatabaseCorrupt) => {
                if !is_open(path).map_err(|error| not_written(path, &error))? {
                    return Ok(false);
                }
                false
            }
            _ => return Err(translate(&error).within("closing the database")),
        },
    };
    if is_free {
        return Ok(true);
    }
    Err(DbError::new(DbErrorKind::Busy, "somebody has the database open"))
}

/// Whether another process holds a file as its database: those hold a lock on a part of it. For files
/// that this process does not have open, since closing any handle of a file gives up its locks.
#[cfg(unix)]
fn is_open(path: &Path) -> io::Result<bool> {
    use rustix::fs::{FlockOperation, fcntl_lock};
    use rustix::io::Errno;

    let file = std::fs::File::options().read(true).write(true).open(path)?;
    let locked = fcntl_lock(&file, FlockOperation::NonBlockingLockExclusive);
    Ok(matches!(locked, Err(Errno::AGAIN | Errno::ACCESS)))
}

/// Here the system refuses to rename a file that is open.
#[cfg(not(unix))]
fn is_open(_path: &Path) -> io::Result<bool> {
    Ok(false)
}

/// Gives what belongs to a damaged database names beside `aside`: old names and new ones.
fn move_logs(path: &Path, aside: &Path) -> io::Result<Vec<(PathBuf, PathBuf)>> {
    let mut moved = Vec::new();
    for end in LOGS {
        let (old, new) = (beside(path, end), beside(aside, end));
        match std::fs::rename(&old, &new) {
            Ok(()) => moved.push((old, new)),
            Err(error) if error.kind() == io::ErrorKind::NotFound => {}
            Err(error) => {
                move_back(&moved);
                return Err(error);
            }
        }
    }
    Ok(moved)
}

fn move_back(moved: &[(PathBuf, PathBuf)]) {
    for (old, new) in moved {
        if let Err(error) = std::fs::rename(new, old) {
            tracing::error!(%error, "{} is now {}", old.display(), new.display());
        }
    }
}

/// Puts the draft in the place of the database, whose file of before gets the name `aside`.
fn replace(
    draft: &Path,
    path: &Path,
    aside: Option<&Path>,
    sync: impl Fn(&Path) -> io::Result<()>,
) -> Result<(), DbError> {
    match aside {
        Some(aside) => swap(draft, path, aside, &sync),
        None => std::fs::rename(draft, path),
    }
    .map_err(|error| not_written(path, &error))?;
    sync(path).map_err(|error| {
        DbError::new(
            DbErrorKind::CommitUnknown,
            format!(
                "{} was replaced by the copy, but its folder cannot be synced, so that a power cut may undo it: {error}",
                path.display()
            ),
        )
    })
}

/// A database has the name `path` at each moment: a start in between would make an empty one.
fn swap(
    draft: &Path,
    path: &Path,
    aside: &Path,
    sync: impl Fn(&Path) -> io::Result<()>,
) -> io::Result<()> {
    match std::fs::hard_link(path, aside) {
        Ok(()) => sync(path).and_then(|()| std::fs::rename(draft, path)).inspect_err(|_| {
            let _ = std::fs::remove_file(aside);
        }),
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => Err(error),
        // Not every file system has second names for a file.
        Err(_) => {
            std::fs::rename(path, aside)?;
            std::fs::rename(draft, path).inspect_err(|_| {
                let _ = std::fs::rename(aside, path);
            })
        }
    }
}

#[cfg(test)]
mod tests {
    use std::cell::RefCell;
    use std::fs;
    use std::io;

    use super::replace;
    use crate::error::DbErrorKind;

    #[test]
    fn a_database_has_the_name_at_each_moment() {
        let folder = tempfile::tempdir().unwrap();
        let [draft, path, aside] = ["draft", "path", "aside"].map(|name| folder.path().join(name));
        let seen = RefCell::new(Vec::new());
        let look = |_: &_| {
            let read = |file| fs::read_to_string(file).ok();
            seen.borrow_mut().push((read(&path), read(&aside)));
            Ok(())
        };
        fs::write(&path, "old").unwrap();
        fs::write(&draft, "new").unwrap();
        replace(&draft, &path, Some(&aside), look).unwrap();
        let (old, new) = (Some("old".to_owned()), Some("new".to_owned()));
        assert_eq!(*seen.borrow(), [(old.clone(), old.clone()), (new, old)]);
    }

    #[test]
    fn what_cannot_be_synced_is_told_as_it_is() {
        let folder = tempfile::tempdir().unwrap();
        let [draft, path, aside] = ["draft", "path", "aside"].map(|name| folder.path().join(name));
        fs::write(&path, "old").unwrap();
        fs::write(&draft, "new").unwrap();
        let broken = |_: &_| Err(io::Error::other("broken"));
        let error = replace(&draft, &path, Some(&aside), broken).unwrap_err();
        assert_eq!(error.kind(), DbErrorKind::Unavailable);
        assert_eq!((fs::read_to_string(&path).unwrap(), aside.exists()), ("old".to_owned(), false));

        let last = |_: &_| match fs::read_to_string(&path).unwrap().as_str() {
            "new" => Err(io::Error::other("broken")),
            _ => Ok(()),
        };
        let error = replace(&draft, &path, Some(&aside), last).unwrap_err();
        assert_eq!(error.kind(), DbErrorKind::CommitUnknown);
        assert!(error.to_string().contains("was replaced"), "{error}");
        assert_eq!(fs::read_to_string(&aside).unwrap(), "old");
    }
}
