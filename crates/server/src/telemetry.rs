//! Log lines: where they go, which are written, and what they never hold.
//!
//! Lines go to standard error. They never hold headers, bodies, query strings, tokens, keys or
//! values of the env vault.

#[cfg(test)]
mod secrecy;

use std::io::IsTerminal as _;
use std::panic::PanicHookInfo;
use std::str::FromStr as _;

use downcity_core::ACCESS_LOG;
use tracing::{Level, Metadata, Subscriber};
use tracing_subscriber::filter::{FilterExt as _, LevelFilter, Targets, filter_fn};
use tracing_subscriber::fmt::MakeWriter;
use tracing_subscriber::layer::{Filter, SubscriberExt as _};
use tracing_subscriber::{Layer as _, fmt};

use crate::config::{LogConfig, LogFormat};

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
    let colours = std::io::stderr().is_terminal();
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
