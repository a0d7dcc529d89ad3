//! What can go wrong with a provider, and how each surface reports it.

use std::fmt;
use std::time::Duration;

use downcity_core::{BoxError, Cx, Error};
use downcity_types::ErrorCode;
use http::header::RETRY_AFTER;
use http::{HeaderValue, StatusCode};
use serde_json::Value;

use crate::catalog::Model;
use crate::files::BadFile;
use crate::mask::Mask;

/// Why a provider gave no usable answer.
#[derive(Debug)]
pub(crate) enum Failure {
    /// No connection could be made: nothing was sent.
    Unreachable(BoxError),
    /// A connection kept from an earlier call was closed before any byte of an answer came.
    Stale(BoxError),
    /// The connection broke while the request or answer was under way.
    Broken(BoxError),
    /// A limit of time was reached.
    TimedOut,
    /// The provider answered with a status other than 2xx.
    Refused(Refusal),
    /// The provider answered with something that cannot be read; the text is for the log, and our
    /// own: what a provider writes may repeat what its caller wrote.
    Unreadable(String),
    /// The provider took the work on and failed over it; its own words, without its key.
    Told(Words),
    /// The provider sent a file that is not delivered.
    BadFile(BadFile),
    /// The call could not be made at all.
    Ours(Error),
}

/// What a provider says to people. It may repeat what its caller wrote, so no log shows it.
pub(crate) struct Words(pub(crate) String);

impl fmt::Debug for Words {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str("..")
    }
}

/// A provider's answer with a status other than 2xx.
pub(crate) struct Refusal {
    pub(crate) status: StatusCode,
    /// Seconds, within a day.
    pub(crate) retry_after: Option<u64>,
    /// The provider's own words, without its key.
    pub(crate) message: Option<String>,
}

/// A stream that ended in good order, but before its end was told.
#[derive(Debug, thiserror::Error)]
#[error("the stream ended without a finish reason and without [DONE]")]
pub(crate) struct EndedEarly;

/// The cause of a failure, for the log only.
#[derive(Debug, thiserror::Error)]
enum Cause {
    #[error("the provider answered {0}")]
    Status(StatusCode),
    #[error("unreadable answer: {0}")]
    Unreadable(String),
}

/// Without the provider's words, which may repeat what its caller wrote: this goes to the log.
impl fmt::Debug for Refusal {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.debug_struct("Refusal")
            .field("status", &self.status)
            .field("retry_after", &self.retry_after)
            .finish_non_exhaustive()
    }
}

impl Failure {
    /// Logs what went wrong at a provider; what did not get that far is told to its caller only.
    pub(crate) fn log(&self, cx: &Cx, model: &Model, attempt: u32) {
        if matches!(self, Self::Ours(_)) {
            return;
        }
        tracing::warn!(
            request_id = cx.request_id(),
            provider = model.provider.id,
            model = model.id,
            attempt,
            failure = ?self,
            "the provider failed"
        );
    }

    /// Whether the same call may succeed when it is made again.
    pub(crate) fn may_pass(&self) -> bool {
        match self {
            Self::Unreachable(_) | Self::Stale(_) | Self::Broken(_) => true,
            Self::Refused(refusal) => {
                matches!(refusal.status.as_u16(), 408 | 409 | 429)
                    || refusal.status.is_server_error()
            }
            Self::TimedOut
            | Self::Unreadable(_)
            | Self::Told(_)
            | Self::BadFile(_)
            | Self::Ours(_) => false,
        }
    }

    /// How long the provider asks to wait, where it says so in seconds.
    pub(crate) fn retry_after(&self) -> Option<Duration> {
        let Self::Refused(refusal) = self else { return None };
        refusal.retry_after.map(Duration::from_secs)
    }

    /// The stable code of the failure.
    pub(crate) fn code(&self) -> ErrorCode {
        match self {
            Self::Unreachable(_) | Self::Stale(_) | Self::Broken(_) | Self::Told(_) => {
                ErrorCode::UpstreamError
            }
            Self::TimedOut => ErrorCode::UpstreamTimeout,
            Self::Refused(refusal) => refusal.code(),
            Self::Unreadable(_) | Self::BadFile(_) => ErrorCode::UpstreamInvalid,
            Self::Ours(error) => error.code(),
        }
    }

    /// A sentence for the caller. It names neither address nor key.
    pub(crate) fn sentence(&self) -> String {
        match self {
            Self::Unreachable(_) => "The AI provider could not be reached.".to_owned(),
            Self::Stale(_) | Self::Broken(_) => {
                "The connection to the AI provider broke.".to_owned()
            }
            Self::TimedOut => "The AI provider did not answer in time.".to_owned(),
            Self::Refused(refusal) => refusal.sentence(),
            Self::Unreadable(_) => "The AI provider sent an answer that cannot be read.".to_owned(),
            Self::Told(Words(words)) => words.clone(),
            Self::BadFile(bad) => bad.to_string(),
            Self::Ours(error) => error.message().to_owned(),
        }
    }

    /// The error that ends a call of `text` or `stream` before its first byte.
    pub(crate) fn into_error(self) -> Error {
        let (code, sentence) = (self.code(), self.sentence());
        let error = Error::new(code, sentence);
        match self {
            Self::Ours(error) => error,
            Self::Unreachable(source) | Self::Stale(source) | Self::Broken(source) => {
                error.with_source(source)
            }
            Self::TimedOut | Self::Told(_) | Self::BadFile(_) => error,
            Self::Unreadable(what) => error.with_source(Cause::Unreadable(what)),
            Self::Refused(refusal) => {
                let error = error.with_source(Cause::Status(refusal.status));
                match refusal.retry_after {
                    Some(after) if code == ErrorCode::UpstreamRateLimited => {
                        error.with_header(RETRY_AFTER, HeaderValue::from(after))
                    }
                    _ => error,
                }
            }
        }
    }
}

impl Refusal {
    /// Whether it is about the server's own key or configuration, which is not the caller's matter.
    pub(crate) fn is_about_us(&self) -> bool {
        matches!(self.status.as_u16(), 401..=405)
    }

    /// 401, 402 and 403 are about the server's own key, 400, 413 and 422 about the caller's request.
    pub(crate) fn code(&self) -> ErrorCode {
        match self.status.as_u16() {
            400 => ErrorCode::InvalidInput,
            401..=403 => ErrorCode::UpstreamAuth,
            408 | 504 => ErrorCode::UpstreamTimeout,
            413 => ErrorCode::PayloadTooLarge,
            422 => ErrorCode::Unprocessable,
            429 => ErrorCode::UpstreamRateLimited,
            _ => ErrorCode::UpstreamError,
        }
    }

    fn sentence(&self) -> String {
        let own = self.message.as_deref().map(str::trim).filter(|text| !text.is_empty());
        match (self.code(), own) {
            (ErrorCode::UpstreamAuth, _) if self.status == StatusCode::PAYMENT_REQUIRED => {
                "The Federation's account at the AI provider is empty; its operator has to fill it."
                    .to_owned()
            }
            (ErrorCode::UpstreamAuth, _) => {
                "The AI provider refused the Federation's own key; its operator has to replace it."
                    .to_owned()
            }
            (ErrorCode::UpstreamTimeout, _) => "The AI provider did not answer in time.".to_owned(),
            (ErrorCode::UpstreamError, _) if matches!(self.status.as_u16(), 404 | 405) => {
                "The AI provider does not know the model, or the address, that the Federation's \
                 configuration names; its operator has to correct it."
                    .to_owned()
            }
            (ErrorCode::UpstreamError, _) => "The AI provider failed.".to_owned(),
            (_, Some(own)) => own.to_owned(),
            (ErrorCode::UpstreamRateLimited, None) => {
                "The AI provider limits the rate; try again later.".to_owned()
            }
            (_, None) => format!("The AI provider refused the request ({}).", self.status.as_u16()),
        }
    }
}

/// The most characters that are taken of a provider's words.
const MAX_WORDS: usize = 1_000;

/// The words of an error body, without the provider's key: `error.message`, a textual `error`,
/// `message` or `detail`.
pub(crate) fn error_text(body: &Value, mask: &Mask) -> Option<String> {
    let error = body.get("error");
    let found = [
        error.and_then(|error| error.get("message")),
        error,
        body.get("message"),
        body.get("detail"),
    ];
    let words = found.into_iter().flatten().find_map(Value::as_str)?;
    // A key that is cut could not be found any more.
    Some(mask.sentence(words).chars().take(MAX_WORDS).collect())
}
