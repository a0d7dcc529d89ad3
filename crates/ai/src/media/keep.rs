//! The files of an answer: decoded, looked at, and stored.
//!
//! What is no file of the kind that was asked for makes the whole answer worthless: nobody is shown
//! it, and nobody pays for it.

use bytes::Bytes;
use downcity_core::Cx;
use downcity_types::{FilePart, UiPart};
use futures_util::{StreamExt as _, TryStreamExt as _, stream};
use serde_json::Value;
use tokio::time::{Instant, timeout_at};

use super::answer::{Given, MediaAnswer};
use crate::catalog::Catalog;
use crate::config::Mode;
use crate::failure::Failure;
use crate::files::{self, BadFile, HEAD, Wanted, decoded, extension};
use crate::heavy::heavy;
use crate::storage::{Source, Storage, Stored};

/// How many files of an answer are stored at once.
const AT_ONCE: usize = 4;

/// What was made, as it is kept.
#[derive(Debug)]
pub(super) struct Kept {
    /// The files.
    pub(super) parts: Vec<UiPart>,
    /// Of each of them, what is stored here.
    pub(super) files: Vec<Option<Stored>>,
    /// What it consumed, in the provider's words.
    pub(super) usage: Option<Value>,
    /// Seconds of video in all.
    pub(super) seconds: Option<f64>,
}

/// A file that is not stored yet.
struct Opened {
    body: Content,
    /// Of bytes what they are, of an address what is said of it.
    media_type: String,
    filename: Option<String>,
    /// Its place among the files of the answer, from 1.
    number: usize,
}

enum Content {
    Bytes(Bytes),
    Url(String),
}

impl Kept {
    /// Decodes and stores the files of an answer. One that is good and cannot be stored stays what it
    /// is: its bytes, or its public address.
    ///
    /// # Errors
    /// [`Failure::BadFile`] when one of them is none of the kind that was asked for.
    pub(super) async fn of(
        cx: &Cx,
        catalog: &Catalog,
        mode: Mode,
        mut answer: MediaAnswer,
    ) -> Result<Self, Failure> {
        let (usage, seconds) = (answer.usage.take(), answer.seconds);
        let (size, given) = (answer.size(), answer.into_files(mode));
        let types = catalog.storage.types().to_vec();
        let opened = heavy(size, move || {
            let wanted = Wanted { kind: mode.as_str(), types: &types };
            let given = given.into_iter().enumerate();
            given.map(|(at, one)| Opened::of(one, at, wanted)).collect::<Result<Vec<_>, _>>()
        });
        let opened = opened.await.map_err(Failure::Ours)?.map_err(Failure::BadFile)?;
        let deadline = Instant::now() + catalog.storage.patience();
        let kept = stream::iter(opened).map(|file| file.kept(cx, &catalog.storage, mode, deadline));
        let kept: Vec<_> = kept.buffered(AT_ONCE).try_collect().await.map_err(Failure::BadFile)?;
        let (parts, files) = kept.into_iter().unzip();
        Ok(Self { parts, files, usage, seconds })
    }
}

impl Opened {
    fn of(given: Given, at: usize, wanted: Wanted<'_>) -> Result<Self, BadFile> {
        let (body, media_type) = match given.url {
            Some(url) if !url.starts_with("data:") => (Content::Url(url), given.media_type),
            inline => {
                let text = given.base64.or(inline).unwrap_or_default();
                let bytes = decoded(&text).ok_or(BadFile::Undecodable)?;
                let kind = wanted.check(bytes.get(..HEAD).unwrap_or(&bytes))?;
                (Content::Bytes(bytes.into()), kind.to_owned())
            }
        };
        Ok(Self { body, media_type, filename: given.filename, number: at + 1 })
    }

    /// Stores the file, and gives it as a part of a message.
    async fn kept(
        self,
        cx: &Cx,
        storage: &Storage,
        mode: Mode,
        deadline: Instant,
    ) -> Result<(UiPart, Option<Stored>), BadFile> {
        let Self { body, media_type, filename, number } = self;
        let named = |media_type: &str| {
            let name = || format!("{}-{number}.{}", mode.as_str(), extension(media_type));
            Some(filename.clone().unwrap_or_else(name))
        };
        let part = |media_type: String, url: String| {
            let filename = named(&media_type);
            UiPart::File(FilePart { media_type, url, filename, ..FilePart::default() })
        };
        let stored = match &body {
            Content::Url(url) if storage.owns(cx.runtime(), url) => {
                return Ok((part(media_type, url.clone()), None));
            }
            Content::Url(url) => {
                let source = Source {
                    url,
                    media_type: Some(&media_type),
                    filename: filename.as_deref(),
                    kind: Some(mode.as_str()),
                };
                match timeout_at(deadline, storage.take(cx.runtime(), source)).await {
                    Ok(Err(Failure::BadFile(bad))) => return Err(bad),
                    taken => taken.unwrap_or(Err(Failure::TimedOut)),
                }
            }
            Content::Bytes(bytes) => {
                let name = filename.as_deref();
                let put = storage.put(cx.runtime(), bytes.clone(), &media_type, name);
                let put = timeout_at(deadline, put).await.map_err(|_| Failure::TimedOut);
                put.and_then(|put| put.map_err(Failure::Ours))
            }
        };
        let failure = match stored {
            Ok(mut stored) => {
                stored.filename = stored.filename.or_else(|| named(&stored.media_type));
                return Ok((part(stored.media_type.clone(), String::new()), Some(stored)));
            }
            Err(failure) => failure,
        };
        tracing::warn!(
            request_id = cx.request_id(),
            error = failure.sentence(),
            "a file could not be stored"
        );
        let url = match body {
            Content::Url(url) if storage.is_public(&url).await => url,
            Content::Url(_) => return Err(BadFile::Private),
            Content::Bytes(bytes) => {
                files::written(media_type.clone(), bytes).await.map_err(|_| BadFile::Undecodable)?
            }
        };
        Ok((part(media_type, url), None))
    }
}
