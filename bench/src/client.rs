//! Calls from inside this process: setting up a Federation, and reading streams.

use anyhow::{Context as _, Result, ensure};
use bytes::Bytes;
use http::header::{AUTHORIZATION, CONTENT_TYPE};
use http::{Request, Response};
use http_body_util::{BodyExt as _, Full};
use hyper::body::Incoming;
use hyper_util::client::legacy::Client as Legacy;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::TokioExecutor;
use serde_json::Value;

/// A client that keeps its connections.
#[derive(Clone)]
pub(crate) struct Client(Legacy<HttpConnector, Full<Bytes>>);

impl Client {
    /// A client without connections.
    pub(crate) fn new() -> Self {
        let mut connector = HttpConnector::new();
        connector.set_nodelay(true);
        Self(Legacy::builder(TokioExecutor::new()).build(connector))
    }

    /// Posts JSON and reads the JSON answer. Without a bearer the caller is a guest.
    pub(crate) async fn post(&self, url: &str, bearer: &str, body: &Value) -> Result<Value> {
        let bytes = self.send(url, bearer, body.to_string()).await?.collect().await?.to_bytes();
        serde_json::from_slice(&bytes).with_context(|| format!("the answer of {url}"))
    }

    /// Posts JSON and reads the answer's events to their end; gives their number, `[DONE]`
    /// included.
    pub(crate) async fn stream(&self, url: &str, bearer: &str, body: String) -> Result<usize> {
        let mut incoming = self.send(url, bearer, body).await?;
        let mut text = Vec::with_capacity(64 * 1024);
        while let Some(frame) = incoming.frame().await {
            if let Ok(data) = frame?.into_data() {
                text.extend_from_slice(&data);
            }
        }
        ensure!(text.ends_with(b"data: [DONE]\n\n"), "the stream of {url} broke off");
        Ok(text.windows(2).filter(|pair| pair == b"\n\n").count())
    }

    /// Posts JSON; gives the body of the answer, unread.
    pub(crate) async fn send(&self, url: &str, bearer: &str, body: String) -> Result<Incoming> {
        let mut request = Request::post(url).header(CONTENT_TYPE, "application/json");
        if !bearer.is_empty() {
            request = request.header(AUTHORIZATION, format!("Bearer {bearer}"));
        }
        let request = request.body(Full::new(Bytes::from(body)))?;
        let response = self.0.request(request).await?;
        let (head, body): (_, Incoming) = Response::into_parts(response);
        if !head.status.is_success() {
            let text = body.collect().await?.to_bytes();
            anyhow::bail!("{url} answered {}: {}", head.status, String::from_utf8_lossy(&text));
        }
        Ok(body)
    }
}
