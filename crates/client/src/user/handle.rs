//! One model, bound to a client.

use downcity_types::UiMessage;
use serde_json::{Map, Value};

use super::input::ModelInput as _;
use crate::{
    ChunkStream, City, ModelConnection, ModelId, ModelRef, Result, SecretString, TextInput, User,
    VideoInput,
};

/// One model of a Federation: [`Ai::model`](crate::Ai::model). It can be kept and cloned.
///
/// Its calls are those of [`Ai`](crate::Ai) with the model set, whatever the input says.
#[derive(Clone, Debug)]
pub struct ModelHandle {
    city: City<User>,
    model: ModelRef,
}

impl ModelHandle {
    pub(super) fn new(city: City<User>, model: ModelRef) -> Self {
        Self { city, model }
    }

    /// Id of the model.
    #[must_use]
    pub fn id(&self) -> &ModelId {
        &self.model.id
    }

    /// Name of the model; its id where the handle was made from an id.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.model.name
    }

    /// What the catalog knows besides; empty where the handle was made from an id.
    #[must_use]
    pub fn meta(&self) -> &Map<String, Value> {
        &self.model.meta
    }

    /// Base URL of the OpenAI API of the Federation: `<federation>/v1/ai`.
    #[must_use]
    pub fn url(&self) -> String {
        format!("{}/v1/ai", self.city.inner.base.as_str().trim_end_matches('/'))
    }

    /// What OpenAI clients send as `model`: the id.
    #[must_use]
    pub fn model_name(&self) -> &str {
        self.model.id.as_ref()
    }

    /// The user's token, the API key for OpenAI clients; `None` for guests.
    #[must_use]
    pub fn token(&self) -> Option<&SecretString> {
        self.city.inner.credential.as_ref()
    }

    /// See [`Ai::connection`](crate::Ai::connection).
    ///
    /// # Errors
    /// [`Error::Config`](crate::Error::Config) for a blank id.
    pub fn connection(&self) -> Result<ModelConnection> {
        self.city.ai().connection(&self.model.id)
    }

    /// See [`Ai::text`](crate::Ai::text).
    ///
    /// # Errors
    /// See [`Ai`](crate::Ai).
    pub async fn text(&self, mut input: TextInput) -> Result<UiMessage> {
        input.ask(self.model.id.clone());
        self.city.ai().text(input).await
    }

    /// See [`Ai::stream`](crate::Ai::stream).
    ///
    /// # Errors
    /// See [`Ai::stream`](crate::Ai::stream).
    pub async fn stream(&self, mut input: TextInput) -> Result<ChunkStream> {
        input.ask(self.model.id.clone());
        self.city.ai().stream(input).await
    }

    /// See [`Ai::video`](crate::Ai::video).
    ///
    /// # Errors
    /// See [`Ai`](crate::Ai).
    pub async fn video(&self, mut input: VideoInput) -> Result<UiMessage> {
        input.ask(self.model.id.clone());
        self.city.ai().video(input).await
    }
}
