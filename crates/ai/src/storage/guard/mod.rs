//! Downloads from addresses that others chose: a provider's answer names them.
//!
//! What could be reached from here that must not be: this machine, its network, the metadata of its
//! cloud. So every hop is checked by its addresses, see [`connect`]. Nothing is sent that identifies
//! the Federation: no credentials, no cookies, no referrer.

mod address;
mod connect;
#[cfg(test)]
mod tests;

use std::error::Error as _;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use downcity_core::{Body, BoxError};
use http::header::{
    ACCEPT, ACCEPT_ENCODING, CONTENT_ENCODING, CONTENT_LENGTH, CONTENT_TYPE, LOCATION, USER_AGENT,
};
use http::{HeaderMap, Request, Response, StatusCode};
use http_body_util::{BodyExt as _, Empty};
use hyper_rustls::{HttpsConnector, HttpsConnectorBuilder};
use hyper_util::client::legacy::Client;
use hyper_util::rt::{TokioExecutor, TokioTimer};
use tokio::time::{Instant, timeout_at};
use url::Url;

pub(crate) use self::connect::Checked;
use self::connect::{Machine, Network, PATIENCE, Private};
use super::key::{ANY_TYPE, essence, is_vague};
use crate::failure::Failure;
use crate::files::{BadFile, allows};

/// How often a server may send us on.
const MAX_REDIRECTS: usize = 5;

/// What a download may be.
#[derive(Clone, Debug)]
pub(crate) struct Limits {
    /// The most bytes.
    pub(crate) max_bytes: u64,
    /// For everything, from the first name to the last byte.
    pub(crate) timeout: Duration,
    /// The media types; `image/*` is every image.
    pub(crate) types: Vec<String>,
}

/// Why there is no file. Names no address: it may hold secrets.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Fault {
    #[error("the file's address is none of the web, or holds a name and password")]
    Address,
    #[error("the file's address leads to a private network")]
    Private,
    #[error("the file's server sends us on more than {MAX_REDIRECTS} times")]
    Redirects,
    #[error("the file's server cannot be reached")]
    Unreachable(#[source] BoxError),
    #[error("the download broke off")]
    Broken(#[source] BoxError),
    #[error("the download took too long")]
    TimedOut,
    #[error("the file's server answered {0}")]
    Status(StatusCode),
    #[error("the file has a type that is not stored")]
    MediaType,
    #[error("the file is packed")]
    Packed,
    #[error("the file is larger than {0} bytes")]
    TooLarge(u64),
}

impl From<Fault> for Failure {
    fn from(fault: Fault) -> Self {
        match fault {
            Fault::Unreachable(source) => Self::Unreachable(source),
            Fault::Broken(source) => Self::Broken(source),
            Fault::TimedOut => Self::TimedOut,
            Fault::Private => Self::BadFile(BadFile::Private),
            Fault::Address => Self::BadFile(BadFile::Address),
            Fault::MediaType => Self::BadFile(BadFile::Type),
            fault => Self::Unreadable(fault.to_string()),
        }
    }
}

/// Downloads files.
pub(crate) struct Guard {
    client: Client<HttpsConnector<Checked>, Empty<Bytes>>,
    connector: Checked,
}

/// A file whose bytes are arriving.
#[derive(Debug)]
pub(crate) struct Download {
    /// What the server says of it, without parameters.
    pub(crate) media_type: String,
    body: Body,
    left: u64,
    limits: Limits,
    deadline: Instant,
}

impl Guard {
    /// A guard that lets through to public addresses, or to all.
    pub(crate) fn new(tls: rustls::ClientConfig, allow_private: bool) -> Self {
        Self::on(Arc::new(Machine), tls, allow_private)
    }

    fn on(network: Arc<dyn Network>, tls: rustls::ClientConfig, allow_private: bool) -> Self {
        let checked = Checked { network, allow_private, patience: PATIENCE };
        let connector = HttpsConnectorBuilder::new()
            .with_tls_config(tls)
            .https_or_http()
            .enable_http1()
            .wrap_connector(checked.clone());
        let client = Client::builder(TokioExecutor::new())
            .pool_timer(TokioTimer::new())
            // Each download is of another server: none is worth a connection that waits.
            .pool_max_idle_per_host(0)
            .build(connector);
        Self { client, connector: checked }
    }

    /// Whether somebody outside may be told this address: it is one of the web, holds no password, and
    /// all that its host resolves to is of the public internet. What cannot be resolved is not.
    pub(crate) async fn is_public(&self, url: &str) -> bool {
        let Ok(url) = url.trim().parse::<Url>() else { return false };
        if !is_of_web(&url) {
            return false;
        }
        if self.connector.allow_private {
            return true;
        }
        let host = url.host_str().unwrap_or_default();
        self.connector.is_public(host, url.port_or_known_default().unwrap_or(443)).await
    }

    /// Begins a download: the answer's head is there, and its body is what may be stored.
    ///
    /// # Errors
    /// [`Fault`].
    pub(crate) async fn download(&self, url: &str, limits: &Limits) -> Result<Download, Fault> {
        let deadline = Instant::now() + limits.timeout;
        let begun = timeout_at(deadline, self.follow(url)).await;
        let response = begun.map_err(|_| Fault::TimedOut)??;
        let (parts, body) = response.into_parts();
        if parts.status != StatusCode::OK {
            return Err(Fault::Status(parts.status));
        }
        if is_packed(&parts.headers) {
            return Err(Fault::Packed);
        }
        if length(&parts.headers).is_some_and(|length| length > limits.max_bytes) {
            return Err(Fault::TooLarge(limits.max_bytes));
        }
        let media_type = media_type(&parts.headers);
        // One that says nothing is judged by whoever knows more.
        if !is_vague(&media_type) && !allows(&limits.types, &media_type) {
            return Err(Fault::MediaType);
        }
        let limits = limits.clone();
        Ok(Download { media_type, body, left: limits.max_bytes, limits, deadline })
    }

    /// The answer at the end of all redirects.
    async fn follow(&self, url: &str) -> Result<Response<Body>, Fault> {
        let mut url: Url = url.trim().parse().map_err(|_| Fault::Address)?;
        for _ in 0..=MAX_REDIRECTS {
            let response = self.ask(&url).await?;
            let is_elsewhere = matches!(response.status().as_u16(), 301 | 302 | 303 | 307 | 308);
            let location = response.headers().get(LOCATION).filter(|_| is_elsewhere);
            let Some(location) = location else { return Ok(response) };
            let location = location.to_str().map_err(|_| Fault::Address)?;
            url = url.join(location).map_err(|_| Fault::Address)?;
        }
        Err(Fault::Redirects)
    }

    /// One request.
    async fn ask(&self, url: &Url) -> Result<Response<Body>, Fault> {
        if !is_of_web(url) {
            return Err(Fault::Address);
        }
        let mut bare = url.clone();
        bare.set_fragment(None);
        let request = Request::get(bare.as_str())
            .header(ACCEPT, "*/*")
            .header(ACCEPT_ENCODING, "identity")
            .header(USER_AGENT, "downcity-federation")
            .body(Empty::new())
            .map_err(|_| Fault::Address)?;
        let answer = self.client.request(request).await;
        answer.map(|answer| answer.map(Body::from_http)).map_err(|error| {
            if is_private(&error) {
                Fault::Private
            } else if error.is_connect() {
                Fault::Unreachable(error.into())
            } else {
                Fault::Broken(error.into())
            }
        })
    }
}

/// Whether an address is one of the web, without a name and a password.
fn is_of_web(url: &Url) -> bool {
    matches!(url.scheme(), "http" | "https")
        && url.has_host()
        && url.username().is_empty()
        && url.password().is_none()
}

impl Download {
    /// The type that the file is stored as: what the server says, else what is `told` of it.
    ///
    /// # Errors
    /// When neither may be stored.
    pub(crate) fn media_type(&self, told: Option<&str>) -> Result<String, Fault> {
        if !is_vague(&self.media_type) {
            return Ok(self.media_type.clone());
        }
        let told = told.map(essence).filter(|told| !is_vague(told));
        let media_type = told.unwrap_or_else(|| ANY_TYPE.to_owned());
        if allows(&self.limits.types, &media_type) { Ok(media_type) } else { Err(Fault::MediaType) }
    }

    /// The next bytes; `None` at the end.
    ///
    /// # Errors
    /// When the file is too large, takes too long, or breaks off.
    pub(crate) async fn next(&mut self) -> Result<Option<Bytes>, Fault> {
        loop {
            let frame = timeout_at(self.deadline, self.body.frame()).await;
            let frame = match frame.map_err(|_| Fault::TimedOut)? {
                None => return Ok(None),
                Some(frame) => frame.map_err(Fault::Broken)?,
            };
            let Ok(bytes) = frame.into_data() else { continue };
            let left = self.left.checked_sub(bytes.len() as u64);
            self.left = left.ok_or(Fault::TooLarge(self.limits.max_bytes))?;
            return Ok(Some(bytes));
        }
    }
}

/// Whether a connection was not made because it would have been to a private address.
fn is_private(error: &hyper_util::client::legacy::Error) -> bool {
    let mut cause = error.source();
    while let Some(error) = cause {
        if error.is::<Private>() {
            return true;
        }
        cause = error.source();
    }
    false
}

fn is_packed(headers: &HeaderMap) -> bool {
    headers.get(CONTENT_ENCODING).is_some_and(|packed| packed != "identity")
}

fn length(headers: &HeaderMap) -> Option<u64> {
    headers.get(CONTENT_LENGTH)?.to_str().ok()?.trim().parse().ok()
}

fn media_type(headers: &HeaderMap) -> String {
    let value = headers.get(CONTENT_TYPE).and_then(|value| value.to_str().ok());
    essence(value.unwrap_or_default())
}
