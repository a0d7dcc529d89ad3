//! A Federation of one node, in memory.

use std::sync::Arc;
use std::time::Duration;

use downcity_core::env::MasterKey;
use downcity_core::{
    Body, Hook, Kernel, KernelOptions, Registry, RegistryBuilder, Runtime, Secret, Service,
    Settings,
};
use downcity_db::testing::TestDatabase;
use downcity_db::{DbOptions, DbUrl, Engine};
use serde_json::{Value, json};

use crate::{Client, TestClock, TestRandom};

/// The admin key of every test app.
pub const ADMIN_KEY: &str = "admin_test_key_0123456789";

const MASTER_KEY: &str = "a passphrase for tests, of more than 32 characters";

type ChangeOptions = Box<dyn FnOnce(&mut KernelOptions)>;

/// How a test app is built.
pub struct TestAppBuilder {
    engine: Engine,
    database: Option<(Arc<TestDatabase>, DbUrl)>,
    services: RegistryBuilder,
    settings: Settings,
    clock: TestClock,
    random: Arc<TestRandom>,
    runs_once: bool,
    change: Option<ChangeOptions>,
}

impl TestAppBuilder {
    /// Adds a service as a product would.
    #[must_use]
    pub fn service<S: Service>(mut self, service: S) -> Self {
        self.services = self.services.service(Arc::new(service));
        self
    }

    /// Adds a service of the Federation.
    #[must_use]
    pub fn builtin<S: Service>(mut self, service: Arc<S>) -> Self {
        self.services = self.services.builtin(service);
        self
    }

    /// Adds a global hook.
    #[must_use]
    pub fn hook(mut self, hook: impl Hook) -> Self {
        self.services = self.services.hook(Arc::new(hook));
        self
    }

    /// Changes the settings of the kernel.
    #[must_use]
    pub fn settings(mut self, change: impl FnOnce(&mut Settings)) -> Self {
        change(&mut self.settings);
        self
    }

    /// Changes anything else the kernel starts with.
    #[must_use]
    pub fn options(mut self, change: impl FnOnce(&mut KernelOptions) + 'static) -> Self {
        self.change = Some(Box::new(change));
        self
    }

    /// Starts on the database of another app, as a second node or after a restart.
    #[must_use]
    pub fn on_database_of(mut self, other: &TestApp) -> Self {
        self.database = Some((other.database.clone(), other.database.url()));
        self.clock = other.clock.clone();
        self.random = other.random.clone();
        self
    }

    /// Starts on this database, which several nodes may share, each with a clock and a randomness
    /// of its own.
    #[must_use]
    pub fn on(mut self, database: &Arc<TestDatabase>) -> Self {
        self.database = Some((database.clone(), database.url()));
        self
    }

    /// Reaches the database at another address, such as that of a [`Proxy`].
    ///
    /// [`Proxy`]: downcity_db::testing::Proxy
    ///
    /// # Panics
    /// When no database was named before.
    #[must_use]
    pub fn through(mut self, url: DbUrl) -> Self {
        self.database.as_mut().expect("a database was named").1 = url;
        self
    }

    /// Makes random bytes from this seed.
    #[must_use]
    pub fn seed(mut self, seed: u64) -> Self {
        self.random = Arc::new(TestRandom::new(seed));
        self
    }

    /// Starts on a database that holds this SQL already, as an earlier version may have left it.
    ///
    /// # Panics
    /// When the database cannot be made, or the SQL does not run.
    #[must_use]
    pub fn on_database_with(mut self, sql: &str) -> Self {
        let made = TestDatabase::new(self.engine)
            .and_then(|database| database.execute(sql).map(|()| database));
        let database = made.unwrap_or_else(|why| panic!("{why}"));
        let url = database.url();
        self.database = Some((Arc::new(database), url));
        self
    }

    /// Runs every write closure once, for what happens at the same time: a rehearsal would see the end
    /// of whatever it waits for, and so would the run after it.
    #[must_use]
    pub fn runs_once(mut self) -> Self {
        self.runs_once = true;
        self
    }

    /// Starts the node.
    ///
    /// # Errors
    /// Those of [`Kernel::start`].
    pub async fn try_start(self) -> downcity_core::Result<TestApp> {
        let (database, url) = self.database.unwrap_or_else(|| {
            let database = TestDatabase::new(self.engine).unwrap_or_else(|why| panic!("{why}"));
            let url = database.url();
            (Arc::new(database), url)
        });
        let mut database_options = DbOptions::new(url);
        database_options.replay_writes = !self.runs_once;
        database_options.write_connections = 4;
        database_options.read_connections = 2;
        database_options.scan_connections = 2;
        let master_key = MasterKey::parse(MASTER_KEY).expect("the passphrase is long enough");
        let mut options = KernelOptions::new(database_options, master_key);
        options.clock = Arc::new(self.clock.clone());
        options.random = self.random.clone();
        options.settings = self.settings;
        options.seeds = vec![(downcity_core::env::ADMIN_KEY.to_owned(), Secret::new(ADMIN_KEY))];
        if let Some(change) = self.change {
            change(&mut options);
        }
        let kernel = Kernel::start(options, self.services).await?;
        let runs_once = self.runs_once;
        Ok(TestApp { kernel, clock: self.clock, random: self.random, runs_once, database })
    }

    /// Starts the node; a failure fails the test.
    pub async fn start(self) -> TestApp {
        match self.try_start().await {
            Ok(app) => app,
            Err(error) => panic!("the app does not start: {error:?}"),
        }
    }
}

/// A running node on a database of its own.
#[derive(Clone)]
pub struct TestApp {
    kernel: Kernel,
    clock: TestClock,
    random: Arc<TestRandom>,
    pub(crate) runs_once: bool,
    // Dropped last: the database goes when the last node on it has gone.
    database: Arc<TestDatabase>,
}

impl TestApp {
    /// An app with the kernel's own services on a new database of this engine.
    pub fn builder(engine: Engine) -> TestAppBuilder {
        let settings = Settings {
            // Jobs run when a test says so: see `run_jobs`.
            job_workers: 0,
            ..Settings::default()
        };
        TestAppBuilder {
            engine,
            database: None,
            services: Registry::builder(),
            settings,
            clock: TestClock::default(),
            random: Arc::new(TestRandom::new(1)),
            runs_once: false,
            change: None,
        }
    }

    /// A client with the admin key.
    pub fn admin(&self) -> Client {
        self.client(Some(ADMIN_KEY))
    }

    /// A client without a credential.
    pub fn guest(&self) -> Client {
        self.client(None)
    }

    /// A client with this `user_token`.
    pub fn user(&self, user_token: &str) -> Client {
        self.client(Some(user_token))
    }

    fn client(&self, credential: Option<&str>) -> Client {
        Client::new(self.kernel.clone(), credential)
    }

    /// Creates an active city.
    pub async fn create_city(&self, city_id: &str) {
        let input = json!({"name": city_id, "city_id": city_id});
        self.admin().post("/v1/cities/create", input).await.expect(200);
    }

    /// Issues a token without end.
    pub async fn token(&self, city_id: &str, user_id: &str) -> String {
        self.token_with(json!({"city_id": city_id, "user_id": user_id})).await
    }

    /// Issues a token for this input of `tokens/apply`.
    pub async fn token_with(&self, input: Value) -> String {
        let issued = self.admin().post("/v1/cities/tokens/apply", input).await.expect(200);
        issued["user_token"].as_str().expect("a token is a string").to_owned()
    }

    /// The clock.
    pub fn clock(&self) -> &TestClock {
        &self.clock
    }

    /// The node.
    pub fn runtime(&self) -> &Arc<Runtime> {
        self.kernel.runtime()
    }

    /// The dispatcher.
    pub fn kernel(&self) -> &Kernel {
        &self.kernel
    }

    /// Runs every job that is due; says how many ran.
    pub async fn run_jobs(&self) -> usize {
        downcity_core::jobs::run_due(self.runtime()).await.expect("the jobs table answers")
    }

    /// Stops the node.
    pub async fn stop(&self) {
        assert!(self.kernel.shutdown(Duration::from_secs(5)).await, "work was left at the end");
    }

    /// Answers a request made by hand.
    pub async fn handle(&self, request: http::Request<Body>) -> http::Response<Body> {
        self.kernel.handle(request).await
    }

    /// The database, for tests that disturb it.
    pub fn database(&self) -> &Arc<TestDatabase> {
        &self.database
    }

    /// Where the database is, for tests that open it themselves.
    pub fn database_url(&self) -> DbUrl {
        self.database.url()
    }
}
