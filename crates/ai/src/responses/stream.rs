//! The events of a streamed response.
//!
//! Items are told in the order in which they begin. One ends when the next begins, but for function
//! calls whose arguments are not complete by then: providers may write several at once.

use downcity_types::{ErrorCode, FinishReason};
use serde::Serialize;
use serde::de::IgnoredAny;
use serde_json::Value;

use super::answer::{
    Content, Failed, Head, Incomplete, Item, Response, Status, SummaryPart, Usage, Words,
};
use crate::stream::encoder::{End, NewCall, Out, Sink};

/// Writes one response.
pub(super) struct ResponseSink {
    head: Head,
    events: Events,
    items: Vec<Item>,
    /// The item that the provider writes at.
    open: Option<usize>,
    /// Calls that others have followed, but whose arguments were not complete.
    late: Vec<usize>,
    /// The items of the calls.
    calls: Vec<usize>,
    status: Status,
    failed: Option<Failed>,
    incomplete: Option<Incomplete>,
    usage: Option<Usage>,
}

/// Numbers the events.
struct Events {
    next: u64,
    /// Only the response at the end is wanted.
    is_whole: bool,
}

#[derive(Serialize)]
struct Event<'a, T> {
    #[serde(rename = "type")]
    name: &'static str,
    sequence_number: u64,
    #[serde(flatten)]
    fields: &'a T,
}

impl Events {
    fn emit(&mut self, out: &mut Out, name: &'static str, fields: &impl Serialize) {
        if !self.is_whole {
            out.event(name, &Event { name, sequence_number: self.next, fields });
            self.next += 1;
        }
    }
}

#[derive(Serialize)]
struct OfResponse<'a> {
    response: Response<'a>,
}

#[derive(Serialize)]
struct OfItem<'a> {
    output_index: usize,
    item: &'a Item,
}

/// Where in the response an event happens.
#[derive(Clone, Copy, Serialize)]
struct Place<'a> {
    item_id: &'a str,
    output_index: usize,
    #[serde(skip_serializing_if = "Option::is_none")]
    content_index: Option<usize>,
    #[serde(skip_serializing_if = "Option::is_none")]
    summary_index: Option<usize>,
}

impl<'a> Place<'a> {
    fn of(item_id: &'a str, output_index: usize) -> Self {
        Self { item_id, output_index, content_index: None, summary_index: None }
    }
}

#[derive(Serialize)]
struct OfPart<'a, P> {
    #[serde(flatten)]
    place: Place<'a>,
    part: &'a P,
}

#[derive(Serialize)]
struct Delta<'a> {
    #[serde(flatten)]
    place: Place<'a>,
    delta: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    logprobs: Option<[(); 0]>,
}

#[derive(Serialize, Default)]
struct Done<'a> {
    #[serde(skip_serializing_if = "Option::is_none")]
    text: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    refusal: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    name: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    arguments: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    logprobs: Option<[(); 0]>,
}

#[derive(Serialize)]
struct DoneAt<'a> {
    #[serde(flatten)]
    place: Place<'a>,
    #[serde(flatten)]
    done: Done<'a>,
}

#[derive(Serialize)]
struct ErrorFields<'a> {
    code: ErrorCode,
    message: &'a str,
    param: Option<&'a str>,
}

impl ResponseSink {
    /// Writes events.
    pub(super) fn streamed(head: Head) -> Self {
        Self::new(head, false)
    }

    /// Writes no events: only [`ResponseSink::response`] is asked for, at the end.
    pub(super) fn whole(head: Head) -> Self {
        Self::new(head, true)
    }

    fn new(head: Head, is_whole: bool) -> Self {
        Self {
            head,
            events: Events { next: 0, is_whole },
            items: Vec::new(),
            open: None,
            late: Vec::new(),
            calls: Vec::new(),
            status: Status::InProgress,
            failed: None,
            incomplete: None,
            usage: None,
        }
    }

    /// The response so far.
    pub(super) fn response(&self) -> Response<'_> {
        Response {
            id: format!("resp_{}", self.head.id),
            object: "response",
            created_at: self.head.created_at,
            status: self.status,
            error: self.failed.as_ref(),
            incomplete_details: self.incomplete,
            model: &self.head.model,
            output: &self.items,
            usage: self.usage.as_ref(),
            echo: &self.head.echo,
        }
    }

    fn tell_response(&mut self, name: &'static str, out: &mut Out) {
        if !self.events.is_whole {
            let (sequence_number, response) = (self.events.next, self.response());
            out.event(name, &Event { name, sequence_number, fields: &OfResponse { response } });
            self.events.next += 1;
        }
    }

    /// An id of an item of this kind that is about to begin.
    fn item_id(&self, kind: &str) -> String {
        format!("{kind}_{}_{}", self.head.id, self.items.len())
    }

    /// Begins an item, and ends the one before it.
    fn start(&mut self, item: Item, out: &mut Out) -> usize {
        if let Some(before) = self.open.take() {
            if self.is_complete(before) {
                self.finish(before, Status::Completed, out);
            } else {
                self.late.push(before);
            }
        }
        let at = self.items.len();
        self.events.emit(
            out,
            "response.output_item.added",
            &OfItem { output_index: at, item: &item },
        );
        self.items.push(item);
        self.open = Some(at);
        at
    }

    /// Whether nothing more is to come for an item when another has begun.
    fn is_complete(&self, at: usize) -> bool {
        match self.items.get(at) {
            Some(Item::FunctionCall { arguments, .. }) => {
                serde_json::from_str::<IgnoredAny>(arguments).is_ok()
            }
            _ => true,
        }
    }

    /// The message that the provider writes at.
    fn message(&mut self, out: &mut Out) -> usize {
        match self.open {
            Some(at) if matches!(self.items.get(at), Some(Item::Message { .. })) => at,
            _ => {
                let (id, status) = (self.item_id("msg"), Status::InProgress);
                self.start(
                    Item::Message { id, status, role: "assistant", content: Vec::new() },
                    out,
                )
            }
        }
    }

    /// The reasoning that the provider writes at.
    fn thought(&mut self, out: &mut Out) -> usize {
        match self.open {
            Some(at) if matches!(self.items.get(at), Some(Item::Reasoning { .. })) => at,
            _ => {
                let (id, status) = (self.item_id("rs"), Status::InProgress);
                let (summary, thinking_blocks) = (Vec::new(), Vec::new());
                self.start(Item::Reasoning { id, status, summary, thinking_blocks }, out)
            }
        }
    }

    fn words(&mut self, kind: Words, text: &str, out: &mut Out) {
        if self.failed.is_some() {
            return;
        }
        let at = self.message(out);
        let Some(Item::Message { id, content, .. }) = self.items.get_mut(at) else { return };
        if content.last().is_none_or(|last| last.kind() != kind) {
            if let Some(index) = content.len().checked_sub(1) {
                finish_part(
                    &mut self.events,
                    Place { content_index: Some(index), ..Place::of(id, at) },
                    content,
                    out,
                );
            }
            let part = Content::empty(kind);
            let place = Place { content_index: Some(content.len()), ..Place::of(id, at) };
            self.events.emit(out, "response.content_part.added", &OfPart { place, part: &part });
            content.push(part);
        }
        let place = Place { content_index: content.len().checked_sub(1), ..Place::of(id, at) };
        let (name, logprobs) = match kind {
            Words::Text => ("response.output_text.delta", Some([])),
            Words::Refusal => ("response.refusal.delta", None),
        };
        self.events.emit(out, name, &Delta { place, delta: text, logprobs });
        if let Some(part) = content.last_mut() {
            part.words().push_str(text);
        }
    }

    /// Ends an item.
    fn finish(&mut self, at: usize, status: Status, out: &mut Out) {
        let Some(item) = self.items.get_mut(at) else { return };
        *item.status() = status;
        let events = &mut self.events;
        match item {
            Item::Reasoning { id, summary, .. } => {
                if let Some(part) = summary.last() {
                    let place = Place { summary_index: Some(0), ..Place::of(id, at) };
                    let done = Done { text: Some(&part.text), ..Done::default() };
                    events.emit(
                        out,
                        "response.reasoning_summary_text.done",
                        &DoneAt { place, done },
                    );
                    let name = "response.reasoning_summary_part.done";
                    events.emit(out, name, &OfPart { place, part });
                }
            }
            Item::Message { id, content, .. } => {
                let place =
                    Place { content_index: content.len().checked_sub(1), ..Place::of(id, at) };
                finish_part(events, place, content, out);
            }
            Item::FunctionCall { id, name, arguments, .. } => {
                if arguments.is_empty() {
                    arguments.push_str("{}");
                }
                let done = Done { name: Some(name), arguments: Some(arguments), ..Done::default() };
                let done = DoneAt { place: Place::of(id, at), done };
                events.emit(out, "response.function_call_arguments.done", &done);
            }
        }
        self.events.emit(out, "response.output_item.done", &OfItem { output_index: at, item });
    }
}

/// Ends the last part of a message.
fn finish_part(events: &mut Events, place: Place<'_>, content: &[Content], out: &mut Out) {
    let Some(part) = content.last() else { return };
    match part {
        Content::OutputText { text, .. } => {
            let done = Done { text: Some(text), logprobs: Some([]), ..Done::default() };
            events.emit(out, "response.output_text.done", &DoneAt { place, done });
        }
        Content::Refusal { refusal } => {
            let done = Done { refusal: Some(refusal), ..Done::default() };
            events.emit(out, "response.refusal.done", &DoneAt { place, done });
        }
    }
    events.emit(out, "response.content_part.done", &OfPart { place, part });
}

impl Sink for ResponseSink {
    fn begin(&mut self, out: &mut Out) {
        self.tell_response("response.created", out);
        self.tell_response("response.in_progress", out);
    }

    fn reasoning(&mut self, text: &str, out: &mut Out) {
        if self.failed.is_some() {
            return;
        }
        let at = self.thought(out);
        let Some(Item::Reasoning { id, summary, .. }) = self.items.get_mut(at) else { return };
        let place = Place { summary_index: Some(0), ..Place::of(id, at) };
        if summary.is_empty() {
            let part = SummaryPart { text: String::new() };
            let name = "response.reasoning_summary_part.added";
            self.events.emit(out, name, &OfPart { place, part: &part });
            summary.push(part);
        }
        let delta = Delta { place, delta: text, logprobs: None };
        self.events.emit(out, "response.reasoning_summary_text.delta", &delta);
        if let Some(part) = summary.last_mut() {
            part.text.push_str(text);
        }
    }

    fn signed(&mut self, block: &Value, out: &mut Out) {
        if self.failed.is_some() {
            return;
        }
        let at = self.thought(out);
        if let Some(Item::Reasoning { thinking_blocks, .. }) = self.items.get_mut(at) {
            thinking_blocks.push(block.clone());
        }
    }

    fn text(&mut self, text: &str, out: &mut Out) {
        self.words(Words::Text, text, out);
    }

    fn refusal(&mut self, text: &str, out: &mut Out) {
        self.words(Words::Refusal, text, out);
    }

    fn call(&mut self, call: NewCall<'_>, out: &mut Out) {
        if self.failed.is_some() {
            return;
        }
        let made_up = || format!("call_{}_{}", self.head.id, call.at);
        let item = Item::FunctionCall {
            id: self.item_id("fc"),
            status: Status::InProgress,
            call_id: call.id.map_or_else(made_up, str::to_owned),
            name: call.name.to_owned(),
            arguments: String::new(),
            extra_content: call.extra,
        };
        let at = self.start(item, out);
        self.calls.push(at);
    }

    fn arguments(&mut self, at: usize, text: &str, out: &mut Out) {
        let Some(&at) = self.calls.get(at).filter(|_| self.failed.is_none()) else { return };
        let Some(Item::FunctionCall { id, status: Status::InProgress, arguments, .. }) =
            self.items.get_mut(at)
        else {
            // A call that was complete takes no more.
            return;
        };
        let delta = Delta { place: Place::of(id, at), delta: text, logprobs: None };
        self.events.emit(out, "response.function_call_arguments.delta", &delta);
        arguments.push_str(text);
    }

    fn fail(&mut self, code: ErrorCode, sentence: &str, out: &mut Out) {
        if self.failed.is_none() {
            self.failed = Some(Failed::new(code, sentence));
            let fields = ErrorFields { code, message: sentence, param: None };
            self.events.emit(out, "error", &fields);
        }
    }

    fn end(&mut self, end: End<'_>, out: &mut Out) {
        self.usage = end.usage.and_then(Usage::of);
        let reason = match end.finish {
            _ if self.failed.is_some() => None,
            Some(FinishReason::Length) => Some("max_output_tokens"),
            Some(FinishReason::ContentFilter) => Some("content_filter"),
            _ => None,
        };
        self.incomplete = reason.map(|reason| Incomplete { reason });
        let unfinished: Vec<usize> = self.late.drain(..).chain(self.open.take()).collect();
        let (status, name) = match (&self.failed, reason) {
            (Some(_), _) => (Status::Failed, "response.failed"),
            (None, Some(_)) => (Status::Incomplete, "response.incomplete"),
            (None, None) => (Status::Completed, "response.completed"),
        };
        for at in unfinished {
            match self.items.get_mut(at) {
                Some(item) if status == Status::Failed => *item.status() = Status::Incomplete,
                _ => self.finish(at, status, out),
            }
        }
        self.status = status;
        self.tell_response(name, out);
    }
}
