//! `fed audit`.

use std::io::Write as _;

use clap::Subcommand;
use downcity_server::{Anchor, AuditReport, FailureKind, Federation};
use serde_json::{Value, json};

use crate::args::{Here, Layers};
use crate::commands::{block_on, sources};
use crate::failure::Failure;
use crate::fed::{Fed, Flags};
use crate::nouns;
use crate::nouns::audit::ListArgs;
use crate::output::{json as print_json, print, steady};

/// Rows between two lines of progress.
const PROGRESS: i64 = 100_000;

#[derive(Debug, Subcommand)]
pub(crate) enum AuditCommand {
    /// List what the trusted side has changed, newest first.
    #[command(after_help = "Example:\n  fed audit list --action env/upsert")]
    List(ListArgs),
    /// Check that no row of the audit trail was changed, removed or put in later: by the server that
    /// commands go to, or with --database or --config on a database, which needs no server. Ends with
    /// exit code 1 when the trail is broken, and names the first bad row.
    #[command(
        after_help = "Example:\n  fed audit verify --json > seen.json     note the last row and its hash\n  fed audit verify --expect 1042:9f86d0…  later: the same trail must still begin with it"
    )]
    Verify {
        #[command(flatten)]
        here: Here,
        /// A row and its hash, as an earlier check printed them: a trail that was written anew from
        /// its beginning shows only here.
        #[arg(long, value_name = "ROW:HASH", value_parser = anchor)]
        expect: Option<Anchor>,
    },
}

pub(crate) fn run(flags: &Flags, command: AuditCommand) -> Result<(), Failure> {
    match command {
        AuditCommand::List(args) => Fed::run(flags, |fed| nouns::audit::list(fed, args)),
        AuditCommand::Verify { here, expect } => verify(flags, here, expect),
    }
}

fn anchor(text: &str) -> Result<Anchor, String> {
    let known = text.split_once(':').and_then(|(seq, hash)| Anchor::noted(seq.parse().ok()?, hash));
    known.ok_or_else(|| "must be a row's number, a colon and its hash of 64 digits".to_owned())
}

fn verify(flags: &Flags, here: Here, expect: Option<Anchor>) -> Result<(), Failure> {
    let report = match here.layers() {
        Some(layers) => look(layers, expect)?,
        None => {
            let expect = expect.map(|noted| json!({ "seq": noted.seq, "hash": noted.hash }));
            Fed::check(flags, "audit/verify", json!({ "expect": expect }))?
        }
    };
    show(&report, flags.output.json)
}

/// Looks at the database.
fn look(layers: Layers, expect: Option<Anchor>) -> Result<Value, Failure> {
    let federation = Federation::builder().config_sources(sources(layers));
    let found = block_on(federation.verify_audit(expect, show_progress))??;
    serde_json::to_value(AuditReport::from(found))
        .map_err(|error| std::io::Error::from(error).into())
}

fn show(report: &Value, json: bool) -> Result<(), Failure> {
    if json {
        print_json(report)?;
    }
    let rows = &report["rows"];
    if report["ok"] != Value::Bool(true) {
        let broken = steady(report["broken"]["message"].as_str().unwrap_or_default());
        let message = format!("The audit trail is broken: {broken}. {rows} rows before are good.");
        return Err(Failure::new(FailureKind::Failed, message));
    }
    if json {
        return Ok(());
    }
    let hash = steady(report["hash"].as_str().unwrap_or_default());
    print(&format!("The audit trail is whole: {rows} rows, the last with hash {hash}\n"))
}

/// Says how far a long check has come.
fn show_progress(done: i64, of: i64) {
    if done < of && done % PROGRESS == 0 {
        // Nobody may be looking; the check goes on.
        let _ = writeln!(std::io::stderr(), "fed: {done} of {of} rows checked");
    }
}
