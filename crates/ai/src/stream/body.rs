//! A streamed answer as a body: what happens at its end, and when its client leaves.

use std::pin::Pin;
use std::task::{Context, Poll};

use bytes::Bytes;
use downcity_core::{Body, BoxError, Cx};
use http_body::{Frame, SizeHint};

use crate::config::OnDisconnect;

/// Where the bytes of a streamed answer come from.
pub(crate) trait Source: Send + Unpin + 'static {
    /// The next bytes; `None` at the end.
    fn poll_next(&mut self, cx: &mut Context<'_>) -> Poll<Option<Result<Bytes, BoxError>>>;

    /// Whether nothing follows.
    fn is_done(&self) -> bool;

    /// How long the answer is, where that is known.
    fn size_hint(&self) -> SizeHint {
        SizeHint::default()
    }
}

/// Hands out a source; when it is dropped early, the source goes with it or is read to its end.
struct StreamBody<S: Source> {
    source: Option<S>,
    /// The call on whose node the rest is read.
    finish: Option<Cx>,
}

/// The body of a streamed answer.
pub(crate) fn stream_body<S: Source>(source: S, cx: &Cx, on_disconnect: OnDisconnect) -> Body {
    let finish = (on_disconnect == OnDisconnect::Finish).then(|| cx.clone());
    Body::Stream(Box::pin(StreamBody { source: Some(source), finish }))
}

impl<S: Source> http_body::Body for StreamBody<S> {
    type Data = Bytes;
    type Error = BoxError;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, BoxError>>> {
        let Some(source) = &mut self.source else { return Poll::Ready(None) };
        source.poll_next(cx).map(|next| next.map(|bytes| bytes.map(Frame::data)))
    }

    fn is_end_stream(&self) -> bool {
        self.source.as_ref().is_none_or(Source::is_done)
    }

    fn size_hint(&self) -> SizeHint {
        self.source.as_ref().map_or_else(|| SizeHint::with_exact(0), Source::size_hint)
    }
}

impl<S: Source> Drop for StreamBody<S> {
    fn drop(&mut self) {
        let (Some(mut source), Some(cx)) = (self.source.take(), &self.finish) else { return };
        // Without a runtime the process is about to end, and nothing can be read any more.
        if source.is_done() || tokio::runtime::Handle::try_current().is_err() {
            return;
        }
        cx.runtime().tasks().spawn(async move {
            while let Some(Ok(_)) = std::future::poll_fn(|cx| source.poll_next(cx)).await {}
        });
    }
}
