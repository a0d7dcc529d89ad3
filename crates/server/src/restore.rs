//! Copies of a configured database, tried and put in its place.

use std::path::{Path, PathBuf};
use std::time::Duration;

use downcity_core::Secret;
use downcity_core::env::{ADMIN_KEY, MasterKey, MasterKeySource};
use downcity_db::{CopyStop, CopyWatch, DbError, DbErrorKind, DbOptions, DbUrl, MigrationSet};

use crate::audit::Verification;
use crate::backup::kind_of;
use crate::builder::{FederationBuilder, MASTER_KEY, MASTER_KEY_FILE};
use crate::error::{FailureKind, StartError};
use crate::ledger::LedgerVerification;

/// What did not happen when one of the two tasks failed.
const CHECKED: &str = "The copy was not checked";
const RESTORED: &str = "The copy was not restored";

/// How often a trial looks whether it was stopped.
const LOOK: Duration = Duration::from_millis(50);

/// What a trial of a copy has found.
#[derive(Debug)]
pub struct CheckedBackup {
    /// Size of the copy in bytes.
    pub bytes: u64,
    /// Whether it is the copy of a PostgreSQL database.
    pub is_from_postgres: bool,
    /// Whether a Federation started on it with the master key at hand; `None` where there is no key.
    pub opens: Option<bool>,
    /// Why no Federation started on it: what the configuration or this program lacks, or the right key.
    pub refusal: Option<StartError>,
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

/// A database that a copy has become, or has replaced.
#[derive(Debug)]
pub struct Restored {
    /// Where it is, without its password.
    pub database: String,
    /// Its file; `None` for PostgreSQL.
    pub path: Option<PathBuf>,
    /// Size of the file, or of the copy where there is none, in bytes.
    pub bytes: u64,
    /// Where the SQLite database of before is kept, when there was one.
    pub kept: Option<PathBuf>,
}

impl FederationBuilder {
    /// Restores a copy into a folder of its own, brings it to the schema of this program, checks its ledger
    /// and its audit trail, and starts a Federation on it with the master key of the configured database.
    /// The copy and the configured database stay as they are. `watch` can stop it: nothing is left of the
    /// folder then.
    ///
    /// # Errors
    /// When there is no copy, when it cannot be read or is damaged, when it is no database of a Federation
    /// or that of a newer program, when a master key is configured that cannot be read, and once `watch`
    /// has stopped it.
    pub async fn verify_backup(
        mut self,
        copy: &Path,
        watch: CopyWatch,
    ) -> Result<CheckedBackup, StartError> {
        existing(copy)?;
        let key = self.key_at_hand()?;
        let mut config = self.load()?.0.config;
        let sets = self.migrations()?;
        let folder = tempfile::tempdir().map_err(|error| failed(CHECKED, &error.to_string()))?;
        let place = folder.path().join("downcity.sqlite");
        let stop = watch.stop();
        let (bytes, is_from_postgres) = migrated(copy, &place, sets, watch).await?;
        // Its own configuration, but nothing of the values that stand outside the database.
        config.env = crate::config::EnvConfig::default();
        let restored = |key: Option<MasterKey>| {
            let builder = Self::default().config(config.clone());
            let builder = builder.database(DbOptions::new(DbUrl::sqlite(&place)));
            match key {
                Some(key) => builder.master_key(key),
                None => builder,
            }
        };
        let trial = async {
            let ledger = restored(None).verify_ledger(|_| ()).await?;
            let audit = restored(None).verify_audit(None, |_, _| ()).await?;
            let (opens, refusal) = match key {
                None => (None, None),
                Some(key) => match restored(Some(key)).env_values(&[ADMIN_KEY]).await {
                    Ok(_) => (Some(true), None),
                    Err(error) => (Some(false), Some(error)),
                },
            };
            let found = CheckedBackup { bytes, is_from_postgres, opens, refusal, ledger, audit };
            Ok::<_, StartError>(found)
        };
        until_stopped(&stop, trial).await
    }

    /// Puts a copy in the place of the configured database, of either engine. What stands there is only
    /// replaced where `replace` says so. A SQLite database of before is kept beside the new one, also a
    /// damaged one; a PostgreSQL database is replaced in one transaction. `watch` is told of its tables, and
    /// can stop either.
    ///
    /// # Errors
    /// When there is no copy or it is damaged; when the configured database exists (PostgreSQL: holds
    /// something) and shall not be replaced, or has a server running on it; when it lacks what the copy
    /// has of services that this program does not have. Nothing has changed then, except where the message
    /// says that it is not certain.
    pub async fn restore(
        mut self,
        copy: &Path,
        replace: bool,
        watch: CopyWatch,
    ) -> Result<Restored, StartError> {
        existing(copy)?;
        let config = self.load()?.0.config;
        let options = self.database_options(&config)?;
        match options.url.sqlite_path().map(Path::to_path_buf) {
            Some(path) => restore_file(copy, options.url, path, replace, watch).await,
            None => {
                let migrations = self.migrations()?;
                restore_server(copy, options, migrations, replace, watch).await
            }
        }
    }

    /// The master key of the configured database, where there is one.
    fn key_at_hand(&mut self) -> Result<Option<MasterKey>, StartError> {
        let (loaded, sources) = self.load()?;
        let url = self.database_options(&loaded.config)?.url;
        let is_configured = sources.as_ref().is_some_and(|sources| {
            [MASTER_KEY, MASTER_KEY_FILE].iter().any(|name| sources.variable(name).is_some())
        });
        match self.master_key_source(sources.as_ref(), &url) {
            Ok(MasterKeySource::Given(key)) => Ok(Some(key)),
            Ok(MasterKeySource::File(path)) if path.exists() => {
                let read = MasterKey::read_file(&path);
                read.map(Some)
                    .map_err(|error| StartError::new(FailureKind::NotAllowed, error.message()))
            }
            Ok(MasterKeySource::File(_)) => Ok(None),
            // A PostgreSQL database without a key says nothing about a copy of a file.
            Err(_) if url.sqlite_path().is_none() && !is_configured => Ok(None),
            Err(error) => Err(error),
        }
    }

    /// Replaces the admin key of the configured database by a new one and gives it; the one before is
    /// refused from now on, on every node. Works while servers run. The change is in the audit trail.
    ///
    /// # Errors
    /// When there is no database yet, or when it cannot be opened or written.
    pub async fn reset_admin_key(self) -> Result<Secret, StartError> {
        let federation = self.open_beside().await?;
        let replaced = crate::federation::replace_admin_key(&federation).await;
        federation.shutdown().await;
        replaced
    }
}

/// Copies a copy and brings that to the schema of this program, since older ones lack what is looked at
/// later. Gives the size before, and whether it is that of a PostgreSQL database.
async fn migrated(
    copy: &Path,
    place: &Path,
    sets: Vec<MigrationSet>,
    mut watch: CopyWatch,
) -> Result<(u64, bool), StartError> {
    let url = DbUrl::sqlite(copy);
    let (from, to) = (DbOptions::new(url.clone()), place.to_path_buf());
    blocking(&url, CHECKED, move || {
        let bytes = downcity_db::backup(&from, &[], &to, &mut watch)?;
        let is_from_postgres = downcity_db::came_from_postgres(&to)?;
        downcity_db::migrate_copy(&to, &sets)?;
        Ok((bytes, is_from_postgres))
    })
    .await
}

async fn restore_file(
    copy: &Path,
    url: DbUrl,
    path: PathBuf,
    replace: bool,
    mut watch: CopyWatch,
) -> Result<Restored, StartError> {
    let exists = path.exists();
    if exists && !replace {
        let message = format!(
            "{} exists already and is left as it is; --replace puts the copy in its place and keeps it beside.",
            path.display()
        );
        return Err(StartError::new(FailureKind::Conflict, message));
    }
    if let Some(folder) = path.parent().filter(|folder| !folder.as_os_str().is_empty()) {
        std::fs::create_dir_all(folder).map_err(|error| failed(RESTORED, &error.to_string()))?;
    }
    // What is kept of before stays on the disk that it is on, wherever a link leads.
    let linked = if path.is_symlink() { path.canonicalize().ok() } else { None };
    let aside = aside(linked.as_deref().unwrap_or(&path));
    let (copy, kept, to) = (copy.to_path_buf(), aside.clone(), url.clone());
    let work = move || downcity_db::restore(&copy, &to, &aside, &mut watch);
    let bytes = blocking(&url, RESTORED, work).await?;
    let database = url.to_string();
    Ok(Restored { database, path: Some(path), bytes, kept: exists.then_some(kept) })
}

async fn restore_server(
    copy: &Path,
    options: DbOptions,
    migrations: Vec<MigrationSet>,
    replace: bool,
    mut watch: CopyWatch,
) -> Result<Restored, StartError> {
    let broken = |error: std::io::Error| failed(RESTORED, &error.to_string());
    let scratch = tempfile::tempdir().map_err(broken)?;
    let bytes = copy.metadata().map_err(broken)?.len();
    let (url, copy) = (options.url.clone(), copy.to_path_buf());
    blocking(&url, RESTORED, move || {
        let folder = scratch.path();
        downcity_db::restore_server(&copy, folder, &options, &migrations, replace, &mut watch)
    })
    .await?;
    Ok(Restored { database: url.to_string(), path: None, bytes, kept: None })
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

/// The outcome of work, which is left as it is once it was stopped.
async fn until_stopped<T>(
    stop: &CopyStop,
    work: impl Future<Output = Result<T, StartError>>,
) -> Result<T, StartError> {
    let stopped = async {
        while !stop.is_stopped() {
            tokio::time::sleep(LOOK).await;
        }
    };
    tokio::select! {
        done = work => done,
        () = stopped => Err(failed(CHECKED, "it was stopped")),
    }
}

/// Runs work on a thread that may block; `undone` says what did not happen where it fails.
async fn blocking<T: Send + 'static>(
    url: &DbUrl,
    undone: &str,
    work: impl FnOnce() -> Result<T, DbError> + Send + 'static,
) -> Result<T, StartError> {
    let done = tokio::task::spawn_blocking(work).await;
    done.map_err(|ended| failed(undone, &ended.to_string()))?.map_err(|error| {
        let advice = match error.kind() {
            DbErrorKind::Busy => " Stop the servers that run on it first.",
            DbErrorKind::NotEmpty => {
                " Name a new database with --database, or let --replace put the copy in the place of what it holds."
            }
            _ => "",
        };
        let outcome = match error.kind() {
            DbErrorKind::CommitUnknown => "It is not certain that the copy was restored",
            _ => undone,
        };
        let told = format!("{outcome}: {error}.{advice}");
        StartError::new(kind_of(url, &error), told)
    })
}

fn failed(undone: &str, why: &str) -> StartError {
    StartError::new(FailureKind::Failed, format!("{undone}: {why}."))
}
