//! `fed ledger`.

use std::io::Write as _;

use clap::Subcommand;
use downcity_server::{FailureKind, Federation, LedgerReport};
use serde_json::{Value, json};

use crate::args::{Here, Layers};
use crate::commands::{block_on, sources};
use crate::failure::Failure;
use crate::fed::{Fed, Flags};
use crate::output::{json as print_json, print, steady};

/// Entries between two lines of progress.
const PROGRESS: u64 = 100_000;

#[derive(Debug, Subcommand)]
pub(crate) enum LedgerCommand {
    /// Check that wallets, ledger, lots, holds, charges and refunds agree: by the server that commands go
    /// to, or with --database or --config on a database, which needs no server. Ends with exit code 1
    /// when something is wrong, and names the first hundred places.
    #[command(
        after_help = "Examples:\n  fed ledger verify\n  fed ledger verify --database\n  fed ledger verify --json | jq '.broken[]'"
    )]
    Verify {
        #[command(flatten)]
        here: Here,
    },
}

pub(crate) fn run(flags: &Flags, command: LedgerCommand) -> Result<(), Failure> {
    let LedgerCommand::Verify { here } = command;
    let report = match here.layers() {
        Some(layers) => look(layers)?,
        None => Fed::check(flags, "balance/ledger/verify", json!({}))?,
    };
    show(&report, flags.output.json)
}

/// Looks at the database.
fn look(layers: Layers) -> Result<Value, Failure> {
    let federation = Federation::builder().config_sources(sources(layers));
    let mut shown = 0;
    let found = block_on(federation.verify_ledger(|done| show_progress(done, &mut shown)))??;
    serde_json::to_value(LedgerReport::from(found))
        .map_err(|error| std::io::Error::from(error).into())
}

fn show(report: &Value, json: bool) -> Result<(), Failure> {
    if json {
        print_json(report)?;
    }
    if report["ok"] != Value::Bool(true) {
        let mut lines = vec![format!("The ledger is broken: {} problems.", report["problems"])];
        let broken = report["broken"].as_array().into_iter().flatten();
        lines.extend(broken.map(|broken| {
            let said = |name: &str| broken[name].as_str().unwrap_or_default();
            let (problem, subject) = (said("problem"), said("subject"));
            steady(&format!("{problem} of {subject} in {}: {}", said("wallet_id"), said("message")))
        }));
        return Err(Failure::new(FailureKind::Failed, lines.join("\n")));
    }
    if json {
        return Ok(());
    }
    let money = |name: &str| report[name].as_str().unwrap_or_default();
    print(&format!(
        "The ledger is whole: {} wallets with {} microcredits, {} of them reserved; {} entries, {} \
         charges, {} holds, {} refunds, {} top-ups, {} codes\n",
        report["wallets"],
        steady(money("balance_microcredits")),
        steady(money("held_microcredits")),
        report["entries"],
        report["charges"],
        report["holds"],
        report["refunds"],
        report["topups"],
        report["codes"]
    ))
}

/// Says how far a long check has come.
fn show_progress(done: u64, shown: &mut u64) {
    if done >= *shown + PROGRESS {
        *shown = done;
        // Nobody may be looking; the check goes on.
        let _ = writeln!(std::io::stderr(), "fed: {done} entries checked");
    }
}
