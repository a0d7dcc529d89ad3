//! Connections to addresses that have been looked at.
//!
//! A name is resolved once for each connection, and the connection is made to what was resolved:
//! a name server that answers differently the next time is not asked again.

use std::io;
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use downcity_core::BoxError;
use futures_util::future::BoxFuture;
use http::Uri;
use hyper_util::rt::TokioIo;
use tokio::net::TcpStream;
use tower::Service;

use super::address::is_public;

/// The patience of downloads with one address.
pub(super) const PATIENCE: Duration = Duration::from_secs(10);

/// The network, as the guard needs it.
pub(super) trait Network: Send + Sync + 'static {
    /// The addresses of a host.
    fn resolve(&self, host: String, port: u16) -> BoxFuture<'static, io::Result<Vec<SocketAddr>>>;

    /// A connection to an address.
    fn connect(&self, address: SocketAddr) -> BoxFuture<'static, io::Result<TcpStream>>;
}

/// The network of this machine.
pub(super) struct Machine;

impl Network for Machine {
    fn resolve(&self, host: String, port: u16) -> BoxFuture<'static, io::Result<Vec<SocketAddr>>> {
        Box::pin(async move { Ok(tokio::net::lookup_host((host, port)).await?.collect()) })
    }

    fn connect(&self, address: SocketAddr) -> BoxFuture<'static, io::Result<TcpStream>> {
        Box::pin(TcpStream::connect(address))
    }
}

/// A host has an address that is not of the public internet. Neither is named: they are the
/// operator's network, and this goes to whoever named the host.
#[derive(Debug, thiserror::Error)]
#[error("the address leads to a private network")]
pub(super) struct Private;

/// Connects to public addresses, or to all of them where that is allowed.
#[derive(Clone)]
pub(crate) struct Checked {
    pub(super) network: Arc<dyn Network>,
    pub(super) allow_private: bool,
    /// How long one address may take to answer; the next one is tried then.
    pub(super) patience: Duration,
}

impl Checked {
    /// For the network of this machine.
    pub(crate) fn machine(allow_private: bool, patience: Duration) -> Self {
        Self { network: Arc::new(Machine), allow_private, patience }
    }

    /// The addresses of a host.
    async fn addresses(&self, host: &str, port: u16) -> io::Result<Vec<SocketAddr>> {
        let host = host.strip_prefix('[').and_then(|host| host.strip_suffix(']')).unwrap_or(host);
        match host.parse::<IpAddr>() {
            Ok(address) => Ok(vec![SocketAddr::new(address, port)]),
            Err(_) => self.network.resolve(host.to_owned(), port).await,
        }
    }

    /// Whether a host has addresses, all of the public internet.
    pub(super) async fn is_public(&self, host: &str, port: u16) -> bool {
        let found = tokio::time::timeout(self.patience, self.addresses(host, port)).await;
        let found = found.ok().and_then(Result::ok).unwrap_or_default();
        !found.is_empty() && found.iter().all(|address| is_public(address.ip()))
    }

    async fn connect(self, uri: Uri) -> Result<TokioIo<TcpStream>, BoxError> {
        let default = if uri.scheme_str() == Some("https") { 443 } else { 80 };
        let port = uri.port_u16().unwrap_or(default);
        let addresses = self.addresses(uri.host().unwrap_or_default(), port).await?;
        // One private address among public ones is a trap, not an alternative.
        if !self.allow_private && !addresses.iter().all(|address| is_public(address.ip())) {
            return Err(Private.into());
        }
        let mut last = io::Error::new(io::ErrorKind::NotFound, "the host has no address");
        for address in addresses {
            match tokio::time::timeout(self.patience, self.network.connect(address)).await {
                Ok(Ok(stream)) => {
                    stream.set_nodelay(true)?;
                    return Ok(TokioIo::new(stream));
                }
                Ok(Err(error)) => last = error,
                Err(_) => last = io::ErrorKind::TimedOut.into(),
            }
        }
        Err(last.into())
    }
}

impl Service<Uri> for Checked {
    type Response = TokioIo<TcpStream>;
    type Error = BoxError;
    type Future = BoxFuture<'static, Result<Self::Response, BoxError>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), BoxError>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, uri: Uri) -> Self::Future {
        Box::pin(self.clone().connect(uri))
    }
}
