//! Reading and replacing the file.

use std::fs::{self, File, OpenOptions, TryLockError};
use std::io::{self, ErrorKind, Read as _, Write as _};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::SystemTime;

use zeroize::Zeroizing;

use crate::env::master_key::{beside, folder_of};

/// The largest file that is read.
const MAX_BYTES: u64 = 4 * 1024 * 1024;
/// How often a file is read that changes under the reader.
const READS: usize = 5;
/// How many links lead to a file at most.
const MAX_LINKS: usize = 16;

/// By what one sees that a file has changed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Stamp {
    modified: Option<SystemTime>,
    size: u64,
    /// Seconds and nanoseconds of the last change, those of its mode and owner included.
    changed: (i64, i64),
    /// Which file it is: another one may have taken its place.
    inode: u64,
}

impl Stamp {
    /// `None` when there is no such file.
    pub(super) fn of(path: &Path) -> Option<Self> {
        fs::metadata(path).ok().map(|found| Self::from(&found))
    }
}

impl From<&fs::Metadata> for Stamp {
    fn from(found: &fs::Metadata) -> Self {
        #[cfg(unix)]
        let (inode, changed) = {
            use std::os::unix::fs::MetadataExt as _;
            (found.ino(), (found.ctime(), found.ctime_nsec()))
        };
        #[cfg(not(unix))]
        let (inode, changed) = (0, (0, 0));
        Self { modified: found.modified().ok(), size: found.len(), changed, inode }
    }
}

/// A file that was read.
pub(super) struct Found {
    pub(super) text: Zeroizing<String>,
    pub(super) stamp: Stamp,
}

/// Reads a file that nobody writes at the same time; `None` when there is none.
pub(super) fn read(path: &Path) -> io::Result<Option<Found>> {
    let mut before = match fs::metadata(path) {
        Err(error) if error.kind() == ErrorKind::NotFound => return Ok(None),
        // To open a pipe would wait for a writer.
        Ok(found) if !found.is_file() => return Err(io::Error::other("it is no file")),
        found => found?,
    };
    let mut file = File::open(path)?;
    for _ in 0..READS {
        if before.len() > MAX_BYTES {
            return Err(io::Error::other("it is larger than 4 MiB"));
        }
        let mut bytes =
            Zeroizing::new(Vec::with_capacity(usize::try_from(before.len() + 1).unwrap_or(0)));
        (&mut file).take(MAX_BYTES + 1).read_to_end(&mut bytes)?;
        let after = file.metadata()?;
        let stamp = Stamp::from(&after);
        if Stamp::from(&before) == stamp {
            let text = str::from_utf8(&bytes).map_err(|_| io::Error::other("it is not UTF-8"))?;
            return Ok(Some(Found { text: Zeroizing::new(text.to_owned()), stamp }));
        }
        io::Seek::rewind(&mut file)?;
        before = after;
    }
    Err(io::Error::other("somebody is writing it"))
}

/// The file behind links. It need not exist.
pub(super) fn resolve(path: &Path) -> PathBuf {
    let mut path = path.to_path_buf();
    for _ in 0..MAX_LINKS {
        if let Ok(found) = fs::canonicalize(&path) {
            return found;
        }
        // A link to a file that does not exist yet.
        let Ok(next) = fs::read_link(&path) else { break };
        path = folder_of(&path).join(next);
    }
    path
}

/// The file whose lock those hold who change `target`. It stays, empty.
pub(super) fn lock_path(target: &Path) -> PathBuf {
    beside(target, "lock")
}

/// `None` when somebody else holds the lock.
pub(super) fn try_lock(target: &Path) -> io::Result<Option<File>> {
    fs::create_dir_all(folder_of(target))?;
    let mut options = OpenOptions::new();
    options.create(true).truncate(false).write(true);
    private(&mut options);
    let file = options.open(lock_path(target))?;
    match file.try_lock() {
        Ok(()) => Ok(Some(file)),
        Err(TryLockError::WouldBlock) => Ok(None),
        Err(TryLockError::Error(error)) => Err(error),
    }
}

/// Puts a new file with this text in the place of `target`, on disk when this returns.
pub(super) fn replace(target: &Path, text: &str, told: &AtomicBool) -> io::Result<()> {
    replace_by(target, text, told, |draft, target| fs::rename(draft, target))
}

fn replace_by(
    target: &Path,
    text: &str,
    told: &AtomicBool,
    rename: impl FnOnce(&Path, &Path) -> io::Result<()>,
) -> io::Result<()> {
    let old = fs::metadata(target).ok();
    // A file that nobody may write is not replaced either.
    if old.is_some() {
        OpenOptions::new().write(true).open(target)?;
    }
    let draft = beside(target, "tmp");
    let renamed = write_new(&draft, text, old.as_ref()).and_then(|()| rename(&draft, target));
    if renamed.is_err() {
        let _ = fs::remove_file(&draft);
    }
    match renamed {
        Err(error) if cannot_be_renamed(&error) && old.is_some() => {
            if !told.swap(true, Ordering::Relaxed) {
                tracing::warn!(file = %target.display(), %error, "the env file cannot be replaced by a rename, as when it is mounted by itself; it is written in place, with a copy beside it that ends in .bak");
            }
            write_in_place(target, text, old.as_ref())
        }
        Err(error) => Err(error),
        Ok(()) => sync_folder(target),
    }
}

/// Whether a rename can never work here, as onto a file that is mounted by itself.
fn cannot_be_renamed(error: &io::Error) -> bool {
    matches!(error.kind(), ErrorKind::ResourceBusy | ErrorKind::CrossesDevices)
}

/// Keeps a copy first: a crash may leave half of the new text.
fn write_in_place(target: &Path, text: &str, old: Option<&fs::Metadata>) -> io::Result<()> {
    let before = Zeroizing::new(fs::read_to_string(target)?);
    write_new(&beside(target, "bak"), &before, old)?;
    sync_folder(target)?;
    let mut file = OpenOptions::new().write(true).truncate(true).open(target)?;
    file.write_all(text.as_bytes())?;
    file.sync_all()
}

/// Writes a file that its owner alone can read, whoever could read it before: it holds secrets in
/// the clear. As far as the system lets us, the owner is that of `like`.
fn write_new(path: &Path, text: &str, like: Option<&fs::Metadata>) -> io::Result<()> {
    // One that a process left which ended in between.
    match fs::remove_file(path) {
        Err(error) if error.kind() != ErrorKind::NotFound => return Err(error),
        _ => {}
    }
    let mut options = OpenOptions::new();
    options.write(true).create_new(true);
    private(&mut options);
    let mut file = options.open(path)?;
    #[cfg(unix)]
    if let Some(like) = like {
        use std::os::unix::fs::MetadataExt as _;
        let _ = std::os::unix::fs::fchown(&file, Some(like.uid()), Some(like.gid()));
    }
    #[cfg(not(unix))]
    let _ = like;
    file.write_all(text.as_bytes())?;
    file.sync_all()
}

fn private(options: &mut OpenOptions) {
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(options, 0o600);
    #[cfg(not(unix))]
    let _ = options;
}

fn sync_folder(target: &Path) -> io::Result<()> {
    #[cfg(unix)]
    File::open(folder_of(target))?.sync_all()?;
    #[cfg(not(unix))]
    let _ = target;
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn told() -> AtomicBool {
        AtomicBool::new(false)
    }

    #[test]
    fn a_mounted_file_is_written_in_place_after_a_copy() {
        let folder = tempfile::TempDir::new().unwrap();
        let path = folder.path().join(".env");
        fs::write(&path, "A=1\nB=2\n").unwrap();
        let before = Stamp::of(&path).unwrap();
        let told = told();
        for kind in [ErrorKind::ResourceBusy, ErrorKind::CrossesDevices] {
            replace_by(&path, "A=2\n", &told, |_, _| Err(kind.into())).unwrap();
        }
        assert_eq!(fs::read_to_string(&path).unwrap(), "A=2\n");
        assert_eq!(Stamp::of(&path).unwrap().inode, before.inode, "the same file");
        assert!(told.into_inner());
        assert!(
            folder.path().join(".env.bak").exists() && !folder.path().join(".env.tmp").exists()
        );
        let told = self::told();
        let denied =
            replace_by(&path, "A=3\n", &told, |_, _| Err(ErrorKind::PermissionDenied.into()));
        assert_eq!(denied.unwrap_err().kind(), ErrorKind::PermissionDenied);
        assert_eq!(fs::read_to_string(&path).unwrap(), "A=2\n");
    }

    #[test]
    fn what_a_dead_process_left_is_no_obstacle() {
        let folder = tempfile::TempDir::new().unwrap();
        let path = folder.path().join("not/yet/.env");
        drop(try_lock(&path).unwrap().unwrap());
        fs::write(beside(&path, "tmp"), "half of a fi").unwrap();
        replace(&path, "A=1\n", &told()).unwrap();
        assert_eq!(*read(&path).unwrap().unwrap().text, "A=1\n");
        assert!(!beside(&path, "tmp").exists());
    }

    #[test]
    fn one_holds_the_lock_at_a_time() {
        let folder = tempfile::TempDir::new().unwrap();
        let path = folder.path().join(".env");
        let held = try_lock(&path).unwrap();
        assert!(held.is_some() && try_lock(&path).unwrap().is_none());
        drop(held);
        assert!(try_lock(&path).unwrap().is_some());
    }

    #[test]
    fn what_is_no_file_of_text_is_not_read() {
        let folder = tempfile::TempDir::new().unwrap();
        let path = folder.path().join(".env");
        assert!(read(&path).unwrap().is_none());
        assert!(read(folder.path()).is_err());
        fs::write(&path, b"A=\xff").unwrap();
        assert!(read(&path).is_err());
        File::create(&path).unwrap().set_len(MAX_BYTES + 1).unwrap();
        assert!(read(&path).is_err());
    }

    #[test]
    fn links_are_followed_to_what_need_not_exist() {
        let folder = tempfile::TempDir::new().unwrap();
        let root = fs::canonicalize(folder.path()).unwrap();
        let link = |to: &str, at: &str| std::os::unix::fs::symlink(to, root.join(at)).unwrap();
        link("second", "first");
        link("values", "second");
        assert_eq!(resolve(&root.join("first")), root.join("values"));
        fs::write(root.join("values"), "").unwrap();
        assert_eq!(resolve(&root.join("first")), root.join("values"));
        link("loop", "loop");
        assert_eq!(resolve(&root.join("loop")), root.join("loop"));
    }
}
