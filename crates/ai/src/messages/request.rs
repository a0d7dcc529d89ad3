//! A request of the Messages API as a chat request in the form of OpenAI.
//!
//! What has no place in that form is refused with the name of the field, but for what changes
//! nothing about the answer: marks of caching go to providers that know them, and are left out
//! elsewhere.

use downcity_core::{Error, Result};
use serde_json::{Map, Value, json};

use super::content::{assistant_message, system_message, user_messages};
use super::tools::{tool_choice, tools};
use crate::catalog::Model;

/// What the provider of a model takes.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Taste {
    /// It speaks the Messages API itself: what that has beyond the form of OpenAI reaches it.
    pub(crate) native: bool,
    /// Text only.
    pub(crate) text_only: bool,
    /// Where only text is taken, other parts are dropped in silence.
    pub(crate) lenient: bool,
    /// The field for the most tokens of the answer.
    pub(crate) max_tokens: &'static str,
}

impl Taste {
    pub(crate) fn of(model: &Model) -> Self {
        let provider = &*model.provider;
        Self {
            native: provider.speaks_messages,
            text_only: provider.text_only,
            lenient: provider.lenient,
            max_tokens: provider.max_tokens_field.as_str(),
        }
    }
}

/// A request that has been read, for any provider.
#[derive(Debug)]
pub(crate) struct MessagesInput(Map<String, Value>);

impl MessagesInput {
    /// Reads a request.
    ///
    /// # Errors
    /// 400 that names the field.
    pub(crate) fn read(bytes: &[u8]) -> Result<Self> {
        let fields: Map<String, Value> = serde_json::from_slice(bytes)
            .map_err(|_| Error::invalid("", "the body must be a JSON object"))?;
        let input = Self(fields);
        for (name, is_good, what) in [
            ("model", input.is_absent_or("model", Value::is_string), "must be a text"),
            ("stream", input.is_absent_or("stream", Value::is_boolean), "must be true or false"),
            (
                "temperature",
                input.is_absent_or("temperature", Value::is_number),
                "must be a number",
            ),
            ("top_p", input.is_absent_or("top_p", Value::is_number), "must be a number"),
            ("top_k", input.is_absent_or("top_k", Value::is_u64), "must be a whole number"),
        ] {
            if !is_good {
                return Err(Error::invalid(name, what));
            }
        }
        Ok(input)
    }

    fn get(&self, name: &str) -> Option<&Value> {
        self.0.get(name).filter(|value| !value.is_null())
    }

    fn is_absent_or(&self, name: &str, is: impl Fn(&Value) -> bool) -> bool {
        self.get(name).is_none_or(is)
    }

    /// The model that is asked for.
    pub(crate) fn model(&self) -> Option<&str> {
        self.get("model").and_then(Value::as_str)
    }

    /// Whether the answer is to be a stream.
    pub(crate) fn stream(&self) -> bool {
        self.get("stream") == Some(&Value::Bool(true))
    }

    /// The chat request, its `model` not yet set.
    ///
    /// # Errors
    /// 400 or 422 that names the field.
    pub(crate) fn chat_request(&self, taste: Taste) -> Result<Map<String, Value>> {
        let mut chat = Map::new();
        chat.insert("messages".to_owned(), Value::Array(self.conversation(taste)?));
        chat.insert(taste.max_tokens.to_owned(), self.max_tokens()?);
        for (name, value) in self.0.iter().filter(|(_, value)| !value.is_null()) {
            match name.as_str() {
                "model" | "messages" | "system" | "max_tokens" | "tool_choice" | "city_id" => {}
                "stream" if *value == Value::Bool(false) => {}
                "stream" | "temperature" | "top_p" | "top_k" => {
                    chat.insert(name.clone(), value.clone());
                }
                "stop_sequences" => stop(value, &mut chat)?,
                "metadata" => user(value, &mut chat)?,
                "service_tier" => service_tier(value, &mut chat)?,
                "thinking" => thinking(value, taste, &mut chat)?,
                "output_config" => output_config(value, taste, &mut chat)?,
                "tools" => {
                    let tools = tools(value, taste)?;
                    if !tools.is_empty() {
                        chat.insert("tools".to_owned(), Value::Array(tools));
                    }
                }
                "cache_control" if taste.native => {
                    chat.insert(name.clone(), value.clone());
                }
                "cache_control" => {}
                _ if says_nothing(value) => {}
                other => return Err(Error::invalid(other, "is not taken here; leave it out")),
            }
        }
        if let Some(choice) = self.get("tool_choice") {
            tool_choice(choice, &mut chat)?;
        }
        Ok(chat)
    }

    fn conversation(&self, taste: Taste) -> Result<Vec<Value>> {
        let messages = self.get("messages").and_then(Value::as_array);
        let messages = messages.filter(|list| !list.is_empty());
        let messages =
            messages.ok_or_else(|| Error::invalid("messages", "must be a list of messages"))?;
        let mut out = Vec::with_capacity(messages.len() + 1);
        if let Some(system) = self.get("system") {
            out.extend(system_message(system, taste)?);
        }
        for (index, message) in messages.iter().enumerate() {
            let path = format!("messages[{index}]");
            let unknown = message.as_object().into_iter().flatten().find(|(name, value)| {
                !matches!(name.as_str(), "role" | "content") && !says_nothing(value)
            });
            if let Some((name, _)) = unknown {
                return Err(Error::invalid(format!("{path}.{name}"), "is not taken here"));
            }
            let content = message.get("content").unwrap_or(&Value::Null);
            let at = format!("{path}.content");
            match message.get("role").and_then(Value::as_str) {
                Some("user") => out.extend(user_messages(content, &at, taste)?),
                Some("assistant") => out.extend(assistant_message(content, &at, taste)?),
                _ => {
                    let message = "must be user or assistant; instructions stand in `system`";
                    return Err(Error::invalid(format!("{path}.role"), message));
                }
            }
        }
        Ok(out)
    }

    fn max_tokens(&self) -> Result<Value> {
        match self.get("max_tokens").and_then(Value::as_u64) {
            Some(most) if most > 0 => Ok(json!(most)),
            _ => Err(Error::invalid("max_tokens", "must be a whole number of at least 1")),
        }
    }
}

/// Whether a value asks for nothing, whatever its field.
pub(super) fn says_nothing(value: &Value) -> bool {
    match value {
        Value::Null | Value::Bool(false) => true,
        Value::Array(list) => list.is_empty(),
        Value::Object(fields) => fields.is_empty(),
        _ => false,
    }
}

/// The member of an object that is none of these and asks for something.
pub(super) fn unknown_member<'a>(object: &'a Value, known: &[&str]) -> Option<&'a str> {
    let members = object.as_object().into_iter().flatten();
    let mut unknown = members
        .filter(|(name, value)| !known.contains(&name.as_str()) && !says_nothing(value))
        .map(|(name, _)| name.as_str());
    unknown.next()
}

/// Refuses an object with a member that is none of these.
pub(super) fn only(object: &Value, path: &str, known: &[&str]) -> Result<()> {
    match unknown_member(object, known) {
        Some(name) => Err(Error::invalid(format!("{path}.{name}"), "is not taken here")),
        None => Ok(()),
    }
}

fn stop(value: &Value, chat: &mut Map<String, Value>) -> Result<()> {
    let texts = value.as_array().filter(|list| list.iter().all(Value::is_string));
    let texts = texts.ok_or_else(|| Error::invalid("stop_sequences", "must be a list of texts"))?;
    if !texts.is_empty() {
        chat.insert("stop".to_owned(), value.clone());
    }
    Ok(())
}

fn user(value: &Value, chat: &mut Map<String, Value>) -> Result<()> {
    only(value, "metadata", &["user_id"])?;
    match value.get("user_id") {
        Some(Value::String(id)) => drop(chat.insert("user".to_owned(), json!(id))),
        None | Some(Value::Null) => {}
        Some(_) => return Err(Error::invalid("metadata.user_id", "must be a text")),
    }
    Ok(())
}

fn service_tier(value: &Value, chat: &mut Map<String, Value>) -> Result<()> {
    let tier = match value.as_str() {
        Some("auto") => "auto",
        Some("standard_only") => "default",
        _ => return Err(Error::invalid("service_tier", "must be auto or standard_only")),
    };
    chat.insert("service_tier".to_owned(), json!(tier));
    Ok(())
}

/// Budgets up to which thinking counts as `low` and as `medium` where only an effort can be told.
const LOW_BUDGET: u64 = 4_096;
const MEDIUM_BUDGET: u64 = 16_384;

fn thinking(value: &Value, taste: Taste, chat: &mut Map<String, Value>) -> Result<()> {
    let kind = value.get("type").and_then(Value::as_str).unwrap_or_default();
    if !matches!(kind, "enabled" | "disabled" | "adaptive") {
        return Err(Error::invalid("thinking.type", "must be enabled, disabled or adaptive"));
    }
    let budget = value.get("budget_tokens").and_then(Value::as_u64);
    if kind == "enabled" && budget.is_none() {
        return Err(Error::invalid("thinking.budget_tokens", "must be a whole number"));
    }
    if taste.native {
        chat.insert("thinking".to_owned(), value.clone());
        return Ok(());
    }
    only(value, "thinking", &["type", "budget_tokens", "display"])?;
    let effort = match budget {
        Some(budget) if kind == "enabled" && budget <= LOW_BUDGET => "low",
        Some(budget) if kind == "enabled" && budget <= MEDIUM_BUDGET => "medium",
        Some(_) if kind == "enabled" => "high",
        // Models that think do so by themselves, the others not.
        _ => return Ok(()),
    };
    chat.entry("reasoning_effort").or_insert_with(|| json!(effort));
    Ok(())
}

fn output_config(value: &Value, taste: Taste, chat: &mut Map<String, Value>) -> Result<()> {
    only(value, "output_config", &["effort", "format"])?;
    match value.get("effort") {
        None | Some(Value::Null) => {}
        // The strongest word of providers that speak otherwise.
        Some(Value::String(word)) if word == "max" && !taste.native => {
            chat.insert("reasoning_effort".to_owned(), json!("xhigh"));
        }
        Some(Value::String(word)) => drop(chat.insert("reasoning_effort".to_owned(), json!(word))),
        Some(_) => return Err(Error::invalid("output_config.effort", "must be a text")),
    }
    let Some(format) = value.get("format").filter(|format| !format.is_null()) else {
        return Ok(());
    };
    let path = "output_config.format";
    only(format, path, &["type", "schema"])?;
    let kind = format.get("type").and_then(Value::as_str);
    match (kind, format.get("schema").filter(|schema| schema.is_object())) {
        (Some("json_schema"), Some(schema)) => {
            let schema = json!({"name": "answer", "strict": true, "schema": schema});
            let format = json!({"type": "json_schema", "json_schema": schema});
            chat.insert("response_format".to_owned(), format);
            Ok(())
        }
        (Some("json_schema"), None) => {
            Err(Error::invalid(format!("{path}.schema"), "must be a JSON schema"))
        }
        _ => Err(Error::invalid(format!("{path}.type"), "must be json_schema")),
    }
}
