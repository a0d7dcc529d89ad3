//! A chat request in the form of OpenAI as one of the Messages API.

use bytes::Bytes;
use downcity_core::{Error, Result};
use serde_json::{Map, Value, json};

use super::content::{Conversation, conversation, with_cache_mark};
use crate::convert::file::unsupported;

/// The output limit where neither request nor model has one: the API wants one.
const MAX_TOKENS: u64 = 4_096;

/// Fields of the API's own, which pass as they are.
const NATIVE: &[&str] = &["thinking", "top_k", "cache_control", "container"];

/// Translates a body; also says whether a stream has to tell its usage.
///
/// # Errors
/// 400 or 422 that names the field which the API cannot take.
pub(super) fn translate(body: &[u8]) -> Result<(Bytes, bool)> {
    let body: Map<String, Value> = serde_json::from_slice(body).map_err(Error::internal)?;
    let mut native = Map::new();
    let mut set = |name: &str, value: Value| native.insert(name.to_owned(), value);
    let messages = body.get("messages").and_then(Value::as_array);
    let messages = messages.ok_or_else(|| Error::invalid("messages", "must be a list"))?;
    let Conversation { system, messages } = conversation(messages)?;
    if let Some(system) = system {
        set("system", system);
    }
    set("messages", Value::Array(messages));
    set("max_tokens", max_tokens(&body));
    for (name, value) in body.iter().filter(|(_, value)| !value.is_null()) {
        match name.as_str() {
            "messages"
            | "max_tokens"
            | "max_completion_tokens"
            | "stream_options"
            | "tool_choice"
            | "parallel_tool_calls"
            | "response_format"
            | "reasoning_effort"
            | "output_config" => {}
            "model" | "stream" | "top_p" => drop(set(name, value.clone())),
            "temperature" => drop(set(name, temperature(value)?)),
            "stop" => drop(set("stop_sequences", stop_sequences(value))),
            "tools" => drop(set(name, tools(value)?)),
            "user" => drop(set("metadata", json!({"user_id": value}))),
            "service_tier" => drop(set(name, service_tier(value)?)),
            native if NATIVE.contains(&native) => drop(set(native, value.clone())),
            other if says_nothing(other, value) => {}
            other => {
                return Err(unsupported(other, "models of this provider do not take this field"));
            }
        }
    }
    if let Some(choice) = tool_choice(&body)? {
        set("tool_choice", choice);
    }
    if let Some(config) = output_config(&body)? {
        set("output_config", config);
    }
    if body.get("reasoning_effort").is_some_and(|word| word == "none") {
        native.entry("thinking").or_insert_with(|| json!({"type": "disabled"}));
    }
    let wants_usage = body.get("stream_options").and_then(|options| options.get("include_usage"));
    let bytes = serde_json::to_vec(&native).map_err(Error::internal)?;
    Ok((bytes.into(), wants_usage == Some(&Value::Bool(true))))
}

fn max_tokens(body: &Map<String, Value>) -> Value {
    let given = |name: &str| body.get(name).filter(|value| !value.is_null()).cloned();
    let given = given("max_completion_tokens").or_else(|| given("max_tokens"));
    given.unwrap_or_else(|| json!(MAX_TOKENS))
}

/// Whether a field that the API does not know has a value that asks for nothing.
fn says_nothing(name: &str, value: &Value) -> bool {
    let is_empty = match value {
        Value::Array(list) => list.is_empty(),
        Value::Object(object) => object.is_empty(),
        _ => false,
    };
    match name {
        "n" => value.as_u64() == Some(1),
        "frequency_penalty" | "presence_penalty" => value.as_f64() == Some(0.0),
        "logprobs" | "store" => *value == Value::Bool(false),
        "top_logprobs" => value.as_u64() == Some(0),
        "logit_bias" | "metadata" => is_empty,
        "modalities" => *value == json!(["text"]),
        _ => false,
    }
}

/// How hard the model works, and the form of its answer. The API's own field comes first.
///
/// Source: <https://platform.claude.com/docs/en/build-with-claude/effort> and
/// <https://platform.claude.com/docs/en/build-with-claude/structured-outputs>.
fn output_config(body: &Map<String, Value>) -> Result<Option<Value>> {
    let given = |name: &str| body.get(name).filter(|value| !value.is_null());
    let mut config = match given("output_config") {
        None => Map::new(),
        Some(Value::Object(own)) => own.clone(),
        Some(_) => return Err(Error::invalid("output_config", "must be an object")),
    };
    if let Some(word) = given("reasoning_effort") {
        let effort = match word.as_str() {
            Some("none") => None,
            Some("minimal") => Some("low"),
            Some(word @ ("low" | "medium" | "high" | "xhigh" | "max")) => Some(word),
            _ => {
                let message = "must be none, minimal, low, medium, high, xhigh or max";
                return Err(unsupported("reasoning_effort", message));
            }
        };
        if let Some(effort) = effort {
            config.entry("effort").or_insert_with(|| json!(effort));
        }
    }
    if let Some(format) = given("response_format").map(answer_format).transpose()?.flatten() {
        config.entry("format").or_insert(format);
    }
    Ok((!config.is_empty()).then_some(Value::Object(config)))
}

/// The form of an answer; `None` for plain text.
fn answer_format(format: &Value) -> Result<Option<Value>> {
    match format.get("type").and_then(Value::as_str) {
        Some("text") => Ok(None),
        Some("json_schema") => {
            let path = "response_format.json_schema.schema";
            let schema = format.pointer("/json_schema/schema").filter(|schema| schema.is_object());
            let schema = schema.ok_or_else(|| Error::invalid(path, "must be a JSON schema"))?;
            Ok(Some(json!({"type": "json_schema", "schema": schema})))
        }
        _ => {
            let message = "models of this provider take text, or json_schema with a schema";
            Err(unsupported("response_format.type", message))
        }
    }
}

fn temperature(value: &Value) -> Result<Value> {
    if value.as_f64().is_some_and(|number| number > 1.0) {
        return Err(unsupported("temperature", "models of this provider take at most 1"));
    }
    Ok(value.clone())
}

fn stop_sequences(value: &Value) -> Value {
    match value {
        Value::String(text) => json!([text]),
        list => list.clone(),
    }
}

fn service_tier(value: &Value) -> Result<Value> {
    match value.as_str() {
        Some("auto") => Ok(json!("auto")),
        Some("default" | "standard_only") => Ok(json!("standard_only")),
        _ => Err(unsupported("service_tier", "models of this provider take auto or default")),
    }
}

fn tools(value: &Value) -> Result<Value> {
    let list = value.as_array().ok_or_else(|| Error::invalid("tools", "must be a list"))?;
    let tools = list.iter().enumerate().map(|(index, tool)| {
        let path = format!("tools[{index}]");
        if tool.get("type").and_then(Value::as_str) != Some("function") {
            return Err(unsupported(&format!("{path}.type"), "only functions are taken"));
        }
        let function = tool.get("function").and_then(Value::as_object);
        let name = function.and_then(|function| function.get("name")).and_then(Value::as_str);
        let (Some(function), Some(name)) = (function, name) else {
            return Err(Error::invalid(format!("{path}.function.name"), "is required"));
        };
        let mut native = Map::new();
        native.insert("name".to_owned(), json!(name));
        let description = function.get("description").and_then(Value::as_str);
        if let Some(description) = description.filter(|text| !text.is_empty()) {
            native.insert("description".to_owned(), json!(description));
        }
        if function.get("strict") == Some(&Value::Bool(true)) {
            native.insert("strict".to_owned(), Value::Bool(true));
        }
        native.insert("input_schema".to_owned(), input_schema(function.get("parameters")));
        Ok(with_cache_mark(tool, Value::Object(native)))
    });
    tools.collect()
}

/// The API wants schemas of objects to say that they are.
fn input_schema(parameters: Option<&Value>) -> Value {
    let mut schema = parameters.and_then(Value::as_object).cloned().unwrap_or_default();
    if schema.is_empty() {
        schema.insert("properties".to_owned(), json!({}));
    }
    if !schema.contains_key("type") {
        schema.insert("type".to_owned(), json!("object"));
    }
    Value::Object(schema)
}

fn tool_choice(body: &Map<String, Value>) -> Result<Option<Value>> {
    if body.get("tools").and_then(Value::as_array).is_none_or(Vec::is_empty) {
        return Ok(None);
    }
    let one_at_a_time = body.get("parallel_tool_calls") == Some(&Value::Bool(false));
    let choice = body.get("tool_choice").unwrap_or(&Value::Null);
    let function = choice.get("function").and_then(|function| function.get("name"));
    let mut native = match (choice, function) {
        (Value::Null, _) if !one_at_a_time => return Ok(None),
        (Value::Null, _) => json!({"type": "auto"}),
        (Value::String(word), _) => match word.as_str() {
            "none" => return Ok(Some(json!({"type": "none"}))),
            "auto" => json!({"type": "auto"}),
            "required" => json!({"type": "any"}),
            _ => return Err(Error::invalid("tool_choice", "must be auto, none or required")),
        },
        (_, Some(name)) => json!({"type": "tool", "name": name}),
        _ => return Err(unsupported("tool_choice", "name a function, or auto, none or required")),
    };
    if let (true, Some(fields)) = (one_at_a_time, native.as_object_mut()) {
        fields.insert("disable_parallel_tool_use".to_owned(), Value::Bool(true));
    }
    Ok(Some(native))
}
