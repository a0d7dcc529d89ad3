//! `fed backup`.

use std::path::{Path, PathBuf};

use clap::Subcommand;
use downcity_server::{CheckedBackup, CopyStop, CopyWatch, FailureKind, Federation};
use serde_json::json;

use crate::args::{Here, Layers};
use crate::commands::{block_on, sources};
use crate::download;
use crate::failure::Failure;
use crate::fed::Flags;
use crate::output::{Ask, json as print_json, note, print};
use crate::remote::Remote;

/// Said wherever a copy is made or tried: without the key the copy is of no use.
const KEY: &str = "The master key is not in it: keep that too, and elsewhere.";

/// Tables with fewer rows take no time worth a word.
const MANY: u64 = 10_000;

/// Copies of the database.
#[derive(Debug, Subcommand)]
pub(crate) enum BackupCommand {
    /// Get a copy of the database from the server: a SQLite file, whatever the engine. Everything is
    /// served meanwhile.
    #[command(
        after_help = "The copy holds env values sealed: keep the master key too, and elsewhere.\n\nExamples:\n  fed backup create /backups/downcity-monday.sqlite\n  fed backup create /backups/downcity-monday.sqlite --database"
    )]
    Create {
        /// Where to write it; never overwrites a file.
        path: PathBuf,
        #[command(flatten)]
        here: Here,
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
    /// Put a copy in the place of the configured database, of either engine, after checking it. No server
    /// may run on it.
    #[command(
        after_help = "Revocations, keys and credits of the time after the copy are lost. The master key has to be that of\nthe copy: put its file beside the database, or set it in the environment.\n\nExamples:\n  fed backup restore /backups/downcity-monday.sqlite\n  fed backup restore /backups/downcity-monday.sqlite --replace --yes\n  fed backup restore monday.sqlite --database postgres://downcity@db.internal/downcity"
    )]
    Restore {
        /// The copy; it stays as it is.
        path: PathBuf,
        /// Replace what is there. A SQLite database is kept beside; a PostgreSQL database is replaced in one
        /// transaction.
        #[arg(long)]
        replace: bool,
        #[command(flatten)]
        layers: Layers,
    },
}

pub(crate) fn run(flags: &Flags, command: BackupCommand) -> Result<(), Failure> {
    match command {
        BackupCommand::Create { path, here } => create(flags, &path, here),
        BackupCommand::Verify { path, layers } => {
            let checked = check(&path, layers.clone())?;
            report(flags, &path, &checked, layers)
        }
        BackupCommand::Restore { path, replace, layers } => restore(flags, &path, replace, layers),
    }
}

fn create(flags: &Flags, path: &Path, here: Here) -> Result<(), Failure> {
    if flags.output.dry_run {
        note(&format!("Would write a copy of the database to {}.", path.display()));
        return Ok(());
    }
    let layers = here.layers();
    let bytes = match layers.clone() {
        Some(layers) => {
            let builder = Federation::builder().config_sources(sources(layers));
            let watch = progress();
            let stop = watch.stop();
            block_on(until_interrupted(stop, builder.backup(path, watch)))???
        }
        None => {
            let remote = Remote::admin(flags.target.resolve()?)?;
            block_on(download::backup(&remote, path))??
        }
    };
    note_what_is_missing(layers)?;
    if flags.output.json {
        return print_json(&json!({ "path": path, "bytes": bytes }));
    }
    print(&format!("{}\n", path.display()))
}

/// Says what else belongs to a backup. Where the server made the copy, its configuration is not known here.
fn note_what_is_missing(layers: Option<Layers>) -> Result<(), Failure> {
    note(KEY);
    let Some(layers) = layers else { return Ok(()) };
    if let Some(file) = Federation::builder().config_sources(sources(layers)).env_file()? {
        note(&format!("Nor are the env values in it: keep {} too.", file.display()));
    }
    Ok(())
}

/// Stops the work at ctrl-c, and lets it put things in order: nothing half made stays. A second ctrl-c
/// does not wait for that.
async fn until_interrupted<T>(stop: CopyStop, work: impl Future<Output = T>) -> Result<T, Failure> {
    let mut work = std::pin::pin!(work);
    let mut interrupts = 0;
    loop {
        tokio::select! {
            // First, so that no work begins before it is listened for.
            biased;
            _ = tokio::signal::ctrl_c() => {
                stop.stop();
                interrupts += 1;
            }
            done = &mut work => return Ok(done),
        }
        if interrupts > 1 {
            let message = "Interrupted twice: what was begun is not put in order.";
            return Err(Failure::new(FailureKind::Failed, message));
        }
        note("Stopping. Press ctrl-c again to end at once.");
    }
}

/// Tells of the tables that take a while.
fn progress() -> CopyWatch {
    CopyWatch::default().telling(|at| {
        if at.rows >= MANY {
            let end = if at.is_done { "." } else { " .." };
            note(&format!("table {} of {}: {}, {} rows{end}", at.number, at.of, at.table, at.rows));
        }
    })
}

fn check(path: &Path, layers: Layers) -> Result<CheckedBackup, Failure> {
    let builder = Federation::builder().config_sources(sources(layers));
    let watch = CopyWatch::default();
    let stop = watch.stop();
    Ok(block_on(until_interrupted(stop, builder.verify_backup(path, watch)))???)
}

fn report(
    flags: &Flags,
    path: &Path,
    checked: &CheckedBackup,
    layers: Layers,
) -> Result<(), Failure> {
    if flags.output.json {
        print_json(&json!({
            "ok": checked.is_good(),
            "path": path,
            "bytes": checked.bytes,
            "from": if checked.is_from_postgres { "postgres" } else { "sqlite" },
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
    note_what_is_missing(Some(layers))?;
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
    if let Some(why) = &checked.refusal {
        lines.push("No Federation starts on it with this configuration and master key:".to_owned());
        lines.push(why.to_string());
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
    let watch = progress();
    let stop = watch.stop();
    let done = block_on(until_interrupted(stop, builder.restore(path, replace, watch)))???;
    if let Some(kept) = &done.kept {
        note(&format!("The database of before is kept in {}.", kept.display()));
    }
    if flags.output.json {
        return print_json(&json!({
            "database": done.database,
            "path": done.path,
            "bytes": done.bytes,
            "kept": done.kept,
        }));
    }
    match &done.path {
        Some(path) => print(&format!("{}\n", path.display())),
        None => print(&format!("{}\n", done.database)),
    }
}
