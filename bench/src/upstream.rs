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

/// Events of one stream, `[DONE]` not counted.
pub(crate) const EVENTS: usize = 200;

/// Distance of two events: long enough that each one travels alone, as a model's tokens do.
const PACE: Duration = Duration::from_millis(2);

const COMPLETION: &str = r#"{"id":"chatcmpl-bench","object":"chat.completion","created":1750000000,"model":"bench","choices":[{"index":0,"message":{"role":"assistant","content":"The quick brown fox jumps over the lazy dog."},"finish_reason":"stop"}],"usage":{"prompt_tokens":12,"completion_tokens":10,"total_tokens":22}}"#;
const DELTA: &str = concat!(
    r#"data: {"id":"chatcmpl-bench","object":"chat.completion.chunk","created":1750000000,"model":"bench","choices":[{"index":0,"delta":{"content":" token"},"finish_reason":null}]}"#,
    "\n\n"
);
const USAGE: &str = concat!(
    r#"data: {"id":"chatcmpl-bench","object":"chat.completion.chunk","created":1750000000,"model":"bench","choices":[],"usage":{"prompt_tokens":12,"completion_tokens":199,"total_tokens":211}}"#,
    "\n\n"
);
const DONE: &str = "data: [DONE]\n\n";

#[derive(Deserialize)]
struct Wanted {
    #[serde(default)]
    stream: bool,
}

type Frames = std::pin::Pin<Box<dyn Stream<Item = Result<Frame<Bytes>, Infallible>> + Send>>;

/// A chat completion: whole, or as events when the request asks for a stream.
pub(crate) async fn answer(
    request: Request<Incoming>,
) -> Response<Either<Full<Bytes>, StreamBody<Frames>>> {
    let body = whole(request.into_body()).await;
    let streamed = serde_json::from_slice::<Wanted>(&body).is_ok_and(|wanted| wanted.stream);
    let (kind, body) = if streamed {
        ("text/event-stream", Either::Right(StreamBody::new(Box::pin(events()) as Frames)))
    } else {
        ("application/json", Either::Left(Full::new(Bytes::from_static(COMPLETION.as_bytes()))))
    };
    let mut response = Response::new(body);
    response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static(kind));
    response
}

fn events() -> impl Stream<Item = Result<Frame<Bytes>, Infallible>> {
    let mut pace = tokio::time::interval(PACE);
    pace.set_missed_tick_behavior(MissedTickBehavior::Delay);
    stream::unfold((0, pace), next_event)
}

async fn next_event(
    (sent, mut pace): (usize, Interval),
) -> Option<(Result<Frame<Bytes>, Infallible>, (usize, Interval))> {
    let event = match sent.cmp(&EVENTS) {
        std::cmp::Ordering::Less if sent + 1 == EVENTS => USAGE,
        std::cmp::Ordering::Less => DELTA,
        std::cmp::Ordering::Equal => DONE,
        std::cmp::Ordering::Greater => return None,
    };
    if sent < EVENTS {
        pace.tick().await;
    }
    Some((Ok(Frame::data(Bytes::from_static(event.as_bytes()))), (sent + 1, pace)))
}
