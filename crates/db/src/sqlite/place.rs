//! Whether the files of a database are still where they were opened.
//!
//! A file that is removed or replaced while it is open stays usable under its old handle: commits
//! succeed, and are gone with the process. So the writer looks after every commit, before anybody is
//! told of it.

use std::path::{Path, PathBuf};

use super::copy::beside;
use crate::error::{DbError, DbErrorKind};

/// The database file and its log, as they were when they were opened.
pub(super) struct Place {
    file: PathBuf,
    log: PathBuf,
    known_file: Option<Identity>,
    /// Known after the first commit, which makes the log.
    known_log: Option<Identity>,
}

/// What is not where it was.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Missing {
    File,
    /// The log alone: what it holds can still be moved into the file.
    Log,
}

impl Place {
    /// The place of a database whose connection is open.
    pub(super) fn of(path: &Path) -> Self {
        Self {
            file: path.to_owned(),
            log: beside(path, "-wal"),
            known_file: identity(path),
            known_log: None,
        }
    }

    /// Whether both files are still there, and the same.
    pub(super) fn check(&mut self) -> Result<(), Missing> {
        if identity(&self.file) != self.known_file {
            return Err(Missing::File);
        }
        let log = identity(&self.log);
        match self.known_log {
            None => self.known_log = log,
            Some(_) if log != self.known_log => return Err(Missing::Log),
            Some(_) => {}
        }
        Ok(())
    }

    /// Whether `path` is still the file that was opened first.
    pub(super) fn is_file_in_place(&self) -> bool {
        identity(&self.file) == self.known_file
    }

    /// What callers are told.
    pub(super) fn error(&self, missing: Missing) -> DbError {
        let (file, advice) = match missing {
            Missing::File => (&self.file, "put it back, or stop the server and restore a copy"),
            Missing::Log => (&self.log, "restart the server"),
        };
        DbError::new(
            DbErrorKind::Unavailable,
            format!("{} was removed or replaced while in use: {advice}", file.display()),
        )
    }
}

/// Tells a file from another one at the same path.
#[cfg(unix)]
type Identity = (u64, u64);

#[cfg(unix)]
fn identity(path: &Path) -> Option<Identity> {
    use std::os::unix::fs::MetadataExt as _;
    std::fs::metadata(path).ok().map(|found| (found.dev(), found.ino()))
}

/// Elsewhere open files cannot be removed.
#[cfg(not(unix))]
type Identity = ();

#[cfg(not(unix))]
fn identity(_: &Path) -> Option<Identity> {
    Some(())
}
