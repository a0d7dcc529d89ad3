//! A copy of the configured database.

use std::path::{Path, PathBuf};

use downcity_core::env::EnvStore;
use downcity_db::{CopyWatch, DbError, DbErrorKind, DbUrl};

use crate::builder::FederationBuilder;
use crate::error::{FailureKind, StartError};

impl FederationBuilder {
    /// Writes a copy of the configured database to `target` and gives its size in bytes: a SQLite file,
    /// whatever the engine. Works while servers run on it. The copy opens with the master key of the
    /// database alone. `watch` is told of the tables of a PostgreSQL database, and can stop the copy.
    ///
    /// # Errors
    /// When there is no database yet, when `target` exists or cannot be written, and when the database
    /// cannot be read or has tables of a service that this program does not have.
    pub async fn backup(mut self, target: &Path, mut watch: CopyWatch) -> Result<u64, StartError> {
        let url = self.existing_database()?;
        if target.exists() {
            let message = format!("{} exists already and is left as it is.", target.display());
            return Err(StartError::new(FailureKind::Conflict, message));
        }
        let config = self.load()?.0.config;
        let options = self.database_options(&config)?;
        let migrations = self.migrations()?;
        let path = PathBuf::from(target);
        let work = move || downcity_db::backup(&options, &migrations, &path, &mut watch);
        let copied = tokio::task::spawn_blocking(work).await.map_err(|ended| {
            StartError::new(FailureKind::Failed, format!("The copy was interrupted: {ended}."))
        })?;
        copied.map_err(|error| {
            let kind = kind_of(&url, &error);
            StartError::new(kind, format!("No copy was made: {error}."))
        })
    }

    /// The file that holds the env values where the configuration names one (`env.store`): copies of the
    /// database do not have them then.
    ///
    /// # Errors
    /// When the configuration cannot be used.
    pub fn env_file(mut self) -> Result<Option<PathBuf>, StartError> {
        Ok(match self.load()?.0.config.env.store() {
            Ok(EnvStore::Dotenv(path)) => Some(path),
            _ => None,
        })
    }
}

/// The class of a failed copy from or to a database. Of both the file of a copy and a server, either may be
/// what failed.
pub(crate) fn kind_of(url: &DbUrl, error: &DbError) -> FailureKind {
    match error.kind() {
        DbErrorKind::Busy
        | DbErrorKind::NotEmpty
        | DbErrorKind::SchemaDivergent
        | DbErrorKind::SchemaNewer { .. } => FailureKind::Conflict,
        DbErrorKind::Unavailable if url.sqlite_path().is_none() && !error.is_local() => {
            FailureKind::Unreachable
        }
        DbErrorKind::Unavailable => FailureKind::NotAllowed,
        _ => FailureKind::Failed,
    }
}
