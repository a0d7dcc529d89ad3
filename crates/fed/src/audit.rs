//! `fed audit`.

use std::io::Write as _;

use clap::Subcommand;
use downcity_server::{Anchor, FailureKind, Federation, Verification};
use serde_json::json;

use crate::args::Layers;
use crate::commands::{block_on, sources};
use crate::failure::Failure;
use crate::fed::{Fed, Flags};
use crate::nouns;
use crate::nouns::audit::ListArgs;
use crate::output::{json as print_json, print};

/// Rows between two lines of progress.
const PROGRESS: i64 = 100_000;

#[derive(Debug, Subcommand)]
pub(crate) enum AuditCommand {
    /// List what the trusted side has changed, newest first.
    #[command(after_help = "Example:\n  fed audit list --action env/upsert")]
    List(ListArgs),
    /// Check that no row of the audit trail was changed, removed or put in later. Works while the
    /// server runs; ends with exit code 1 when the trail is broken, and names the first bad row.
    #[command(
        after_help = "Example:\n  fed audit verify --json > seen.json     note the last row and its hash\n  fed audit verify --expect 1042:9f86d0…  later: the same trail must still begin with it"
    )]
    Verify {
        #[command(flatten)]
        layers: Layers,
        /// A row and its hash, as an earlier check printed them: a trail that was written anew from
        /// its beginning shows only here.
        #[arg(long, value_name = "ROW:HASH", value_parser = anchor)]
        expect: Option<Anchor>,
    },
}

pub(crate) fn run(flags: &Flags, command: AuditCommand) -> Result<(), Failure> {
    match command {
        AuditCommand::List(args) => Fed::run(flags, |fed| nouns::audit::list(fed, args)),
        AuditCommand::Verify { layers, expect } => verify(layers, expect, flags.output.json),
    }
}

fn anchor(text: &str) -> Result<Anchor, String> {
    let known = text.split_once(':').and_then(|(seq, hash)| {
        let seq = seq.parse().ok().filter(|seq| *seq > 0)?;
        let is_hash = hash.len() == 64 && hash.bytes().all(|byte| byte.is_ascii_hexdigit());
        is_hash.then(|| Anchor { seq, hash: hash.to_ascii_lowercase() })
    });
    known.ok_or_else(|| "must be a row's number, a colon and its hash of 64 digits".to_owned())
}

fn verify(layers: Layers, expect: Option<Anchor>, json: bool) -> Result<(), Failure> {
    let federation = Federation::builder().config_sources(sources(layers));
    let checked = block_on(federation.verify_audit(expect, show_progress))??;
    let Verification { rows, hash, broken } = &checked;
    if json {
        let broken = broken.map(|broken| {
            json!({
                "seq": broken.seq,
                "problem": broken.problem.as_str(),
                "message": broken.to_string(),
            })
        });
        print_json(&json!({
            "ok": broken.is_none(),
            "rows": rows,
            "hash": hash,
            "broken": broken,
        }))?;
    }
    match broken {
        Some(broken) => {
            let message =
                format!("The audit trail is broken: {broken}. {rows} rows before are good.");
            Err(Failure::new(FailureKind::Failed, message))
        }
        None if json => Ok(()),
        None => {
            print(&format!("The audit trail is whole: {rows} rows, the last with hash {hash}\n"))
        }
    }
}

/// Says how far a long check has come.
fn show_progress(done: i64, of: i64) {
    if done < of && done % PROGRESS == 0 {
        // Nobody may be looking; the check goes on.
        let _ = writeln!(std::io::stderr(), "fed: {done} of {of} rows checked");
    }
}
