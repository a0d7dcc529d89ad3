//! A new master key: the same data key, sealed again.
//!
//! Nodes that run hold the data key and go on; those that start later need the new master key. A key
//! file changes in four steps, each of which may be the last before a crash:
//!
//! 1. The new key is written to `<file>.next`. The database still opens with the file.
//! 2. The database takes the new key. It opens with `<file>.next` from now on.
//! 3. The file is kept under the name `<file>.<fingerprint>`, for backups that it opens.
//! 4. `<file>.next` is renamed to the file.
//!
//! A start or another `rekey` completes what was left: see [`MasterKeySource::that_opens`].

use std::path::{Path, PathBuf};

use downcity_types::ErrorCode;
use serde_json::json;

use super::vault::{NonceSeed, Vault};
use super::{MasterKey, MasterKeySource, master_key};
use crate::audit::{Target, Trail};
use crate::{Error, Result, Runtime};

/// What the audit trail calls it.
const ACTION: &str = "vault/rekey";

/// What a change of the master key has done.
#[derive(Clone, Debug)]
pub struct Rekeyed {
    /// The fingerprint of the key before.
    pub before: String,
    /// The fingerprint of the key that opens the database from now on.
    pub after: String,
    /// The file that holds it, where it stands in one of ours.
    pub file: Option<PathBuf>,
    /// The file in which the key before is kept.
    pub kept: Option<PathBuf>,
}

/// Seals the data key of the database under another master key, while nodes serve on it. Where the
/// key stands in the file beside the database and none is given, a new one is made.
///
/// # Errors
/// 400 when a key has to be given; 409 when it is the one in use, or when another change of the key
/// was quicker or was left half done with another key.
pub async fn rekey(
    runtime: &Runtime,
    source: &MasterKeySource,
    given: Option<MasterKey>,
) -> Result<Rekeyed> {
    match source {
        MasterKeySource::Given(old) => {
            let new = given.ok_or_else(|| {
                Error::new(ErrorCode::InvalidInput, "The new master key has to be given.")
            })?;
            let (before, after) = (old.fingerprint(), new.fingerprint());
            switch(runtime, old, &new).await?;
            Ok(Rekeyed { before, after, file: None, kept: None })
        }
        MasterKeySource::File(path) => {
            let old = source.existing()?;
            let next = master_key::next_file(path);
            let new = new_key(runtime, &next, given)?;
            switch(runtime, &old, &new).await?;
            let kept = master_key::take_next(path, &next, Some(&old))?;
            let (before, after) = (old.fingerprint(), new.fingerprint());
            Ok(Rekeyed { before, after, file: Some(path.clone()), kept })
        }
    }
}

/// The key that stands in `next` afterwards: one that an earlier attempt left there is used.
fn new_key(runtime: &Runtime, next: &Path, given: Option<MasterKey>) -> Result<MasterKey> {
    if !next.exists() {
        let key = given.clone().unwrap_or_else(|| MasterKey::generate(runtime.random()).0);
        master_key::create_file(next, &key.text()).map_err(|error| {
            master_key::refuse(format!("{} cannot be written: {error}.", next.display()))
        })?;
    }
    let key = MasterKey::read_file(next)?;
    if given.is_some_and(|given| given.fingerprint() != key.fingerprint()) {
        return Err(Error::new(
            ErrorCode::Conflict,
            format!(
                "{} holds another new key, of a change that was not finished. Run the command without a key to finish it, or remove that file.",
                next.display()
            ),
        ));
    }
    Ok(key)
}

/// Changes the database from one key to the other.
async fn switch(runtime: &Runtime, old: &MasterKey, new: &MasterKey) -> Result<()> {
    let (before, after) = (old.fingerprint(), new.fingerprint());
    if before == after {
        return Err(Error::new(ErrorCode::Conflict, "The new master key is the one in use."));
    }
    let (old, new) = (old.clone(), new.clone());
    let seed = NonceSeed::draw(runtime.random());
    let now = runtime.clock().now();
    let trail = Trail::system(runtime.state().vault().clone(), ACTION, now);
    let written = runtime.db().write(move |tx| {
        super::lock(tx)?;
        trail.run(tx, |tx, trail| {
            Vault::seal_anew(tx, &old, &new, &seed)?;
            let target = Target::new("vault", "master_key");
            trail.record(target, json!({ "fingerprint": before }), json!({ "fingerprint": after }));
            Ok(())
        })
    });
    written.await
}
