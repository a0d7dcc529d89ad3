//! Start-up and memory.

use std::time::Instant;

use anyhow::Result;

use crate::Bench;
use crate::client::Client;
use crate::federation::{self, Federation};
use crate::process::Server;
use crate::report::{Report, Row, Target};
use crate::sample::median;

const START: &str = "start to first healthy answer";
const MEMORY: &str = "memory at rest (RSS)";
const BARE: &str = "bare hyper";

/// Starts servers again and again on a database that exists.
pub(crate) fn measure(bench: &Bench, report: &mut Report) -> Result<()> {
    if !bench.wants(&[START, MEMORY]) {
        return Ok(());
    }
    let upstream = Server::part(&bench.own, &["upstream"])?;
    let federation = Federation::new(&bench.fed, bench.dir.path().join("start"), upstream.port)?;
    let mut server = federation.start()?;
    bench.runtime.block_on(federation::furnish(&Client::new(), &server))?;
    server.stop()?;
    let (mut ours, mut bare) = (Vec::new(), Vec::new());
    for _ in 0..bench.plan.starts {
        let begun = Instant::now();
        let mut baseline = Server::part(&bench.own, &["ok"])?;
        baseline.healthy("/")?;
        bare.push((begun.elapsed().as_secs_f64() * 1e3, baseline.rss_mib()?));
        let begun = Instant::now();
        let mut server = federation.start()?;
        let millis = begun.elapsed().as_secs_f64() * 1e3;
        ours.push((millis, server.rss_mib()?));
        server.stop()?;
    }
    let time = |of: &[(f64, f64)]| median(of.iter().map(|start| start.0));
    let memory = |of: &[(f64, f64)]| median(of.iter().map(|start| start.1));
    report
        .add(Row::alone(START, "ms", time(&ours), Target::AtMost(50.0)).against(BARE, time(&bare)));
    report.add(
        Row::alone(MEMORY, "MiB", memory(&ours), Target::AtMost(20.0)).against(BARE, memory(&bare)),
    );
    Ok(())
}
