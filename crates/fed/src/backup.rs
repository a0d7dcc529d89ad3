//! `fed backup`.

use std::path::{Path, PathBuf};

use clap::Subcommand;
use downcity_server::{CheckedBackup, FailureKind, Federation};
use serde_json::json;

use crate::args::Layers;
use crate::commands::{block_on, sources};
use crate::failure::Failure;
use crate::fed::Flags;
use crate::output::{Ask, json as print_json, note, print};

/// Said wherever a copy is made or tried: without the key the copy is of no use.
const KEY: &str = "The master key is not in it: keep that too, and elsewhere.";

/// Copies of the database.
#[derive(Debug, Subcommand)]
pub(crate) enum BackupCommand {
    /// Write a copy of the database. Works while servers run on it; SQLite only.
    #[command(
        after_help = "The copy holds env values sealed: keep the master key too, and elsewhere.\n\nExample:\n  fed backup create /backups/downcity-monday.sqlite"
    )]
    Create {
        /// Where to write it; never overwrites a file.
        path: PathBuf,
        #[command(flatten)]
        layers: Layers,
    },
    /// Restore a copy into a folder of its own, check its ledger and its audit trail, and start a
    /// Federation on it. Ends with exit code 1 when something is wrong.
    #[command(
        after_help = "The copy and the configured database stay as they are. Whether the copy opens is tried with\nthe master key of the configured database.\n\nExample:\n  fed backup verify /backups/downcity-monday.sqlite"
    )]
    Verify {
        /// The copy.
        path: PathBuf,
        #[command(flatten)]
        layers: Layers,
    },
    /// Put a copy in the place of the configured SQLite database, after checking it. No server may run on
    /// it.
    #[command(
        after_help = "Revocations, keys and credits of the time after the copy are lost. The master key has to be that of\nthe copy: put its file beside the database, or set it in the environment.\n\nExamples:\n  fed backup restore /backups/downcity-monday.sqlite\n  fed backup restore /backups/downcity-monday.sqlite --replace --yes"
    )]
    Restore {
        /// The copy; it stays as it is.
        path: PathBuf,
        /// Replace the database that is there; it is kept beside.
        #[arg(long)]
        replace: bool,
        #[command(flatten)]
        layers: Layers,
    },
}

pub(crate) fn run(flags: &Flags, command: BackupCommand) -> Result<(), Failure> {
    match command {
        BackupCommand::Create { path, layers } => create(flags, &path, layers),
        BackupCommand::Verify { path, layers } => {
            let checked = check(&path, layers)?;
            report(flags, &path, &checked)
        }
        BackupCommand::Restore { path, replace, layers } => restore(flags, &path, replace, layers),
    }
}

fn create(flags: &Flags, path: &Path, layers: Layers) -> Result<(), Failure> {
    if flags.output.dry_run {
        note(&format!("Would write a copy of the database to {}.", path.display()));
        return Ok(());
    }
    let builder = Federation::builder().config_sources(sources(layers));
    let bytes = block_on(builder.backup(path))??;
    note(KEY);
    if flags.output.json {
        return print_json(&json!({ "path": path, "bytes": bytes }));
    }
    print(&format!("{}\n", path.display()))
}

fn check(path: &Path, layers: Layers) -> Result<CheckedBackup, Failure> {
    let builder = Federation::builder().config_sources(sources(layers));
    Ok(block_on(builder.verify_backup(path))??)
}

fn report(flags: &Flags, path: &Path, checked: &CheckedBackup) -> Result<(), Failure> {
    if flags.output.json {
        print_json(&json!({
            "ok": checked.is_good(),
            "path": path,
            "bytes": checked.bytes,
            "opens": checked.opens,
            "ledger": {
                "ok": checked.ledger.is_whole(),
                "wallets": checked.ledger.wallets,
                "entries": checked.ledger.entries,
                "problems": checked.ledger.problems,
            },
            "audit": { "ok": checked.audit.broken.is_none(), "rows": checked.audit.rows },
        }))?;
    }
    refuse(path, checked)?;
    note(KEY);
    if flags.output.json {
        return Ok(());
    }
    let opens = match checked.opens {
        Some(_) => "A Federation starts on it with the master key at hand.",
        None => "No master key is at hand, so that it opens was not tried.",
    };
    print(&format!(
        "{} is good: {} ledger entries of {} wallets, {} rows of audit trail. {opens}\n",
        path.display(),
        checked.ledger.entries,
        checked.ledger.wallets,
        checked.audit.rows
    ))
}

/// Fails when something is wrong with the copy.
fn refuse(path: &Path, checked: &CheckedBackup) -> Result<(), Failure> {
    if checked.is_good() {
        return Ok(());
    }
    let mut lines = vec![format!("{} is not good.", path.display())];
    if checked.opens == Some(false) {
        lines.push(
            "No Federation starts on it with the master key at hand: use the key that its database had."
                .to_owned(),
        );
    }
    lines.extend(checked.ledger.broken.iter().map(ToString::to_string));
    lines.extend(checked.audit.broken.iter().map(|broken| format!("audit trail: {broken}")));
    Err(Failure::new(FailureKind::Failed, lines.join("\n")))
}

fn restore(flags: &Flags, path: &Path, replace: bool, layers: Layers) -> Result<(), Failure> {
    refuse(path, &check(path, layers.clone())?)?;
    if flags.output.dry_run {
        note(&format!("Would put {} in the place of the database.", path.display()));
        return Ok(());
    }
    if replace {
        let what = format!("Replace the database by {}", path.display());
        Ask { what: &what, typed: None }.confirm(flags.output)?;
    }
    let builder = Federation::builder().config_sources(sources(layers));
    let done = block_on(builder.restore(path, replace))??;
    if let Some(kept) = &done.kept {
        note(&format!("The database of before is kept in {}.", kept.display()));
    }
    if flags.output.json {
        return print_json(&json!({ "path": done.path, "bytes": done.bytes, "kept": done.kept }));
    }
    print(&format!("{}\n", done.path.display()))
}
