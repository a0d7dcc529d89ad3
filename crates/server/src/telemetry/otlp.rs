//! Spans of finished requests, sent to a collector by OTLP over HTTP.
//!
//! A request becomes one span when it has ended; the span continues the trace that its `traceparent`
//! names. Spans wait in a queue of fixed size for a task that sends them in batches: a collector that
//! is slow or gone costs spans, never requests.

use std::borrow::Cow;
use std::fmt;
use std::pin::pin;
use std::sync::Arc;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use async_trait::async_trait;
use bytes::Bytes;
use downcity_ai::https_connector;
use downcity_core::{Finished, Observer, Random, Runtime};
use http::{HeaderMap, Request, Response};
use http_body_util::{BodyExt as _, Full, Limited};
use hyper_rustls::HttpsConnector;
use hyper_util::client::legacy::Client;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::TokioExecutor;
use opentelemetry::trace::{
    SpanContext, SpanId, SpanKind, Status, TraceFlags, TraceId, TraceState,
};
use opentelemetry::{InstrumentationScope, KeyValue};
use opentelemetry_http::{HttpClient, HttpError};
use opentelemetry_otlp::{Protocol, SpanExporter, WithExportConfig as _, WithHttpConfig as _};
use opentelemetry_sdk::Resource;
use opentelemetry_sdk::trace::{SpanData, SpanEvents, SpanExporter as _, SpanLinks};
use tokio::sync::mpsc;

use crate::config::TelemetryConfig;

/// Spans that wait to be sent; further ones are dropped and counted.
const QUEUE: usize = 4096;

/// Spans of one message to the collector.
const BATCH: usize = 512;

/// How long a batch waits for more.
const PAUSE: Duration = Duration::from_secs(1);

/// How long the collector may take for a connection, and for an answer.
const PATIENCE: Duration = Duration::from_secs(10);

/// How long the last batch may take when the node stops.
const LAST_PATIENCE: Duration = Duration::from_secs(2);

/// The largest answer of a collector that is read.
const MAX_ANSWER: usize = 64 * 1024;

/// Where spans go; see [`export`].
pub(crate) struct Spans {
    queue: mpsc::Sender<SpanData>,
    scope: InstrumentationScope,
    random: Arc<dyn Random>,
    dropped: metrics::Counter,
}

/// What sends the spans.
pub(crate) struct Exporter {
    queue: mpsc::Receiver<SpanData>,
    exporter: SpanExporter,
    dropped: metrics::Counter,
}

/// Both ends of the way to the collector at this base URL.
///
/// # Errors
/// When the URL, or one of the variables `OTEL_EXPORTER_OTLP_*`, cannot be used.
pub(crate) fn export(
    config: &TelemetryConfig,
    endpoint: &str,
    random: Arc<dyn Random>,
) -> Result<(Spans, Exporter), String> {
    let connector = https_connector(PATIENCE).map_err(|error| error.to_string())?;
    let client = Client::builder(TokioExecutor::new()).build(connector);
    let mut exporter = SpanExporter::builder()
        .with_http()
        .with_protocol(Protocol::HttpBinary)
        .with_endpoint(format!("{}/v1/traces", endpoint.trim_end_matches('/')))
        .with_timeout(PATIENCE)
        .with_http_client(Collector(client))
        .build()
        .map_err(|error| error.to_string())?;
    let version = env!("CARGO_PKG_VERSION");
    let resource = Resource::builder()
        .with_service_name(config.service_name.clone())
        .with_attribute(KeyValue::new("service.version", version));
    exporter.set_resource(&resource.build());
    let (send, queue) = mpsc::channel(QUEUE);
    let dropped = metrics::counter!("downcity_spans_dropped_total");
    let scope = InstrumentationScope::builder("downcity").with_version(version).build();
    let spans = Spans { queue: send, scope, random, dropped: dropped.clone() };
    Ok((spans, Exporter { queue, exporter, dropped }))
}

impl Observer for Spans {
    fn finished(&self, request: &Finished<'_>) {
        if let Some(span) = self.span(request)
            && self.queue.try_send(span).is_err()
        {
            self.dropped.increment(1);
        }
    }
}

impl Spans {
    /// The span of a request; `None` where the caller's trace is not recorded.
    fn span(&self, request: &Finished<'_>) -> Option<SpanData> {
        let parent = parent(request.headers);
        if parent.as_ref().is_some_and(|parent| !parent.is_sampled()) {
            return None;
        }
        let trace_id = match &parent {
            Some(parent) => parent.trace_id(),
            None => TraceId::from_bytes(self.bytes()),
        };
        let span_id = SpanId::from_bytes(self.bytes());
        let sampled = TraceFlags::SAMPLED;
        let millis = u64::try_from(request.started_at.millis()).unwrap_or_default();
        let start_time: SystemTime = UNIX_EPOCH + Duration::from_millis(millis);
        Some(SpanData {
            span_context: SpanContext::new(trace_id, span_id, sampled, false, TraceState::NONE),
            parent_span_id: parent.as_ref().map_or(SpanId::INVALID, SpanContext::span_id),
            parent_span_is_remote: parent.is_some(),
            span_kind: SpanKind::Server,
            name: name(request),
            start_time,
            end_time: start_time + request.elapsed,
            attributes: attributes(request),
            dropped_attributes_count: 0,
            events: SpanEvents::default(),
            links: SpanLinks::default(),
            status: match request.status.is_server_error() {
                true => Status::error(""),
                false => Status::Unset,
            },
            instrumentation_scope: self.scope.clone(),
        })
    }

    fn bytes<const N: usize>(&self) -> [u8; N] {
        let mut bytes = [0; N];
        self.random.fill(&mut bytes);
        bytes
    }
}

/// Method and pattern of the path: few names, nothing that a caller chose.
fn name(request: &Finished<'_>) -> Cow<'static, str> {
    match request.route {
        Some(route) => Cow::Owned(format!("{} {route}", request.method)),
        None => Cow::Borrowed(request.method),
    }
}

/// Names follow <https://opentelemetry.io/docs/specs/semconv/http/http-spans/> where it has any.
fn attributes(request: &Finished<'_>) -> Vec<KeyValue> {
    let text = |key: &'static str, value: Option<&str>| {
        value.map(|value| KeyValue::new(key, value.to_owned()))
    };
    let status = i64::from(request.status.as_u16());
    [
        text("http.request.method", Some(request.method)),
        text("http.route", request.route),
        Some(KeyValue::new("http.response.status_code", status)),
        text("error.type", request.code.map(|code| code.as_str())),
        text("downcity.identity", request.identity),
        text("downcity.city_id", request.city_id),
    ]
    .into_iter()
    .flatten()
    .collect()
}

/// The caller's span, from `traceparent` (<https://www.w3.org/TR/trace-context/>); what is not one
/// is ignored, as the standard asks. `tracestate` is not read: callers choose its content.
fn parent(headers: &HeaderMap) -> Option<SpanContext> {
    let mut values = headers.get_all("traceparent").iter();
    let text = values.next()?.to_str().ok()?;
    let is_alone = values.next().is_none();
    let mut parts = text.split('-');
    let (version, trace, span, flags) =
        (parts.next()?, parts.next()?, parts.next()?, parts.next()?);
    // Later versions may add parts at the end.
    let ends = parts.next().is_none() || version != "00";
    let is_hex = |part: &str, length: usize| {
        part.len() == length && part.bytes().all(|b| matches!(b, b'0'..=b'9' | b'a'..=b'f'))
    };
    let lengths = is_hex(version, 2) && is_hex(trace, 32) && is_hex(span, 16) && is_hex(flags, 2);
    if !(is_alone && ends && lengths) || version == "ff" {
        return None;
    }
    let flags = TraceFlags::new(u8::from_str_radix(flags, 16).ok()?);
    let (trace, span) = (TraceId::from_hex(trace).ok()?, SpanId::from_hex(span).ok()?);
    let parent = SpanContext::new(trace, span, flags, true, TraceState::NONE);
    parent.is_valid().then_some(parent)
}

impl Exporter {
    /// Sends spans until the node stops, and then those that still wait.
    pub(crate) async fn run(mut self, runtime: Arc<Runtime>) {
        let stopping = runtime.tasks().stopping();
        drop(runtime);
        let mut batch = Vec::with_capacity(BATCH);
        while !stopping.is_cancelled() {
            tokio::select! {
                taken = self.queue.recv_many(&mut batch, BATCH) => if taken == 0 { return },
                () = stopping.cancelled() => break,
            }
            tokio::select! {
                () = self.fill(&mut batch) => {}
                () = tokio::time::sleep(PAUSE) => {}
                () = stopping.cancelled() => break,
            }
            let mut sent = pin!(self.send(std::mem::take(&mut batch)));
            tokio::select! {
                () = sent.as_mut() => {}
                () = stopping.cancelled() => {
                    let _ = tokio::time::timeout(LAST_PATIENCE, sent).await;
                }
            }
        }
        while batch.len() < QUEUE {
            let Ok(span) = self.queue.try_recv() else { break };
            batch.push(span);
        }
        if !batch.is_empty() {
            let _ = tokio::time::timeout(LAST_PATIENCE, self.send(batch)).await;
        }
    }

    /// Takes spans until a batch is full.
    async fn fill(&mut self, batch: &mut Vec<SpanData>) {
        while batch.len() < BATCH {
            let room = BATCH - batch.len();
            if self.queue.recv_many(batch, room).await == 0 {
                return std::future::pending().await;
            }
        }
    }

    async fn send(&self, batch: Vec<SpanData>) {
        let count = batch.len();
        if self.exporter.export(batch).await.is_err() {
            self.dropped.increment(count as u64);
            // What the collector answers is its own; the reason is not shown.
            tracing::debug!(count, "spans could not be sent");
        }
    }
}

/// The way to the collector, over the same TLS as to providers.
struct Collector(Client<HttpsConnector<HttpConnector>, Full<Bytes>>);

impl fmt::Debug for Collector {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Collector")
    }
}

#[async_trait]
impl HttpClient for Collector {
    async fn send_bytes(&self, request: Request<Bytes>) -> Result<Response<Bytes>, HttpError> {
        let exchange = async {
            let answer = self.0.request(request.map(Full::new)).await?;
            let (parts, body) = answer.into_parts();
            let body = Limited::new(body, MAX_ANSWER).collect().await?.to_bytes();
            Ok(Response::from_parts(parts, body))
        };
        tokio::time::timeout(PATIENCE, exchange).await?
    }
}

#[cfg(test)]
mod tests {
    use http::{HeaderMap, HeaderValue};

    use super::parent;

    const TRACE: &str = "4bf92f3577b34da6a3ce929d0e0e4736";

    #[test]
    fn a_trace_is_continued_only_where_it_is_named_in_full() {
        let known = format!("00-{TRACE}-00f067aa0ba902b7-01");
        let of = |text: &str| {
            let mut headers = HeaderMap::new();
            headers.insert("traceparent", HeaderValue::from_str(text).unwrap());
            parent(&headers)
        };
        let span = of(&known).unwrap();
        assert_eq!(span.trace_id().to_string(), TRACE);
        assert_eq!(span.span_id().to_string(), "00f067aa0ba902b7");
        assert!(span.is_sampled());
        assert!(!of(&known.replace("-01", "-00")).unwrap().is_sampled());
        assert!(of(&format!("{}-more", known.replace("00-4", "01-4"))).is_some());
        for wrong in [
            "",
            "geheim",
            &format!("{known}-more"),
            &known.to_uppercase(),
            &known.replace("00-4", "ff-4"),
            &known.replace(TRACE, "00000000000000000000000000000000"),
            &known.replace("00f067aa0ba902b7", "0000000000000000"),
            &known.replace("b7", "+7"),
            &known[1..],
        ] {
            assert!(of(wrong).is_none(), "{wrong}");
        }
        let mut twice = HeaderMap::new();
        for _ in 0..2 {
            twice.append("traceparent", HeaderValue::from_str(&known).unwrap());
        }
        assert!(parent(&twice).is_none());
    }
}
