//! One `[[ai.provider]]`.

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use super::{JobsConfig, Mode, TemplateConfig};

/// A provider of models: where it is, how it is spoken to, and which env keys it needs.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct ProviderConfig {
    /// Id, unique among providers; models name it. Users see it on what they were charged for only.
    pub id: String,
    /// How the provider is spoken to.
    #[serde(default)]
    pub protocol: ProtocolKind,
    /// Root of the provider's API, such as `https://api.deepseek.com/v1`; `/chat/completions`, or
    /// what stands for it in the provider's protocol or is asked for, is appended. For `anthropic-messages` it is
    /// `https://api.anthropic.com/v1` unless set.
    #[serde(default)]
    pub base_url: Option<String>,
    /// Env key whose value, when it is set, takes the place of `base_url`.
    #[serde(default)]
    pub base_url_env: Option<String>,
    /// Env key that holds the API key. It is read for every call, so a new key works at once.
    #[serde(default)]
    pub env_key: Option<String>,
    /// Further env keys that hold API keys, in the order in which they are used once the one before
    /// is refused or limited. Those without a value are left out; one value is enough.
    #[serde(default)]
    pub env_keys: Vec<String>,
    /// Env keys that the provider's models need, with what they are for. Without it, `env_key`.
    #[serde(default)]
    pub env: BTreeMap<String, String>,
    /// Where the API key stands in a request.
    #[serde(default)]
    pub auth: Auth,
    /// Further request headers.
    #[serde(default)]
    pub headers: BTreeMap<String, String>,
    /// What `/v1/ai/chat/completions` does with requests.
    #[serde(default)]
    pub openai_mode: OpenAiMode,
    /// The models take text only, whatever the way to ask: lists of text parts are joined, other parts
    /// are refused with 422.
    #[serde(default)]
    pub text_only: bool,
    /// Where the models take text only: other parts are dropped, not refused.
    #[serde(default)]
    pub lenient: bool,
    /// Whether streams are asked for their usage, which metering needs.
    #[serde(default = "yes")]
    pub include_usage: bool,
    /// Name of the field for the output limit: `max_tokens`, or `max_completion_tokens`.
    #[serde(default)]
    pub max_tokens_field: MaxTokensField,
    /// Key of `provider_options` that is meant for this provider; its id unless set.
    #[serde(default)]
    pub options_key: Option<String>,
    /// Fields of the body that are never sent.
    #[serde(default)]
    pub strip: Vec<String>,
    /// Fields of the body that are always sent with this value.
    #[serde(default)]
    pub force: Map<String, Value>,
    /// Upstream model of all models that name none.
    #[serde(default)]
    pub passthrough_model: Option<String>,
    /// For `async-image-jobs`: its paths and words.
    #[serde(default)]
    pub jobs: Option<JobsConfig>,
    /// For `http-template`: its requests and answers.
    #[serde(default)]
    pub template: Option<TemplateConfig>,
}

impl ProviderConfig {
    /// Whether its models may have this mode.
    pub(crate) fn can(&self, mode: Mode) -> bool {
        self.offers(mode) || self.protocol.named_modes().contains(&mode)
    }

    /// Whether its models have this mode when they name none.
    pub(crate) fn offers(&self, mode: Mode) -> bool {
        self.protocol.modes().contains(&mode)
            && (mode != Mode::Openai || self.openai_mode != OpenAiMode::Off)
    }

    /// The env keys that hold API keys, in order.
    pub(crate) fn api_keys(&self) -> impl Iterator<Item = &String> {
        self.env_key.iter().chain(&self.env_keys)
    }
}

fn yes() -> bool {
    true
}

/// How a provider is spoken to.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum ProtocolKind {
    /// The chat completions of OpenAI, which most providers speak.
    #[default]
    OpenaiChat,
    /// The Messages API of Anthropic. Requests and answers are translated.
    AnthropicMessages,
    /// The `generateContent` of Gemini. `base_url` is
    /// `https://generativelanguage.googleapis.com/v1beta` unless set; the API key stands in
    /// `x-goog-api-key` unless `auth` names another place than `bearer`.
    GeminiGenerateContent,
    /// The embeddings of OpenAI (`/embeddings`), which many providers speak.
    OpenaiEmbeddings,
    /// The audio of OpenAI: speech (`/audio/speech`), and what is said in a recording
    /// (`/audio/transcriptions`).
    OpenaiAudio,
    /// The images of OpenAI. `base_url` is `https://api.openai.com/v1` unless set.
    OpenaiImages,
    /// Images as jobs that are looked at until they are done; see `jobs`.
    AsyncImageJobs,
    /// Any HTTP API that makes images or video, as `template` describes it. Its models name their
    /// `modes`.
    HttpTemplate,
    /// No provider at all: repeats the last text of the user, and draws a mark of its own. For
    /// development.
    Echo,
}

impl ProtocolKind {
    /// The modes of models that name none.
    pub(crate) const fn modes(self) -> &'static [Mode] {
        match self {
            Self::OpenaiChat | Self::AnthropicMessages | Self::GeminiGenerateContent => {
                &[Mode::Text, Mode::Stream, Mode::Openai]
            }
            Self::OpenaiEmbeddings => &[Mode::Embeddings],
            Self::OpenaiAudio => &[Mode::Tts, Mode::Asr],
            Self::OpenaiImages | Self::AsyncImageJobs => &[Mode::Image],
            Self::HttpTemplate => &[],
            Self::Echo => &[
                Mode::Text,
                Mode::Stream,
                Mode::Openai,
                Mode::Image,
                Mode::Tts,
                Mode::Asr,
                Mode::Embeddings,
            ],
        }
    }

    /// The modes that its models may have beside those, where they name them.
    pub(crate) const fn named_modes(self) -> &'static [Mode] {
        match self {
            Self::OpenaiChat => &[Mode::Tts, Mode::Asr, Mode::Embeddings],
            Self::GeminiGenerateContent => &[Mode::Image, Mode::Embeddings],
            Self::HttpTemplate => &[Mode::Image, Mode::Video],
            Self::AnthropicMessages
            | Self::OpenaiEmbeddings
            | Self::OpenaiAudio
            | Self::OpenaiImages
            | Self::AsyncImageJobs
            | Self::Echo => &[],
        }
    }

    /// Whether its providers have to say where they are.
    pub(crate) const fn needs_base_url(self) -> bool {
        matches!(
            self,
            Self::OpenaiChat
                | Self::OpenaiEmbeddings
                | Self::OpenaiAudio
                | Self::AsyncImageJobs
                | Self::HttpTemplate
        )
    }
}

/// Where the API key stands in a request.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Auth {
    /// `Authorization: Bearer <key>`; for `anthropic-messages`, `x-api-key: <key>`.
    #[default]
    Bearer,
    /// A header of this name, such as `x-goog-api-key`.
    Header(String),
    /// A query parameter of this name.
    Query(String),
    /// Nowhere.
    None,
}

/// What `/v1/ai/chat/completions` does with requests.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum OpenAiMode {
    /// Passes them on; only what has to change is changed.
    #[default]
    Passthrough,
    /// Joins lists of text parts in user messages to one text.
    Normalize,
    /// Refuses them: the provider's models do not offer the mode `openai`.
    Off,
}

/// Name of the field that limits the output.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum MaxTokensField {
    /// `max_tokens`
    #[default]
    MaxTokens,
    /// `max_completion_tokens`
    MaxCompletionTokens,
}

impl MaxTokensField {
    /// The name as it stands in a request.
    pub(crate) const fn as_str(self) -> &'static str {
        match self {
            Self::MaxTokens => "max_tokens",
            Self::MaxCompletionTokens => "max_completion_tokens",
        }
    }
}
