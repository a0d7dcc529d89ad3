//! `GET /v1/ai/files/{key}`: a file of the directory, for whoever has a link to it.

use std::io::SeekFrom;
use std::sync::Arc;

use downcity_core::{Body, Cx, Error, Reply, Result};
use downcity_types::ErrorCode;
use http::header::{
    ACCEPT_RANGES, CACHE_CONTROL, CONTENT_DISPOSITION, CONTENT_LENGTH, CONTENT_RANGE,
    CONTENT_SECURITY_POLICY, CONTENT_TYPE, ETAG, IF_NONE_MATCH, IF_RANGE, RANGE,
    X_CONTENT_TYPE_OPTIONS,
};
use http::{HeaderMap, HeaderName, HeaderValue, Method, StatusCode};
use schemars::JsonSchema;
use serde::Deserialize;
use tokio::fs::File;
use tokio::io::AsyncSeekExt as _;

use super::key::Key;
use super::link::{self, Terms};
use super::range::{self, Asked};
use super::{Storage, local};
use crate::Ai;

/// Under this policy a file runs no script, also one that can hold them, and sends nothing.
const POLICY: &str = "default-src 'none'; img-src 'self' data:; media-src 'self'; style-src 'unsafe-inline'; sandbox";

/// A link to a file.
#[derive(Deserialize, JsonSchema)]
pub(crate) struct FileIn {
    /// The name of the file.
    key: String,
    /// The second since 1970 at which the link ends.
    expires: Option<String>,
    /// The name under which a browser saves the file.
    name: Option<String>,
    /// The Federation's signature over the rest.
    signature: Option<String>,
}

impl Ai {
    /// Serves a file.
    pub(crate) async fn file(self: Arc<Self>, cx: Cx, input: FileIn) -> Result<Reply> {
        let storage = self.catalog().storage.clone();
        let unknown = || Error::new(ErrorCode::NotFound, "There is no such file.");
        let key: Key = input.key.parse().map_err(|_| unknown())?;
        let expires = input.expires.and_then(|text| text.parse().ok()).unwrap_or(0);
        let terms = Terms { expires, name: input.name.as_deref() };
        link::check(cx.runtime(), &key, terms, input.signature.as_deref())?;
        let Some(dir) = storage.dir(cx.runtime()) else { return Err(unknown()) };
        let opened = local::open(&dir, &key).await.map_err(Error::internal)?;
        let (file, size) = opened.ok_or_else(unknown)?;
        let left = expires.saturating_sub(cx.runtime().clock().now_seconds());
        let mut reply = Reply::new(StatusCode::OK);
        reply.headers = headers(&key, terms.name, left)?;
        answer(reply, &key, file, size, cx.parts()).await
    }
}

impl Storage {
    /// The directory of files; `None` where none is named and there is no place for one.
    pub(super) fn dir(&self, runtime: &downcity_core::Runtime) -> Option<std::path::PathBuf> {
        let beside = || Some(runtime.db().file()?.with_file_name("files"));
        self.dir.clone().or_else(beside)
    }
}

/// What goes with every answer that is about the file.
fn headers(key: &Key, name: Option<&str>, seconds_left: i64) -> Result<HeaderMap> {
    const RESOURCE_POLICY: HeaderName = HeaderName::from_static("cross-origin-resource-policy");
    let text = |text: String| HeaderValue::try_from(text).map_err(Error::internal);
    let media_type = match key.kind().media_type {
        "text/plain" => "text/plain; charset=utf-8",
        other => other,
    };
    let mut headers = HeaderMap::with_capacity(12);
    headers.insert(CONTENT_TYPE, HeaderValue::from_static(media_type));
    headers.insert(CONTENT_DISPOSITION, text(link::disposition(key, name))?);
    // The same name is always the same bytes.
    headers.insert(
        CACHE_CONTROL,
        text(format!("private, max-age={}, immutable", seconds_left.max(0)))?,
    );
    headers.insert(ETAG, text(etag(key))?);
    headers.insert(ACCEPT_RANGES, HeaderValue::from_static("bytes"));
    headers.insert(X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
    headers.insert(CONTENT_SECURITY_POLICY, HeaderValue::from_static(POLICY));
    headers.insert(RESOURCE_POLICY, HeaderValue::from_static("cross-origin"));
    Ok(headers)
}

fn etag(key: &Key) -> String {
    format!("\"{}\"", key.hash())
}

/// The answer to the request's conditions and ranges.
async fn answer(
    mut reply: Reply,
    key: &Key,
    file: File,
    size: u64,
    request: &http::request::Parts,
) -> Result<Reply> {
    let etag = etag(key);
    if request.headers.get(IF_NONE_MATCH).is_some_and(|known| knows(known, &etag)) {
        reply.status = StatusCode::NOT_MODIFIED;
        return Ok(reply);
    }
    // A range of another version would not fit what the client has.
    let is_same = |value: &HeaderValue| value.as_bytes() == etag.as_bytes();
    let wants_part = request.headers.get(IF_RANGE).is_none_or(is_same);
    let range = request.headers.get(RANGE).filter(|_| wants_part);
    let (first, length) = match range::asked(range, size) {
        Asked::Whole => (0, size),
        Asked::Part { first, last } => {
            reply.status = StatusCode::PARTIAL_CONTENT;
            let range = format!("bytes {first}-{last}/{size}");
            let range = HeaderValue::try_from(range).map_err(Error::internal)?;
            reply.headers.insert(CONTENT_RANGE, range);
            (first, last - first + 1)
        }
        Asked::Nothing => {
            let range =
                HeaderValue::try_from(format!("bytes */{size}")).map_err(Error::internal)?;
            let message = format!("The file has {size} bytes; the range lies beyond them.");
            return Err(Error::new(ErrorCode::InvalidInput, message)
                .with_status(StatusCode::RANGE_NOT_SATISFIABLE)
                .with_header(CONTENT_RANGE, range));
        }
    };
    reply.headers.insert(CONTENT_LENGTH, HeaderValue::from(length));
    if request.method != Method::HEAD && length > 0 {
        reply.body = read(file, first, length).await?;
    }
    Ok(reply)
}

/// Whether a list of tags holds this one.
fn knows(known: &HeaderValue, etag: &str) -> bool {
    let known = known.to_str().unwrap_or_default();
    known
        .split(',')
        .map(str::trim)
        .any(|tag| tag == "*" || tag.strip_prefix("W/").unwrap_or(tag) == etag)
}

/// A part of a file, read as the client takes it.
async fn read(mut file: File, first: u64, length: u64) -> Result<Body> {
    if first > 0 {
        file.seek(SeekFrom::Start(first)).await.map_err(Error::internal)?;
    }
    Ok(Body::from_file(file, length, ()))
}
