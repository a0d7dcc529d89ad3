//! Whole answers of providers that speak differently, translated once they are all there.

use bytes::Bytes;
use downcity_core::{Body, BoxError};
use futures_util::stream;
use http::Response;
use http::header::{CONTENT_LENGTH, CONTENT_TYPE};
use http_body_util::BodyExt as _;
use serde_json::Value;

use super::MAX_ANSWER;

/// An answer of which `translate` makes another; nothing where it is not what it should be. Its head
/// is there at once, and its body takes the time of a body.
pub(super) fn whole(
    response: Response<Body>,
    translate: impl FnOnce(&Value) -> Option<Value> + Send + 'static,
) -> Response<Body> {
    let (mut parts, body) = response.into_parts();
    parts.headers.remove(CONTENT_LENGTH);
    // Without a type its reader takes nothing on trust: what cannot be translated must not pass.
    parts.headers.remove(CONTENT_TYPE);
    Response::from_parts(parts, translated(body, translate))
}

fn translated(
    body: Body,
    translate: impl FnOnce(&Value) -> Option<Value> + Send + 'static,
) -> Body {
    let state = Some((body, Vec::<Bytes>::new(), 0, translate));
    let pieces = stream::unfold(state, |state| async {
        let (mut body, mut read, mut length, translate) = state?;
        match body.frame().await {
            // An empty piece tells the reader that the provider is not silent.
            Some(Ok(frame)) => {
                let piece = frame.into_data().unwrap_or_default();
                length += piece.len();
                read.push(piece);
                // A longer one ends here, and is none.
                let rest = (length <= MAX_ANSWER).then_some((body, read, length, translate));
                Some((Ok(Bytes::new()), rest))
            }
            Some(Err(error)) => Some((Err(error), None)),
            None => {
                let native = serde_json::from_slice(&read.concat()).ok();
                let answer = native.and_then(|native| translate(&native));
                let bytes = answer.map(|answer| Bytes::from(answer.to_string()));
                Some((Ok::<_, BoxError>(bytes.unwrap_or_default()), None))
            }
        }
    });
    Body::from_stream(Box::pin(pieces))
}
