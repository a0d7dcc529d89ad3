//! Copies put in the place of a database.

use std::io;
use std::path::{Path, PathBuf};
use std::time::Duration;

use rusqlite::ErrorCode;
use rusqlite::config::DbConfig;

use crate::backup::{copy_file, draft_beside, drafted, named};
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
/// damaged or no database at all, as it is, its log beside it. A link to the database stays one: the file
/// that it leads to is replaced. Blocks.
///
/// # Errors
/// `Config` for a PostgreSQL database; `Unavailable` when the copy cannot be read, when the database or
/// `aside` cannot be written, and when a link leads nowhere; `DiskFull`; `Busy` when somebody has the
/// database open; `Engine` when the copy is damaged; `Closed` once `watch` has stopped it. The database is
/// as it was then, unless the message says where it is. `CommitUnknown` when the copy is in its place, but
/// a power cut may undo that, or a server was started meanwhile.
pub fn restore(
    copy: &Path,
    url: &DbUrl,
    aside: &Path,
    watch: &mut CopyWatch,
) -> Result<u64, DbError> {
    let Target::Sqlite(path) = url.target() else {
        return Err(DbError::new(DbErrorKind::Config, "this is for a SQLite database"));
    };
    let path = followed(path)?;
    let path = path.as_path();
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
    let logs = if is_damaged { move_logs(path, aside)? } else { Vec::new() };
    match replace(&draft, path, stands.then_some(aside), sync_folder) {
        Err(error) if error.kind() != DbErrorKind::CommitUnknown => {
            Err(error.followed_by(&move_back(&logs)))
        }
        Err(error) => Err(error),
        Ok(()) => unused(path, stands).map(|()| bytes).map_err(|error| {
            let what = format!("{} was replaced by the copy, but {error}", path.display());
            DbError::new(DbErrorKind::CommitUnknown, what).of_a_file()
        }),
    }
}

/// The file that a link leads to, or the path itself.
fn followed(path: &Path) -> Result<PathBuf, DbError> {
    if !path.is_symlink() {
        return Ok(path.to_owned());
    }
    path.canonicalize().map_err(|error| {
        let what = format!("{} is a link that leads to no file: {error}", path.display());
        DbError::new(DbErrorKind::Unavailable, what).of_a_file()
    })
}

/// Refuses a database that has a log again: nothing keeps a server out once it was closed here. One that
/// stood there and was closed has none, not even an empty one, which a server makes when it starts.
fn unused(path: &Path, stood: bool) -> io::Result<()> {
    let is_log = |part: &PathBuf| part.metadata().is_ok_and(|part| stood || part.len() > 0);
    match logs_of(path).into_iter().find(is_log) {
        None => Ok(()),
        Some(log) => Err(io::Error::other(format!(
            "a server was started on it meanwhile ({} is there): stop it, and restore again",
            log.display()
        ))),
    }
}

/// What is left of a database's log.
fn log_of(path: &Path) -> Option<PathBuf> {
    logs_of(path).into_iter().find(|part| part.metadata().is_ok_and(|part| part.len() > 0))
}

/// Where a database's log would be.
fn logs_of(path: &Path) -> [PathBuf; 2] {
    ["-wal", "-journal"].map(|end| beside(path, end))
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
fn move_logs(path: &Path, aside: &Path) -> Result<Vec<(PathBuf, PathBuf)>, DbError> {
    let mut moved = Vec::new();
    for end in LOGS {
        let (old, new) = (beside(path, end), beside(aside, end));
        match std::fs::rename(&old, &new) {
            Ok(()) => moved.push((old, new)),
            Err(error) if error.kind() == io::ErrorKind::NotFound => {}
            Err(error) => return Err(not_written(path, &error).followed_by(&move_back(&moved))),
        }
    }
    Ok(moved)
}

/// Gives everything its old name again; tells of what has the new one still.
fn move_back(moved: &[(PathBuf, PathBuf)]) -> String {
    let back = |(old, new): &(PathBuf, PathBuf)| {
        let error = std::fs::rename(new, old).err()?;
        Some(format!("; {} is now {}: {error}", old.display(), new.display()))
    };
    moved.iter().filter_map(back).collect()
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
        None => named(draft, path),
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

/// Where the file system has second names for a file, a database has the name `path` at each moment: a
/// start in between would make an empty one.
fn swap(
    draft: &Path,
    path: &Path,
    aside: &Path,
    sync: impl Fn(&Path) -> io::Result<()>,
) -> io::Result<()> {
    match std::fs::hard_link(path, aside) {
        Ok(()) => {
            let synced = sync(path).and_then(|()| unused(path, true));
            synced.and_then(|()| std::fs::rename(draft, path)).inspect_err(|_| {
                let _ = std::fs::remove_file(aside);
            })
        }
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => Err(error),
        Err(_) => {
            unused(path, true)?;
            std::fs::rename(path, aside)?;
            std::fs::rename(draft, path).map_err(|error| match std::fs::rename(aside, path) {
                Ok(()) => error,
                Err(_) => {
                    let told = format!("{error}; the database is now {}", aside.display());
                    io::Error::new(error.kind(), told)
                }
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
    fn a_server_that_was_started_meanwhile_keeps_its_database() {
        let folder = tempfile::tempdir().unwrap();
        let [draft, path, aside] = ["draft", "path", "aside"].map(|name| folder.path().join(name));
        fs::write(&draft, "new").unwrap();
        fs::write(&path, "old").unwrap();
        let begun = |_: &_| fs::write(folder.path().join("path-wal"), "a log");
        let error = replace(&draft, &path, Some(&aside), begun).unwrap_err();
        assert!(error.to_string().contains("path-wal"), "{error}");
        assert_eq!((fs::read_to_string(&path).unwrap(), aside.exists()), ("old".to_owned(), false));
        // One that made its database where there was none.
        let error = replace(&draft, &path, None, |_: &_| Ok(())).unwrap_err();
        assert_eq!(error.kind(), DbErrorKind::Unavailable);
        assert_eq!(fs::read_to_string(&path).unwrap(), "old");
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
