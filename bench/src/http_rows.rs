//! Rows under HTTP load.

use std::time::Duration;

use anyhow::{Result, ensure};
use futures_util::future::try_join_all;

use crate::Bench;
use crate::client::Client;
use crate::federation::{self, ADMIN_KEY, Access, Federation};
use crate::load::{Shot, Value, Wrk};
use crate::process::Server;
use crate::report::{Report, Row, Target};
use crate::sample::{Pair, Sample, Turns, interleave};
use crate::upstream::EVENTS;

const ACTION: &str = "authorised action, no database";
const APPLY: &str = "tokens/apply";
const CHAT: &str = "chat pass-through";
const CHAT_ALONE: &str = "chat pass-through, one connection, p50";
const STREAM: &str = "SSE pass-through, CPU per stream";
const BARE: &str = "bare hyper";
const PROXY: &str = "bare proxy";

/// Connections under load: enough that both cores have work at any time.
const MANY: u32 = 64;
/// Streams at the same time: few enough that no core is busy all the time.
pub(crate) const STREAMS: usize = 32;

/// The servers of this group.
struct Servers {
    ok: Server,
    proxy: Server,
    ours: Server,
}

/// Measures all rows of this group that are wanted.
pub(crate) fn measure(bench: &Bench, report: &mut Report) -> Result<()> {
    let rows = [ACTION, APPLY, CHAT, CHAT_ALONE, STREAM];
    if !rows.iter().any(|row| row.contains(&bench.only)) {
        return Ok(());
    }
    let upstream = Server::part(&bench.own, &["upstream"])?;
    let federation = Federation::new(&bench.fed, bench.dir.path().join("http"), upstream.port)?;
    let servers = Servers {
        ok: Server::part(&bench.own, &["ok"])?,
        proxy: Server::part(&bench.own, &["proxy", &upstream.port.to_string()])?,
        ours: federation.start()?,
    };
    let access = bench.runtime.block_on(federation::furnish(&Client::new(), &servers.ours))?;
    let wrk = Wrk::new(bench.dir.path(), bench.plan.seconds)?;
    actions(bench, &wrk, &servers, &access, report)?;
    chat(bench, &wrk, &servers, &access, report)?;
    streams(bench, &servers, &access, report)
}

/// Actions that this node answers by itself. The baseline gets the very same requests.
fn actions(
    bench: &Bench,
    wrk: &Wrk,
    servers: &Servers,
    access: &Access,
    report: &mut Report,
) -> Result<()> {
    let list = Shot {
        method: "GET",
        path: "/v1/ai/models".into(),
        bearer: access.user_token.clone(),
        body: String::new(),
    };
    let apply = Shot {
        method: "POST",
        path: "/v1/cities/tokens/apply".into(),
        bearer: ADMIN_KEY.to_owned(),
        body: federation::token_request(&access.city_id).to_string(),
    };
    let rows =
        [(ACTION, list, Target::RatioAtLeast(0.65)), (APPLY, apply, Target::RatioAtLeast(0.5))];
    for (measure, shot, target) in rows {
        if bench.wants(&[measure]) {
            let turn = |server| wrk.fire(server, &shot, MANY, Value::Rate);
            let pair = compare(bench, || turn(&servers.ours), || turn(&servers.ok))?;
            report.add(Row::pair(measure, "req/s", BARE, &pair, target));
        }
    }
    Ok(())
}

/// Small JSON through us and through the bare proxy, to the same upstream.
fn chat(
    bench: &Bench,
    wrk: &Wrk,
    servers: &Servers,
    access: &Access,
    report: &mut Report,
) -> Result<()> {
    let shot = |path: &'static str| Shot {
        method: "POST",
        path: path.into(),
        bearer: access.user_token.clone(),
        body: federation::chat_request(false).to_string(),
    };
    let (ours, bare) = (shot("/v1/ai/chat/completions"), shot("/v1/chat/completions"));
    let rows = [
        (CHAT, MANY, Value::Rate, "req/s", Target::RatioAtLeast(0.75)),
        (CHAT_ALONE, 1, Value::Median, "us", Target::AddedAtMost(60.0)),
    ];
    for (measure, connections, value, unit, target) in rows {
        if bench.wants(&[measure]) {
            let pair = compare(
                bench,
                || wrk.fire(&servers.ours, &ours, connections, value),
                || wrk.fire(&servers.proxy, &bare, connections, value),
            )?;
            report.add(Row::pair(measure, unit, PROXY, &pair, target));
        }
    }
    Ok(())
}

/// Streams of paced events: what they cost, as their length is the upstream's.
fn streams(bench: &Bench, servers: &Servers, access: &Access, report: &mut Report) -> Result<()> {
    if !bench.wants(&[STREAM]) {
        return Ok(());
    }
    let client = Client::new();
    let turn = |server: &Server, path: &str| {
        let url = format!("http://127.0.0.1:{}{path}", server.port);
        let body = federation::chat_request(true).to_string();
        let read = read_streams(&client, &url, &access.user_token, &body, bench.plan.streams);
        let before = server.cpu_micros()?;
        bench.runtime.block_on(read)?;
        let cpu = server.cpu_micros()? - before;
        let each = cpu as f64 / (STREAMS * bench.plan.streams) as f64;
        Ok(Sample { value: each, cpu: each })
    };
    let pair = compare(
        bench,
        || turn(&servers.ours, "/v1/ai/chat/completions"),
        || turn(&servers.proxy, "/v1/chat/completions"),
    )?;
    report.add(Row::pair(STREAM, "us", PROXY, &pair, Target::RatioAtMost(1.25)));
    Ok(())
}

/// Reads streams over [`STREAMS`] connections, `each` of them one after the other.
pub(crate) async fn read_streams(
    client: &Client,
    url: &str,
    bearer: &str,
    body: &str,
    each: usize,
) -> Result<()> {
    let readers = (0..STREAMS).map(|reader| {
        async move {
            // Streams that begin apart do not tick in step.
            tokio::time::sleep(Duration::from_micros(reader as u64 * 500)).await;
            for _ in 0..each {
                let events = client.stream(url, bearer, body.to_owned()).await?;
                // The usage comes to those only who ask for it.
                ensure!(events >= EVENTS, "{events} of {EVENTS} events came");
            }
            Ok(())
        }
    });
    try_join_all(readers).await.map(drop)
}

pub(crate) fn compare<'a>(
    bench: &Bench,
    ours: impl FnMut() -> Result<Sample> + 'a,
    baseline: impl FnMut() -> Result<Sample> + 'a,
) -> Result<Pair> {
    let turns: Turns<'a> = vec![Box::new(ours), Box::new(baseline)];
    let samples = interleave(bench.plan.rounds, turns)?;
    Ok(Pair::of(&samples[0], &samples[1]))
}
