//! A whole chat completion as a UI message.

use std::collections::BTreeSet;

use downcity_types::{FinishReason, ToolPart, UiMessage, UiPart, UiRole, Usage};
use serde::Deserialize;
use serde_json::{Map, Value, json};

use crate::failure::Failure;
use crate::stream::encoder::{End, NewCall, Out, Sink};

/// A whole chat completion, as far as it is read.
#[derive(Debug, Deserialize)]
pub(crate) struct Completion {
    #[serde(default)]
    choices: Vec<Choice>,
    #[serde(default)]
    pub(crate) usage: Option<Value>,
}

#[derive(Debug, Deserialize)]
struct Choice {
    message: Message,
    #[serde(default)]
    finish_reason: Option<String>,
    /// The text at which the answer was to stop and did; some providers tell a number in its place.
    #[serde(default)]
    stop_reason: Option<Value>,
}

#[derive(Debug, Deserialize)]
struct Message {
    #[serde(default)]
    content: Option<Value>,
    #[serde(default)]
    reasoning_content: Option<String>,
    #[serde(default)]
    reasoning: Option<Value>,
    #[serde(default)]
    thinking_blocks: Option<Value>,
    #[serde(default)]
    refusal: Option<String>,
    #[serde(default)]
    tool_calls: Option<Vec<ToolCall>>,
}

#[derive(Debug, Deserialize)]
struct ToolCall {
    #[serde(default)]
    id: Option<String>,
    function: Function,
    #[serde(default)]
    extra_content: Option<Value>,
}

#[derive(Debug, Deserialize)]
struct Function {
    name: String,
    #[serde(default)]
    arguments: String,
}

/// What identifies an answer: id, model and caller.
#[derive(Clone, Debug, Default)]
pub(crate) struct AnswerOf {
    pub(crate) message_id: String,
    pub(crate) model: String,
    pub(crate) city_id: Option<String>,
    pub(crate) user_id: Option<String>,
}

impl AnswerOf {
    /// `{model, city_id, user_id}`, without what is unknown.
    pub(crate) fn metadata(&self) -> Map<String, Value> {
        let mut metadata = Map::new();
        metadata.insert("model".to_owned(), json!(self.model));
        for (name, value) in [("city_id", &self.city_id), ("user_id", &self.user_id)] {
            if let Some(value) = value {
                metadata.insert(name.to_owned(), json!(value));
            }
        }
        metadata
    }
}

/// `{finishReason, usage}`, usage left out where the provider told none.
pub(crate) fn finish_metadata(finish: FinishReason, usage: Option<&Value>) -> Map<String, Value> {
    let mut metadata = Map::new();
    metadata.insert("finishReason".to_owned(), json!(finish.as_str()));
    if let Some(usage) = usage.and_then(Usage::from_openai) {
        metadata.insert("usage".to_owned(), json!(usage));
    }
    metadata
}

/// The input of a tool call: its arguments as JSON, no arguments as `{}`, else the raw text.
pub(crate) fn tool_input(arguments: &str) -> Value {
    if arguments.trim().is_empty() {
        return json!({});
    }
    serde_json::from_str(arguments).unwrap_or_else(|_| Value::String(arguments.to_owned()))
}

impl Completion {
    /// Reads a completion.
    ///
    /// # Errors
    /// [`Failure::Unreadable`] for anything else, errors under 200 included.
    pub(crate) fn read(bytes: &[u8]) -> Result<Self, Failure> {
        let completion: Self = serde_json::from_slice(bytes).map_err(|error| {
            let (line, column) = (error.line(), error.column());
            let what = format!("not a chat completion (line {line}, column {column})");
            Failure::Unreadable(what)
        })?;
        if completion.choices.is_empty() {
            return Err(Failure::Unreadable("no choices".to_owned()));
        }
        Ok(completion)
    }

    /// The bytes of all texts in it, for prices.
    pub(crate) fn produced(&self) -> u64 {
        let bytes = self.choices.iter().map(|choice| {
            let message = &choice.message;
            let content = message.content.as_ref().map_or(0, |content| content_text(content).len());
            let reasoning = message.reasoning_content.as_deref();
            let reasoning = reasoning.or(message.reasoning.as_ref().and_then(Value::as_str));
            let calls = message.tool_calls.iter().flatten();
            let calls = calls.map(|call| call.function.name.len() + call.function.arguments.len());
            let refusal = message.refusal.as_deref().map_or(0, str::len);
            content + refusal + reasoning.map_or(0, str::len) + calls.sum::<usize>()
        });
        bytes.sum::<usize>() as u64
    }

    /// Tells a sink the first choice as if it had been streamed.
    pub(crate) fn tell(self, sink: &mut impl Sink, out: &mut Out) {
        sink.begin(out);
        let choice = self.choices.into_iter().next();
        let finish = choice.as_ref().and_then(|choice| choice.finish_reason.as_deref());
        let finish = finish.map(FinishReason::from_openai);
        let mut stop = None;
        if let Some(Choice { message, stop_reason, .. }) = choice {
            message.tell(sink, out);
            stop = stop_reason;
        }
        let stop_sequence = stop.as_ref().and_then(Value::as_str);
        sink.end(End { finish, usage: self.usage.as_ref(), stop_sequence }, out);
    }

    /// The message of the first choice.
    pub(crate) fn into_message(self, of: &AnswerOf) -> UiMessage {
        let usage = self.usage;
        let choice = self.choices.into_iter().next();
        let finish = choice.as_ref().and_then(|choice| choice.finish_reason.as_deref());
        let finish = finish.map_or(FinishReason::Other, FinishReason::from_openai);
        let mut metadata = of.metadata();
        metadata.extend(finish_metadata(finish, usage.as_ref()));
        UiMessage {
            id: Some(of.message_id.clone()),
            role: UiRole::Assistant,
            parts: choice.map(|choice| parts(choice.message, &of.message_id)).unwrap_or_default(),
            metadata: Some(Value::Object(metadata)),
        }
    }
}

impl Message {
    /// The reasoning, which stands under one of two names; never empty.
    fn reasoning(&self) -> Option<&str> {
        let own = self.reasoning_content.as_deref().filter(|text| !text.is_empty());
        let other = || self.reasoning.as_ref().and_then(Value::as_str);
        own.or_else(other).filter(|text| !text.is_empty())
    }

    /// The text of the answer.
    fn text(&self) -> String {
        self.content.as_ref().map(content_text).unwrap_or_default()
    }

    fn tell(self, sink: &mut impl Sink, out: &mut Out) {
        match self.thinking_blocks.as_ref().and_then(Value::as_array) {
            Some(blocks) if !blocks.is_empty() => {
                for block in blocks {
                    let words = block.get("thinking").and_then(Value::as_str);
                    if let Some(words) = words.filter(|words| !words.is_empty()) {
                        sink.reasoning(words, out);
                    }
                    sink.signed(block, out);
                }
            }
            _ => {
                if let Some(reasoning) = self.reasoning() {
                    sink.reasoning(reasoning, out);
                }
            }
        }
        let text = self.text();
        if !text.is_empty() {
            sink.text(&text, out);
        }
        if let Some(refusal) = self.refusal.as_deref().filter(|text| !text.is_empty()) {
            sink.refusal(refusal, out);
        }
        let mut ids = BTreeSet::new();
        for (at, call) in self.tool_calls.into_iter().flatten().enumerate() {
            // Clients tell calls apart by their ids.
            let id = call.id.filter(|id| !id.is_empty() && ids.insert(id.clone()));
            let id = id.as_deref();
            let Function { name, arguments } = call.function;
            let extra = call.extra_content;
            sink.call(NewCall { at, index: at, id, name: &name, extra }, out);
            if !arguments.is_empty() {
                sink.arguments(at, &arguments, out);
            }
        }
    }
}

fn parts(message: Message, message_id: &str) -> Vec<UiPart> {
    let mut parts = Vec::with_capacity(2);
    if let Some(reasoning) = message.reasoning() {
        parts.push(UiPart::reasoning(reasoning));
    }
    let text = message.text() + message.refusal.as_deref().unwrap_or_default();
    parts.push(UiPart::text(text));
    let mut ids = BTreeSet::new();
    for (index, call) in message.tool_calls.into_iter().flatten().enumerate() {
        // Clients tell calls apart by their ids.
        let id = call.id.filter(|id| !id.is_empty() && ids.insert(id.clone()));
        let id = id.unwrap_or_else(|| made_up_call_id(message_id, index));
        let input = tool_input(&call.function.arguments);
        parts.push(UiPart::Tool(Box::new(ToolPart::dynamic_call(id, call.function.name, input))));
    }
    parts
}

/// The id of a call for which the provider sent none.
pub(crate) fn made_up_call_id(message_id: &str, index: usize) -> String {
    format!("call_{}_{index}", message_id.trim_start_matches("msg_"))
}

/// The text of a content: a string, or the texts of a list of parts.
fn content_text(content: &Value) -> String {
    match content {
        Value::String(text) => text.clone(),
        Value::Array(parts) => {
            parts.iter().filter_map(|part| part.get("text").and_then(Value::as_str)).collect()
        }
        _ => String::new(),
    }
}
