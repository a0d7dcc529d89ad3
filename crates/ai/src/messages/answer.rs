//! A whole chat completion as a message.

use bytes::Bytes;
use downcity_core::{Error, Result};
use downcity_types::ErrorCode;
use serde_json::{Map, Value, json};

use super::{Usage, stop_reason};
use crate::convert::answer::{Completion, made_up_call_id};
use crate::stream::encoder::{End, NewCall, Out, Sink};

/// Collects one message.
pub(super) struct Whole {
    id: String,
    model: String,
    content: Vec<Value>,
    /// Where the calls stand in `content`, and their arguments.
    calls: Vec<(usize, String)>,
    declined: bool,
    end: Map<String, Value>,
}

impl Whole {
    pub(super) fn new(id: String, model: String) -> Self {
        let (content, calls) = (Vec::new(), Vec::new());
        Self { id, model, content, calls, declined: false, end: Map::new() }
    }

    /// The message that says what a completion says.
    ///
    /// # Errors
    /// Those of writing JSON.
    pub(super) fn written(mut self, completion: Completion) -> Result<Bytes> {
        completion.tell(&mut self, &mut Out::default());
        for (at, arguments) in self.calls {
            if let Some(Value::Object(block)) = self.content.get_mut(at) {
                block.insert("input".to_owned(), input(&arguments));
            }
        }
        let mut message = json!({
            "id": self.id,
            "type": "message",
            "role": "assistant",
            "model": self.model,
            "content": self.content,
        });
        if let Some(fields) = message.as_object_mut() {
            fields.extend(self.end);
        }
        serde_json::to_vec(&message).map(Bytes::from).map_err(Error::internal)
    }

    /// Lengthens the last block of this kind, or begins one.
    fn grow(&mut self, kind: &str, text: &str) {
        if let Some(Value::Object(last)) = self.content.last_mut()
            && last.get("type").is_some_and(|last| last == kind)
            // What is signed is complete.
            && last.get("signature").is_none_or(|signature| signature == "")
            && let Some(Value::String(said)) = last.get_mut(kind)
        {
            return said.push_str(text);
        }
        self.content.push(match kind {
            "thinking" => json!({"type": kind, "thinking": text, "signature": ""}),
            _ => json!({"type": kind, kind: text}),
        });
    }
}

/// Arguments that are no object stand in one: clients take nothing else.
fn input(arguments: &str) -> Value {
    match serde_json::from_str(arguments) {
        Ok(Value::Object(object)) => Value::Object(object),
        _ if arguments.trim().is_empty() => json!({}),
        Ok(other) => json!({"arguments": other}),
        Err(_) => json!({"arguments": arguments}),
    }
}

impl Sink for Whole {
    fn begin(&mut self, _: &mut Out) {}

    fn reasoning(&mut self, text: &str, _: &mut Out) {
        self.grow("thinking", text);
    }

    fn signed(&mut self, block: &Value, _: &mut Out) {
        let signature = block.get("signature").filter(|signature| signature.is_string());
        match (self.content.last_mut(), signature) {
            (Some(Value::Object(last)), Some(signature))
                if last.get("type").is_some_and(|kind| kind == "thinking")
                    && last.get("signature").is_some_and(|signature| signature == "") =>
            {
                last.insert("signature".to_owned(), signature.clone());
            }
            _ => self.content.push(block.clone()),
        }
    }

    fn text(&mut self, text: &str, _: &mut Out) {
        self.grow("text", text);
    }

    fn refusal(&mut self, text: &str, out: &mut Out) {
        self.declined = true;
        self.text(text, out);
    }

    fn call(&mut self, call: NewCall<'_>, _: &mut Out) {
        let id = call.id.map_or_else(|| made_up_call_id(&self.id, call.index), str::to_owned);
        self.calls.push((self.content.len(), String::new()));
        let block = json!({"type": "tool_use", "id": id, "name": call.name, "input": {}});
        self.content.push(block);
    }

    fn arguments(&mut self, at: usize, text: &str, _: &mut Out) {
        if let Some((_, arguments)) = self.calls.get_mut(at) {
            arguments.push_str(text);
        }
    }

    /// Whole answers that failed are told as errors, not as messages.
    fn fail(&mut self, _: ErrorCode, _: &str, _: &mut Out) {}

    fn end(&mut self, end: End<'_>, _: &mut Out) {
        let stop_sequence = end.stop_sequence;
        let reason = stop_reason(end.finish, !self.calls.is_empty(), self.declined, stop_sequence);
        let sequence = stop_sequence.filter(|_| reason == "stop_sequence");
        for (name, value) in [
            ("stop_reason", json!(reason)),
            ("stop_sequence", json!(sequence)),
            ("usage", json!(Usage::of(end.usage))),
        ] {
            self.end.insert(name.to_owned(), value);
        }
    }
}
