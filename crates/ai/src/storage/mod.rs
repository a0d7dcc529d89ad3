//! Where generated files live: a directory that the Federation serves, or a bucket of S3.
//!
//! A file is called by what it holds, so that the same file is stored once, whoever makes it.
//! What is kept of a file elsewhere, such as in the row of a job, is its [`Stored`]; links are made when
//! somebody asks, because they end.

mod forget;
mod get;
pub(crate) mod guard;
mod key;
mod link;
mod local;
mod range;
mod s3;
mod serve;
#[cfg(test)]
mod tests;

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use downcity_core::{Call, Error, Result, Runtime, is_loopback, public_url};
use downcity_types::{EnvRequirement, ErrorCode};
use serde::{Deserialize, Serialize};

pub(crate) use self::key::Key;

use self::guard::{Download, Fault, Guard, Limits};
use self::key::Kind;
use self::link::Terms;
use self::local::Incoming;
use self::s3::Bucket;
use crate::config::{Problem, StorageConfig, StorageKind};
use crate::failure::Failure;
use crate::files::{HEAD, Wanted};
use crate::upstream::HyperUpstream;

/// Stores files and makes links to them.
pub(crate) struct Storage {
    /// `None` = the default, see [`Storage::dir`].
    dir: Option<PathBuf>,
    /// Where new files go in place of the directory.
    bucket: Option<Bucket>,
    guard: Guard,
    limits: Limits,
    url_ttl: Duration,
    patience: Duration,
    kept: Option<Duration>,
}

/// A file that is stored.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Stored {
    /// What it is called.
    pub(crate) key: Key,
    /// What it is: the usual name of its type.
    pub(crate) media_type: String,
    /// Bytes.
    pub(crate) size: u64,
    /// The name under which browsers save it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) filename: Option<String>,
}

/// A file that somebody else has.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Source<'a> {
    /// Its address.
    pub(crate) url: &'a str,
    /// What is said of its type; counts where the server says nothing.
    pub(crate) media_type: Option<&'a str>,
    /// Its name.
    pub(crate) filename: Option<&'a str>,
    /// What its bytes have to be, `image` or `video`; its type is then what they show.
    pub(crate) kind: Option<&'static str>,
}

impl Storage {
    /// The storage of a configuration. S3 is asked through `upstream`.
    ///
    /// # Errors
    /// What is wrong with the configuration.
    pub(crate) fn new(
        config: &StorageConfig,
        upstream: &Arc<HyperUpstream>,
    ) -> Result<Self, Problem> {
        let bucket = match config.kind {
            StorageKind::Local => None,
            StorageKind::S3 => Some(Bucket::new(config, upstream.clone())?),
        };
        Ok(Self {
            dir: config.dir.clone(),
            bucket,
            guard: Guard::new(upstream.tls().clone(), config.download.allow_private),
            limits: Limits {
                max_bytes: config.max_bytes,
                timeout: Duration::from_millis(config.download.timeout_ms),
                types: config.download.types.clone(),
            },
            url_ttl: Duration::from_millis(config.url_ttl_ms),
            patience: Duration::from_millis(config.download.all_timeout_ms),
            kept: config.keep_days.map(|days| Duration::from_secs(u64::from(days) * 24 * 3_600)),
        })
    }

    /// Stores a file of this media type. The name matters where somebody saves the file, and for its
    /// type where `media_type` says nothing.
    ///
    /// # Errors
    /// 413 when it is too large, 507 when the disk is full, 500 `missing_config` where there is no
    /// place for files, otherwise those of the place.
    pub(crate) async fn put(
        &self,
        runtime: &Runtime,
        bytes: Bytes,
        media_type: &str,
        filename: Option<&str>,
    ) -> Result<Stored> {
        if bytes.len() as u64 > self.limits.max_bytes {
            return Err(self.too_large());
        }
        let kind = Kind::of(media_type, filename);
        let (key, size) = match &self.bucket {
            Some(bucket) => bucket.put(runtime, bytes, kind, self.limits.timeout).await?,
            None => {
                let mut file = self.begin(runtime).await?;
                file.write(&bytes).await.map_err(local::failed)?;
                file.finish(kind).await.map_err(local::failed)?
            }
        };
        Ok(stored(key, size, filename))
    }

    /// Downloads a file from where it is and stores it. Only public addresses are asked.
    ///
    /// # Errors
    /// Why it could not be fetched or stored; the sentence of the failure names no address.
    pub(crate) async fn take(
        &self,
        runtime: &Runtime,
        source: Source<'_>,
    ) -> Result<Stored, Failure> {
        let mut download = self.guard.download(source.url, &self.limits).await?;
        let mut head = BytesMut::new();
        let kind = match source.kind {
            None => Kind::of(&download.media_type(source.media_type)?, source.filename),
            Some(kind) => {
                while head.len() < HEAD
                    && let Some(bytes) = download.next().await?
                {
                    head.extend_from_slice(&bytes);
                }
                let wanted = Wanted { kind, types: self.types() };
                let seen = wanted.check(head.get(..HEAD).unwrap_or(&head));
                Kind::of(seen.map_err(Failure::BadFile)?, None)
            }
        };
        let (key, size) = match &self.bucket {
            Some(bucket) => {
                let bytes = whole(head, &mut download).await?;
                let put = bucket.put(runtime, bytes, kind, self.limits.timeout).await;
                put.map_err(Failure::Ours)?
            }
            None => {
                let mut file = self.begin(runtime).await.map_err(Failure::Ours)?;
                let failed = |error| Failure::Ours(local::failed(error));
                file.write(&head).await.map_err(failed)?;
                while let Some(bytes) = download.next().await? {
                    file.write(&bytes).await.map_err(failed)?;
                }
                file.finish(kind).await.map_err(failed)?
            }
        };
        Ok(stored(key, size, source.filename))
    }

    /// Downloads a file that is not to be stored: its bytes and what it is. Only public addresses are
    /// asked.
    ///
    /// # Errors
    /// Why it could not be fetched; it names no address.
    pub(crate) async fn fetch(
        &self,
        url: &str,
        media_type: Option<&str>,
        max_bytes: u64,
    ) -> Result<(Bytes, String), Fault> {
        let limits = Limits { max_bytes, ..self.limits.clone() };
        let mut download = self.guard.download(url, &limits).await?;
        let media_type = download.media_type(media_type)?;
        Ok((whole(BytesMut::new(), &mut download).await?, media_type))
    }

    /// A link to a file, for the client of this call. Where neither `server.public_url` is set nor the
    /// call came to a loopback address, it is a path of this server.
    ///
    /// # Errors
    /// 500 `missing_config` when a key of S3 is not set.
    pub(crate) fn url(&self, call: &Call, stored: &Stored) -> Result<String> {
        let runtime = call.runtime();
        if let Some(bucket) = &self.bucket {
            return bucket.url(runtime, stored, self.url_ttl);
        }
        let ttl = i64::try_from(self.url_ttl.as_secs()).unwrap_or(i64::MAX);
        let expires = runtime.clock().now_seconds().saturating_add(ttl);
        let terms = Terms { expires, name: stored.filename.as_deref() };
        let origin = public_url(call).unwrap_or_default();
        Ok(origin + &link::signed(runtime, &stored.key, terms))
    }

    /// Whether the address of a file may be passed on: it leads to the public internet, for all that is
    /// known here.
    pub(crate) async fn is_public(&self, url: &str) -> bool {
        self.guard.is_public(url).await
    }

    /// The media types that are taken; `image/*` is every image.
    pub(crate) fn types(&self) -> &[String] {
        &self.limits.types
    }

    /// How long all files of one answer may take to be stored.
    pub(crate) fn patience(&self) -> Duration {
        self.patience
    }

    /// For how long files are kept; `None` = for ever.
    pub(crate) fn kept(&self) -> Option<Duration> {
        self.kept
    }

    /// Whether a URL leads to a stored file, so that it need not be stored again.
    pub(crate) fn owns(&self, runtime: &Runtime, url: &str) -> bool {
        if self.bucket.as_ref().is_some_and(|bucket| bucket.owns(url)) {
            return true;
        }
        let path = match &runtime.settings().public_url {
            _ if url.starts_with('/') => Some(url),
            Some(origin) => url.strip_prefix(origin.trim_end_matches('/')),
            None => url.strip_prefix("http://").and_then(|rest| {
                let (authority, _) = rest.split_once('/')?;
                is_loopback(authority).then(|| &rest[authority.len()..])
            }),
        };
        let name = path.and_then(|path| path.strip_prefix(link::PATH));
        name.and_then(|name| name.split('?').next()).is_some_and(|key| key.parse::<Key>().is_ok())
    }

    /// The env keys that are read.
    pub(crate) fn env_requirements(&self) -> Vec<EnvRequirement> {
        self.bucket.as_ref().map(Bucket::env_requirements).unwrap_or_default()
    }

    /// A new file of the directory.
    async fn begin(&self, runtime: &Runtime) -> Result<Incoming> {
        let Some(dir) = self.dir(runtime) else {
            return Err(Error::new(ErrorCode::MissingConfig, "There is no place for files.")
                .with_fix("Set ai.storage.dir to a directory that all nodes share, or use S3."));
        };
        let now = runtime.clock().now();
        Incoming::begin(&dir, runtime.ids(), now).await.map_err(local::failed)
    }

    fn too_large(&self) -> Error {
        let most = self.limits.max_bytes;
        let message = format!("The file is larger than the {most} bytes that are stored.");
        Error::new(ErrorCode::PayloadTooLarge, message)
    }
}

fn stored(key: Key, size: u64, filename: Option<&str>) -> Stored {
    let media_type = key.kind().media_type.to_owned();
    Stored { key, media_type, size, filename: filename.and_then(link::clean_name) }
}

/// A download as a whole, after its first bytes.
async fn whole(mut bytes: BytesMut, download: &mut Download) -> Result<Bytes, Fault> {
    while let Some(piece) = download.next().await? {
        bytes.extend_from_slice(&piece);
    }
    Ok(bytes.freeze())
}
