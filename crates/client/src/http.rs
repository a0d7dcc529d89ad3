//! The transport of everyday use.

use std::sync::Arc;
use std::time::Duration;

use futures_util::stream;

use crate::{BoxError, Error, Request, Response, Result, SendFuture, Transport, TransportError};

/// How long a new connection may take.
const CONNECT: Duration = Duration::from_secs(10);

/// HTTP with pooled connections, and TLS that trusts the authorities that browsers know. Proxies are
/// taken from the environment, redirects are not followed.
///
/// Has to be used within a Tokio runtime.
#[derive(Clone, Debug)]
pub struct HttpTransport {
    client: reqwest::Client,
}

impl HttpTransport {
    /// A transport with connections of its own. Clones share them.
    ///
    /// # Errors
    /// [`Error::Config`] when TLS cannot be set up.
    pub fn new() -> Result<Self> {
        Self::build().map_err(|error| Error::config("transport", error.to_string()))
    }

    fn build() -> std::result::Result<Self, BoxError> {
        let mut roots = rustls::RootCertStore::empty();
        roots.extend(webpki_roots::TLS_SERVER_ROOTS.iter().cloned());
        let crypto = Arc::new(rustls::crypto::ring::default_provider());
        let tls = rustls::ClientConfig::builder_with_provider(crypto)
            .with_safe_default_protocol_versions()?
            .with_root_certificates(roots)
            .with_no_client_auth();
        let client = reqwest::Client::builder()
            .tls_backend_preconfigured(tls)
            .redirect(reqwest::redirect::Policy::none())
            .connect_timeout(CONNECT)
            .user_agent(concat!("downcity-rust/", env!("CARGO_PKG_VERSION")))
            .build()?;
        Ok(Self { client })
    }

    async fn exchange(&self, request: Request) -> std::result::Result<Response, TransportError> {
        let Request { method, url, headers, body } = request;
        let mut request = self.client.request(method, url).headers(headers);
        if let Some(body) = body {
            request = request.body(body);
        }
        let answer = request.send().await.map_err(|error| {
            let is_unsent = error.is_connect() || error.is_builder();
            // The address may hold what is not for logs; the error that wraps this one names it.
            let error = error.without_url();
            if is_unsent { TransportError::unsent(error) } else { TransportError::broken(error) }
        })?;
        let (status, headers) = (answer.status(), answer.headers().clone());
        let body = stream::unfold(Some(answer), |answer| async {
            let mut answer = answer?;
            match answer.chunk().await {
                Ok(Some(bytes)) => Some((Ok(bytes), Some(answer))),
                Ok(None) => None,
                Err(error) => Some((Err(BoxError::from(error.without_url())), None)),
            }
        });
        Ok(Response::new(status, headers, Box::pin(body)))
    }
}

impl Transport for HttpTransport {
    fn send(&self, request: Request) -> SendFuture<'_> {
        Box::pin(self.exchange(request))
    }
}
