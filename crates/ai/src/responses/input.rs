//! The items of a conversation as messages of a chat request.

use downcity_core::{Error, Result};
use serde_json::{Map, Value, json};

use crate::convert::file::unsupported;

/// The messages that instructions and input become.
///
/// # Errors
/// 400 or 422 that names the part.
pub(super) fn messages(instructions: Option<&str>, input: &Value) -> Result<Value> {
    let mut conversation = Conversation::default();
    if let Some(instructions) = instructions.filter(|text| !text.is_empty()) {
        conversation.messages.push(json!({"role": "system", "content": instructions}));
    }
    match input {
        Value::String(text) => {
            conversation.messages.push(json!({"role": "user", "content": text}));
        }
        Value::Array(items) if !items.is_empty() => {
            for (index, item) in items.iter().enumerate() {
                conversation.item(item, &format!("input[{index}]"))?;
            }
        }
        _ => return Err(Error::invalid("input", "must be a text or a list of items")),
    }
    conversation.turn();
    Ok(Value::Array(conversation.messages))
}

#[derive(Default)]
struct Conversation {
    messages: Vec<Value>,
    turn: Turn,
}

/// What the model put out in one turn, which is one chat message however many items it is.
#[derive(Default)]
struct Turn {
    reasoning: String,
    /// Blocks of thinking with the signatures that their provider wants to see again.
    thinking: Vec<Value>,
    text: Option<String>,
    calls: Vec<Value>,
}

impl Conversation {
    fn item(&mut self, item: &Value, path: &str) -> Result<()> {
        let fields = item.as_object().ok_or_else(|| Error::invalid(path, "must be an object"))?;
        match fields.get("type").and_then(Value::as_str).unwrap_or("message") {
            "message" => self.message(fields, path),
            "function_call" => self.call(fields, path),
            "function_call_output" => self.output(fields, path),
            "reasoning" => self.reasoning(fields, path),
            "item_reference" => {
                let message =
                    "refers to a stored item; nothing is stored here, send the item itself";
                Err(Error::invalid(path, message))
            }
            other => {
                let message = format!("items of type {other:?} are not taken");
                Err(unsupported(&format!("{path}.type"), &message))
            }
        }
    }

    /// Ends the model's turn.
    fn turn(&mut self) {
        let Turn { reasoning, thinking, text, calls } = std::mem::take(&mut self.turn);
        if reasoning.is_empty() && thinking.is_empty() && text.is_none() && calls.is_empty() {
            return;
        }
        let mut message = Map::new();
        message.insert("role".to_owned(), json!("assistant"));
        let without_text = if calls.is_empty() { json!("") } else { Value::Null };
        message.insert("content".to_owned(), text.map_or(without_text, Value::String));
        if !reasoning.is_empty() {
            message.insert("reasoning_content".to_owned(), Value::String(reasoning));
        }
        if !thinking.is_empty() {
            message.insert("thinking_blocks".to_owned(), Value::Array(thinking));
        }
        if !calls.is_empty() {
            message.insert("tool_calls".to_owned(), Value::Array(calls));
        }
        self.messages.push(Value::Object(message));
    }

    /// Ends the model's turn where another one begins. Calls keep theirs open: their outputs have to
    /// follow the message that holds all of them.
    fn next_turn(&mut self) {
        if self.turn.text.is_some() && self.turn.calls.is_empty() {
            self.turn();
        }
    }

    fn message(&mut self, fields: &Map<String, Value>, path: &str) -> Result<()> {
        let content = Content { value: fields.get("content").unwrap_or(&Value::Null), path };
        match fields.get("role").and_then(Value::as_str) {
            Some("assistant") => {
                let text = content.text(&["output_text", "input_text", "refusal"])?;
                self.next_turn();
                self.turn.text.get_or_insert_default().push_str(&text);
            }
            Some("system" | "developer") => {
                let text = content.text(&["input_text"])?;
                self.turn();
                // Providers other than OpenAI know no developers.
                self.messages.push(json!({"role": "system", "content": text}));
            }
            Some("user") => {
                let content = content.parts()?;
                self.turn();
                self.messages.push(json!({"role": "user", "content": content}));
            }
            _ => {
                let message = "must be user, assistant, system or developer";
                return Err(Error::invalid(format!("{path}.role"), message));
            }
        }
        Ok(())
    }

    fn reasoning(&mut self, fields: &Map<String, Value>, path: &str) -> Result<()> {
        if fields.get("encrypted_content").is_some_and(|sealed| !sealed.is_null()) {
            let message = "cannot be read here; leave it out";
            return Err(unsupported(&format!("{path}.encrypted_content"), message));
        }
        self.next_turn();
        for list in ["summary", "content"] {
            let parts = fields.get(list).and_then(Value::as_array).into_iter().flatten();
            for text in parts.filter_map(|part| part.get("text").and_then(Value::as_str)) {
                self.turn.reasoning.push_str(text);
            }
        }
        let thinking = fields.get("thinking_blocks").and_then(Value::as_array);
        self.turn.thinking.extend(thinking.into_iter().flatten().cloned());
        Ok(())
    }

    fn call(&mut self, fields: &Map<String, Value>, path: &str) -> Result<()> {
        let function = json!({
            "name": required(fields, "name", path)?,
            "arguments": required(fields, "arguments", path)?,
        });
        let id = required(fields, "call_id", path)?;
        let mut call = json!({"id": id, "type": "function", "function": function});
        if let Some(extra) = fields.get("extra_content").filter(|extra| !extra.is_null()) {
            call["extra_content"] = extra.clone();
        }
        self.turn.calls.push(call);
        Ok(())
    }

    fn output(&mut self, fields: &Map<String, Value>, path: &str) -> Result<()> {
        let id = required(fields, "call_id", path)?;
        let path = format!("{path}.output");
        let value = fields.get("output").unwrap_or(&Value::Null);
        let text = list_of_texts(value, &path, &["input_text", "output_text"])?;
        self.turn();
        self.messages.push(json!({"role": "tool", "tool_call_id": id, "content": text}));
        Ok(())
    }
}

fn required<'a>(fields: &'a Map<String, Value>, name: &str, path: &str) -> Result<&'a str> {
    let text = fields.get(name).and_then(Value::as_str);
    text.ok_or_else(|| Error::invalid(format!("{path}.{name}"), "must be a text"))
}

/// The content of a message: a text or a list of parts.
struct Content<'a> {
    value: &'a Value,
    path: &'a str,
}

impl Content<'_> {
    /// The texts of all parts, which may be of these types.
    fn text(&self, types: &[&str]) -> Result<String> {
        list_of_texts(self.value, &format!("{}.content", self.path), types)
    }

    /// The content of a user's message; a text where it holds no more than one.
    fn parts(&self) -> Result<Value> {
        let path = format!("{}.content", self.path);
        let parts = match self.value {
            Value::String(text) => return Ok(json!(text)),
            Value::Array(parts) if !parts.is_empty() => parts,
            _ => return Err(Error::invalid(path, "must be a text or a list of parts")),
        };
        let translated = parts.iter().enumerate();
        let translated =
            translated.map(|(index, part)| user_part(part, &format!("{path}[{index}]")));
        let mut translated = translated.collect::<Result<Vec<Value>>>()?;
        match translated.as_mut_slice() {
            [only] if only["type"] == "text" => Ok(only["text"].take()),
            _ => Ok(Value::Array(translated)),
        }
    }
}

/// A text, or the texts of a list of parts of these types.
fn list_of_texts(value: &Value, path: &str, types: &[&str]) -> Result<String> {
    let parts = match value {
        Value::String(text) => return Ok(text.clone()),
        Value::Array(parts) => parts,
        _ => return Err(Error::invalid(path, "must be a text or a list of parts")),
    };
    let texts = parts.iter().enumerate().map(|(index, part)| {
        let path = format!("{path}[{index}]");
        let kind = part.get("type").and_then(Value::as_str).unwrap_or_default();
        if !types.contains(&kind) {
            let message = format!("must be one of {}: only texts are taken here", types.join(", "));
            return Err(unsupported(&format!("{path}.type"), &message));
        }
        let name = if kind == "refusal" { "refusal" } else { "text" };
        let text = part.get(name).and_then(Value::as_str);
        text.ok_or_else(|| Error::invalid(format!("{path}.{name}"), "must be a text"))
    });
    texts.collect()
}

/// A part of a user's message.
fn user_part(part: &Value, path: &str) -> Result<Value> {
    let fields = part.as_object().ok_or_else(|| Error::invalid(path, "must be an object"))?;
    let given = |name: &str| fields.get(name).filter(|value| !value.is_null());
    if given("file_id").is_some() {
        let message = "files are not stored here; send the content itself";
        return Err(unsupported(&format!("{path}.file_id"), message));
    }
    match fields.get("type").and_then(Value::as_str).unwrap_or_default() {
        "input_text" => Ok(json!({"type": "text", "text": required(fields, "text", path)?})),
        "input_image" => {
            let mut image = json!({"url": required(fields, "image_url", path)?});
            if let Some(detail) = given("detail") {
                image["detail"] = detail.clone();
            }
            Ok(json!({"type": "image_url", "image_url": image}))
        }
        "input_audio" => {
            let audio = given("input_audio");
            let audio = audio
                .ok_or_else(|| Error::invalid(format!("{path}.input_audio"), "is required"))?;
            Ok(json!({"type": "input_audio", "input_audio": audio}))
        }
        "input_file" => {
            if given("file_url").is_some() {
                let message = "files have to be inline as file_data";
                return Err(unsupported(&format!("{path}.file_url"), message));
            }
            let mut file = json!({"file_data": required(fields, "file_data", path)?});
            if let Some(name) = given("filename") {
                file["filename"] = name.clone();
            }
            Ok(json!({"type": "file", "file": file}))
        }
        other => {
            let message = format!("parts of type {other:?} are not taken");
            Err(unsupported(&format!("{path}.type"), &message))
        }
    }
}
