//! The table of models: `GET /v1/ai/models/stored`, `POST /v1/ai/models/set`,
//! `POST /v1/ai/models/remove`.

use std::sync::Arc;

use downcity_core::{ADMIN, Cx, NoInput, Result, ServiceDef};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::service::Ai;
use crate::stored::{NewModel, StoredModel};

/// Models as the table has them.
#[derive(Clone, Debug, Serialize, JsonSchema)]
pub struct StoredModels {
    /// The rows, in their order.
    pub items: Vec<StoredModel>,
}

/// Models that are to be stored.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
pub(crate) struct SetModels {
    /// The models, each id once; 1 to 1,000 of them.
    models: Vec<NewModel>,
}

/// A row of the table.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
pub(crate) struct StoredId {
    /// Id of the model.
    id: String,
}

/// What a removal answers.
#[derive(Clone, Debug, Serialize, JsonSchema)]
pub(crate) struct Removed {
    /// Always `true`.
    success: bool,
}

impl Ai {
    pub(crate) fn declare_stored(self: &Arc<Self>, service: &mut ServiceDef) {
        service
            .get("models/stored", ADMIN, self, Self::stored_models)
            .summary("List the models of the table, with the reason where one cannot be used.")
            .description(
                "The table stands beside the configuration, which counts where both have a model of \
                 one id. Disabled models are listed, too.",
            );
        service
            .post("models/set", ADMIN, self, Self::set_models)
            .named()
            .summary("Store models in the table, all or none.")
            .description(
                "Every node has them in its catalog at once. A definition is checked as the \
                 configuration is, and nothing is stored when one cannot be used. What is not said of \
                 a model that the table has stays as it is.",
            );
        service
            .post("models/remove", ADMIN, self, Self::remove_model)
            .named()
            .summary("Remove a model from the table.");
    }

    async fn stored_models(self: Arc<Self>, cx: Cx, _: NoInput) -> Result<StoredModels> {
        Ok(StoredModels { items: self.stored(cx.runtime()).await? })
    }

    async fn set_models(self: Arc<Self>, cx: Cx, input: SetModels) -> Result<StoredModels> {
        Ok(StoredModels { items: self.store(&cx, input.models).await? })
    }

    async fn remove_model(self: Arc<Self>, cx: Cx, input: StoredId) -> Result<Removed> {
        self.remove_stored(&cx, input.id).await?;
        Ok(Removed { success: true })
    }
}
