//! A request for a response as a chat request.

use downcity_core::{Error, Result};
use downcity_types::ErrorCode;
use serde_json::{Map, Value, json};

use super::input;
use crate::catalog::Model;
use crate::config::MaxTokensField;
use crate::convert::file::unsupported;

/// What becomes of a request.
#[derive(Debug)]
pub(super) struct Request {
    /// Id of the model.
    pub(super) model: Option<String>,
    /// The chat request, without what hangs on its model.
    chat: Map<String, Value>,
    max_output_tokens: Option<u64>,
    /// Where the first part stands that is no text.
    first_file: Option<String>,
    /// What the answer repeats of the request.
    pub(super) echo: Map<String, Value>,
    pub(super) is_stream: bool,
}

/// What a request hangs on at the model's provider.
#[derive(Clone, Copy, Debug)]
pub(super) struct Taste {
    /// How the output limit is called.
    pub(super) max_tokens_field: MaxTokensField,
    /// Whether blocks of thinking are taken back, signatures and all.
    pub(super) takes_thinking: bool,
    /// Whether what is no text is refused.
    pub(super) refuses_files: bool,
}

impl Taste {
    pub(super) fn of(model: &Model) -> Self {
        let provider = &*model.provider;
        let (max_tokens_field, takes_thinking) =
            (provider.max_tokens_field, provider.speaks_messages);
        let refuses_files = provider.text_only && !provider.lenient;
        Self { max_tokens_field, takes_thinking, refuses_files }
    }
}

/// Fields that chat requests have by the same name and with the same meaning.
const SAME: &[&str] = &[
    "temperature",
    "top_p",
    "user",
    "safety_identifier",
    "prompt_cache_key",
    "prompt_cache_retention",
    "service_tier",
];

/// What the answer says where the request says nothing.
fn defaults() -> Map<String, Value> {
    let defaults = json!({
        "background": false,
        "instructions": null,
        "max_output_tokens": null,
        "max_tool_calls": null,
        "metadata": {},
        "parallel_tool_calls": true,
        "previous_response_id": null,
        "reasoning": {"effort": null, "summary": null},
        "service_tier": "default",
        "store": false,
        "temperature": null,
        "text": {"format": {"type": "text"}},
        "tool_choice": "auto",
        "tools": [],
        "top_logprobs": 0,
        "top_p": null,
        "truncation": "disabled",
        "user": null,
    });
    match defaults {
        Value::Object(defaults) => defaults,
        _ => Map::new(),
    }
}

impl Request {
    /// Translates the bytes of a request.
    ///
    /// # Errors
    /// 400 for fields of the wrong kind and for all that needs a stored response, 422 for what cannot
    /// be said in a chat request; each names the field.
    pub(super) fn read(bytes: &[u8]) -> Result<Self> {
        // It is JSON, so only its depth can be at fault.
        let body: Map<String, Value> = serde_json::from_slice(bytes)
            .map_err(|_| Error::new(ErrorCode::InvalidJson, "The body is nested too deeply."))?;
        let mut translation = Translation { chat: Map::new(), echo: defaults() };
        let model = text_or_null(&body, "model")?.map(str::to_owned);
        let (mut is_stream, mut max_output_tokens) = (false, None);
        let input = body.get("input").filter(|input| !input.is_null());
        let input = input.ok_or_else(|| Error::invalid("input", "is required"))?;
        let instructions = text_or_null(&body, "instructions")?;
        let messages = input::messages(instructions, input)?;
        translation.chat.insert("messages".to_owned(), messages);
        for (name, value) in body.iter().filter(|(_, value)| !value.is_null()) {
            match name.as_str() {
                "stream" => is_stream = boolean(name, value)?,
                "max_output_tokens" => {
                    let most = value.as_u64().filter(|most| *most > 0);
                    let message = "must be a whole number above 0";
                    max_output_tokens =
                        Some(most.ok_or_else(|| Error::invalid(name.as_str(), message))?);
                    translation.repeat(name, value);
                }
                _ => translation.field(name, value)?,
            }
        }
        let Translation { mut chat, echo } = translation;
        chat.insert("stream".to_owned(), Value::Bool(is_stream));
        // Only with tools to call may requests speak of how they are called.
        if chat.get("tools").is_none() {
            chat.remove("tool_choice");
            chat.remove("parallel_tool_calls");
        }
        let first_file = first_file(input);
        Ok(Self { model, chat, max_output_tokens, first_file, echo, is_stream })
    }

    /// The chat request for a model.
    ///
    /// # Errors
    /// 422 that names the part that the model cannot take.
    pub(super) fn chat(&self, taste: Taste) -> Result<Map<String, Value>> {
        if let Some(path) = self.first_file.as_deref().filter(|_| taste.refuses_files) {
            return Err(unsupported(path, "the model takes text only"));
        }
        let mut chat = self.chat.clone();
        if let Some(most) = self.max_output_tokens {
            chat.insert(taste.max_tokens_field.as_str().to_owned(), most.into());
        }
        if !taste.takes_thinking
            && let Some(messages) = chat.get_mut("messages").and_then(Value::as_array_mut)
        {
            // Others get the words alone.
            for message in messages.iter_mut().filter_map(Value::as_object_mut) {
                message.shift_remove("thinking_blocks");
            }
        }
        Ok(chat)
    }
}

/// Where the first part of a conversation stands that is no text.
fn first_file(input: &Value) -> Option<String> {
    let is_file = |part: &Value| {
        let kind = part.get("type").and_then(Value::as_str);
        matches!(kind, Some("input_image" | "input_audio" | "input_file"))
    };
    input.as_array()?.iter().enumerate().find_map(|(index, item)| {
        let at = item.get("content")?.as_array()?.iter().position(is_file)?;
        Some(format!("input[{index}].content[{at}]"))
    })
}

struct Translation {
    chat: Map<String, Value>,
    echo: Map<String, Value>,
}

impl Translation {
    /// Translates one field that says something.
    fn field(&mut self, name: &str, value: &Value) -> Result<()> {
        match name {
            // Read elsewhere: by the translation of the conversation, or by the Federation itself.
            "input" | "model" | "city_id" | "user_id" => {}
            "instructions" => self.repeat(name, value),
            "store" | "background" => never(name, value)?,
            "previous_response_id" | "conversation" => return Err(stateless(name)),
            "tools" => self.tools(value)?,
            "tool_choice" => {
                self.ask(name, tool_choice(value)?);
                self.repeat(name, value);
            }
            "parallel_tool_calls" => {
                self.ask(name, boolean(name, value)?.into());
                self.repeat(name, value);
            }
            "text" => self.text(value)?,
            "reasoning" => self.reasoning(value)?,
            "metadata" => {
                object(name, value)?;
                self.repeat(name, value);
            }
            "include" => return included(name, value),
            "truncation" if value == "disabled" => {}
            "top_logprobs" if value.as_u64() == Some(0) => {}
            "stream_options" => {
                let options = object(name, value)?;
                let obfuscation = options.get("include_obfuscation");
                if obfuscation.is_some_and(|wanted| wanted == &Value::Bool(true)) {
                    return Err(unsupported("stream_options.include_obfuscation", "must be false"));
                }
            }
            same if SAME.contains(&same) => {
                self.ask(same, value.clone());
                self.repeat(same, value);
            }
            other => {
                return Err(unsupported(other, "is not taken by this Federation; leave it out"));
            }
        }
        Ok(())
    }

    fn ask(&mut self, name: &str, value: Value) {
        self.chat.insert(name.to_owned(), value);
    }

    fn repeat(&mut self, name: &str, value: &Value) {
        self.echo.insert(name.to_owned(), value.clone());
    }

    fn tools(&mut self, value: &Value) -> Result<()> {
        let list = value.as_array().ok_or_else(|| Error::invalid("tools", "must be a list"))?;
        let tools = list.iter().enumerate().map(|(index, value)| tool(index, value));
        let tools = tools.collect::<Result<Vec<_>>>()?;
        if !tools.is_empty() {
            self.ask("tools", Value::Array(tools));
        }
        // The answer's tools name every field.
        let named = list.iter().map(|tool| {
            let mut tool = tool.as_object().cloned().unwrap_or_default();
            for field in ["description", "parameters", "strict"] {
                tool.entry(field).or_insert(Value::Null);
            }
            Value::Object(tool)
        });
        self.echo.insert("tools".to_owned(), named.collect());
        Ok(())
    }

    fn text(&mut self, value: &Value) -> Result<()> {
        let text = object("text", value)?;
        for (name, value) in text.iter().filter(|(_, value)| !value.is_null()) {
            match name.as_str() {
                "format" => {
                    if let Some(format) = response_format(value)? {
                        self.ask("response_format", format);
                    }
                }
                "verbosity" => self.ask("verbosity", value.clone()),
                other => return Err(not_taken("text", other)),
            }
        }
        let mut repeated = text.clone();
        repeated.entry("format").or_insert_with(|| json!({"type": "text"}));
        self.repeat("text", &Value::Object(repeated));
        Ok(())
    }

    fn reasoning(&mut self, value: &Value) -> Result<()> {
        let reasoning = object("reasoning", value)?;
        let mut repeated = Map::new();
        for name in ["effort", "summary"] {
            repeated.insert(name.to_owned(), reasoning.get(name).cloned().unwrap_or_default());
        }
        for (name, value) in reasoning.iter().filter(|(_, value)| !value.is_null()) {
            match name.as_str() {
                "effort" => self.ask("reasoning_effort", value.clone()),
                // Whatever the model tells of its reasoning is passed on.
                "summary" | "generate_summary" => {}
                other => return Err(not_taken("reasoning", other)),
            }
        }
        self.repeat("reasoning", &Value::Object(repeated));
        Ok(())
    }
}

fn not_taken(parent: &str, name: &str) -> Error {
    unsupported(&format!("{parent}.{name}"), "is not taken by this Federation; leave it out")
}

fn object<'a>(name: &str, value: &'a Value) -> Result<&'a Map<String, Value>> {
    value.as_object().ok_or_else(|| Error::invalid(name, "must be an object"))
}

fn boolean(name: &str, value: &Value) -> Result<bool> {
    value.as_bool().ok_or_else(|| Error::invalid(name, "must be true or false"))
}

fn text_or_null<'a>(body: &'a Map<String, Value>, name: &str) -> Result<Option<&'a str>> {
    let Some(value) = body.get(name).filter(|value| !value.is_null()) else { return Ok(None) };
    value.as_str().map(Some).ok_or_else(|| Error::invalid(name, "must be a text"))
}

/// Of what only a server that keeps responses can do.
fn stateless(name: &str) -> Error {
    let message = "responses are not stored here; send the whole conversation in input";
    Error::invalid(name, message)
}

fn never(name: &str, value: &Value) -> Result<()> {
    match value.as_bool() {
        Some(false) => Ok(()),
        Some(true) => Err(Error::invalid(name, "must be false: responses are not stored here")),
        None => Err(Error::invalid(name, "must be true or false")),
    }
}

/// What is to be included in the answer. Agents that keep nothing at OpenAI ask for sealed reasoning
/// with every request, and do without where there is none; there never is.
fn included(name: &str, value: &Value) -> Result<()> {
    let list = value.as_array().ok_or_else(|| Error::invalid(name, "must be a list"))?;
    match list.iter().position(|one| one != "reasoning.encrypted_content") {
        None => Ok(()),
        Some(at) => {
            let message = format!("{} cannot be included", list[at]);
            Err(unsupported(&format!("{name}[{at}]"), &message))
        }
    }
}

fn tool(index: usize, value: &Value) -> Result<Value> {
    let path = format!("tools[{index}]");
    let tool = object(&path, value)?;
    if tool.get("type").and_then(Value::as_str) != Some("function") {
        let message = "must be function: built-in tools are not offered here";
        return Err(unsupported(&format!("{path}.type"), message));
    }
    let mut function = Map::new();
    for (name, value) in tool.iter().filter(|(_, value)| !value.is_null()) {
        match name.as_str() {
            "type" => {}
            "name" | "description" | "parameters" | "strict" => {
                function.insert(name.clone(), value.clone());
            }
            other => return Err(not_taken(&path, other)),
        }
    }
    let name = function.get("name").and_then(Value::as_str).unwrap_or_default();
    if name.is_empty() {
        return Err(Error::invalid(format!("{path}.name"), "is required"));
    }
    Ok(json!({"type": "function", "function": function}))
}

fn tool_choice(value: &Value) -> Result<Value> {
    if matches!(value.as_str(), Some("auto" | "none" | "required")) {
        return Ok(value.clone());
    }
    let is_function = value.get("type").and_then(Value::as_str) == Some("function");
    match value.get("name").and_then(Value::as_str).filter(|_| is_function) {
        Some(name) => Ok(json!({"type": "function", "function": {"name": name}})),
        None => Err(unsupported("tool_choice", "name a function, or auto, none or required")),
    }
}

/// `None` for plain text.
fn response_format(value: &Value) -> Result<Option<Value>> {
    let format = object("text.format", value)?;
    match format.get("type").and_then(Value::as_str) {
        Some("text") => Ok(None),
        Some("json_object") => Ok(Some(json!({"type": "json_object"}))),
        Some("json_schema") => {
            let mut schema = Map::new();
            for (name, value) in format.iter().filter(|(_, value)| !value.is_null()) {
                match name.as_str() {
                    "type" => {}
                    "name" | "description" | "schema" | "strict" => {
                        schema.insert(name.clone(), value.clone());
                    }
                    other => return Err(not_taken("text.format", other)),
                }
            }
            for required in ["name", "schema"] {
                if !schema.contains_key(required) {
                    return Err(Error::invalid(format!("text.format.{required}"), "is required"));
                }
            }
            Ok(Some(json!({"type": "json_schema", "json_schema": schema})))
        }
        _ => Err(unsupported("text.format.type", "must be text, json_object or json_schema")),
    }
}
