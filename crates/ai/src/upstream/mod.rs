//! The way to a provider: one HTTP request, one streamed answer.
//!
//! One pooled client serves all providers. It speaks HTTP/1.1, follows no redirects, decompresses
//! nothing, and takes no proxy from the process environment.

mod watched;

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use downcity_core::{Body, BoxError};
use futures_util::future::BoxFuture;
use http::{Request, Response};
use http_body_util::Full;
use hyper_rustls::{HttpsConnector, HttpsConnectorBuilder};
use hyper_util::client::legacy::Client;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::{TokioExecutor, TokioTimer};

use self::watched::{Course, Watching};
use crate::failure::Failure;
use crate::storage::guard::Checked;

/// Sends requests to providers.
pub(crate) trait Upstream: Send + Sync {
    /// Sends a request; resolves when the head of the answer is there. Dropping the future, or the
    /// body of the answer, closes the connection.
    fn send(&self, request: Request<Bytes>) -> BoxFuture<'static, Result<Response<Body>, Failure>>;
}

/// The pooled client.
pub(crate) struct HyperUpstream {
    client: Client<Watching<HttpsConnector<HttpConnector>>, Full<Bytes>>,
    /// For requests that are [`PublicOnly`]; its connections are never those of others.
    guarded: Client<Watching<HttpsConnector<Checked>>, Full<Bytes>>,
    tls: rustls::ClientConfig,
    connect_timeout: Duration,
    allow_private: bool,
}

/// Marks a request, as one of its extensions, that may only go to the public internet: its address was
/// not chosen by the operator.
#[derive(Clone, Copy, Debug)]
pub(crate) struct PublicOnly;

impl HyperUpstream {
    /// A client with this limit for new connections. `allow_private` lets requests that are
    /// [`PublicOnly`] go anywhere.
    ///
    /// # Errors
    /// When TLS cannot be set up.
    pub(crate) fn new(
        connect_timeout: Duration,
        allow_private: bool,
    ) -> Result<Self, rustls::Error> {
        let tls = tls_config()?;
        let mut builder = Client::builder(TokioExecutor::new());
        builder.pool_timer(TokioTimer::new()).pool_idle_timeout(Duration::from_secs(60));
        let client = builder.build(Watching(connector(tls.clone(), connect_timeout)));
        let checked = Checked::machine(allow_private, connect_timeout);
        let guarded = builder.build(Watching(over_tls(tls.clone(), checked)));
        Ok(Self { client, guarded, tls, connect_timeout, allow_private })
    }

    /// Whether requests that are [`PublicOnly`] may go anywhere.
    pub(crate) fn allows_private(&self) -> bool {
        self.allow_private
    }

    /// How TLS is spoken, for connections of another kind.
    pub(crate) fn tls(&self) -> &rustls::ClientConfig {
        &self.tls
    }

    /// The limit for new connections.
    pub(crate) fn connect_timeout(&self) -> Duration {
        self.connect_timeout
    }
}

/// Opens connections over TLS, with the certificate authorities that browsers know, and over plain
/// TCP where an address begins with `http:`.
///
/// # Errors
/// When TLS cannot be set up.
pub fn https_connector(
    connect_timeout: Duration,
) -> Result<HttpsConnector<HttpConnector>, rustls::Error> {
    Ok(connector(tls_config()?, connect_timeout))
}

/// TLS with the certificate authorities that browsers know.
fn tls_config() -> Result<rustls::ClientConfig, rustls::Error> {
    let mut roots = rustls::RootCertStore::empty();
    roots.extend(webpki_roots::TLS_SERVER_ROOTS.iter().cloned());
    let crypto = Arc::new(rustls::crypto::ring::default_provider());
    let config = rustls::ClientConfig::builder_with_provider(crypto)
        .with_safe_default_protocol_versions()?
        .with_root_certificates(roots)
        .with_no_client_auth();
    Ok(config)
}

fn connector(
    tls: rustls::ClientConfig,
    connect_timeout: Duration,
) -> HttpsConnector<HttpConnector> {
    let mut tcp = HttpConnector::new();
    tcp.enforce_http(false);
    tcp.set_nodelay(true);
    tcp.set_connect_timeout(Some(connect_timeout));
    tcp.set_keepalive(Some(Duration::from_secs(60)));
    over_tls(tls, tcp)
}

/// Speaks TLS on the connections that another connector makes, where the address wants it.
fn over_tls<C>(tls: rustls::ClientConfig, connector: C) -> HttpsConnector<C> {
    HttpsConnectorBuilder::new()
        .with_tls_config(tls)
        .https_or_http()
        .enable_http1()
        .wrap_connector(connector)
}

impl Upstream for HyperUpstream {
    fn send(&self, request: Request<Bytes>) -> BoxFuture<'static, Result<Response<Body>, Failure>> {
        let request = request.map(Full::new);
        let answer = match request.extensions().get::<PublicOnly>() {
            Some(PublicOnly) => self.guarded.request(request),
            None => self.client.request(request),
        };
        Box::pin(async move {
            match answer.await {
                Ok(response) => Ok(response.map(Body::from_http)),
                Err(error) if error.is_connect() => {
                    Err(Failure::Unreachable(BoxError::from(error)))
                }
                Err(error) if met_a_closed_connection(&error) => {
                    Err(Failure::Stale(BoxError::from(error)))
                }
                Err(error) => Err(Failure::Broken(BoxError::from(error))),
            }
        })
    }
}

/// Whether the request went to a connection that was kept from before and gave no byte of an answer.
fn met_a_closed_connection(error: &hyper_util::client::legacy::Error) -> bool {
    let mut extras = http::Extensions::new();
    if let Some(connected) = error.connect_info() {
        connected.get_extras(&mut extras);
    }
    extras.get::<Course>().is_some_and(Course::is_silent_again)
}
