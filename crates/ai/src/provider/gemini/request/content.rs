//! The messages of a chat request as contents of Gemini.

use std::collections::HashMap;

use downcity_core::{Error, Result};
use serde_json::{Map, Value, json};

use super::{refuse, text};
use crate::convert::file::unsupported;
use crate::files::DataUrl;

/// A conversation in the form of Gemini.
#[derive(Default)]
pub(super) struct Conversation {
    /// Gemini knows one instruction, before all messages.
    system: Vec<Value>,
    contents: Vec<Content>,
    /// Names of the functions by the ids of their calls: Gemini knows results by name.
    names: HashMap<String, String>,
    /// Whether the model refuses turns of calls that carry no signature.
    needs_signatures: bool,
}

/// Stands for the signature of a turn whose own one is not known, as of another provider's model.
const NO_SIGNATURE: &str = "skip_thought_signature_validator";

struct Content {
    from: From,
    parts: Vec<Value>,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum From {
    User,
    Model,
    /// Results of functions, those of parallel calls together.
    Functions,
}

impl Conversation {
    /// # Errors
    /// 400 or 422 that names the field.
    pub(super) fn read(messages: &Value, needs_signatures: bool) -> Result<Self> {
        let Value::Array(messages) = messages else {
            return Err(Error::invalid("messages", "must be a list"));
        };
        let mut conversation = Self { needs_signatures, ..Self::default() };
        for (index, message) in messages.iter().enumerate() {
            let path = format!("messages[{index}]");
            let Value::Object(message) = message else {
                return Err(Error::invalid(path, "must be an object"));
            };
            conversation.message(message, &path)?;
        }
        Ok(conversation)
    }

    pub(super) fn write(self, out: &mut Map<String, Value>) {
        if !self.system.is_empty() {
            out.insert("systemInstruction".to_owned(), json!({"parts": self.system}));
        }
        if self.contents.is_empty() {
            return;
        }
        let contents = self.contents.into_iter().map(|content| {
            let role = if content.from == From::Model { "model" } else { "user" };
            json!({"role": role, "parts": content.parts})
        });
        out.insert("contents".to_owned(), contents.collect());
    }

    fn message(&mut self, message: &Map<String, Value>, path: &str) -> Result<()> {
        let role = message.get("role").and_then(Value::as_str).unwrap_or_default();
        let known: &[&str] = match role {
            "assistant" => {
                &["role", "content", "reasoning_content", "reasoning", "tool_calls", "refusal"]
            }
            "tool" => &["role", "content", "tool_call_id", "name"],
            "system" | "developer" | "user" => &["role", "content"],
            _ => {
                let message = "must be system, developer, user, assistant or tool";
                return Err(Error::invalid(format!("{path}.role"), message));
            }
        };
        let is_said = |value: &Value| !value.is_null() && *value != json!([]);
        let unknown =
            message.iter().find(|(name, value)| !known.contains(&name.as_str()) && is_said(value));
        if let Some((name, _)) = unknown {
            let message = "is not known to models of Gemini; leave it out";
            return Err(refuse(&format!("{path}.{name}"), message));
        }
        let content = message.get("content").unwrap_or(&Value::Null);
        let at = format!("{path}.content");
        match role {
            "system" | "developer" => self.system.extend(texts(content, &at)?),
            "user" => {
                let parts = user_parts(content, &at)?;
                self.push(From::User, parts);
            }
            "assistant" => {
                let parts = self.model_parts(message, content, path)?;
                self.push(From::Model, parts);
            }
            _ => {
                let part = self.result(message, content, path)?;
                self.push(From::Functions, vec![part]);
            }
        }
        Ok(())
    }

    /// Adds a content; what the model says, and what functions give back, is one turn each.
    fn push(&mut self, from: From, parts: Vec<Value>) {
        if parts.is_empty() {
            return;
        }
        match self.contents.last_mut() {
            Some(last) if last.from == from && from != From::User => last.parts.extend(parts),
            _ => self.contents.push(Content { from, parts }),
        }
    }

    fn model_parts(
        &mut self,
        message: &Map<String, Value>,
        content: &Value,
        path: &str,
    ) -> Result<Vec<Value>> {
        let mut parts = Vec::new();
        let reasoning = ["reasoning_content", "reasoning"];
        let reasoning = reasoning.into_iter().filter_map(|name| message.get(name)?.as_str());
        if let Some(reasoning) = reasoning.into_iter().find(|text| !text.is_empty()) {
            parts.push(json!({"text": reasoning, "thought": true}));
        }
        parts.extend(texts(content, &format!("{path}.content"))?);
        if let Some(refusal) = message.get("refusal").and_then(Value::as_str) {
            parts.push(json!({"text": refusal}));
        }
        let calls = message.get("tool_calls").filter(|calls| !calls.is_null());
        let Some(calls) = calls else { return Ok(parts) };
        let Value::Array(calls) = calls else {
            return Err(Error::invalid(format!("{path}.tool_calls"), "must be a list"));
        };
        let first = parts.len();
        for (index, call) in calls.iter().enumerate() {
            parts.push(self.call(call, &format!("{path}.tool_calls[{index}]"))?);
        }
        let signed = parts.iter().any(|part| part.get("thoughtSignature").is_some());
        // The first of several calls stands for all of them.
        if self.needs_signatures
            && !signed
            && let Some(Value::Object(call)) = parts.get_mut(first)
        {
            call.insert("thoughtSignature".to_owned(), json!(NO_SIGNATURE));
        }
        Ok(parts)
    }

    fn call(&mut self, call: &Value, path: &str) -> Result<Value> {
        let name = call.pointer("/function/name").unwrap_or(&Value::Null);
        let name = text(&format!("{path}.function.name"), name)?;
        if let Some(id) = call.get("id").and_then(Value::as_str) {
            self.names.insert(id.to_owned(), name.to_owned());
        }
        let arguments = call.pointer("/function/arguments").and_then(Value::as_str);
        let arguments = arguments.unwrap_or_default();
        let args = match serde_json::from_str(arguments) {
            Ok(Value::Object(args)) => Value::Object(args),
            // What a model once got wrong stays part of the conversation.
            Ok(other) => json!({"arguments": other}),
            Err(_) if arguments.trim().is_empty() => json!({}),
            Err(_) => json!({"arguments": arguments}),
        };
        let mut part = Map::new();
        part.insert("functionCall".to_owned(), json!({"name": name, "args": args}));
        if let Some(signature) = call.pointer("/extra_content/google/thought_signature") {
            part.insert("thoughtSignature".to_owned(), signature.clone());
        }
        Ok(Value::Object(part))
    }

    fn result(&self, message: &Map<String, Value>, content: &Value, path: &str) -> Result<Value> {
        let at = format!("{path}.tool_call_id");
        let id = text(&at, message.get("tool_call_id").unwrap_or(&Value::Null))?;
        let Some(name) = self.names.get(id) else {
            return Err(refuse(&at, "is the id of no call in the messages before"));
        };
        let texts = texts(content, &format!("{path}.content"))?;
        let output: String = texts.iter().filter_map(|part| part["text"].as_str()).collect();
        // Gemini takes objects; other results have their place under `output`.
        let response = match serde_json::from_str(&output) {
            Ok(Value::Object(object)) => Value::Object(object),
            _ => json!({"output": output}),
        };
        Ok(json!({"functionResponse": {"name": name, "response": response}}))
    }
}

/// The texts of a content that holds nothing else; empty ones are left out.
fn texts(content: &Value, path: &str) -> Result<Vec<Value>> {
    let mut texts = Vec::new();
    match content {
        Value::Null => {}
        Value::String(text) if text.is_empty() => {}
        Value::String(text) => texts.push(json!({"text": text})),
        Value::Array(parts) => {
            for (index, part) in parts.iter().enumerate() {
                let at = format!("{path}[{index}]");
                let said = match part.get("type").and_then(Value::as_str) {
                    Some("text") => part.get("text"),
                    Some("refusal") => part.get("refusal"),
                    _ => return Err(unsupported(&at, "only texts are taken here")),
                };
                let said = text(&format!("{at}.text"), said.unwrap_or(&Value::Null))?;
                if !said.is_empty() {
                    texts.push(json!({"text": said}));
                }
            }
        }
        _ => return Err(Error::invalid(path, "must be a text or a list of parts")),
    }
    Ok(texts)
}

fn user_parts(content: &Value, path: &str) -> Result<Vec<Value>> {
    match content {
        // An empty question is the provider's to answer, or to refuse.
        Value::String(text) => Ok(vec![json!({"text": text})]),
        Value::Array(parts) => {
            let parts = parts.iter().enumerate();
            parts.map(|(index, part)| user_part(part, &format!("{path}[{index}]"))).collect()
        }
        _ => Err(Error::invalid(path, "must be a text or a list of parts")),
    }
}

fn user_part(part: &Value, path: &str) -> Result<Value> {
    let member = |pointer: &str| {
        let at = format!("{path}{}", pointer.replace('/', "."));
        text(&at, part.pointer(pointer).unwrap_or(&Value::Null))
    };
    match part.get("type").and_then(Value::as_str) {
        Some("text") => Ok(json!({"text": member("/text")?})),
        Some("image_url") => {
            let detail = part.pointer("/image_url/detail").and_then(Value::as_str);
            if detail.is_some_and(|detail| detail != "auto") {
                let message = "must be auto: models of Gemini choose the resolution themselves";
                return Err(unsupported(&format!("{path}.image_url.detail"), message));
            }
            image(member("/image_url/url")?, &format!("{path}.image_url.url"))
        }
        Some("input_audio") => {
            let format = member("/input_audio/format")?;
            if !matches!(format, "wav" | "mp3" | "aiff" | "aac" | "ogg" | "flac") {
                let message = "must be wav, mp3, aiff, aac, ogg or flac";
                return Err(unsupported(&format!("{path}.input_audio.format"), message));
            }
            let data = member("/input_audio/data")?;
            Ok(json!({"inlineData": {"mimeType": format!("audio/{format}"), "data": data}}))
        }
        Some("file") => {
            if part.pointer("/file/file_id").is_some_and(Value::is_string) {
                let id = member("/file/file_id")?;
                if !id.starts_with("https://") {
                    let message = "must be the https: address of a file at Gemini";
                    return Err(unsupported(&format!("{path}.file.file_id"), message));
                }
                return Ok(json!({"fileData": {"fileUri": id}}));
            }
            inline(member("/file/file_data")?, &format!("{path}.file.file_data"))
        }
        _ => {
            let message = "models of Gemini take texts, images, audio and files";
            Err(unsupported(path, message))
        }
    }
}

fn image(url: &str, path: &str) -> Result<Value> {
    if url.starts_with("data:") {
        return inline(url, path);
    }
    let end = url.split(['?', '#']).next().unwrap_or_default().rsplit('.').next();
    let kind = match end.unwrap_or_default().to_ascii_lowercase().as_str() {
        "png" => Some("image/png"),
        "jpg" | "jpeg" => Some("image/jpeg"),
        "webp" => Some("image/webp"),
        "heic" => Some("image/heic"),
        "heif" => Some("image/heif"),
        "gif" => Some("image/gif"),
        _ => None,
    };
    Ok(match kind {
        Some(kind) => json!({"fileData": {"mimeType": kind, "fileUri": url}}),
        None => json!({"fileData": {"fileUri": url}}),
    })
}

/// The data of a `data:` URL in base64.
fn inline(url: &str, path: &str) -> Result<Value> {
    let Some(url) = DataUrl::read(url) else {
        return Err(Error::invalid(path, "is not a complete data: URL"));
    };
    let (kind, Some(data)) = (url.media_type, url.base64().filter(|_| !url.media_type.is_empty()))
    else {
        let message = "must be a data: URL that names its type and is in base64";
        return Err(unsupported(path, message));
    };
    Ok(json!({"inlineData": {"mimeType": kind, "data": data}}))
}
