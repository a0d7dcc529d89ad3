//! The form of streamed messages.
//!
//! Blocks come one after another, each closed before the next begins, as readers of the API expect.
//! Providers may tell several tool calls at once: what cannot be written yet waits until the call
//! that is being written is complete.

use downcity_types::{AnthropicError, ErrorCode};
use serde_json::{Value, json};

use super::{Usage, stop_reason};
use crate::convert::answer::made_up_call_id;
use crate::stream::depth::Depth;
use crate::stream::encoder::{End, NewCall, Out, Sink};

/// The block that is being written.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Open {
    Nothing,
    Thinking,
    Text,
    /// The call at this place.
    Call(usize),
}

/// A tool call of the answer.
struct Call {
    id: String,
    name: String,
    depth: Depth,
    /// Its arguments are a whole object.
    is_complete: bool,
    has_begun: bool,
    /// Arguments that came before the call could be written.
    waiting: String,
}

/// What was said while an incomplete call was being written.
enum Later {
    Thinking(String),
    Signed(Value),
    Text(String),
}

/// Writes one message as events.
pub(crate) struct MessageSink {
    id: String,
    model: String,
    request_id: String,
    /// How many blocks have begun.
    blocks: usize,
    open: Open,
    calls: Vec<Call>,
    later: Vec<Later>,
    declined: bool,
    /// An error was told: nothing follows one.
    has_failed: bool,
}

impl MessageSink {
    pub(super) fn new(id: String, model: String, request_id: String) -> Self {
        Self {
            id,
            model,
            request_id,
            blocks: 0,
            open: Open::Nothing,
            calls: Vec::new(),
            later: Vec::new(),
            declined: false,
            has_failed: false,
        }
    }

    /// Whether a call is being written whose arguments are not complete.
    fn is_busy(&self) -> bool {
        match self.open {
            Open::Call(at) => self.calls.get(at).is_some_and(|call| !call.is_complete),
            _ => false,
        }
    }

    fn begin_block(&mut self, open: Open, block: &Value, out: &mut Out) {
        self.close_block(out);
        if self.has_failed {
            return;
        }
        let event =
            json!({"type": "content_block_start", "index": self.blocks, "content_block": block});
        out.event("content_block_start", &event);
        self.blocks += 1;
        self.open = open;
    }

    fn delta(&self, delta: &Value, out: &mut Out) {
        if self.has_failed {
            return;
        }
        let index = self.blocks.saturating_sub(1);
        let event = json!({"type": "content_block_delta", "index": index, "delta": delta});
        out.event("content_block_delta", &event);
    }

    fn close_block(&mut self, out: &mut Out) {
        let is_open = std::mem::replace(&mut self.open, Open::Nothing) != Open::Nothing;
        if is_open && !self.has_failed {
            let index = self.blocks.saturating_sub(1);
            out.event("content_block_stop", &json!({"type": "content_block_stop", "index": index}));
        }
    }

    fn write_thinking(&mut self, text: &str, out: &mut Out) {
        if self.open != Open::Thinking {
            let block = json!({"type": "thinking", "thinking": "", "signature": ""});
            self.begin_block(Open::Thinking, &block, out);
        }
        self.delta(&json!({"type": "thinking_delta", "thinking": text}), out);
    }

    fn write_text(&mut self, text: &str, out: &mut Out) {
        if self.open != Open::Text {
            self.begin_block(Open::Text, &json!({"type": "text", "text": ""}), out);
        }
        self.delta(&json!({"type": "text_delta", "text": text}), out);
    }

    /// A signature ends the block that it signs; thoughts without words are a block of their own.
    fn write_signed(&mut self, block: &Value, out: &mut Out) {
        match block.get("signature").filter(|signature| signature.is_string()) {
            Some(signature) => {
                if self.open != Open::Thinking {
                    let block = json!({"type": "thinking", "thinking": "", "signature": ""});
                    self.begin_block(Open::Thinking, &block, out);
                }
                self.delta(&json!({"type": "signature_delta", "signature": signature}), out);
            }
            None => self.begin_block(Open::Thinking, block, out),
        }
        self.close_block(out);
    }

    fn write_arguments(&self, text: &str, out: &mut Out) {
        self.delta(&json!({"type": "input_json_delta", "partial_json": text}), out);
    }

    /// Begins the next call that waits, unless one is being written that is not complete.
    fn advance(&mut self, out: &mut Out) {
        while !self.is_busy() {
            let Some(at) = self.calls.iter().position(|call| !call.has_begun) else { return };
            self.begin_call(at, out);
        }
    }

    fn begin_call(&mut self, at: usize, out: &mut Out) {
        let Some(call) = self.calls.get_mut(at) else { return };
        call.has_begun = true;
        let waiting = std::mem::take(&mut call.waiting);
        let block = json!({"type": "tool_use", "id": call.id, "name": call.name, "input": {}});
        self.begin_block(Open::Call(at), &block, out);
        if !waiting.is_empty() {
            self.write_arguments(&waiting, out);
        }
    }

    /// Writes everything that waits, complete or not.
    fn flush(&mut self, out: &mut Out) {
        while let Some(at) = self.calls.iter().position(|call| !call.has_begun) {
            self.begin_call(at, out);
        }
        for later in std::mem::take(&mut self.later) {
            match later {
                Later::Thinking(text) => self.write_thinking(&text, out),
                Later::Signed(block) => self.write_signed(&block, out),
                Later::Text(text) => self.write_text(&text, out),
            }
        }
        self.close_block(out);
    }
}

impl Sink for MessageSink {
    const KEEP_ALIVE: &'static [u8] = b"event: ping\ndata: {\"type\":\"ping\"}\n\n";

    fn begin(&mut self, out: &mut Out) {
        let message = json!({
            "id": self.id,
            "type": "message",
            "role": "assistant",
            "model": self.model,
            "content": [],
            "stop_reason": null,
            "stop_sequence": null,
            // Providers tell it at the end.
            "usage": Usage::default(),
        });
        out.event("message_start", &json!({"type": "message_start", "message": message}));
    }

    fn reasoning(&mut self, text: &str, out: &mut Out) {
        if !self.is_busy() {
            return self.write_thinking(text, out);
        }
        match self.later.last_mut() {
            Some(Later::Thinking(last)) => last.push_str(text),
            _ => self.later.push(Later::Thinking(text.to_owned())),
        }
    }

    fn signed(&mut self, block: &Value, out: &mut Out) {
        if self.is_busy() {
            self.later.push(Later::Signed(block.clone()));
        } else {
            self.write_signed(block, out);
        }
    }

    fn text(&mut self, text: &str, out: &mut Out) {
        if !self.is_busy() {
            return self.write_text(text, out);
        }
        match self.later.last_mut() {
            Some(Later::Text(last)) => last.push_str(text),
            _ => self.later.push(Later::Text(text.to_owned())),
        }
    }

    fn refusal(&mut self, text: &str, out: &mut Out) {
        self.declined = true;
        self.text(text, out);
    }

    fn call(&mut self, call: NewCall<'_>, out: &mut Out) {
        let id = call.id.map_or_else(|| made_up_call_id(&self.id, call.index), str::to_owned);
        self.calls.push(Call {
            id,
            name: call.name.to_owned(),
            depth: Depth::default(),
            is_complete: false,
            has_begun: false,
            waiting: String::new(),
        });
        self.advance(out);
    }

    fn arguments(&mut self, at: usize, text: &str, out: &mut Out) {
        let is_open = self.open == Open::Call(at);
        let Some(call) = self.calls.get_mut(at) else { return };
        call.is_complete |= call.depth.feed(text);
        match (is_open, call.has_begun) {
            (true, _) => {
                self.write_arguments(text, out);
                self.advance(out);
            }
            (false, false) => call.waiting.push_str(text),
            // Nothing but blanks can follow a whole object.
            (false, true) => {}
        }
    }

    fn fail(&mut self, code: ErrorCode, sentence: &str, out: &mut Out) {
        if std::mem::replace(&mut self.has_failed, true) {
            return;
        }
        let code_name = Some(code.as_str().to_owned());
        let error = AnthropicError::new(code.anthropic_type(), sentence, code_name);
        let error = AnthropicError { request_id: Some(self.request_id.clone()), ..error };
        out.event("error", &error);
    }

    fn end(&mut self, end: End<'_>, out: &mut Out) {
        if self.has_failed {
            return;
        }
        self.flush(out);
        let has_calls = !self.calls.is_empty();
        let reason = stop_reason(end.finish, has_calls, self.declined, end.stop_sequence);
        let sequence = end.stop_sequence.filter(|_| reason == "stop_sequence");
        let event = json!({
            "type": "message_delta",
            "delta": {"stop_reason": reason, "stop_sequence": sequence},
            "usage": Usage::of(end.usage),
        });
        out.event("message_delta", &event);
        out.event("message_stop", &json!({"type": "message_stop"}));
    }
}
