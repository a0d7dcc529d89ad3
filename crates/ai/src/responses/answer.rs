//! A response and its items, as callers read them.

use downcity_types::{ErrorCode, TokenCounts};
use serde::Serialize;
use serde_json::{Map, Value};

/// What is settled before the answer begins.
pub(super) struct Head {
    /// Random hexadecimal digits, from which all ids of the answer are made.
    pub(super) id: String,
    /// Seconds since 1970.
    pub(super) created_at: i64,
    /// The id under which the caller knows the model.
    pub(super) model: String,
    /// What the answer repeats of the request.
    pub(super) echo: Map<String, Value>,
}

/// How far a response or an item is.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum Status {
    InProgress,
    Completed,
    /// Cut off by a limit or a filter.
    Incomplete,
    Failed,
}

/// The response object.
#[derive(Serialize)]
pub(super) struct Response<'a> {
    pub(super) id: String,
    pub(super) object: &'static str,
    pub(super) created_at: i64,
    pub(super) status: Status,
    pub(super) error: Option<&'a Failed>,
    pub(super) incomplete_details: Option<Incomplete>,
    pub(super) model: &'a str,
    pub(super) output: &'a [Item],
    pub(super) usage: Option<&'a Usage>,
    #[serde(flatten)]
    pub(super) echo: &'a Map<String, Value>,
}

/// Why a response failed.
#[derive(Serialize)]
pub(super) struct Failed {
    code: &'static str,
    message: String,
}

impl Failed {
    /// In the codes of OpenAI, which are fewer than ours.
    pub(super) fn new(code: ErrorCode, message: &str) -> Self {
        let code = match code.status() {
            429 => "rate_limit_exceeded",
            _ => "server_error",
        };
        Self { code, message: message.to_owned() }
    }
}

/// Why a response is incomplete.
#[derive(Clone, Copy, Serialize)]
pub(super) struct Incomplete {
    pub(super) reason: &'static str,
}

/// One thing that the model put out.
#[derive(Serialize)]
#[serde(tag = "type", rename_all = "snake_case")]
pub(super) enum Item {
    Reasoning {
        id: String,
        status: Status,
        summary: Vec<SummaryPart>,
        /// The same in the blocks of its provider, with the signatures that it wants to see again.
        #[serde(skip_serializing_if = "Vec::is_empty")]
        thinking_blocks: Vec<Value>,
    },
    Message {
        id: String,
        status: Status,
        role: &'static str,
        content: Vec<Content>,
    },
    FunctionCall {
        id: String,
        status: Status,
        call_id: String,
        name: String,
        arguments: String,
        /// What the provider wants to see again beside the call, such as a signature.
        #[serde(skip_serializing_if = "Option::is_none")]
        extra_content: Option<Value>,
    },
}

impl Item {
    pub(super) fn status(&mut self) -> &mut Status {
        let (Self::Reasoning { status, .. }
        | Self::Message { status, .. }
        | Self::FunctionCall { status, .. }) = self;
        status
    }
}

/// A part of a message.
#[derive(Serialize)]
#[serde(tag = "type", rename_all = "snake_case")]
pub(super) enum Content {
    OutputText {
        text: String,
        annotations: [(); 0],
        logprobs: [(); 0],
    },
    /// The words with which the model declines.
    Refusal {
        refusal: String,
    },
}

impl Content {
    pub(super) fn empty(kind: Words) -> Self {
        match kind {
            Words::Text => Self::OutputText { text: String::new(), annotations: [], logprobs: [] },
            Words::Refusal => Self::Refusal { refusal: String::new() },
        }
    }

    pub(super) fn kind(&self) -> Words {
        match self {
            Self::OutputText { .. } => Words::Text,
            Self::Refusal { .. } => Words::Refusal,
        }
    }

    pub(super) fn words(&mut self) -> &mut String {
        match self {
            Self::OutputText { text: words, .. } | Self::Refusal { refusal: words } => words,
        }
    }
}

/// What the words of a message are.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Words {
    Text,
    Refusal,
}

/// A part of reasoning.
#[derive(Serialize)]
#[serde(tag = "type", rename = "summary_text")]
pub(super) struct SummaryPart {
    pub(super) text: String,
}

/// The tokens of a response.
#[derive(Debug, PartialEq, Serialize)]
pub(super) struct Usage {
    input_tokens: u64,
    input_tokens_details: InputDetails,
    output_tokens: u64,
    output_tokens_details: OutputDetails,
    total_tokens: u64,
}

#[derive(Debug, PartialEq, Serialize)]
struct InputDetails {
    cached_tokens: u64,
}

#[derive(Debug, PartialEq, Serialize)]
struct OutputDetails {
    reasoning_tokens: u64,
}

impl Usage {
    /// From the provider's own usage, where it has counts that we know.
    pub(super) fn of(usage: &Value) -> Option<Self> {
        let counts = TokenCounts::from_usage(usage)?;
        let input_tokens = counts.input_tokens.saturating_add(counts.cached_tokens);
        let reasoning_tokens = counts.reasoning_tokens.unwrap_or(0);
        Some(Self {
            input_tokens,
            input_tokens_details: InputDetails { cached_tokens: counts.cached_tokens },
            output_tokens: counts.output_tokens,
            output_tokens_details: OutputDetails { reasoning_tokens },
            total_tokens: input_tokens.saturating_add(counts.output_tokens),
        })
    }
}
