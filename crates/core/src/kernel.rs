//! Boot and shutdown of a node.

use std::sync::Arc;
use std::time::Duration;

use downcity_db::{Db, DbOptions};
use http::{Request, Response};
use tokio_util::sync::CancellationToken;

use crate::boot::Boot;
use crate::env::{self, Backing, EnvOptions, MasterKeySource, Vault};
use crate::finish::Unmatched;
use crate::limits::{self, Limiter};
use crate::registry::RegistryBuilder;
use crate::runtime::RequestIds;
use crate::snapshot::State;
use crate::{
    Body, Clock, Error, ErrorShape, Ids, Observer, Random, Reply, Result, Runtime, Settings,
    SystemClock, SystemRandom, Tasks,
};

/// How long one service may take to stop.
const SERVICE_STOP: Duration = Duration::from_secs(5);

/// What a node is started with.
pub struct KernelOptions {
    /// The database.
    pub database: DbOptions,
    /// Where the key comes from that opens the env vault.
    pub master_key: MasterKeySource,
    /// Settings of the kernel.
    pub settings: Settings,
    /// Where env values are kept.
    pub env: EnvOptions,
    /// Env values from the process environment, by key. One is stored only where there is none for
    /// its key; blank ones and the placeholder `sk-...` never are.
    pub seeds: Vec<(String, crate::Secret)>,
    /// Who is told of every finished request.
    pub observer: Option<Arc<dyn Observer>>,
    /// The time.
    pub clock: Arc<dyn Clock>,
    /// The randomness.
    pub random: Arc<dyn Random>,
}

impl KernelOptions {
    /// Options with the machine's clock and randomness and default settings.
    pub fn new(database: DbOptions, master_key: impl Into<MasterKeySource>) -> Self {
        Self {
            database,
            master_key: master_key.into(),
            settings: Settings::default(),
            env: EnvOptions::default(),
            seeds: Vec::new(),
            observer: None,
            clock: Arc::new(SystemClock),
            random: Arc::new(SystemRandom),
        }
    }
}

/// What the first start made.
#[derive(Debug, Clone, Default)]
pub struct FirstStart {
    /// The admin key, when this start generated it.
    pub admin_key: Option<crate::Secret>,
    /// The city that was seeded.
    pub city_id: Option<String>,
}

/// A running node: dispatch over a [`Runtime`].
#[derive(Clone)]
pub struct Kernel {
    runtime: Arc<Runtime>,
    first_start: Arc<FirstStart>,
}

impl Kernel {
    /// Starts a node: checks the services, migrates, opens the vault, seeds a first start, loads
    /// the snapshot and begins to follow changes and to run jobs.
    ///
    /// `services` come on top of the built-in `env`, `cities`, `keys`, `jobs`, `audit` and `backup`.
    ///
    /// # Errors
    /// Any of these steps; nothing is left running then, and the start may be tried again.
    pub async fn start(options: KernelOptions, services: RegistryBuilder) -> Result<Self> {
        let registry = Arc::new(services.build().map_err(Error::internal)?);
        let db = Db::open(options.database, &registry.migrations()).await?;
        let ids = Ids::new(options.clock.clone(), options.random.clone());
        let now = options.clock.now();
        let vault = Vault::open(&db, &options.master_key, &*options.random, now).await?;
        let vault = Arc::new(vault);
        let backing = Arc::new(Backing::new(options.env));
        let boot = Boot {
            db: &db,
            vault: &vault,
            backing: &backing,
            ids: &ids,
            random: &*options.random,
            now,
            algorithm: options.settings.token_algorithm,
        };
        let first_start = boot.seed(options.seeds).await?;
        let limiter = Limiter::new(options.settings.limits.clone(), vault.hash_key());
        let state =
            State::load(db.clone(), vault, backing, options.clock.clone(), registry.reloads())
                .await?;
        let runtime = Arc::new(Runtime {
            registry,
            db,
            state,
            clock: options.clock,
            random: options.random,
            request_ids: RequestIds::new(&ids),
            ids,
            jobs_wanted: tokio::sync::Notify::new(),
            tasks: Tasks::default(),
            draining: CancellationToken::new(),
            readiness_asked: std::sync::Mutex::default(),
            limiter,
            settings: options.settings,
            observer: options.observer,
        });
        if let Err(error) = start_services(&runtime).await {
            // Services that did start may have loops, which hold the database open.
            runtime.tasks.shutdown(Duration::from_secs(1)).await;
            runtime.db.close().await;
            return Err(error);
        }
        runtime.tasks.spawn_until_stopped(runtime.clone().follow_changes());
        if runtime.state.backing().auto_refresh() {
            runtime.tasks.spawn_until_stopped(env::watch(runtime.clone()));
        }
        runtime.tasks.spawn_until_stopped(crate::last_use::exchange_forever(runtime.clone()));
        runtime.tasks.spawn_until_stopped(limits::share_regularly(runtime.clone()));
        crate::jobs::start_workers(&runtime);
        Ok(Self { runtime, first_start: Arc::new(first_start) })
    }

    /// Answers one request. Never fails and never panics: every failure is an answer.
    pub fn handle(
        &self,
        request: Request<Body>,
    ) -> impl Future<Output = Response<Body>> + Send + '_ {
        crate::dispatch::handle(&self.runtime, request)
    }

    /// An answer that no action gave, such as a refusal of the transport, with a request id.
    /// It is counted and logged like a request that no action was found for.
    pub fn reply<B>(&self, request: &Request<B>, reply: Result<Reply>) -> Response<Body> {
        let request = Unmatched {
            method: request.method(),
            headers: request.headers(),
            extensions: request.extensions(),
        };
        crate::dispatch::reply(&self.runtime, &request, ErrorShape::Standard, reply)
    }

    /// What the node owns.
    pub fn runtime(&self) -> &Arc<Runtime> {
        &self.runtime
    }

    /// What this start made; empty on later starts.
    pub fn first_start(&self) -> &FirstStart {
        &self.first_start
    }

    /// Ends loops, waits for work under way (at most `patience`), has services stop, and closes
    /// the database.
    /// Says whether all work ended in time.
    pub async fn shutdown(&self, patience: Duration) -> bool {
        let finished = self.runtime.tasks.shutdown(patience).await;
        stop_services(&self.runtime).await;
        crate::last_use::exchange_at_end(&self.runtime).await;
        self.runtime.db.close().await;
        finished
    }
}

async fn start_services(runtime: &Arc<Runtime>) -> Result<()> {
    for entry in runtime.registry.services() {
        entry.service.start(runtime).await?;
    }
    Ok(())
}

async fn stop_services(runtime: &Arc<Runtime>) {
    for entry in runtime.registry.services().iter().rev() {
        let stopping = entry.service.stop(runtime);
        if tokio::time::timeout(SERVICE_STOP, stopping).await.is_err() {
            tracing::warn!(service = entry.id(), "the service did not stop in time");
        }
    }
}
