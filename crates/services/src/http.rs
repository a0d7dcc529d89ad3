//! Requests to servers of others: payment providers, sign-in providers.

use std::sync::Arc;
use std::time::Duration;

use downcity_core::{Error, Result};
use http::StatusCode;
use reqwest::Url;

use downcity_core::is_loopback;

/// Largest answer that is read, in bytes.
const MAX_ANSWER: usize = 1024 * 1024;
/// How long a new connection may take.
const CONNECT: Duration = Duration::from_secs(10);

/// Why there is no answer. The text is for the log; it shows no address, which may hold secrets.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Fault {
    /// Nothing came in time. The request may have been carried out.
    #[error("no answer in time")]
    TimedOut,
    /// The request was not sent.
    #[error("no connection: {0}")]
    NotSent(String),
    /// The answer broke off, or is too large. The request may have been carried out.
    #[error("no whole answer: {0}")]
    Broken(String),
}

/// A client that trusts the authorities that browsers know, follows nothing, decompresses nothing, and
/// takes no proxy from the process environment. One serves all requests of a service.
///
/// # Errors
/// When TLS cannot be set up.
pub fn client() -> Result<reqwest::Client> {
    let mut roots = rustls::RootCertStore::empty();
    roots.extend(webpki_roots::TLS_SERVER_ROOTS.iter().cloned());
    let crypto = Arc::new(rustls::crypto::ring::default_provider());
    let tls = rustls::ClientConfig::builder_with_provider(crypto)
        .with_safe_default_protocol_versions()
        .map_err(Error::internal)?
        .with_root_certificates(roots)
        .with_no_client_auth();
    reqwest::Client::builder()
        .tls_backend_preconfigured(tls)
        .redirect(reqwest::redirect::Policy::none())
        .no_proxy()
        .connect_timeout(CONNECT)
        .user_agent("downcity-federation")
        .build()
        .map_err(Error::internal)
}

/// Sends a request and reads the whole answer, both within `limit`.
///
/// # Errors
/// [`Fault`]; an answer of any status is none.
pub(crate) async fn exchange(
    request: reqwest::RequestBuilder,
    limit: Duration,
) -> Result<(StatusCode, Vec<u8>), Fault> {
    tokio::time::timeout(limit, receive(request)).await.map_err(|_| Fault::TimedOut)?
}

async fn receive(request: reqwest::RequestBuilder) -> Result<(StatusCode, Vec<u8>), Fault> {
    let broken = |error: reqwest::Error| {
        let is_unsent = error.is_connect() || error.is_builder();
        let text = error.without_url().to_string();
        if is_unsent { Fault::NotSent(text) } else { Fault::Broken(text) }
    };
    let mut response = request.send().await.map_err(broken)?;
    let mut bytes = Vec::new();
    while let Some(chunk) = response.chunk().await.map_err(broken)? {
        if bytes.len() + chunk.len() > MAX_ANSWER {
            return Err(Fault::Broken("it is too large".to_owned()));
        }
        bytes.extend_from_slice(&chunk);
    }
    Ok((response.status(), bytes))
}

/// An address that requests with secrets in them may go to: `https`, or `http` to this machine where that is
/// allowed; without a name and password, query or fragment. Slashes at its end are dropped.
///
/// # Errors
/// What is wrong with it.
pub(crate) fn base_url(text: &str, allow_loopback_http: bool) -> Result<String, &'static str> {
    let url: Url = text.trim().parse().map_err(|_| "is no address of the web")?;
    let is_plain = url.username().is_empty()
        && url.password().is_none()
        && url.query().is_none()
        && url.fragment().is_none();
    match url.scheme() {
        _ if !is_plain => Err("must have no name, password, query or fragment"),
        "https" => Ok(url.as_str().trim_end_matches('/').to_owned()),
        "http" if !is_loopback(url.authority()) => Err("must begin with https://"),
        "http" if !allow_loopback_http => {
            Err("is http to this machine, which allow_loopback_http does not allow")
        }
        "http" => Ok(url.as_str().trim_end_matches('/').to_owned()),
        _ => Err("must begin with https://"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn secrets_go_over_tls_or_stay_on_this_machine() {
        for (text, strict, loose) in [
            ("https://api.example.com/v1/", true, true),
            ("https://api.example.com", true, true),
            ("http://127.0.0.1:4010/v1", false, true),
            ("http://localhost:4010", false, true),
            ("http://[::1]:4010", false, true),
            ("http://api.example.com", false, false),
            ("http://127.0.0.1.example.com", false, false),
            ("http://127.0.0.1@example.com", false, false),
            ("https://key@api.example.com", false, false),
            ("https://api.example.com/?key=1", false, false),
            ("https://api.example.com/#x", false, false),
            ("ftp://127.0.0.1", false, false),
            ("api.example.com", false, false),
            ("", false, false),
        ] {
            assert_eq!(base_url(text, false).is_ok(), strict, "{text}");
            assert_eq!(base_url(text, true).is_ok(), loose, "{text}");
        }
        assert_eq!(base_url(" https://a.example//", false).unwrap(), "https://a.example");
        assert_eq!(base_url("http://localhost:1/v1/", true).unwrap(), "http://localhost:1/v1");
    }
}
