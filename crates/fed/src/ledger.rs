//! `fed ledger`.

use std::io::Write as _;

use clap::Subcommand;
use downcity_server::{BrokenMoney, FailureKind, Federation, LedgerVerification};
use serde_json::{Value, json};

use crate::args::Layers;
use crate::commands::{block_on, sources};
use crate::failure::Failure;
use crate::fed::Flags;
use crate::output::{json as print_json, print};

/// Entries between two lines of progress.
const PROGRESS: u64 = 100_000;

#[derive(Debug, Subcommand)]
pub(crate) enum LedgerCommand {
    /// Check that wallets, ledger, lots, holds, charges and refunds agree. Works while the server
    /// runs; ends with exit code 1 when something is wrong, and names the first hundred places.
    #[command(
        after_help = "Examples:\n  fed ledger verify\n  fed ledger verify --json | jq '.broken[]'"
    )]
    Verify {
        #[command(flatten)]
        layers: Layers,
    },
}

pub(crate) fn run(flags: &Flags, command: LedgerCommand) -> Result<(), Failure> {
    match command {
        LedgerCommand::Verify { layers } => verify(layers, flags.output.json),
    }
}

fn verify(layers: Layers, json: bool) -> Result<(), Failure> {
    let federation = Federation::builder().config_sources(sources(layers));
    let mut shown = 0;
    let found = block_on(federation.verify_ledger(|done| show_progress(done, &mut shown)))??;
    if json {
        print_json(&report(&found))?;
    }
    if !found.is_whole() {
        let mut lines = vec![format!("The ledger is broken: {} problems.", found.problems)];
        lines.extend(found.broken.iter().map(ToString::to_string));
        return Err(Failure::new(FailureKind::Failed, lines.join("\n")));
    }
    if json {
        return Ok(());
    }
    print(&format!(
        "The ledger is whole: {} wallets with {} microcredits, {} of them reserved; {} entries, {} \
         charges, {} holds, {} refunds, {} top-ups, {} codes\n",
        found.wallets,
        found.balance,
        found.held,
        found.entries,
        found.charges,
        found.holds,
        found.refunds,
        found.topups,
        found.codes
    ))
}

fn report(found: &LedgerVerification) -> Value {
    let broken = |broken: &BrokenMoney| {
        json!({
            "problem": broken.problem.as_str(),
            "wallet_id": broken.wallet_id,
            "subject": broken.subject,
            "message": broken.message,
        })
    };
    json!({
        "ok": found.is_whole(),
        "wallets": found.wallets,
        "entries": found.entries,
        "charges": found.charges,
        "holds": found.holds,
        "refunds": found.refunds,
        "topups": found.topups,
        "codes": found.codes,
        // Together they may be more than JSON numbers can say exactly.
        "balance_microcredits": found.balance.to_string(),
        "held_microcredits": found.held.to_string(),
        "problems": found.problems,
        "broken": found.broken.iter().map(broken).collect::<Vec<_>>(),
    })
}

/// Says how far a long check has come.
fn show_progress(done: u64, shown: &mut u64) {
    if done >= *shown + PROGRESS {
        *shown = done;
        // Nobody may be looking; the check goes on.
        let _ = writeln!(std::io::stderr(), "fed: {done} entries checked");
    }
}
