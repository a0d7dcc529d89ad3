//! `POST /v1/messages`

use std::sync::Arc;

use downcity_core::{
    CredentialHeader, Cx, ErrorShape, JsonObject, Reply, Result, ServiceDef, USER,
};
use schemars::JsonSchema;
use serde_json::{Map, Value};

use super::surface::Translated;
use crate::config::Mode;
use crate::messages::{Messages, MessagesInput, Taste};
use crate::outgoing::Outgoing;
use crate::service::{Ai, GUARD};

/// A request of the Messages API of Anthropic.
#[derive(Clone, Debug, JsonSchema)]
pub struct MessagesRequest {
    /// Id of the model; without it the default model answers.
    pub model: Option<String>,
    /// The most tokens of the answer.
    pub max_tokens: u64,
    /// The conversation so far: messages of `user` and `assistant`, whose `content` is a text or a
    /// list of blocks.
    pub messages: Vec<Map<String, Value>>,
    /// Instructions: a text, or a list of text blocks.
    pub system: Option<Value>,
    /// Whether the answer is a stream of events.
    pub stream: Option<bool>,
    /// Texts at which the answer ends.
    pub stop_sequences: Option<Vec<String>>,
    /// Randomness.
    pub temperature: Option<f64>,
    /// Share of the likeliest tokens to draw from.
    pub top_p: Option<f64>,
    /// Number of the likeliest tokens to draw from, for models that know it.
    pub top_k: Option<u64>,
    /// Functions that the model may call. The caller runs them and sends their results in a further
    /// request.
    pub tools: Option<Vec<Map<String, Value>>>,
    /// `auto`, `any`, `tool` or `none`, as `{"type": …}`.
    pub tool_choice: Option<Map<String, Value>>,
    /// How the model thinks before it answers.
    pub thinking: Option<Map<String, Value>>,
    /// How hard the model works (`effort`), and the form of its answer (`format`).
    pub output_config: Option<Map<String, Value>>,
    /// `user_id` stands for the end user at the provider.
    pub metadata: Option<Map<String, Value>>,
    /// `auto` or `standard_only`.
    pub service_tier: Option<String>,
    /// City of the user; may be left out. It is never passed on.
    pub city_id: Option<String>,
}

impl Ai {
    /// Declares the action.
    pub(crate) fn declare_messages(self: &Arc<Self>, service: &mut ServiceDef) {
        service
            .post("/v1/messages", USER, self, Self::messages)
            .summary("Answer a conversation in the form of Anthropic's Messages API.")
            .description(
                "For the stock SDK, whose base address is the Federation and whose API key is a \
                 user_token, in `x-api-key` or as a bearer credential; no key of the trusted side is \
                 taken. Any model of GET /v1/ai/models with the mode `openai` answers, whoever \
                 provides it. Whole, or as events with `stream`. A field that cannot be honoured is \
                 refused by name.",
            )
            .errors(ErrorShape::Anthropic)
            .credential(CredentialHeader::BearerOrApiKey)
            .produces("application/json")
            .timeout(GUARD)
            .moves_money()
            .cancel_on_disconnect();
    }

    pub(crate) async fn messages(
        self: Arc<Self>,
        cx: Cx,
        input: JsonObject<MessagesRequest>,
    ) -> Result<Reply> {
        let input = MessagesInput::read(&input.bytes)?;
        let catalog = self.catalog();
        let model = catalog.resolve(input.model(), Mode::Openai, &cx)?;
        let outgoing = Outgoing::for_each(&model, |model| input.chat_request(Taste::of(model)))?;
        let answer = Translated(Messages { stream: input.stream() });
        self.carry(&cx, catalog, Mode::Openai, outgoing, answer).await
    }
}
