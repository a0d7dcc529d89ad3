//! Protocols of providers behind one trait.
//!
//! Chat completions in the form of OpenAI are the common tongue: every protocol takes a request in
//! that form and answers in it, streamed or whole. One that speaks differently translates inside.

mod echo;
mod openai;

use bytes::Bytes;
use downcity_core::{Body, Call, Secret};
use futures_util::future::BoxFuture;
use http::header::{CONTENT_ENCODING, CONTENT_TYPE, RETRY_AFTER};
use http::{HeaderMap, Response};
use http_body_util::BodyExt as _;
use tokio::time::Instant;

pub(crate) use echo::Echo;
pub(crate) use openai::{OpenAiChat, parse_base_url};

use crate::failure::{Failure, Refusal, error_text};
use crate::limits::CallLimits;

/// The most bytes that are read of an answer that is read as a whole.
const MAX_ANSWER: usize = 64 * 1024 * 1024;
/// The most bytes that are read of a provider's error.
const MAX_ERROR: usize = 64 * 1024;

/// How a provider is spoken to.
pub(crate) trait Protocol: Send + Sync {
    /// Sends one chat completion, `body` being a JSON object in the form of OpenAI. Resolves when
    /// the head of the answer is there, whatever its status.
    fn chat<'a>(
        &'a self,
        call: &'a Call,
        body: Bytes,
    ) -> BoxFuture<'a, Result<Response<Body>, Failure>>;

    /// The key that must not appear in anything that is passed on.
    fn secret(&self, call: &Call) -> Option<Secret> {
        let _ = call;
        None
    }
}

/// What an answer holds, by its content type.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Content {
    Json,
    EventStream,
    /// Anything else, encoded answers included.
    Unknown,
}

impl Content {
    pub(crate) fn of(headers: &HeaderMap) -> Self {
        if headers.get(CONTENT_ENCODING).is_some_and(|encoding| encoding != "identity") {
            return Self::Unknown;
        }
        let Some(kind) = headers.get(CONTENT_TYPE).and_then(|kind| kind.to_str().ok()) else {
            return Self::Unknown;
        };
        let kind = kind.split(';').next().unwrap_or_default().trim();
        if kind.eq_ignore_ascii_case("text/event-stream") {
            Self::EventStream
        } else if kind.eq_ignore_ascii_case("application/json") || kind.ends_with("+json") {
            Self::Json
        } else {
            Self::Unknown
        }
    }
}

/// Reads an answer as a whole; each pause, the whole time and the size are limited.
pub(crate) async fn read_answer(body: Body, limits: &CallLimits) -> Result<Bytes, Failure> {
    read_limited(body, MAX_ANSWER, limits)
        .await?
        .ok_or_else(|| Failure::Unreadable(format!("longer than {MAX_ANSWER} bytes")))
}

/// `None` when the body is longer than `most` bytes.
async fn read_limited(
    body: Body,
    most: usize,
    limits: &CallLimits,
) -> Result<Option<Bytes>, Failure> {
    let mut body = http_body_util::Limited::new(body, most);
    let end = Instant::now() + limits.total;
    let mut pieces: Vec<Bytes> = Vec::with_capacity(1);
    // Some providers send blank lines while their model works: only silence is idle.
    while let Some(frame) =
        tokio::time::timeout_at(end.min(Instant::now() + limits.idle), body.frame())
            .await
            .map_err(|_| Failure::TimedOut)?
    {
        match frame {
            Ok(frame) => pieces.extend(frame.into_data()),
            Err(error) if error.is::<http_body_util::LengthLimitError>() => return Ok(None),
            Err(error) => return Err(Failure::Broken(error)),
        }
    }
    Ok(Some(match pieces.as_slice() {
        // Most answers are one piece, which is taken as it is.
        [only] => only.clone(),
        several => several.concat().into(),
    }))
}

/// The bytes of a provider's error; empty when they cannot be had.
pub(crate) async fn read_error(body: Body, limits: &CallLimits) -> Bytes {
    read_limited(body, MAX_ERROR, limits).await.ok().flatten().unwrap_or_default()
}

/// Passes an answer of success on; makes a failure of any other.
pub(crate) async fn succeeded(
    response: Response<Body>,
    secret: impl FnOnce() -> Option<Secret>,
    limits: &CallLimits,
) -> Result<Response<Body>, Failure> {
    if response.status().is_success() {
        return Ok(response);
    }
    let (parts, body) = response.into_parts();
    let bytes = read_error(body, limits).await;
    let message = serde_json::from_slice(&bytes).ok().as_ref().and_then(error_text);
    Err(Failure::Refused(Refusal {
        status: parts.status,
        retry_after: parts.headers.get(RETRY_AFTER).cloned(),
        message: message.map(|text| redact(text, secret())),
    }))
}

/// The text without the provider's key.
pub(crate) fn redact(text: String, secret: Option<Secret>) -> String {
    match secret {
        Some(secret) if text.contains(secret.expose()) => text.replace(secret.expose(), "***"),
        _ => text,
    }
}
