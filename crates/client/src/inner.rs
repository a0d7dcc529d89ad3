//! Sending calls.

use std::fmt;
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use futures_util::{Stream, StreamExt as _};
use reqwest::header::{
    AUTHORIZATION, CONTENT_TYPE, HeaderMap, HeaderName, HeaderValue, RETRY_AFTER,
};
use reqwest::{Method, StatusCode, Url};
use secrecy::{ExposeSecret as _, SecretString};
use serde::de::DeserializeOwned;
use serde_json::Value;
use tokio::time::{sleep, timeout};

use crate::{CityId, Error, Request, Response, Result, RetryPolicy, Transport, random};

/// The bytes of an answer as they come.
pub(crate) type ByteStream = Pin<Box<dyn Stream<Item = Result<Bytes>> + Send>>;

/// How long a call may take, all attempts together, unless the client says otherwise.
const PATIENCE: Duration = Duration::from_secs(30);
/// The same for calls of models, which think first.
const MODEL_PATIENCE: Duration = Duration::from_mins(10);

const IDEMPOTENCY_KEY: HeaderName = HeaderName::from_static("idempotency-key");

/// What all handles of a client share.
#[derive(Clone)]
pub(crate) struct Inner {
    pub(crate) transport: Arc<dyn Transport>,
    pub(crate) base: Url,
    pub(crate) city_id: Option<CityId>,
    pub(crate) credential: Option<SecretString>,
    pub(crate) timeout: Option<Duration>,
    pub(crate) retry: RetryPolicy,
    /// Whether the calls are a user's.
    pub(crate) is_user: bool,
}

/// One call, ready to be sent.
pub(crate) struct Call {
    request: Request,
    patience: Duration,
    /// Whether sending it twice does no more than sending it once.
    is_repeatable: bool,
}

impl Inner {
    /// `<base>/v1/<segments>`, each of them encoded.
    ///
    /// # Errors
    /// [`Error::Config`] for a segment that is blank, `.` or `..`.
    pub(crate) fn url<'a>(&self, path: impl IntoIterator<Item = &'a str>) -> Result<Url> {
        let mut url = self.base.clone();
        {
            let Ok(mut segments) = url.path_segments_mut() else {
                return Err(Error::config("federation_url", "is no http address"));
            };
            segments.pop_if_empty().push("v1");
            for segment in path {
                // Browsers' rules take the encoded dots for dots too.
                let plain = segment.replace("%2e", ".").replace("%2E", ".");
                if matches!(plain.trim(), "" | "." | "..") {
                    let reason = "a path must not have blank, `.` or `..` segments";
                    return Err(Error::config("path", reason));
                }
                segments.push(segment);
            }
        }
        Ok(url)
    }

    /// A GET; fields of `query` that are `null` are left out.
    pub(crate) fn get(&self, path: &[&str], query: &Value) -> Result<Call> {
        let mut url = self.url(path.iter().copied())?;
        let fields = query.as_object().into_iter().flatten().filter(|(_, value)| !value.is_null());
        let mut pairs = fields.peekable();
        if pairs.peek().is_some() {
            let mut query = url.query_pairs_mut();
            for (key, value) in pairs {
                match value {
                    Value::String(text) => query.append_pair(key, text),
                    other => query.append_pair(key, &other.to_string()),
                };
            }
        }
        let request = Request { method: Method::GET, url, headers: self.headers()?, body: None };
        Ok(Call { request, patience: self.timeout.unwrap_or(PATIENCE), is_repeatable: true })
    }

    /// A POST that carries no idempotency key.
    pub(crate) fn post(&self, path: &[&str], body: &Value) -> Result<Call> {
        let url = self.url(path.iter().copied())?;
        let mut headers = self.headers()?;
        headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
        let body = Some(Bytes::from(body.to_string()));
        let request = Request { method: Method::POST, url, headers, body };
        Ok(Call { request, patience: self.timeout.unwrap_or(PATIENCE), is_repeatable: false })
    }

    /// A POST that asks a model.
    pub(crate) fn ask(&self, path: &[&str], body: &Value) -> Result<Call> {
        let call = self.post(path, body)?;
        Ok(Call { patience: self.timeout.unwrap_or(MODEL_PATIENCE), ..call })
    }

    /// Any route by its path, which begins with `/` and may have a query.
    ///
    /// # Errors
    /// [`Error::Config`] for a path that leads elsewhere.
    pub(crate) fn route(&self, method: Method, path: &str, body: Option<&Value>) -> Result<Call> {
        let elsewhere = || Error::config("path", "must be a path of the server, such as /health");
        let root = self.base.as_str().trim_end_matches('/');
        let url: Url = format!("{root}{path}").parse().map_err(|_| elsewhere())?;
        if !path.starts_with('/') || url.origin() != self.base.origin() {
            return Err(elsewhere());
        }
        let mut headers = self.headers()?;
        if body.is_some() {
            headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
        }
        let is_repeatable = method == Method::GET;
        let body = body.map(|body| Bytes::from(body.to_string()));
        let request = Request { method, url, headers, body };
        Ok(Call { request, patience: self.timeout.unwrap_or(PATIENCE), is_repeatable })
    }

    fn headers(&self) -> Result<HeaderMap> {
        let mut headers = HeaderMap::new();
        if let Some(credential) = &self.credential {
            let text = format!("Bearer {}", credential.expose_secret());
            let mut value = HeaderValue::try_from(text).map_err(|_| {
                Error::config("credential", "has characters that no header can hold")
            })?;
            value.set_sensitive(true);
            headers.insert(AUTHORIZATION, value);
        }
        Ok(headers)
    }

    /// Sends a call and reads its answer.
    pub(crate) async fn json<T: DeserializeOwned>(&self, call: Call) -> Result<T> {
        let body = self.text(call).await?;
        serde_json::from_str(&body).map_err(|source| Error::Decode { source, body })
    }

    /// Sends a call and reads its answer as text.
    pub(crate) async fn text(&self, call: Call) -> Result<String> {
        self.in_time(&call, self.whole(&call)).await
    }

    /// Sends a call whose answer is read as it comes. Only its beginning has to come in time.
    pub(crate) async fn stream(&self, call: Call) -> Result<ByteStream> {
        self.download(call).await.map(|(_, bytes)| bytes)
    }

    /// The same, with the headers of the answer.
    pub(crate) async fn download(&self, call: Call) -> Result<(HeaderMap, ByteStream)> {
        let (answer, attempts) = self.in_time(&call, self.head(&call)).await?;
        let Request { method, url, .. } = call.request;
        let bytes = answer.body.map(move |bytes| {
            bytes.map_err(|source| Error::Transport {
                source,
                method: method.clone(),
                url: Box::new(url.clone()),
                attempts,
            })
        });
        Ok((answer.headers, Box::pin(bytes)))
    }

    async fn in_time<T>(&self, call: &Call, work: impl Future<Output = Result<T>>) -> Result<T> {
        let after = call.patience;
        match timeout(after, work).await {
            Ok(result) => result,
            Err(_) => {
                let (method, url) = call.place();
                Err(Error::Timeout { method, url, after })
            }
        }
    }

    async fn whole(&self, call: &Call) -> Result<String> {
        let mut attempt = 1;
        loop {
            let (answer, attempts) = self.attempts(call, attempt).await?;
            match read(answer).await {
                Ok(body) => return Ok(body),
                Err(_) if call.is_repeatable && attempts < self.retry.attempts => {
                    sleep(self.retry.delay(attempts)).await;
                    attempt = attempts + 1;
                }
                Err(source) => return Err(call.failed(source, attempts)),
            }
        }
    }

    async fn head(&self, call: &Call) -> Result<(Response, u32)> {
        self.attempts(call, 1).await
    }

    /// Sends a call until there is an answer to be given, and tells at which attempt it came.
    async fn attempts(&self, call: &Call, first: u32) -> Result<(Response, u32)> {
        let mut attempt = first;
        loop {
            let is_last = attempt >= self.retry.attempts;
            let wait = match self.transport.send(call.request.clone()).await {
                Ok(answer) if answer.status.is_success() => return Ok((answer, attempt)),
                Ok(answer) => match retry_after(&answer) {
                    Some(wait) if !is_last && call.request.method == Method::GET => wait,
                    _ => return Err(call.refused(answer, attempt).await),
                },
                Err(error) if !is_last && (error.is_unsent() || call.is_repeatable) => {
                    self.retry.delay(attempt)
                }
                Err(error) => return Err(call.failed(error.into_source(), attempt)),
            };
            sleep(wait).await;
            attempt += 1;
        }
    }
}

impl Call {
    /// Lets the server know the call again: it carries the key that is given, or one of its own.
    ///
    /// # Errors
    /// [`Error::Config`] for a key that no header can hold.
    pub(crate) fn once(mut self, key: Option<String>) -> Result<Self> {
        let Some(key) = key.or_else(random::key) else { return Ok(self) };
        let value = HeaderValue::try_from(key).map_err(|_| {
            Error::config("idempotency_key", "has characters that no header can hold")
        })?;
        self.request.headers.insert(IDEMPOTENCY_KEY, value);
        self.is_repeatable = true;
        Ok(self)
    }

    /// Lets the call take so long, whatever the client's timeout.
    pub(crate) fn within(self, patience: Duration) -> Self {
        Self { patience, ..self }
    }

    /// How and what was called, for errors.
    fn place(&self) -> (Method, Box<Url>) {
        (self.request.method.clone(), Box::new(self.request.url.clone()))
    }

    async fn refused(&self, answer: Response, attempts: u32) -> Error {
        let status = answer.status.as_u16();
        match read(answer).await {
            Ok(body) => {
                let (method, url) = self.place();
                Error::answer(status, body, method, url)
            }
            Err(source) => self.failed(source, attempts),
        }
    }

    fn failed(&self, source: crate::BoxError, attempts: u32) -> Error {
        let (method, url) = self.place();
        Error::Transport { source, method, url, attempts }
    }
}

async fn read(answer: Response) -> std::result::Result<String, crate::BoxError> {
    let mut body = answer.body;
    let mut bytes = Vec::new();
    while let Some(more) = body.next().await {
        bytes.extend_from_slice(&more?);
    }
    Ok(String::from_utf8(bytes)
        .unwrap_or_else(|error| String::from_utf8_lossy(error.as_bytes()).into_owned()))
}

/// How long a busy server asks to be left alone.
fn retry_after(answer: &Response) -> Option<Duration> {
    let busy = [StatusCode::TOO_MANY_REQUESTS, StatusCode::SERVICE_UNAVAILABLE];
    if !busy.contains(&answer.status) {
        return None;
    }
    let seconds = answer.headers.get(RETRY_AFTER)?.to_str().ok()?.trim().parse().ok()?;
    Some(Duration::from_secs(seconds))
}

impl fmt::Debug for Inner {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("City")
            .field("federation_url", &self.base.as_str())
            .field("city_id", &self.city_id)
            .field("credential", &self.credential)
            .finish_non_exhaustive()
    }
}
