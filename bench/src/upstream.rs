//! A model provider that answers at once, so that only the way to it is measured.

use std::convert::Infallible;
use std::time::Duration;

use bytes::Bytes;
use futures_util::{Stream, stream};
use http::header::CONTENT_TYPE;
use http::{HeaderValue, Request, Response};
use http_body_util::{Either, Full, StreamBody};
use hyper::body::{Frame, Incoming};
use serde::Deserialize;
use tokio::time::{Interval, MissedTickBehavior};

use crate::baseline::whole;

/// Events of one stream that bring a text.
pub(crate) const EVENTS: usize = 200;

/// Distance of two events: long enough that each one travels alone, as a model's tokens do.
const PACE: Duration = Duration::from_millis(2);
/// The model whose streams have no end in a run.
pub(crate) const SLOW: &str = "bench-slow";
/// Distance of two events of that model.
pub(crate) const SLOW_PACE: Duration = Duration::from_millis(2_500);

const COMPLETION: &str = r#"{"id":"chatcmpl-bench","object":"chat.completion","created":1750000000,"model":"bench","choices":[{"index":0,"message":{"role":"assistant","content":"The quick brown fox jumps over the lazy dog."},"finish_reason":"stop"}],"usage":{"prompt_tokens":12,"completion_tokens":10,"total_tokens":22}}"#;
const DELTA: &str = concat!(
    r#"data: {"id":"chatcmpl-bench","object":"chat.completion.chunk","created":1750000000,"model":"bench","choices":[{"index":0,"delta":{"content":" token"},"finish_reason":null}]}"#,
    "\n\n"
);
const FINISH: &str = concat!(
    r#"data: {"id":"chatcmpl-bench","object":"chat.completion.chunk","created":1750000000,"model":"bench","choices":[{"index":0,"delta":{},"finish_reason":"stop"}]}"#,
    "\n\n"
);
const USAGE: &str = concat!(
    r#"data: {"id":"chatcmpl-bench","object":"chat.completion.chunk","created":1750000000,"model":"bench","choices":[],"usage":{"prompt_tokens":12,"completion_tokens":199,"total_tokens":211}}"#,
    "\n\n"
);
const DONE: &str = "data: [DONE]\n\n";

const MESSAGE: &str = r#"{"id":"msg_bench","type":"message","role":"assistant","model":"bench","content":[{"type":"text","text":"The quick brown fox jumps over the lazy dog."}],"stop_reason":"end_turn","usage":{"input_tokens":12,"output_tokens":10}}"#;
const MESSAGE_BEGINS: [&str; 2] = [
    concat!(
        "event: message_start\n",
        r#"data: {"type":"message_start","message":{"id":"msg_bench","type":"message","role":"assistant","model":"bench","content":[],"stop_reason":null,"usage":{"input_tokens":12,"output_tokens":1}}}"#,
        "\n\n"
    ),
    concat!(
        "event: content_block_start\n",
        r#"data: {"type":"content_block_start","index":0,"content_block":{"type":"text","text":""}}"#,
        "\n\n"
    ),
];
const MESSAGE_DELTA: &str = concat!(
    "event: content_block_delta\n",
    r#"data: {"type":"content_block_delta","index":0,"delta":{"type":"text_delta","text":" token"}}"#,
    "\n\n"
);
const MESSAGE_ENDS: [&str; 3] = [
    concat!(
        "event: content_block_stop\n",
        r#"data: {"type":"content_block_stop","index":0}"#,
        "\n\n"
    ),
    concat!(
        "event: message_delta\n",
        r#"data: {"type":"message_delta","delta":{"stop_reason":"end_turn","stop_sequence":null},"usage":{"output_tokens":200}}"#,
        "\n\n"
    ),
    concat!("event: message_stop\n", r#"data: {"type":"message_stop"}"#, "\n\n"),
];

#[derive(Deserialize)]
struct Wanted {
    #[serde(default)]
    stream: bool,
    #[serde(default)]
    model: String,
}

type Frames = std::pin::Pin<Box<dyn Stream<Item = Result<Frame<Bytes>, Infallible>> + Send>>;

/// What a protocol says: whole, and in events.
#[derive(Clone, Copy)]
struct Script {
    whole: &'static str,
    begins: &'static [&'static str],
    delta: &'static str,
    ends: &'static [&'static str],
    pace: Duration,
    deltas: usize,
}

const OPENAI: Script = Script {
    whole: COMPLETION,
    begins: &[],
    delta: DELTA,
    ends: &[FINISH, USAGE, DONE],
    pace: PACE,
    deltas: EVENTS,
};

const ANTHROPIC: Script = Script {
    whole: MESSAGE,
    begins: &MESSAGE_BEGINS,
    delta: MESSAGE_DELTA,
    ends: &MESSAGE_ENDS,
    pace: PACE,
    deltas: EVENTS,
};

/// An answer of the protocol whose path is asked: whole, or as events when the request asks for a
/// stream.
pub(crate) async fn answer(
    request: Request<Incoming>,
) -> Response<Either<Full<Bytes>, StreamBody<Frames>>> {
    let is_anthropic = request.uri().path().ends_with("/messages");
    let mut script = if is_anthropic { ANTHROPIC } else { OPENAI };
    let body = whole(request.into_body()).await;
    let wanted = serde_json::from_slice::<Wanted>(&body).ok();
    if wanted.as_ref().is_some_and(|wanted| wanted.model == SLOW) {
        script = Script { pace: SLOW_PACE, deltas: usize::MAX, ..script };
    }
    let (kind, body) = if wanted.is_some_and(|wanted| wanted.stream) {
        ("text/event-stream", Either::Right(StreamBody::new(Box::pin(events(script)) as Frames)))
    } else {
        ("application/json", Either::Left(Full::new(Bytes::from_static(script.whole.as_bytes()))))
    };
    let mut response = Response::new(body);
    response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static(kind));
    response
}

fn events(script: Script) -> impl Stream<Item = Result<Frame<Bytes>, Infallible>> {
    let mut pace = tokio::time::interval(script.pace);
    pace.set_missed_tick_behavior(MissedTickBehavior::Delay);
    stream::unfold((script, 0, pace), next_event)
}

async fn next_event(
    (script, sent, mut pace): (Script, usize, Interval),
) -> Option<(Result<Frame<Bytes>, Infallible>, (Script, usize, Interval))> {
    let begins = script.begins.len();
    let event = match sent.checked_sub(begins) {
        None => script.begins.get(sent)?,
        Some(at) if at < script.deltas => script.delta,
        Some(at) => script.ends.get(at - script.deltas)?,
    };
    if event != DONE {
        pace.tick().await;
    }
    Some((Ok(Frame::data(Bytes::from_static(event.as_bytes()))), (script, sent + 1, pace)))
}
