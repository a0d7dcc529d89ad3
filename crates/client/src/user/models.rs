//! The models of a Federation, as its users see them.

use std::collections::{HashMap, HashSet};

use downcity_types::EnvRequirement;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use crate::ModelId;

/// A model that can be called now.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct CatalogModel {
    /// Id to call it by.
    pub id: ModelId,
    /// Name to show.
    #[serde(default)]
    pub name: String,
    /// What it is good for.
    #[serde(default)]
    pub description: String,
    /// The modes it offers: `text`, `stream`, `image`, `video`, `tts`, `asr`, `openai`.
    #[serde(default)]
    pub modalities: Vec<String>,
    /// Words to group models by.
    #[serde(default)]
    pub tags: Vec<String>,
    /// Anything else to know about it.
    #[serde(default)]
    pub meta: Map<String, Value>,
    /// Whether it answers text calls that name no model. Told by its place in the catalog.
    #[serde(default)]
    pub is_default: bool,
    /// The modes for which it stands first in the catalog.
    #[serde(default)]
    pub default_modalities: Vec<String>,
    /// The env keys that it needs; told to the trusted side only.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub env_requirements: Vec<EnvRequirement>,
    /// The modes of which the operator made it the default; told to the trusted side only.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub default_modes: Vec<String>,
    /// Further fields, `price` among them.
    #[serde(flatten)]
    pub extra: Map<String, Value>,
}

/// The models of a Federation, best default first.
#[derive(Clone, Debug, PartialEq)]
pub struct ModelCatalog {
    models: Vec<CatalogModel>,
    by_id: HashMap<String, usize>,
}

impl ModelCatalog {
    /// From the models in the server's order, which says what is the default of what.
    pub(crate) fn new(mut models: Vec<CatalogModel>) -> Self {
        let mut taken = HashSet::new();
        for (at, model) in models.iter_mut().enumerate() {
            model.is_default = at == 0;
            let first = |modality: &&String| taken.insert((*modality).clone());
            model.default_modalities = model.modalities.iter().filter(first).cloned().collect();
        }
        let by_id =
            models.iter().enumerate().map(|(at, model)| (model.id.to_string(), at)).collect();
        Self { models, by_id }
    }

    /// The model of an id; spaces around it do not matter. Of two models with one id, the later one.
    #[must_use]
    pub fn get(&self, id: &str) -> Option<&CatalogModel> {
        self.by_id.get(id.trim()).and_then(|at| self.models.get(*at))
    }

    /// The model that answers text calls that name none. `None` where there are no models.
    #[must_use]
    pub fn default(&self) -> Option<&CatalogModel> {
        self.models.first()
    }

    /// All models in the server's order.
    #[must_use]
    pub fn all(&self) -> &[CatalogModel] {
        &self.models
    }

    /// The models that offer a mode, best default first.
    pub fn for_modality<'a>(
        &'a self,
        modality: &'a str,
    ) -> impl Iterator<Item = &'a CatalogModel> + 'a {
        self.models.iter().filter(move |model| model.modalities.iter().any(|one| one == modality))
    }
}

/// Which model a handle is for: its id, or a model of the catalog.
#[derive(Clone, Debug, PartialEq)]
pub struct ModelRef {
    pub(crate) id: ModelId,
    pub(crate) name: String,
    pub(crate) meta: Map<String, Value>,
}

impl From<&CatalogModel> for ModelRef {
    fn from(model: &CatalogModel) -> Self {
        Self { id: model.id.clone(), name: model.name.clone(), meta: model.meta.clone() }
    }
}

impl From<ModelId> for ModelRef {
    fn from(id: ModelId) -> Self {
        Self { name: id.to_string(), id, meta: Map::new() }
    }
}

impl From<&ModelId> for ModelRef {
    fn from(id: &ModelId) -> Self {
        id.clone().into()
    }
}

impl From<&str> for ModelRef {
    fn from(id: &str) -> Self {
        ModelId::from(id).into()
    }
}

impl From<String> for ModelRef {
    fn from(id: String) -> Self {
        ModelId::from(id).into()
    }
}

impl From<&CatalogModel> for ModelId {
    fn from(model: &CatalogModel) -> Self {
        model.id.clone()
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn catalog(models: Value) -> ModelCatalog {
        ModelCatalog::new(serde_json::from_value(models).unwrap())
    }

    #[test]
    fn the_order_says_what_is_the_default() {
        let catalog = catalog(json!([
            { "id": "a", "name": "A", "modalities": ["text", "stream"], "price": { "per_request": 5 } },
            { "id": "b", "modalities": ["text", "image", "image"] },
            { "id": "c", "modalities": ["stream", "text"], "is_default": true, "default_modes": ["text"] },
            { "id": "d", "modalities": ["image", "tts"], "default_modalities": ["image"] },
        ]));
        assert_eq!(catalog.default().map(ModelId::from), Some("a".into()));
        let told: Vec<_> = catalog
            .all()
            .iter()
            .map(|model| (model.id.as_ref(), model.is_default, model.default_modalities.join(" ")))
            .collect();
        assert_eq!(
            told,
            [
                ("a", true, "text stream".to_owned()),
                ("b", false, "image".to_owned()),
                ("c", false, String::new()),
                ("d", false, "tts".to_owned()),
            ]
        );
        let of = |modality| -> Vec<_> {
            catalog.for_modality(modality).map(|model| model.id.to_string()).collect()
        };
        assert_eq!(
            (of("image"), of("text")),
            (
                vec!["b".to_owned(), "d".to_owned()],
                vec!["a".to_owned(), "b".to_owned(), "c".to_owned()],
            )
        );
        assert!(of("smell").is_empty());
        assert_eq!(catalog.all()[0].extra["price"], json!({ "per_request": 5 }));
    }

    #[test]
    fn ids_are_looked_up_without_their_spaces() {
        let catalog = catalog(json!([
            { "id": "a", "name": "first" },
            { "id": "b" },
            { "id": "a", "name": "second" },
        ]));
        assert_eq!(catalog.get(" a\n").unwrap().name, "second", "the later of two");
        assert_eq!(catalog.all().len(), 3);
        assert!(catalog.get("A").is_none());
        assert!(catalog.get("").is_none());
    }

    #[test]
    fn there_may_be_no_models() {
        let catalog = catalog(json!([]));
        assert_eq!((catalog.default(), catalog.all().len()), (None, 0));
    }
}
