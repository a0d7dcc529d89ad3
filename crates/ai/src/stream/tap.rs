//! Watching a relayed answer for its usage.
//!
//! # Streams
//! Bytes are passed on untouched up to the last complete event; an incomplete one waits for its
//! end, which costs readers nothing, as they act on whole events only. The complete part is searched
//! for `"usage"` followed by an object, and only an event that has one is parsed. Where the caller
//! did not ask for usage, the event that tells nothing else (no choices) is left out: it exists
//! because we asked for it. `"usage":null` in other events stays.
//!
//! The same parts tell whether the answer was finished: by a finish reason, an error of the
//! provider's own, or `[DONE]`, after which nothing is passed on. A stream that ends without any of
//! them was cut.
//!
//! The provider's key is masked wherever it stands; it is searched for in the complete part too.
//!
//! # Whole answers
//! The last part of the body is kept by reference (no copy) and searched once, at the end.

use std::collections::VecDeque;
use std::sync::LazyLock;

use bytes::{Bytes, BytesMut};
use memchr::memmem::Finder;
use serde::Deserialize;
use serde::de::IgnoredAny;
use serde_json::Value;

use super::chunks::Chunk;
use crate::convert::answer::Completion;
use crate::first_look::check;
use crate::mask::Mask;
use crate::provider::{Content, Task};

static USAGE: LazyLock<Finder<'static>> = LazyLock::new(|| Finder::new(b"\"usage\""));
static FINISH: LazyLock<Finder<'static>> = LazyLock::new(|| Finder::new(b"\"finish_reason\""));
static ERROR: LazyLock<Finder<'static>> = LazyLock::new(|| Finder::new(b"\"error\""));
static DONE: LazyLock<Finder<'static>> = LazyLock::new(|| Finder::new(b"[DONE]"));

/// The most bytes of an incomplete event that wait for its end. A longer one is no usage event and
/// is passed on as it comes.
const MAX_HELD: usize = 256 * 1024;
/// Bytes that a blank line can be split over.
const OVERLAP: usize = 3;
/// The part of a whole answer that is kept for the search.
const MAX_KEPT: usize = 1024 * 1024;

/// Watches a stream of events.
pub(crate) struct StreamTap {
    /// The incomplete event.
    held: BytesMut,
    /// In the middle of an event that is too long to wait for.
    passing: bool,
    hide: bool,
    mask: Mask,
    usage: Option<Value>,
    /// Bytes of the texts so far; `None` where nobody asks, as every event is parsed for it.
    produced: Option<u64>,
    /// The provider told an error.
    has_failed: bool,
    /// A finish reason or an error was told.
    is_finished: bool,
    is_done: bool,
}

/// An event with usage, as far as it is read.
#[derive(Deserialize)]
struct UsageEvent {
    #[serde(default)]
    usage: Option<Value>,
    #[serde(default)]
    choices: Option<Vec<IgnoredAny>>,
}

impl StreamTap {
    /// With `hide`, events that tell nothing but usage are left out.
    pub(crate) fn new(hide: bool, mask: Mask) -> Self {
        Self {
            held: BytesMut::new(),
            passing: false,
            hide,
            mask,
            usage: None,
            produced: None,
            has_failed: false,
            is_finished: false,
            is_done: false,
        }
    }

    /// Counts the texts that are produced, too.
    pub(crate) fn counting(mut self, counts: bool) -> Self {
        self.produced = counts.then_some(0);
        self
    }

    /// Bytes of the texts that were produced so far, where they are counted.
    pub(crate) fn produced(&self) -> u64 {
        self.produced.unwrap_or(0)
    }

    /// Whether the provider told an error.
    pub(crate) fn has_failed(&self) -> bool {
        self.has_failed
    }

    /// The usage that was seen last.
    pub(crate) fn usage(&self) -> Option<&Value> {
        self.usage.as_ref()
    }

    /// Whether `[DONE]` was passed on.
    pub(crate) fn is_done(&self) -> bool {
        self.is_done
    }

    /// Whether a stream that ends here was cut: its end was not told.
    pub(crate) fn is_cut(&self) -> bool {
        let is_told = self.is_done || self.is_finished;
        self.passing || !is_told && !tells_end(&self.held) && done_end(&self.held).is_none()
    }

    /// Whether a part of an event was passed on whose end has not come.
    pub(crate) fn is_passing(&self) -> bool {
        self.passing
    }

    /// Takes bytes of the stream and puts what may be passed on into `out`.
    pub(crate) fn push(&mut self, mut bytes: Bytes, out: &mut VecDeque<Bytes>) {
        if self.is_done {
            return;
        }
        if self.passing {
            let length = bytes.len();
            let rest = self.pass(bytes, out);
            self.count(length.saturating_sub(rest.as_ref().map_or(0, Bytes::len)));
            match rest {
                Some(rest) => bytes = rest,
                None => return,
            }
        }
        let complete = if self.held.is_empty() {
            let end = last_boundary(&bytes).unwrap_or(0);
            let complete = bytes.split_to(end);
            self.held.extend_from_slice(&bytes);
            complete
        } else {
            let from = self.held.len().saturating_sub(OVERLAP);
            self.held.extend_from_slice(&bytes);
            match last_boundary(&self.held[from..]) {
                Some(end) => self.held.split_to(from + end).freeze(),
                None => Bytes::new(),
            }
        };
        self.complete(complete, out);
        if self.held.len() > MAX_HELD {
            // What it tells is not looked for.
            self.is_finished = true;
            let held = std::mem::take(&mut self.held).freeze();
            self.count(held.len());
            self.pass_begin(held, out);
            self.passing = true;
        }
    }

    fn count(&mut self, bytes: usize) {
        if let Some(produced) = &mut self.produced {
            *produced += bytes as u64;
        }
    }

    /// Counts the texts of whole events.
    fn count_events(&mut self, bytes: &[u8]) {
        let Some(produced) = &mut self.produced else {
            self.has_failed |= tells_error(bytes);
            return;
        };
        for data in bytes.split(|byte| matches!(byte, b'\n' | b'\r')) {
            let Some(data) = data.strip_prefix(b"data:") else { continue };
            if let Ok(chunk) = serde_json::from_slice::<Chunk<'_>>(data) {
                *produced += chunk.produced();
                self.has_failed |= chunk.error.is_some();
            }
        }
    }

    /// Passes on an event that is too long to wait for; gives what follows its end.
    fn pass(&mut self, bytes: Bytes, out: &mut VecDeque<Bytes>) -> Option<Bytes> {
        self.held.extend_from_slice(&bytes);
        let mut held = self.mask.bytes(std::mem::take(&mut self.held).freeze());
        match first_boundary(&held) {
            Some(end) => {
                out.push_back(held.split_to(end));
                self.passing = false;
                Some(held)
            }
            None => {
                self.pass_begin(held, out);
                None
            }
        }
    }

    /// Passes on what no blank line and no key can begin in.
    fn pass_begin(&mut self, held: Bytes, out: &mut VecDeque<Bytes>) {
        let mut held = self.mask.bytes(held);
        let tail = OVERLAP.max(self.mask.begun(&held));
        let tail = held.split_off(held.len().saturating_sub(tail));
        out.push_back(held);
        self.held.extend_from_slice(&tail);
    }

    /// The end of the stream: what was held may be passed on.
    pub(crate) fn end(&mut self, out: &mut VecDeque<Bytes>) {
        let rest = std::mem::take(&mut self.held).freeze();
        if self.passing {
            out.push_back(rest);
        } else {
            self.complete(rest, out);
        }
    }

    /// Passes whole events on, but for those that are to be hidden.
    fn complete(&mut self, mut bytes: Bytes, out: &mut VecDeque<Bytes>) {
        if let Some(end) = done_end(&bytes) {
            self.is_done = true;
            self.held.clear();
            bytes.truncate(end);
        }
        self.is_finished = self.is_finished || tells_end(&bytes);
        self.count_events(&bytes);
        bytes = self.mask.bytes(bytes);
        let mut passed = 0;
        let mut from = 0;
        while let Some(hit) = USAGE.find(&bytes[from..]) {
            let hit = from + hit;
            from = hit + USAGE.needle().len();
            if !begins_object(&bytes[from..]) {
                continue;
            }
            let start = last_boundary(&bytes[..hit]).unwrap_or(0);
            let end = first_boundary(&bytes[from..]).map_or(bytes.len(), |end| from + end);
            from = end;
            let Some(event) = read_event(&bytes[start..end]) else { continue };
            let only_usage =
                event.usage.is_some() && event.choices.is_none_or(|all| all.is_empty());
            if event.usage.is_some() {
                self.usage = event.usage;
            }
            if self.hide && only_usage {
                if start > passed {
                    out.push_back(bytes.slice(passed..start));
                }
                passed = end;
            }
        }
        if passed < bytes.len() {
            out.push_back(bytes.slice(passed..));
        }
    }
}

/// After the name of a field: `:` and the begin of an object.
fn begins_object(bytes: &[u8]) -> bool {
    begin_of_value(bytes) == Some(b'{')
}

/// The first byte of the value of a field, after its name.
fn begin_of_value(bytes: &[u8]) -> Option<u8> {
    let mut rest = bytes.iter().filter(|byte| !byte.is_ascii_whitespace());
    rest.next().filter(|&&byte| byte == b':')?;
    rest.next().copied()
}

/// Whether events tell a finish reason or an error.
fn tells_end(bytes: &[u8]) -> bool {
    has_field(bytes, &FINISH, b"\"") || tells_error(bytes)
}

/// Whether events tell an error.
fn tells_error(bytes: &[u8]) -> bool {
    has_field(bytes, &ERROR, b"{\"")
}

/// Whether events have a field whose value begins so. Quotes inside of texts are escaped, so that no
/// text of the model reads as a field.
fn has_field(bytes: &[u8], finder: &Finder<'static>, begins: &[u8]) -> bool {
    finder.find_iter(bytes).any(|hit| {
        let value = begin_of_value(&bytes[hit + finder.needle().len()..]);
        value.is_some_and(|byte| begins.contains(&byte))
    })
}

/// Where the event `[DONE]` ends.
fn done_end(bytes: &[u8]) -> Option<usize> {
    let end = DONE.find_iter(bytes).find_map(|hit| {
        let line = memchr::memrchr2(b'\n', b'\r', &bytes[..hit]).map_or(0, |at| at + 1);
        let end = hit + DONE.needle().len();
        let rest = memchr::memchr2(b'\n', b'\r', &bytes[end..]).map_or(bytes.len(), |at| end + at);
        let is_whole =
            bytes[line..hit].trim_ascii() == b"data:" && bytes[end..rest].trim_ascii().is_empty();
        is_whole.then_some(end)
    })?;
    Some(first_boundary(&bytes[end..]).map_or(bytes.len(), |at| end + at))
}

fn read_event(bytes: &[u8]) -> Option<UsageEvent> {
    let mut data = Vec::new();
    for line in bytes.split(|byte| matches!(byte, b'\n' | b'\r')) {
        if let Some(text) = line.strip_prefix(b"data:") {
            data.extend_from_slice(text);
            data.push(b'\n');
        }
    }
    serde_json::from_slice(&data).ok()
}

/// Where the last blank line ends.
fn last_boundary(bytes: &[u8]) -> Option<usize> {
    memchr::memrchr2_iter(b'\n', b'\r', bytes).find(|&at| is_boundary(bytes, at)).map(|at| at + 1)
}

/// Where the first blank line ends.
fn first_boundary(bytes: &[u8]) -> Option<usize> {
    memchr::memchr2_iter(b'\n', b'\r', bytes).find(|&at| is_boundary(bytes, at)).map(|at| at + 1)
}

/// Whether the line end at `at` ends a blank line: LF LF, CR LF CR LF, or CR CR.
fn is_boundary(bytes: &[u8], at: usize) -> bool {
    let before = |back: usize| at.checked_sub(back).and_then(|at| bytes.get(at)).copied();
    match (bytes.get(at), before(1)) {
        (Some(b'\n'), Some(b'\n')) | (Some(b'\r'), Some(b'\r')) => true,
        (Some(b'\n'), Some(b'\r')) => before(2) == Some(b'\n'),
        _ => false,
    }
}

/// Watches an answer that is not streamed.
#[derive(Default)]
pub(crate) struct JsonTap {
    is_chat: bool,
    kept: VecDeque<Bytes>,
    length: usize,
    passed: u64,
}

impl JsonTap {
    /// Watches what has to be a chat completion.
    pub(crate) fn of_chat() -> Self {
        Self { is_chat: true, ..Self::default() }
    }

    /// Keeps the bytes for the search; of long answers only the last part, where usage stands.
    pub(crate) fn push(&mut self, bytes: &Bytes) {
        self.length += bytes.len();
        self.passed += bytes.len() as u64;
        self.kept.push_back(bytes.clone());
        while let Some(first) = self.kept.front()
            && self.length - first.len() >= MAX_KEPT
        {
            self.length -= first.len();
            self.kept.pop_front();
        }
    }

    /// Whether the bytes are what they have to be, as far as they are kept and it can be told cheaply.
    pub(crate) fn is_answer(&self) -> bool {
        !self.is_chat
            || self.length as u64 != self.passed
            || check(&self.kept(), Task::Chat, Content::Json).is_ok()
    }

    /// The bytes so far.
    pub(crate) fn passed(&self) -> u64 {
        self.passed
    }

    /// The usage of the answer.
    pub(crate) fn usage(&self) -> Option<Value> {
        usage_of(&self.kept())
    }

    /// Bytes of the texts in the answer; of one that is not kept as a whole all bytes.
    pub(crate) fn produced(&self) -> u64 {
        if self.length as u64 != self.passed {
            return self.passed;
        }
        let completion = Completion::read(&self.kept());
        completion.map_or(self.passed, |completion| completion.produced())
    }

    /// What is kept, copied only where it came in pieces.
    fn kept(&self) -> Bytes {
        match self.kept.len() {
            1 => self.kept.front().cloned().unwrap_or_default(),
            _ => self.kept.iter().flatten().copied().collect(),
        }
    }
}

/// The usage object of a JSON answer: the last field `usage` that is an object.
pub(crate) fn usage_of(bytes: &[u8]) -> Option<Value> {
    let hits = memchr::memmem::rfind_iter(bytes, USAGE.needle());
    for hit in hits {
        let rest = &bytes[hit + USAGE.needle().len()..];
        if !begins_object(rest) {
            continue;
        }
        let colon = memchr::memchr(b':', rest).unwrap_or(0);
        let mut values = serde_json::Deserializer::from_slice(&rest[colon + 1..]).into_iter();
        if let Some(Ok(value)) = values.next() {
            return Some(value);
        }
    }
    None
}
