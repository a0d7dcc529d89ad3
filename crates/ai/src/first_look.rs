//! The first look at an answer of success: whether it is one, before anybody believes its head.
//!
//! Until then another upstream can be asked. Streams are judged by their content type alone, and are
//! never read here: their first event may take its time, and signs of life must pass. Whole answers
//! are read where they are short, and looked at where they begin where they are long.

use std::pin::Pin;
use std::task::{Context, Poll};

use bytes::Bytes;
use downcity_core::{Body, BoxError};
use http::Response;
use http_body::{Body as _, Frame, SizeHint};
use serde::Deserialize;
use serde::de::IgnoredAny;
use tokio::time::Instant;

use crate::failure::Failure;
use crate::limits::CallLimits;
use crate::outgoing::Outgoing;
use crate::provider::{Content, MAX_ERROR, Task, next_piece, read_answer};
use crate::scan::{has_field, values};

/// How an answer that is an error begins, where it is written without blanks.
const ERROR_BEGINS: &[u8] = b"{\"error\"";
/// Whole answers up to this size are read before they are passed on: head and body leave together.
const READ_WHOLE: u64 = 256 * 1024;

/// Looks at an answer of success to a request. Tasks whose answers are read elsewhere are left alone.
///
/// # Errors
/// [`Failure::Unreadable`] for what is no answer; those of reading it.
pub(crate) async fn first_look(
    response: Response<Body>,
    outgoing: &Outgoing,
    limits: &CallLimits,
) -> Result<Response<Body>, Failure> {
    let task = outgoing.task;
    if !matches!(task, Task::Chat | Task::Embeddings) {
        return Ok(response);
    }
    let content = Content::of(response.headers());
    match (outgoing.stream, content == Content::EventStream) {
        (true, true) => return Ok(response),
        (true, false) => return Err(unreadable("not an event stream")),
        (false, true) => return Err(unreadable("an event stream")),
        (false, false) => {}
    }
    let (parts, body) = response.into_parts();
    let is_long = body.size_hint().upper().is_none_or(|length| length > READ_WHOLE);
    let body = if is_long && content == Content::Json {
        begin(body, task, limits).await?
    } else {
        let bytes = read_answer(body, limits).await?;
        check(&bytes, task, content)?;
        bytes.into()
    };
    Ok(Response::from_parts(parts, body))
}

/// An answer that is long, or of a length that nobody knows. It is believed where a JSON object
/// begins, and where only blanks have come, which some providers send while their model works; what
/// may be an error, or all there is, is read further.
async fn begin(mut body: Body, task: Task, limits: &CallLimits) -> Result<Body, Failure> {
    let end = Instant::now() + limits.total;
    let mut first = Bytes::new();
    while let Some(next) = next_piece(&mut body, end, limits).await? {
        first = if first.is_empty() { next } else { [first, next].concat().into() };
        let begin = first.trim_ascii();
        if begin.first().is_some_and(|byte| *byte != b'{') {
            return Err(unreadable("not a JSON object"));
        }
        let may_be_error = ERROR_BEGINS.starts_with(begin) || begin.starts_with(ERROR_BEGINS);
        let may_be_all = may_be_error || begin.ends_with(b"}");
        if begin.is_empty() || !may_be_all || first.len() > MAX_ERROR {
            if is_error(begin) {
                return Err(unreadable("an error under a status of success"));
            }
            return Ok(Body::from_http(Begun { first: Some(first), rest: body }));
        }
    }
    check(&first, task, Content::Json)?;
    Ok(first.into())
}

/// Whether these bytes are a whole answer. Those that say they are JSON are believed at their ends,
/// and searched for what an answer cannot do without; others are read.
pub(crate) fn check(bytes: &[u8], task: Task, content: Content) -> Result<(), Failure> {
    let whole = bytes.trim_ascii();
    let is_object = whole.starts_with(b"{")
        && whole.ends_with(b"}")
        && std::str::from_utf8(whole).is_ok()
        && (content == Content::Json || serde_json::from_slice::<IgnoredAny>(whole).is_ok());
    if !is_object {
        return Err(unreadable("not a JSON object"));
    }
    if is_error(whole) {
        return Err(unreadable("an error under a status of success"));
    }
    let (list, member, begins) = match task {
        Task::Embeddings => ("\"data\"", "\"embedding\"", "[\""),
        _ => ("\"choices\"", "\"message\"", "{"),
    };
    if !has_items(whole, list) || !has_field(whole, member, begins.as_bytes()) {
        return Err(unreadable("an answer without content"));
    }
    Ok(())
}

fn unreadable(what: &str) -> Failure {
    Failure::Unreadable(what.to_owned())
}

/// Whether an answer tells an error and nothing else.
fn is_error(bytes: &[u8]) -> bool {
    #[derive(Deserialize)]
    struct Told {
        error: Option<IgnoredAny>,
        choices: Option<IgnoredAny>,
    }
    memchr::memmem::find(bytes, b"\"error\"").is_some()
        && serde_json::from_slice::<Told>(bytes)
            .is_ok_and(|told| told.error.is_some() && told.choices.is_none())
}

/// Whether a field, by its name in quotes, is a list of at least one object.
fn has_items(bytes: &[u8], name: &str) -> bool {
    values(bytes, name).any(|value| {
        value.strip_prefix(b"[").is_some_and(|items| items.trim_ascii_start().starts_with(b"{"))
    })
}

/// A body whose begin was read.
struct Begun {
    first: Option<Bytes>,
    rest: Body,
}

impl http_body::Body for Begun {
    type Data = Bytes;
    type Error = BoxError;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, BoxError>>> {
        match self.first.take() {
            Some(first) => Poll::Ready(Some(Ok(Frame::data(first)))),
            None => Pin::new(&mut self.rest).poll_frame(cx),
        }
    }

    fn is_end_stream(&self) -> bool {
        self.first.is_none() && self.rest.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        let read = self.first.as_ref().map_or(0, |first| first.len() as u64);
        let rest = self.rest.size_hint();
        let mut hint = SizeHint::new();
        hint.set_lower(rest.lower().saturating_add(read));
        if let Some(upper) = rest.upper() {
            hint.set_upper(upper.saturating_add(read));
        }
        hint
    }
}
