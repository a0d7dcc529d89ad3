//! A copy of the configured database.

use std::path::{Path, PathBuf};
use std::time::Duration;

use downcity_db::DbErrorKind;

use crate::builder::FederationBuilder;
use crate::error::{FailureKind, StartError};

/// How long to wait for a lock that another process holds.
const PATIENCE: Duration = Duration::from_secs(60);

impl FederationBuilder {
    /// Writes a copy of the configured SQLite database to `target` and gives its size in bytes.
    /// Works while servers run on it. The copy opens with the master key of the database alone.
    ///
    /// # Errors
    /// When there is no database yet, when it is PostgreSQL, or when `target` exists or cannot be
    /// written.
    pub async fn backup(mut self, target: &Path) -> Result<u64, StartError> {
        let url = self.existing_database()?;
        if url.sqlite_path().is_none() {
            let advice = "This database is PostgreSQL: copy it with pg_dump, and keep the master key elsewhere.";
            return Err(StartError::new(FailureKind::Failed, advice));
        }
        if target.exists() {
            let message = format!("{} exists already and is left as it is.", target.display());
            return Err(StartError::new(FailureKind::Conflict, message));
        }
        let path = PathBuf::from(target);
        let work = move || downcity_db::backup(&url, &path, PATIENCE);
        let copied = tokio::task::spawn_blocking(work).await.map_err(|ended| {
            StartError::new(FailureKind::Failed, format!("The copy was interrupted: {ended}."))
        })?;
        copied.map_err(|error| {
            let kind = match error.kind() {
                DbErrorKind::Unavailable => FailureKind::NotAllowed,
                _ => FailureKind::Failed,
            };
            StartError::new(kind, format!("No copy was made: {error}."))
        })
    }
}
