//! From a chat request in the form of OpenAI to one of Gemini.

mod content;

use downcity_core::{Error, Result};
use downcity_types::ErrorCode;
use serde_json::{Map, Value, json};

use self::content::Conversation;
use super::schema;

/// Members of `generationConfig` that callers may send in Gemini's own form. All others have a
/// field of their own, whose limits must not be passed by.
pub(super) const OWN_SETTINGS: &[&str] = &["thinkingConfig", "topK", "mediaResolution"];

/// Fields that callers may send in Gemini's own form, beside `generationConfig`.
pub(super) const OWN_FIELDS: &[&str] = &["safetySettings", "cachedContent"];

/// What a request asks for beside its body.
#[derive(Debug)]
pub(super) struct Wanted {
    pub(super) model: String,
    pub(super) stream: bool,
    /// Whether a stream tells its usage.
    pub(super) usage: bool,
}

/// A body of Gemini for a body of OpenAI.
///
/// # Errors
/// 400 for what is wrong in any form, 422 for what Gemini cannot take; both name the field.
pub(super) fn translate(body: Value) -> Result<(Value, Wanted)> {
    let Value::Object(fields) = body else {
        return Err(Error::invalid("body", "must be a JSON object"));
    };
    let mut out = Map::new();
    let mut settings = Map::new();
    let mut wanted = Wanted { model: String::new(), stream: false, usage: false };
    let mut has_tools = false;
    for (name, value) in &fields {
        if value.is_null() {
            continue;
        }
        match name.as_str() {
            "model" => wanted.model = text(name, value)?.to_owned(),
            "stream" => wanted.stream = value.as_bool().unwrap_or(false),
            "stream_options" => {
                wanted.usage = value.get("include_usage").and_then(Value::as_bool) == Some(true);
            }
            "messages" => {
                let model = fields.get("model").and_then(Value::as_str).unwrap_or_default();
                Conversation::read(value, model.contains("gemini-3"))?.write(&mut out);
            }
            "tools" => {
                let declared = declarations(value)?;
                has_tools = !declared.is_empty();
                if has_tools {
                    let tools = json!([{"functionDeclarations": declared}]);
                    out.insert("tools".to_owned(), tools);
                }
            }
            "response_format" => response_format(value, &mut settings)?,
            "stop" => {
                let stop = if value.is_string() { json!([value]) } else { value.clone() };
                settings.insert("stopSequences".to_owned(), stop);
            }
            "generationConfig" => own_settings(value, &mut settings)?,
            name if OWN_FIELDS.contains(&name) => {
                out.insert(name.to_owned(), value.clone());
            }
            "tool_choice" | "max_tokens" | "max_completion_tokens" | "reasoning_effort" => {}
            // Names the caller's user; no answer hangs on it.
            "user" => {}
            "logprobs" | "store" if *value == json!(false) => {}
            "parallel_tool_calls" if *value == json!(true) => {}
            _ => match setting_of(name) {
                Some(native) => {
                    settings.insert(native.to_owned(), number(name, value)?);
                }
                None => return Err(refuse(name, "is not known to models of Gemini; leave it out")),
            },
        }
    }
    if wanted.model.is_empty() {
        return Err(Error::invalid("model", "is required"));
    }
    if !out.contains_key("contents") {
        return Err(Error::invalid("messages", "must hold a message of the user"));
    }
    limit_output(&fields, &mut settings)?;
    if let Some(effort) = fields.get("reasoning_effort").filter(|effort| !effort.is_null())
        && !settings.contains_key("thinkingConfig")
    {
        settings.insert("thinkingConfig".to_owned(), thinking(effort, &wanted.model)?);
    }
    if has_tools && let Some(choice) = fields.get("tool_choice").filter(|value| !value.is_null()) {
        out.insert("toolConfig".to_owned(), tool_config(choice)?);
    }
    if !settings.is_empty() {
        out.insert("generationConfig".to_owned(), Value::Object(settings));
    }
    Ok((Value::Object(out), wanted))
}

/// The member of `generationConfig` for a field that is a number.
fn setting_of(name: &str) -> Option<&'static str> {
    Some(match name {
        "temperature" => "temperature",
        "top_p" => "topP",
        "top_k" => "topK",
        "seed" => "seed",
        "n" => "candidateCount",
        "presence_penalty" => "presencePenalty",
        "frequency_penalty" => "frequencyPenalty",
        _ => return None,
    })
}

/// Where both limits are given, the lower one counts.
fn limit_output(fields: &Map<String, Value>, settings: &mut Map<String, Value>) -> Result<()> {
    let mut limit: Option<Value> = None;
    for name in ["max_tokens", "max_completion_tokens"] {
        let Some(value) = fields.get(name).filter(|value| !value.is_null()) else { continue };
        let value = number(name, value)?;
        if limit.as_ref().is_none_or(|limit| value.as_f64() < limit.as_f64()) {
            limit = Some(value);
        }
    }
    if let Some(limit) = limit {
        settings.insert("maxOutputTokens".to_owned(), limit);
    }
    Ok(())
}

/// How much a model thinks, in the words of its generation.
///
/// Source: <https://ai.google.dev/gemini-api/docs/openai#thinking> for both, and
/// <https://ai.google.dev/gemini-api/docs/thinking> for what each generation takes.
fn thinking(effort: &Value, model: &str) -> Result<Value> {
    const FIELD: &str = "reasoning_effort";
    let effort = effort.as_str().unwrap_or_default();
    if !matches!(effort, "none" | "minimal" | "low" | "medium" | "high" | "xhigh") {
        return Err(refuse(FIELD, "must be none, minimal, low, medium, high or xhigh"));
    }
    if model.contains("gemini-3") {
        let level = match effort {
            "none" => return Err(refuse(FIELD, "this model always thinks; set minimal or low")),
            // The first model of the generation knows two levels.
            "medium" if model.contains("gemini-3-pro") => "high",
            "minimal" if !model.contains("flash") => "low",
            "xhigh" => "high",
            level => level,
        };
        return Ok(json!({"thinkingLevel": level}));
    }
    if !model.contains("gemini-2.5") {
        return Err(refuse(FIELD, "is not known to this model; leave it out"));
    }
    let budget = match effort {
        "none" => 0,
        "minimal" | "low" => 1_024,
        "medium" => 8_192,
        _ => 24_576,
    };
    Ok(json!({"thinkingBudget": budget}))
}

fn own_settings(value: &Value, settings: &mut Map<String, Value>) -> Result<()> {
    let Value::Object(own) = value else {
        return Err(Error::invalid("generationConfig", "must be an object"));
    };
    for (name, value) in own {
        if !OWN_SETTINGS.contains(&name.as_str()) {
            let message = "is set by the field of the chat request that means the same";
            return Err(refuse(&format!("generationConfig.{name}"), message));
        }
        settings.insert(name.clone(), value.clone());
    }
    Ok(())
}

fn declarations(tools: &Value) -> Result<Vec<Value>> {
    let Value::Array(tools) = tools else {
        return Err(Error::invalid("tools", "must be a list"));
    };
    let mut declared = Vec::with_capacity(tools.len());
    for (index, tool) in tools.iter().enumerate() {
        let path = format!("tools[{index}]");
        if tool.get("type").and_then(Value::as_str) != Some("function") {
            let message = "must be \"function\": models of Gemini take no other tools";
            return Err(refuse(&format!("{path}.type"), message));
        }
        let path = format!("{path}.function");
        let Some(Value::Object(function)) = tool.get("function") else {
            return Err(Error::invalid(path, "is required"));
        };
        let mut out = Map::new();
        for (name, value) in function.iter().filter(|(_, value)| !value.is_null()) {
            let at = format!("{path}.{name}");
            match name.as_str() {
                "name" | "description" => {
                    out.insert(name.clone(), json!(text(&at, value)?));
                }
                "parameters" if takes_nothing(value) => {}
                "parameters" => {
                    out.insert(name.clone(), schema::convert(value, &at)?);
                }
                "strict" if *value == json!(false) => {}
                _ => return Err(refuse(&at, "is not known to models of Gemini; leave it out")),
            }
        }
        if !out.contains_key("name") {
            return Err(Error::invalid(format!("{path}.name"), "is required"));
        }
        declared.push(Value::Object(out));
    }
    Ok(declared)
}

/// Gemini refuses objects without properties: a function that takes nothing has no parameters.
fn takes_nothing(parameters: &Value) -> bool {
    parameters.as_object().is_some_and(|schema| {
        let rules = ["type", "properties", "required", "additionalProperties", "$schema", "title"];
        let properties = schema.get("properties").and_then(Value::as_object);
        properties.is_none_or(Map::is_empty)
            && schema.keys().all(|name| rules.contains(&name.as_str()))
            && schema.get("additionalProperties").is_none_or(Value::is_boolean)
    })
}

fn tool_config(choice: &Value) -> Result<Value> {
    let only = choice.pointer("/function/name").and_then(Value::as_str);
    let config = match (choice.as_str(), only) {
        (Some("auto"), _) => json!({"mode": "AUTO"}),
        (Some("none"), _) => json!({"mode": "NONE"}),
        (Some("required"), _) => json!({"mode": "ANY"}),
        (None, Some(name)) => json!({"mode": "ANY", "allowedFunctionNames": [name]}),
        _ => {
            let message = "must be auto, none, required, or one function";
            return Err(refuse("tool_choice", message));
        }
    };
    Ok(json!({"functionCallingConfig": config}))
}

fn response_format(format: &Value, settings: &mut Map<String, Value>) -> Result<()> {
    match format.get("type").and_then(Value::as_str) {
        Some("text") => return Ok(()),
        Some("json_object") => {}
        Some("json_schema") => {
            let path = "response_format.json_schema.schema";
            let Some(schema) = format.pointer("/json_schema/schema") else {
                return Err(Error::invalid(path, "is required"));
            };
            settings.insert("responseSchema".to_owned(), schema::convert(schema, path)?);
        }
        _ => {
            let message = "must be text, json_object or json_schema";
            return Err(refuse("response_format.type", message));
        }
    }
    settings.insert("responseMimeType".to_owned(), json!("application/json"));
    Ok(())
}

fn text<'a>(path: &str, value: &'a Value) -> Result<&'a str> {
    value.as_str().ok_or_else(|| Error::invalid(path, "must be a text"))
}

fn number(path: &str, value: &Value) -> Result<Value> {
    if value.is_number() {
        Ok(value.clone())
    } else {
        Err(Error::invalid(path, "must be a number"))
    }
}

/// 422: Gemini cannot take this.
fn refuse(path: &str, message: &str) -> Error {
    Error::new(ErrorCode::Unprocessable, "").with_field(path, message)
}
