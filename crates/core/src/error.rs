//! One error type with a stable code, mapped once to HTTP.

use std::borrow::Cow;
use std::fmt;
use std::sync::Arc;

use bytes::Bytes;
use downcity_db::{DbError, DbErrorKind};
use downcity_types::{ErrorBody, ErrorCode, FieldError};
use http::header::RETRY_AFTER;
use http::{HeaderMap, HeaderName, HeaderValue, StatusCode};
use serde_json::{Map, Value};

/// The result of everything that can fail with an answer for the caller.
pub type Result<T, E = Error> = std::result::Result<T, E>;

/// A failure that has an answer for the caller.
///
/// The message is a sentence for the caller and never holds a secret. What only the operator may
/// see travels as the source and is logged once, at the HTTP boundary.
pub struct Error(Box<Inner>);

struct Inner {
    code: ErrorCode,
    status: Option<StatusCode>,
    message: Cow<'static, str>,
    fix: Option<Cow<'static, str>>,
    details: Vec<FieldError>,
    facts: Map<String, Value>,
    headers: Vec<(HeaderName, HeaderValue)>,
    source: Option<Arc<dyn std::error::Error + Send + Sync>>,
    /// What is answered in place of a body of ours.
    relayed: Option<(HeaderMap, Bytes)>,
}

impl Error {
    /// An error with a code and a sentence for the caller.
    pub fn new(code: ErrorCode, message: impl Into<Cow<'static, str>>) -> Self {
        Self(Box::new(Inner {
            code,
            status: None,
            message: message.into(),
            fix: None,
            details: Vec::new(),
            facts: Map::new(),
            headers: Vec::new(),
            source: None,
            relayed: None,
        }))
    }

    /// A 400 that names the field at fault (`path` as in `messages[0].role`).
    pub fn invalid(path: impl Into<String>, message: impl Into<String>) -> Self {
        Self::new(ErrorCode::InvalidInput, "").with_field(path, message)
    }

    /// A 500 whose cause is for the log only.
    pub fn internal(source: impl Into<Box<dyn std::error::Error + Send + Sync>>) -> Self {
        Self::new(ErrorCode::Internal, "Something went wrong inside the Federation.")
            .with_source(source)
    }

    /// A 500 for a setting that is missing. `key` is told to the trusted side only: see [`Error::for_caller`].
    pub fn missing_config(key: &str) -> Self {
        Self::new(ErrorCode::MissingConfig, format!("{key} is not configured.")).with_fix(format!(
            "Set it with POST /v1/env/upsert {{\"key\":\"{key}\",\"value\":\"…\"}}."
        ))
    }

    /// Adds what to do next.
    #[must_use]
    pub fn with_fix(mut self, fix: impl Into<Cow<'static, str>>) -> Self {
        self.0.fix = Some(fix.into());
        self
    }

    /// Names a field at fault; an empty message of the error becomes "`path`: message".
    #[must_use]
    pub fn with_field(mut self, path: impl Into<String>, message: impl Into<String>) -> Self {
        let field = FieldError { path: path.into(), message: message.into() };
        if self.0.message.is_empty() {
            self.0.message = Cow::Owned(if field.path.is_empty() {
                field.message.clone()
            } else {
                format!("{}: {}", field.path, field.message)
            });
        }
        self.0.details.push(field);
        self
    }

    /// Adds a fact for programs to the body, beside `error` and `code`, such as the amount that is
    /// missing. The documentation of the code says which.
    #[must_use]
    pub fn with_fact(mut self, name: &str, value: impl Into<Value>) -> Self {
        self.0.facts.insert(name.to_owned(), value.into());
        self
    }

    /// Adds a response header, such as `Retry-After`.
    #[must_use]
    pub fn with_header(mut self, name: HeaderName, value: HeaderValue) -> Self {
        self.0.headers.push((name, value));
        self
    }

    /// Keeps the cause for the log.
    #[must_use]
    pub fn with_source(
        mut self,
        source: impl Into<Box<dyn std::error::Error + Send + Sync>>,
    ) -> Self {
        self.0.source = Some(Arc::from(source.into()));
        self
    }

    /// Answers with another status than the code's own, as when an upstream's status is relayed.
    #[must_use]
    pub fn with_status(mut self, status: StatusCode) -> Self {
        self.0.status = Some(status);
        self
    }

    /// Answers with these headers and this body, as when an upstream's error is relayed as it is.
    /// The call still fails: error hooks, metrics and logs see this error.
    #[must_use]
    pub fn with_relayed(mut self, headers: HeaderMap, body: Bytes) -> Self {
        self.0.relayed = Some((headers, body));
        self
    }

    /// The headers and the body that are relayed in place of ours.
    pub(crate) fn relayed(&self) -> Option<&(HeaderMap, Bytes)> {
        self.0.relayed.as_ref()
    }

    /// The stable code.
    pub fn code(&self) -> ErrorCode {
        self.0.code
    }

    /// The HTTP status of the answer.
    pub fn status(&self) -> StatusCode {
        self.0.status.unwrap_or_else(|| {
            StatusCode::from_u16(self.0.code.status()).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR)
        })
    }

    /// The sentence for the caller.
    pub fn message(&self) -> &str {
        &self.0.message
    }

    /// Headers that belong to the answer.
    pub fn headers(&self) -> &[(HeaderName, HeaderValue)] {
        &self.0.headers
    }

    /// Fields at fault.
    pub fn details(&self) -> &[FieldError] {
        &self.0.details
    }

    /// The error as a caller may see it: a missing setting is named to the trusted side only.
    #[must_use]
    pub fn for_caller(self, is_trusted: bool) -> Self {
        if self.0.code == ErrorCode::MissingConfig && !is_trusted {
            return Self::new(
                ErrorCode::MissingConfig,
                "The Federation lacks a setting that this call needs; its operator can see which.",
            );
        }
        self
    }

    /// The same error with another sentence.
    #[must_use]
    pub(crate) fn with_message(mut self, message: impl Into<Cow<'static, str>>) -> Self {
        self.0.message = message.into();
        self
    }

    /// The JSON body `{"error","code","request_id",…}`.
    pub fn body(&self, request_id: &str) -> ErrorBody {
        ErrorBody {
            error: self.0.message.to_string(),
            code: self.0.code,
            request_id: Some(request_id.to_owned()),
            fix: self.0.fix.as_ref().map(ToString::to_string),
            details: self.0.details.clone(),
            facts: self.0.facts.clone(),
        }
    }
}

impl fmt::Debug for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Error")
            .field("code", &self.0.code)
            .field("message", &self.0.message)
            .field("source", &self.0.source)
            .finish_non_exhaustive()
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0.message)
    }
}

impl std::error::Error for Error {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        self.0.source.as_deref().map(|source| source as _)
    }
}

impl From<DbError> for Error {
    /// Faults of the engine become 503 (try again, with `Retry-After`) or 500; what a caller may mend, such as a
    /// duplicate id, is mapped by the store that knows its meaning.
    fn from(error: DbError) -> Self {
        let (code, message) = match error.kind() {
            DbErrorKind::CommitUnknown => (
                ErrorCode::CommitUnknown,
                "The database did not confirm the change. Repeat the request with the same Idempotency-Key.",
            ),
            DbErrorKind::Unavailable
            | DbErrorKind::Busy
            | DbErrorKind::Timeout
            | DbErrorKind::Closed => (
                ErrorCode::Unavailable,
                "The database is not available at the moment. Try again shortly.",
            ),
            DbErrorKind::DiskFull => (
                ErrorCode::StorageFull,
                "The disk of the database is full. Nothing was changed; its operator has to free space.",
            ),
            DbErrorKind::InvalidValue => (
                ErrorCode::InvalidInput,
                "A text of the input holds a character that cannot be stored (NUL).",
            ),
            _ => (ErrorCode::Internal, "Something went wrong inside the Federation."),
        };
        let answer = Self::new(code, message).with_source(error);
        if answer.status() == StatusCode::SERVICE_UNAVAILABLE {
            return answer.with_header(RETRY_AFTER, HeaderValue::from_static("1"));
        }
        answer
    }
}
