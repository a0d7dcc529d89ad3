//! UI messages: a role and a list of typed parts.

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::de::{DeserializeOwned, Error as _};
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use serde_json::{Map, Value};

use super::ProviderMetadata;

/// One message of a conversation, as clients of the stream protocol keep it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(expecting = "an object with a role and parts")]
pub struct UiMessage {
    /// Id of the message; clients may leave it out.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub id: Option<String>,
    /// Who speaks.
    pub role: UiRole,
    /// What is said, in order.
    pub parts: Vec<UiPart>,
    /// Anything the application keeps with the message.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub metadata: Option<Value>,
}

impl UiMessage {
    /// A message of one text part.
    #[must_use]
    pub fn from_text(role: UiRole, text: impl Into<String>) -> Self {
        Self { id: None, role, parts: vec![UiPart::text(text)], metadata: None }
    }
}

/// Who speaks in a [`UiMessage`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum UiRole {
    /// Instructions.
    System,
    /// The person.
    User,
    /// The model.
    Assistant,
}

/// One part of a message, told apart by its `type`.
///
/// Unknown fields of known parts are ignored; parts of an unknown type are kept as they came. A known
/// part with a missing or wrong field is an error that names the type.
#[derive(Clone, Debug, PartialEq)]
pub enum UiPart {
    /// `text`
    Text(TextPart),
    /// `reasoning`
    Reasoning(ReasoningPart),
    /// `file`
    File(FilePart),
    /// `source-url`
    SourceUrl(SourceUrlPart),
    /// `source-document`
    SourceDocument(SourceDocumentPart),
    /// `step-start`: what follows belongs to the next model step.
    StepStart,
    /// `data-<name>`
    Data(DataPart),
    /// `tool-<name>` or `dynamic-tool`
    Tool(Box<ToolPart>),
    /// Any other type, with all its fields, `type` included.
    Unknown(Map<String, Value>),
}

/// Text.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct TextPart {
    /// The text.
    pub text: String,
    /// `streaming` or `done`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub state: Option<String>,
    /// Provider's own data, by provider.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub provider_metadata: Option<ProviderMetadata>,
}

/// What the model thought before it answered.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct ReasoningPart {
    /// The thought.
    pub text: String,
    /// `streaming` or `done`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub state: Option<String>,
    /// Provider's own data, by provider.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub provider_metadata: Option<ProviderMetadata>,
}

/// A file, by URL or inline as a data URL.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct FilePart {
    /// Media type, such as `image/png`.
    pub media_type: String,
    /// `https:` or `data:` URL.
    pub url: String,
    /// Name to show.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub filename: Option<String>,
    /// Provider's own data, by provider.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub provider_metadata: Option<ProviderMetadata>,
}

/// A web page that the answer rests on.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct SourceUrlPart {
    /// Id of the source.
    pub source_id: String,
    /// Its address.
    pub url: String,
    /// Its title.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub title: Option<String>,
    /// Provider's own data, by provider.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub provider_metadata: Option<ProviderMetadata>,
}

/// A document that the answer rests on.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct SourceDocumentPart {
    /// Id of the source.
    pub source_id: String,
    /// Media type of the document.
    pub media_type: String,
    /// Its title.
    pub title: String,
    /// Its file name.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub filename: Option<String>,
    /// Provider's own data, by provider.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub provider_metadata: Option<ProviderMetadata>,
}

/// Data of the application's own.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct DataPart {
    /// What follows `data-` in the `type`.
    #[serde(skip)]
    pub name: String,
    /// Id of the part.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub id: Option<String>,
    /// The data.
    pub data: Value,
}

/// A call of a tool, with its result once there is one.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct ToolPart {
    /// Name of the tool: from the `type` (`tool-<name>`), or the field `toolName` of a `dynamic-tool`.
    #[serde(skip)]
    pub tool_name: String,
    /// Whether the `type` is `dynamic-tool`.
    #[serde(skip)]
    pub dynamic: bool,
    /// Id of the call.
    pub tool_call_id: String,
    /// How far the call has come.
    pub state: ToolState,
    /// Input of the call; any JSON, complete unless the state is `input-streaming`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub input: Option<Value>,
    /// Input as it came, when it could not be read.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub raw_input: Option<Value>,
    /// Result of the call, in state `output-available`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub output: Option<Value>,
    /// Why the call failed, in state `output-error`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub error_text: Option<String>,
    /// The person's approval: `{id, approved?, reason?}`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub approval: Option<Value>,
    /// Title to show.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub title: Option<String>,
    /// Whether the provider ran the tool itself.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub provider_executed: Option<bool>,
    /// Whether `output` will be replaced by a later one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub preliminary: Option<bool>,
    /// Provider's own data, by provider.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub call_provider_metadata: Option<ProviderMetadata>,
}

/// How far a tool call has come.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum ToolState {
    /// The input is still coming.
    InputStreaming,
    /// The input is complete.
    InputAvailable,
    /// The person is asked.
    ApprovalRequested,
    /// The person has answered.
    ApprovalResponded,
    /// The tool has run.
    OutputAvailable,
    /// The tool has failed.
    OutputError,
    /// The person has refused.
    OutputDenied,
}

impl ToolPart {
    /// A `dynamic-tool` call with complete input.
    #[must_use]
    pub fn dynamic_call(
        tool_call_id: impl Into<String>,
        tool_name: impl Into<String>,
        input: Value,
    ) -> Self {
        Self {
            tool_name: tool_name.into(),
            dynamic: true,
            tool_call_id: tool_call_id.into(),
            state: ToolState::InputAvailable,
            input: Some(input),
            raw_input: None,
            output: None,
            error_text: None,
            approval: None,
            title: None,
            provider_executed: None,
            preliminary: None,
            call_provider_metadata: None,
        }
    }
}

impl UiPart {
    /// A text part.
    #[must_use]
    pub fn text(text: impl Into<String>) -> Self {
        Self::Text(TextPart { text: text.into(), ..TextPart::default() })
    }

    /// A reasoning part.
    #[must_use]
    pub fn reasoning(text: impl Into<String>) -> Self {
        Self::Reasoning(ReasoningPart { text: text.into(), ..ReasoningPart::default() })
    }

    /// A part from its JSON object.
    ///
    /// # Errors
    /// A sentence that names the type and what is wrong with the part.
    pub fn from_json(value: Value) -> Result<Self, String> {
        let Value::Object(fields) = value else {
            return Err("a message part must be an object".to_owned());
        };
        let Some(Value::String(kind)) = fields.get("type") else {
            return Err("a message part must have a `type` text".to_owned());
        };
        let kind = kind.clone();
        match kind.as_str() {
            "text" => read(&kind, fields).map(Self::Text),
            "reasoning" => read(&kind, fields).map(Self::Reasoning),
            "file" => read(&kind, fields).map(Self::File),
            "source-url" => read(&kind, fields).map(Self::SourceUrl),
            "source-document" => read(&kind, fields).map(Self::SourceDocument),
            "step-start" => Ok(Self::StepStart),
            "dynamic-tool" => read_dynamic_tool(fields),
            _ => match (kind.strip_prefix("data-"), kind.strip_prefix("tool-")) {
                (Some(name), _) if !name.is_empty() => {
                    let part: DataPart = read(&kind, fields)?;
                    Ok(Self::Data(DataPart { name: name.to_owned(), ..part }))
                }
                (_, Some(name)) if !name.is_empty() => {
                    let part: ToolPart = read(&kind, fields)?;
                    Ok(Self::Tool(Box::new(ToolPart { tool_name: name.to_owned(), ..part })))
                }
                _ => Ok(Self::Unknown(fields)),
            },
        }
    }
}

fn read<T: DeserializeOwned>(kind: &str, fields: Map<String, Value>) -> Result<T, String> {
    serde_json::from_value(Value::Object(fields))
        .map_err(|error| format!("message part of type `{kind}`: {error}"))
}

fn read_dynamic_tool(fields: Map<String, Value>) -> Result<UiPart, String> {
    let Some(Value::String(tool_name)) = fields.get("toolName") else {
        return Err("message part of type `dynamic-tool`: missing field `toolName`".to_owned());
    };
    let tool_name = tool_name.clone();
    let part: ToolPart = read("dynamic-tool", fields)?;
    Ok(UiPart::Tool(Box::new(ToolPart { tool_name, dynamic: true, ..part })))
}

/// Writes `type` in front of the fields of a part.
#[derive(Serialize)]
struct Tagged<'a, T> {
    #[serde(rename = "type")]
    kind: &'a str,
    #[serde(rename = "toolName", skip_serializing_if = "Option::is_none")]
    tool_name: Option<&'a str>,
    #[serde(flatten)]
    part: &'a T,
}

impl<'a, T> Tagged<'a, T> {
    fn new(kind: &'a str, part: &'a T) -> Self {
        Self { kind, tool_name: None, part }
    }
}

impl Serialize for UiPart {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self {
            Self::Text(part) => Tagged::new("text", part).serialize(serializer),
            Self::Reasoning(part) => Tagged::new("reasoning", part).serialize(serializer),
            Self::File(part) => Tagged::new("file", part).serialize(serializer),
            Self::SourceUrl(part) => Tagged::new("source-url", part).serialize(serializer),
            Self::SourceDocument(part) => {
                Tagged::new("source-document", part).serialize(serializer)
            }
            Self::StepStart => Tagged::new("step-start", &Map::new()).serialize(serializer),
            Self::Data(part) => {
                Tagged::new(&format!("data-{}", part.name), part).serialize(serializer)
            }
            Self::Tool(part) if part.dynamic => {
                let tool_name = Some(part.tool_name.as_str());
                Tagged { kind: "dynamic-tool", tool_name, part }.serialize(serializer)
            }
            Self::Tool(part) => {
                Tagged::new(&format!("tool-{}", part.tool_name), part).serialize(serializer)
            }
            Self::Unknown(fields) => fields.serialize(serializer),
        }
    }
}

impl<'de> Deserialize<'de> for UiPart {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        Self::from_json(Value::deserialize(deserializer)?).map_err(D::Error::custom)
    }
}

impl JsonSchema for UiPart {
    fn schema_name() -> std::borrow::Cow<'static, str> {
        "UiPart".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({
            "type": "object",
            "description": "A part of a message: `text`, `reasoning`, `file`, `source-url`, \
                `source-document`, `step-start`, `data-<name>`, `tool-<name>` or `dynamic-tool`; \
                other types are kept and not sent to a model.",
            "properties": { "type": { "type": "string" } },
            "required": ["type"],
        })
    }
}
