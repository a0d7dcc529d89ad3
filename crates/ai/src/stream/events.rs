//! The server-sent events of a provider, with a limit on the size of one.

use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::task::{Context, Poll, ready};

use bytes::Bytes;
use downcity_core::{Body, BoxError};
use futures_util::Stream;
use sse_stream::SseByteStream;

use crate::failure::Failure;

/// The most bytes of one event.
pub(crate) const MAX_EVENT: usize = 8 * 1024 * 1024;
/// Larger pieces are handed to the parser in parts, so that the bytes between two events are
/// counted well.
const PIECE: usize = 64 * 1024;

/// The data of each event of a body; anything else in the stream is skipped.
pub(crate) struct Events {
    parser: SseByteStream<Counted>,
    since_event: Arc<AtomicUsize>,
    received: Arc<AtomicUsize>,
    noticed: usize,
    has_event: bool,
}

/// The bytes of a body, counted since the last complete event.
struct Counted {
    body: Body,
    piece: Bytes,
    since_event: Arc<AtomicUsize>,
    received: Arc<AtomicUsize>,
}

/// Why the bytes ended early.
#[derive(Debug, thiserror::Error)]
enum ReadError {
    #[error("an event is longer than {MAX_EVENT} bytes")]
    TooLarge,
    #[error("the connection broke")]
    Broken(#[source] BoxError),
}

impl Events {
    pub(crate) fn new(body: Body) -> Self {
        let since_event = Arc::new(AtomicUsize::new(0));
        let received = Arc::new(AtomicUsize::new(0));
        let counted = Counted {
            body,
            piece: Bytes::new(),
            since_event: since_event.clone(),
            received: received.clone(),
        };
        let parser = SseByteStream::new(counted);
        Self { parser, since_event, received, noticed: 0, has_event: false }
    }

    /// Whether bytes have arrived since this was asked last, be they comments or half of an event.
    pub(crate) fn has_moved(&mut self) -> bool {
        let received = self.received.load(Ordering::Relaxed);
        std::mem::replace(&mut self.noticed, received) != received
    }

    /// Whether anything has arrived.
    pub(crate) fn has_begun(&self) -> bool {
        self.has_event || self.since_event.load(Ordering::Relaxed) > 0
    }

    /// The data of the next event; `None` at the end. After a failure nothing follows.
    pub(crate) fn poll_next(
        &mut self,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<String, Failure>>> {
        loop {
            match ready!(Pin::new(&mut self.parser).poll_next(cx)) {
                None => return Poll::Ready(None),
                Some(Ok(event)) => {
                    self.has_event = true;
                    self.since_event.store(0, Ordering::Relaxed);
                    if let Some(data) = event.data {
                        return Poll::Ready(Some(Ok(data)));
                    }
                }
                Some(Err(error)) => return Poll::Ready(Some(Err(failure(error)))),
            }
        }
    }
}

fn failure(error: sse_stream::Error) -> Failure {
    match error {
        sse_stream::Error::Body(cause) => match cause.downcast::<ReadError>() {
            Ok(cause) if matches!(*cause, ReadError::TooLarge) => {
                Failure::Unreadable(cause.to_string())
            }
            Ok(cause) => Failure::Broken(cause),
            Err(cause) => Failure::Broken(cause),
        },
        _ => Failure::Unreadable("not a stream of events".to_owned()),
    }
}

impl Stream for Counted {
    type Item = Result<Bytes, ReadError>;

    fn poll_next(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        let this = &mut *self;
        while this.piece.is_empty() {
            match ready!(http_body::Body::poll_frame(Pin::new(&mut this.body), cx)) {
                None => return Poll::Ready(None),
                Some(Err(error)) => return Poll::Ready(Some(Err(ReadError::Broken(error)))),
                Some(Ok(frame)) => {
                    this.piece = frame.into_data().unwrap_or_default();
                    this.received.fetch_add(this.piece.len(), Ordering::Relaxed);
                }
            }
        }
        let part = this.piece.split_to(this.piece.len().min(PIECE));
        let before = this.since_event.fetch_add(part.len(), Ordering::Relaxed);
        if before + part.len() > MAX_EVENT {
            return Poll::Ready(Some(Err(ReadError::TooLarge)));
        }
        Poll::Ready(Some(Ok(part)))
    }
}
