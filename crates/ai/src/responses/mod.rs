//! `POST /v1/responses`: the Responses API of OpenAI over chat completions.
//!
//! Nothing is stored: a request carries its whole conversation, and what needs a stored response is
//! refused by name. The request becomes a chat request ([`request`], [`input`]), runs like any other,
//! and its answer is written as a response, whole ([`answer`]) or as events ([`stream`]).

mod answer;
mod input;
mod request;
mod stream;
#[cfg(test)]
mod tests;

use std::sync::Arc;

use bytes::Bytes;
use downcity_core::{Cx, Error, JsonObject, Reply, Result};
use schemars::JsonSchema;
use serde_json::{Map, Value};

use self::answer::Head;
use self::request::{Request, Taste};
use self::stream::ResponseSink;
use crate::config::Mode;
use crate::convert::answer::Completion;
use crate::outgoing::Outgoing;
use crate::routes::surface::{Translated, Translation};
use crate::service::Ai;
use crate::stream::encoder::Out;

/// A request for a response, in the form of OpenAI. Fields that are not listed are refused.
#[derive(Clone, Debug, JsonSchema)]
pub struct ResponsesRequest {
    /// Id of the model; without it the default model answers.
    pub model: Option<String>,
    /// A text of the user, or the items of the conversation so far: messages, function calls and
    /// their outputs, reasoning.
    pub input: Value,
    /// What the model is told before the conversation.
    pub instructions: Option<String>,
    /// The most tokens of the answer, reasoning included.
    pub max_output_tokens: Option<u64>,
    /// How much chance plays a part.
    pub temperature: Option<f64>,
    /// The share of the most probable words that are chosen from.
    pub top_p: Option<f64>,
    /// Functions that the model may call.
    pub tools: Option<Vec<Map<String, Value>>>,
    /// `auto`, `none`, `required`, or a function by name.
    pub tool_choice: Option<Value>,
    /// Whether the model may call several functions at once.
    pub parallel_tool_calls: Option<bool>,
    /// The form of the text: `format` and `verbosity`.
    pub text: Option<Map<String, Value>>,
    /// How much the model thinks: `effort`.
    pub reasoning: Option<Map<String, Value>>,
    /// Texts of the caller's own, which the answer repeats.
    pub metadata: Option<Map<String, Value>>,
    /// Whether the answer is a stream of events.
    pub stream: Option<bool>,
    /// Nothing is stored: absent or `false`.
    pub store: Option<bool>,
    /// The caller's own name of its user, for the provider.
    pub user: Option<String>,
    /// City of the user; may be left out. It is never passed on.
    pub city_id: Option<String>,
    /// For the trusted side: the user of `city_id` who pays, where its calls are billed. It is never
    /// passed on.
    pub user_id: Option<String>,
}

impl Ai {
    pub(crate) async fn responses(
        self: Arc<Self>,
        cx: Cx,
        input: JsonObject<ResponsesRequest>,
    ) -> Result<Reply> {
        let request = Request::read(&input.bytes)?;
        let catalog = self.catalog();
        let model = catalog.resolve(request.model.as_deref(), Mode::Openai, &cx)?;
        let outgoing = Outgoing::for_each(&model, |model| request.chat(Taste::of(model)))?;
        let Request { echo, is_stream, .. } = request;
        let answer = Translated(Responses { echo, is_stream });
        self.carry(&cx, catalog, Mode::Openai, outgoing, answer).await
    }
}

/// A request whose answer is to be written.
struct Responses {
    /// What the answer repeats of the request.
    echo: Map<String, Value>,
    is_stream: bool,
}

impl Translation for Responses {
    const RELAYS_ERRORS: bool = true;

    type Sink = ResponseSink;

    fn is_stream(&self) -> bool {
        self.is_stream
    }

    fn sink(self, cx: &Cx, model: String) -> ResponseSink {
        ResponseSink::streamed(head(cx, model, self.echo))
    }

    fn whole(self, cx: &Cx, model: String, completion: Completion) -> Result<Bytes> {
        let mut sink = ResponseSink::whole(head(cx, model, self.echo));
        completion.tell(&mut sink, &mut Out::default());
        serde_json::to_vec(&sink.response()).map(Bytes::from).map_err(Error::internal)
    }
}

/// Names a response.
fn head(cx: &Cx, model: String, echo: Map<String, Value>) -> Head {
    let mut random = [0; 16];
    cx.runtime().random().fill(&mut random);
    let id = uuid::Builder::from_random_bytes(random).into_uuid().simple().to_string();
    let created_at = cx.runtime().clock().now().seconds();
    Head { id, created_at, model, echo }
}
