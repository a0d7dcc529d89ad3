//! One connection: which HTTP it speaks, and its requests until it ends.

use std::convert::Infallible;
use std::future::Future;
use std::io;
use std::net::IpAddr;
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use downcity_core::Body;
use http::header::CONNECTION;
use http::{HeaderValue, Request, Response, Version};
use hyper::body::Incoming;
use hyper::server::conn::{http1, http2};
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::server::graceful::GracefulConnection;
use tokio::net::TcpStream;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use super::listener::ListenerSettings;
use super::unread::Leftovers;

/// What answers the requests of connections.
pub(crate) trait Answer: Send + Sync + 'static {
    /// Answers one request of a connection from this address; never fails.
    fn answer(
        self: Arc<Self>,
        peer: IpAddr,
        request: Request<Body>,
    ) -> impl Future<Output = Response<Body>> + Send;
}

/// Rules and signals of a connection.
pub(crate) struct Control {
    pub(crate) settings: ListenerSettings,
    /// Go on, and ask the client to go elsewhere with what comes next.
    pub(crate) drain: CancellationToken,
    /// Finish what is under way and end.
    pub(crate) stop: CancellationToken,
    /// End now.
    pub(crate) abort: CancellationToken,
    /// Where work is waited for that outlives a request.
    pub(crate) tasks: TaskTracker,
}

/// What an HTTP/2 connection with prior knowledge begins with (RFC 9113 §3.4). No HTTP/1 method is
/// `PRI`, so four bytes decide.
const HTTP2_BEGIN: &[u8; 4] = b"PRI ";

/// Serves a connection to its end.
pub(crate) async fn serve<A: Answer>(
    stream: TcpStream,
    peer: IpAddr,
    control: Control,
    answer: Arc<A>,
) {
    let timeout = control.settings.header_timeout;
    let first = tokio::select! {
        () = control.stop.cancelled() => return,
        first = tokio::time::timeout(timeout, speaks_http2(&stream)) => first,
    };
    // A connection that breaks or says nothing needs no answer.
    let Ok(Ok(is_http2)) = first else { return };
    let leftovers = Leftovers { tasks: control.tasks.clone(), stop: control.stop.clone() };
    let drain = control.drain.clone();
    let service = service_fn(move |request: Request<Incoming>| {
        let (parts, body) = request.into_parts();
        let is_http1 = parts.version < Version::HTTP_2;
        let drain = drain.clone();
        let body = leftovers.body(&parts, body);
        let answer = answer.clone();
        async move {
            let request = Request::from_parts(parts, body);
            let mut response = answer.answer(peer, request).await;
            if is_http1 && drain.is_cancelled() {
                // The connection ends with this answer, so that no later request meets its end.
                response.headers_mut().insert(CONNECTION, HeaderValue::from_static("close"));
            }
            Ok::<_, Infallible>(response)
        }
    });
    let stream = TokioIo::new(stream);
    let ended = if is_http2 {
        // GOAWAY tells the client at once, without harm to any stream.
        let leave = control.drain.clone();
        drive(http2(&control.settings).serve_connection(stream, service), leave, control).await
    } else {
        let leave = control.stop.clone();
        drive(http1(&control.settings).serve_connection(stream, service), leave, control).await
    };
    if let Err(error) = ended {
        tracing::debug!(%error, "a connection ended early");
    }
}

/// Looks at the first bytes without taking them.
async fn speaks_http2(stream: &TcpStream) -> io::Result<bool> {
    let mut first = [0; HTTP2_BEGIN.len()];
    loop {
        let count = stream.peek(&mut first).await?;
        if count == 0 {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        let seen = &first[..count];
        if count == first.len() || !HTTP2_BEGIN.starts_with(seen) {
            return Ok(seen == HTTP2_BEGIN);
        }
        // The socket stays readable, so there is no event to wait for: the rest of the word is on
        // its way, or the caller's time limit ends this.
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
}

fn http1(settings: &ListenerSettings) -> http1::Builder {
    let mut builder = http1::Builder::new();
    builder
        .timer(TokioTimer::new())
        .header_read_timeout(settings.header_timeout)
        .max_buf_size(settings.head_limit);
    builder
}

fn http2(settings: &ListenerSettings) -> http2::Builder<Executor> {
    let mut builder = http2::Builder::new(Executor(TaskTracker::new()));
    builder
        .timer(TokioTimer::new())
        .max_concurrent_streams(256)
        .max_header_list_size(u32::try_from(settings.head_limit).unwrap_or(u32::MAX))
        // A client that is gone without a word is noticed, so that its streams end.
        .keep_alive_interval(settings.header_timeout)
        .keep_alive_timeout(settings.header_timeout);
    builder
}

/// Runs the streams of one HTTP/2 connection, which waits for them when it ends.
#[derive(Clone)]
struct Executor(TaskTracker);

impl<F> hyper::rt::Executor<F> for Executor
where
    F: Future + Send + 'static,
    F::Output: Send + 'static,
{
    fn execute(&self, work: F) {
        self.0.spawn(work);
    }
}

/// Runs a connection; from `leave` on it ends when what is under way has ended.
async fn drive<C: GracefulConnection>(
    connection: C,
    leave: CancellationToken,
    control: Control,
) -> Result<(), C::Error> {
    let mut connection = pin!(connection);
    tokio::select! {
        biased;
        ended = connection.as_mut() => return ended,
        () = leave.cancelled() => {}
        () = control.stop.cancelled() => {}
    }
    connection.as_mut().graceful_shutdown();
    tokio::select! {
        ended = connection => ended,
        () = control.abort.cancelled() => Ok(()),
    }
}
