//! A new master key for the configured database.

use downcity_core::env::{MasterKey, MasterKeySource, Rekeyed, rekey};
use downcity_types::ErrorCode;

use crate::builder::FederationBuilder;
use crate::error::{FailureKind, StartError};

/// The variable that may hold the new master key.
const NEW_KEY: &str = "DOWNCITY_FEDERATION_NEW_MASTER_KEY";

impl FederationBuilder {
    /// Seals the configured database under a new master key. Works while servers run on it: they go
    /// on, and their next start needs the new key. Without `new`, the key of the variable
    /// `DOWNCITY_FEDERATION_NEW_MASTER_KEY` is taken; where neither is given and the present key
    /// stands in the file beside a SQLite database, a new one is made.
    ///
    /// # Errors
    /// When there is no database yet, when the present key does not open it, and when there is no
    /// new key or it is the present one.
    pub async fn rekey(mut self, new: Option<MasterKey>) -> Result<Rekeyed, StartError> {
        let url = self.existing_database()?;
        let (loaded, sources) = self.load()?;
        let source = self.master_key_source(sources.as_ref(), &url)?;
        let variable = sources.as_ref().and_then(|sources| sources.variable(NEW_KEY));
        let new = match (new, variable.filter(|text| !text.trim().is_empty())) {
            (Some(key), _) => Some(key),
            (None, Some(text)) => Some(MasterKey::parse(text).map_err(|error| {
                StartError::new(FailureKind::Failed, format!("{NEW_KEY}: {}", error.message()))
            })?),
            (None, None) => None,
        };
        if new.is_none() && matches!(source, MasterKeySource::Given(_)) {
            return Err(StartError::new(
                FailureKind::Failed,
                format!(
                    "The present master key was given, so the new one has to be given too: in {NEW_KEY}, or with --new-key-file. openssl rand -base64 32 makes one."
                ),
            ));
        }
        let mut config = loaded.config;
        // The work of the node is left to those that serve.
        config.jobs.workers = 0;
        config.metrics.enabled = false;
        let federation = self.start(config.into(), sources, None).await?;
        let rekeyed = rekey(federation.runtime(), &source, new).await;
        federation.shutdown().await;
        rekeyed.map_err(|error| {
            let kind = match error.code() {
                ErrorCode::Conflict => FailureKind::Conflict,
                ErrorCode::MissingConfig => FailureKind::NotAllowed,
                _ => FailureKind::Failed,
            };
            StartError::new(kind, error.message())
        })
    }
}
