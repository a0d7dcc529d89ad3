//! Files in a directory.
//!
//! A file is written under a name that no reader looks for, and takes its own name when it is whole
//! and on the disk. So a file that is there is whole, whatever happened to whoever wrote it.

use std::io::{self, ErrorKind};
use std::path::{Path, PathBuf};

use downcity_core::{Error, Ids};
use downcity_types::{ErrorCode, Timestamp};
use sha2::{Digest as _, Sha256};
use tokio::fs::{self, DirBuilder, File, OpenOptions};
use tokio::io::AsyncWriteExt as _;

use super::forget;
use super::key::{Key, Kind};

/// Where files are while they are written. What a crash leaves there may be deleted.
pub(super) const INCOMING: &str = "incoming";
/// How much is hashed at once: other tasks of the thread wait for it.
const SLICE: usize = 256 * 1024;

/// Where a file is in the directory: the first two digits of its name make a folder.
pub(super) fn path_of(dir: &Path, key: &Key) -> PathBuf {
    dir.join(key.as_str().get(..2).unwrap_or_default()).join(key.as_str())
}

/// A file that is being written. Dropped before its end, it is removed.
pub(super) struct Incoming {
    dir: PathBuf,
    path: TemporaryPath,
    file: File,
    hasher: Sha256,
    size: u64,
    now: Timestamp,
}

/// The path of a file that goes when this is dropped, unless it has been moved.
struct TemporaryPath(Option<PathBuf>);

impl Drop for TemporaryPath {
    fn drop(&mut self) {
        if let Some(path) = self.0.take() {
            // What cannot be removed is found among the incoming files.
            let _ = std::fs::remove_file(path);
        }
    }
}

impl Incoming {
    /// Begins a file in this directory, which is made where there is none.
    pub(super) async fn begin(dir: &Path, ids: &Ids, now: Timestamp) -> io::Result<Self> {
        let incoming = dir.join(INCOMING);
        make_folder(&incoming).await?;
        let path = incoming.join(ids.secret::<16>(""));
        let mut options = OpenOptions::new();
        options.write(true).create_new(true);
        #[cfg(unix)]
        options.mode(0o600);
        let file = options.open(&path).await?;
        let path = TemporaryPath(Some(path));
        Ok(Self { dir: dir.to_owned(), path, file, hasher: Sha256::new(), size: 0, now })
    }

    /// Adds bytes.
    pub(super) async fn write(&mut self, bytes: &[u8]) -> io::Result<()> {
        for slice in bytes.chunks(SLICE) {
            self.hasher.update(slice);
            self.file.write_all(slice).await?;
            self.size += slice.len() as u64;
        }
        Ok(())
    }

    /// Ends the file: from here on it is there under its own name, also after a loss of power. Gives
    /// the name and the size.
    pub(super) async fn finish(mut self, kind: Kind) -> io::Result<(Key, u64)> {
        let key = Key::new(&self.hasher.finalize(), kind);
        self.file.flush().await?;
        let path = path_of(&self.dir, &key);
        let (there, size, now) = (path.clone(), self.size, self.now);
        let known = tokio::task::spawn_blocking(move || forget::renew(&there, size, now));
        if known.await.map_err(io::Error::other)? {
            return Ok((key, self.size));
        }
        self.file = forget::dated(self.file, now).await?;
        self.file.sync_all().await?;
        let Some(folder) = path.parent() else { return Err(ErrorKind::NotADirectory.into()) };
        make_folder(folder).await?;
        if let Some(temporary) = &self.path.0 {
            fs::rename(temporary, &path).await?;
        }
        self.path.0 = None;
        // The name itself is on the disk only when its folder is.
        File::open(folder).await?.sync_all().await?;
        Ok((key, self.size))
    }
}

/// Makes a folder that nobody else reads, with those above it.
async fn make_folder(path: &Path) -> io::Result<()> {
    if fs::metadata(path).await.is_ok_and(|found| found.is_dir()) {
        return Ok(());
    }
    let mut builder = DirBuilder::new();
    builder.recursive(true);
    #[cfg(unix)]
    builder.mode(0o700);
    builder.create(path).await?;
    // The same for the folder: it is there when the one above it says so.
    match path.parent() {
        Some(above) => File::open(above).await?.sync_all().await,
        None => Ok(()),
    }
}

/// Opens a file to read it; `None` when there is none.
pub(super) async fn open(dir: &Path, key: &Key) -> io::Result<Option<(File, u64)>> {
    let file = match File::open(path_of(dir, key)).await {
        Ok(file) => file,
        Err(error) if error.kind() == ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(error),
    };
    let found = file.metadata().await?;
    Ok(found.is_file().then_some((file, found.len())))
}

/// What a caller hears when the directory cannot be used.
pub(super) fn failed(error: io::Error) -> Error {
    match error.kind() {
        ErrorKind::StorageFull | ErrorKind::QuotaExceeded => Error::new(
            ErrorCode::StorageFull,
            "The disk that keeps files is full; the file was not stored.",
        )
        .with_fix("Its operator has to free space.")
        .with_source(error),
        _ => Error::internal(error),
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use downcity_core::{SystemClock, SystemRandom};

    use super::*;

    fn ids() -> Ids {
        Ids::new(Arc::new(SystemClock), Arc::new(SystemRandom))
    }

    fn png() -> Kind {
        Kind::of("image/png", None)
    }

    fn incoming(dir: &Path) -> usize {
        std::fs::read_dir(dir.join(INCOMING)).unwrap().count()
    }

    #[tokio::test]
    async fn a_file_is_there_when_it_is_whole_and_once() {
        let folder = tempfile::tempdir().unwrap();
        let dir = folder.path().join("a/b");
        for _ in 0..2 {
            let mut file =
                Incoming::begin(&dir, &ids(), Timestamp::from_millis(1_000)).await.unwrap();
            file.write(b"ab").await.unwrap();
            assert_eq!(incoming(&dir), 1);
            file.write(b"c").await.unwrap();
            let (key, size) = file.finish(png()).await.unwrap();
            assert!(key.as_str().starts_with("ba7816bf"), "{key}");
            assert_eq!((size, incoming(&dir)), (3, 0));
            assert_eq!(std::fs::read(path_of(&dir, &key)).unwrap(), b"abc");
            let (_, length) = open(&dir, &key).await.unwrap().unwrap();
            assert_eq!(length, 3);
        }
        assert_eq!(std::fs::read_dir(dir.join("ba")).unwrap().count(), 1);
    }

    #[tokio::test]
    async fn what_is_given_up_leaves_nothing() {
        let folder = tempfile::tempdir().unwrap();
        let mut file =
            Incoming::begin(folder.path(), &ids(), Timestamp::from_millis(1_000)).await.unwrap();
        file.write(b"half").await.unwrap();
        drop(file);
        assert_eq!(incoming(folder.path()), 0);
        let key: Key = format!("{}.png", "a".repeat(64)).parse().unwrap();
        assert!(open(folder.path(), &key).await.unwrap().is_none());
    }

    #[tokio::test]
    async fn a_damaged_file_is_written_anew() {
        let folder = tempfile::tempdir().unwrap();
        let write = async || {
            let mut file = Incoming::begin(folder.path(), &ids(), Timestamp::from_millis(1_000))
                .await
                .unwrap();
            file.write(b"abc").await.unwrap();
            file.finish(png()).await.unwrap().0
        };
        let key = write().await;
        std::fs::write(path_of(folder.path(), &key), b"ab").unwrap();
        write().await;
        assert_eq!(std::fs::read(path_of(folder.path(), &key)).unwrap(), b"abc");
    }

    #[cfg(unix)]
    #[tokio::test]
    async fn nobody_else_on_the_machine_reads_files() {
        use std::os::unix::fs::PermissionsExt as _;
        let folder = tempfile::tempdir().unwrap();
        let dir = folder.path().join("files");
        let mut file = Incoming::begin(&dir, &ids(), Timestamp::from_millis(1_000)).await.unwrap();
        file.write(b"abc").await.unwrap();
        let (key, _) = file.finish(png()).await.unwrap();
        let mode = |path: &Path| std::fs::metadata(path).unwrap().permissions().mode() & 0o777;
        assert_eq!(mode(&path_of(&dir, &key)), 0o600);
        assert_eq!(mode(&dir), 0o700);
        assert_eq!(mode(&dir.join("ba")), 0o700);
    }
}
