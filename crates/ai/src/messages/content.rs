//! Messages with content blocks as chat messages.

use downcity_core::{Error, Result};
use serde_json::{Map, Value, json};

use super::request::{Taste, only};
use crate::convert::file::unsupported;

/// Copies a block's mark of what the provider keeps in its cache, for providers that know it.
pub(super) fn mark(mut part: Value, block: &Value, taste: Taste) -> Value {
    let mark = block.get("cache_control").filter(|mark| taste.native && !mark.is_null());
    if let (Some(mark), Some(fields)) = (mark, part.as_object_mut()) {
        fields.insert("cache_control".to_owned(), mark.clone());
    }
    part
}

/// The blocks of a content; a text stands for one block.
fn blocks<'a>(
    content: &'a Value,
    path: &str,
) -> Result<Vec<(String, std::borrow::Cow<'a, Value>)>> {
    use std::borrow::Cow;
    match content {
        Value::String(text) => {
            Ok(vec![(path.to_owned(), Cow::Owned(json!({"type": "text", "text": text})))])
        }
        Value::Array(list) => Ok(list
            .iter()
            .enumerate()
            .map(|(index, block)| (format!("{path}[{index}]"), Cow::Borrowed(block)))
            .collect()),
        _ => Err(Error::invalid(path, "must be a text or a list of blocks")),
    }
}

fn kind(block: &Value) -> &str {
    block.get("type").and_then(Value::as_str).unwrap_or_default()
}

/// A member that has to be a text.
fn text<'a>(block: &'a Value, name: &str, path: &str) -> Result<&'a str> {
    let text = block.get(name).and_then(Value::as_str);
    text.ok_or_else(|| Error::invalid(format!("{path}.{name}"), "must be a text"))
}

/// The instructions as the first message; `None` where there are none.
///
/// # Errors
/// 400 that names the block.
pub(super) fn system_message(system: &Value, taste: Taste) -> Result<Option<Value>> {
    let mut parts = Vec::new();
    for (path, block) in blocks(system, "system")? {
        if kind(&block) != "text" {
            return Err(Error::invalid(format!("{path}.type"), "must be text"));
        }
        only(&block, &path, &["type", "text", "cache_control"])?;
        let text = text(&block, "text", &path)?;
        if !text.is_empty() {
            parts.push(mark(json!({"type": "text", "text": text}), &block, taste));
        }
    }
    let content = match parts.as_slice() {
        [] => return Ok(None),
        parts if taste.native => Value::Array(parts.to_vec()),
        parts => {
            let texts: Vec<&str> = parts.iter().filter_map(|part| part["text"].as_str()).collect();
            json!(texts.join("\n\n"))
        }
    };
    Ok(Some(json!({"role": "system", "content": content})))
}

/// The chat messages of a user's message: the results of tools first, then the rest.
///
/// # Errors
/// 400 or 422 that names the block.
pub(super) fn user_messages(content: &Value, path: &str, taste: Taste) -> Result<Vec<Value>> {
    let (mut results, mut parts) = (Vec::new(), Vec::new());
    for (path, block) in blocks(content, path)? {
        if kind(&block) == "tool_result" {
            results.push(tool_result(&block, &path, &mut parts, taste)?);
        } else if let Some(part) = user_part(&block, &path, taste)? {
            parts.push(mark(part, &block, taste));
        }
    }
    if results.is_empty() && parts.is_empty() {
        return Err(Error::invalid(path, "must not be empty"));
    }
    if !parts.is_empty() {
        results.push(json!({"role": "user", "content": joined(parts, taste)}));
    }
    Ok(results)
}

/// Parts as the shortest content that says the same.
fn joined(parts: Vec<Value>, taste: Taste) -> Value {
    let is_plain = |part: &Value| part["type"] == "text" && part.get("cache_control").is_none();
    let texts = || parts.iter().filter_map(|part| part["text"].as_str()).collect::<Vec<_>>();
    match parts.as_slice() {
        [part] if is_plain(part) => part["text"].clone(),
        _ if taste.text_only => json!(texts().join("\n")),
        _ => Value::Array(parts),
    }
}

/// One part of a user's message; `None` where the provider does not take it and is lenient.
fn user_part(block: &Value, path: &str, taste: Taste) -> Result<Option<Value>> {
    let part = match kind(block) {
        "text" => {
            only(block, path, &["type", "text", "cache_control"])?;
            return Ok(Some(json!({"type": "text", "text": text(block, "text", path)?})));
        }
        "image" => image(block, path)?,
        "document" => document(block, path)?,
        _ => {
            let message = "must be text, image, document or tool_result";
            return Err(Error::invalid(format!("{path}.type"), message));
        }
    };
    if taste.text_only && part["type"] != "text" {
        if taste.lenient {
            return Ok(None);
        }
        return Err(unsupported(path, "the model takes text only"));
    }
    Ok(Some(part))
}

fn image(block: &Value, path: &str) -> Result<Value> {
    only(block, path, &["type", "source", "cache_control"])?;
    let at = format!("{path}.source");
    let source = block.get("source").unwrap_or(&Value::Null);
    let url = match kind(source) {
        "base64" => {
            let (media_type, data) = (text(source, "media_type", &at)?, text(source, "data", &at)?);
            format!("data:{media_type};base64,{data}")
        }
        "url" => text(source, "url", &at)?.to_owned(),
        _ => return Err(Error::invalid(format!("{at}.type"), "must be base64 or url")),
    };
    Ok(json!({"type": "image_url", "image_url": {"url": url}}))
}

fn document(block: &Value, path: &str) -> Result<Value> {
    only(block, path, &["type", "source", "title", "cache_control", "citations"])?;
    let wants_citations = block.pointer("/citations/enabled") == Some(&Value::Bool(true));
    if wants_citations {
        let message = "answers have no citations here; leave it out";
        return Err(Error::invalid(format!("{path}.citations"), message));
    }
    let at = format!("{path}.source");
    let source = block.get("source").unwrap_or(&Value::Null);
    let title = block.get("title").and_then(Value::as_str);
    let is = |media_type: &str| source.get("media_type").is_some_and(|kind| kind == media_type);
    match kind(source) {
        "base64" if is("application/pdf") => {
            let data = format!("data:application/pdf;base64,{}", text(source, "data", &at)?);
            let file = json!({"filename": title.unwrap_or("document.pdf"), "file_data": data});
            Ok(json!({"type": "file", "file": file}))
        }
        "text" if is("text/plain") => {
            let data = text(source, "data", &at)?;
            let whole = title.map_or(data.to_owned(), |title| format!("{title}\n\n{data}"));
            Ok(json!({"type": "text", "text": whole}))
        }
        "base64" | "text" => {
            let message = "must be application/pdf in base64, or text/plain as text";
            Err(Error::invalid(format!("{at}.media_type"), message))
        }
        _ => {
            let message = "must be base64 or text: documents have to be inline";
            Err(Error::invalid(format!("{at}.type"), message))
        }
    }
}

/// Begins the result of a tool that failed, where nothing else can say so.
const FAILED: &str = "Error: ";

/// The message of role `tool`. Files of the result that only users may send join `parts`.
fn tool_result(block: &Value, path: &str, parts: &mut Vec<Value>, taste: Taste) -> Result<Value> {
    only(block, path, &["type", "tool_use_id", "content", "is_error", "cache_control"])?;
    let id = text(block, "tool_use_id", path)?;
    let is_error = block.get("is_error") == Some(&Value::Bool(true));
    let at = format!("{path}.content");
    let (mut inside, mut words) = (Vec::new(), String::new());
    let content = block.get("content").filter(|content| !content.is_null());
    for (path, block) in content.map_or(Ok(Vec::new()), |content| blocks(content, &at))? {
        let Some(part) = user_part(&block, &path, taste)? else { continue };
        match part["text"].as_str().filter(|_| !taste.native) {
            Some(text) => words.push_str(text),
            None => inside.push(mark(part, &block, taste)),
        }
    }
    if taste.native {
        let mut message = Map::new();
        message.insert("role".to_owned(), json!("tool"));
        message.insert("tool_call_id".to_owned(), json!(id));
        message.insert("content".to_owned(), Value::Array(inside));
        if is_error {
            message.insert("is_error".to_owned(), Value::Bool(true));
        }
        return Ok(mark(Value::Object(message), block, taste));
    }
    if !inside.is_empty() {
        // Results are texts: what else they hold follows as a message of the user.
        if words.is_empty() {
            words.push_str("The result follows in the next message of the user.");
        }
        parts.push(json!({"type": "text", "text": format!("Result of the tool call {id}:")}));
        parts.append(&mut inside);
    }
    if is_error {
        words.insert_str(0, FAILED);
    }
    Ok(json!({"role": "tool", "tool_call_id": id, "content": words}))
}

/// What a model said before; `None` where it said nothing.
///
/// # Errors
/// 400 that names the block.
pub(super) fn assistant_message(
    content: &Value,
    path: &str,
    taste: Taste,
) -> Result<Option<Value>> {
    let (mut parts, mut calls, mut thoughts) = (Vec::new(), Vec::new(), Vec::new());
    for (path, block) in blocks(content, path)? {
        match kind(&block) {
            "text" => {
                // Citations tell where a text is from; they are no part of it.
                only(&block, &path, &["type", "text", "cache_control", "citations"])?;
                let text = text(&block, "text", &path)?;
                if !text.is_empty() {
                    parts.push(mark(json!({"type": "text", "text": text}), &block, taste));
                }
            }
            "tool_use" => calls.push(mark(tool_call(&block, &path)?, &block, taste)),
            "thinking" => {
                text(&block, "thinking", &path)?;
                thoughts.push(block.into_owned());
            }
            "redacted_thinking" => {
                text(&block, "data", &path)?;
                thoughts.push(block.into_owned());
            }
            _ => {
                let message = "must be text, thinking, redacted_thinking or tool_use";
                return Err(Error::invalid(format!("{path}.type"), message));
            }
        }
    }
    if parts.is_empty() && calls.is_empty() && thoughts.is_empty() {
        return Ok(None);
    }
    let mut message = Map::new();
    message.insert("role".to_owned(), json!("assistant"));
    let is_marked = parts.iter().any(|part| part.get("cache_control").is_some());
    let content = match parts.as_slice() {
        [] => Value::Null,
        _ if is_marked => Value::Array(parts),
        parts => parts.iter().filter_map(|part| part["text"].as_str()).collect::<String>().into(),
    };
    message.insert("content".to_owned(), content);
    think(thoughts, taste, &mut message);
    if !calls.is_empty() {
        message.insert("tool_calls".to_owned(), Value::Array(calls));
    }
    Ok(Some(Value::Object(message)))
}

/// Providers that speak the Messages API get the blocks, signatures and all; others the words.
fn think(thoughts: Vec<Value>, taste: Taste, message: &mut Map<String, Value>) {
    if thoughts.is_empty() {
        return;
    }
    if taste.native {
        message.insert("thinking_blocks".to_owned(), Value::Array(thoughts));
        return;
    }
    let words: String =
        thoughts.iter().filter_map(|block| block.get("thinking")?.as_str()).collect();
    if !words.is_empty() {
        message.insert("reasoning_content".to_owned(), json!(words));
    }
}

fn tool_call(block: &Value, path: &str) -> Result<Value> {
    only(block, path, &["type", "id", "name", "input", "cache_control", "caller"])?;
    let (id, name) = (text(block, "id", path)?, text(block, "name", path)?);
    let input = block.get("input").filter(|input| !input.is_null());
    let input = input.map_or("{}".to_owned(), Value::to_string);
    Ok(json!({"id": id, "type": "function", "function": {"name": name, "arguments": input}}))
}
