//! The folder in which a copy is made.

use std::fs::{DirBuilder, File, OpenOptions};
use std::io;
use std::path::{Path, PathBuf};

use downcity_db::Db;

/// What the names of such folders begin with.
const PREFIX: &str = ".downcity-backup-";
/// The file that is locked for as long as its folder is in use.
const LOCK: &str = "lock";

/// A private folder; gone with everything in it when this is dropped.
#[derive(Debug)]
pub(super) struct Folder {
    path: PathBuf,
    _lock: File,
}

impl Folder {
    /// Makes a folder beside a SQLite database, whose disk is chosen for what it has to hold, or in the
    /// system's folder for temporary files. Folders that a killed process has left there are removed.
    pub(super) fn new(db: &Db, name: &str) -> io::Result<Self> {
        let beside = db.file().and_then(Path::parent);
        let parent = match beside {
            Some(parent) if parent.as_os_str().is_empty() => PathBuf::from("."),
            Some(parent) => parent.to_owned(),
            None => std::env::temp_dir(),
        };
        remove_left(&parent)?;
        let path = parent.join(format!("{PREFIX}{name}"));
        let mut folder = DirBuilder::new();
        #[cfg(unix)]
        {
            use std::os::unix::fs::DirBuilderExt as _;
            folder.mode(0o700);
        }
        folder.create(&path)?;
        match locked(&path) {
            Ok(lock) => Ok(Self { path, _lock: lock }),
            Err(error) => {
                remove(&path);
                Err(error)
            }
        }
    }

    /// Where the copy is made.
    pub(super) fn copy(&self) -> PathBuf {
        self.path.join("copy.sqlite")
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        remove(&self.path);
    }
}

fn locked(folder: &Path) -> io::Result<File> {
    let lock = OpenOptions::new().write(true).create_new(true).open(folder.join(LOCK))?;
    lock.lock()?;
    Ok(lock)
}

fn remove(folder: &Path) {
    if let Err(error) = std::fs::remove_dir_all(folder) {
        tracing::warn!(%error, folder = %folder.display(), "the folder of a copy was not removed");
    }
}

/// Removes the folders whose makers have ended. Whatever else has such a name is left alone: others may
/// write into the system's folder for temporary files.
fn remove_left(parent: &Path) -> io::Result<()> {
    for entry in std::fs::read_dir(parent)?.filter_map(Result::ok) {
        let is_folder = entry.file_type().is_ok_and(|kind| kind.is_dir());
        if !is_folder || !entry.file_name().to_string_lossy().starts_with(PREFIX) {
            continue;
        }
        // One without its lock is being made at this moment. To open what is no file could last for ever.
        let lock = entry.path().join(LOCK);
        if !lock.symlink_metadata().is_ok_and(|lock| lock.is_file()) {
            continue;
        }
        let lock = OpenOptions::new().write(true).open(lock);
        if lock.is_ok_and(|lock| lock.try_lock().is_ok()) {
            remove(&entry.path());
        }
    }
    Ok(())
}
