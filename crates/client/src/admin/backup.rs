//! Copies of the database.

use std::fmt;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::Bytes;
use futures_util::Stream;
use reqwest::header::CONTENT_LENGTH;
use serde_json::json;

use crate::inner::ByteStream;
use crate::{Admin, City, Result};

/// How long the making of a copy may take, before its first byte.
const PATIENCE: Duration = Duration::from_hours(24);

/// A copy of a Federation's database, as it comes: the bytes of a SQLite file. It is whole when the
/// stream ends without an error.
#[must_use = "the copy comes while the stream is read"]
pub struct Backup {
    size: Option<u64>,
    bytes: ByteStream,
}

impl Backup {
    /// Size of the copy in bytes, where the server says so.
    #[must_use]
    pub fn size(&self) -> Option<u64> {
        self.size
    }
}

impl Stream for Backup {
    type Item = Result<Bytes>;

    fn poll_next(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        self.bytes.as_mut().poll_next(cx)
    }
}

impl fmt::Debug for Backup {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Backup").field("size", &self.size).finish_non_exhaustive()
    }
}

impl City<Admin> {
    /// Has a copy of the whole database made, as it stands at one moment, and gives it as it comes:
    /// `POST /v1/backup/create`. The making may take minutes, whatever the client's timeout. The master
    /// key is not in it.
    ///
    /// # Errors
    /// 409 while the node makes another one; see [`Error`](crate::Error).
    pub async fn backup(&self) -> Result<Backup> {
        let call = self.inner.post(&["backup", "create"], &json!({}))?.within(PATIENCE);
        let (headers, bytes) = self.inner.download(call).await?;
        let size = headers.get(CONTENT_LENGTH).and_then(|size| size.to_str().ok()?.parse().ok());
        Ok(Backup { size, bytes })
    }
}
