//! Measures a Federation against bare servers in one run and prints a table.
//!
//! Start it with `bench/run`; `docs/benchmarks.md` says what the rows mean.

mod baseline;
mod client;
mod federation;
mod http_rows;
mod list_rows;
mod load;
mod micro_rows;
mod process;
mod report;
mod rewrite;
mod sample;
mod seed;
mod serve;
mod service_rows;
mod soak_rows;
mod start_rows;
mod stream_rows;
mod upstream;
mod usage_rows;

use std::path::PathBuf;

use anyhow::{Context as _, Result};
use clap::{Parser, Subcommand};

use crate::report::Report;
use crate::sample::Plan;

/// The allocator of the server's binary, so that the baselines have it too.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

/// Measures a Federation against bare servers of the same machine in the same run.
#[derive(Parser)]
#[command(
    bin_name = "bench/run",
    args_conflicts_with_subcommands = true,
    disable_help_subcommand = true
)]
struct Args {
    /// Fewer and shorter rounds: a look, not a figure to quote.
    #[arg(long)]
    quick: bool,
    /// Print JSON instead of a table.
    #[arg(long)]
    json: bool,
    /// Rows of each kind in the large database of the list rows: 10 million (some 10 GB on the disk),
    /// 1 million with --quick.
    #[arg(long, value_name = "NUMBER")]
    list_rows: Option<i64>,
    /// Only rows whose name contains this text.
    #[arg(long, value_name = "TEXT")]
    only: Option<String>,
    /// The server to measure; default: the `fed` beside this program.
    #[arg(long, value_name = "PATH")]
    fed: Option<PathBuf>,
    /// Where databases are made; it should be on the disk to be measured. Default: beside the
    /// binaries.
    #[arg(long, value_name = "PATH")]
    dir: Option<PathBuf>,
    #[command(subcommand)]
    part: Option<Part>,
}

/// The servers that a run starts as processes of their own.
#[derive(Subcommand)]
enum Part {
    /// A bare hyper server that answers "ok".
    #[command(hide = true)]
    Ok,
    /// A bare streaming proxy in front of an upstream.
    #[command(hide = true)]
    Proxy {
        /// Port of the upstream on the loopback.
        upstream: u16,
    },
    /// A bare proxy that reads every event of an upstream and writes it in another form.
    #[command(hide = true)]
    Rewrite {
        /// Port of the upstream on the loopback.
        upstream: u16,
        /// What the upstream speaks, and what its callers want.
        way: rewrite::Way,
    },
    /// A model provider that answers at once.
    #[command(hide = true)]
    Upstream,
}

fn main() -> Result<()> {
    let args = Args::parse();
    match args.part {
        Some(Part::Ok) => serve::run(baseline::ok),
        Some(Part::Proxy { upstream }) => {
            let proxy = baseline::Proxy::new(upstream);
            serve::run(move |request| proxy.clone().forward(request))
        }
        Some(Part::Rewrite { upstream, way }) => {
            let rewriter = rewrite::Rewriter::new(upstream, way);
            serve::run(move |request| rewriter.clone().forward(request))
        }
        Some(Part::Upstream) => serve::run(upstream::answer),
        None => measure(args),
    }
}

fn measure(args: Args) -> Result<()> {
    let own = std::env::current_exe().context("where is this program?")?;
    let binaries = own.parent().context("this program is in no folder")?;
    let place = args.dir.unwrap_or_else(|| binaries.to_owned());
    let bench = Bench {
        plan: {
            let plan = if args.quick { Plan::QUICK } else { Plan::FULL };
            Plan { list_rows: args.list_rows.unwrap_or(plan.list_rows), ..plan }
        },
        only: args.only.unwrap_or_default(),
        fed: args.fed.unwrap_or_else(|| binaries.join("fed")),
        dir: tempfile::Builder::new()
            .prefix("bench-")
            .tempdir_in(&place)
            .with_context(|| format!("cannot write to {}", place.display()))?,
        runtime: tokio::runtime::Builder::new_multi_thread().enable_all().build()?,
        own,
    };
    warn_of_others();
    let mut report = Report::default();
    let measured = start_rows::measure(&bench, &mut report)
        .and_then(|()| micro_rows::measure(&bench, &mut report))
        .and_then(|()| usage_rows::measure(&bench, &mut report))
        .and_then(|()| http_rows::measure(&bench, &mut report))
        .and_then(|()| stream_rows::measure(&bench, &mut report))
        .and_then(|()| soak_rows::measure(&bench, &mut report))
        .and_then(|()| service_rows::measure(&bench, &mut report))
        .and_then(|()| list_rows::measure(&bench, &mut report));
    // What there is by then is worth showing, whatever came after.
    report.print(args.json)?;
    measured
}

/// Says so when something else keeps the machine busy, as the figures will then tell of that.
fn warn_of_others() {
    let load = std::fs::read_to_string("/proc/loadavg").unwrap_or_default();
    let running: f64 = load.split(' ').next().and_then(|text| text.parse().ok()).unwrap_or(0.0);
    if running > 0.5 {
        report::progress(&format!(
            "the machine is busy (load average {running}): the figures cannot be trusted"
        ));
    }
}

/// What every group of rows needs.
struct Bench {
    plan: Plan,
    only: String,
    /// The server's binary.
    fed: PathBuf,
    /// This program, which is also the baselines.
    own: PathBuf,
    /// Where databases are made; removed at the end.
    dir: tempfile::TempDir,
    runtime: tokio::runtime::Runtime,
}

impl Bench {
    /// Whether any of these rows is asked for; says so when it begins.
    fn wants(&self, measures: &[&str]) -> bool {
        let wanted = measures.iter().any(|measure| measure.contains(&self.only));
        if wanted {
            report::progress(&format!("measuring {}", measures.join("; ")));
        }
        wanted
    }
}
