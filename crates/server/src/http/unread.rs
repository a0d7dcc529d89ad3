//! What becomes of a request body that nobody reads.

use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::Bytes;
use downcity_core::Body;
use http::header::EXPECT;
use http::request::Parts;
use http::{HeaderMap, Version};
use http_body::{Body as _, Frame, SizeHint};
use hyper::body::Incoming;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

/// How many bytes of an unread body are taken at most.
const MOST_BYTES: u64 = 32 << 20;

/// How long an unread body is taken at most.
const MOST_TIME: Duration = Duration::from_secs(10);

/// How long an unread body is still taken once the listener ends.
const LAST_TIME: Duration = Duration::from_secs(1);

/// Reads what is left of bodies.
#[derive(Clone)]
pub(crate) struct Leftovers {
    /// Where the reading is waited for.
    pub(crate) tasks: TaskTracker,
    /// The listener ends.
    pub(crate) stop: CancellationToken,
}

impl Leftovers {
    /// The body of a request.
    pub(crate) fn body(&self, parts: &Parts, incoming: Incoming) -> Body {
        if incoming.is_end_stream() {
            return Body::Empty;
        }
        if parts.version >= Version::HTTP_2 {
            // A stream of HTTP/2 ends alone; its connection goes on.
            return Body::from_http(incoming);
        }
        let must_read = !waits_for_leave(&parts.headers);
        Body::from_http(ReadToEnd { incoming: Some(incoming), must_read, leftovers: self.clone() })
    }
}

/// Whether the client sends its body only when it is told to continue.
fn waits_for_leave(headers: &HeaderMap) -> bool {
    headers.get(EXPECT).is_some_and(|value| value.as_bytes().eq_ignore_ascii_case(b"100-continue"))
}

/// A body of HTTP/1 that is read to its end also when it is dropped before.
///
/// An answer given without the body would otherwise close the connection over bytes that are still
/// on their way, and that loses the answer.
struct ReadToEnd {
    /// `None` once the end was seen.
    incoming: Option<Incoming>,
    /// Whether the client sends the body whatever happens.
    must_read: bool,
    leftovers: Leftovers,
}

impl http_body::Body for ReadToEnd {
    type Data = Bytes;
    type Error = hyper::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, hyper::Error>>> {
        // To read is what tells a waiting client to continue.
        self.must_read = true;
        let Some(incoming) = &mut self.incoming else { return Poll::Ready(None) };
        let polled = Pin::new(incoming).poll_frame(cx);
        if matches!(polled, Poll::Ready(None | Some(Err(_)))) {
            self.incoming = None;
        }
        polled
    }

    fn is_end_stream(&self) -> bool {
        self.incoming.as_ref().is_none_or(Incoming::is_end_stream)
    }

    fn size_hint(&self) -> SizeHint {
        self.incoming.as_ref().map_or(SizeHint::with_exact(0), Incoming::size_hint)
    }
}

impl Drop for ReadToEnd {
    fn drop(&mut self) {
        let Some(incoming) = self.incoming.take().filter(|body| !body.is_end_stream()) else {
            return;
        };
        // Without a runtime the connection is gone as well.
        if self.must_read && tokio::runtime::Handle::try_current().is_ok() {
            let stop = self.leftovers.stop.clone();
            self.leftovers.tasks.spawn(discard(incoming, stop));
        }
    }
}

/// Takes the rest of a body. Dropping a body before its end closes its connection.
async fn discard(mut incoming: Incoming, stop: CancellationToken) {
    let all = async {
        let mut taken = 0;
        while taken <= MOST_BYTES {
            let next = std::future::poll_fn(|cx| Pin::new(&mut incoming).poll_frame(cx)).await;
            let Some(Ok(frame)) = next else { return };
            taken += frame.data_ref().map_or(0, |data| data.len() as u64);
        }
    };
    let patience = async {
        let stopped = tokio::time::timeout(MOST_TIME, stop.cancelled()).await;
        if stopped.is_ok() {
            tokio::time::sleep(LAST_TIME).await;
        }
    };
    tokio::select! {
        () = all => {}
        () = patience => tracing::debug!("the rest of a request did not arrive in time"),
    }
}
