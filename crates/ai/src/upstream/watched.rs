//! Connections that tell whether a request met one that had already been closed.
//!
//! A provider may close an idle connection at the very moment a request is written to it. Such a
//! request was not looked at, and may be made again. What tells it apart from a provider that fails
//! over this request: the connection had carried an answer before, and not one byte came back.

use std::future::Future;
use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicU8, Ordering};
use std::task::{Context, Poll};

use futures_util::FutureExt as _;
use futures_util::future::BoxFuture;
use http::Uri;
use hyper_util::client::legacy::connect::{Connected, Connection};
use hyper_util::rt::TokioIo;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tower::Service;

/// Nothing has arrived yet.
const FRESH: u8 = 0;
/// The last that happened: bytes arrived.
const ANSWERED: u8 = 1;
/// The last that happened: bytes were written, after others had arrived.
const ASKED_AGAIN: u8 = 2;

/// What happened on a connection.
#[derive(Clone, Debug)]
pub(super) struct Course(Arc<AtomicU8>);

impl Course {
    fn new() -> Self {
        Self(Arc::new(AtomicU8::new(FRESH)))
    }

    /// Whether the connection was used before and the last request on it met only silence.
    pub(super) fn is_silent_again(&self) -> bool {
        self.0.load(Ordering::Acquire) == ASKED_AGAIN
    }

    fn read(&self) {
        self.0.store(ANSWERED, Ordering::Release);
    }

    fn written(&self) {
        let (from, to) = (ANSWERED, ASKED_AGAIN);
        // Fails where nothing has arrived yet, or more is written of the same request.
        let _ = self.0.compare_exchange(from, to, Ordering::AcqRel, Ordering::Acquire);
    }
}

/// A connector whose connections carry a [`Course`].
#[derive(Clone)]
pub(super) struct Watching<C>(pub(super) C);

impl<C> Service<Uri> for Watching<C>
where
    C: Service<Uri>,
    C::Future: Future<Output = Result<C::Response, C::Error>> + Send + 'static,
{
    type Response = TokioIo<Watched<TokioIo<C::Response>>>;
    type Error = C::Error;
    type Future = BoxFuture<'static, Result<Self::Response, Self::Error>>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), C::Error>> {
        self.0.poll_ready(cx)
    }

    fn call(&mut self, uri: Uri) -> Self::Future {
        let connection = self.0.call(uri);
        let watched = |inner| Watched { inner: TokioIo::new(inner), course: Course::new() };
        connection.map(move |made| made.map(|inner| TokioIo::new(watched(inner)))).boxed()
    }
}

/// A connection that notes its course.
pub(super) struct Watched<T> {
    inner: T,
    course: Course,
}

impl<T: Connection> Connection for Watched<T> {
    fn connected(&self) -> Connected {
        self.inner.connected().extra(self.course.clone())
    }
}

impl<T: AsyncRead + Unpin> AsyncRead for Watched<T> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let before = buffer.filled().len();
        let read = Pin::new(&mut self.inner).poll_read(cx, buffer);
        if buffer.filled().len() > before {
            self.course.read();
        }
        read
    }
}

impl<T: AsyncWrite + Unpin> AsyncWrite for Watched<T> {
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        self.course.written();
        Pin::new(&mut self.inner).poll_write(cx, bytes)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.inner).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.inner).poll_shutdown(cx)
    }

    fn is_write_vectored(&self) -> bool {
        self.inner.is_write_vectored()
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bytes: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        self.course.written();
        Pin::new(&mut self.inner).poll_write_vectored(cx, bytes)
    }
}
