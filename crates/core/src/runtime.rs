//! What a running node owns.

use std::future::Future;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use downcity_db::{Db, Tx};
use downcity_types::{ErrorCode, Timestamp, TokenAlgorithm, Ttl};
use http::{HeaderMap, Request, Response};
use tokio_util::sync::CancellationToken;
use zeroize::Zeroizing;

use crate::limits::{LimitSettings, Limiter};
use crate::snapshot::{Snapshot, State};
use crate::{
    Body, Clock, CredentialHeader, Error, Identity, Ids, Observer, Random, Registry, Result, Tasks,
};

/// The mark of a request that is a part of a call which the limits have counted.
#[derive(Clone, Copy)]
pub(crate) struct Counted;

/// Settings of the kernel. The defaults are those of an unconfigured Federation.
#[derive(Clone, Debug)]
pub struct Settings {
    /// The version that `/health` reports.
    pub version: &'static str,
    /// Where clients reach the Federation; never taken from a request when set.
    pub public_url: Option<String>,
    /// The largest JSON body in bytes.
    pub body_limit: usize,
    /// How long a body may take to arrive.
    pub body_timeout: Option<Duration>,
    /// How long an action may take until its reply starts.
    pub request_timeout: Option<Duration>,
    /// How long a token without `ttl` lives; `None` = for ever.
    pub token_default_ttl: Option<Ttl>,
    /// The longest `ttl` that may be asked for; `None` = any, tokens without end included.
    pub token_max_ttl: Option<Ttl>,
    /// How new tokens are signed; tokens of either kind verify.
    pub token_algorithm: TokenAlgorithm,
    /// How long a signing key verifies after another has taken its place; zero = no longer.
    pub token_rotation_grace: Duration,
    /// Whether guests see the env keys that services declare.
    pub public_env_keys: bool,
    /// How many jobs run at the same time on this node; 0 = none.
    pub job_workers: usize,
    /// How many calls are taken, of whom.
    pub limits: LimitSettings,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            version: env!("CARGO_PKG_VERSION"),
            public_url: None,
            body_limit: 10 * 1024 * 1024,
            body_timeout: Some(Duration::from_secs(30)),
            request_timeout: Some(Duration::from_secs(60)),
            token_default_ttl: None,
            token_max_ttl: None,
            token_algorithm: TokenAlgorithm::Hmac,
            token_rotation_grace: Duration::from_hours(7 * 24),
            public_env_keys: true,
            job_workers: 4,
            limits: LimitSettings::default(),
        }
    }
}

/// A running node: what every call, job and service can reach.
pub struct Runtime {
    pub(crate) registry: Arc<Registry>,
    pub(crate) db: Db,
    pub(crate) state: State,
    pub(crate) clock: Arc<dyn Clock>,
    pub(crate) random: Arc<dyn Random>,
    pub(crate) ids: Ids,
    pub(crate) tasks: Tasks,
    /// Cancelled when the node is about to stop.
    pub(crate) draining: CancellationToken,
    /// When `/readyz` was asked for the last time.
    pub(crate) readiness_asked: Mutex<Option<Instant>>,
    pub(crate) limiter: Limiter,
    pub(crate) settings: Settings,
    pub(crate) observer: Option<Arc<dyn Observer>>,
    pub(crate) request_ids: RequestIds,
    pub(crate) jobs_wanted: tokio::sync::Notify,
}

impl Runtime {
    /// Every service and action.
    pub fn registry(&self) -> &Arc<Registry> {
        &self.registry
    }

    /// Answers one request as the server does, for services that give the answers of other actions in
    /// another form. It is a part of the call that the service answers, which the limits on calls have
    /// counted: they do not count it again. Never fails and never panics: every failure is an answer.
    pub async fn answer(self: &Arc<Self>, mut request: Request<Body>) -> Response<Body> {
        request.extensions_mut().insert(Counted);
        crate::dispatch::handle(self, request).await
    }

    /// The database.
    pub fn db(&self) -> &Db {
        &self.db
    }

    /// The newest state of cities, env values, credentials, service keys and revocations; no
    /// database is asked.
    pub fn snapshot(&self) -> arc_swap::Guard<Arc<Snapshot>> {
        self.state.snapshot()
    }

    /// The publisher of snapshots.
    pub fn state(&self) -> &State {
        &self.state
    }

    /// The clock.
    pub fn clock(&self) -> &dyn Clock {
        &*self.clock
    }

    /// The source of randomness.
    pub fn random(&self) -> &dyn Random {
        &*self.random
    }

    /// Makes ids and secrets.
    pub fn ids(&self) -> &Ids {
        &self.ids
    }

    /// A key for one purpose of a service, such as to sign what comes back to it. It is the same on
    /// every node of this database and after each restart, also under another master key, and tells
    /// nothing about other keys.
    pub fn derived_key(&self, purpose: &str) -> Zeroizing<[u8; 32]> {
        self.state.vault().derive(purpose)
    }

    /// The tasks of this node.
    pub fn tasks(&self) -> &Tasks {
        &self.tasks
    }

    /// Whether the node has been told to stop: it still answers, and asks to be sent no more.
    pub fn is_stopping(&self) -> bool {
        self.draining.is_cancelled() || self.tasks.stopping().is_cancelled()
    }

    /// From here on `/readyz` says that the node is stopping. It goes on working.
    pub fn drain(&self) {
        self.draining.cancel();
    }

    /// When `/readyz` was asked for the last time.
    pub fn readiness_asked(&self) -> Option<Instant> {
        *self.readiness_asked.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(crate) fn note_readiness_asked(&self) {
        let mut asked = self.readiness_asked.lock().unwrap_or_else(PoisonError::into_inner);
        *asked = Some(Instant::now());
    }

    /// Since when the database has not answered; `None` while it does.
    pub fn unreachable_since(&self) -> Option<Timestamp> {
        let away = self.db.unreachable_since()?.elapsed();
        Some(self.clock.now().saturating_sub(away))
    }

    /// Counts calls and refuses those beyond the limits.
    pub fn limiter(&self) -> &Limiter {
        &self.limiter
    }

    /// The settings of the kernel.
    pub fn settings(&self) -> &Settings {
        &self.settings
    }

    /// Who sends these headers. Touches no database.
    pub fn identify(&self, headers: &HeaderMap) -> Identity {
        crate::token::identify(&self.snapshot(), self.clock.now_seconds(), headers)
    }

    /// Who sends these headers to an action that takes credentials there.
    pub(crate) fn identify_at(&self, taken: CredentialHeader, headers: &HeaderMap) -> Identity {
        match taken {
            CredentialHeader::Bearer => self.identify(headers),
            CredentialHeader::BearerOrApiKey => {
                let (snapshot, now) = (self.snapshot(), self.clock.now_seconds());
                crate::token::identify_with_api_key(&snapshot, now, headers)
            }
        }
    }

    /// Changes what the snapshot shows: runs the write, counts the revision up in the same
    /// transaction, and returns when this node shows the change. Handlers write through
    /// [`Call::change`](crate::Call::change), which keeps the audit trail.
    ///
    /// # Errors
    /// Those of the write; 503 when the change is stored but could not be loaded yet.
    pub fn change<T, F>(&self, mut write: F) -> impl Future<Output = Result<T>> + Send
    where
        F: FnMut(&mut Tx<'_>) -> Result<T> + Send + 'static,
        T: Send + 'static,
    {
        let written = self.db.write(move |tx| {
            // First of all locks, here as in every change: no two changes wait for each other.
            let revision = tx.bump_revision()?;
            Ok::<_, Error>((write(tx)?, revision))
        });
        async move {
            let (value, revision) = written.await?;
            self.state.publish(revision).await.map_err(stored_but_not_shown)?;
            Ok(value)
        }
    }

    /// Tells the workers of this node that a job was enqueued; others find it by looking.
    pub fn wake_workers(&self) {
        self.jobs_wanted.notify_one();
    }

    pub(crate) fn next_request_id(&self) -> Arc<str> {
        self.request_ids.next()
    }

    /// Follows the changes of other nodes until the node stops.
    pub(crate) async fn follow_changes(self: Arc<Self>) {
        let mut revisions = self.db.watch();
        while revisions.changed().await.is_ok() {
            let revision = *revisions.borrow_and_update();
            if let Err(error) = self.state.publish(revision).await {
                tracing::warn!(%error, "could not load a newer state; trying again");
                // The database is away: the next notice or poll finds the same revision again.
                tokio::time::sleep(Duration::from_millis(200)).await;
                revisions.mark_changed();
            }
        }
    }
}

/// A change that is committed, but that this node could not load: it must not read as one that may
/// simply be made again.
fn stored_but_not_shown(error: Error) -> Error {
    Error::new(
        ErrorCode::CommitUnknown,
        "The change is stored, but this node cannot show it yet; it will by itself.",
    )
    .with_fix("Repeat the request only with the same Idempotency-Key, or look first.")
    .with_source(error)
}

/// Request ids: a random start per process and a counter, so that none is drawn per request.
pub(crate) struct RequestIds {
    start: String,
    count: AtomicU64,
}

impl RequestIds {
    pub(crate) fn new(ids: &Ids) -> Self {
        Self { start: ids.secret::<6>("req_"), count: AtomicU64::new(0) }
    }

    fn next(&self) -> Arc<str> {
        let count = self.count.fetch_add(1, Ordering::Relaxed);
        let mut id = String::with_capacity(self.start.len() + 9);
        id.push_str(&self.start);
        // Hexadecimal, at least eight digits: sorts by time within a process.
        let _ = std::fmt::Write::write_fmt(&mut id, format_args!("{count:08x}"));
        id.into()
    }
}
