//! The AI service: a catalog of models, the providers behind them, and the ways to call them.
//!
//! # What is here
//! * [`AiConfig`]: the `[ai]` section of the configuration, checked as a whole before it is used.
//! * [`Ai`]: the service. `text` and `stream` take UI messages; `chat/completions` is passed through;
//!   `responses` is translated into a chat completion and back.
//!
//! # How a call runs
//! The catalog resolves the model; the request becomes one chat completion in the form of OpenAI,
//! whatever the route; the provider's protocol sends it; its answer is converted, encoded or relayed.
//! The `echo` provider is a protocol like any other, so that all of this works offline.
//!
//! # Invariants
//! * Built on the public interface of the core only.
//! * A provider's key is read for each call and appears in nothing that goes to a caller.
//! * No streamed answer is buffered: at most one incomplete event is held, and it has a limit.
//! * Dropping an answer cancels the call to the provider, or finishes it, as configured; either way
//!   its account is closed.
//! * What is fetched is fetched through `storage/guard`, from public addresses only.
//! * Deliberately absent: fetching of URLs that callers send.

mod billing;
mod catalog;
mod config;
mod convert;
mod exchange;
mod failure;
mod files;
mod first_look;
#[cfg(test)]
mod fuzz;
mod heavy;
mod limits;
mod mask;
mod media;
mod messages;
mod metering;
mod outgoing;
mod price;
mod provider;
mod responses;
mod routes;
mod routing;
mod scan;
mod service;
mod sound;
mod storage;
mod stored;
mod stream;
mod upstream;

pub use billing::Billing;
pub use config::{
    AiConfig, AnswerConfig, Auth, CoolDown, DefaultModes, DownloadConfig, JobsConfig,
    MaxTokensField, Mode, ModelConfig, OnDisconnect, OpenAiMode, Params, PriceConfig, Problem,
    ProtocolKind, ProviderConfig, RequestTemplate, Retries, Starter, StorageConfig, StorageKind,
    TemplateConfig, Timeouts, UpstreamConfig,
};
pub use convert::request::{Stop, TextInput};
pub use media::{JobIn, MediaContent, MediaInput, MediaJobView, MediaMessage, MediaStatus};
pub use responses::ResponsesRequest;
pub use routes::{
    AsrInput, ChatRequest, EmbeddingsInput, EmbeddingsRequest, ImageAnswer, ImageFormat,
    ImagesAnswer, ImagesRequest, ListedModel, MessagesRequest, ModelId, ModelList, OpenAiModel,
    OpenAiModelList, SpeechRequest, Transcript, TranscriptionRequest, TtsInput,
};
pub use routes::{
    Checked, KeyState, LeftOutModel, ModelTest, StoredModels, TestRequest, TestResults,
    TestedUpstream,
};
pub use service::Ai;
pub use stored::StoredModel;
pub use upstream::https_connector;
