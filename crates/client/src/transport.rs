//! The seam between calls and the network.

use std::fmt;
use std::pin::Pin;

use bytes::Bytes;
use futures_util::Stream;
use reqwest::header::HeaderMap;
use reqwest::{Method, StatusCode, Url};

use crate::BoxError;

/// Carries requests to a server: [`HttpTransport`](crate::HttpTransport), or a test's own.
///
/// Redirects are answers like others, and nothing is repeated: that is the caller's matter. A future
/// that is dropped ends its request.
pub trait Transport: Send + Sync + 'static {
    /// Sends a request and gives the head of the answer, with its body still to be read.
    ///
    /// # Errors
    /// [`TransportError`] where there is no answer. An answer of any status is none.
    fn send(&self, request: Request) -> SendFuture<'_>;
}

/// An answer on its way.
pub type SendFuture<'a> =
    Pin<Box<dyn Future<Output = Result<Response, TransportError>> + Send + 'a>>;

/// The bytes of a body as they come. Dropping it closes the connection.
pub type Body = Pin<Box<dyn Stream<Item = Result<Bytes, BoxError>> + Send>>;

/// What is sent. Its `Debug` shows no credential.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Request {
    /// GET or POST.
    pub method: Method,
    /// The whole address, with the query.
    pub url: Url,
    /// All headers; the credential is marked as sensitive.
    pub headers: HeaderMap,
    /// JSON; absent for GET.
    pub body: Option<Bytes>,
}

/// What comes back.
#[non_exhaustive]
pub struct Response {
    /// The status.
    pub status: StatusCode,
    /// The headers.
    pub headers: HeaderMap,
    /// The body.
    pub body: Body,
}

impl Response {
    /// An answer.
    #[must_use]
    pub fn new(status: StatusCode, headers: HeaderMap, body: Body) -> Self {
        Self { status, headers, body }
    }
}

impl fmt::Debug for Response {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Response").field("status", &self.status).finish_non_exhaustive()
    }
}

/// Why there is no answer.
#[derive(Debug, thiserror::Error)]
#[error("{source}")]
pub struct TransportError {
    source: BoxError,
    is_unsent: bool,
}

impl TransportError {
    /// The server was not reached: the request cannot have been carried out.
    pub fn unsent(source: impl Into<BoxError>) -> Self {
        Self { source: source.into(), is_unsent: true }
    }

    /// The connection failed later: the request may have been carried out.
    pub fn broken(source: impl Into<BoxError>) -> Self {
        Self { source: source.into(), is_unsent: false }
    }

    /// Whether the server was not reached.
    #[must_use]
    pub fn is_unsent(&self) -> bool {
        self.is_unsent
    }

    pub(crate) fn into_source(self) -> BoxError {
        self.source
    }
}
