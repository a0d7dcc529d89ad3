//! Protocols of providers behind one trait.
//!
//! The API of OpenAI is the common tongue: for each [`Task`] a protocol takes a request in its form
//! and answers in it, streamed or whole. One that speaks differently translates inside.

mod anthropic;
#[cfg(test)]
mod conversions;
#[cfg(test)]
mod cuts;
mod echo;
mod embeddings;
mod gemini;
mod jobs;
mod mark;
pub(crate) mod multipart;
mod openai;
mod openai_images;
mod template;
mod tone;
mod whole;
mod wire;

use bytes::Bytes;
use downcity_core::env::{Candidate, Probed};
use downcity_core::{Body, Call, Error};
use downcity_types::Timestamp;
use futures_util::future::BoxFuture;
use http::header::{CONTENT_ENCODING, CONTENT_TYPE, RETRY_AFTER};
use http::{HeaderMap, Response};
use http_body_util::{BodyExt as _, LengthLimitError, Limited};
use serde_json::{Map, Value};
use tokio::time::Instant;

pub(crate) use anthropic::Anthropic;
pub(crate) use echo::Echo;
pub(crate) use gemini::Gemini;
pub(crate) use jobs::ImageJobs;
pub(crate) use openai::OpenAi;
pub(crate) use openai_images::OpenAiImages;
pub(crate) use template::HttpTemplate;
pub(crate) use wire::check_base_url;

use crate::failure::{Failure, Refusal, error_text};
use crate::heavy::heavy;
use crate::limits::CallLimits;
use crate::mask::Mask;
use crate::media::Order;

/// The most bytes that are read of an answer that is read as a whole, and of the texts in a stream.
pub(crate) const MAX_ANSWER: usize = 64 * 1024 * 1024;
/// The most bytes that are read of a provider's error.
pub(crate) const MAX_ERROR: usize = 64 * 1024;

/// What a provider is asked for; the path of OpenAI's API whose form request and answer have.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Task {
    /// `/chat/completions`
    Chat,
    /// `/embeddings`
    Embeddings,
    /// Images or a video: a [`MediaAsk`](crate::media::MediaAsk), answered by an
    /// [`Outcome`](crate::media::Outcome).
    Media,
    /// How far they are: a [`StateAsk`](crate::media::StateAsk), answered likewise.
    MediaState,
    /// `/audio/speech`
    Speech,
    /// `/audio/transcriptions`: the body is a form, whose boundary its first line tells.
    Transcription,
}

impl Task {
    /// The path of OpenAI's API.
    pub(crate) const fn path(self) -> &'static str {
        match self {
            Self::Chat => "/chat/completions",
            Self::Embeddings => "/embeddings",
            Self::Media | Self::MediaState => "/images/generations",
            Self::Speech => "/audio/speech",
            Self::Transcription => "/audio/transcriptions",
        }
    }
}

/// A request as it goes to an upstream: a JSON object with the upstream's own name of the model.
#[derive(Clone, Debug)]
pub(crate) struct Asked {
    pub(crate) task: Task,
    pub(crate) body: Bytes,
}

impl Asked {
    /// The body of a task that has a form of our own.
    ///
    /// # Errors
    /// 500 when it is another task.
    pub(crate) fn read<T: serde::de::DeserializeOwned>(&self, task: Task) -> Result<T, Error> {
        if self.task != task {
            return Err(self.unknown());
        }
        serde_json::from_slice(&self.body).map_err(Error::internal)
    }

    /// As [`Asked::read`], for bodies that may hold images.
    ///
    /// # Errors
    /// 500 when it is another task.
    pub(crate) async fn read_media<T>(&self, task: Task) -> Result<T, Error>
    where
        T: serde::de::DeserializeOwned + Send + 'static,
    {
        let asked = self.clone();
        heavy(self.body.len(), move || asked.read(task)).await?
    }

    /// The answer of a protocol to a task of a mode that its kind does not offer.
    pub(crate) fn foreign(&self) -> Failure {
        Failure::Ours(self.unknown())
    }

    fn unknown(&self) -> Error {
        Error::internal(format!("{:?} is none of the protocol's tasks", self.task))
    }
}

/// How a provider is spoken to.
pub(crate) trait Protocol: Send + Sync {
    /// Sends one request. Resolves when the head of the answer is there, whatever its status. It is
    /// asked only for tasks of the modes that its kind offers
    /// ([`modes`](crate::config::ProtocolKind::modes)).
    fn ask<'a>(
        &'a self,
        call: &'a Call,
        asked: Asked,
    ) -> BoxFuture<'a, Result<Response<Body>, Failure>>;

    /// Whether it can make this.
    ///
    /// # Errors
    /// 422 that names the field which it cannot take.
    fn takes(&self, order: &Order) -> Result<(), Error> {
        let _ = order;
        Ok(())
    }

    /// Whether it can be sent these options of the caller's for images and video, which stand at `path`
    /// in the input.
    ///
    /// # Errors
    /// 400 for an option in the place of a field that is limited or paid for, 422 for one that it
    /// cannot take; both name it.
    fn takes_options(&self, path: &str, options: &Map<String, Value>) -> Result<(), Error> {
        let _ = (path, options);
        Ok(())
    }

    /// Whether it can try a value of this env key.
    fn probes(&self, key: &str) -> bool {
        let _ = key;
        false
    }

    /// Tries the value of an env key.
    fn probe<'a>(&'a self, candidate: &'a Candidate) -> BoxFuture<'a, Probed> {
        let _ = candidate;
        Box::pin(std::future::ready(Probed::Unknown("The provider needs no key.".to_owned())))
    }

    /// Hides the key, which must not appear in anything that is passed on.
    fn mask(&self, call: &Call) -> Mask {
        let _ = call;
        Mask::default()
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

/// The bytes of an answer; the time is that of the whole call for its first byte.
pub(crate) async fn collect(body: Body) -> Result<Bytes, Failure> {
    match Limited::new(body, MAX_ANSWER).collect().await {
        Ok(collected) => Ok(collected.to_bytes()),
        Err(error) if error.is::<LengthLimitError>() => {
            Err(Failure::Unreadable(format!("longer than {MAX_ANSWER} bytes")))
        }
        Err(error) => Err(Failure::Broken(error)),
    }
}

/// The next piece of an answer, `None` at its end; waited for until `end` at most. Some providers send
/// blank lines while their model works: only silence is idle.
pub(crate) async fn next_piece(
    body: &mut Body,
    end: Instant,
    limits: &CallLimits,
) -> Result<Option<Bytes>, Failure> {
    loop {
        let until = end.min(Instant::now() + limits.idle);
        let next = tokio::time::timeout_at(until, body.frame()).await;
        match next.map_err(|_| Failure::TimedOut)? {
            None => return Ok(None),
            Some(Err(error)) => return Err(Failure::Broken(error)),
            Some(Ok(frame)) => {
                if let Ok(piece) = frame.into_data() {
                    return Ok(Some(piece));
                }
            }
        }
    }
}

/// `None` when the body is longer than `most` bytes.
async fn read_limited(
    mut body: Body,
    most: usize,
    limits: &CallLimits,
) -> Result<Option<Bytes>, Failure> {
    let end = Instant::now() + limits.total;
    let mut pieces: Vec<Bytes> = Vec::with_capacity(1);
    let mut length = 0;
    while let Some(piece) = next_piece(&mut body, end, limits).await? {
        length += piece.len();
        if length > most {
            return Ok(None);
        }
        pieces.push(piece);
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
    mask: impl FnOnce() -> Mask,
    limits: &CallLimits,
    now: Timestamp,
) -> Result<Response<Body>, Failure> {
    if response.status().is_success() {
        return Ok(response);
    }
    let (parts, body) = response.into_parts();
    let bytes = read_error(body, limits).await;
    let said = serde_json::from_slice(&bytes).ok();
    Err(Failure::Refused(Refusal {
        status: parts.status,
        retry_after: retry_after(&parts.headers, now),
        message: said.and_then(|said| error_text(&said, &mask())),
    }))
}

/// The longest that a provider's word on when to come back is passed on, in seconds: a day.
const MAX_RETRY_AFTER: u64 = 24 * 60 * 60;

/// The seconds to wait that a provider asks for, as a number or as the date of HTTP; at most a day.
pub(crate) fn retry_after(headers: &HeaderMap, now: Timestamp) -> Option<u64> {
    let text = headers.get(RETRY_AFTER)?.to_str().ok()?.trim();
    if !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit()) {
        // Only a number that is too long for the type does not parse.
        return Some(
            text.parse().map_or(MAX_RETRY_AFTER, |seconds: u64| seconds.min(MAX_RETRY_AFTER)),
        );
    }
    let date = jiff::fmt::rfc2822::DateTimeParser::new().parse_timestamp(text).ok()?;
    let seconds = date.as_second().saturating_sub(now.seconds());
    Some(u64::try_from(seconds).unwrap_or(0).min(MAX_RETRY_AFTER))
}

#[cfg(test)]
mod tests {
    use http::HeaderValue;

    use super::*;

    #[test]
    fn retry_after_is_seconds_within_a_day_or_nothing() {
        let now = Timestamp::from_seconds(784_111_777);
        for (text, expected) in [
            ("0", Some(0)),
            (" 61 ", Some(61)),
            ("86401", Some(86_400)),
            ("99999999999999999999999", Some(86_400)),
            ("Sun, 06 Nov 1994 08:51:07 GMT", Some(90)),
            ("Sun, 06 Nov 1994 08:00:00 GMT", Some(0)),
            ("Mon, 06 Nov 1995 08:49:37 GMT", Some(86_400)),
            ("", None),
            ("-1", None),
            ("+5", None),
            ("1.5", None),
            ("soon", None),
        ] {
            let headers = HeaderMap::from_iter([(RETRY_AFTER, HeaderValue::from_static(text))]);
            assert_eq!(retry_after(&headers, now), expected, "{text}");
        }
        assert_eq!(retry_after(&HeaderMap::new(), now), None);
    }
}
