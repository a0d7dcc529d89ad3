//! From a stream of Gemini to one of chat completion chunks.

use std::collections::{BTreeMap, VecDeque};
use std::task::{Context, Poll};

use bytes::Bytes;
use downcity_core::{Body, BoxError};
use downcity_types::{ErrorCode, OpenAiError};
use futures_util::stream;
use serde_json::{Map, Value, json};

use super::answer::{Labels, error_body, finish_reason, index_of, is_blocked, said, usage};
use crate::failure::Failure;
use crate::stream::events::Events;

/// The most candidates of one answer, more than can be asked for.
const MAX_CANDIDATES: usize = 128;

/// The body in the form of OpenAI; with `tells_usage` a last chunk tells the usage.
pub(super) fn translated(body: Body, labels: Labels, tells_usage: bool) -> Body {
    let mut translating = Translating {
        events: Events::new(body),
        chunks: Chunks::new(labels, tells_usage),
        has_ended: false,
        broken: None,
    };
    Body::from_stream(stream::poll_fn(move |cx| translating.poll_next(cx)))
}

struct Translating {
    events: Events,
    chunks: Chunks,
    has_ended: bool,
    broken: Option<BoxError>,
}

impl Translating {
    fn poll_next(&mut self, cx: &mut Context<'_>) -> Poll<Option<Result<Bytes, BoxError>>> {
        loop {
            if let Some(chunk) = self.chunks.out.pop_front() {
                return Poll::Ready(Some(Ok(chunk)));
            }
            if self.has_ended {
                return Poll::Ready(self.broken.take().map(Err));
            }
            match std::task::ready!(self.events.poll_next(cx)) {
                Some(Ok(data)) => self.chunks.event(&data),
                Some(Err(Failure::Broken(error))) => {
                    self.chunks.tell_usage();
                    self.broken = Some(error);
                    self.has_ended = true;
                }
                Some(Err(_)) => self.chunks.unreadable(),
                None => {
                    self.chunks.end();
                    self.has_ended = true;
                }
            }
            self.has_ended |= self.chunks.has_failed;
        }
    }
}

/// What was told of one candidate so far.
#[derive(Default)]
struct Candidate {
    has_role: bool,
    calls: u64,
    is_finished: bool,
}

/// Makes chunks of events, without I/O.
pub(super) struct Chunks {
    labels: Labels,
    tells_usage: bool,
    id: Option<String>,
    candidates: BTreeMap<u64, Candidate>,
    usage: Option<Value>,
    has_failed: bool,
    pub(super) out: VecDeque<Bytes>,
}

impl Chunks {
    pub(super) fn new(labels: Labels, tells_usage: bool) -> Self {
        Self {
            labels,
            tells_usage,
            id: None,
            candidates: BTreeMap::new(),
            usage: None,
            has_failed: false,
            out: VecDeque::new(),
        }
    }

    /// Takes the data of one event.
    pub(super) fn event(&mut self, data: &str) {
        if data.trim().is_empty() || self.has_failed {
            return;
        }
        let Ok(Value::Object(native)) = serde_json::from_str(data) else {
            return self.unreadable();
        };
        if let Some(Value::Object(error)) = native.get("error") {
            self.tell_usage();
            self.has_failed = true;
            return self.push(&error_body(error));
        }
        let native = Value::Object(native);
        let id = self.id.get_or_insert_with(|| self.labels.id_of(&native)).clone();
        if let Some(usage) = usage(&native) {
            self.usage = Some(usage);
        }
        let candidates = native.get("candidates").and_then(Value::as_array);
        for (at, candidate) in candidates.into_iter().flatten().enumerate() {
            self.candidate(candidate, index_of(candidate).unwrap_or(at as u64), &id);
        }
        if candidates.is_none_or(Vec::is_empty) && is_blocked(&native) {
            self.candidate(&json!({"finishReason": "SAFETY"}), 0, &id);
        }
    }

    fn candidate(&mut self, candidate: &Value, index: u64, id: &str) {
        if self.candidates.len() >= MAX_CANDIDATES && !self.candidates.contains_key(&index) {
            return;
        }
        let state = self.candidates.entry(index).or_default();
        let first = state.calls;
        let said = said(candidate, id, index, &mut state.calls);
        let mut delta = Map::new();
        if !std::mem::replace(&mut state.has_role, true) {
            delta.insert("role".to_owned(), json!("assistant"));
        }
        if !said.reasoning.is_empty() {
            delta.insert("reasoning_content".to_owned(), Value::String(said.reasoning));
        }
        if !said.text.is_empty() {
            delta.insert("content".to_owned(), Value::String(said.text));
        }
        if !said.calls.is_empty() {
            let calls = (first..).zip(said.calls).map(|(at, mut call)| {
                if let Some(fields) = call.as_object_mut() {
                    fields.insert("index".to_owned(), json!(at));
                }
                call
            });
            delta.insert("tool_calls".to_owned(), calls.collect());
        }
        let finish = finish_reason(candidate, state.calls > 0);
        state.is_finished |= finish.is_some();
        if delta.is_empty() && finish.is_none() {
            return;
        }
        let choice = json!({"index": index, "delta": delta, "finish_reason": finish});
        self.chunk(json!([choice]), None);
    }

    fn chunk(&mut self, choices: Value, usage: Option<Value>) {
        let id = self.id.as_deref().unwrap_or(&self.labels.fallback_id);
        let mut chunk = json!({
            "id": format!("chatcmpl-{id}"), "object": "chat.completion.chunk",
            "created": self.labels.created, "model": self.labels.model, "choices": choices,
        });
        if let (Some(usage), Some(fields)) = (usage, chunk.as_object_mut()) {
            fields.insert("usage".to_owned(), usage);
        }
        self.push(&chunk);
    }

    /// Tells the usage, which Gemini repeats in every event, once and last.
    fn tell_usage(&mut self) {
        if let Some(usage) = self.usage.take().filter(|_| self.tells_usage) {
            self.chunk(json!([]), Some(usage));
        }
    }

    /// The end of the stream; one whose end was not told gets no `[DONE]`.
    pub(super) fn end(&mut self) {
        self.tell_usage();
        let is_told = self.candidates.values().all(|candidate| candidate.is_finished);
        if is_told && !self.candidates.is_empty() && !self.has_failed {
            self.out.push_back(Bytes::from_static(b"data: [DONE]\n\n"));
        }
    }

    fn unreadable(&mut self) {
        self.tell_usage();
        self.has_failed = true;
        let sentence = "The AI provider sent an event that cannot be read.".to_owned();
        let error = OpenAiError::new(ErrorCode::UpstreamInvalid, sentence, None);
        self.push(&serde_json::to_value(&error).unwrap_or_default());
    }

    fn push(&mut self, data: &Value) {
        self.out.push_back(format!("data: {data}\n\n").into());
    }
}
