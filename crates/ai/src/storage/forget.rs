//! Deleting files of the directory that were made long ago.
//!
//! The time of a file is when it was stored last: making the same file again makes it new. So a file
//! is as old as the last answer that holds it, whoever made it first.

use std::fs::{self, DirEntry, File};
use std::io::{self, ErrorKind};
use std::path::Path;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use downcity_core::{Error, Result, Runtime};
use downcity_types::Timestamp;

use super::key::Key;
use super::{Storage, local};

impl Storage {
    /// Deletes the files of the directory that were stored last before `before`; says how many.
    ///
    /// # Errors
    /// When the directory cannot be read.
    pub(crate) async fn forget(&self, runtime: &Runtime, before: Timestamp) -> Result<u64> {
        let Some(dir) = self.dir(runtime) else { return Ok(0) };
        let work = move || forget_in(&dir, time_of(before));
        tokio::task::spawn_blocking(work).await.map_err(Error::internal)?.map_err(local::failed)
    }
}

/// A time as files have it.
fn time_of(time: Timestamp) -> SystemTime {
    UNIX_EPOCH + Duration::from_millis(u64::try_from(time.millis()).unwrap_or(0))
}

/// Makes a file that is there as new as one that is written now; `false` where it is not there any
/// more, or another one is.
pub(super) fn renew(path: &Path, size: u64, now: Timestamp) -> bool {
    let is_there = || fs::metadata(path).is_ok_and(|found| found.len() == size);
    let renew = || File::options().write(true).open(path)?.set_modified(time_of(now));
    // Whoever deletes it takes it away first, and puts it back where it has become new since.
    is_there() && renew().is_ok() && is_there()
}

/// Gives a file that is being written the time of the node's clock.
pub(super) async fn dated(file: tokio::fs::File, now: Timestamp) -> io::Result<tokio::fs::File> {
    let file = file.into_std().await;
    let date = move || file.set_modified(time_of(now)).map(|()| file);
    let dated = tokio::task::spawn_blocking(date).await.map_err(io::Error::other)?;
    dated.map(tokio::fs::File::from_std)
}

fn forget_in(dir: &Path, before: SystemTime) -> io::Result<u64> {
    let incoming = dir.join(local::INCOMING);
    let mut deleted = 0;
    for folder in entries(dir)? {
        let folder = folder?;
        // What else is there is not ours.
        let is_ours = |name: &str| name.len() == 2 && name.bytes().all(|b| b.is_ascii_hexdigit());
        if !folder.file_name().to_str().is_some_and(is_ours) || !folder.file_type()?.is_dir() {
            continue;
        }
        for file in entries(&folder.path())? {
            deleted += u64::from(forget_one(&incoming, &file?, before)?);
        }
    }
    // What a crash left while it was written, or deleted.
    for file in entries(&incoming)? {
        let file = file?;
        if is_old(&file.path(), before)? {
            gone(fs::remove_file(file.path()))?;
        }
    }
    Ok(deleted)
}

/// Deletes a file of ours that is old; `true` where it did.
fn forget_one(incoming: &Path, file: &DirEntry, before: SystemTime) -> io::Result<bool> {
    let (path, name) = (file.path(), file.file_name());
    let is_ours = name.to_str().is_some_and(|name| name.parse::<Key>().is_ok());
    if !is_ours || !is_old(&path, before)? {
        return Ok(false);
    }
    let away = incoming.join(name);
    if !gone(fs::rename(&path, &away))? {
        return Ok(false);
    }
    if is_old(&away, before)? {
        return gone(fs::remove_file(&away));
    }
    // It was made again meanwhile.
    fs::rename(&away, &path).map(|()| false)
}

fn is_old(path: &Path, before: SystemTime) -> io::Result<bool> {
    match fs::metadata(path) {
        Ok(found) => Ok(found.is_file() && found.modified()? < before),
        Err(error) if error.kind() == ErrorKind::NotFound => Ok(false),
        Err(error) => Err(error),
    }
}

/// `false` where the file was gone: another node deletes, too.
fn gone(done: io::Result<()>) -> io::Result<bool> {
    match done {
        Ok(()) => Ok(true),
        Err(error) if error.kind() == ErrorKind::NotFound => Ok(false),
        Err(error) => Err(error),
    }
}

/// What is in a folder; nothing where there is none.
fn entries(folder: &Path) -> io::Result<impl Iterator<Item = io::Result<DirEntry>>> {
    match fs::read_dir(folder) {
        Ok(entries) => Ok(Some(entries).into_iter().flatten()),
        Err(error) if error.kind() == ErrorKind::NotFound => Ok(None.into_iter().flatten()),
        Err(error) => Err(error),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_old_goes_and_nothing_else() {
        let folder = tempfile::tempdir().unwrap();
        let dir = folder.path();
        let key = format!("ab{}.png", "0".repeat(62));
        let write = |name: &str, time: i64| {
            let path = dir.join(name);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(&path, "abc").unwrap();
            let file = File::options().write(true).open(&path).unwrap();
            file.set_modified(time_of(Timestamp::from_millis(time))).unwrap();
        };
        let ours = format!("ab/{key}");
        let others = [format!("lost/{key}"), "ab/notes.txt".to_owned(), "incoming/new".to_owned()];
        for (name, time) in [(&ours, 1_000), (&others[0], 1_000), (&others[1], 1_000)] {
            write(name, time);
        }
        write("incoming/left", 1_000);
        write(&others[2], 9_000);
        let before = |millis| time_of(Timestamp::from_millis(millis));
        assert_eq!(forget_in(dir, before(1_000)).unwrap(), 0);
        // Made again, it is new.
        assert!(renew(&dir.join(&ours), 3, Timestamp::from_millis(5_000)));
        assert!(!renew(&dir.join(&ours), 4, Timestamp::from_millis(5_000)), "another one");
        assert_eq!(forget_in(dir, before(5_000)).unwrap(), 0);
        assert!(dir.join(&ours).exists() && !dir.join("incoming/left").exists());
        assert_eq!(forget_in(dir, before(5_001)).unwrap(), 1);
        assert!(!dir.join(&ours).exists());
        assert!(!renew(&dir.join(&ours), 3, Timestamp::from_millis(6_000)));
        assert!(others.iter().all(|name| dir.join(name).exists()));
        assert_eq!(forget_in(&dir.join("nothing"), before(5_001)).unwrap(), 0);
    }
}
