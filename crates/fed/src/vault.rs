//! `fed vault`.

use std::io::Write as _;
use std::path::Path;

use downcity_server::{FailureKind, Federation, MasterKey};
use serde_json::json;

use crate::args::Layers;
use crate::commands::{block_on, sources};
use crate::failure::Failure;
use crate::output::{json as print_json, print};

/// Seals the database under a new master key and says what the next start needs.
pub(crate) fn rekey(layers: Layers, new_key: Option<&Path>, json: bool) -> Result<(), Failure> {
    let new_key = new_key.map(read_key).transpose()?;
    let builder = Federation::builder().config_sources(sources(layers));
    let done = block_on(builder.rekey(new_key))??;
    let next = match &done.file {
        Some(file) => format!("The new key stands in {}.", file.display()),
        None => "Set DOWNCITY_FEDERATION_MASTER_KEY, or the file that DOWNCITY_FEDERATION_MASTER_KEY_FILE names, to the new key on every node before its next start.".to_owned(),
    };
    let kept = match &done.kept {
        Some(kept) => {
            format!(" The old key is kept in {} for backups that it opens.", kept.display())
        }
        None => " Keep the old key as long as you keep backups that it opens.".to_owned(),
    };
    writeln!(std::io::stderr(), "fed: {next}{kept}")?;
    if json {
        return print_json(&json!({
            "before": done.before, "after": done.after, "file": done.file, "kept": done.kept,
        }));
    }
    print(&format!("{} -> {}\n", done.before, done.after))
}

/// Reads the new key from a file, or from standard input for `-`.
fn read_key(path: &Path) -> Result<MasterKey, Failure> {
    let read = if path == Path::new("-") {
        MasterKey::read_stream(&mut std::io::stdin())
    } else {
        MasterKey::read_file(path)
    };
    read.map_err(|error| Failure::new(FailureKind::NotAllowed, error.message()))
}
