//! From an answer of Gemini to a chat completion.

use serde_json::{Map, Value, json};

/// What stands on every completion or chunk of one answer.
pub(super) struct Labels {
    pub(super) model: String,
    /// Takes the place of the id that Gemini gives to an answer.
    pub(super) fallback_id: String,
    /// Seconds since 1970.
    pub(super) created: i64,
}

impl Labels {
    /// The id of an answer, as far as this part of it tells.
    pub(super) fn id_of(&self, native: &Value) -> String {
        let own = native.get("responseId").and_then(Value::as_str).filter(|id| !id.is_empty());
        own.unwrap_or(&self.fallback_id).to_owned()
    }
}

/// A whole answer as a chat completion; `None` where it has neither candidates nor a reason.
pub(super) fn completion(native: &Value, labels: &Labels) -> Option<Value> {
    let id = labels.id_of(native);
    let candidates = native.get("candidates").and_then(Value::as_array);
    let mut choices = Vec::new();
    for (at, candidate) in candidates.into_iter().flatten().enumerate() {
        let index = index_of(candidate).unwrap_or(at as u64);
        let mut calls = 0;
        let said = said(candidate, &id, index, &mut calls);
        let mut message = Map::new();
        message.insert("role".to_owned(), json!("assistant"));
        let no_text = said.text.is_empty() && !said.calls.is_empty();
        let content = if no_text { Value::Null } else { Value::String(said.text) };
        message.insert("content".to_owned(), content);
        if !said.reasoning.is_empty() {
            message.insert("reasoning_content".to_owned(), Value::String(said.reasoning));
        }
        if !said.calls.is_empty() {
            message.insert("tool_calls".to_owned(), Value::Array(said.calls));
        }
        let finish = finish_reason(candidate, calls > 0).unwrap_or_else(|| "other".to_owned());
        choices.push(json!({"index": index, "message": message, "finish_reason": finish}));
    }
    if choices.is_empty() {
        if !is_blocked(native) {
            return None;
        }
        choices.push(json!({
            "index": 0,
            "message": {"role": "assistant", "content": ""},
            "finish_reason": "content_filter",
        }));
    }
    let mut whole = json!({
        "id": format!("chatcmpl-{id}"), "object": "chat.completion", "created": labels.created,
        "model": labels.model, "choices": choices,
    });
    if let (Some(usage), Some(fields)) = (usage(native), whole.as_object_mut()) {
        fields.insert("usage".to_owned(), usage);
    }
    Some(whole)
}

pub(super) fn index_of(candidate: &Value) -> Option<u64> {
    candidate.get("index").and_then(Value::as_u64)
}

/// Whether the prompt itself was refused.
pub(super) fn is_blocked(native: &Value) -> bool {
    native.pointer("/promptFeedback/blockReason").is_some_and(Value::is_string)
}

/// What a candidate says.
#[derive(Default)]
pub(super) struct Said {
    pub(super) text: String,
    pub(super) reasoning: String,
    /// Tool calls in the form of OpenAI, without an `index`.
    pub(super) calls: Vec<Value>,
}

/// Reads the parts of a candidate; parts of other kinds have no place in a chat completion.
///
/// `calls` counts the calls of the candidate so far: Gemini need not give ids to calls, and the ids
/// that are made up must be the same however the answer arrives.
pub(super) fn said(candidate: &Value, id: &str, index: u64, calls: &mut u64) -> Said {
    let mut said = Said::default();
    let parts = candidate.pointer("/content/parts").and_then(Value::as_array);
    for part in parts.into_iter().flatten() {
        if let Some(text) = part.get("text").and_then(Value::as_str) {
            let is_thought = part.get("thought").and_then(Value::as_bool) == Some(true);
            if is_thought { &mut said.reasoning } else { &mut said.text }.push_str(text);
        }
        let Some(call) = part.get("functionCall") else { continue };
        let Some(name) = call.get("name").and_then(Value::as_str) else { continue };
        let own = call.get("id").and_then(Value::as_str).filter(|id| !id.is_empty());
        let call_id = own.map_or_else(|| format!("call_{id}_{index}_{calls}"), str::to_owned);
        *calls += 1;
        let arguments = call.get("args").filter(|args| !args.is_null()).cloned();
        let arguments = arguments.unwrap_or_else(|| json!({})).to_string();
        let mut translated = json!({
            "id": call_id, "type": "function", "function": {"name": name, "arguments": arguments},
        });
        // Models that think want it back with the call; OpenAI clients keep what they do not know.
        if let (Some(signature), Some(fields)) =
            (part.get("thoughtSignature"), translated.as_object_mut())
        {
            let extra = json!({"google": {"thought_signature": signature}});
            fields.insert("extra_content".to_owned(), extra);
        }
        said.calls.push(translated);
    }
    said
}

/// Why the answer ended, in the words of OpenAI; in Gemini's own where OpenAI has none.
pub(super) fn finish_reason(candidate: &Value, has_calls: bool) -> Option<String> {
    let reason = candidate.get("finishReason").and_then(Value::as_str)?;
    Some(match reason {
        "STOP" if has_calls => "tool_calls".to_owned(),
        "STOP" => "stop".to_owned(),
        "MAX_TOKENS" => "length".to_owned(),
        "SAFETY"
        | "RECITATION"
        | "BLOCKLIST"
        | "PROHIBITED_CONTENT"
        | "SPII"
        | "LANGUAGE"
        | "IMAGE_SAFETY"
        | "IMAGE_PROHIBITED_CONTENT"
        | "IMAGE_RECITATION" => "content_filter".to_owned(),
        other => other.to_ascii_lowercase(),
    })
}

/// The usage in the form of OpenAI; `None` where none is told.
pub(super) fn usage(native: &Value) -> Option<Value> {
    let told = native.get("usageMetadata")?.as_object()?;
    let count = |name: &str| told.get(name).and_then(Value::as_u64);
    let prompt = count("promptTokenCount");
    let answer = count("candidatesTokenCount");
    let thoughts = count("thoughtsTokenCount").unwrap_or(0);
    if prompt.is_none() && answer.is_none() {
        return None;
    }
    let prompt = prompt.unwrap_or(0).saturating_add(count("toolUsePromptTokenCount").unwrap_or(0));
    let answer = answer.unwrap_or(0).saturating_add(thoughts);
    let total = count("totalTokenCount").unwrap_or(prompt.saturating_add(answer));
    Some(json!({
        "prompt_tokens": prompt, "completion_tokens": answer, "total_tokens": total,
        "prompt_tokens_details": {"cached_tokens": count("cachedContentTokenCount").unwrap_or(0)},
        "completion_tokens_details": {"reasoning_tokens": thoughts},
    }))
}

/// An error of Gemini in the form of OpenAI.
pub(super) struct RefusedAs {
    pub(super) body: Value,
    /// The Federation's own key was refused, which Gemini tells under 400.
    pub(super) is_key_fault: bool,
    /// Seconds to wait.
    pub(super) retry_after: Option<u64>,
}

/// Reads `{"error":{code,message,status,details}}`; `None` for anything else.
pub(super) fn refusal(bytes: &[u8]) -> Option<RefusedAs> {
    let native: Value = serde_json::from_slice(bytes).ok()?;
    // Errors of streams come as a list of one.
    let native = native.get(0).unwrap_or(&native);
    let error = native.get("error")?.as_object()?;
    let details = error.get("details").and_then(Value::as_array);
    let details: Vec<&Value> = details.into_iter().flatten().collect();
    let is_key_fault = details
        .iter()
        .filter_map(|detail| detail.get("reason").and_then(Value::as_str))
        .any(|reason| reason.starts_with("API_KEY_"));
    let delay = details.iter().find_map(|detail| detail.get("retryDelay").and_then(Value::as_str));
    let seconds = delay.and_then(|text| text.strip_suffix('s')?.parse::<f64>().ok());
    Some(RefusedAs {
        body: error_body(error),
        is_key_fault,
        // Saturates.
        retry_after: seconds.filter(|seconds| *seconds >= 0.0).map(|seconds| seconds.ceil() as u64),
    })
}

/// `{"error":{message,type,param,code}}`
pub(super) fn error_body(error: &Map<String, Value>) -> Value {
    let message = error.get("message").and_then(Value::as_str);
    let status = error.get("status").and_then(Value::as_str).map(str::to_ascii_lowercase);
    let is_ours = error.get("code").and_then(Value::as_u64).is_none_or(|code| code >= 500);
    let kind = if is_ours { "server_error" } else { "invalid_request_error" };
    let message = message.unwrap_or("The AI provider failed.");
    json!({"error": {"message": message, "type": kind, "param": null, "code": status}})
}
