//! Memory over a long time under load.

use std::time::{Duration, Instant};

use anyhow::Result;
use futures_util::future::try_join_all;

use crate::Bench;
use crate::client::Client;
use crate::federation::{self, CLAUDE, Federation, MODEL};
use crate::process::Server;
use crate::report::{Report, Row, Target};
use crate::sample::median;

const SOAK: &str = "soak, memory (RSS)";

/// Clients that call without a pause.
const CLIENTS: usize = 32;
/// Parts of the time: the first is for warming up, the second is compared with the last.
const PARTS: usize = 6;

/// Calls models in every way again and again. It takes its time, and so runs only when it is asked
/// for by name.
pub(crate) fn measure(bench: &Bench, report: &mut Report) -> Result<()> {
    if bench.only.is_empty() || !bench.wants(&[SOAK]) {
        return Ok(());
    }
    let upstream = Server::part(&bench.own, &["upstream"])?;
    let federation = Federation::new(&bench.fed, bench.dir.path().join("soak"), upstream.port)?;
    let server = federation.start()?;
    let access = bench.runtime.block_on(federation::furnish(&Client::new(), &server))?;
    let total = Duration::from_secs(bench.plan.soak);
    let begun = Instant::now();
    let memory = bench.runtime.block_on(async {
        let client = Client::new();
        let calls = (0..CLIENTS).map(|number| {
            let (client, bearer) = (client.clone(), &access.user_token);
            let url = |path: &str| format!("http://127.0.0.1:{}{path}", server.port);
            let (path, body) = match number % 5 {
                0 => ("/v1/ai/chat/completions", federation::stream_request(MODEL)),
                1 => ("/v1/ai/chat/completions", federation::stream_request(CLAUDE)),
                2 => ("/v1/ai/stream", federation::message_request(MODEL)),
                3 => ("/v1/ai/stream", federation::message_request(CLAUDE)),
                _ => ("/v1/ai/text", federation::message_request(CLAUDE)),
            };
            let url = url(path);
            async move {
                while begun.elapsed() < total {
                    if path.ends_with("/text") {
                        client.post(&url, bearer, &body).await?;
                        // As many as there are streams would drown them.
                        tokio::time::sleep(Duration::from_millis(5)).await;
                    } else if number % 10 == 2 {
                        // Some leave after the head.
                        drop(client.send(&url, bearer, body.to_string()).await?);
                        tokio::time::sleep(Duration::from_millis(5)).await;
                    } else {
                        client.stream(&url, bearer, body.to_string()).await?;
                    }
                }
                Ok(())
            }
        });
        let samples = async {
            let mut samples = Vec::new();
            while begun.elapsed() < total {
                samples.push(server.rss_mib()?);
                tokio::time::sleep(Duration::from_millis(250)).await;
            }
            anyhow::Ok(samples)
        };
        let (called, samples) = tokio::join!(try_join_all(calls), samples);
        called.and(samples)
    })?;
    let part = |number: usize| {
        let length = memory.len() / PARTS;
        median(memory.iter().skip(number * length).take(length).copied())
    };
    let row = Row::alone(SOAK, "MiB", part(PARTS - 1), Target::RatioAtMost(1.1));
    report.add(row.against("after warming up", part(1)));
    Ok(())
}
