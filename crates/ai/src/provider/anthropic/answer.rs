//! Whole answers and errors of the Messages API in the form of OpenAI.

use bytes::Bytes;
use downcity_core::Body;
use serde::Deserialize;
use serde_json::{Map, Value, json};

/// The tokens that the API counts; the cached ones are not among `input_tokens`.
#[derive(Clone, Copy, Debug, Default, Deserialize)]
pub(super) struct NativeUsage {
    #[serde(default)]
    input_tokens: Option<u64>,
    #[serde(default)]
    output_tokens: Option<u64>,
    #[serde(default)]
    cache_read_input_tokens: Option<u64>,
    #[serde(default)]
    cache_creation_input_tokens: Option<u64>,
}

impl NativeUsage {
    /// What a later word changes.
    pub(super) fn update(&mut self, later: Self) {
        self.input_tokens = later.input_tokens.or(self.input_tokens);
        self.output_tokens = later.output_tokens.or(self.output_tokens);
        self.cache_read_input_tokens =
            later.cache_read_input_tokens.or(self.cache_read_input_tokens);
        self.cache_creation_input_tokens =
            later.cache_creation_input_tokens.or(self.cache_creation_input_tokens);
    }

    /// Whether it says how much was produced.
    pub(super) fn tells_output(&self) -> bool {
        self.output_tokens.is_some()
    }

    /// The same in the form of OpenAI, where cached tokens are a part of the prompt.
    pub(super) fn to_open_ai(self) -> Value {
        let read = self.cache_read_input_tokens.unwrap_or(0);
        let written = self.cache_creation_input_tokens.unwrap_or(0);
        let prompt = self.input_tokens.unwrap_or(0).saturating_add(read).saturating_add(written);
        let completion = self.output_tokens.unwrap_or(0);
        json!({
            "prompt_tokens": prompt,
            "completion_tokens": completion,
            "total_tokens": prompt.saturating_add(completion),
            "prompt_tokens_details": {"cached_tokens": read, "cache_write_tokens": written},
        })
    }
}

#[derive(Deserialize)]
struct Message {
    #[serde(default)]
    id: String,
    #[serde(default)]
    model: String,
    content: Vec<Map<String, Value>>,
    #[serde(default)]
    stop_reason: Option<String>,
    #[serde(default)]
    stop_sequence: Option<String>,
    #[serde(default)]
    usage: Option<NativeUsage>,
}

/// Why an answer ended, in the words of OpenAI.
pub(super) fn finish_reason(stop_reason: &str) -> &'static str {
    match stop_reason {
        "max_tokens" | "model_context_window_exceeded" => "length",
        "tool_use" => "tool_calls",
        "refusal" => "content_filter",
        _ => "stop",
    }
}

/// A message as a chat completion; `None` for anything else. Blocks of kinds that OpenAI has no form
/// for are left out.
pub(super) fn message(native: &Value, created: i64) -> Option<Value> {
    let message = Message::deserialize(native).ok()?;
    let (mut text, mut reasoning, mut calls) = (String::new(), String::new(), Vec::new());
    let mut thinking = Vec::new();
    for block in &message.content {
        let member = |name: &str| block.get(name).and_then(Value::as_str).unwrap_or_default();
        match member("type") {
            "text" => text.push_str(member("text")),
            "thinking" => {
                reasoning.push_str(member("thinking"));
                thinking.push(json!(block));
            }
            "redacted_thinking" => thinking.push(json!(block)),
            "tool_use" => {
                let input = block.get("input").map_or("{}".to_owned(), Value::to_string);
                calls.push(json!({
                    "id": member("id"),
                    "type": "function",
                    "function": {"name": member("name"), "arguments": input},
                }));
            }
            _ => {}
        }
    }
    let mut said = Map::new();
    said.insert("role".to_owned(), json!("assistant"));
    let has_no_text = text.is_empty() && !calls.is_empty();
    said.insert("content".to_owned(), if has_no_text { Value::Null } else { json!(text) });
    if !reasoning.is_empty() {
        said.insert("reasoning_content".to_owned(), json!(reasoning));
    }
    if !thinking.is_empty() {
        said.insert("thinking_blocks".to_owned(), Value::Array(thinking));
    }
    if !calls.is_empty() {
        said.insert("tool_calls".to_owned(), Value::Array(calls));
    }
    let mut completion = json!({
        "id": message.id, "object": "chat.completion", "created": created, "model": message.model,
        "choices": [{
            "index": 0,
            "message": said,
            "finish_reason": message.stop_reason.as_deref().map(finish_reason),
        }],
    });
    if let Some(stop) = message.stop_sequence {
        completion["choices"][0]["stop_reason"] = json!(stop);
    }
    if let (Some(usage), Some(fields)) = (message.usage, completion.as_object_mut()) {
        fields.insert("usage".to_owned(), usage.to_open_ai());
    }
    Some(completion)
}

/// An error as OpenAI writes it; anything else as it is.
pub(super) fn error(bytes: &Bytes) -> Body {
    let said: Option<Value> = serde_json::from_slice(bytes).ok();
    match said.as_ref().and_then(|said| said.get("error")) {
        Some(error) => Body::from(open_ai_error(error).to_string()),
        None => Body::from(bytes.clone()),
    }
}

/// `{"error":{"message","type","param","code"}}` of `{"type","message"}`.
pub(super) fn open_ai_error(error: &Value) -> Value {
    let kind = error.get("type").and_then(Value::as_str).unwrap_or("api_error");
    let message = error.get("message").and_then(Value::as_str);
    let message = message.unwrap_or("The AI provider failed.");
    json!({"error": {"message": message, "type": kind, "param": null, "code": kind}})
}
