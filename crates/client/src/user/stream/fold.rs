//! From chunks to a message.

use std::collections::HashMap;

use downcity_types::{
    DataChunk, DataPart, FilePart, ReasoningPart, SourceDocumentPart, SourceUrlPart, TextPart,
    ToolOptions, ToolPart, ToolState, UiChunk, UiMessage, UiPart, UiRole,
};
use serde_json::{Value, json};

use super::UiMessageChunk;
use crate::{Error, Result};

/// A message that grows with each chunk.
#[derive(Default)]
pub(super) struct Fold {
    id: Option<String>,
    metadata: Option<Value>,
    parts: Vec<UiPart>,
    /// Where the blocks that are open stand in `parts`, by kind and id.
    open: HashMap<(Block, String), usize>,
    is_finished: bool,
}

#[derive(Clone, Copy, PartialEq, Eq, Hash)]
enum Block {
    Text,
    Reasoning,
}

impl Fold {
    /// The message, once the stream is over.
    pub(super) fn end(self) -> Result<UiMessage> {
        if !self.is_finished {
            return Err(Error::StreamTruncated);
        }
        let Self { id, metadata, parts, .. } = self;
        Ok(UiMessage { id, role: UiRole::Assistant, parts, metadata })
    }

    pub(super) fn push(&mut self, chunk: UiMessageChunk) -> Result<()> {
        self.is_finished |= is_finish(&chunk)?;
        match chunk {
            UiMessageChunk::Known(chunk) => self.take(chunk),
            UiMessageChunk::Unknown(mut value) if value["type"] == "finish" => {
                self.merge(value.get_mut("messageMetadata").map(Value::take));
            }
            UiMessageChunk::Unknown(_) => {}
        }
        Ok(())
    }

    fn take(&mut self, chunk: UiChunk) {
        match chunk {
            UiChunk::Start { message_id, message_metadata } => {
                self.id = message_id.or(self.id.take());
                self.merge(message_metadata);
            }
            UiChunk::Finish { message_metadata, .. } => self.merge(message_metadata),
            UiChunk::MessageMetadata { message_metadata } => self.merge(Some(message_metadata)),
            UiChunk::StartStep => self.parts.push(UiPart::StepStart),
            UiChunk::FinishStep => self.open.clear(),
            UiChunk::SourceUrl { source_id, url, title, provider_metadata } => {
                self.parts.push(UiPart::SourceUrl(SourceUrlPart {
                    source_id,
                    url,
                    title,
                    provider_metadata,
                }))
            }
            UiChunk::SourceDocument {
                source_id,
                media_type,
                title,
                filename,
                provider_metadata,
            } => self.parts.push(UiPart::SourceDocument(SourceDocumentPart {
                source_id,
                media_type,
                title,
                filename,
                provider_metadata,
            })),
            UiChunk::File { url, media_type, provider_metadata } => {
                self.parts.push(UiPart::File(FilePart {
                    media_type,
                    url,
                    filename: None,
                    provider_metadata,
                }))
            }
            UiChunk::Data(data) => self.data(data),
            UiChunk::Error { .. } | UiChunk::Abort { .. } => {}
            block_or_tool => self.block(block_or_tool),
        }
    }

    fn block(&mut self, chunk: UiChunk) {
        let (kind, id, delta, is_end, data) = match chunk {
            UiChunk::TextStart { id, provider_metadata } => {
                (Block::Text, id, None, false, provider_metadata)
            }
            UiChunk::TextDelta { id, delta, provider_metadata } => {
                (Block::Text, id, Some(delta), false, provider_metadata)
            }
            UiChunk::TextEnd { id, provider_metadata } => {
                (Block::Text, id, None, true, provider_metadata)
            }
            UiChunk::ReasoningStart { id, provider_metadata } => {
                (Block::Reasoning, id, None, false, provider_metadata)
            }
            UiChunk::ReasoningDelta { id, delta, provider_metadata } => {
                (Block::Reasoning, id, Some(delta), false, provider_metadata)
            }
            UiChunk::ReasoningEnd { id, provider_metadata } => {
                (Block::Reasoning, id, None, true, provider_metadata)
            }
            tool => return self.tool(tool),
        };
        let key = (kind, id);
        let parts = &mut self.parts;
        // A delta without its start opens the block too.
        let at = *self.open.entry(key.clone()).or_insert_with(|| {
            parts.push(match kind {
                Block::Text => UiPart::text(""),
                Block::Reasoning => UiPart::reasoning(""),
            });
            parts.len() - 1
        });
        let (text, state, metadata) = match &mut self.parts[at] {
            UiPart::Text(TextPart { text, state, provider_metadata })
            | UiPart::Reasoning(ReasoningPart { text, state, provider_metadata }) => {
                (text, state, provider_metadata)
            }
            _ => return,
        };
        text.push_str(&delta.unwrap_or_default());
        *state = Some(if is_end { "done" } else { "streaming" }.to_owned());
        if data.is_some() {
            *metadata = data;
        }
        if is_end {
            self.open.remove(&key);
        }
    }

    fn tool(&mut self, chunk: UiChunk) {
        match chunk {
            UiChunk::ToolInputStart { tool_call_id, tool_name, options } => {
                self.call(tool_call_id, tool_name, options, |_| {});
            }
            UiChunk::ToolInputAvailable { tool_call_id, tool_name, input, options } => {
                self.call(tool_call_id, tool_name, options, |call| {
                    (call.state, call.input) = (ToolState::InputAvailable, Some(input));
                });
            }
            UiChunk::ToolInputError { tool_call_id, tool_name, input, error_text, options } => {
                self.call(tool_call_id, tool_name, options, |call| {
                    (call.state, call.error_text) = (ToolState::OutputError, Some(error_text));
                    // Only a declared tool has an input with a shape that it can miss.
                    let place = if call.dynamic { &mut call.input } else { &mut call.raw_input };
                    *place = Some(input);
                });
            }
            UiChunk::ToolApprovalRequest { approval_id, tool_call_id } => {
                self.answer(&tool_call_id, |call| {
                    call.state = ToolState::ApprovalRequested;
                    call.approval = Some(json!({ "id": approval_id }));
                });
            }
            UiChunk::ToolOutputAvailable { tool_call_id, output, preliminary, .. } => {
                self.answer(&tool_call_id, |call| {
                    call.state = ToolState::OutputAvailable;
                    (call.output, call.preliminary) = (Some(output), preliminary);
                });
            }
            UiChunk::ToolOutputError { tool_call_id, error_text, .. } => {
                self.answer(&tool_call_id, |call| {
                    (call.state, call.error_text) = (ToolState::OutputError, Some(error_text));
                });
            }
            UiChunk::ToolOutputDenied { tool_call_id } => {
                self.answer(&tool_call_id, |call| call.state = ToolState::OutputDenied);
            }
            // The input comes whole with `tool-input-available`.
            _ => {}
        }
    }

    /// Changes the call of an id, which is made where there is none yet.
    fn call(
        &mut self,
        id: String,
        name: String,
        options: ToolOptions,
        change: impl FnOnce(&mut ToolPart),
    ) {
        let is_known =
            |part: &UiPart| matches!(part, UiPart::Tool(call) if call.tool_call_id == id);
        if !self.parts.iter().any(is_known) {
            let mut call = ToolPart::dynamic_call(id.as_str(), name, Value::Null);
            (call.dynamic, call.state, call.input) =
                (options.dynamic == Some(true), ToolState::InputStreaming, None);
            self.parts.push(UiPart::Tool(Box::new(call)));
        }
        self.answer(&id, |call| {
            call.title = options.title.or(call.title.take());
            call.provider_executed = options.provider_executed.or(call.provider_executed);
            call.call_provider_metadata =
                options.provider_metadata.or(call.call_provider_metadata.take());
            change(call);
        });
    }

    /// Changes the call of an id. Answers to calls of earlier messages have no place in this one.
    fn answer(&mut self, id: &str, change: impl FnOnce(&mut ToolPart)) {
        let call = self.parts.iter_mut().find_map(|part| match part {
            UiPart::Tool(call) if call.tool_call_id == id => Some(call),
            _ => None,
        });
        if let Some(call) = call {
            change(call);
        }
    }

    fn data(&mut self, chunk: DataChunk) {
        let DataChunk { name, data, id, transient } = chunk;
        if transient == Some(true) {
            return;
        }
        let same = self.parts.iter_mut().find_map(|part| match part {
            UiPart::Data(part) if id.is_some() && part.id == id && part.name == name => Some(part),
            _ => None,
        });
        match same {
            Some(part) => part.data = data,
            None => self.parts.push(UiPart::Data(DataPart { name, id, data })),
        }
    }

    fn merge(&mut self, metadata: Option<Value>) {
        match (&mut self.metadata, metadata) {
            (_, None | Some(Value::Null)) => {}
            (Some(ours), Some(more)) => merge(ours, more),
            (ours, more) => *ours = more,
        }
    }
}

/// Whether the message is whole with this chunk; an error where it will never be.
pub(super) fn is_finish(chunk: &UiMessageChunk) -> Result<bool> {
    match chunk {
        UiMessageChunk::Known(UiChunk::Error { error_text }) => {
            Err(Error::Stream { error_text: error_text.clone() })
        }
        UiMessageChunk::Known(UiChunk::Abort { reason }) => {
            let reason = reason.as_deref().unwrap_or("the stream was stopped");
            Err(Error::Stream { error_text: reason.to_owned() })
        }
        UiMessageChunk::Known(UiChunk::Finish { .. }) => Ok(true),
        // A `finish` with a reason that is not known yet is still the end.
        UiMessageChunk::Unknown(value) => Ok(value["type"] == "finish"),
        UiMessageChunk::Known(_) => Ok(false),
    }
}

/// Objects are merged field by field, anything else is replaced.
fn merge(ours: &mut Value, more: Value) {
    match (ours, more) {
        (Value::Object(ours), Value::Object(more)) => {
            for (key, value) in more {
                match ours.get_mut(&key) {
                    Some(old) => merge(old, value),
                    None => {
                        ours.insert(key, value);
                    }
                }
            }
        }
        (ours, more) => *ours = more,
    }
}
