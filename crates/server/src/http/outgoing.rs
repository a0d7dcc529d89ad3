//! The way out: bodies of answers, and the bytes of a connection.

use std::future::Future as _;
use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use bytes::Bytes;
use downcity_core::{Body, BoxError};
use http_body::{Frame, SizeHint};
use hyper::rt::{Read, ReadBufCursor, Write};
use hyper_util::rt::TokioIo;
use tokio::net::TcpStream;
use tokio::time::Sleep;

use super::activity::{Activity, Busy, Followed};

/// The most bytes of an answer that are handed to HTTP/2 at a time, whose library keeps them until
/// the client has room for them.
const PIECE: usize = 16 * 1024;

/// The body of an answer; its request is under way until it ends.
pub(crate) enum Outgoing {
    /// Of HTTP/1: the socket shows whether the client reads.
    Plain { body: Body, _busy: Busy },
    /// Of HTTP/2: each stream has a window of its own, so a client may read one and stall another.
    Followed { body: Body, rest: Bytes, followed: Followed },
}

impl Outgoing {
    pub(crate) fn new(body: Body, busy: Busy, is_http2: bool) -> Self {
        if is_http2 {
            Self::Followed { body, rest: Bytes::new(), followed: busy.follow() }
        } else {
            Self::Plain { body, _busy: busy }
        }
    }
}

impl http_body::Body for Outgoing {
    type Data = Bytes;
    type Error = BoxError;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, BoxError>>> {
        let (body, rest, followed) = match &mut *self {
            Self::Plain { body, .. } => return Pin::new(body).poll_frame(cx),
            Self::Followed { body, rest, followed } => (body, rest, followed),
        };
        followed.wanted();
        if rest.is_empty() {
            let frame = match ready!(Pin::new(body).poll_frame(cx)) {
                Some(Ok(frame)) => frame,
                other => return Poll::Ready(other),
            };
            match frame.into_data() {
                Ok(data) => *rest = data,
                Err(frame) => return Poll::Ready(Some(Ok(frame))),
            }
        }
        let piece = rest.split_to(rest.len().min(PIECE));
        followed.handed_over();
        Poll::Ready(Some(Ok(Frame::data(piece))))
    }

    fn is_end_stream(&self) -> bool {
        match self {
            Self::Plain { body, .. } => body.is_end_stream(),
            Self::Followed { body, rest, .. } => rest.is_empty() && body.is_end_stream(),
        }
    }

    fn size_hint(&self) -> SizeHint {
        match self {
            Self::Plain { body, .. } => body.size_hint(),
            Self::Followed { body, rest, .. } => {
                let mut hint = body.size_hint();
                let more = rest.len() as u64;
                if let Some(upper) = hint.upper() {
                    hint.set_upper(upper + more);
                }
                hint.set_lower(hint.lower() + more);
                hint
            }
        }
    }
}

/// The socket of a connection, which fails when the client does not take bytes for too long.
pub(crate) struct Patient {
    stream: TokioIo<TcpStream>,
    activity: Arc<Activity>,
    patience: Duration,
    /// Runs while bytes wait.
    deadline: Option<Pin<Box<Sleep>>>,
}

impl Patient {
    pub(crate) fn new(stream: TcpStream, activity: Arc<Activity>, patience: Duration) -> Self {
        Self { stream: TokioIo::new(stream), activity, patience, deadline: None }
    }

    /// A write as its socket answered it, or its failure when the socket has waited for too long.
    fn written(
        &mut self,
        cx: &mut Context<'_>,
        written: Poll<io::Result<usize>>,
    ) -> Poll<io::Result<usize>> {
        if written.is_ready() {
            if self.deadline.take().is_some() {
                self.activity.set_unwritten(false);
            }
            return written;
        }
        self.activity.set_unwritten(true);
        let patience = self.patience;
        let deadline = self.deadline.get_or_insert_with(|| Box::pin(tokio::time::sleep(patience)));
        ready!(deadline.as_mut().poll(cx));
        self.activity.give_up();
        Poll::Ready(Err(io::Error::new(io::ErrorKind::TimedOut, "the client does not read")))
    }
}

impl Read for Patient {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffer: ReadBufCursor<'_>,
    ) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_read(cx, buffer)
    }
}

impl Write for Patient {
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        let written = Pin::new(&mut self.stream).poll_write(cx, bytes);
        self.written(cx, written)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        parts: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let written = Pin::new(&mut self.stream).poll_write_vectored(cx, parts);
        self.written(cx, written)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(cx)
    }
}
