//! From the chunks of a provider to the chunks of a UI message stream.
//!
//! A state machine without I/O: data of events in, framed bytes out. Whatever comes in, what goes
//! out is a stream that strict readers accept: blocks are opened before and closed after their
//! deltas, tool calls are settled, and the end is always `finish-step`, `finish`, `[DONE]`.

use std::collections::BTreeSet;

use bytes::{BufMut as _, Bytes, BytesMut};
use downcity_types::{FinishReason, ToolOptions, UiChunk};
use serde_json::Value;

use super::chunks::{Choice, Chunk, ToolDelta};
use crate::convert::answer::{AnswerOf, finish_metadata, made_up_call_id, tool_input};
use crate::failure::error_text;
use crate::mask::Mask;

/// A kind of block that is opened, continued and closed.
#[derive(Clone, Copy, PartialEq, Eq)]
enum BlockKind {
    Text,
    Reasoning,
}

struct Block {
    kind: BlockKind,
    id: String,
}

/// A tool call under way.
struct ToolCall {
    index: usize,
    id: String,
    name: String,
    arguments: String,
    depth: Depth,
    settled: bool,
}

/// Encodes one message.
pub(crate) struct Encoder {
    of: AnswerOf,
    tools: BTreeSet<String>,
    open: Option<Block>,
    blocks: [usize; 2],
    calls: Vec<ToolCall>,
    finish: Option<FinishReason>,
    failed: bool,
    usage: Option<Value>,
    /// Bytes of the texts so far.
    produced: u64,
    out: BytesMut,
    /// Hides the provider's key in its words.
    mask: Mask,
}

impl Encoder {
    /// Begins the message: `start` and `start-step` are already encoded.
    pub(crate) fn new(of: AnswerOf, tools: impl IntoIterator<Item = String>, mask: Mask) -> Self {
        let mut encoder = Self {
            tools: tools.into_iter().collect(),
            open: None,
            blocks: [0, 0],
            calls: Vec::new(),
            finish: None,
            failed: false,
            usage: None,
            produced: 0,
            out: BytesMut::with_capacity(1024),
            mask,
            of,
        };
        encoder.emit(&UiChunk::Start {
            message_id: Some(encoder.of.message_id.clone()),
            message_metadata: Some(Value::Object(encoder.of.metadata())),
        });
        encoder.emit(&UiChunk::StartStep);
        encoder
    }

    /// Takes what has been encoded since the last call.
    pub(crate) fn take(&mut self) -> Bytes {
        self.out.split().freeze()
    }

    /// Bytes that are waiting to be taken.
    pub(crate) fn len(&self) -> usize {
        self.out.len()
    }

    /// The provider's usage so far.
    pub(crate) fn usage(&self) -> Option<&Value> {
        self.usage.as_ref()
    }

    /// Bytes of the texts that the provider has produced so far: words, reasoning and tool calls.
    pub(crate) fn produced(&self) -> u64 {
        self.produced
    }

    /// Whether the provider failed.
    pub(crate) fn has_failed(&self) -> bool {
        self.failed
    }

    /// Whether a finish reason or a failure was told.
    pub(crate) fn has_end(&self) -> bool {
        self.failed || self.finish.is_some()
    }

    /// Encodes the data of one event; `[DONE]` and empty data say nothing.
    pub(crate) fn event(&mut self, data: &str) {
        let data = data.trim();
        if data.is_empty() || data == "[DONE]" {
            return;
        }
        let chunk: Chunk<'_> = match serde_json::from_str(data) {
            Ok(chunk) => chunk,
            Err(_) => return self.fail("The AI provider sent an event that cannot be read."),
        };
        if let Some(error) = chunk.error {
            let said = error_text(&serde_json::json!({ "error": error }), &self.mask);
            self.fail(&said.unwrap_or_else(|| "The AI provider failed.".to_owned()));
            return;
        }
        if chunk.usage.is_some() {
            self.usage = chunk.usage;
        }
        // Further choices were never asked for.
        for choice in chunk.choices.into_iter().flatten().filter(|choice| choice.index == 0) {
            self.choice(choice);
        }
    }

    fn choice(&mut self, choice: Choice<'_>) {
        if let Some(delta) = choice.delta {
            self.produced += delta.produced();
            let reasoning = [delta.reasoning_content, delta.reasoning].into_iter().flatten();
            let reasoning = reasoning.map(|text| text.into_text()).find(|text| !text.is_empty());
            if let Some(text) = reasoning {
                self.delta(BlockKind::Reasoning, &text);
            }
            if let Some(text) = delta.content.map(|text| text.into_text())
                && !text.is_empty()
            {
                self.delta(BlockKind::Text, &text);
            }
            for call in delta.tool_calls.into_iter().flatten() {
                self.tool_delta(call);
            }
        }
        if let Some(reason) = choice.finish_reason {
            self.finish = Some(FinishReason::from_openai(&reason));
        }
    }

    fn delta(&mut self, kind: BlockKind, text: &str) {
        if self.open.as_ref().is_none_or(|block| block.kind != kind) {
            self.close_block();
            let (name, count) = match kind {
                BlockKind::Text => ("txt", &mut self.blocks[0]),
                BlockKind::Reasoning => ("reasoning", &mut self.blocks[1]),
            };
            let id = format!("{name}-{count}");
            *count += 1;
            self.emit(&match kind {
                BlockKind::Text => UiChunk::text_start(&id),
                BlockKind::Reasoning => UiChunk::reasoning_start(&id),
            });
            self.open = Some(Block { kind, id });
        }
        let id = self.open.as_ref().map(|block| block.id.clone()).unwrap_or_default();
        self.emit(&match kind {
            BlockKind::Text => UiChunk::text_delta(id, text),
            BlockKind::Reasoning => UiChunk::reasoning_delta(id, text),
        });
    }

    fn close_block(&mut self) {
        if let Some(Block { kind, id }) = self.open.take() {
            self.emit(&match kind {
                BlockKind::Text => UiChunk::text_end(id),
                BlockKind::Reasoning => UiChunk::reasoning_end(id),
            });
        }
    }

    fn tool_delta(&mut self, delta: ToolDelta<'_>) {
        let (name, arguments) = match delta.function {
            Some(function) => (function.name, function.arguments),
            None => (None, None),
        };
        let id = delta.id.as_deref().filter(|id| !id.is_empty());
        let known = match (delta.index, id) {
            (Some(index), _) => self.calls.iter().position(|call| call.index == index),
            (None, Some(id)) => self.calls.iter().position(|call| call.id == id),
            (None, None) => self.calls.len().checked_sub(1),
        };
        let at = match (known, name.filter(|name| !name.is_empty())) {
            (Some(at), _) => at,
            (None, Some(name)) => {
                let index = delta.index.unwrap_or(self.calls.len());
                self.start_call(index, id, name.into_owned())
            }
            (None, None) => return self.fail("The AI provider sent a tool call without a name."),
        };
        if let Some(arguments) = arguments.filter(|text| !text.is_empty()) {
            self.continue_call(at, &arguments);
        }
    }

    fn start_call(&mut self, index: usize, id: Option<&str>, name: String) -> usize {
        self.close_block();
        let id = id.map_or_else(|| made_up_call_id(&self.of.message_id, index), str::to_owned);
        self.emit(&UiChunk::ToolInputStart {
            tool_call_id: id.clone(),
            tool_name: name.clone(),
            options: ToolOptions::default(),
        });
        let (arguments, depth) = (String::new(), Depth::default());
        self.calls.push(ToolCall { index, id, name, arguments, depth, settled: false });
        self.calls.len() - 1
    }

    fn continue_call(&mut self, at: usize, text: &str) {
        let Some(call) = self.calls.get_mut(at).filter(|call| !call.settled) else { return };
        call.arguments.push_str(text);
        let complete = call.depth.feed(text);
        let chunk = UiChunk::ToolInputDelta {
            tool_call_id: call.id.clone(),
            input_text_delta: text.to_owned(),
        };
        let input = if complete { serde_json::from_str(&call.arguments).ok() } else { None };
        self.emit(&chunk);
        if let Some(input) = input {
            self.settle(at, Ok(input));
        }
    }

    /// Ends a call: with its input, or with the reason why it cannot be used.
    fn settle(&mut self, at: usize, input: Result<Value, Value>) {
        let Some(call) = self.calls.get_mut(at) else { return };
        call.settled = true;
        let (tool_call_id, tool_name) = (call.id.clone(), call.name.clone());
        let options = ToolOptions::default();
        let (input, error_text) = match input {
            Ok(input) if self.tools.contains(&tool_name) => {
                let chunk = UiChunk::ToolInputAvailable { tool_call_id, tool_name, input, options };
                return self.emit(&chunk);
            }
            Ok(input) => {
                let text =
                    format!("The model called the tool {tool_name:?}, which was not offered.");
                (input, text)
            }
            Err(input) => {
                let text = format!("The input of the tool {tool_name:?} is not complete JSON.");
                (input, text)
            }
        };
        let output = UiChunk::tool_output_error(&tool_call_id, &error_text);
        self.emit(&UiChunk::ToolInputError { tool_call_id, tool_name, input, error_text, options });
        self.emit(&output);
    }

    /// Reports a failure. The stream may go on; its finish reason is `error` from now on.
    pub(crate) fn fail(&mut self, text: &str) {
        self.failed = true;
        self.emit(&UiChunk::error(text));
    }

    /// Ends the message.
    pub(crate) fn end(&mut self) {
        self.close_block();
        for at in 0..self.calls.len() {
            let Some(call) = self.calls.get(at).filter(|call| !call.settled) else { continue };
            let input = match tool_input(&call.arguments) {
                // Texts that are no JSON come back as they are.
                Value::String(raw) if raw == call.arguments => Err(Value::String(raw)),
                // An empty input after a failure is one that never came.
                _ if self.failed && call.arguments.is_empty() => Err(Value::String(String::new())),
                input => Ok(input),
            };
            self.settle(at, input);
        }
        self.emit(&UiChunk::FinishStep);
        let finish = match self.finish {
            _ if self.failed => FinishReason::Error,
            Some(finish) => finish,
            None => FinishReason::Other,
        };
        let metadata = finish_metadata(finish, self.usage.as_ref());
        self.emit(&UiChunk::Finish {
            finish_reason: Some(finish),
            message_metadata: Some(Value::Object(metadata)),
        });
        self.out.put_slice(b"data: [DONE]\n\n");
    }

    fn emit(&mut self, chunk: &UiChunk) {
        self.out.put_slice(b"data: ");
        // Writing chunks into memory cannot fail: they hold no maps with keys other than texts.
        let _ = serde_json::to_writer((&mut self.out).writer(), chunk);
        self.out.put_slice(b"\n\n");
    }
}

/// Follows the nesting of JSON that arrives in pieces, so that it is parsed once, when it is
/// complete, and not after every piece.
#[derive(Default)]
struct Depth {
    open: usize,
    in_text: bool,
    escaped: bool,
}

impl Depth {
    /// Whether an object or list has been closed for good.
    fn feed(&mut self, text: &str) -> bool {
        let mut closed = false;
        for byte in text.bytes() {
            match byte {
                _ if self.escaped => self.escaped = false,
                b'\\' if self.in_text => self.escaped = true,
                b'"' => self.in_text = !self.in_text,
                _ if self.in_text => {}
                b'{' | b'[' => self.open += 1,
                b'}' | b']' => {
                    self.open = self.open.saturating_sub(1);
                    closed |= self.open == 0;
                }
                _ => {}
            }
        }
        closed && self.open == 0
    }
}
