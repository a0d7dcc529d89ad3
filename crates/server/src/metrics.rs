//! Figures for Prometheus.

use std::net::IpAddr;
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use downcity_core::{ADMIN, Body, Cx, NoInput, Reply, Result, Runtime, Service, ServiceDef};
use http::{HeaderValue, Method, Request, Response, StatusCode};
use metrics_exporter_prometheus::{PrometheusBuilder, PrometheusHandle};
use tokio::net::TcpListener;

use crate::http::{Answer, Listener, ListenerSettings};

/// The text format of Prometheus, version 0.0.4:
/// <https://prometheus.io/docs/instrumenting/exposition_formats/>.
const CONTENT_TYPE: &str = "text/plain; version=0.0.4; charset=utf-8";

/// Bounds of the buckets of request times, in seconds.
const BUCKETS: &[f64] = &[
    0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0,
    60.0,
];

/// How often samples are counted into their buckets when nobody asks for the figures.
const UPKEEP: Duration = Duration::from_secs(5);

/// The figures of this process. All Federations of a process share them.
#[derive(Clone)]
pub(crate) struct Figures(PrometheusHandle);

impl Figures {
    /// Begins to collect. Must come before services register their figures, so before the kernel
    /// starts. `None` when the program has a recorder of its own, which then gets the figures.
    pub(crate) fn install() -> Option<Self> {
        static INSTALLED: OnceLock<Option<PrometheusHandle>> = OnceLock::new();
        let handle = INSTALLED.get_or_init(|| {
            let builder = PrometheusBuilder::new().set_buckets(BUCKETS).ok()?;
            let recorder = builder.build_recorder();
            let handle = recorder.handle();
            metrics::set_global_recorder(recorder).ok()?;
            describe();
            Some(handle)
        });
        handle.clone().map(Self)
    }

    /// Keeps the figures small and up to date until the node stops.
    pub(crate) fn follow(&self, runtime: &Arc<Runtime>) {
        metrics::gauge!("process_start_time_seconds").set(runtime.clock().now_seconds() as f64);
        let figures = self.clone();
        runtime.tasks().spawn_until_stopped(async move {
            let mut ticks = tokio::time::interval(UPKEEP);
            loop {
                ticks.tick().await;
                figures.0.run_upkeep();
            }
        });
    }

    fn reply(&self, runtime: &Runtime) -> Reply {
        metrics::gauge!("downcity_tasks").set(runtime.tasks().count() as f64);
        Reply::typed(HeaderValue::from_static(CONTENT_TYPE), self.0.render())
    }

    /// Serves the figures on an address of their own, to everybody who reaches it.
    pub(crate) fn serve(
        &self,
        socket: TcpListener,
        runtime: Arc<Runtime>,
    ) -> std::io::Result<Listener> {
        let settings = ListenerSettings {
            max_connections: 16,
            header_timeout: Duration::from_secs(30),
            write_timeout: Duration::from_secs(30),
            head_limit: 16 * 1024,
        };
        Listener::start(socket, settings, OwnAddress { figures: self.clone(), runtime })
    }
}

fn describe() {
    metrics::describe_counter!("downcity_requests_total", "Calls by action and class of status.");
    metrics::describe_histogram!("downcity_request_seconds", "Time until an answer is complete.");
    metrics::describe_counter!("downcity_limited_total", "Calls beyond a limit, by its scope.");
    metrics::describe_counter!(
        "downcity_ai_attempts_total",
        "Requests to AI providers, by provider and outcome."
    );
    metrics::describe_counter!("downcity_panics_total", "Calls that ended in a panic.");
    metrics::describe_counter!(
        "downcity_after_hook_failures_total",
        "Hooks that failed after a finished call."
    );
    metrics::describe_counter!("downcity_spans_dropped_total", "Spans that were not exported.");
    metrics::describe_gauge!("downcity_connections", "Open connections.");
    metrics::describe_counter!(
        "downcity_connections_closed_total",
        "Connections that have ended, by reason."
    );
    metrics::describe_gauge!("downcity_tasks", "Tasks under way, the node's own loops included.");
    metrics::describe_gauge!("process_start_time_seconds", "Start, in seconds since 1970.");
}

/// The hidden service `metrics`: the figures beside the API, for admins.
pub(crate) struct MetricsService {
    /// `None` where no figures can be shown, as for the documents of a registry.
    pub(crate) figures: Option<Figures>,
}

impl Service for MetricsService {
    fn id(&self) -> &'static str {
        "metrics"
    }

    fn name(&self) -> &'static str {
        "Metrics"
    }

    fn define(self: Arc<Self>, s: &mut ServiceDef) {
        s.hidden();
        s.get("/metrics", ADMIN, &self, Self::show)
            .produces("text/plain; version=0.0.4; charset=utf-8")
            .summary("Show the figures of this node in the text format of Prometheus.");
    }
}

impl MetricsService {
    async fn show(self: Arc<Self>, cx: Cx, _: NoInput) -> Result<Reply> {
        let none = || Reply::typed(HeaderValue::from_static(CONTENT_TYPE), "");
        Ok(self.figures.as_ref().map_or_else(none, |figures| figures.reply(cx.runtime())))
    }
}

/// `GET /metrics` without a credential.
struct OwnAddress {
    figures: Figures,
    runtime: Arc<Runtime>,
}

impl Answer for OwnAddress {
    async fn answer(self: Arc<Self>, _: IpAddr, request: Request<Body>) -> Response<Body> {
        let is_known = request.uri().path() == "/metrics";
        let reply = match *request.method() {
            Method::GET | Method::HEAD if is_known => self.figures.reply(&self.runtime),
            _ if is_known => Reply::new(StatusCode::METHOD_NOT_ALLOWED),
            _ => Reply::new(StatusCode::NOT_FOUND),
        };
        let mut response = Response::new(reply.body);
        *response.status_mut() = reply.status;
        *response.headers_mut() = reply.headers;
        response
    }
}
