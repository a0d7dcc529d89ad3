//! The chunks of a UI message stream.
//!
//! Readers check each chunk as a strict object: an unknown field, or `null` for an absent one, ends the
//! whole stream. So absent fields are left out, and there is no place for extra ones.

use std::collections::BTreeMap;

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::de::Error as _;
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use serde_json::{Map, Value};

/// Provider's own data: an object of objects, by provider.
pub type ProviderMetadata = BTreeMap<String, Map<String, Value>>;

/// One event of a UI message stream, written as `{"type":"...",...}`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(tag = "type", rename_all = "kebab-case", rename_all_fields = "camelCase")]
pub enum UiChunk {
    /// The message begins.
    Start {
        /// Id of the message.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        message_id: Option<String>,
        /// Merged into the metadata of the message.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        message_metadata: Option<Value>,
    },
    /// The message ends.
    Finish {
        /// Why it ends.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        finish_reason: Option<FinishReason>,
        /// Merged into the metadata of the message.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        message_metadata: Option<Value>,
    },
    /// A model step begins.
    StartStep,
    /// A model step ends.
    FinishStep,
    /// A text block begins.
    TextStart {
        /// Id of the block.
        id: String,
        /// Provider's own data.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        provider_metadata: Option<ProviderMetadata>,
    },
    /// More of a text block.
    TextDelta {
        /// Id of the block.
        id: String,
        /// The text to append.
        delta: String,
        /// Provider's own data.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        provider_metadata: Option<ProviderMetadata>,
    },
    /// A text block ends.
    TextEnd {
        /// Id of the block.
        id: String,
        /// Provider's own data.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        provider_metadata: Option<ProviderMetadata>,
    },
    /// A reasoning block begins.
    ReasoningStart {
        /// Id of the block.
        id: String,
        /// Provider's own data.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        provider_metadata: Option<ProviderMetadata>,
    },
    /// More of a reasoning block.
    ReasoningDelta {
        /// Id of the block.
        id: String,
        /// The text to append.
        delta: String,
        /// Provider's own data.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        provider_metadata: Option<ProviderMetadata>,
    },
    /// A reasoning block ends.
    ReasoningEnd {
        /// Id of the block.
        id: String,
        /// Provider's own data.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        provider_metadata: Option<ProviderMetadata>,
    },
    /// The model begins to call a tool.
    ToolInputStart {
        /// Id of the call.
        tool_call_id: String,
        /// Name of the tool.
        tool_name: String,
        /// What else is known of the call.
        #[serde(flatten)]
        options: ToolOptions,
    },
    /// More of the input of a call.
    ToolInputDelta {
        /// Id of the call.
        tool_call_id: String,
        /// The JSON text to append.
        input_text_delta: String,
    },
    /// The input of a call is complete.
    ToolInputAvailable {
        /// Id of the call.
        tool_call_id: String,
        /// Name of the tool.
        tool_name: String,
        /// The input; any JSON.
        input: Value,
        /// What else is known of the call.
        #[serde(flatten)]
        options: ToolOptions,
    },
    /// The input of a call cannot be used.
    ToolInputError {
        /// Id of the call.
        tool_call_id: String,
        /// Name of the tool.
        tool_name: String,
        /// The input as far as it could be read; any JSON.
        input: Value,
        /// What is wrong with it.
        error_text: String,
        /// What else is known of the call.
        #[serde(flatten)]
        options: ToolOptions,
    },
    /// A tool has run.
    ToolOutputAvailable {
        /// Id of the call.
        tool_call_id: String,
        /// The result; any JSON.
        output: Value,
        /// Whether the provider ran the tool itself.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        provider_executed: Option<bool>,
        /// Provider's own data.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        provider_metadata: Option<ProviderMetadata>,
        /// The tool's own data.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        tool_metadata: Option<Map<String, Value>>,
        /// Whether the tool is not declared by name on the client.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        dynamic: Option<bool>,
        /// Whether the result will be replaced by a later one.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        preliminary: Option<bool>,
    },
    /// A tool has failed.
    ToolOutputError {
        /// Id of the call.
        tool_call_id: String,
        /// Why it failed.
        error_text: String,
        /// Whether the provider ran the tool itself.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        provider_executed: Option<bool>,
        /// Provider's own data.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        provider_metadata: Option<ProviderMetadata>,
        /// The tool's own data.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        tool_metadata: Option<Map<String, Value>>,
        /// Whether the tool is not declared by name on the client.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        dynamic: Option<bool>,
    },
    /// The person refused the call.
    ToolOutputDenied {
        /// Id of the call.
        tool_call_id: String,
    },
    /// The person is asked whether the call may run.
    ToolApprovalRequest {
        /// Id of the question.
        approval_id: String,
        /// Id of the call.
        tool_call_id: String,
    },
    /// A web page that the answer rests on.
    SourceUrl {
        /// Id of the source.
        source_id: String,
        /// Its address.
        url: String,
        /// Its title.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        title: Option<String>,
        /// Provider's own data.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        provider_metadata: Option<ProviderMetadata>,
    },
    /// A document that the answer rests on.
    SourceDocument {
        /// Id of the source.
        source_id: String,
        /// Media type of the document.
        media_type: String,
        /// Its title.
        title: String,
        /// Its file name.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        filename: Option<String>,
        /// Provider's own data.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        provider_metadata: Option<ProviderMetadata>,
    },
    /// A file that the model made.
    File {
        /// `https:` or `data:` URL.
        url: String,
        /// Media type, such as `image/png`.
        media_type: String,
        /// Provider's own data.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        provider_metadata: Option<ProviderMetadata>,
    },
    /// Metadata to merge into that of the message.
    MessageMetadata {
        /// The metadata; any JSON.
        message_metadata: Value,
    },
    /// Something failed; the stream ends soon after.
    Error {
        /// What failed, for the person.
        error_text: String,
    },
    /// The stream was stopped on request.
    Abort {
        /// Why.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        reason: Option<String>,
    },
    /// Data of the application's own: `data-<name>`.
    #[serde(untagged)]
    Data(DataChunk),
}

impl UiChunk {
    /// A text block begins.
    #[must_use]
    pub fn text_start(id: impl Into<String>) -> Self {
        Self::TextStart { id: id.into(), provider_metadata: None }
    }

    /// More of a text block.
    #[must_use]
    pub fn text_delta(id: impl Into<String>, delta: impl Into<String>) -> Self {
        Self::TextDelta { id: id.into(), delta: delta.into(), provider_metadata: None }
    }

    /// A text block ends.
    #[must_use]
    pub fn text_end(id: impl Into<String>) -> Self {
        Self::TextEnd { id: id.into(), provider_metadata: None }
    }

    /// A reasoning block begins.
    #[must_use]
    pub fn reasoning_start(id: impl Into<String>) -> Self {
        Self::ReasoningStart { id: id.into(), provider_metadata: None }
    }

    /// More of a reasoning block.
    #[must_use]
    pub fn reasoning_delta(id: impl Into<String>, delta: impl Into<String>) -> Self {
        Self::ReasoningDelta { id: id.into(), delta: delta.into(), provider_metadata: None }
    }

    /// A reasoning block ends.
    #[must_use]
    pub fn reasoning_end(id: impl Into<String>) -> Self {
        Self::ReasoningEnd { id: id.into(), provider_metadata: None }
    }

    /// A tool has failed, with nothing else known of the call.
    #[must_use]
    pub fn tool_output_error(
        tool_call_id: impl Into<String>,
        error_text: impl Into<String>,
    ) -> Self {
        Self::ToolOutputError {
            tool_call_id: tool_call_id.into(),
            error_text: error_text.into(),
            provider_executed: None,
            provider_metadata: None,
            tool_metadata: None,
            dynamic: None,
        }
    }

    /// Something failed.
    #[must_use]
    pub fn error(error_text: impl Into<String>) -> Self {
        Self::Error { error_text: error_text.into() }
    }
}

/// What may be known of a tool call besides its id and name.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct ToolOptions {
    /// Whether the provider runs the tool itself.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub provider_executed: Option<bool>,
    /// Provider's own data.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub provider_metadata: Option<ProviderMetadata>,
    /// The tool's own data.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tool_metadata: Option<Map<String, Value>>,
    /// Whether the tool is not declared by name on the client.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub dynamic: Option<bool>,
    /// Title to show.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub title: Option<String>,
}

/// The chunk `data-<name>`.
#[derive(Clone, Debug, PartialEq)]
pub struct DataChunk {
    /// What follows `data-` in the `type`.
    pub name: String,
    /// The data; any JSON.
    pub data: Value,
    /// Id of the part; a later chunk of the same id replaces it.
    pub id: Option<String>,
    /// Whether the data is not kept in the message.
    pub transient: Option<bool>,
}

/// The fields of [`DataChunk`] as they stand on the wire.
#[derive(Serialize, Deserialize)]
struct DataChunkWire {
    #[serde(rename = "type")]
    kind: String,
    data: Value,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    id: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    transient: Option<bool>,
}

impl Serialize for DataChunk {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let Self { name, data, id, transient } = self.clone();
        DataChunkWire { kind: format!("data-{name}"), data, id, transient }.serialize(serializer)
    }
}

impl<'de> Deserialize<'de> for DataChunk {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let DataChunkWire { kind, data, id, transient } = DataChunkWire::deserialize(deserializer)?;
        match kind.strip_prefix("data-") {
            Some(name) if !name.is_empty() => {
                Ok(Self { name: name.to_owned(), data, id, transient })
            }
            _ => Err(D::Error::custom(format_args!("unknown chunk type `{kind}`"))),
        }
    }
}

impl JsonSchema for DataChunk {
    fn schema_name() -> std::borrow::Cow<'static, str> {
        "DataChunk".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({
            "type": "object",
            "properties": {
                "type": { "type": "string", "pattern": "^data-.+" },
                "data": true,
                "id": { "type": "string" },
                "transient": { "type": "boolean" },
            },
            "required": ["type", "data"],
        })
    }
}

/// Why a model stopped.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum FinishReason {
    /// The answer is complete.
    Stop,
    /// The answer reached its length limit.
    Length,
    /// A filter stopped the answer.
    ContentFilter,
    /// The model wants tools to be run.
    ToolCalls,
    /// Something failed.
    Error,
    /// Anything else, or unknown.
    Other,
}

impl FinishReason {
    /// The reason as it stands on the wire.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Stop => "stop",
            Self::Length => "length",
            Self::ContentFilter => "content-filter",
            Self::ToolCalls => "tool-calls",
            Self::Error => "error",
            Self::Other => "other",
        }
    }

    /// From the `finish_reason` of an OpenAI-compatible provider; what is unknown is `Other`.
    #[must_use]
    pub fn from_openai(text: &str) -> Self {
        match text {
            "stop" => Self::Stop,
            "length" => Self::Length,
            "content_filter" => Self::ContentFilter,
            "tool_calls" | "function_call" => Self::ToolCalls,
            _ => Self::Other,
        }
    }
}
