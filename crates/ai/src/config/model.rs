//! One `[[ai.model]]`.

use std::collections::BTreeMap;

use downcity_types::Microcredits;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use super::ProviderConfig;

/// A model as clients see it, and what stands behind it.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct ModelConfig {
    /// Id, unique among models; clients name it.
    pub id: String,
    /// Name to show.
    pub name: String,
    /// What it is good for.
    #[serde(default)]
    pub description: String,
    /// Words to group models by.
    #[serde(default)]
    pub tags: Vec<String>,
    /// Anything else that clients may know. `upstream_model` in it is shown to the admin only.
    #[serde(default)]
    pub meta: Map<String, Value>,
    /// Left out of the list of users and never chosen by default; callable by its id.
    #[serde(default)]
    pub hidden: bool,
    /// Id of the provider. Left out where `upstreams` names several.
    #[serde(default)]
    pub provider: String,
    /// The provider's own name of the model; without it `meta.upstream_model`, else the provider's
    /// `passthrough_model`, else the id.
    #[serde(default)]
    pub upstream_model: Option<String>,
    /// Who answers, in order, in place of `provider` and `upstream_model`: where one cannot be
    /// reached, does not begin to answer in time, refuses the key (401, 403) or fails (408, 429, 5xx),
    /// the next one is asked. Once an answer has begun no other is asked.
    #[serde(default)]
    pub upstreams: Vec<UpstreamConfig>,
    /// For which modes this is the model of callers that name none.
    #[serde(default)]
    pub default: DefaultModes,
    /// The modes it offers; unless set, those that its provider's protocol is made for. Models of
    /// `openai-chat` offer `tts`, `asr` and `embeddings`, those of `gemini-generate-content` `embeddings`
    /// and `image`, and those of `http-template` anything only where it is named here.
    #[serde(default)]
    pub modes: Option<Vec<Mode>>,
    /// The env keys it needs, in place of the provider's.
    #[serde(default)]
    pub env: BTreeMap<String, String>,
    /// What a call costs the user; without it calls are free.
    #[serde(default)]
    pub price: Option<PriceConfig>,
    /// The most output tokens of a call. Requests that ask for more, or for no limit, get this one.
    #[serde(default)]
    pub max_output: Option<u64>,
    /// Parameters of requests that set none.
    #[serde(default)]
    pub default_params: Params,
    /// The highest values of parameters; higher ones are lowered to them.
    #[serde(default)]
    pub max_params: Params,
}

/// One of those that may answer for a model.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct UpstreamConfig {
    /// Id of the provider.
    pub provider: String,
    /// The provider's own name of the model; found as that of a model is unless set.
    #[serde(default)]
    pub upstream_model: Option<String>,
    /// Milliseconds until its answer begins, after which the next one is asked; at most
    /// `ai.timeouts.first_byte_ms`, which it is unless set.
    #[serde(default)]
    pub first_byte_ms: Option<u64>,
}

impl ModelConfig {
    /// Its modes, in the order of the catalog: those that it names, else what all of its providers
    /// can.
    pub(crate) fn modes_with(&self, providers: &[&ProviderConfig]) -> Vec<Mode> {
        let offered = |mode: &Mode| match &self.modes {
            Some(modes) => modes.contains(mode),
            None => providers.iter().all(|provider| provider.offers(*mode)),
        };
        Mode::ALL.into_iter().filter(offered).collect()
    }

    /// Who answers, in order.
    pub(crate) fn sources(&self) -> Vec<UpstreamConfig> {
        if !self.upstreams.is_empty() {
            return self.upstreams.clone();
        }
        vec![UpstreamConfig {
            provider: self.provider.clone(),
            upstream_model: self.upstream_model.clone(),
            first_byte_ms: None,
        }]
    }
}

/// Sampling parameters.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Params {
    /// Randomness, usually 0 to 2.
    pub temperature: Option<f64>,
    /// Share of the likeliest tokens to draw from, 0 to 1.
    pub top_p: Option<f64>,
}

/// A way to call a model: the route's last words on the wire.
#[derive(
    Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, JsonSchema,
)]
#[serde(rename_all = "snake_case")]
pub enum Mode {
    /// `POST /v1/ai/text`
    Text,
    /// `POST /v1/ai/stream`
    Stream,
    /// `POST /v1/ai/chat/completions`
    Openai,
    /// `POST /v1/ai/image/create`
    Image,
    /// `POST /v1/ai/video`
    Video,
    /// `POST /v1/ai/tts`
    Tts,
    /// `POST /v1/ai/asr`
    Asr,
    /// `POST /v1/embeddings`
    Embeddings,
}

impl Mode {
    /// Every mode, in the order of the catalog.
    pub const ALL: [Self; 8] = [
        Self::Text,
        Self::Stream,
        Self::Openai,
        Self::Image,
        Self::Video,
        Self::Tts,
        Self::Asr,
        Self::Embeddings,
    ];

    /// The mode as it stands on the wire.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Text => "text",
            Self::Stream => "stream",
            Self::Openai => "openai",
            Self::Image => "image",
            Self::Video => "video",
            Self::Tts => "tts",
            Self::Asr => "asr",
            Self::Embeddings => "embeddings",
        }
    }
}

/// For which modes a model is the default.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(untagged)]
pub enum DefaultModes {
    /// All of its modes, or none.
    All(bool),
    /// These modes.
    Modes(Vec<Mode>),
}

impl Default for DefaultModes {
    fn default() -> Self {
        Self::All(false)
    }
}

/// What a call costs the user, in whole microcredits (1 credit = 1,000,000).
///
/// A flat price (`per_mode`, else `per_request`) is the price of a request whatever it consumes; the
/// other prices but `minimum` then do not count. Without one, what is consumed is added up and
/// rounded up once per request.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct PriceConfig {
    /// For each request, whatever it consumes.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub per_request: Option<Microcredits>,
    /// For each request of a mode, in place of `per_request`.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub per_mode: BTreeMap<Mode, Microcredits>,
    /// For 1,000,000 input tokens that were not cached.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub input_per_m: Option<Microcredits>,
    /// For 1,000,000 cached input tokens; without it `input_per_m`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub cached_per_m: Option<Microcredits>,
    /// For 1,000,000 output tokens.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub output_per_m: Option<Microcredits>,
    /// For each image made.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub per_image: Option<Microcredits>,
    /// For each second of video or audio, made or heard.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub per_second: Option<Microcredits>,
    /// The least that a request costs.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub minimum: Option<Microcredits>,
}
