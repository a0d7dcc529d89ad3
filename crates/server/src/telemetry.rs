//! Log lines: where they go, which are written, and what they never hold.
//!
//! Lines go to standard error. They never hold headers, bodies, query strings, tokens, keys or
//! values of the env vault.

use std::io::IsTerminal as _;
use std::str::FromStr as _;

use tracing_subscriber::filter::{LevelFilter, Targets};
use tracing_subscriber::layer::SubscriberExt as _;
use tracing_subscriber::{Layer as _, fmt};

use crate::config::{LogConfig, LogFormat};

/// The target of the one line per request.
const ACCESS: &str = "downcity::access";

/// Begins to log. A program that has a subscriber of its own keeps it.
pub(crate) fn install(config: &LogConfig) {
    let lines = fmt::layer().with_writer(std::io::stderr);
    let filter = filter(config);
    let subscriber = tracing_subscriber::registry();
    let installed = match config.format {
        LogFormat::Text => {
            let lines = lines.with_ansi(std::io::stderr().is_terminal());
            tracing::subscriber::set_global_default(subscriber.with(lines.with_filter(filter)))
        }
        LogFormat::Json => {
            let lines = lines.json().flatten_event(true).with_ansi(false);
            tracing::subscriber::set_global_default(subscriber.with(lines.with_filter(filter)))
        }
    };
    if installed.is_err() {
        tracing::debug!("the program logs in its own way; [log] has no effect");
    }
    log_panics();
}

fn filter(config: &LogConfig) -> Targets {
    // The level was checked with the configuration.
    let targets = Targets::from_str(&config.level).unwrap_or_default();
    // A line that nobody asked for is not even formatted.
    let access = if config.requests { LevelFilter::INFO } else { LevelFilter::OFF };
    targets.with_target(ACCESS, access)
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

/// Panics are logged by their place. Their text may hold what a caller sent, so it is left to the
/// guard of the call, which knows the request id.
fn log_panics() {
    std::panic::set_hook(Box::new(|panic| {
        let place = panic.location().map(ToString::to_string).unwrap_or_default();
        let thread = std::thread::current();
        tracing::error!(place, thread = thread.name().unwrap_or_default(), "panicked at {place}");
    }));
}
