//! The models: `GET /v1/ai/models`, and `GET /v1/models` with `GET /v1/models/{id}` for OpenAI clients.

use std::sync::Arc;

use downcity_core::{Cx, Error, Result};
use downcity_types::{EnvRequirement, Timestamp};
use http::StatusCode;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use crate::catalog::{Catalog, Model};
use crate::config::{Mode, PriceConfig};
use crate::service::Ai;
use crate::stored::LeftOut;

/// The models, in the form of the Federation and in that of OpenAI.
#[derive(Clone, Debug, Serialize, JsonSchema)]
pub struct ModelList {
    /// Always `list`.
    pub object: &'static str,
    /// The models; the first one is the default of `text`.
    pub items: Vec<ListedModel>,
    /// The same models as OpenAI clients read them.
    pub data: Vec<OpenAiModel>,
    /// The rows of the table of models that are no models of the catalog. For the admin only; absent
    /// where there is none.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub left_out: Vec<LeftOutModel>,
}

/// A row of the table of models that cannot be used.
#[derive(Clone, Debug, Serialize, JsonSchema)]
pub struct LeftOutModel {
    /// Its id.
    pub id: String,
    /// What is wrong with it.
    pub problem: String,
}

/// An API key of a model's upstream, as it is now.
#[derive(Clone, Debug, Serialize, JsonSchema)]
pub struct KeyState {
    /// The provider.
    pub provider: String,
    /// The env key that holds it.
    pub key: String,
    /// Whether it has a value.
    pub configured: bool,
    /// Whose value that is: `city` or `federation`; null without a value.
    pub key_of: Option<&'static str>,
    /// Until when this node leaves it alone, because its provider refused or limited it; null while it
    /// is used.
    pub resting_until: Option<Timestamp>,
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
    /// Whether it can be called now: one of its upstreams has everything that it needs. For the admin
    /// only.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub ready: Option<bool>,
    /// The env keys without a value that its upstreams need. For the admin only.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub missing_env: Option<Vec<String>>,
    /// The API keys of its upstreams, in the order in which they are asked. For the admin only.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub keys: Option<Vec<KeyState>>,
    /// Where it is defined: `configuration`, `table`, or `built-in`. For the admin only.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub source: Option<&'static str>,
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

/// Whose models are listed.
#[derive(Debug, Deserialize, JsonSchema)]
pub(crate) struct ModelsQuery {
    /// For the trusted side: show what calls of this city find, with the keys that it has of its own.
    #[serde(default)]
    #[expect(dead_code, reason = "a call knows the city that it is made for")]
    city_id: Option<String>,
}

/// No input.
#[derive(Debug, Deserialize, JsonSchema)]
pub(crate) struct Nothing {}

impl Ai {
    pub(crate) async fn models(self: Arc<Self>, cx: Cx, _: ModelsQuery) -> Result<ModelList> {
        let catalog = self.catalog();
        let is_trusted = cx.identity().is_trusted();
        let models: Vec<_> = visible(&catalog, &cx).collect();
        Ok(ModelList {
            object: "list",
            data: models.iter().map(|model| OpenAiModel::new(model)).collect(),
            items: models
                .iter()
                .map(|model| {
                    let listed = ListedModel::new(model, is_trusted);
                    if is_trusted { listed.with_state(model, &catalog, &cx) } else { listed }
                })
                .collect(),
            left_out: if is_trusted {
                catalog.left_out.iter().map(left_out).collect()
            } else {
                Vec::new()
            },
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
/// called. What is built in and waits for its key comes last, because nobody has asked for it.
fn visible<'a>(catalog: &'a Catalog, cx: &Cx) -> impl Iterator<Item = &'a Arc<Model>> {
    let is_trusted = cx.identity().is_trusted();
    let shown =
        move |model: &&Arc<Model>| is_trusted || (!model.hidden && model.missing_env(cx).is_none());
    let (wanted, waiting): (Vec<_>, Vec<_>) =
        catalog.listed().into_iter().filter(shown).partition(|model| catalog.is_wanted(model, cx));
    wanted.into_iter().chain(waiting)
}

/// A model that is asked for by its address is not there; in a call it cannot be carried out.
fn not_found(catalog: &Catalog, asked: &ModelId, cx: &Cx) -> Error {
    catalog.unknown_model(&asked.model, cx).with_status(StatusCode::NOT_FOUND)
}

fn key_state(provider: &str, key: &str, catalog: &Catalog, cx: &Cx) -> KeyState {
    let found = cx.peek_city_env(key);
    KeyState {
        provider: provider.to_owned(),
        key: key.to_owned(),
        configured: found.is_some(),
        key_of: found.map(|found| found.of.as_str()),
        resting_until: catalog.settings.cooling.resting_until(cx, provider, Some(key)),
    }
}

fn left_out(LeftOut { id, problem }: &LeftOut) -> LeftOutModel {
    LeftOutModel { id: id.clone(), problem: problem.clone() }
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
            ready: None,
            missing_env: None,
            keys: None,
            source: None,
        }
    }

    /// With what only the trusted side sees of its state.
    fn with_state(self, model: &Model, catalog: &Catalog, cx: &Cx) -> Self {
        let keys = model.upstreams().flat_map(|upstream| {
            let provider = &upstream.provider;
            let keys = provider.accesses.iter().filter_map(|access| access.key.as_deref());
            keys.map(|key| key_state(&provider.id, key, catalog, cx))
        });
        let source = match &model.id {
            id if catalog.stored.contains(id) => "table",
            id if catalog.built_in.contains(id) => "built-in",
            _ => "configuration",
        };
        Self {
            ready: Some(model.missing_env(cx).is_none()),
            missing_env: Some(model.all_missing_env(cx)),
            keys: Some(keys.collect()),
            source: Some(source),
            ..self
        }
    }
}
