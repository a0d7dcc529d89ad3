//! The models: `GET /v1/ai/models`, and `GET /v1/models` with `GET /v1/models/{id}` for OpenAI clients.

use std::sync::Arc;

use downcity_core::{Cx, Error, Result};
use downcity_types::EnvRequirement;
use http::StatusCode;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use crate::catalog::{Catalog, Model};
use crate::config::{Mode, PriceConfig};
use crate::service::Ai;

/// The models, in the form of the Federation and in that of OpenAI.
#[derive(Clone, Debug, Serialize, JsonSchema)]
pub struct ModelList {
    /// Always `list`.
    pub object: &'static str,
    /// The models; the first one is the default of `text`.
    pub items: Vec<ListedModel>,
    /// The same models as OpenAI clients read them.
    pub data: Vec<OpenAiModel>,
}

/// A model as callers see it.
#[derive(Clone, Debug, Serialize, JsonSchema)]
pub struct ListedModel {
    /// Id to call it by.
    pub id: String,
    /// Name to show.
    pub name: String,
    /// What it is good for.
    pub description: String,
    /// The modes it offers.
    pub modalities: Vec<Mode>,
    /// Words to group models by.
    pub tags: Vec<String>,
    /// What a call costs, in microcredits; absent where calls are free.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub price: Option<PriceConfig>,
    /// Anything else to know about it.
    pub meta: Map<String, Value>,
    /// The env keys that it needs. For the admin only.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub env_requirements: Option<Vec<EnvRequirement>>,
    /// The modes of which it is the default. For the admin only.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub default_modes: Option<Vec<Mode>>,
}

/// A model as OpenAI clients read it.
#[derive(Clone, Debug, Serialize, JsonSchema)]
pub struct OpenAiModel {
    /// Id to call it by.
    pub id: String,
    /// Always `model`.
    pub object: &'static str,
    /// Always 0: when a model was made is not known.
    pub created: i64,
    /// Always `downcity`: providers are the operator's matter.
    pub owned_by: &'static str,
}

/// The models as OpenAI clients read them.
#[derive(Clone, Debug, Serialize, JsonSchema)]
pub struct OpenAiModelList {
    /// Always `list`.
    pub object: &'static str,
    /// The models; the first one is the default of `text`.
    pub data: Vec<OpenAiModel>,
}

/// The model that is asked for.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
pub struct ModelId {
    /// Id of the model. It may hold `/`, as it is or as `%2F`.
    pub model: String,
}

/// No input.
#[derive(Debug, Deserialize, JsonSchema)]
pub(crate) struct Nothing {}

impl Ai {
    pub(crate) async fn models(self: Arc<Self>, cx: Cx, _: Nothing) -> Result<ModelList> {
        let catalog = self.catalog();
        let is_trusted = cx.identity().is_trusted();
        let models: Vec<_> = visible(&catalog, &cx).collect();
        Ok(ModelList {
            object: "list",
            data: models.iter().map(|model| OpenAiModel::new(model)).collect(),
            items: models.iter().map(|model| ListedModel::new(model, is_trusted)).collect(),
        })
    }

    pub(crate) async fn openai_models(
        self: Arc<Self>,
        cx: Cx,
        _: Nothing,
    ) -> Result<OpenAiModelList> {
        let catalog = self.catalog();
        let data = visible(&catalog, &cx).map(|model| OpenAiModel::new(model)).collect();
        Ok(OpenAiModelList { object: "list", data })
    }

    pub(crate) async fn openai_model(
        self: Arc<Self>,
        cx: Cx,
        asked: ModelId,
    ) -> Result<OpenAiModel> {
        let catalog = self.catalog();
        let found = visible(&catalog, &cx).find(|model| model.id == asked.model);
        found.map(|model| OpenAiModel::new(model)).ok_or_else(|| not_found(&catalog, &asked, &cx))
    }
}

/// The models that a caller is shown: the trusted side sees all of them, users those that can be
/// called.
fn visible<'a>(catalog: &'a Catalog, cx: &Cx) -> impl Iterator<Item = &'a Arc<Model>> {
    let is_trusted = cx.identity().is_trusted();
    let shown =
        move |model: &&Arc<Model>| is_trusted || (!model.hidden && model.missing_env(cx).is_none());
    catalog.listed().into_iter().filter(shown)
}

/// A model that is asked for by its address is not there; in a call it cannot be carried out.
fn not_found(catalog: &Catalog, asked: &ModelId, cx: &Cx) -> Error {
    catalog
        .unknown_model(&asked.model, cx)
        .with_status(StatusCode::NOT_FOUND)
        .with_field("model", "is no model that can be called")
}

impl OpenAiModel {
    fn new(model: &Model) -> Self {
        Self { id: model.id.clone(), object: "model", created: 0, owned_by: "downcity" }
    }
}

impl ListedModel {
    /// The provider's own name of the model is shown to the trusted side only.
    fn new(model: &Model, is_trusted: bool) -> Self {
        let mut meta = model.meta.clone();
        if is_trusted {
            meta.insert("upstream_model".to_owned(), model.upstream_model.clone().into());
        } else {
            meta.shift_remove("upstream_model");
        }
        Self {
            id: model.id.clone(),
            name: model.name.clone(),
            description: model.description.clone(),
            modalities: model.modes.clone(),
            tags: model.tags.clone(),
            price: model.price.clone().filter(|_| model.is_priced()),
            meta,
            env_requirements: is_trusted.then(|| model.env.clone()),
            default_modes: is_trusted.then(|| model.default_modes.clone()),
        }
    }
}
