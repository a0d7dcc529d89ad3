//! A Federation as a process: from its configuration to its last signal.

use std::path::Path;
use std::time::{Duration, Instant};

use crate::builder::FederationBuilder;
use crate::config::{ConfigSources, LoadedConfig};
use crate::error::StartError;
use crate::federation::Federation;
use crate::reload::FileWatch;
use crate::{banner, telemetry};

/// How often the configuration file is looked at.
const LOOK_INTERVAL: Duration = Duration::from_secs(1);

/// Signals so soon after the first are the same one: a service manager may tell the process and its
/// group, and so tell it twice.
const ECHO: Duration = Duration::from_millis(500);

pub(crate) async fn serve(
    mut builder: FederationBuilder,
    loaded: LoadedConfig,
    sources: Option<ConfigSources>,
) -> Result<(), StartError> {
    telemetry::install(&loaded.config.log);
    for warning in &loaded.warnings {
        tracing::warn!("{warning}");
    }
    let ai = &loaded.config.ai;
    if ai.starter && !ai.names_its_own() {
        tracing::info!(
            "no provider is configured: well-known ones answer as soon as their keys are stored, free of charge to users"
        );
    }
    for path in banner::overlooked(&loaded, Path::new(".")) {
        tracing::warn!(
            "{path} is a database of an earlier generation; this start makes a new, empty one and leaves it alone"
        );
    }
    raise_file_limit();
    let mut signals = Signals::listen()?;
    let listen = loaded.config.server.listen.clone();
    let drain = loaded.config.server.drain.get();
    let guide = builder.guide.take();
    let federation = tokio::select! {
        started = builder.start(loaded, sources, Some(&listen)) => started?,
        _ = signals.stop() => {
            tracing::info!("stopped before the start was complete");
            return Ok(());
        }
    };
    if let Some(address) = federation.local_addr() {
        banner::print(&federation, address, guide);
    }
    let reason = follow(&federation, &mut signals).await;
    if reason == Signal::Leave && federation.is_followed() {
        tracing::info!("leaving: not ready any more, and stopping in {} s", drain.as_secs_f32());
        federation.drain();
        let first = Instant::now();
        tokio::select! {
            () = tokio::time::sleep(drain) => {}
            () = insisted(first, async || signals.stop().await) => {}
        }
    }
    let first = Instant::now();
    tracing::info!("stopping; a second signal ends what is still under way");
    let finished = tokio::select! {
        finished = federation.shutdown() => finished,
        () = insisted(first, async || signals.stop().await) => false,
    };
    if finished {
        tracing::info!("stopped");
    } else {
        tracing::warn!("stopped before everything under way was finished");
    }
    Ok(())
}

/// Takes as many file descriptors as the system lets the process have: each connection is one, and
/// the usual first limit of 1,024 is below `server.max_connections`.
#[cfg(unix)]
fn raise_file_limit() {
    use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
    let limit = getrlimit(Resource::Nofile);
    let most = Rlimit { current: limit.maximum, maximum: limit.maximum };
    if limit.current != limit.maximum && setrlimit(Resource::Nofile, most).is_err() {
        tracing::debug!("the limit of open files stays as it is");
    }
}

#[cfg(not(unix))]
fn raise_file_limit() {}

/// Resolves when a stop is asked for again; `stop` gives the time of each further signal.
async fn insisted(first: Instant, mut stop: impl AsyncFnMut() -> Instant) {
    while stop().await.saturating_duration_since(first) < ECHO {}
}

/// Follows the configuration file until the process shall stop; says in which way.
async fn follow(federation: &Federation, signals: &mut Signals) -> Signal {
    let mut watch = FileWatch::new(federation.watched_file());
    let mut looks = tokio::time::interval(LOOK_INTERVAL);
    loop {
        tokio::select! {
            signal = signals.next() => match signal {
                Signal::Reload => federation.reload_and_log(),
                stop => return stop,
            },
            _ = looks.tick() => if watch.changed() { federation.reload_and_log() },
        }
    }
}

/// What the operator tells the process.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Signal {
    /// Stop, after others had time to find out (SIGTERM).
    #[cfg_attr(not(unix), expect(dead_code, reason = "only unix has SIGTERM"))]
    Leave,
    /// Stop (SIGINT, ctrl-c).
    Stop,
    /// Read the configuration again (SIGHUP).
    #[cfg_attr(not(unix), expect(dead_code, reason = "only unix has SIGHUP"))]
    Reload,
}

#[cfg(unix)]
struct Signals {
    terminate: tokio::signal::unix::Signal,
    interrupt: tokio::signal::unix::Signal,
    hangup: tokio::signal::unix::Signal,
}

#[cfg(unix)]
impl Signals {
    fn listen() -> Result<Self, StartError> {
        use tokio::signal::unix::{SignalKind, signal};
        let listen = |kind| {
            signal(kind).map_err(|error| {
                let message = format!("Cannot listen for signals: {error}.");
                StartError::new(crate::FailureKind::Failed, message)
            })
        };
        Ok(Self {
            terminate: listen(SignalKind::terminate())?,
            interrupt: listen(SignalKind::interrupt())?,
            hangup: listen(SignalKind::hangup())?,
        })
    }

    async fn next(&mut self) -> Signal {
        tokio::select! {
            _ = self.terminate.recv() => Signal::Leave,
            _ = self.interrupt.recv() => Signal::Stop,
            _ = self.hangup.recv() => Signal::Reload,
        }
    }
}

#[cfg(not(unix))]
struct Signals;

#[cfg(not(unix))]
impl Signals {
    fn listen() -> Result<Self, StartError> {
        Ok(Self)
    }

    async fn next(&mut self) -> Signal {
        if let Err(error) = tokio::signal::ctrl_c().await {
            tracing::error!(%error, "cannot listen for ctrl-c");
        }
        Signal::Stop
    }
}

impl Signals {
    /// Resolves when the process shall stop, with the time; everything else passes.
    async fn stop(&mut self) -> Instant {
        while self.next().await == Signal::Reload {}
        Instant::now()
    }
}

#[cfg(test)]
mod tests {
    use std::time::{Duration, Instant};

    use downcity_testkit::block_on;

    use super::insisted;

    #[test]
    fn a_signal_that_comes_twice_at_once_is_one_signal() {
        let first = Instant::now();
        let mut signals = [0, 20, 499, 500, 501].map(Duration::from_millis).into_iter();
        block_on(insisted(first, async || first + signals.next().unwrap()));
        assert_eq!(signals.next(), Some(Duration::from_millis(501)));
    }
}
