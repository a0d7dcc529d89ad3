//! UI messages as chat messages.

use downcity_core::{Error, Result};
use downcity_types::{FilePart, ToolPart, ToolState, UiMessage, UiPart, UiRole};
use serde_json::{Map, Value, json};

use super::file::{content_part, unsupported};

/// What a provider's models can take.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Taste {
    /// Text only: contents are single texts.
    pub(crate) text_only: bool,
    /// Where only text is taken, other parts are dropped in silence.
    pub(crate) lenient: bool,
}

impl Taste {
    fn refuses(self, file: &FilePart) -> bool {
        self.text_only && !file.media_type.starts_with("text/")
    }
}

/// The chat messages of a conversation.
///
/// Sources, data parts and parts of unknown types are meant for the application and are not sent.
///
/// # Errors
/// 400 or 422 that names the part.
pub(crate) fn chat_messages(messages: &[UiMessage], taste: Taste) -> Result<Vec<Value>> {
    let mut out = Vec::with_capacity(messages.len() + 1);
    for (index, message) in messages.iter().enumerate() {
        let path = format!("messages[{index}]");
        match message.role {
            UiRole::System => {
                no_files(&message.parts, &path, taste, "the system")?;
                out.push(json!({"role": "system", "content": system_text(&message.parts)}));
            }
            UiRole::User => out.push(user_message(&message.parts, &path, taste)?),
            UiRole::Assistant => {
                no_files(&message.parts, &path, taste, "the assistant")?;
                assistant_messages(&message.parts, &mut out);
            }
        }
    }
    Ok(out)
}

/// Chat messages of the system and the assistant have no place for files.
///
/// # Errors
/// 422 that names the first one, unless such parts are to be dropped.
fn no_files(parts: &[UiPart], path: &str, taste: Taste, whose: &str) -> Result<()> {
    let at = parts.iter().position(|part| matches!(part, UiPart::File(_)));
    match at {
        Some(at) if !(taste.text_only && taste.lenient) => {
            let message =
                format!("files in a message of {whose} are not taken; send it as a user's");
            Err(unsupported(&format!("{path}.parts[{at}]"), &message))
        }
        _ => Ok(()),
    }
}

fn system_text(parts: &[UiPart]) -> String {
    let texts = parts.iter().filter_map(|part| match part {
        UiPart::Text(text) => Some(text.text.as_str()),
        _ => None,
    });
    texts.collect()
}

fn user_message(parts: &[UiPart], path: &str, taste: Taste) -> Result<Value> {
    let mut content = Vec::with_capacity(parts.len());
    for (index, part) in parts.iter().enumerate() {
        let path = format!("{path}.parts[{index}]");
        match part {
            UiPart::Text(text) => content.push(json!({"type": "text", "text": text.text})),
            UiPart::File(file) if taste.refuses(file) && taste.lenient => {}
            UiPart::File(file) if taste.refuses(file) => {
                return Err(unsupported(&path, "the model takes text only"));
            }
            UiPart::File(file) => content.push(content_part(file, &path)?),
            _ => {}
        }
    }
    if content.is_empty() {
        return Err(Error::invalid(format!("{path}.parts"), "must hold a text or a file"));
    }
    let one_text = matches!(content.as_slice(), [part] if part["type"] == "text");
    if taste.text_only || one_text {
        let texts = content.iter().filter_map(|part| part["text"].as_str());
        let text = texts.collect::<Vec<_>>().join("\n");
        return Ok(json!({"role": "user", "content": text}));
    }
    Ok(json!({"role": "user", "content": content}))
}

/// One model step of an assistant's message.
#[derive(Default)]
struct Block<'a> {
    text: String,
    reasoning: String,
    calls: Vec<&'a ToolPart>,
}

fn assistant_messages(parts: &[UiPart], out: &mut Vec<Value>) {
    let mut block = Block::default();
    for part in parts {
        match part {
            UiPart::StepStart => std::mem::take(&mut block).finish(out),
            UiPart::Text(part) => block.text.push_str(&part.text),
            UiPart::Reasoning(part) => block.reasoning.push_str(&part.text),
            // A call whose input never became complete was never made.
            UiPart::Tool(call) if call.state != ToolState::InputStreaming => block.calls.push(call),
            _ => {}
        }
    }
    block.finish(out);
}

impl Block<'_> {
    fn finish(self, out: &mut Vec<Value>) {
        if self.text.is_empty() && self.reasoning.is_empty() && self.calls.is_empty() {
            return;
        }
        let mut message = Map::new();
        message.insert("role".to_owned(), json!("assistant"));
        let content = if self.text.is_empty() && !self.calls.is_empty() {
            Value::Null
        } else {
            Value::String(self.text)
        };
        message.insert("content".to_owned(), content);
        if !self.reasoning.is_empty() {
            message.insert("reasoning_content".to_owned(), Value::String(self.reasoning));
        }
        if !self.calls.is_empty() {
            let calls = self.calls.iter().map(|call| tool_call(call)).collect();
            message.insert("tool_calls".to_owned(), Value::Array(calls));
        }
        out.push(Value::Object(message));
        out.extend(self.calls.iter().filter_map(|call| tool_result(call)));
    }
}

fn tool_call(call: &ToolPart) -> Value {
    let arguments = match (&call.input, &call.raw_input) {
        (Some(input), _) | (None, Some(input)) => input.to_string(),
        (None, None) => "{}".to_owned(),
    };
    json!({
        "id": call.tool_call_id,
        "type": "function",
        "function": {"name": call.tool_name, "arguments": arguments},
    })
}

/// The message that tells the model how a call ended; `None` while it has not.
fn tool_result(call: &ToolPart) -> Option<Value> {
    let content = match call.state {
        ToolState::OutputAvailable => match &call.output {
            Some(Value::String(text)) => text.clone(),
            Some(output) => output.to_string(),
            None => String::new(),
        },
        ToolState::OutputError => {
            call.error_text.clone().unwrap_or_else(|| "The tool failed.".to_owned())
        }
        ToolState::OutputDenied => {
            let reason = call.approval.as_ref().and_then(|approval| approval.get("reason"));
            let reason = reason.and_then(Value::as_str);
            reason.unwrap_or("The user refused this call.").to_owned()
        }
        _ => return None,
    };
    Some(json!({"role": "tool", "tool_call_id": call.tool_call_id, "content": content}))
}
