//! Copies of a database file, whole and readable by their owner alone.

use std::fs::OpenOptions;
use std::io;
use std::path::{Path, PathBuf};

use rusqlite::Connection;

use super::translate;
use crate::error::{DbError, DbErrorKind};

/// A name beside another.
pub(crate) fn beside(path: &Path, suffix: &str) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(suffix);
    PathBuf::from(name)
}

/// How files are opened that hold what only the owner of the database may read.
pub(crate) fn private_file() -> OpenOptions {
    let mut options = OpenOptions::new();
    options.write(true);
    #[cfg(unix)]
    {
        use std::os::unix::fs::OpenOptionsExt;
        options.mode(0o600);
    }
    options
}

/// Writes everything that is committed into `draft`, and returns when it is on the disk. What the
/// file held before is lost. Others read and write the database meanwhile.
pub(crate) fn write_copy(connection: &Connection, draft: &Path) -> Result<(), DbError> {
    let failed = |error| not_written(draft, &error);
    // SQLite writes into an existing file only if it is empty; making it first sets its mode.
    private_file().create(true).truncate(true).open(draft).map_err(failed)?;
    let target = draft.to_str().ok_or_else(|| failed(io::ErrorKind::InvalidFilename.into()))?;
    connection
        .execute("VACUUM INTO ?1", [target])
        .map_err(|error| translate(&error).within("copying the database"))?;
    private_file().open(draft).and_then(|file| file.sync_all()).map_err(failed)
}

/// The error for a copy that a file system refuses.
pub(crate) fn not_written(path: &Path, error: &io::Error) -> DbError {
    let kind = match error.kind() {
        io::ErrorKind::StorageFull => DbErrorKind::DiskFull,
        _ => DbErrorKind::Unavailable,
    };
    DbError::new(kind, format!("the copy {} cannot be written: {error}", path.display()))
        .of_a_file()
}
