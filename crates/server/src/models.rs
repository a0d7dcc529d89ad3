//! The table of models of a configured database, for commands.

use std::sync::Arc;

use downcity_ai::Ai;
pub use downcity_ai::{NewModel, StoredModel};
use downcity_core::{Error, Runtime};
use downcity_types::ErrorCode;

use crate::builder::FederationBuilder;
use crate::error::{FailureKind, StartError};

impl FederationBuilder {
    /// The models of the table of the configured database, disabled ones and those that cannot be used
    /// included. Works while servers run on it, as all of these do.
    ///
    /// # Errors
    /// When there is no database yet, or when it cannot be opened.
    pub async fn stored_models(self) -> Result<Vec<StoredModel>, StartError> {
        self.with_models(async |ai, runtime| ai.stored_models(runtime).await).await
    }

    /// Stores models in the table, all or none, in place of those of their ids. They are checked as
    /// those of the configuration are; servers that run take them over at once.
    ///
    /// # Errors
    /// As [`FederationBuilder::stored_models`]; when a definition cannot be used.
    pub async fn store_models(self, models: Vec<NewModel>) -> Result<Vec<StoredModel>, StartError> {
        self.with_models(async |ai, runtime| ai.store_models(runtime, models).await).await
    }

    /// Removes a model from the table. Says whether it was there.
    ///
    /// # Errors
    /// As [`FederationBuilder::stored_models`].
    pub async fn remove_stored_model(self, id: &str) -> Result<bool, StartError> {
        self.with_models(async |ai, runtime| ai.remove_stored_model(runtime, id).await).await
    }

    /// Works on the table with the configured providers, which models are checked against.
    async fn with_models<T>(
        mut self,
        work: impl AsyncFnOnce(&Ai, &Arc<Runtime>) -> Result<T, Error>,
    ) -> Result<T, StartError> {
        self.existing_database()?;
        let (loaded, sources) = self.load()?;
        let mut config = loaded.config;
        // The work of the node is left to those that serve.
        config.jobs.workers = 0;
        config.metrics.enabled = false;
        config.telemetry.otlp_endpoint = None;
        let federation = self.start(config.into(), sources, None).await?;
        let done = work(federation.ai(), federation.runtime()).await;
        federation.shutdown().await;
        done.map_err(|error| {
            let kind = match error.code() {
                ErrorCode::Conflict => FailureKind::Conflict,
                ErrorCode::NotFound => FailureKind::NotFound,
                _ => FailureKind::Failed,
            };
            StartError::new(kind, error.message())
        })
    }
}
