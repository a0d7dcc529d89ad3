//! The form of UI message streams.
//!
//! Whatever comes in, what goes out is a stream that strict readers accept: blocks are opened before
//! and closed after their deltas, tool calls are settled, and the end is always `finish-step`,
//! `finish`, `[DONE]`.

use std::collections::BTreeSet;

use downcity_types::{ErrorCode, FinishReason, ToolOptions, UiChunk};
use serde_json::Value;

use super::depth::Depth;
use super::encoder::{End, NewCall, Out, Sink};
use crate::convert::answer::{AnswerOf, finish_metadata, made_up_call_id, tool_input};

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
    id: String,
    name: String,
    arguments: String,
    depth: Depth,
    settled: bool,
}

/// Writes one UI message.
pub(crate) struct UiSink {
    of: AnswerOf,
    tools: BTreeSet<String>,
    open: Option<Block>,
    blocks: [usize; 2],
    calls: Vec<ToolCall>,
}

impl UiSink {
    /// For a request that offers these tools.
    pub(crate) fn new(of: AnswerOf, tools: impl IntoIterator<Item = String>) -> Self {
        let tools = tools.into_iter().collect();
        Self { of, tools, open: None, blocks: [0, 0], calls: Vec::new() }
    }

    fn delta(&mut self, kind: BlockKind, text: &str, out: &mut Out) {
        if self.open.as_ref().is_none_or(|block| block.kind != kind) {
            self.close_block(out);
            let (name, count) = match kind {
                BlockKind::Text => ("txt", &mut self.blocks[0]),
                BlockKind::Reasoning => ("reasoning", &mut self.blocks[1]),
            };
            let id = format!("{name}-{count}");
            *count += 1;
            out.data(&match kind {
                BlockKind::Text => UiChunk::text_start(&id),
                BlockKind::Reasoning => UiChunk::reasoning_start(&id),
            });
            self.open = Some(Block { kind, id });
        }
        let id = self.open.as_ref().map(|block| block.id.clone()).unwrap_or_default();
        out.data(&match kind {
            BlockKind::Text => UiChunk::text_delta(id, text),
            BlockKind::Reasoning => UiChunk::reasoning_delta(id, text),
        });
    }

    fn close_block(&mut self, out: &mut Out) {
        if let Some(Block { kind, id }) = self.open.take() {
            out.data(&match kind {
                BlockKind::Text => UiChunk::text_end(id),
                BlockKind::Reasoning => UiChunk::reasoning_end(id),
            });
        }
    }

    /// Ends a call: with its input, or with the reason why it cannot be used.
    fn settle(&mut self, at: usize, input: Result<Value, Value>, out: &mut Out) {
        let Some(call) = self.calls.get_mut(at) else { return };
        call.settled = true;
        let (tool_call_id, tool_name) = (call.id.clone(), call.name.clone());
        let options = ToolOptions::default();
        let (input, error_text) = match input {
            Ok(input) if self.tools.contains(&tool_name) => {
                return out.data(&UiChunk::ToolInputAvailable {
                    tool_call_id,
                    tool_name,
                    input,
                    options,
                });
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
        out.data(&UiChunk::ToolInputError { tool_call_id, tool_name, input, error_text, options });
        out.data(&output);
    }
}

impl Sink for UiSink {
    fn begin(&mut self, out: &mut Out) {
        out.data(&UiChunk::Start {
            message_id: Some(self.of.message_id.clone()),
            message_metadata: Some(Value::Object(self.of.metadata())),
        });
        out.data(&UiChunk::StartStep);
    }

    fn reasoning(&mut self, text: &str, out: &mut Out) {
        self.delta(BlockKind::Reasoning, text, out);
    }

    fn text(&mut self, text: &str, out: &mut Out) {
        self.delta(BlockKind::Text, text, out);
    }

    fn call(&mut self, call: NewCall<'_>, out: &mut Out) {
        self.close_block(out);
        let id =
            call.id.map_or_else(|| made_up_call_id(&self.of.message_id, call.index), str::to_owned);
        let name = call.name.to_owned();
        out.data(&UiChunk::ToolInputStart {
            tool_call_id: id.clone(),
            tool_name: name.clone(),
            options: ToolOptions::default(),
        });
        let (arguments, depth) = (String::new(), Depth::default());
        self.calls.push(ToolCall { id, name, arguments, depth, settled: false });
    }

    fn arguments(&mut self, at: usize, text: &str, out: &mut Out) {
        let Some(call) = self.calls.get_mut(at).filter(|call| !call.settled) else { return };
        call.arguments.push_str(text);
        let complete = call.depth.feed(text);
        out.data(&UiChunk::ToolInputDelta {
            tool_call_id: call.id.clone(),
            input_text_delta: text.to_owned(),
        });
        let input = if complete { serde_json::from_str(&call.arguments).ok() } else { None };
        if let Some(input) = input {
            self.settle(at, Ok(input), out);
        }
    }

    fn fail(&mut self, _: ErrorCode, sentence: &str, out: &mut Out) {
        out.data(&UiChunk::error(sentence));
    }

    fn end(&mut self, end: End<'_>, out: &mut Out) {
        let finish = end.finish.unwrap_or(FinishReason::Other);
        self.close_block(out);
        for at in 0..self.calls.len() {
            let Some(call) = self.calls.get(at).filter(|call| !call.settled) else { continue };
            let input = match tool_input(&call.arguments) {
                // Texts that are no JSON come back as they are.
                Value::String(raw) if raw == call.arguments => Err(Value::String(raw)),
                // An empty input after a failure is one that never came.
                _ if finish == FinishReason::Error && call.arguments.is_empty() => {
                    Err(Value::String(String::new()))
                }
                input => Ok(input),
            };
            self.settle(at, input, out);
        }
        out.data(&UiChunk::FinishStep);
        let metadata = finish_metadata(finish, end.usage);
        out.data(&UiChunk::Finish {
            finish_reason: Some(finish),
            message_metadata: Some(Value::Object(metadata)),
        });
        out.done();
    }
}
