//! What a node knows without asking its database, and how changes reach it.

use std::collections::HashMap;
use std::sync::Arc;

use arc_swap::ArcSwap;
use async_trait::async_trait;
use downcity_db::{Db, sql};
use downcity_types::{City, DEFAULT_CITY_ID};

use crate::env::{Backing, EnvValues, Mark, Vault};
use crate::keys::ServiceKeys;
use crate::last_use::LastUses;
use crate::token::{Credentials, Revocations};
use crate::{Clock, Error, Result};

/// What a service keeps in memory of its own tables, such as a catalog.
#[async_trait]
pub trait Reload: Send + Sync + 'static {
    /// Reads it anew. It runs before the services start, and then whenever the state of the
    /// Federation changes: after each [`Runtime::change`](crate::Runtime::change) on any node, and by
    /// `env/refresh`, which answer when it is done. Most of these changes are about something else: it
    /// has to be quick where nothing of its own has changed.
    ///
    /// # Errors
    /// When the database does not answer; it is asked again then, before the state is shown.
    async fn reload(&self, db: &Db) -> Result<()>;
}

/// The ids of the tenants that servers of other generations began with.
const FIRST_OF_OTHERS: [&str; 4] =
    ["studio_downcity", "prod_downcity", "town_downcity", "bay_downcity"];

/// One consistent state of cities, env values, credentials, service keys and revocations. Immutable; a change
/// makes a new one.
pub struct Snapshot {
    pub(crate) revision: i64,
    pub(crate) cities: HashMap<Box<str>, Arc<City>>,
    pub(crate) env: EnvValues,
    pub(crate) credentials: Credentials,
    pub(crate) keys: ServiceKeys,
    pub(crate) revocations: Arc<Revocations>,
}

impl Snapshot {
    /// The revision of the database that this state shows.
    pub fn revision(&self) -> i64 {
        self.revision
    }

    /// A city by its id.
    pub fn city(&self, city_id: &str) -> Option<&Arc<City>> {
        self.cities.get(city_id)
    }

    /// The id that a city is stored under: the first tenants of other generations are the first
    /// city, unless one has their very id.
    pub(crate) fn stored_city_id<'a>(&self, city_id: &'a str) -> &'a str {
        self.first_city_for(city_id).unwrap_or(city_id)
    }

    /// The id of the first city, where this one stands for it.
    pub(crate) fn first_city_for(&self, city_id: &str) -> Option<&'static str> {
        let is_first = FIRST_OF_OTHERS.contains(&city_id)
            && !self.cities.contains_key(city_id)
            && self.cities.contains_key(DEFAULT_CITY_ID);
        is_first.then_some(DEFAULT_CITY_ID)
    }

    /// The runtime values of the env vault.
    pub fn env(&self) -> &EnvValues {
        &self.env
    }

    /// The admin key's digest and the token signing keys.
    pub fn credentials(&self) -> &Credentials {
        &self.credentials
    }

    /// The service keys.
    pub fn keys(&self) -> &ServiceKeys {
        &self.keys
    }

    /// Which tokens are dead before their time.
    pub fn revocations(&self) -> &Revocations {
        &self.revocations
    }
}

impl std::fmt::Debug for Snapshot {
    /// Shows counts and keys, no value.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Snapshot")
            .field("revision", &self.revision)
            .field("cities", &self.cities.len())
            .field("env", &self.env)
            .field("keys", &self.keys)
            .finish_non_exhaustive()
    }
}

/// Holds the newest snapshot and replaces it: one publisher for every kind of change.
pub struct State {
    current: ArcSwap<Snapshot>,
    db: Db,
    vault: Arc<Vault>,
    backing: Arc<Backing>,
    /// Shared by all snapshots and brought up to date, not copied.
    revocations: Arc<Revocations>,
    /// Outlives the snapshots, whose keys and values note their uses there.
    last_uses: Arc<LastUses>,
    /// Held while a newer state is loaded, so that writers share one load.
    loading: tokio::sync::Mutex<()>,
    reloads: Vec<Arc<dyn Reload>>,
}

impl State {
    /// Loads the first snapshot.
    ///
    /// # Errors
    /// When the database does not answer.
    pub(crate) async fn load(
        db: Db,
        vault: Arc<Vault>,
        backing: Arc<Backing>,
        clock: Arc<dyn Clock>,
        reloads: Vec<Arc<dyn Reload>>,
    ) -> Result<Self> {
        let revocations = Arc::new(Revocations::default());
        let last_uses = Arc::new(LastUses::new(clock));
        let first =
            read_snapshot(&db, (&vault, &backing), &revocations, &last_uses, i64::MIN).await?;
        report_unreadable(None, &first);
        reload(&reloads, &db).await?;
        Ok(Self {
            current: ArcSwap::from_pointee(first),
            db,
            vault,
            backing,
            revocations,
            last_uses,
            loading: tokio::sync::Mutex::new(()),
            reloads,
        })
    }

    /// The newest snapshot.
    pub fn snapshot(&self) -> arc_swap::Guard<Arc<Snapshot>> {
        self.current.load()
    }

    /// The vault that seals env values.
    pub fn vault(&self) -> &Arc<Vault> {
        &self.vault
    }

    /// Where env values are kept.
    pub(crate) fn backing(&self) -> &Arc<Backing> {
        &self.backing
    }

    /// When service keys and env values were last used.
    pub(crate) fn last_uses(&self) -> &LastUses {
        &self.last_uses
    }

    /// Waits until the node shows at least this revision; loads it when it does not yet.
    ///
    /// # Errors
    /// 503 when the database does not answer; the change itself is stored and follows by itself.
    pub async fn publish(&self, revision: i64) -> Result<()> {
        let _loading = self.loading.lock().await;
        if self.current.load().revision >= revision {
            return Ok(());
        }
        self.swap(self.revocations.seen()).await
    }

    /// Loads everything anew, rows edited by hand included.
    ///
    /// # Errors
    /// 503 when the database does not answer.
    pub async fn refresh(&self) -> Result<()> {
        let _loading = self.loading.lock().await;
        self.swap(i64::MIN).await
    }

    /// Shows env values that were edited from outside, unless somebody has shown them already.
    ///
    /// # Errors
    /// 503 when the database does not answer.
    pub(crate) async fn follow_env(&self, mark: &Mark) -> Result<()> {
        let _loading = self.loading.lock().await;
        if self.current.load().env.mark == *mark {
            return Ok(());
        }
        self.swap(self.revocations.seen()).await
    }

    /// `revoked_since` is the revision after which the log of revocations is read.
    async fn swap(&self, revoked_since: i64) -> Result<()> {
        let env = (&self.vault, &self.backing);
        let next =
            read_snapshot(&self.db, env, &self.revocations, &self.last_uses, revoked_since).await?;
        report_unreadable(Some(&self.current.load()), &next);
        // Before the state is shown: a writer that sees its change sees what hangs on it too.
        reload(&self.reloads, &self.db).await?;
        self.current.store(Arc::new(next));
        Ok(())
    }
}

async fn reload(reloads: &[Arc<dyn Reload>], db: &Db) -> Result<()> {
    for service in reloads {
        service.reload(db).await?;
    }
    Ok(())
}

/// Logs the env rows and signing keys that cannot be opened, each once.
fn report_unreadable(before: Option<&Snapshot>, now: &Snapshot) {
    for (key, reason) in now.env.unreadable() {
        if before.is_none_or(|before| !before.env.is_unreadable(key)) {
            tracing::warn!(key, reason, "an env row cannot be opened; it is skipped");
        }
    }
    let is_known = |city_id: &str, key: &str| {
        before.is_some_and(|before| {
            let mut rows = before.env.unreadable_of_cities();
            rows.any(|(of, known, _)| of == city_id && known == key)
        })
    };
    for (city_id, key, reason) in now.env.unreadable_of_cities() {
        if !is_known(city_id, key) {
            tracing::warn!(
                city_id,
                key,
                reason,
                "an env row of a city cannot be opened; it is skipped"
            );
        }
    }
    let known = |snapshot: &Snapshot, id: &str| {
        snapshot.credentials.keys().unreadable().any(|(known, _)| known == id)
    };
    for (key_id, reason) in now.credentials.keys().unreadable() {
        if before.is_none_or(|before| !known(before, key_id)) {
            tracing::warn!(key_id, reason, "a signing key cannot be opened; it is skipped");
        }
    }
}

async fn read_snapshot(
    db: &Db,
    (vault, backing): (&Arc<Vault>, &Arc<Backing>),
    revocations: &Arc<Revocations>,
    last_uses: &Arc<LastUses>,
    revoked_since: i64,
) -> Result<Snapshot> {
    let (vault, backing) = (vault.clone(), backing.clone());
    let shared = revocations.clone();
    let last_uses = last_uses.clone();
    let read = db.load(move |tx| {
        let revision =
            tx.query_one(sql!("SELECT value FROM db_revision WHERE id = 1"), &[])?.at(0)?;
        let mut env = backing.load(tx, &vault)?;
        let cities = crate::cities::load(tx)?;
        // A city that was deleted by hand has left its values behind.
        env.cities.retain(|city_id, _| cities.contains_key(city_id));
        let credentials = Credentials::new(&env, crate::token::load(tx, &vault)?);
        // From here on reads count: what the kernel does with its own values is none.
        crate::env::follow(&last_uses.env, &mut env);
        let keys = crate::keys::load(tx, &last_uses.keys)?;
        let revoked = crate::token::find_since(tx, revoked_since)?;
        let revocations = shared.clone();
        let snapshot = Snapshot { revision, cities, env, credentials, keys, revocations };
        Ok::<_, Error>((snapshot, revoked))
    });
    let (snapshot, revoked) = read.await?;
    revocations.apply(revoked, snapshot.revision);
    Ok(snapshot)
}
