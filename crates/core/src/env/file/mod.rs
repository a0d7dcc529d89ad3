//! Env values in a `.env` file, which people and other programs edit too.
//!
//! Whoever changes the file holds the lock of `<file>.lock`, reads it anew, and puts a whole new file
//! in its place. Readers take no lock: they see the old file or the new one.

mod disk;
mod document;

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::atomic::AtomicBool;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use downcity_types::ErrorCode;
use zeroize::Zeroizing;

pub(crate) use self::disk::Stamp as FileStamp;
use self::disk::{Found, Stamp};
pub(crate) use self::document::Document;
use super::SYSTEM_KEYS;
use crate::call::lock;
use crate::{Error, Result, Secret};

/// How long a change waits for another program that holds the lock.
const LOCK_PATIENCE: Duration = Duration::from_secs(10);
/// The distance between two attempts to get the lock.
const LOCK_RETRY: Duration = Duration::from_millis(2);

/// A `.env` file that holds the env values.
pub(crate) struct EnvFile {
    /// As it is configured; links are followed when it is written.
    path: PathBuf,
    /// The changes of this node, one after the other.
    turns: Arc<tokio::sync::Mutex<()>>,
    seen: Mutex<Seen>,
    /// Whether the log says already that the file cannot be replaced by a rename.
    told_in_place: AtomicBool,
}

/// The file as it was read for the last time.
#[derive(Clone, Default)]
struct Seen {
    stamp: Option<Stamp>,
    values: Arc<BTreeMap<String, Secret>>,
}

/// The values of a file, and by what one sees that it has changed since.
pub(crate) struct FileValues {
    pub(crate) values: Arc<BTreeMap<String, Secret>>,
    pub(crate) stamp: Option<Stamp>,
}

impl EnvFile {
    pub(crate) fn new(path: PathBuf) -> Self {
        Self {
            path,
            turns: Arc::default(),
            seen: Mutex::default(),
            told_in_place: AtomicBool::new(false),
        }
    }

    /// By what one sees that the file has changed; `None` while there is none. Asks the file system.
    pub(crate) fn stamp(&self) -> Option<Stamp> {
        Stamp::of(&self.path)
    }

    /// The values that apply now. A file that cannot be read leaves those in effect that were read
    /// before, and so does one that has lost a system key with that key: the log says so, once.
    pub(crate) fn load(&self) -> FileValues {
        let mut seen = lock(&self.seen);
        let stamp = self.stamp();
        if stamp.is_none() || seen.stamp != stamp {
            match disk::read(&self.path) {
                Ok(Some(Found { text, stamp })) => {
                    let document = Document::new(text);
                    if seen.stamp.is_some() {
                        tracing::info!(file = %self.path.display(), "the env file has changed and was read");
                    }
                    self.report(&document);
                    let mut values = document.values();
                    self.keep_system_keys(&seen.values, &mut values);
                    *seen = Seen { stamp: Some(stamp), values: Arc::new(values) };
                }
                Ok(None) => {
                    if seen.stamp.is_some() {
                        tracing::error!(file = %self.path.display(), "the env file is gone; the values that were read from it stay in effect");
                    }
                    seen.stamp = None;
                }
                Err(error) => {
                    tracing::error!(file = %self.path.display(), %error, "the env file cannot be read; the values that were read before stay in effect");
                    seen.stamp = stamp;
                }
            }
        }
        FileValues { values: seen.values.clone(), stamp: seen.stamp.clone() }
    }

    fn report(&self, document: &Document) {
        for line in document.nameless() {
            tracing::warn!(file = %self.path.display(), line, "a line of the env file has no usable key; it is skipped");
        }
    }

    /// A file that somebody is in the middle of writing must not lock everybody out.
    fn keep_system_keys(
        &self,
        before: &BTreeMap<String, Secret>,
        values: &mut BTreeMap<String, Secret>,
    ) {
        let blank = |value: Option<&Secret>| value.is_none_or(|value| value.expose().is_empty());
        for key in SYSTEM_KEYS {
            if let Some(known) = before.get(key)
                && !blank(Some(known))
                && blank(values.get(key))
            {
                tracing::warn!(file = %self.path.display(), key, "the env file has lost a system key; the value that was read before stays in effect until the next start");
                values.insert(key.to_owned(), known.clone());
            }
        }
    }

    /// Waits until nobody else changes the file, and reads it.
    ///
    /// Where the lock cannot be made, as in a folder that is read-only, the turn reads and refuses to
    /// write.
    ///
    /// # Errors
    /// 503 when another program holds the lock for too long; 500 when the file cannot be read.
    pub(crate) async fn turn(self: &Arc<Self>) -> Result<FileTurn> {
        let queue = self.turns.clone().lock_owned().await;
        let file = self.clone();
        let deadline = Instant::now() + LOCK_PATIENCE;
        let (target, held) = loop {
            let file = file.clone();
            let tried = blocking(move || {
                let target = disk::resolve(&file.path);
                let lock = disk::try_lock(&target);
                (target, lock)
            });
            match tried.await? {
                (target, Ok(Some(lock))) => break (target, Ok(lock)),
                (target, Err(error)) => break (target, Err(error)),
                (_, Ok(None)) if Instant::now() < deadline => tokio::time::sleep(LOCK_RETRY).await,
                (target, Ok(None)) => return Err(busy(&target)),
            }
        };
        let place = target.clone();
        let found = blocking(move || disk::read(&place)).await?;
        let found = found.map_err(|error| self.not_readable(&error))?;
        let base = found.map(|found| found.text);
        let on_disk = Mutex::new(base.clone());
        Ok(FileTurn { file, target, base, on_disk, held, _queue: queue })
    }

    fn not_writable(&self, error: &std::io::Error) -> Error {
        let path = self.path.display();
        refuse(format!("The env file {path} cannot be written: {error}. Nothing was changed."))
            .with_fix(format!(
                "Let the Federation write {path} and its folder, or edit the file by hand."
            ))
    }

    fn not_readable(&self, error: &std::io::Error) -> Error {
        refuse(format!(
            "The env file {} cannot be read: {error}. Nothing was changed.",
            self.path.display()
        ))
    }
}

/// Runs what waits for a disk.
async fn blocking<T: Send + 'static>(work: impl FnOnce() -> T + Send + 'static) -> Result<T> {
    tokio::task::spawn_blocking(work).await.map_err(Error::internal)
}

fn refuse(message: String) -> Error {
    Error::new(ErrorCode::EnvFile, message)
}

fn busy(target: &Path) -> Error {
    Error::new(
        ErrorCode::Unavailable,
        format!(
            "Another program holds {}; nothing was changed.",
            disk::lock_path(target).display()
        ),
    )
    .with_fix("Try again.")
}

/// The right to change the file: nobody else who respects the lock does so meanwhile.
pub(crate) struct FileTurn {
    file: Arc<EnvFile>,
    /// The file itself, behind links.
    target: PathBuf,
    /// What the file said at the start; `None` when there was none.
    base: Option<Zeroizing<String>>,
    /// What it says now.
    on_disk: Mutex<Option<Zeroizing<String>>>,
    /// The lock, or why there is none.
    held: std::io::Result<std::fs::File>,
    _queue: tokio::sync::OwnedMutexGuard<()>,
}

impl FileTurn {
    /// The text from which a change begins, each time that it runs.
    pub(crate) fn begin(&self) -> Document {
        Document::new(self.base.clone().unwrap_or_default())
    }

    /// Makes the file say what the document says; a document without a difference writes nothing.
    ///
    /// # Errors
    /// 500 when it cannot be written; it is as before then.
    pub(crate) fn write(&self, document: &Document) -> Result<()> {
        self.replace(document.text()).map_err(|error| self.file.not_writable(&error))
    }

    /// Makes the file say again what it said at the start, when the change was not stored.
    pub(crate) fn undo(&self) {
        let base = self.base.as_deref().map(String::as_str).unwrap_or_default();
        if let Err(error) = self.replace(base) {
            tracing::error!(file = %self.target.display(), %error, "a change of the env file could not be undone, though it was not stored in the database");
        }
    }

    fn replace(&self, text: &str) -> std::io::Result<()> {
        let mut on_disk = lock(&self.on_disk);
        if on_disk.as_deref().map(String::as_str).unwrap_or_default() == text {
            return Ok(());
        }
        if let Err(error) = &self.held {
            return Err(std::io::Error::new(error.kind(), error.to_string()));
        }
        disk::replace(&self.target, text, &self.file.told_in_place)?;
        *on_disk = Some(Zeroizing::new(text.to_owned()));
        Ok(())
    }
}
