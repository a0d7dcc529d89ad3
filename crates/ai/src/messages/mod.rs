//! The Messages API of Anthropic as a surface: its requests become chat requests in the form of
//! OpenAI, and chat completions become its answers, so that any model of the catalog answers them.

mod answer;
mod content;
mod request;
mod stream;
#[cfg(test)]
mod tests;
mod tools;

use bytes::Bytes;
use downcity_core::{Cx, Result};
use downcity_types::{FinishReason, TokenCounts};
use serde::Serialize;
use serde_json::Value;

pub(crate) use request::{MessagesInput, Taste};

use crate::convert::answer::Completion;
use crate::routes::message_id;
use crate::routes::surface::Translation;
use answer::Whole;
use stream::MessageSink;

/// How answers are written to a caller of the Messages API.
pub(crate) struct Messages {
    pub(crate) stream: bool,
}

impl Translation for Messages {
    const RELAYS_ERRORS: bool = false;

    type Sink = MessageSink;

    fn is_stream(&self) -> bool {
        self.stream
    }

    fn sink(self, cx: &Cx, model: String) -> MessageSink {
        MessageSink::new(message_id(cx), model, cx.request_id().to_owned())
    }

    fn whole(self, cx: &Cx, model: String, completion: Completion) -> Result<Bytes> {
        Whole::new(message_id(cx), model).written(completion)
    }
}

/// What a call consumed, as the API counts it: cached tokens are not among `input_tokens`.
#[derive(Clone, Copy, Debug, Default, Serialize)]
struct Usage {
    input_tokens: u64,
    cache_creation_input_tokens: u64,
    cache_read_input_tokens: u64,
    output_tokens: u64,
}

impl Usage {
    /// From a provider's usage; all zeros where it told none.
    fn of(usage: Option<&Value>) -> Self {
        let counts = usage.and_then(TokenCounts::from_usage).unwrap_or_default();
        let written = usage.and_then(|usage| {
            usage.pointer("/prompt_tokens_details/cache_write_tokens").and_then(Value::as_u64)
        });
        let written = written.unwrap_or(0).min(counts.input_tokens);
        Self {
            input_tokens: counts.input_tokens - written,
            cache_creation_input_tokens: written,
            cache_read_input_tokens: counts.cached_tokens,
            output_tokens: counts.output_tokens,
        }
    }
}

/// Why an answer ended, in the words of the API.
fn stop_reason(
    finish: Option<FinishReason>,
    has_calls: bool,
    declined: bool,
    stop_sequence: Option<&str>,
) -> &'static str {
    match finish {
        Some(FinishReason::Length) => "max_tokens",
        Some(FinishReason::ContentFilter) => "refusal",
        // Some providers say `stop` after calls; clients go by this word.
        Some(FinishReason::ToolCalls) => "tool_use",
        _ if has_calls => "tool_use",
        _ if declined => "refusal",
        _ if stop_sequence.is_some() => "stop_sequence",
        _ => "end_turn",
    }
}
