//! Rows of streams that are written anew, and of many streams that are open at the same time.

use std::time::{Duration, Instant};

use anyhow::{Result, ensure};
use futures_util::future::try_join_all;
use http_body_util::BodyExt as _;

use crate::Bench;
use crate::client::Client;
use crate::federation::{self, Access, CLAUDE, Federation, KEEP_ALIVE_MS, MODEL};
use crate::http_rows::{STREAMS, compare, read_streams};
use crate::process::Server;
use crate::report::{Report, Row, Target};
use crate::rewrite::Way;
use crate::sample::Sample;
use crate::upstream::{SLOW, SLOW_PACE};

const ANTHROPIC_TO_CHAT: &str = "Anthropic as chat completions, CPU per stream";
const ANTHROPIC_TO_UI: &str = "Anthropic as UI message stream, CPU per stream";
const CHAT_TO_UI: &str = "OpenAI as UI message stream, CPU per stream";
const OPEN_MEMORY: &str = "open streams, memory each";
const OPEN_UI_MEMORY: &str = "open UI message streams, memory each";
const OPEN_SILENCE: &str = "open UI message streams, longest silence";
const PROXY: &str = "bare proxy";
const REWRITER: &str = "bare rewriting proxy";

/// How late a sign of life may be, in milliseconds.
const LATE: u64 = 250;

/// Measures all rows of this group that are wanted.
pub(crate) fn measure(bench: &Bench, report: &mut Report) -> Result<()> {
    encoded(bench, report)?;
    open(bench, report)
}

/// Streams that are read and written anew, against proxies that do nothing else.
fn encoded(bench: &Bench, report: &mut Report) -> Result<()> {
    let chat = |model| (federation::stream_request(model), "/v1/ai/chat/completions");
    let message = |model| (federation::message_request(model), "/v1/ai/stream");
    let rows = [
        (ANTHROPIC_TO_CHAT, Way::AnthropicToChat, chat(CLAUDE)),
        (ANTHROPIC_TO_UI, Way::AnthropicToUi, message(CLAUDE)),
        (CHAT_TO_UI, Way::ChatToUi, message(MODEL)),
    ];
    if !rows.iter().any(|(row, ..)| row.contains(&bench.only)) {
        return Ok(());
    }
    let upstream = Server::part(&bench.own, &["upstream"])?;
    let (ours, access) = start(bench, "encoded", &upstream)?;
    let client = Client::new();
    for (measure, way, (body, path)) in rows {
        if !bench.wants(&[measure]) {
            continue;
        }
        let proxy = rewriter(bench, &upstream, way)?;
        let body = body.to_string();
        let turn = |server: &Server| {
            let url = format!("http://127.0.0.1:{}{path}", server.port);
            let read = read_streams(&client, &url, &access.user_token, &body, bench.plan.streams);
            let before = server.cpu_micros()?;
            bench.runtime.block_on(read)?;
            let cpu = server.cpu_micros()? - before;
            let each = cpu as f64 / (STREAMS * bench.plan.streams) as f64;
            Ok(Sample { value: each, cpu: each })
        };
        let pair = compare(bench, || turn(&ours), || turn(&proxy))?;
        report.add(Row::pair(measure, "us", REWRITER, &pair, Target::RatioAtMost(1.5)));
    }
    Ok(())
}

/// Streams that stay open, with an event now and then. Each server is a fresh one: memory that was
/// in use once is not given back at once.
fn open(bench: &Bench, report: &mut Report) -> Result<()> {
    let rows = [OPEN_MEMORY, OPEN_UI_MEMORY, OPEN_SILENCE];
    if !rows.iter().any(|row| row.contains(&bench.only)) {
        return Ok(());
    }
    let upstream = Server::part(&bench.own, &["upstream"])?;
    if bench.wants(&[OPEN_MEMORY]) {
        let (ours, access) = start(bench, "open", &upstream)?;
        let proxy = Server::part(&bench.own, &["proxy", &upstream.port.to_string()])?;
        let body = federation::stream_request(SLOW).to_string();
        let ours = held(bench, &ours, "/v1/ai/chat/completions", &access, &body)?;
        let bare = held(bench, &proxy, "/v1/chat/completions", &access, &body)?;
        let row = Row::alone(OPEN_MEMORY, "KiB", ours.kib_each, Target::RatioAtMost(1.25));
        report.add(row.against(PROXY, bare.kib_each));
    }
    if bench.wants(&[OPEN_UI_MEMORY, OPEN_SILENCE]) {
        let (ours, access) = start(bench, "open-ui", &upstream)?;
        let proxy = rewriter(bench, &upstream, Way::ChatToUi)?;
        let body = federation::message_request(SLOW).to_string();
        let ours = held(bench, &ours, "/v1/ai/stream", &access, &body)?;
        let bare = held(bench, &proxy, "/", &access, &body)?;
        let row = Row::alone(OPEN_UI_MEMORY, "KiB", ours.kib_each, Target::RatioAtMost(1.25));
        report.add(row.against(REWRITER, bare.kib_each));
        let most = Target::AtMost((KEEP_ALIVE_MS + LATE) as f64);
        report.add(Row::alone(OPEN_SILENCE, "ms", ours.silence.as_secs_f64() * 1e3, most));
    }
    Ok(())
}

fn start(bench: &Bench, name: &str, upstream: &Server) -> Result<(Server, Access)> {
    let federation = Federation::new(&bench.fed, bench.dir.path().join(name), upstream.port)?;
    let server = federation.start()?;
    let access = bench.runtime.block_on(federation::furnish(&Client::new(), &server))?;
    Ok((server, access))
}

fn rewriter(bench: &Bench, upstream: &Server, way: Way) -> Result<Server> {
    Server::part(&bench.own, &["rewrite", &upstream.port.to_string(), way.name()])
}

/// What open streams cost.
struct Held {
    /// Memory that each of them takes, in KiB.
    kib_each: f64,
    /// The longest time in which one of them said nothing.
    silence: Duration,
}

/// Opens streams, reads each of them for some of its events, and leaves them.
fn held(bench: &Bench, server: &Server, path: &str, access: &Access, body: &str) -> Result<Held> {
    let url = format!("http://127.0.0.1:{}{path}", server.port);
    let client = Client::new();
    let bearer = &access.user_token;
    bench.runtime.block_on(async {
        // The first call pays for what every later one shares.
        drop(client.send(&url, bearer, body.to_owned()).await?);
        let before = server.rss_mib()?;
        let mut bodies = Vec::with_capacity(bench.plan.open);
        while bodies.len() < bench.plan.open {
            // A few at a time: the queue of a listener is short.
            let few = (0..50).map(|_| client.send(&url, bearer, body.to_owned()));
            bodies.extend(try_join_all(few).await?);
        }
        let end = Instant::now() + SLOW_PACE * 4;
        let silences = bodies.into_iter().map(|mut body| async move {
            let mut longest = Duration::ZERO;
            let mut last = None;
            while Instant::now() < end {
                let frame = body.frame().await;
                ensure!(frame.is_some_and(|frame| frame.is_ok()), "a stream broke off");
                let now = Instant::now();
                let silence = last.replace(now).map_or(Duration::ZERO, |last| now - last);
                longest = longest.max(silence);
            }
            // It stays open until all have been read.
            Ok((body, longest))
        });
        let read = try_join_all(silences).await?;
        let after = server.rss_mib()?;
        let silence = read.iter().map(|(_, silence)| *silence).max().unwrap_or_default();
        Ok(Held { kib_each: (after - before) * 1024.0 / read.len() as f64, silence })
    })
}
