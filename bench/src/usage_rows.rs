//! What the recording of calls costs.

use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};
use std::time::Duration;

use anyhow::{Context as _, Result, ensure};
use downcity_core::env::MasterKey;
use downcity_core::token::{IssueRequest, issue};
use downcity_core::{
    Body, Clock, Cx, Kernel, KernelOptions, NoInput, Registry, Reply, Service, ServiceDef,
    SystemClock, SystemRandom, USER,
};
use downcity_db::{DbOptions, DbUrl};
use downcity_services::usage::RecordedCalls;
use downcity_services::{Usage, UsageConfig};
use downcity_types::Timestamp;
use http::header::AUTHORIZATION;
use http::{HeaderValue, Request, StatusCode};

use crate::Bench;
use crate::process::cpu_micros_of;
use crate::report::{Report, Row, Target};
use crate::sample::median;

const RECORDING: &str = "recording a call, processor time";

/// Users that call in turn.
const USERS: usize = 500;
/// Calls of a turn; the processor time of a process is counted in hundredths of a second.
const CALLS: usize = 60_000;

/// Measures the row of this group, if it is wanted.
pub(crate) fn measure(bench: &Bench, report: &mut Report) -> Result<()> {
    if bench.wants(&[RECORDING]) {
        let (mut on, mut off) = (Vec::new(), Vec::new());
        for round in 0..bench.plan.rounds.min(5) {
            for (record, costs) in [(RecordedCalls::All, &mut on), (RecordedCalls::Off, &mut off)] {
                costs.push(bench.runtime.block_on(turn(bench, round, record))?);
            }
        }
        let added = median(on) - median(off);
        report.add(Row::alone(RECORDING, "µs", added, Target::AtMost(5.0)));
    }
    Ok(())
}

/// Microseconds of processor time per call, until all facts are stored and in the daily sums.
async fn turn(bench: &Bench, round: usize, record: RecordedCalls) -> Result<f64> {
    let (key, _text) = MasterKey::generate(&SystemRandom);
    let path = bench.dir.path().join(format!("usage-{round}-{record:?}.sqlite"));
    let url: DbUrl = format!("sqlite:{}", Path::display(&path)).parse().context("an address")?;
    let usage = Usage::new(UsageConfig { record, queue: CALLS, ..UsageConfig::default() });
    let services = Registry::builder().builtin(Arc::new(Model)).builtin(usage.clone());
    let clock = Arc::new(Ahead::default());
    let mut options = KernelOptions::new(DbOptions::new(url), key);
    options.clock = clock.clone();
    let kernel = Kernel::start(options, services).await?;
    let city_id = kernel.first_start().city_id.clone().context("no first city")?;
    let users = users(&kernel, &city_id)?;
    let before = cpu_micros_of("self")?;
    for number in 0..CALLS {
        let mut request = Request::get("/v1/model/ask").body(Body::Empty)?;
        request.headers_mut().insert(AUTHORIZATION, users[number % USERS].clone());
        let answer = kernel.handle(request).await;
        ensure!(answer.status() == StatusCode::OK, "the call failed");
    }
    // The last facts come with the stop of a service, and older ones into the sums.
    usage.stop(kernel.runtime()).await;
    clock.0.store(120_000, Ordering::Relaxed);
    usage.sweep(kernel.runtime()).await?;
    let cost = cpu_micros_of("self")? - before;
    kernel.shutdown(Duration::from_secs(10)).await;
    Ok(cost as f64 / CALLS as f64)
}

fn users(kernel: &Kernel, city_id: &str) -> Result<Vec<HeaderValue>> {
    let token = |number: usize| {
        let request = IssueRequest {
            city_id: city_id.to_owned(),
            user_id: format!("user_{number:06}"),
            metadata: serde_json::Map::new(),
            ttl: None,
            token_id: None,
        };
        let issued = issue(kernel.runtime(), request)?;
        Ok(HeaderValue::try_from(format!("Bearer {}", issued.user_token))?)
    };
    (0..USERS).map(token).collect()
}

/// The machine's clock, moved ahead.
#[derive(Default)]
struct Ahead(AtomicI64);

impl Clock for Ahead {
    fn now(&self) -> Timestamp {
        let ahead = Duration::from_millis(self.0.load(Ordering::Relaxed).unsigned_abs());
        SystemClock.now().saturating_add(ahead)
    }
}

/// Answers at once, with the metering of an AI call.
struct Model;

impl Service for Model {
    fn id(&self) -> &'static str {
        "model"
    }

    fn name(&self) -> &'static str {
        "Model"
    }

    fn define(self: Arc<Self>, s: &mut ServiceDef) {
        s.get("ask", USER, &self, Self::ask).summary("Answer.");
    }
}

impl Model {
    async fn ask(self: Arc<Self>, cx: Cx, _: NoInput) -> downcity_core::Result<Reply> {
        cx.meter(|metering| {
            metering.provider_id = Some("provider".to_owned());
            metering.model_id = Some("a-model-of-theirs".to_owned());
            metering.upstream_model = Some("a-model-of-theirs-2026".to_owned());
            metering.input_tokens = Some(812);
            metering.output_tokens = Some(164);
            metering.cached_tokens = Some(256);
            metering.first_byte_ms = Some(310);
            metering.metadata.insert("mode".to_owned(), "text".into());
        });
        Ok(Reply::text("ok"))
    }
}
