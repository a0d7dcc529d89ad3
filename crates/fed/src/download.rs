//! A file that comes over the network: whole under its name, or not there at all.

use std::io::{ErrorKind, Write as _};
use std::path::Path;
use std::time::Duration;

use downcity::Backup;
use downcity_server::FailureKind;
use futures_util::StreamExt as _;
use tempfile::{Builder, NamedTempFile};

use crate::failure::Failure;
use crate::output::note;
use crate::remote::Remote;

/// Bytes between two words about the progress.
const STEP: u64 = 64 * 1024 * 1024;
/// How long the next bytes may take.
const SILENCE: Duration = Duration::from_secs(120);
/// What every SQLite file begins with (<https://www.sqlite.org/fileformat2.html>).
const MAGIC: &[u8] = b"SQLite format 3\0";

/// Writes a copy of the database to `target`, which must not exist; gives its size in bytes.
///
/// # Errors
/// When the target exists or cannot be written, when the copy breaks off, and when the command is
/// interrupted. Nothing is left of it then.
pub(crate) async fn backup(remote: &Remote, target: &Path) -> Result<u64, Failure> {
    if target.exists() {
        return Err(exists(target));
    }
    // Before the server makes it: a folder that is missing must not cost a copy.
    let mut draft = draft(target)?;
    let work = async {
        let copy = remote.backup().await?;
        write(remote, copy, &mut draft).await
    };
    let bytes = tokio::select! {
        // First, so that no work begins before it is listened for.
        biased;
        _ = tokio::signal::ctrl_c() => {
            return Err(Failure::new(FailureKind::Failed, "Interrupted: there is no copy."));
        }
        written = work => written?,
    };
    draft.as_file().sync_all()?;
    place(draft, target).map_err(|error| match error.kind() {
        ErrorKind::AlreadyExists => exists(target),
        _ => unwritable(target, &error),
    })?;
    sync_folder(target).map_err(|error| {
        let message = format!(
            "{} is whole, but its folder cannot be synced, so that a power cut may undo it: {error}.",
            target.display()
        );
        Failure::new(FailureKind::Failed, message)
    })?;
    Ok(bytes)
}

/// Gives the draft its name, unless something has that name by now.
fn place(draft: NamedTempFile, target: &Path) -> std::io::Result<()> {
    match draft.persist_noclobber(target) {
        Ok(_) => Ok(()),
        Err(refused) if refused.error.kind() == ErrorKind::AlreadyExists => Err(refused.error),
        // Not every file system can give a name only where it is free.
        Err(refused) => refused.file.persist(target).map(drop).map_err(|refused| refused.error),
    }
}

/// Makes the new file survive a power cut: its name is part of the folder.
fn sync_folder(target: &Path) -> std::io::Result<()> {
    #[cfg(unix)]
    std::fs::File::open(folder_of(target))?.sync_all()?;
    Ok(())
}

fn folder_of(target: &Path) -> &Path {
    let folder = target.parent().filter(|folder| !folder.as_os_str().is_empty());
    folder.unwrap_or(Path::new("."))
}

/// A new file beside the target, for its owner alone; it goes with this value.
fn draft(target: &Path) -> Result<NamedTempFile, Failure> {
    let name = target.file_name().unwrap_or_default().to_string_lossy();
    Builder::new()
        .prefix(&format!(".{name}."))
        .suffix(".part")
        .tempfile_in(folder_of(target))
        .map_err(|error| unwritable(target, &error))
}

async fn write(
    remote: &Remote,
    mut copy: Backup,
    draft: &mut NamedTempFile,
) -> Result<u64, Failure> {
    let size = copy.size();
    let (mut bytes, mut next) = (0, STEP);
    loop {
        let Ok(piece) = tokio::time::timeout(SILENCE, copy.next()).await else {
            let message = format!("Nothing more came after {bytes} bytes: there is no copy.");
            return Err(Failure::new(FailureKind::Unreachable, message));
        };
        let Some(piece) = piece else { break };
        let piece = piece.map_err(|error| remote.failed(&error))?;
        if bytes == 0 && !piece.starts_with(&MAGIC[..MAGIC.len().min(piece.len())]) {
            let message = "The answer is no copy of a database: something between here and the server gave it.";
            return Err(Failure::new(FailureKind::Failed, message));
        }
        draft.write_all(&piece)?;
        bytes += piece.len() as u64;
        if bytes >= next {
            next = bytes + STEP;
            note(&progress(bytes, size));
        }
    }
    if bytes == 0 || size.is_some_and(|size| size != bytes) {
        let message = format!("The copy broke off after {bytes} bytes: there is none.");
        return Err(Failure::new(FailureKind::Failed, message));
    }
    note(&progress(bytes, None));
    Ok(bytes)
}

fn progress(bytes: u64, size: Option<u64>) -> String {
    match size {
        Some(size) => format!("{bytes} of {size} bytes"),
        None => format!("{bytes} bytes"),
    }
}

fn exists(target: &Path) -> Failure {
    let message = format!("{} exists already and is left as it is.", target.display());
    Failure::new(FailureKind::Conflict, message)
}

fn unwritable(target: &Path, error: &std::io::Error) -> Failure {
    let kind = match error.kind() {
        ErrorKind::NotFound | ErrorKind::PermissionDenied => FailureKind::NotAllowed,
        _ => FailureKind::Failed,
    };
    Failure::new(kind, format!("{} cannot be written: {error}.", target.display()))
}
