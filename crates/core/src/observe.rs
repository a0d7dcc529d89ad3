//! What is told of a finished request: the log line, and whoever follows requests.

use std::net::IpAddr;
use std::time::Duration;

use downcity_types::{ErrorCode, Timestamp};
use http::{HeaderMap, Method, StatusCode};

/// The target of the one log line per request.
pub const ACCESS_LOG: &str = "downcity::access";

/// A finished request: what logs and traces may show of it.
///
/// Only what the Federation itself named or checked stands here, and the headers, from which an
/// observer takes what it needs and shows none: no path, no query, no input, no credential.
pub struct Finished<'a> {
    /// The id of the request.
    pub request_id: &'a str,
    /// The method of the request; `other` when it is none of the usual.
    pub method: &'static str,
    /// The pattern of the action's path, such as `/v1/notes/{id}`; `None` when no action was
    /// found.
    pub route: Option<&'a str>,
    /// The status of the answer; 499 when the client left before it began.
    pub status: StatusCode,
    /// The code of the error, when it is one.
    pub code: Option<ErrorCode>,
    /// The kind of caller: `guest`, `user`, `service` or `admin`; `None` when no action was found.
    pub identity: Option<&'static str>,
    /// The id of the service key that called.
    pub key_id: Option<&'a str>,
    /// The city of the calling user.
    pub city_id: Option<&'a str>,
    /// Where the request came from, when the server knows it.
    pub client: Option<IpAddr>,
    /// The size of the answer's body in bytes; `None` for errors and where there is no telling.
    pub bytes: Option<u64>,
    /// When the request arrived.
    pub started_at: Timestamp,
    /// How long the answer took, the last byte of a stream included.
    pub elapsed: Duration,
    /// The headers of the request, credentials included.
    pub headers: &'a HeaderMap,
}

/// Follows finished requests, such as to export them as spans.
///
/// It is called on the way of the answer: it must not block.
pub trait Observer: Send + Sync + 'static {
    /// A request has come to its end.
    fn finished(&self, request: &Finished<'_>);
}

impl Finished<'_> {
    /// Writes the log line. Nothing is formatted when nobody listens.
    pub(crate) fn log(&self) {
        tracing::info!(
            target: ACCESS_LOG,
            request_id = self.request_id,
            method = self.method,
            route = self.route,
            status = self.status.as_u16(),
            code = self.code.map(ErrorCode::as_str),
            duration_us = u64::try_from(self.elapsed.as_micros()).unwrap_or(u64::MAX),
            bytes = self.bytes,
            identity = self.identity,
            key_id = self.key_id,
            city_id = self.city_id,
            client = self.client.map(tracing::field::display),
            "request"
        );
    }
}

/// The name of a method, of which a caller may invent any.
pub(crate) fn method_name(method: &Method) -> &'static str {
    match *method {
        Method::GET => "GET",
        Method::HEAD => "HEAD",
        Method::POST => "POST",
        Method::PUT => "PUT",
        Method::PATCH => "PATCH",
        Method::DELETE => "DELETE",
        Method::OPTIONS => "OPTIONS",
        Method::CONNECT => "CONNECT",
        Method::TRACE => "TRACE",
        _ => "other",
    }
}
