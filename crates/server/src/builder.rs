//! Putting a Federation together.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use downcity_ai::{Ai, AiConfig, Billing};
use downcity_core::env::{
    ADMIN_KEY, AUTH_SECRET, MasterKey, MasterKeySource, SIGNING_KEY, names_of,
};
use downcity_core::{
    Hook, Kernel, KernelOptions, Registry, RegistryBuilder, Secret, Service, Settings,
};
use downcity_db::{DbOptions, DbUrl, MigrationSet};
use downcity_services::{Accounts, Balance, Payment, StripePayment, Usage};
use serde_json::Value;
use tokio::net::TcpListener;

use crate::banner::{Hint, Listening};
use crate::config::{Config, ConfigSources, LoadedConfig};
use crate::error::{FailureKind, StartError};
use crate::federation::Federation;
use crate::http::{Frontend, Listener, ListenerSettings, Proxies, cors_layer, generations};
use crate::metrics::{Figures, MetricsService};
use crate::telemetry;
use crate::visiblebase::VisibleBase;

/// The variable that holds the master key, and the one that names its file.
pub(crate) const MASTER_KEY: &str = "DOWNCITY_FEDERATION_MASTER_KEY";
pub(crate) const MASTER_KEY_FILE: &str = "DOWNCITY_FEDERATION_MASTER_KEY_FILE";

/// System keys whose first value may come from the environment.
const SEEDED: &[&str] = &[ADMIN_KEY, SIGNING_KEY, AUTH_SECRET];

/// What a Federation is made of: its configuration and the services on top of the built-in ones.
pub struct FederationBuilder {
    configuration: Configuration,
    services: RegistryBuilder,
    listen: Option<String>,
    database: Option<DbOptions>,
    /// How long to wait for a database that does not answer yet; a process waits, a library does
    /// not.
    start_patience: Duration,
    master_key: Option<MasterKey>,
    seeds: Vec<(String, Secret)>,
    /// Whether it only looks at the database of servers.
    is_beside: bool,
    /// Asked for a line of the banner when the server listens.
    pub(crate) guide: Option<Guide>,
}

/// See [`FederationBuilder::when_listening`].
pub(crate) type Guide = Box<dyn FnOnce(&Listening) -> Vec<Hint> + Send>;

enum Configuration {
    /// Read from layers; may be read again.
    Layers(ConfigSources),
    /// Given as a whole; nothing else is read.
    Given(Box<Config>),
}

impl Default for FederationBuilder {
    fn default() -> Self {
        Self {
            configuration: Configuration::Layers(ConfigSources::process()),
            services: Registry::builder(),
            listen: None,
            database: None,
            start_patience: Duration::ZERO,
            master_key: None,
            seeds: Vec::new(),
            is_beside: false,
            guide: None,
        }
    }
}

impl FederationBuilder {
    /// Uses this configuration as it is: neither a file nor the environment is read, so that a
    /// master key from the environment has to be given with [`FederationBuilder::master_key`].
    #[must_use]
    pub fn config(mut self, config: Config) -> Self {
        self.configuration = Configuration::Given(Box::new(config));
        self
    }

    /// Reads this file in place of `federation.toml`; the environment still wins over it.
    #[must_use]
    pub fn config_file(self, path: impl Into<PathBuf>) -> Self {
        self.config_sources(ConfigSources::process().file(path))
    }

    /// Reads the configuration from these layers.
    #[must_use]
    pub fn config_sources(mut self, sources: ConfigSources) -> Self {
        self.configuration = Configuration::Layers(sources);
        self
    }

    /// Adds a product's own service.
    #[must_use]
    pub fn service(mut self, service: impl Service) -> Self {
        self.services = self.services.service(Arc::new(service));
        self
    }

    /// Adds a hook around every action of every service.
    #[must_use]
    pub fn hook(mut self, hook: impl Hook) -> Self {
        self.services = self.services.hook(Arc::new(hook));
        self
    }

    /// Listens on this address (`127.0.0.1:0` takes a free port), whatever is configured.
    #[must_use]
    pub fn listen(mut self, address: impl ToString) -> Self {
        self.listen = Some(address.to_string());
        self
    }

    /// Uses this database with these options, whatever is configured.
    #[must_use]
    pub fn database(mut self, options: DbOptions) -> Self {
        self.database = Some(options);
        self
    }

    /// Opens the env vault with this key, whatever the environment says.
    #[must_use]
    pub fn master_key(mut self, key: MasterKey) -> Self {
        self.master_key = Some(key);
        self
    }

    /// Gives a key of the env vault its value where the database has none yet.
    #[must_use]
    pub fn seed(mut self, key: impl Into<String>, value: Secret) -> Self {
        self.seeds.push((key.into(), value));
        self
    }

    /// Tells this when [`FederationBuilder::serve`] listens; what it answers are lines of the banner.
    #[must_use]
    pub fn when_listening(
        mut self,
        guide: impl FnOnce(&Listening) -> Vec<Hint> + Send + 'static,
    ) -> Self {
        self.guide = Some(Box::new(guide));
        self
    }

    /// The OpenAPI 3.1 document of everything this Federation can do; needs no database.
    ///
    /// # Errors
    /// The rule that a service breaks.
    pub fn openapi(self) -> Result<Value, String> {
        let (services, _) =
            official(self.services, &Config::default()).map_err(|error| error.to_string())?;
        let services = services.builtin(Arc::new(MetricsService { figures: None }));
        let registry = services.build().map_err(|error| error.to_string())?;
        Ok(downcity_core::views::openapi(&registry, &Settings::default()))
    }

    /// How many steps of the schema the configured database lacks; the next `fed serve` applies them. Only
    /// reads: nothing is migrated, and no master key is needed.
    ///
    /// # Errors
    /// When there is no database yet, when it cannot be read, or when a newer program has migrated it.
    pub async fn pending_migrations(mut self) -> Result<usize, StartError> {
        self.existing_database()?;
        install_crypto_provider();
        let config = self.load()?.0.config;
        let options = self.database_options(&config)?;
        let shown = options.url.to_string();
        let sets = self.migrations()?;
        let pending = downcity_db::pending_migrations(&options, &sets).await;
        pending.map_err(|error| StartError::kernel(&shown, &error.into()))
    }

    /// The admin key that the configured database holds. Works while a server runs on it.
    ///
    /// # Errors
    /// When there is no database yet, or when it cannot be opened.
    pub async fn admin_key(self) -> Result<Secret, StartError> {
        let mut values = self.env_values(&[ADMIN_KEY]).await?;
        values.remove(ADMIN_KEY).ok_or_else(|| {
            StartError::new(FailureKind::NotFound, "The database holds no admin key.")
        })
    }

    /// Those of these env entries that the configured database holds, by their keys. Works while a server runs
    /// on it.
    ///
    /// # Errors
    /// When there is no database yet, or when it cannot be opened.
    pub async fn env_values(self, keys: &[&str]) -> Result<BTreeMap<String, Secret>, StartError> {
        let federation = self.open_beside().await?;
        let snapshot = federation.runtime().state().snapshot();
        let found =
            keys.iter().filter_map(|key| Some(((*key).to_owned(), snapshot.env().get(key)?)));
        let values = found.collect();
        drop(snapshot);
        federation.shutdown().await;
        Ok(values)
    }

    /// Starts a node, for use inside another program. It listens only where
    /// [`FederationBuilder::listen`] says so; [`Federation::handle`] answers without a socket.
    ///
    /// # Errors
    /// Why it did not start; nothing is left running then.
    pub async fn build(mut self) -> Result<Federation, StartError> {
        let (loaded, sources) = self.load()?;
        let listen = self.listen.take();
        self.start(loaded, sources, listen.as_deref()).await
    }

    /// Runs a Federation as a whole process: reads the layered configuration, begins to log,
    /// listens, and returns after SIGTERM, SIGINT or ctrl-c when everything under way is finished.
    /// It waits `database.start_timeout` for a PostgreSQL server that does not answer yet.
    ///
    /// # Errors
    /// Why it did not start.
    pub async fn serve(mut self) -> Result<(), StartError> {
        let (mut loaded, sources) = self.load()?;
        if let Some(listen) = self.listen.take() {
            loaded.config.server.listen = listen;
        }
        self.start_patience = loaded.config.database.start_timeout.get();
        crate::run::serve(self, loaded, sources).await
    }

    /// Opens the configured database for one task, beside nodes that serve: their work is left to them.
    ///
    /// # Errors
    /// When there is no database yet, or when it cannot be opened.
    pub(crate) async fn open_beside(mut self) -> Result<Federation, StartError> {
        self.existing_database()?;
        let (loaded, sources) = self.load()?;
        let mut config = loaded.config;
        config.jobs.workers = 0;
        config.metrics.enabled = false;
        config.telemetry.otlp_endpoint = None;
        // Variables of this shell are not those of the servers: they give no provider its first key.
        self.is_beside = true;
        self.start(config.into(), sources, None).await
    }

    /// Where the configured database is.
    ///
    /// # Errors
    /// When the configuration cannot be used, or names a file that does not exist.
    pub(crate) fn existing_database(&mut self) -> Result<DbUrl, StartError> {
        let config = self.load()?.0.config;
        let url = self.database_options(&config)?.url;
        if url.sqlite_path().is_some_and(|path| !path.exists()) {
            let message = format!("There is no database {url} yet; fed serve makes it.");
            return Err(StartError::new(FailureKind::NotFound, message));
        }
        Ok(url)
    }

    /// The tables of this Federation: those of the built-in services and of the added ones.
    ///
    /// # Errors
    /// The rule that a service breaks.
    pub(crate) fn migrations(mut self) -> Result<Vec<MigrationSet>, StartError> {
        let config = self.load()?.0.config;
        let (services, _) = official(self.services, &config)?;
        let registry = services
            .build()
            .map_err(|error| StartError::new(FailureKind::Failed, error.to_string()))?;
        Ok(registry.migrations())
    }

    pub(crate) fn load(&mut self) -> Result<(LoadedConfig, Option<ConfigSources>), StartError> {
        match &self.configuration {
            Configuration::Layers(sources) => Ok((sources.load()?, Some(sources.clone()))),
            Configuration::Given(config) => Ok(((**config).clone().into(), None)),
        }
    }

    pub(crate) async fn start(
        self,
        loaded: LoadedConfig,
        sources: Option<ConfigSources>,
        listen: Option<&str>,
    ) -> Result<Federation, StartError> {
        install_crypto_provider();
        let config = loaded.config.clone();
        // Before the database: a port in use must not cost a migration.
        let socket = match listen {
            Some(listen) => Some(bound(listen).await?),
            None => None,
        };
        let figures = if config.metrics.enabled { Figures::install() } else { None };
        let own_address = match (&figures, &config.metrics.listen) {
            (Some(_), Some(listen)) => Some(bound(listen).await?),
            _ => None,
        };
        let mut options = self.kernel_options(&config, sources.as_ref())?;
        let spans =
            telemetry::span_export(&config.telemetry).map_err(|why| failed(why.to_owned()))?;
        options.observer = spans.as_ref().map(|spans| spans.observer.clone());
        let (mut services, ai) = official(self.services, &config)?;
        if figures.is_some() && own_address.is_none() {
            let figures = figures.clone();
            services = services.builtin(Arc::new(MetricsService { figures }));
        }
        let database = options.database.url.to_string();
        let kernel = Kernel::start(options, services)
            .await
            .map_err(|error| StartError::kernel(&database, &error))?;
        if let Some(figures) = &figures {
            figures.follow(kernel.runtime());
        }
        if let Some(spans) = spans {
            (spans.begin)(kernel.runtime());
        }
        let mut federation = Federation::new(kernel, ai, loaded, sources);
        if let (Some(figures), Some(socket)) = (figures, own_address) {
            let runtime = federation.runtime().clone();
            federation.metrics = Some(figures.serve(socket, runtime).map_err(not_listening)?);
        }
        if let Some(socket) = socket {
            federation.listener = Some(listener(socket, &federation).map_err(not_listening)?);
        }
        Ok(federation)
    }

    pub(crate) fn database_options(&self, config: &Config) -> Result<DbOptions, StartError> {
        match &self.database {
            Some(options) => Ok(options.clone()),
            None => {
                let mut options = DbOptions::new(config.database_url().map_err(failed)?);
                options.open_patience = self.start_patience;
                Ok(options)
            }
        }
    }

    /// Where the master key comes from.
    pub(crate) fn master_key_source(
        &self,
        sources: Option<&ConfigSources>,
        database: &DbUrl,
    ) -> Result<MasterKeySource, StartError> {
        if let Some(key) = &self.master_key {
            return Ok(MasterKeySource::Given(key.clone()));
        }
        let variable = |name: &str| sources.and_then(|sources| sources.variable(name));
        MasterKeySource::resolve(
            variable(MASTER_KEY),
            variable(MASTER_KEY_FILE).map(Path::new),
            database,
        )
        .map_err(|error| StartError::new(FailureKind::NotAllowed, error.message()))
    }

    fn kernel_options(
        &self,
        config: &Config,
        sources: Option<&ConfigSources>,
    ) -> Result<KernelOptions, StartError> {
        let database = self.database_options(config)?;
        let variable = |name: &str| sources.and_then(|sources| sources.variable(name));
        let master_key = self.master_key_source(sources, &database.url)?;
        let mut options = KernelOptions::new(database, master_key);
        options.settings = settings(config);
        options.seeds = self.seeds.clone();
        // A system key may be known by the name that it had in an earlier generation.
        let system = SEEDED.iter().filter_map(|key| {
            let value = names_of(key).iter().find_map(|name| variable(name))?;
            Some((*key, value))
        });
        let providers = config.provider_keys().filter_map(|key| Some((key, variable(key)?)));
        let secret = |(key, value): (&str, &str)| (key.to_owned(), Secret::new(value));
        let given: Vec<(String, Secret)> = system.chain(providers).map(secret).collect();
        let store = config.env.store().map_err(failed)?;
        options.env.auto_refresh = config.env.refreshes(&store);
        if config.env.falls_back(&store) {
            let process = sources.iter().flat_map(|sources| sources.env_fallback());
            // Later ones win: a system key is the one that was found by its names.
            options.env.fallback = process.map(secret).chain(given.clone()).collect();
        }
        options.env.store = store;
        if !self.is_beside {
            options.seeds.extend(given);
        }
        Ok(options)
    }
}

/// The AI service. A configuration that was read is valid; one that a program made may not be.
fn ai(config: AiConfig, billing: Billing) -> Result<Arc<Ai>, StartError> {
    Ai::new(config, billing).map_err(|problems| {
        let lines: Vec<String> = problems.iter().map(ToString::to_string).collect();
        failed(lines.join("\n"))
    })
}

/// Accounts, balance, payment, usage and ai, which sells calls through balance and usage.
fn official(
    services: RegistryBuilder,
    config: &Config,
) -> Result<(RegistryBuilder, Arc<Ai>), StartError> {
    let usage = Usage::new(config.usage.clone());
    let balance = Balance::with_gate_unit(config.balance.clone(), config.compat.gate_unit);
    let accounts = Accounts::new(config.accounts.clone(), config.mail.clone());
    let payment = Payment::new(config.payment.clone(), balance.clone());
    let billing = Billing { wallets: balance.clone(), facts: usage.clone() };
    let ai = ai(config.ai.clone(), billing)?;
    let stripe = StripePayment::new(payment.clone());
    let services = services.builtin(accounts).builtin(balance).builtin(payment).builtin(stripe);
    let services = services
        .builtin(usage)
        .builtin(Arc::new(VisibleBase))
        .aliases(generations::ROUTES.iter().copied());
    Ok((services.builtin(ai.clone()), ai))
}

fn settings(config: &Config) -> Settings {
    let server = &config.server;
    Settings {
        public_url: server.public_url.clone(),
        body_limit: server.body_limit.get(),
        body_timeout: Some(server.body_timeout.get()),
        request_timeout: Some(server.request_timeout.get()),
        token_default_ttl: config.tokens.default_ttl,
        token_max_ttl: config.tokens.max_ttl,
        token_algorithm: config.tokens.algorithm,
        token_rotation_grace: config.tokens.rotation_grace.get(),
        public_env_keys: server.public_env_keys,
        job_workers: config.jobs.workers,
        limits: config.limits.settings(),
        ..Settings::default()
    }
}

async fn bound(listen: &str) -> Result<TcpListener, StartError> {
    TcpListener::bind(listen).await.map_err(|error| StartError::bind(listen, &error))
}

fn failed(message: String) -> StartError {
    StartError::new(FailureKind::Failed, message)
}

fn not_listening(error: std::io::Error) -> StartError {
    failed(format!("Cannot listen: {error}."))
}

fn listener(socket: TcpListener, federation: &Federation) -> std::io::Result<Listener> {
    let server = &federation.config().server;
    let (header, uri) = (server.max_header_size.get(), server.max_uri_size.get());
    let settings = ListenerSettings {
        max_connections: server.max_connections,
        header_timeout: server.header_timeout.get(),
        write_timeout: server.write_timeout.get(),
        // Above our own limits, so that a request that is somewhat too large gets a whole answer.
        head_limit: (header + uri).saturating_mul(2).max(64 * 1024),
    };
    let frontend = Frontend {
        kernel: federation.kernel().clone(),
        cors: cors_layer(&server.cors.origins, federation.runtime().registry()),
        proxies: Proxies::new(&server.trusted_proxies, server.proxy_header),
        max_header_size: header,
        max_uri_size: uri,
    };
    Listener::start(socket, settings, frontend)
}

/// Every TLS connection of the process uses one provider. A program that installed its own keeps it.
pub(crate) fn install_crypto_provider() {
    let _ = rustls::crypto::ring::default_provider().install_default();
}
