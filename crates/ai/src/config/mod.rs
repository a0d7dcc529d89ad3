//! The `[ai]` section of the configuration.

mod media;
mod model;
mod provider;
mod starter;
mod storage;
mod validate;

use std::borrow::Cow;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

pub use media::{AnswerConfig, JobsConfig, RequestTemplate, TemplateConfig};
pub use model::{DefaultModes, Mode, ModelConfig, Params, PriceConfig, UpstreamConfig};
pub use provider::{Auth, MaxTokensField, OpenAiMode, ProtocolKind, ProviderConfig};
pub use starter::Starter;
pub(crate) use starter::echo_model;
use starter::echo_provider;
pub use storage::{DownloadConfig, StorageConfig, StorageKind};
pub use validate::Problem;
pub(crate) use validate::{MAX_CALL_MS, unknown};

/// The `[ai]` section: how models are called, which providers there are, and their models.
///
/// Unknown keys are errors. With neither a provider nor a model configured, well-known providers
/// answer once their keys are stored, see `starter`; until then the model `echo` does, so that
/// everything works offline.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct AiConfig {
    /// Milliseconds of silence after which a UI message stream sends a comment to stay open.
    pub keep_alive_ms: u64,
    /// How long a provider may take.
    pub timeouts: Timeouts,
    /// Calls to providers that may be under way at the same time on this node; absent = any number.
    pub max_concurrent: Option<usize>,
    /// How `text` and `stream` repeat a call that failed before its first byte.
    pub retries: Retries,
    /// How long an API key rests that its provider refused (401) or limited (429).
    pub cool_down: CoolDown,
    /// What happens to a provider's answer when the client leaves.
    pub on_disconnect: OnDisconnect,
    /// Whether calls with the admin key or a service key cost money, too: the user that they name
    /// (`city_id` and `user_id`) pays. Calls that name no user are free.
    pub bill_admin: bool,
    /// The most messages that one request may hold.
    pub max_messages: usize,
    /// The most bytes of text and URLs that one message may hold.
    pub max_message_bytes: usize,
    /// Where generated files are kept.
    pub storage: StorageConfig,
    /// The longest that an image or a video may take, in milliseconds: a job that is not done by then
    /// has failed, and costs nothing.
    pub image_max_pending_duration_ms: u64,
    /// The longest that a call waits for an image or a video, in milliseconds. The job goes on then,
    /// and the answer (504) names it.
    pub media_wait_ms: u64,
    /// The most bytes of a recording whose words are asked for (`asr`).
    pub max_audio_bytes: usize,
    /// Whether OpenAI, Anthropic, Google, DeepSeek, OpenRouter and Mistral are known without being
    /// configured: as soon as the key of one is stored, such as `OPENAI_API_KEY`, its model can be
    /// called. It counts while the configuration names neither a provider nor a model.
    pub starter: bool,
    /// The providers.
    pub provider: Vec<ProviderConfig>,
    /// The models, in the order of the list that clients see.
    pub model: Vec<ModelConfig>,
}

impl Default for AiConfig {
    fn default() -> Self {
        Self {
            keep_alive_ms: 15_000,
            timeouts: Timeouts::default(),
            max_concurrent: None,
            retries: Retries::default(),
            cool_down: CoolDown::default(),
            on_disconnect: OnDisconnect::Cancel,
            bill_admin: false,
            max_messages: 1_000,
            max_message_bytes: 8 * 1024 * 1024,
            storage: StorageConfig::default(),
            image_max_pending_duration_ms: 7_200_000,
            media_wait_ms: 120_000,
            max_audio_bytes: 25 * 1024 * 1024,
            starter: true,
            provider: Vec::new(),
            model: Vec::new(),
        }
    }
}

/// How long a provider may take, in milliseconds. A call that takes longer is a 504.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Timeouts {
    /// Until the connection stands.
    pub connect_ms: u64,
    /// Until the head of the answer is there. Most providers send that of an answer that is not
    /// streamed when it is complete.
    pub first_byte_ms: u64,
    /// Between two pieces of an answer.
    pub idle_ms: u64,
    /// For the whole answer.
    pub total_ms: u64,
}

impl Default for Timeouts {
    fn default() -> Self {
        Self { connect_ms: 10_000, first_byte_ms: 300_000, idle_ms: 120_000, total_ms: 1_800_000 }
    }
}

/// Repetition of calls whose connection or answer failed before its first byte.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Retries {
    /// How often a call is tried, the first time included. Asking the next upstream or the next key
    /// of a model does not count.
    pub attempts: u32,
    /// Milliseconds before the second try; each further wait is twice as long. A provider's
    /// `Retry-After` is waited for instead, where it fits into the budget.
    pub backoff_ms: u64,
    /// Milliseconds after the first try within which a further one may begin.
    pub budget_ms: u64,
}

impl Default for Retries {
    fn default() -> Self {
        Self { attempts: 3, backoff_ms: 500, budget_ms: 10_000 }
    }
}

/// How long an API key rests that its provider refused (401) or limited (429). Meanwhile other keys
/// and upstreams of the model are used; where there is none left, the one that rests the shortest.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct CoolDown {
    /// Milliseconds after the first time; twice as long after each further one, until the key works
    /// again or has another value. A `Retry-After` of a 429 takes the place of it.
    pub first_ms: u64,
    /// The most milliseconds, unless `Retry-After` says more.
    pub most_ms: u64,
}

impl Default for CoolDown {
    fn default() -> Self {
        Self { first_ms: 5_000, most_ms: 600_000 }
    }
}

/// What happens to a provider's answer when the client leaves.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum OnDisconnect {
    /// The call to the provider is cancelled.
    #[default]
    Cancel,
    /// The answer is read to its end, so that its usage is known.
    Finish,
}

impl AiConfig {
    /// Whether it names a provider or a model: those that are built in do not count beside it then.
    pub fn names_its_own(&self) -> bool {
        !self.provider.is_empty() || !self.model.is_empty()
    }

    /// The providers that there are: those configured, else the built-in `echo`.
    pub(crate) fn providers(&self) -> Cow<'_, [ProviderConfig]> {
        if self.provider.is_empty() {
            return Cow::Owned(vec![echo_provider()]);
        }
        Cow::Borrowed(&self.provider)
    }
}
