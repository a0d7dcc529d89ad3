//! Log lines: where they go, which are written, and what they never hold.
//!
//! Lines go to standard error. They never hold headers, bodies, query strings, tokens, keys or
//! values of the env vault.

#[cfg(feature = "otlp")]
mod otlp;
#[cfg(test)]
mod secrecy;

use std::io::IsTerminal as _;
use std::panic::PanicHookInfo;
use std::str::FromStr as _;
use std::sync::Arc;

use downcity_core::{ACCESS_LOG, Observer, Runtime};
use tracing::{Level, Metadata, Subscriber};
use tracing_subscriber::filter::{FilterExt as _, LevelFilter, Targets, filter_fn};
use tracing_subscriber::fmt::MakeWriter;
use tracing_subscriber::layer::{Filter, SubscriberExt as _};
use tracing_subscriber::{Layer as _, fmt};

use crate::config::{LogConfig, LogFormat, TelemetryConfig};

/// Libraries whose lines of the levels debug and trace show what they carry: headers, frames,
/// parameters of statements. Whatever is configured, theirs are not written.
const CAPPED: &[&str] = &[
    "h2",
    "hyper",
    "hyper_rustls",
    "hyper_util",
    "log",
    "mio",
    "opentelemetry",
    "opentelemetry-otlp",
    "opentelemetry_sdk",
    "postgres",
    "refinery_core",
    "rustls",
    "tokio",
    "tokio_postgres",
    "tokio_postgres_rustls",
    "tokio_util",
    "tower",
    "tower_http",
];

/// Begins to log. A program that has a subscriber of its own keeps it.
pub(crate) fn install(config: &LogConfig) {
    let is_plain = std::env::var_os("NO_COLOR").is_some_and(|value| !value.is_empty());
    let colours = std::io::stderr().is_terminal() && !is_plain;
    if tracing::subscriber::set_global_default(subscriber(config, std::io::stderr, colours))
        .is_err()
    {
        tracing::debug!("the program logs in its own way; [log] has no effect");
    }
    std::panic::set_hook(Box::new(log_panic));
}

/// Writes lines as configured.
fn subscriber<W>(config: &LogConfig, writer: W, colours: bool) -> impl Subscriber + Send + Sync
where
    W: for<'a> MakeWriter<'a> + Send + Sync + 'static,
{
    let lines = fmt::layer().with_writer(writer);
    let filter = filter(config);
    let lines = match config.format {
        LogFormat::Text => lines.with_ansi(colours).with_filter(filter).boxed(),
        LogFormat::Json => {
            lines.json().flatten_event(true).with_ansi(false).with_filter(filter).boxed()
        }
    };
    tracing_subscriber::registry().with(lines)
}

fn filter<S: Subscriber>(config: &LogConfig) -> impl Filter<S> + Send + Sync + use<S> {
    // The level was checked with the configuration.
    let targets = Targets::from_str(&config.level).unwrap_or_default();
    // A line that nobody asked for is not even formatted.
    let access = if config.requests { LevelFilter::INFO } else { LevelFilter::OFF };
    let targets = targets.with_target(ACCESS_LOG, access);
    targets.and(filter_fn(is_discreet).with_max_level_hint(LevelFilter::TRACE))
}

/// Whether a line comes from code that is known not to show what callers send.
fn is_discreet(line: &Metadata<'_>) -> bool {
    let library = line.target().split("::").next().unwrap_or_default();
    *line.level() <= Level::INFO || !CAPPED.contains(&library)
}

/// Whether a text is a level, or a list of levels by module.
pub(crate) fn check_level(level: &str) -> Result<(), String> {
    let known = |level: &str| LevelFilter::from_str(level).is_ok();
    let fits = |part: &str| part.split_once('=').map_or(known(part), |(_, level)| known(level));
    if level.split(',').all(|part| fits(part.trim())) && Targets::from_str(level).is_ok() {
        return Ok(());
    }
    Err("must be error, warn, info, debug or trace, or a list such as info,downcity_ai=debug"
        .to_owned())
}

/// Panics are logged by their place: their text may hold what a caller sent. The guard of the call
/// logs the request id right after it, with the text where it stands in the source as it is.
fn log_panic(panic: &PanicHookInfo<'_>) {
    let place = panic.location().map(ToString::to_string).unwrap_or_default();
    let thread = std::thread::current();
    tracing::error!(place, thread = thread.name().unwrap_or_default(), "panicked at {place}");
}

type Begin = Box<dyn FnOnce(&Arc<Runtime>) + Send>;

/// The export of spans, ready to begin.
pub(crate) struct SpanExport {
    /// Turns finished requests into spans.
    pub(crate) observer: Arc<dyn Observer>,
    /// Begins to send them, until the node stops.
    pub(crate) begin: Begin,
}

/// What is told where an endpoint is set and this program cannot use it.
const NOT_BUILT: &str = "telemetry.otlp_endpoint is set, but this program was built without the \
    export of spans: build it with the cargo feature otlp, or unset the endpoint (in the \
    environment: OTEL_EXPORTER_OTLP_ENDPOINT).";

/// The export that is configured, if any.
///
/// # Errors
/// When this program was built without it.
pub(crate) fn span_export(config: &TelemetryConfig) -> Result<Option<SpanExport>, &'static str> {
    export_where(cfg!(feature = "otlp"), config)
}

fn export_where(
    is_built: bool,
    config: &TelemetryConfig,
) -> Result<Option<SpanExport>, &'static str> {
    match &config.otlp_endpoint {
        None => Ok(None),
        Some(_) if !is_built => Err(NOT_BUILT),
        Some(endpoint) => Ok(connect(config, endpoint)),
    }
}

#[cfg(feature = "otlp")]
fn connect(config: &TelemetryConfig, endpoint: &str) -> Option<SpanExport> {
    let random = Arc::new(downcity_core::SystemRandom);
    let Ok((spans, exporter)) = otlp::export(config, endpoint, random) else {
        // The reason may quote a header for the collector, which may be a credential.
        tracing::error!("spans are not exported: check the variables OTEL_EXPORTER_OTLP_*");
        return None;
    };
    let begin = Box::new(move |runtime: &Arc<Runtime>| {
        runtime.tasks().spawn(exporter.run(runtime.clone()));
    });
    Some(SpanExport { observer: Arc::new(spans), begin })
}

#[cfg(not(feature = "otlp"))]
fn connect(_: &TelemetryConfig, _: &str) -> Option<SpanExport> {
    None
}

#[cfg(test)]
mod tests {
    use super::export_where;
    use crate::config::TelemetryConfig;

    #[test]
    fn an_endpoint_that_cannot_be_used_is_refused_by_name() {
        let mut config = TelemetryConfig::default();
        assert!(matches!(export_where(false, &config), Ok(None)));
        config.otlp_endpoint = Some("http://127.0.0.1:4318".to_owned());
        let Err(message) = export_where(false, &config) else { panic!("it is taken") };
        assert!(message.contains("telemetry.otlp_endpoint") && message.contains("feature otlp"));
    }
}
