//! The server-sent events of a body, with a limit on the size of one.

use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::task::{Context, Poll, ready};

use bytes::Bytes;
use futures_util::Stream;
use sse_stream::SseByteStream;

use crate::inner::ByteStream;
use crate::{Error, Result};

/// Larger pieces are handed to the parser in parts, so that the bytes between two events are
/// counted well.
const PIECE: usize = 64 * 1024;

/// The data of each event of a body; anything else in the stream is skipped.
pub(super) struct Events {
    parser: SseByteStream<Counted>,
    limit: Limit,
}

/// The bytes since the last complete event, and how many there may be.
#[derive(Clone)]
struct Limit {
    since_event: Arc<AtomicUsize>,
    most: Arc<AtomicUsize>,
}

/// The bytes of a body, counted on their way to the parser.
struct Counted {
    body: ByteStream,
    piece: Bytes,
    limit: Limit,
}

/// Why the bytes ended early.
#[derive(Debug, thiserror::Error)]
enum ReadError {
    #[error("an event is longer than {0} bytes")]
    TooLarge(usize),
    #[error(transparent)]
    Body(Error),
}

impl Events {
    pub(super) fn new(body: ByteStream, most: usize) -> Self {
        let limit = Limit {
            since_event: Arc::new(AtomicUsize::new(0)),
            most: Arc::new(AtomicUsize::new(most)),
        };
        let counted = Counted { body, piece: Bytes::new(), limit: limit.clone() };
        Self { parser: SseByteStream::new(counted), limit }
    }

    /// Changes the most bytes of one event.
    pub(super) fn set_most(&self, most: usize) {
        self.limit.most.store(most, Ordering::Relaxed);
    }

    /// The data of the next event; `None` at the end. After an error nothing follows.
    pub(super) fn poll_next(&mut self, cx: &mut Context<'_>) -> Poll<Option<Result<String>>> {
        loop {
            match ready!(Pin::new(&mut self.parser).poll_next(cx)) {
                None => return Poll::Ready(None),
                Some(Ok(event)) => {
                    self.limit.since_event.store(0, Ordering::Relaxed);
                    let most = self.limit.most.load(Ordering::Relaxed);
                    match event.data {
                        // The first bytes of an event are not counted where they came in one part
                        // with the end of the event before.
                        Some(data) if data.len() > most => {
                            return Poll::Ready(Some(Err(long(most))));
                        }
                        Some(data) => return Poll::Ready(Some(Ok(data))),
                        None => {}
                    }
                }
                Some(Err(error)) => return Poll::Ready(Some(Err(told(error)))),
            }
        }
    }
}

fn long(most: usize) -> Error {
    Error::Stream { error_text: format!("an event of the stream is longer than {most} bytes") }
}

fn told(error: sse_stream::Error) -> Error {
    match error {
        sse_stream::Error::Body(cause) => match cause.downcast::<ReadError>() {
            Ok(cause) => match *cause {
                ReadError::Body(error) => error,
                ReadError::TooLarge(most) => long(most),
            },
            Err(cause) => Error::Stream { error_text: cause.to_string() },
        },
        error => Error::Stream { error_text: format!("not a stream of events: {error}") },
    }
}

impl Stream for Counted {
    type Item = std::result::Result<Bytes, ReadError>;

    fn poll_next(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        let this = &mut *self;
        while this.piece.is_empty() {
            match ready!(this.body.as_mut().poll_next(cx)) {
                None => return Poll::Ready(None),
                Some(Err(error)) => return Poll::Ready(Some(Err(ReadError::Body(error)))),
                Some(Ok(bytes)) => this.piece = bytes,
            }
        }
        let part = this.piece.split_to(this.piece.len().min(PIECE));
        let most = this.limit.most.load(Ordering::Relaxed);
        let before = this.limit.since_event.fetch_add(part.len(), Ordering::Relaxed);
        if before.saturating_add(part.len()) > most {
            return Poll::Ready(Some(Err(ReadError::TooLarge(most))));
        }
        Poll::Ready(Some(Ok(part)))
    }
}
