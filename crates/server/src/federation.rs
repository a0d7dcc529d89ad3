//! A running node.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use downcity_ai::Ai;
use downcity_core::env::ADMIN_KEY;
use downcity_core::token::{IssueRequest, issue};
use downcity_core::{Body, Error, FirstStart, Kernel, Runtime, Secret};
use downcity_types::IssuedToken;
use http::{Request, Response};
use serde_json::json;

use crate::FederationBuilder;
use crate::config::{Config, ConfigError, ConfigSources, LoadedConfig};
use crate::error::{FailureKind, StartError};
use crate::http::Listener;

/// Balancers ask for readiness more often than this.
const FOLLOWED_WITHIN: Duration = Duration::from_secs(60);

/// A running node of a Federation. Dropped without [`Federation::shutdown`], it ends at once.
pub struct Federation {
    kernel: Kernel,
    ai: Arc<Ai>,
    loaded: LoadedConfig,
    sources: Option<ConfigSources>,
    pub(crate) listener: Option<Listener>,
    pub(crate) metrics: Option<Listener>,
}

impl Federation {
    /// Starts putting a Federation together.
    pub fn builder() -> FederationBuilder {
        FederationBuilder::default()
    }

    pub(crate) fn new(
        kernel: Kernel,
        ai: Arc<Ai>,
        loaded: LoadedConfig,
        sources: Option<ConfigSources>,
    ) -> Self {
        Self { kernel, ai, loaded, sources, listener: None, metrics: None }
    }

    pub(crate) fn kernel(&self) -> &Kernel {
        &self.kernel
    }

    /// Answers one request without a socket. Never fails: every failure is an answer.
    pub async fn handle(&self, request: Request<Body>) -> Response<Body> {
        self.kernel.handle(request).await
    }

    /// What the node owns: database, snapshot, clock, tasks.
    pub fn runtime(&self) -> &Arc<Runtime> {
        self.kernel.runtime()
    }

    /// The configuration it was started with.
    pub fn config(&self) -> &Config {
        &self.loaded.config
    }

    pub(crate) fn watched_file(&self) -> Option<PathBuf> {
        self.sources.as_ref().and_then(ConfigSources::watched_file)
    }

    /// What this start made; empty on later starts.
    pub fn first_start(&self) -> &FirstStart {
        self.kernel.first_start()
    }

    /// Issues a `user_token`, as `POST /v1/cities/tokens/apply` does.
    ///
    /// # Errors
    /// 404 unknown city, 403 paused city, 400 for a user id or ttl that is not acceptable.
    pub fn issue_token(&self, request: IssueRequest) -> Result<IssuedToken, Error> {
        issue(self.runtime(), request)
    }

    /// Whether the node can take calls: the database answers and the node is not stopping.
    pub async fn is_healthy(&self) -> bool {
        !self.runtime().is_stopping() && self.runtime().db().ping().await.is_ok()
    }

    /// Where it listens; `None` without a socket.
    pub fn local_addr(&self) -> Option<SocketAddr> {
        self.listener.as_ref().map(Listener::local_addr)
    }

    /// Where the figures are served, when they have an address of their own.
    pub fn metrics_addr(&self) -> Option<SocketAddr> {
        self.metrics.as_ref().map(Listener::local_addr)
    }

    /// Reads the configuration again. Other sections than `[ai]` take effect at the next start.
    ///
    /// # Errors
    /// Everything that is wrong with the new configuration; the running one stays in effect then.
    pub fn reload(&self) -> Result<(), ConfigError> {
        let Some(sources) = &self.sources else { return Ok(()) };
        let loaded = sources.load()?;
        let applied = self.ai.apply(loaded.config.ai.clone());
        applied.map_err(|problems| loaded.ai_error(problems))?;
        for section in self.config().differences(&loaded.config) {
            tracing::warn!("[{section}] has changed; restart to apply it");
        }
        Ok(())
    }

    pub(crate) fn reload_and_log(&self) {
        match self.reload() {
            Ok(()) => tracing::info!("configuration read again"),
            Err(error) => {
                for problem in &error.problems {
                    tracing::error!("{problem}");
                }
                tracing::error!(
                    "the configuration cannot be used; the running one stays in effect"
                );
            }
        }
    }

    /// Whether somebody follows the node's readiness: `/readyz` was asked within the last minute.
    pub fn is_followed(&self) -> bool {
        let asked = self.runtime().readiness_asked();
        asked.is_some_and(|asked| asked.elapsed() < FOLLOWED_WITHIN)
    }

    /// Begins to leave a group of nodes: `/readyz` answers 503 from here on, and connections end
    /// with their next answer. Everything is still served; [`Federation::shutdown`] comes next.
    pub fn drain(&self) {
        self.runtime().drain();
        if let Some(listener) = &self.listener {
            listener.drain();
        }
    }

    /// Takes no further requests, finishes those under way, streams included, and closes the
    /// database; at most `server.shutdown_timeout`. Says whether everything ended by itself.
    pub async fn shutdown(self) -> bool {
        let patience = self.config().server.shutdown_timeout.get();
        let deadline = tokio::time::Instant::now() + patience;
        let mut finished = true;
        if let Some(listener) = &self.listener {
            finished &= listener.close(patience).await;
        }
        let rest = deadline.saturating_duration_since(tokio::time::Instant::now());
        // What was cut off above still gets a moment to write down what it has.
        finished &= self.kernel.shutdown(rest.max(patience / 10)).await;
        if let Some(metrics) = &self.metrics {
            finished &= metrics.close(patience / 10).await;
        }
        finished
    }
}

impl Drop for Federation {
    fn drop(&mut self) {
        self.runtime().tasks().stopping().cancel();
    }
}

/// Gives the vault a new admin key, through the action that does it for operators.
///
/// # Errors
/// When the action does not take it.
pub(crate) async fn replace_admin_key(federation: &Federation) -> Result<Secret, StartError> {
    let failed = |why: String| StartError::new(FailureKind::Failed, why);
    let runtime = federation.runtime();
    let present = runtime.state().snapshot().env().get(ADMIN_KEY);
    let present = present.ok_or_else(|| failed("The database holds no admin key.".to_owned()))?;
    let new = Secret::new(runtime.ids().secret::<32>("admin_"));
    let input = json!({ "key": ADMIN_KEY, "value": new.expose() }).to_string();
    let request = Request::post("/v1/env/upsert")
        .header("authorization", format!("Bearer {}", present.expose()))
        .header("content-type", "application/json")
        .body(Body::from(input))
        .map_err(|error| failed(error.to_string()))?;
    let answer = federation.handle(request).await;
    if answer.status().is_success() {
        return Ok(new);
    }
    Err(failed(format!("The admin key stays as it is: the vault answered {}.", answer.status())))
}
