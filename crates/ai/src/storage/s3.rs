//! Files in a bucket of S3, or of a server that speaks like it.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use downcity_core::{Error, Result, Runtime};
use downcity_types::{EnvRequirement, ErrorCode};
use http::header::{CACHE_CONTROL, CONTENT_DISPOSITION, CONTENT_LENGTH, CONTENT_TYPE};
use http::{HeaderValue, Request, StatusCode};
use http_body_util::{BodyExt as _, Limited};
use jiff::Timestamp;
use rusty_s3::{Credentials, S3Action as _, UrlStyle};
use sha2::{Digest as _, Sha256};

use super::key::{Key, Kind};
use super::{Stored, link};
use crate::config::{Problem, StorageConfig};
use crate::heavy::heavy;
use crate::upstream::{HyperUpstream, Upstream as _};

/// For how long a request of ours is signed; clocks may differ by as much.
const REQUEST_TTL: Duration = Duration::from_mins(15);
/// How much is read of a refusal.
const MAX_REFUSAL: usize = 16 * 1024;

/// A bucket and the way to it.
pub(super) struct Bucket {
    bucket: rusty_s3::Bucket,
    /// What names of objects begin with; empty, or with a slash at its end.
    prefix: String,
    /// What links begin with that are not signed, without a slash at its end.
    public_url: Option<String>,
    access_key: String,
    secret_key: String,
    upstream: Arc<HyperUpstream>,
}

/// The bucket did not take a file. For the log.
#[derive(Debug, thiserror::Error)]
#[error("S3 answered {status} {code}")]
struct Refused {
    status: StatusCode,
    /// The server's own name of the reason, such as `SignatureDoesNotMatch`.
    code: String,
}

impl Bucket {
    pub(super) fn new(
        config: &StorageConfig,
        upstream: Arc<HyperUpstream>,
    ) -> Result<Self, Problem> {
        let problem =
            |field: &str, message: String| Problem { path: format!("storage.{field}"), message };
        let style = if config.path_style { UrlStyle::Path } else { UrlStyle::VirtualHost };
        let endpoint = config.s3_endpoint().parse();
        let endpoint = endpoint.map_err(|error| problem("endpoint", format!("{error}")))?;
        let name = config.bucket.clone().unwrap_or_default();
        let bucket = rusty_s3::Bucket::new(endpoint, style, name, config.region.clone());
        let bucket = bucket.map_err(|_| {
            let advice = "does not go with this endpoint; set path_style = true";
            problem("bucket", advice.to_owned())
        })?;
        let mut prefix = config.prefix.clone();
        if !prefix.is_empty() && !prefix.ends_with('/') {
            prefix.push('/');
        }
        let public_url = config.public_url_prefix.as_ref();
        Ok(Self {
            bucket,
            prefix,
            public_url: public_url.map(|url| url.trim_end_matches('/').to_owned()),
            access_key: config.access_key_env.clone(),
            secret_key: config.secret_key_env.clone(),
            upstream,
        })
    }

    /// Stores a file; gives its name and size.
    pub(super) async fn put(
        &self,
        runtime: &Runtime,
        bytes: Bytes,
        kind: Kind,
        limit: Duration,
    ) -> Result<(Key, u64)> {
        let (bytes, hash) = hashed(bytes).await?;
        let key = Key::new(&hash, kind);
        let size = bytes.len() as u64;
        let sent = tokio::time::timeout(limit, self.send(runtime, bytes, &key)).await;
        sent.map_err(|_| {
            Error::new(ErrorCode::UpstreamTimeout, "The place for files did not answer in time.")
        })??;
        Ok((key, size))
    }

    async fn send(&self, runtime: &Runtime, bytes: Bytes, key: &Key) -> Result<()> {
        let credentials = self.credentials(runtime)?;
        let object = self.object(key);
        let mut put = self.bucket.put_object(Some(&credentials), &object);
        let mut request = Request::put("/").body(bytes.clone()).map_err(Error::internal)?;
        let mut headers = vec![
            (CONTENT_TYPE, key.kind().media_type),
            (CACHE_CONTROL, "public, max-age=31536000, immutable"),
        ];
        if key.kind().may_hold_scripts() {
            // No policy of ours goes with it there: browsers save it.
            headers.push((CONTENT_DISPOSITION, "attachment"));
        }
        for (name, value) in headers {
            put.headers_mut().insert(name.as_str().to_owned(), value);
            request.headers_mut().insert(name, HeaderValue::from_static(value));
        }
        request.headers_mut().insert(CONTENT_LENGTH, HeaderValue::from(bytes.len()));
        let url = put.sign_with_time(REQUEST_TTL, &now(runtime)?);
        *request.uri_mut() = url.as_str().parse().map_err(Error::internal)?;
        let answer = self.upstream.send(request).await;
        let answer = answer.map_err(|failure| unusable(format!("{failure:?}")))?;
        let status = answer.status();
        let body = Limited::new(answer.into_body(), MAX_REFUSAL).collect().await;
        if status.is_success() {
            return Ok(());
        }
        let text = body.map(|body| body.to_bytes()).unwrap_or_default();
        Err(unusable(Refused { status, code: code_of(&String::from_utf8_lossy(&text)) }))
    }

    /// A file as a whole.
    pub(super) async fn get(&self, runtime: &Runtime, stored: &Stored, most: u64) -> Result<Bytes> {
        let credentials = self.credentials(runtime)?;
        let object = self.object(&stored.key);
        let get = self.bucket.get_object(Some(&credentials), &object);
        let url = get.sign_with_time(REQUEST_TTL, &now(runtime)?);
        let request = Request::get(url.as_str()).body(Bytes::new()).map_err(Error::internal)?;
        let answer = self.upstream.send(request).await;
        let answer = answer.map_err(|failure| not_given(format!("{failure:?}")))?;
        let status = answer.status();
        if status == StatusCode::NOT_FOUND {
            return Err(Error::new(ErrorCode::NotFound, "The file is not kept any more."));
        }
        let most = if status.is_success() {
            usize::try_from(most).unwrap_or(usize::MAX)
        } else {
            MAX_REFUSAL
        };
        let body = Limited::new(answer.into_body(), most).collect().await.map_err(not_given)?;
        let bytes = body.to_bytes();
        if status.is_success() {
            return Ok(bytes);
        }
        Err(not_given(Refused { status, code: code_of(&String::from_utf8_lossy(&bytes)) }))
    }

    /// A link to a file.
    pub(super) fn url(&self, runtime: &Runtime, stored: &Stored, ttl: Duration) -> Result<String> {
        let object = self.object(&stored.key);
        if let Some(public) = &self.public_url {
            return Ok(format!("{public}/{object}"));
        }
        let credentials = self.credentials(runtime)?;
        let mut get = self.bucket.get_object(Some(&credentials), &object);
        if let Some(name) = &stored.filename
            && !stored.key.kind().may_hold_scripts()
        {
            let disposition = link::disposition(&stored.key, Some(name));
            get.query_mut().insert("response-content-disposition", disposition);
        }
        Ok(get.sign_with_time(ttl, &now(runtime)?).into())
    }

    /// Whether a URL leads to a file of ours.
    pub(super) fn owns(&self, url: &str) -> bool {
        let base = self.bucket.base_url().as_str().trim_end_matches('/');
        [Some(base), self.public_url.as_deref()].into_iter().flatten().any(|base| {
            let object = url.strip_prefix(base).and_then(|rest| rest.strip_prefix('/'));
            let name = object.and_then(|object| object.strip_prefix(&self.prefix));
            let name = name.and_then(|name| name.split('?').next());
            name.is_some_and(|name| name.parse::<Key>().is_ok())
        })
    }

    pub(super) fn env_requirements(&self) -> Vec<EnvRequirement> {
        let keys = [
            (&self.access_key, "The id of the S3 access key that stores generated files."),
            (&self.secret_key, "The secret of the S3 access key that stores generated files."),
        ];
        let needed = |(key, description): (&String, &str)| EnvRequirement {
            key: key.clone(),
            description: description.to_owned(),
            required: true,
        };
        keys.map(needed).to_vec()
    }

    fn object(&self, key: &Key) -> String {
        format!("{}{key}", self.prefix)
    }

    fn credentials(&self, runtime: &Runtime) -> Result<Credentials> {
        let snapshot = runtime.snapshot();
        let read = |key: &str| snapshot.env().get(key).ok_or_else(|| Error::missing_config(key));
        let (id, secret) = (read(&self.access_key)?, read(&self.secret_key)?);
        Ok(Credentials::new(id.expose().trim(), secret.expose().trim()))
    }
}

/// The hash of some bytes, made where no task waits for it.
async fn hashed(bytes: Bytes) -> Result<(Bytes, sha2::digest::Output<Sha256>)> {
    let size = bytes.len();
    let work = move || {
        let hash = Sha256::digest(&bytes);
        (bytes, hash)
    };
    heavy(size, work).await
}

fn now(runtime: &Runtime) -> Result<Timestamp> {
    Timestamp::from_millisecond(runtime.clock().now().millis()).map_err(Error::internal)
}

/// What a caller hears when the bucket cannot be used; the cause is the operator's.
fn unusable(cause: impl Into<Box<dyn std::error::Error + Send + Sync>>) -> Error {
    Error::new(ErrorCode::UpstreamError, "The place for files did not take the file.")
        .with_source(cause)
}

/// As [`unusable`], where a file is read.
fn not_given(cause: impl Into<Box<dyn std::error::Error + Send + Sync>>) -> Error {
    Error::new(ErrorCode::UpstreamError, "The place for files did not give the file.")
        .with_source(cause)
}

/// The name of the reason in a refusal of S3, which is XML.
fn code_of(text: &str) -> String {
    let rest = text.split_once("<Code>").map_or("", |(_, rest)| rest);
    let code = rest.split_once("</Code>").map_or("", |(code, _)| code);
    code.chars().filter(char::is_ascii_alphanumeric).take(80).collect()
}
