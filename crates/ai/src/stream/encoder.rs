//! From the chunks of a provider to the events of a surface.
//!
//! A state machine without I/O: data of events in, framed bytes out. It reads the chunks, keeps
//! apart the tool calls that they continue, and tells a [`Sink`] one thing after another; the sink
//! knows the form of its surface.

use bytes::{BufMut as _, Bytes, BytesMut};
use downcity_types::{ErrorCode, FinishReason};
use serde::Serialize;
use serde_json::Value;

use super::chunks::{Choice, Chunk, Text, ToolDelta};
use crate::failure::error_text;
use crate::mask::Mask;
use crate::provider::MAX_ANSWER;

/// The most tool calls of one answer.
const MAX_CALLS: usize = 1_000;
/// Bytes of a usual event.
const USUAL_EVENT: usize = 256;
/// About what a part of an answer needs in memory beside its words.
const PART_BYTES: usize = 256;

/// Writes an answer in the form of a surface. Whatever is told, what it writes has to be a stream
/// that strict readers accept.
pub(crate) trait Sink: Send + Unpin + 'static {
    /// What is sent while the provider is silent.
    const KEEP_ALIVE: &'static [u8] = b": keep-alive\n\n";

    /// The answer begins, before anything else is told.
    fn begin(&mut self, out: &mut Out);

    /// More of the model's reasoning; never empty.
    fn reasoning(&mut self, text: &str, out: &mut Out);

    /// A block of thinking, whole, with the signature that its provider wants to see again. The
    /// words of the block were told before. Surfaces that have no place for it leave it out.
    fn signed(&mut self, block: &Value, out: &mut Out) {
        let _ = (block, out);
    }

    /// More of the answer's text; never empty.
    fn text(&mut self, text: &str, out: &mut Out);

    /// More of the words with which the model declines; never empty. Surfaces that have no place
    /// of their own for them show them as text.
    fn refusal(&mut self, text: &str, out: &mut Out) {
        self.text(text, out);
    }

    /// A tool call begins.
    fn call(&mut self, call: NewCall<'_>, out: &mut Out);

    /// More of the arguments of the `at`-th call; never empty.
    fn arguments(&mut self, at: usize, text: &str, out: &mut Out);

    /// The provider failed. More may be told, but the answer counts as failed.
    fn fail(&mut self, code: ErrorCode, sentence: &str, out: &mut Out);

    /// The answer ends; nothing follows.
    fn end(&mut self, end: End<'_>, out: &mut Out);
}

/// A tool call that begins.
#[derive(Debug)]
pub(crate) struct NewCall<'a> {
    /// Its place among the calls, by which its arguments are told.
    pub(crate) at: usize,
    /// The provider's own number of the call.
    pub(crate) index: usize,
    /// The provider's id of the call.
    pub(crate) id: Option<&'a str>,
    /// The tool; never empty.
    pub(crate) name: &'a str,
    /// What the provider wants to see again beside the call, such as a signature.
    pub(crate) extra: Option<Value>,
}

/// How an answer ended.
#[derive(Debug)]
pub(crate) struct End<'a> {
    /// The finish reason, where one was told; `Error` after a failure.
    pub(crate) finish: Option<FinishReason>,
    /// The provider's usage, where it was told.
    pub(crate) usage: Option<&'a Value>,
    /// The text at which the answer was to stop and did, where it was told.
    pub(crate) stop_sequence: Option<&'a str>,
}

/// Where a sink writes to.
#[derive(Debug, Default)]
pub(crate) struct Out(BytesMut);

impl Out {
    /// An event that has only data.
    pub(crate) fn data(&mut self, data: &impl Serialize) {
        self.room();
        self.0.put_slice(b"data: ");
        // Writing into memory cannot fail: events hold no maps with keys other than texts.
        let _ = serde_json::to_writer((&mut self.0).writer(), data);
        self.0.put_slice(b"\n\n");
    }

    /// An event with a name.
    pub(crate) fn event(&mut self, name: &str, data: &impl Serialize) {
        self.room();
        self.0.put_slice(b"event: ");
        self.0.put_slice(name.as_bytes());
        self.0.put_u8(b'\n');
        self.data(data);
    }

    /// Makes room for a usual event at once. There is none between events: most streams wait most of
    /// the time.
    fn room(&mut self) {
        if self.0.is_empty() {
            self.0.reserve(USUAL_EVENT);
        }
    }

    /// The event that ends streams of OpenAI's older form and those of UI messages.
    pub(crate) fn done(&mut self) {
        self.0.put_slice(b"data: [DONE]\n\n");
    }
}

/// A tool call that has begun.
struct KnownCall {
    index: usize,
    id: Option<String>,
}

/// What a provider writes at.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Part {
    Thought,
    Text,
    Refusal,
    /// The call at this place.
    Call(usize),
}

/// Encodes one answer.
pub(crate) struct Encoder<S> {
    sink: S,
    out: Out,
    calls: Vec<KnownCall>,
    finish: Option<FinishReason>,
    failed: bool,
    /// Nothing further is read.
    is_over: bool,
    usage: Option<Value>,
    stop_sequence: Option<String>,
    /// Bytes of the texts so far.
    produced: u64,
    /// Bytes of everything that sinks may keep so far, which is more than what is paid for.
    kept: usize,
    /// What the provider wrote last.
    part: Option<Part>,
    /// Hides the provider's key in its words.
    mask: Mask,
}

impl<S: Sink> Encoder<S> {
    /// Begins the answer: what its surface says first is already encoded.
    pub(crate) fn new(mut sink: S, mask: Mask) -> Self {
        let mut out = Out::default();
        sink.begin(&mut out);
        Self {
            sink,
            out,
            calls: Vec::new(),
            finish: None,
            failed: false,
            is_over: false,
            usage: None,
            stop_sequence: None,
            produced: 0,
            kept: 0,
            part: None,
            mask,
        }
    }

    /// Takes what has been encoded since the last call.
    pub(crate) fn take(&mut self) -> Bytes {
        self.mask.bytes(std::mem::take(&mut self.out.0).freeze())
    }

    /// Bytes that are waiting to be taken.
    pub(crate) fn len(&self) -> usize {
        self.out.0.len()
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

    /// Whether the provider said more than any answer holds: nothing further is to be read.
    pub(crate) fn is_over(&self) -> bool {
        self.is_over
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
            Err(_) => return self.invalid("The AI provider sent an event that cannot be read."),
        };
        if let Some(error) = chunk.error {
            let said = error_text(&serde_json::json!({ "error": error }), &self.mask);
            let said = said.unwrap_or_else(|| "The AI provider failed.".to_owned());
            return self.fail(ErrorCode::UpstreamError, &said);
        }
        if chunk.usage.is_some() {
            self.usage = chunk.usage;
        }
        // Further choices were never asked for.
        for choice in chunk.choices.into_iter().flatten().filter(|choice| choice.index == 0) {
            self.choice(choice);
        }
        // Sinks keep what they are told until the end.
        if self.kept > MAX_ANSWER && !self.is_over {
            self.too_much("The AI provider sent an answer that is too long.");
        }
    }

    fn choice(&mut self, choice: Choice<'_>) {
        if let Some(delta) = choice.delta {
            self.produced += delta.produced();
            self.kept = self.kept.saturating_add(delta.kept());
            let reasoning = [delta.reasoning_content, delta.reasoning].into_iter().flatten();
            let reasoning = reasoning.map(|text| text.into_text()).find(|text| !text.is_empty());
            if let Some(text) = reasoning {
                self.turn(Part::Thought);
                self.sink.reasoning(&text, &mut self.out);
            }
            for block in
                delta.thinking_blocks.as_ref().and_then(Value::as_array).into_iter().flatten()
            {
                self.turn(Part::Thought);
                self.sink.signed(block, &mut self.out);
            }
            if let Some(text) = delta.content.map(|text| text.into_text())
                && !text.is_empty()
            {
                self.turn(Part::Text);
                self.sink.text(&text, &mut self.out);
            }
            if let Some(text) = delta.refusal.filter(|text| !text.is_empty()) {
                self.turn(Part::Refusal);
                self.sink.refusal(&text, &mut self.out);
            }
            for call in delta.tool_calls.into_iter().flatten() {
                self.tool_delta(call);
            }
        }
        if let Some(reason) = choice.finish_reason {
            self.finish = Some(FinishReason::from_openai(&reason));
        }
        if let Some(Text::Whole(text)) = choice.stop_reason {
            self.stop_sequence = Some(text.into_owned());
        }
    }

    /// Counts a part that begins: to sinks each is an item with an id of its own, however short.
    fn turn(&mut self, part: Part) {
        if self.part.replace(part) != Some(part) {
            self.kept = self.kept.saturating_add(PART_BYTES);
        }
    }

    fn tool_delta(&mut self, delta: ToolDelta<'_>) {
        let (name, arguments) = match delta.function {
            Some(function) => (function.name, function.arguments),
            None => (None, None),
        };
        let id = delta.id.as_deref().filter(|id| !id.is_empty());
        let by_id = |id| self.calls.iter().position(|call| call.id.as_deref() == Some(id));
        let known = match (delta.index, id) {
            (Some(index), _) => self.calls.iter().position(|call| call.index == index),
            (None, Some(id)) => by_id(id),
            (None, None) => self.calls.len().checked_sub(1),
        };
        let at = match (known, name.filter(|name| !name.is_empty())) {
            (Some(at), _) => at,
            (None, Some(_)) if self.calls.len() >= MAX_CALLS => {
                return self.too_much("The AI provider sent too many tool calls.");
            }
            (None, Some(name)) => {
                // Clients tell calls apart by their ids.
                let id = id.filter(|id| by_id(id).is_none());
                let at = self.calls.len();
                let index = delta.index.unwrap_or(at);
                self.calls.push(KnownCall { index, id: id.map(str::to_owned) });
                let call = NewCall { at, index, id, name: &name, extra: delta.extra_content };
                self.turn(Part::Call(at));
                self.sink.call(call, &mut self.out);
                at
            }
            (None, None) => {
                return self.invalid("The AI provider sent a tool call without a name.");
            }
        };
        if let Some(text) = arguments.filter(|text| !text.is_empty()) {
            self.sink.arguments(at, &text, &mut self.out);
        }
    }

    fn too_much(&mut self, sentence: &str) {
        if !std::mem::replace(&mut self.is_over, true) {
            self.invalid(sentence);
        }
    }

    fn invalid(&mut self, sentence: &str) {
        self.fail(ErrorCode::UpstreamInvalid, sentence);
    }

    /// Reports a failure. The stream may go on; its finish reason is `error` from now on.
    pub(crate) fn fail(&mut self, code: ErrorCode, sentence: &str) {
        self.failed = true;
        self.sink.fail(code, sentence, &mut self.out);
    }

    /// Ends the answer.
    pub(crate) fn end(&mut self) {
        let finish = if self.failed { Some(FinishReason::Error) } else { self.finish };
        let (usage, stop_sequence) = (self.usage.as_ref(), self.stop_sequence.as_deref());
        self.sink.end(End { finish, usage, stop_sequence }, &mut self.out);
    }
}
