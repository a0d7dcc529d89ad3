//! The events of a streamed message as chunks of a chat completion.

use std::borrow::Cow;
use std::collections::HashMap;
use std::task::{Context, Poll};

use bytes::Bytes;
use downcity_core::{Body, BoxError};
use futures_util::stream;
use serde::Deserialize;
use serde_json::{Value, json};

use super::answer::{NativeUsage, finish_reason, open_ai_error};
use crate::failure::Failure;
use crate::stream::events::{Events, MAX_EVENT};

/// The most tool calls that are open at the same time.
const MAX_OPEN: usize = 1_000;

/// The most bytes of a block of thinking that is told as a whole, for its signature. Escaped, it fits
/// into one event.
const MAX_THINKING: usize = MAX_EVENT / 8;

/// Bytes of chunks that are made before any are handed on, when the provider is faster.
const FLUSH_AT: usize = 16 * 1024;

/// Passed on where the provider shows that it is still there: silence would end the call.
const SIGN_OF_LIFE: &str = ": ping\n\n";

/// One event, as far as it is read.
#[derive(Deserialize)]
struct Event<'a> {
    #[serde(borrow, default, rename = "type")]
    kind: Cow<'a, str>,
    #[serde(default)]
    index: u64,
    #[serde(borrow, default)]
    message: Option<Head<'a>>,
    #[serde(default)]
    content_block: Option<Value>,
    #[serde(borrow, default)]
    delta: Option<Delta<'a>>,
    #[serde(default)]
    usage: Option<NativeUsage>,
    #[serde(default)]
    error: Option<Value>,
}

#[derive(Deserialize)]
struct Head<'a> {
    #[serde(borrow, default)]
    id: Cow<'a, str>,
    #[serde(borrow, default)]
    model: Cow<'a, str>,
    #[serde(default)]
    usage: Option<NativeUsage>,
}

#[derive(Deserialize)]
struct Delta<'a> {
    #[serde(borrow, default, rename = "type")]
    kind: Cow<'a, str>,
    #[serde(borrow, default)]
    text: Option<Cow<'a, str>>,
    #[serde(borrow, default)]
    thinking: Option<Cow<'a, str>>,
    #[serde(borrow, default)]
    partial_json: Option<Cow<'a, str>>,
    #[serde(borrow, default)]
    signature: Option<Cow<'a, str>>,
    #[serde(borrow, default)]
    stop_reason: Option<Cow<'a, str>>,
    #[serde(borrow, default)]
    stop_sequence: Option<Cow<'a, str>>,
}

/// A tool call whose block is open.
struct OpenCall {
    /// Its place among the calls of the answer.
    at: usize,
    /// Its input as it stood at the beginning; `None` once arguments have been told.
    input: Option<Value>,
}

/// Turns events into chunks.
pub(super) struct Translator {
    created: i64,
    wants_usage: bool,
    /// What stands in each chunk before its choices.
    head: String,
    calls: usize,
    open: HashMap<u64, OpenCall>,
    /// The block of thinking that is open, with its words so far and its signature.
    thinking: Option<(String, String)>,
    usage: NativeUsage,
    /// The last words on usage were said: those of the beginning do not count the output.
    has_usage: bool,
    pub(super) is_over: bool,
}

/// A body of chunks from a body of events.
pub(super) fn translate(body: Body, created: i64, wants_usage: bool) -> Body {
    let mut translating = Translating {
        events: Events::new(body),
        translator: Translator::new(created, wants_usage),
        broken: None,
        has_ended: false,
    };
    Body::from_stream(stream::poll_fn(move |cx| translating.poll_next(cx)))
}

struct Translating {
    events: Events,
    translator: Translator,
    broken: Option<BoxError>,
    has_ended: bool,
}

impl Translating {
    /// The chunks of the events that are there, at once.
    fn poll_next(&mut self, cx: &mut Context<'_>) -> Poll<Option<Result<Bytes, BoxError>>> {
        let mut out = String::new();
        while !self.has_ended && out.len() < FLUSH_AT {
            match self.events.poll_next(cx) {
                Poll::Ready(Some(Ok(data))) => {
                    out.push_str(&self.translator.event(&data));
                    self.has_ended = self.translator.is_over;
                }
                Poll::Ready(Some(Err(failure))) => {
                    self.broken = Some(broken(failure));
                    self.has_ended = true;
                }
                // A stream that ends before its last event is cut off, and whoever reads the chunks
                // sees that no end was told.
                Poll::Ready(None) => self.has_ended = true,
                Poll::Pending if out.is_empty() => return Poll::Pending,
                Poll::Pending => break,
            }
        }
        if out.is_empty() {
            return Poll::Ready(self.broken.take().map(Err));
        }
        Poll::Ready(Some(Ok(out.into())))
    }
}

fn broken(failure: Failure) -> BoxError {
    match failure {
        Failure::Broken(cause) => cause,
        Failure::Unreadable(what) => what.into(),
        other => other.sentence().into(),
    }
}

impl Translator {
    pub(super) fn new(created: i64, wants_usage: bool) -> Self {
        let mut translator = Self {
            created,
            wants_usage,
            head: String::new(),
            calls: 0,
            open: HashMap::new(),
            thinking: None,
            usage: NativeUsage::default(),
            has_usage: false,
            is_over: false,
        };
        translator.begin("", "");
        translator
    }

    fn begin(&mut self, id: &str, model: &str) {
        self.head = format!(
            "data: {{\"id\":{},\"object\":\"chat.completion.chunk\",\"created\":{},\"model\":{},\"choices\":",
            json!(id),
            self.created,
            json!(model),
        );
    }

    /// The chunks of one event's data; empty for one that says nothing to clients.
    pub(super) fn event(&mut self, data: &str) -> String {
        if data.trim().is_empty() {
            return String::new();
        }
        let Ok(event) = serde_json::from_str::<Event<'_>>(data) else {
            return self.failed(&json!({"message": "The AI provider sent an unreadable event."}));
        };
        match &*event.kind {
            "message_start" => self.started(event.message),
            "content_block_start" => self.opened(event.index, event.content_block),
            "content_block_delta" => self.grown(event.index, event.delta),
            "content_block_stop" => self.closed(event.index),
            "message_delta" => self.stopped(event.delta, event.usage),
            "message_stop" => self.ended(),
            "ping" => SIGN_OF_LIFE.to_owned(),
            "error" => self.failed(&event.error.unwrap_or_default()),
            _ => String::new(),
        }
    }

    fn started(&mut self, head: Option<Head<'_>>) -> String {
        if let Some(head) = head {
            self.begin(&head.id, &head.model);
            self.usage = head.usage.unwrap_or_default();
        }
        self.delta(&json!({"role": "assistant", "content": ""}), None)
    }

    fn opened(&mut self, index: u64, block: Option<Value>) -> String {
        let block = block.unwrap_or_default();
        let member = |name: &str| block.get(name).and_then(Value::as_str).unwrap_or_default();
        match member("type") {
            "text" => self.text("content", member("text")),
            "thinking" => {
                let words = member("thinking").to_owned();
                let out = self.text("reasoning_content", &words);
                self.thinking = Some((words, member("signature").to_owned()));
                out
            }
            "redacted_thinking" => self.delta(&json!({ "thinking_blocks": [block] }), None),
            "tool_use" if self.open.len() >= MAX_OPEN => self
                .failed(&json!({"message": "The AI provider sent too many tool calls at once."})),
            "tool_use" => {
                let at = self.calls;
                self.calls += 1;
                let input = Some(block.get("input").cloned().unwrap_or_else(|| json!({})));
                self.open.insert(index, OpenCall { at, input });
                let function = json!({"name": member("name"), "arguments": ""});
                let call = json!({
                    "index": at, "id": member("id"), "type": "function", "function": function,
                });
                self.delta(&json!({ "tool_calls": [call] }), None)
            }
            _ => String::new(),
        }
    }

    fn grown(&mut self, index: u64, delta: Option<Delta<'_>>) -> String {
        let Some(delta) = delta else { return String::new() };
        match &*delta.kind {
            "text_delta" => self.text("content", &delta.text.unwrap_or_default()),
            "thinking_delta" => {
                let words = delta.thinking.unwrap_or_default();
                self.keep(|(said, _)| said, &words);
                self.text("reasoning_content", &words)
            }
            "signature_delta" => {
                let signature = delta.signature.unwrap_or_default();
                self.keep(|(_, said)| said, &signature);
                String::new()
            }
            "input_json_delta" => {
                let json = delta.partial_json.unwrap_or_default();
                if json.is_empty() {
                    return String::new();
                }
                let Some(call) = self.open.get_mut(&index) else { return String::new() };
                call.input = None;
                let at = call.at;
                self.arguments(at, &json)
            }
            _ => String::new(),
        }
    }

    /// Lengthens what is kept of the block of thinking that is open; one that is too long is not kept.
    fn keep(&mut self, part: impl FnOnce(&mut (String, String)) -> &mut String, text: &str) {
        let Some(thinking) = &mut self.thinking else { return };
        let part = part(thinking);
        part.push_str(text);
        if part.len() > MAX_THINKING {
            self.thinking = None;
        }
    }

    /// A call without a word on its arguments has those that it began with. A block of thinking is
    /// told as a whole once it is signed: its words are to come back with their signature.
    fn closed(&mut self, index: u64) -> String {
        if let Some((thinking, signature)) = self.thinking.take() {
            if signature.is_empty() {
                return String::new();
            }
            let block = json!({"type": "thinking", "thinking": thinking, "signature": signature});
            return self.delta(&json!({ "thinking_blocks": [block] }), None);
        }
        match self.open.remove(&index) {
            Some(OpenCall { at, input: Some(input) }) => self.arguments(at, &input.to_string()),
            _ => String::new(),
        }
    }

    fn stopped(&mut self, delta: Option<Delta<'_>>, usage: Option<NativeUsage>) -> String {
        if let Some(usage) = usage {
            self.has_usage |= usage.tells_output();
            self.usage.update(usage);
        }
        let Some(Delta { stop_reason: Some(reason), stop_sequence, .. }) = delta else {
            return String::new();
        };
        let finish = finish_reason(&reason);
        match stop_sequence {
            Some(stop) => {
                let choice = json!({
                    "index": 0, "delta": {}, "finish_reason": finish, "stop_reason": stop,
                });
                format!("{}[{choice}]}}\n\n", self.head)
            }
            None => self.delta(&json!({}), Some(finish)),
        }
    }

    fn ended(&mut self) -> String {
        self.is_over = true;
        let mut out = String::new();
        if self.wants_usage && self.has_usage {
            out = format!("{}[],\"usage\":{}}}\n\n", self.head, self.usage.to_open_ai());
        }
        out.push_str("data: [DONE]\n\n");
        out
    }

    fn failed(&mut self, error: &Value) -> String {
        self.is_over = true;
        format!("data: {}\n\n", open_ai_error(error))
    }

    fn text(&self, name: &str, text: &str) -> String {
        if text.is_empty() {
            return String::new();
        }
        self.choice(&format!("{{\"{name}\":{}}}", json!(text)), None)
    }

    fn arguments(&self, at: usize, json: &str) -> String {
        let call = json!({"index": at, "function": {"arguments": json}});
        self.delta(&json!({ "tool_calls": [call] }), None)
    }

    fn delta(&self, delta: &Value, finish: Option<&str>) -> String {
        self.choice(&delta.to_string(), finish)
    }

    fn choice(&self, delta: &str, finish: Option<&str>) -> String {
        let finish = finish.map_or("null".to_owned(), |finish| format!("\"{finish}\""));
        format!("{}[{{\"index\":0,\"delta\":{delta},\"finish_reason\":{finish}}}]}}\n\n", self.head)
    }
}
