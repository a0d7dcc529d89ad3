//! The answer of `ai/stream`, chunk by chunk.

mod events;
mod fold;
#[cfg(test)]
mod tests;

use std::pin::Pin;
use std::task::{Context, Poll, ready};

use downcity_types::{UiChunk, UiMessage};
use futures_util::{Stream, StreamExt as _};
use serde_json::Value;

use self::events::Events;
use self::fold::Fold;
use crate::inner::ByteStream;
use crate::{Error, Result};

/// The most bytes of one event, unless [`ChunkStream::max_event_bytes`] says otherwise. Files come
/// inline, as data URLs.
const MAX_EVENT: usize = 8 * 1024 * 1024;

/// The chunks of a message on its way, as a [`Stream`].
///
/// Keep-alives and the mark of the end are no chunks. After an `Err` the stream is over. Dropping the
/// stream closes the connection, and the Federation tells the provider to stop.
///
/// A failure that the Federation tells of is a chunk, [`UiChunk::Error`], and `finish` follows; an
/// `Err` is a connection that broke or an answer that cannot be read.
///
/// # Errors
/// [`Error::Transport`] or [`Error::Timeout`] where the connection breaks, [`Error::Decode`] for an
/// event that is no JSON, [`Error::Stream`] for bytes that are no events or an event that is too long.
#[must_use = "a stream does nothing until it is read"]
pub struct ChunkStream {
    events: Events,
    has_ended: bool,
}

/// One chunk of a [`ChunkStream`].
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
#[expect(clippy::large_enum_variant, reason = "nearly all chunks are known")]
pub enum UiMessageChunk {
    /// A chunk of a type that this crate knows.
    Known(UiChunk),
    /// A chunk of another type or shape, as it came: newer servers may send them.
    Unknown(Value),
}

impl UiMessageChunk {
    /// The chunk, if its type is known.
    #[must_use]
    pub fn known(&self) -> Option<&UiChunk> {
        match self {
            Self::Known(chunk) => Some(chunk),
            Self::Unknown(_) => None,
        }
    }

    /// The text that the chunk appends, if it is a `text-delta`.
    #[must_use]
    pub fn text_delta(&self) -> Option<&str> {
        match self {
            Self::Known(UiChunk::TextDelta { delta, .. }) => Some(delta),
            _ => None,
        }
    }

    fn read(data: String) -> Result<Self> {
        if let Ok(chunk) = serde_json::from_str(&data) {
            return Ok(Self::Known(chunk));
        }
        match serde_json::from_str(&data) {
            Ok(value) => Ok(Self::Unknown(value)),
            Err(source) => Err(Error::Decode { source, body: data }),
        }
    }
}

impl ChunkStream {
    pub(crate) fn new(body: ByteStream) -> Self {
        Self { events: Events::new(body, MAX_EVENT), has_ended: false }
    }

    /// Changes the most bytes that one event may have: 8 MiB at first. A longer one ends the stream
    /// with [`Error::Stream`].
    pub fn max_event_bytes(self, bytes: usize) -> Self {
        self.events.set_most(bytes);
        self
    }

    /// Reads the whole stream into one message, as [`Ai::text`](crate::Ai::text) answers it.
    ///
    /// Chunks of unknown types and transient data are left out.
    ///
    /// # Errors
    /// [`Error::Stream`] for an `error` or `abort` chunk, [`Error::StreamTruncated`] where the stream
    /// ends before its `finish`, and the errors of the stream itself.
    pub async fn collect_message(mut self) -> Result<UiMessage> {
        let mut fold = Fold::default();
        while let Some(chunk) = self.next().await {
            fold.push(chunk?)?;
        }
        fold.end()
    }

    /// The texts as they come, for showing an answer while it is written.
    ///
    /// # Errors
    /// Since nobody sees the other chunks, they are told as [`collect_message`](Self::collect_message)
    /// tells them: an `error` or `abort` chunk as [`Error::Stream`], an end before `finish` as
    /// [`Error::StreamTruncated`]. Nothing follows after an error.
    pub fn text_deltas(self) -> TextDeltas {
        TextDeltas { chunks: self, is_finished: false, has_ended: false }
    }
}

/// The texts of a [`ChunkStream`]: [`ChunkStream::text_deltas`].
#[derive(Debug)]
#[must_use = "a stream does nothing until it is read"]
pub struct TextDeltas {
    chunks: ChunkStream,
    is_finished: bool,
    has_ended: bool,
}

impl Stream for TextDeltas {
    type Item = Result<String>;

    fn poll_next(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        while !self.has_ended {
            let chunk = ready!(Pin::new(&mut self.chunks).poll_next(cx)).transpose();
            let error = match chunk.and_then(|chunk| {
                self.is_finished |= chunk.as_ref().map_or(Ok(false), fold::is_finish)?;
                Ok(chunk)
            }) {
                Ok(Some(UiMessageChunk::Known(UiChunk::TextDelta { delta, .. }))) => {
                    return Poll::Ready(Some(Ok(delta)));
                }
                Ok(Some(_)) => continue,
                Ok(None) if self.is_finished => None,
                Ok(None) => Some(Error::StreamTruncated),
                Err(error) => Some(error),
            };
            self.has_ended = true;
            return Poll::Ready(error.map(Err));
        }
        Poll::Ready(None)
    }
}

impl Stream for ChunkStream {
    type Item = Result<UiMessageChunk>;

    fn poll_next(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        while !self.has_ended {
            match ready!(self.events.poll_next(cx)) {
                // Older servers keep connections open with empty events.
                Some(Ok(data)) if matches!(data.trim(), "" | "[DONE]") => {}
                Some(Ok(data)) => {
                    let chunk = UiMessageChunk::read(data);
                    self.has_ended = chunk.is_err();
                    return Poll::Ready(Some(chunk));
                }
                Some(Err(error)) => {
                    self.has_ended = true;
                    return Poll::Ready(Some(Err(error)));
                }
                None => self.has_ended = true,
            }
        }
        Poll::Ready(None)
    }
}

impl std::fmt::Debug for ChunkStream {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("ChunkStream").field("has_ended", &self.has_ended).finish_non_exhaustive()
    }
}
