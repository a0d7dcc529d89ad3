//! Chat messages as messages with content blocks.

use downcity_core::{Error, Result};
use serde_json::{Map, Value, json};

use crate::convert::file::unsupported;
use crate::files::DataUrl;

/// Types of images that the API takes inline.
const IMAGES: &[&str] = &["image/jpeg", "image/png", "image/gif", "image/webp"];

/// What a list of chat messages becomes.
pub(super) struct Conversation {
    /// All instructions, which the API takes apart from the messages.
    pub(super) system: Option<Value>,
    pub(super) messages: Vec<Value>,
}

/// Turns of one role that follow each other become one message: the results of parallel tool calls
/// have to stand together.
///
/// # Errors
/// 400 or 422 that names the part.
pub(super) fn conversation(messages: &[Value]) -> Result<Conversation> {
    let mut system = Vec::new();
    let mut turns: Vec<(&str, Vec<Value>)> = Vec::new();
    for (index, message) in messages.iter().enumerate() {
        let path = format!("messages[{index}]");
        let content_path = format!("{path}.content");
        let content = message.get("content").unwrap_or(&Value::Null);
        let (role, blocks) = match message.get("role").and_then(Value::as_str) {
            Some("system" | "developer") => {
                system.extend(texts(content, &content_path)?);
                continue;
            }
            Some("user") => ("user", user_blocks(content, &content_path)?),
            Some("assistant") => ("assistant", assistant_blocks(message, &path)?),
            Some("tool") => ("user", vec![tool_result(message, &path)?]),
            _ => return Err(unsupported(&format!("{path}.role"), "is not known to the provider")),
        };
        match turns.last_mut() {
            Some((last, list)) if *last == role => list.extend(blocks),
            _ => turns.push((role, blocks)),
        }
    }
    trim_prefill(turns.last_mut());
    turns.retain(|(_, blocks)| !blocks.is_empty());
    if turns.is_empty() {
        return Err(Error::invalid("messages", "must hold a message that is not empty"));
    }
    let turns = turns.into_iter().map(|(role, blocks)| json!({"role": role, "content": blocks}));
    Ok(Conversation {
        messages: turns.collect(),
        system: (!system.is_empty()).then_some(Value::Array(system)),
    })
}

/// The beginning of an answer must not end with white space.
fn trim_prefill(last: Option<&mut (&str, Vec<Value>)>) {
    let Some(("assistant", blocks)) = last else { return };
    let Some(Value::Object(block)) = blocks.last_mut() else { return };
    let Some(text) = block.get("text").and_then(Value::as_str) else { return };
    let text = text.trim_end().to_owned();
    if text.is_empty() {
        blocks.pop();
    } else {
        block.insert("text".to_owned(), Value::String(text));
    }
}

/// A text block; none for an empty text, which the API refuses.
fn text_block(text: &str) -> Option<Value> {
    (!text.is_empty()).then(|| json!({"type": "text", "text": text}))
}

/// The blocks of a content that can be text only.
fn texts(content: &Value, path: &str) -> Result<Vec<Value>> {
    blocks(content, path, |part, path| match part.get("type").and_then(Value::as_str) {
        Some("text") => Ok(text_block(text_of(part)).map(|block| with_cache_mark(part, block))),
        Some("refusal") => {
            Ok(text_block(part.get("refusal").and_then(Value::as_str).unwrap_or_default()))
        }
        _ => Err(unsupported(path, "only text is taken here")),
    })
}

fn user_blocks(content: &Value, path: &str) -> Result<Vec<Value>> {
    blocks(content, path, |part, path| {
        let block = match part.get("type").and_then(Value::as_str) {
            Some("text") => text_block(text_of(part)),
            Some("image_url") => Some(image(part, path)?),
            Some("file") => Some(document(part, path)?),
            Some("input_audio") => {
                return Err(unsupported(path, "models of this provider do not take audio"));
            }
            _ => return Err(unsupported(path, "models of this provider do not take this part")),
        };
        Ok(block.map(|block| with_cache_mark(part, block)))
    })
}

fn blocks(
    content: &Value,
    path: &str,
    block: impl Fn(&Value, &str) -> Result<Option<Value>>,
) -> Result<Vec<Value>> {
    match content {
        Value::Null => Ok(Vec::new()),
        Value::String(text) => Ok(text_block(text).into_iter().collect()),
        Value::Array(parts) => {
            let mut out = Vec::with_capacity(parts.len());
            for (index, part) in parts.iter().enumerate() {
                out.extend(block(part, &format!("{path}[{index}]"))?);
            }
            Ok(out)
        }
        _ => Err(Error::invalid(path, "must be a text or a list of parts")),
    }
}

fn text_of(part: &Value) -> &str {
    part.get("text").and_then(Value::as_str).unwrap_or_default()
}

/// Marks of what the provider keeps in its cache stay on their part.
pub(super) fn with_cache_mark(part: &Value, mut block: Value) -> Value {
    if let (Some(mark), Some(fields)) = (part.get("cache_control"), block.as_object_mut()) {
        fields.insert("cache_control".to_owned(), mark.clone());
    }
    block
}

/// The type and the data of a `data:` URL in base64.
fn inline(url: &str) -> Option<(&str, &str)> {
    let url = DataUrl::read(url)?;
    Some((url.media_type, url.base64()?))
}

fn image(part: &Value, path: &str) -> Result<Value> {
    let path = format!("{path}.image_url");
    let url = part.get("image_url");
    let url = url.and_then(|image| image.get("url").unwrap_or(image).as_str());
    let url = url.ok_or_else(|| Error::invalid(format!("{path}.url"), "is required"))?;
    if url.starts_with("https://") || url.starts_with("http://") {
        return Ok(json!({"type": "image", "source": {"type": "url", "url": url}}));
    }
    let Some((kind, data)) = inline(url) else {
        return Err(Error::invalid(
            format!("{path}.url"),
            "must be an https: URL or a data: URL in base64",
        ));
    };
    let kind = kind.to_ascii_lowercase();
    let kind = if kind == "image/jpg" { "image/jpeg".to_owned() } else { kind };
    if !IMAGES.contains(&kind.as_str()) {
        let message = format!("models of this provider do not take {kind:?}");
        return Err(unsupported(&format!("{path}.url"), &message));
    }
    let source = json!({"type": "base64", "media_type": kind, "data": data});
    Ok(json!({"type": "image", "source": source}))
}

fn document(part: &Value, path: &str) -> Result<Value> {
    let file = part.get("file");
    let member = |name: &str| file.and_then(|file| file.get(name)).and_then(Value::as_str);
    let path = format!("{path}.file.file_data");
    let Some((kind, data)) = member("file_data").and_then(inline) else {
        return Err(unsupported(&path, "files have to be inline as a data: URL in base64"));
    };
    if !kind.eq_ignore_ascii_case("application/pdf") {
        return Err(unsupported(&path, "models of this provider take PDF files only"));
    }
    let source = json!({"type": "base64", "media_type": "application/pdf", "data": data});
    let mut block = json!({"type": "document", "source": source});
    if let (Some(name), Some(fields)) = (member("filename"), block.as_object_mut()) {
        fields.insert("title".to_owned(), json!(name));
    }
    Ok(block)
}

/// Thinking, text and tool calls. Of thinking the API takes only what it has signed itself: the
/// blocks of `thinking_blocks` are sent back as they came, `reasoning_content` alone is not.
fn assistant_blocks(message: &Value, path: &str) -> Result<Vec<Value>> {
    let content = message.get("content").unwrap_or(&Value::Null);
    let thinking = message.get("thinking_blocks").and_then(Value::as_array);
    let mut out: Vec<Value> = thinking.into_iter().flatten().filter_map(signed).collect();
    out.extend(texts(content, &format!("{path}.content"))?);
    out.extend(text_block(message.get("refusal").and_then(Value::as_str).unwrap_or_default()));
    let calls = message.get("tool_calls").and_then(Value::as_array);
    for (index, call) in calls.into_iter().flatten().enumerate() {
        let path = format!("{path}.tool_calls[{index}]");
        let function = call.get("function");
        let member = |name: &str| function.and_then(|function| function.get(name)?.as_str());
        let name = member("name")
            .ok_or_else(|| Error::invalid(format!("{path}.function.name"), "is required"))?;
        let block = json!({
            "type": "tool_use",
            "id": call_id(call.get("id"), &format!("{path}.id"))?,
            "name": name,
            "input": input(member("arguments").unwrap_or_default()),
        });
        out.push(with_cache_mark(call, block));
    }
    if message.get("function_call").is_some_and(|call| !call.is_null()) {
        return Err(unsupported(&format!("{path}.function_call"), "use tool_calls"));
    }
    Ok(out)
}

/// A block of thinking that the API takes back; none for one that it has not signed, such as that of
/// another provider's model.
fn signed(block: &Value) -> Option<Value> {
    let member = |name: &str| block.get(name)?.as_str().filter(|text| !text.is_empty());
    match block.get("type")?.as_str()? {
        "thinking" => {
            let thinking = block.get("thinking").and_then(Value::as_str).unwrap_or_default();
            let signature = member("signature")?;
            Some(json!({"type": "thinking", "thinking": thinking, "signature": signature}))
        }
        "redacted_thinking" => Some(json!({"type": "redacted_thinking", "data": member("data")?})),
        _ => None,
    }
}

/// The API takes objects only: arguments of any other kind stand in one, under `arguments`.
fn input(arguments: &str) -> Value {
    match serde_json::from_str(arguments) {
        Ok(Value::Object(object)) => Value::Object(object),
        _ if arguments.trim().is_empty() => json!({}),
        Ok(other) => json!({"arguments": other}),
        Err(_) => json!({"arguments": arguments}),
    }
}

fn tool_result(message: &Value, path: &str) -> Result<Value> {
    let id = call_id(message.get("tool_call_id"), &format!("{path}.tool_call_id"))?;
    let content = message.get("content").unwrap_or(&Value::Null);
    let content = user_blocks(content, &format!("{path}.content"))?;
    let mut block = Map::new();
    block.insert("type".to_owned(), json!("tool_result"));
    block.insert("tool_use_id".to_owned(), json!(id));
    if !content.is_empty() {
        block.insert("content".to_owned(), Value::Array(content));
    }
    if message.get("is_error") == Some(&Value::Bool(true)) {
        block.insert("is_error".to_owned(), Value::Bool(true));
    }
    Ok(with_cache_mark(message, Value::Object(block)))
}

/// The API takes letters, digits, `_` and `-`; any other byte is written as `_` and two digits.
fn call_id(id: Option<&Value>, path: &str) -> Result<String> {
    let id = id.and_then(Value::as_str).filter(|id| !id.is_empty());
    let id = id.ok_or_else(|| Error::invalid(path, "is required"))?;
    let mut out = String::with_capacity(id.len());
    for byte in id.bytes() {
        if byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'-') {
            out.push(char::from(byte));
        } else {
            out.push_str(&format!("_{byte:02x}"));
        }
    }
    Ok(out)
}
