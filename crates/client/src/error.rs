//! What can go wrong with a call.

use std::fmt;
use std::time::Duration;

use reqwest::{Method, Url};
use serde::Deserialize;
use serde_json::Value;

/// The cause of an error, of any type.
pub type BoxError = Box<dyn std::error::Error + Send + Sync>;

/// What a call comes to.
pub type Result<T, E = Error> = std::result::Result<T, E>;

/// The most bytes of a body that `Display` shows.
const SHOWN: usize = 2 * 1024;

/// Why a call came to nothing.
///
/// Neither `Display` nor `Debug` shows the credential of the call; `Display` leaves out the query of its
/// address too.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// What the client was told cannot be used. Nothing was sent.
    #[error("{field}: {reason}")]
    Config {
        /// Which setting or argument.
        field: &'static str,
        /// What is wrong with it.
        reason: String,
    },
    /// The call is for a city, and the client was built without `city_id`. Nothing was sent.
    #[error("the call needs a city: build the client with city_id")]
    MissingCityId,
    /// The call is for users, and the client is a guest's. Nothing was sent.
    #[error("a user_token is required: build the client with user_token, or use with_token")]
    MissingUserToken,
    /// The server refused the call, or failed.
    #[error("{method} {} answered {status}: {}", Bare(url), Shown(body))]
    Status {
        /// The HTTP status.
        status: u16,
        /// The body as it came.
        body: String,
        /// The sentence in the body, where there is one.
        message: Option<String>,
        /// The stable word in the body, where there is one; see the list of error codes.
        code: Option<String>,
        /// How it was called.
        method: Method,
        /// What was called.
        url: Box<Url>,
    },
    /// There is no answer, or no whole one.
    #[error("{method} {} got no answer in {attempts} attempt(s): {}", Bare(url), Chain(source.as_ref()))]
    Transport {
        /// What failed.
        source: BoxError,
        /// How it was called.
        method: Method,
        /// What was called.
        url: Box<Url>,
        /// How often it was sent.
        attempts: u32,
    },
    /// There was no answer in time. The call may have been carried out.
    #[error("{method} {} gave no answer within {} ms", Bare(url), after.as_millis())]
    Timeout {
        /// How it was called.
        method: Method,
        /// What was called.
        url: Box<Url>,
        /// How long it was waited for.
        after: Duration,
    },
    /// The answer is not what it should be.
    #[error("the answer cannot be read: {source}: {}", Shown(body))]
    Decode {
        /// What is wrong with it.
        source: serde_json::Error,
        /// The answer as it came.
        body: String,
    },
    /// A stream told of a failure, or is none.
    #[error("the stream failed: {error_text}")]
    Stream {
        /// The failure, for the person.
        error_text: String,
    },
    /// A stream ended before its message did.
    #[error("the stream ended before its message was whole")]
    StreamTruncated,
    /// An image job came to nothing, or did not end in time.
    #[error("the image job {id} came to nothing: {reason}")]
    Job {
        /// The job.
        id: String,
        /// Why.
        reason: String,
    },
    /// The server does not know the payment method.
    #[error("payment method \"{id}\" is unknown")]
    PaymentUnavailable {
        /// The method.
        id: String,
    },
    /// The payment method cannot be used now.
    #[error("payment method \"{id}\" is disabled: {}", reason.as_deref().unwrap_or("no reason is given"))]
    PaymentDisabled {
        /// The method.
        id: String,
        /// Why, as the server says.
        reason: Option<String>,
    },
}

impl Error {
    pub(crate) fn config(field: &'static str, reason: impl Into<String>) -> Self {
        Self::Config { field, reason: reason.into() }
    }

    pub(crate) fn answer(status: u16, body: String, method: Method, url: Box<Url>) -> Self {
        let Told { error, code } = serde_json::from_str(&body).unwrap_or_default();
        let word = |value: Option<&Value>| value.and_then(Value::as_str).map(ToOwned::to_owned);
        // OpenAI's form has both in an object.
        let message = word(Some(&error)).or_else(|| word(error.get("message")));
        let code = code.or_else(|| word(error.get("code")));
        Self::Status { status, body, message, code, method, url }
    }

    /// The HTTP status, where the server answered.
    #[must_use]
    pub fn status(&self) -> Option<u16> {
        match self {
            Self::Status { status, .. } => Some(*status),
            _ => None,
        }
    }

    /// The answer as it came, where there is one.
    #[must_use]
    pub fn body(&self) -> Option<&str> {
        match self {
            Self::Status { body, .. } | Self::Decode { body, .. } => Some(body),
            _ => None,
        }
    }

    /// The sentence of the server, where it gave one.
    #[must_use]
    pub fn message(&self) -> Option<&str> {
        match self {
            Self::Status { message, .. } => message.as_deref(),
            _ => None,
        }
    }

    /// The stable word of the server for what happened, such as `insufficient_balance`.
    #[must_use]
    pub fn code(&self) -> Option<&str> {
        match self {
            Self::Status { code, .. } => code.as_deref(),
            _ => None,
        }
    }

    /// Whether the credential is missing or not valid (any more): 401.
    #[must_use]
    pub fn is_unauthorized(&self) -> bool {
        self.status() == Some(401)
    }

    /// Whether the wallet does not cover the call: 402.
    #[must_use]
    pub fn is_payment_required(&self) -> bool {
        self.status() == Some(402)
    }

    /// Whether the call is not for this side, city or state: 403.
    #[must_use]
    pub fn is_forbidden(&self) -> bool {
        self.status() == Some(403)
    }

    /// Whether there is no such thing: 404.
    #[must_use]
    pub fn is_not_found(&self) -> bool {
        self.status() == Some(404)
    }

    /// Whether the thing exists already, or a key was used for something else: 409.
    #[must_use]
    pub fn is_conflict(&self) -> bool {
        self.status() == Some(409)
    }
}

/// The part of an error body that is read.
#[derive(Default, Deserialize)]
#[serde(default)]
struct Told {
    error: Value,
    code: Option<String>,
}

/// An address without query and password.
struct Bare<'a>(&'a Url);

impl fmt::Display for Bare<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}{}", self.0.origin().ascii_serialization(), self.0.path())
    }
}

/// The beginning of a body.
struct Shown<'a>(&'a str);

impl fmt::Display for Shown<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.0.len() <= SHOWN {
            return f.write_str(self.0);
        }
        write!(f, "{}…", &self.0[..self.0.floor_char_boundary(SHOWN)])
    }
}

/// An error and its causes.
struct Chain<'a>(&'a (dyn std::error::Error + 'static));

impl fmt::Display for Chain<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut said = self.0.to_string();
        f.write_str(&said)?;
        let mut next = self.0.source();
        while let Some(cause) = next {
            let text = cause.to_string();
            // Some errors say their cause themselves.
            if !said.contains(&text) {
                write!(f, ": {text}")?;
            }
            (said, next) = (text, cause.source());
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn answer(status: u16, body: impl ToString) -> Error {
        let url = "https://name:word@fed.example.com/v1/a?user_id=secret";
        Error::answer(status, body.to_string(), Method::GET, Box::new(url.parse().unwrap()))
    }

    #[test]
    fn both_forms_of_error_bodies_are_read() {
        let ours = answer(404, json!({ "error": "No such city.", "code": "unknown_city" }));
        assert_eq!((ours.message(), ours.code()), (Some("No such city."), Some("unknown_city")));
        assert!(ours.is_not_found() && !ours.is_conflict());
        let theirs =
            answer(401, json!({ "error": { "message": "Who?", "code": "invalid_api_key" } }));
        assert_eq!((theirs.message(), theirs.code()), (Some("Who?"), Some("invalid_api_key")));
        assert!(theirs.is_unauthorized());
        for body in ["<html>", "", "[]", "{\"error\":7}"] {
            let error = answer(502, body);
            assert_eq!((error.message(), error.code(), error.body()), (None, None, Some(body)));
        }
    }

    #[test]
    fn texts_are_short_and_tell_no_secrets() {
        let error = answer(500, "ü".repeat(3_000));
        let text = error.to_string();
        assert!(text.starts_with("GET https://fed.example.com/v1/a answered 500: ü"), "{text}");
        assert!(text.len() < 2_200 && text.ends_with('…'));
        assert!(!text.contains("secret") && !text.contains("word"));
        assert_eq!(error.body().unwrap().len(), 6_000);
    }
}
