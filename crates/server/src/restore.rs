//! Copies of a configured database, tried and put in its place.

use std::path::{Path, PathBuf};
use std::time::Duration;

use downcity_core::Secret;
use downcity_core::env::{ADMIN_KEY, MasterKey, MasterKeySource};
use downcity_db::{DbErrorKind, DbOptions, DbUrl};

use crate::audit::Verification;
use crate::builder::FederationBuilder;
use crate::error::{FailureKind, StartError};
use crate::ledger::LedgerVerification;

/// How long to wait for a lock that another process holds.
const PATIENCE: Duration = Duration::from_secs(60);

/// What a trial of a copy has found.
#[derive(Debug)]
pub struct CheckedBackup {
    /// Size of the copy in bytes.
    pub bytes: u64,
    /// Whether a Federation started on it with the master key at hand; `None` where there is no key.
    pub opens: Option<bool>,
    /// Whether its money is where its ledger says.
    pub ledger: LedgerVerification,
    /// Whether its audit trail is whole.
    pub audit: Verification,
}

impl CheckedBackup {
    /// Whether nothing is wrong with it.
    pub fn is_good(&self) -> bool {
        self.opens != Some(false) && self.ledger.is_whole() && self.audit.broken.is_none()
    }
}

/// A database that a copy has replaced.
#[derive(Debug)]
pub struct Restored {
    /// Where it is.
    pub path: PathBuf,
    /// Its size in bytes.
    pub bytes: u64,
    /// Where the database of before is kept, when there was one.
    pub kept: Option<PathBuf>,
}

impl FederationBuilder {
    /// Restores a copy of a SQLite database into a folder of its own, checks its ledger and its audit
    /// trail, and starts a Federation on it with the master key of the configured database. The copy and
    /// the configured database stay as they are.
    ///
    /// # Errors
    /// When there is no copy, when it cannot be read or is damaged, and when it is no database of a
    /// Federation.
    pub async fn verify_backup(mut self, copy: &Path) -> Result<CheckedBackup, StartError> {
        existing(copy)?;
        let key = self.key_at_hand()?;
        let folder = tempfile::tempdir().map_err(|error| failed(&error.to_string()))?;
        let place = folder.path().join("downcity.sqlite");
        let (from, to) = (DbUrl::sqlite(copy), place.clone());
        let bytes = blocking(move || downcity_db::backup(&from, &to, PATIENCE)).await?;
        // Its own configuration, but nothing of the values that stand outside the database.
        let mut config = self.load()?.0.config;
        config.env = crate::config::EnvConfig::default();
        let restored = |key: Option<MasterKey>| {
            let builder = Self::default().config(config.clone());
            let builder = builder.database(DbOptions::new(DbUrl::sqlite(&place)));
            match key {
                Some(key) => builder.master_key(key),
                None => builder,
            }
        };
        let ledger = restored(None).verify_ledger(|_| ()).await?;
        let audit = restored(None).verify_audit(None, |_, _| ()).await?;
        let opens = match key {
            None => None,
            // Whatever keeps it from starting, the copy is no use with this key.
            Some(key) => Some(restored(Some(key)).env_values(&[ADMIN_KEY]).await.is_ok()),
        };
        Ok(CheckedBackup { bytes, opens, ledger, audit })
    }

    /// Puts a copy in the place of the configured SQLite database. What stands there is kept beside it,
    /// and only replaced where `replace` says so.
    ///
    /// # Errors
    /// When there is no copy or it is damaged; when the configured database is PostgreSQL, exists and
    /// shall not be replaced, or has a server running on it. Nothing has changed then.
    pub async fn restore(mut self, copy: &Path, replace: bool) -> Result<Restored, StartError> {
        existing(copy)?;
        let config = self.load()?.0.config;
        let url = self.database_options(&config)?.url;
        let Some(path) = url.sqlite_path().map(Path::to_path_buf) else {
            let advice = "This database is PostgreSQL: restore it with pg_restore.";
            return Err(StartError::new(FailureKind::Failed, advice));
        };
        let exists = path.exists();
        if exists && !replace {
            let message = format!(
                "{} exists already and is left as it is; --replace puts the copy in its place and keeps it beside.",
                path.display()
            );
            return Err(StartError::new(FailureKind::Conflict, message));
        }
        if let Some(folder) = path.parent().filter(|folder| !folder.as_os_str().is_empty()) {
            std::fs::create_dir_all(folder).map_err(|error| failed(&error.to_string()))?;
        }
        let aside = aside(&path);
        let (copy, kept) = (copy.to_path_buf(), aside.clone());
        let bytes = blocking(move || downcity_db::restore(&copy, &url, &aside, PATIENCE)).await?;
        Ok(Restored { path, bytes, kept: exists.then_some(kept) })
    }

    /// The master key of the configured database, where there is one.
    fn key_at_hand(&mut self) -> Result<Option<MasterKey>, StartError> {
        let (loaded, sources) = self.load()?;
        let url = self.database_options(&loaded.config)?.url;
        match self.master_key_source(sources.as_ref(), &url) {
            Ok(MasterKeySource::Given(key)) => Ok(Some(key)),
            Ok(MasterKeySource::File(path)) if path.exists() => {
                let read = MasterKey::read_file(&path);
                read.map(Some)
                    .map_err(|error| StartError::new(FailureKind::NotAllowed, error.message()))
            }
            Ok(MasterKeySource::File(_)) => Ok(None),
            // A PostgreSQL database without a key says nothing about a copy of a file.
            Err(_) if url.sqlite_path().is_none() => Ok(None),
            Err(error) => Err(error),
        }
    }

    /// Replaces the admin key of the configured database by a new one and gives it; the one before is
    /// refused from now on, on every node. Works while servers run. The change is in the audit trail.
    ///
    /// # Errors
    /// When there is no database yet, or when it cannot be opened or written.
    pub async fn reset_admin_key(mut self) -> Result<Secret, StartError> {
        self.existing_database()?;
        let (loaded, sources) = self.load()?;
        let mut config = loaded.config;
        // The work of the node is left to those that serve.
        config.jobs.workers = 0;
        config.metrics.enabled = false;
        config.telemetry.otlp_endpoint = None;
        let federation = self.start(config.into(), sources, None).await?;
        let replaced = crate::federation::replace_admin_key(&federation).await;
        federation.shutdown().await;
        replaced
    }
}

fn existing(copy: &Path) -> Result<(), StartError> {
    if copy.is_file() {
        return Ok(());
    }
    Err(StartError::new(FailureKind::NotFound, format!("There is no copy {}.", copy.display())))
}

/// A name beside the database that nothing has yet.
fn aside(path: &Path) -> PathBuf {
    let named = |number: u32| {
        let mut name = path.as_os_str().to_owned();
        name.push(format!(".before-restore-{number}"));
        PathBuf::from(name)
    };
    (1..).map(named).find(|name| !name.exists()).unwrap_or_else(|| named(0))
}

async fn blocking(
    work: impl FnOnce() -> Result<u64, downcity_db::DbError> + Send + 'static,
) -> Result<u64, StartError> {
    let done = tokio::task::spawn_blocking(work).await;
    done.map_err(|ended| failed(&ended.to_string()))?.map_err(|error| {
        let (kind, advice) = match error.kind() {
            DbErrorKind::Busy => (FailureKind::Conflict, " Stop the servers that run on it first."),
            DbErrorKind::Unavailable => (FailureKind::NotAllowed, ""),
            _ => (FailureKind::Failed, ""),
        };
        StartError::new(kind, format!("The copy was not restored: {error}.{advice}"))
    })
}

fn failed(why: &str) -> StartError {
    StartError::new(FailureKind::Failed, format!("The copy was not restored: {why}."))
}
