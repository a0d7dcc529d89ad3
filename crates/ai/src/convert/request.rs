//! The input of `text` and `stream`, and the chat request that it becomes.

use std::num::NonZeroU64;

use downcity_core::{Error, Result};
use downcity_types::{UiMessage, UiPart};
use schemars::JsonSchema;
use serde::Deserialize;
use serde_json::{Map, Value, json};

use super::messages::{Taste, chat_messages};
use crate::catalog::{CallSettings, Model};

/// Body fields of a provider that `provider_options` cannot set.
const RESERVED_OPTIONS: &[&str] = &["model", "messages", "stream", "stream_options", "n"];

/// A conversation to be continued by a model. Unknown fields are ignored.
#[derive(Clone, Debug, Default, Deserialize, JsonSchema)]
pub struct TextInput {
    /// Id of the model; without it the default model answers.
    #[serde(default)]
    pub model: Option<String>,
    /// City of the user; may be left out, the token knows it.
    #[serde(default)]
    #[schemars(with = "Option<String>")]
    pub city_id: Option<Value>,
    /// For the trusted side: the user of `city_id` who pays, where its calls are billed.
    #[serde(default)]
    #[schemars(with = "Option<String>")]
    pub user_id: Option<Value>,
    /// One message of the user, after `messages` when both are given.
    #[serde(default)]
    pub prompt: Option<String>,
    /// The conversation so far.
    #[serde(default)]
    pub messages: Option<Vec<UiMessage>>,
    /// Instructions, put before all messages.
    #[serde(default)]
    pub system: Option<String>,
    /// Tools that the model may call: `{"type":"function","function":{"name",…}}`. The caller runs
    /// them and sends their results in a further request.
    #[serde(default)]
    pub tools: Option<Vec<Value>>,
    /// `auto`, `none`, `required`, or one tool; `auto` unless set. Without tools it has no meaning.
    #[serde(default)]
    pub tool_choice: Option<Value>,
    /// Randomness.
    #[serde(default)]
    pub temperature: Option<f64>,
    /// Share of the likeliest tokens to draw from.
    #[serde(default)]
    pub top_p: Option<f64>,
    /// The most tokens of the answer.
    #[serde(default)]
    pub max_output_tokens: Option<NonZeroU64>,
    /// Texts at which the answer ends.
    #[serde(default)]
    pub stop: Option<Stop>,
    /// Makes answers repeatable where the provider can.
    #[serde(default)]
    pub seed: Option<i64>,
    /// The form of the answer, as OpenAI defines it.
    #[serde(default)]
    pub response_format: Option<Map<String, Value>>,
    /// Further fields for the provider, by the provider's options key.
    #[serde(default)]
    pub provider_options: Option<Map<String, Value>>,
}

/// One text or several at which an answer ends.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(untagged, expecting = "expected a text or a list of texts")]
pub enum Stop {
    /// One text.
    One(String),
    /// Several.
    Many(Vec<String>),
}

impl TextInput {
    /// Checks sizes, and that there is anything to answer.
    ///
    /// # Errors
    /// 400 that names the field.
    pub(crate) fn check(&self, settings: &CallSettings) -> Result<()> {
        let messages = self.messages.as_deref().unwrap_or_default();
        if messages.is_empty() && self.prompt.as_deref().is_none_or(|text| text.trim().is_empty()) {
            return Err(Error::invalid("messages", "send messages, or a prompt that is not empty"));
        }
        if messages.len() > settings.max_messages {
            let message = format!("at most {} messages are taken", settings.max_messages);
            return Err(Error::invalid("messages", message));
        }
        let most = settings.max_message_bytes;
        for (index, message) in messages.iter().enumerate() {
            if message.parts.iter().map(size).sum::<usize>() > most {
                let path = format!("messages[{index}]");
                return Err(Error::invalid(path, format!("must be at most {most} bytes")));
            }
        }
        for (field, text) in [("prompt", &self.prompt), ("system", &self.system)] {
            if text.as_ref().is_some_and(|text| text.len() > most) {
                return Err(Error::invalid(field, format!("must be at most {most} bytes")));
            }
        }
        Ok(())
    }

    /// The chat request, its `model` not yet set.
    ///
    /// # Errors
    /// 400 or 422 that names the field.
    pub(crate) fn chat_request(&self, model: &Model, stream: bool) -> Result<Map<String, Value>> {
        let provider = &*model.provider;
        let taste = Taste { text_only: provider.text_only, lenient: provider.lenient };
        let mut body = Map::new();
        body.insert("messages".to_owned(), Value::Array(self.conversation(taste)?));
        let tools = self.function_tools()?;
        if !tools.is_empty() {
            body.insert("tools".to_owned(), Value::Array(tools));
            body.insert("tool_choice".to_owned(), self.tool_choice());
        }
        let max_tokens = provider.max_tokens_field.as_str();
        let params = [
            ("temperature", self.temperature.map(Value::from)),
            ("top_p", self.top_p.map(Value::from)),
            (max_tokens, self.max_output_tokens.map(|most| most.get().into())),
            ("seed", self.seed.map(Value::from)),
            ("stop", self.stop.as_ref().map(Stop::to_json)),
            ("response_format", self.response_format.clone().map(Value::Object)),
        ];
        for (name, value) in params {
            if let Some(value) = value {
                body.insert(name.to_owned(), value);
            }
        }
        let options = self.provider_options.as_ref();
        match options.and_then(|options| options.get(&provider.options_key)) {
            Some(Value::Object(options)) => {
                let free = |name: &&String| !RESERVED_OPTIONS.contains(&name.as_str());
                for (name, value) in options.iter().filter(|(name, _)| free(name)) {
                    body.insert(name.clone(), value.clone());
                }
            }
            None | Some(Value::Null) => {}
            Some(_) => {
                let path = format!("provider_options.{}", provider.options_key);
                return Err(Error::invalid(path, "must be an object"));
            }
        }
        if stream {
            body.insert("stream".to_owned(), Value::Bool(true));
        }
        Ok(body)
    }

    fn conversation(&self, taste: Taste) -> Result<Vec<Value>> {
        let mut messages = chat_messages(self.messages.as_deref().unwrap_or_default(), taste)?;
        if let Some(system) = self.system.as_deref().filter(|text| !text.is_empty()) {
            messages.insert(0, json!({"role": "system", "content": system}));
        }
        if let Some(prompt) = self.prompt.as_deref().filter(|text| !text.is_empty()) {
            messages.push(json!({"role": "user", "content": prompt}));
        }
        Ok(messages)
    }

    /// Function tools with every member that providers expect; entries of other types are left out.
    fn function_tools(&self) -> Result<Vec<Value>> {
        let mut tools = Vec::new();
        for (index, tool) in self.tools.iter().flatten().enumerate() {
            if tool.get("type").and_then(Value::as_str) != Some("function") {
                continue;
            }
            let function = tool.get("function").and_then(Value::as_object);
            let name = function.and_then(|function| function.get("name")).and_then(Value::as_str);
            let (Some(function), Some(name)) = (function, name) else {
                let path = format!("tools[{index}].function.name");
                return Err(Error::invalid(path, "is required"));
            };
            let mut complete = function.clone();
            complete.insert("name".to_owned(), json!(name));
            complete.entry("description").or_insert_with(|| json!(""));
            complete.entry("parameters").or_insert_with(|| json!({}));
            tools.push(json!({"type": "function", "function": complete}));
        }
        Ok(tools)
    }

    /// Names of the tools that the model may call.
    pub(crate) fn tool_names(&self) -> Vec<String> {
        let name = |tool: &Value| Some(tool.get("function")?.get("name")?.as_str()?.to_owned());
        self.tools.iter().flatten().filter_map(name).collect()
    }

    fn tool_choice(&self) -> Value {
        let Some(choice) = &self.tool_choice else { return json!("auto") };
        // The AI SDK names a tool as {"type":"tool","toolName":…}.
        match (choice.get("type").and_then(Value::as_str), choice.get("toolName")) {
            (Some("tool"), Some(name)) => json!({"type": "function", "function": {"name": name}}),
            _ if choice.is_null() => json!("auto"),
            _ => choice.clone(),
        }
    }

    /// The city that an answer of the admin names.
    pub(crate) fn named_city(&self) -> Option<&str> {
        self.city_id.as_ref().and_then(Value::as_str)
    }
}

impl Stop {
    fn to_json(&self) -> Value {
        match self {
            Self::One(text) => json!(text),
            Self::Many(texts) => json!(texts),
        }
    }
}

fn size(part: &UiPart) -> usize {
    match part {
        UiPart::Text(part) => part.text.len(),
        UiPart::Reasoning(part) => part.text.len(),
        UiPart::File(part) => part.url.len(),
        UiPart::Tool(call) => {
            let texts = [&call.input, &call.output];
            texts.into_iter().flatten().map(json_size).sum()
        }
        _ => 0,
    }
}

/// Roughly the bytes of a value: those of its texts.
fn json_size(value: &Value) -> usize {
    match value {
        Value::String(text) => text.len(),
        Value::Array(items) => items.iter().map(json_size).sum(),
        Value::Object(fields) => {
            fields.iter().map(|(name, value)| name.len() + json_size(value)).sum()
        }
        _ => 8,
    }
}
