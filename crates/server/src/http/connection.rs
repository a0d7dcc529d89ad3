//! One connection: which HTTP it speaks, and its requests until it ends.

use std::convert::Infallible;
use std::future::Future;
use std::io;
use std::net::IpAddr;
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use downcity_core::Body;
use http::header::CONNECTION;
use http::{HeaderValue, Request, Response};
use hyper::body::Incoming;
use hyper::server::conn::{http1, http2};
use hyper::service::service_fn;
use hyper_util::rt::TokioTimer;
use hyper_util::server::graceful::GracefulConnection;
use tokio::net::TcpStream;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use super::activity::Activity;
use super::head;
use super::listener::ListenerSettings;
use super::outgoing::{Outgoing, Patient};
use super::unread::Leftovers;

/// What answers the requests of connections.
pub(crate) trait Answer: Send + Sync + 'static {
    /// Answers one request of a connection from this address; never fails.
    fn answer(
        self: Arc<Self>,
        peer: IpAddr,
        request: Request<Body>,
    ) -> impl Future<Output = Response<Body>> + Send;

    /// Learns of a request that the transport refused.
    fn unreadable(&self, _peer: IpAddr, _refused: Refused) {}
}

/// Why the transport answered a request by itself, with a bare status.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Refused {
    /// It is not HTTP.
    Malformed,
    /// Its head is too large, or has too many headers.
    TooLarge,
}

/// The most requests of an HTTP/2 connection at the same time.
const MAX_STREAMS: u32 = 100;

/// How many streams a client may take back before they are looked at, and how many may be ended for
/// its mistakes, until its connection is ended.
const MAX_RESETS: usize = 20;

/// How many bytes of a body are taken from a stream of HTTP/2 before somebody reads them.
const STREAM_WINDOW: u32 = 256 * 1024;

/// The same for all streams of a connection.
const CONNECTION_WINDOW: u32 = 1024 * 1024;

/// How many bytes of an answer HTTP/2 keeps for a client that has no room for them.
const SEND_BUFFER: usize = 64 * 1024;

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

/// How a connection ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Ended {
    /// By either side, nothing being under way.
    Finished,
    /// The client broke the rules of HTTP.
    Malformed,
    /// The client took too long for the head of a request, or was idle for as long.
    Silent,
    /// The client did not read its answers.
    Stalled,
    /// It made room for another connection.
    MadeRoom,
    /// The client left in the midst of a request, or the network failed.
    Broken,
    /// The listener ended.
    Stopped,
}

impl Ended {
    /// Its name in the figures.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Finished => "finished",
            Self::Malformed => "malformed",
            Self::Silent => "silent",
            Self::Stalled => "stalled",
            Self::MadeRoom => "made_room",
            Self::Broken => "broken",
            Self::Stopped => "stopped",
        }
    }

    fn of(error: &hyper::Error, activity: &Activity) -> Self {
        match () {
            () if activity.gave_up() => Self::Stalled,
            () if error.is_parse() => Self::Malformed,
            () if error.is_timeout() => Self::Silent,
            () => Self::Broken,
        }
    }
}

/// Serves a connection to its end.
pub(crate) async fn serve<A: Answer>(
    stream: TcpStream,
    peer: IpAddr,
    control: Control,
    activity: &Arc<Activity>,
    answer: Arc<A>,
) -> Ended {
    let settings = control.settings;
    let is_http2 = tokio::select! {
        () = control.stop.cancelled() => return Ended::Stopped,
        () = activity.asked_to_leave() => return Ended::MadeRoom,
        first = tokio::time::timeout(settings.header_timeout, speaks_http2(&stream)) => match first {
            Ok(Ok(is_http2)) => is_http2,
            // A connection that breaks or says nothing needs no answer.
            Ok(Err(_)) => return Ended::Finished,
            Err(_) => return Ended::Silent,
        },
    };
    let leftovers = Leftovers { tasks: control.tasks.clone(), stop: control.stop.clone() };
    let drain = control.drain.clone();
    let requests = activity.clone();
    let frontend = answer.clone();
    let service = service_fn(move |request: Request<Incoming>| {
        let busy = requests.request();
        let (mut parts, body) = request.into_parts();
        if !is_http2 {
            head::copy(&mut parts);
        }
        let drain = drain.clone();
        let body = leftovers.body(&parts, body);
        let answer = frontend.clone();
        // The connection keeps room for this future as long as it lives: room for a pointer.
        Box::pin(async move {
            let request = Request::from_parts(parts, body);
            let mut response = answer.answer(peer, request).await;
            if !is_http2 && drain.is_cancelled() {
                // The connection ends with this answer, so that no later request meets its end.
                response.headers_mut().insert(CONNECTION, HeaderValue::from_static("close"));
            }
            Ok::<_, Infallible>(response.map(|body| Outgoing::new(body, busy, is_http2)))
        })
    });
    let stream = Patient::new(stream, activity.clone(), settings.write_timeout);
    let ended = if is_http2 {
        let connection = Box::pin(http2(&settings).serve_connection(stream, service));
        // GOAWAY tells the client at once, without harm to any stream.
        let leave = control.drain.clone();
        drive(connection, leave, control, watch_streams(activity, settings), activity).await
    } else {
        let connection = Box::pin(http1(&settings).serve_connection(stream, service));
        let leave = control.stop.clone();
        // The socket tells all there is to know.
        drive(connection, leave, control, std::future::pending(), activity).await
    };
    let Err(error) = ended else { return ended.unwrap_or(Ended::Finished) };
    tracing::debug!(%error, "a connection ended early");
    let ended = Ended::of(&error, activity);
    if ended == Ended::Malformed {
        let too_large = error.is_parse_too_large();
        answer.unreadable(peer, if too_large { Refused::TooLarge } else { Refused::Malformed });
    }
    ended
}

/// Looks at the first bytes without taking them.
async fn speaks_http2(stream: &TcpStream) -> io::Result<bool> {
    let mut first = [0; HTTP2_BEGIN.len()];
    let mut pause = Duration::from_millis(1);
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
        tokio::time::sleep(pause).await;
        pause = (pause * 2).min(Duration::from_secs(1));
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
        .max_concurrent_streams(MAX_STREAMS)
        .max_pending_accept_reset_streams(MAX_RESETS)
        .max_local_error_reset_streams(MAX_RESETS)
        .initial_stream_window_size(STREAM_WINDOW)
        .initial_connection_window_size(CONNECTION_WINDOW)
        .max_send_buf_size(SEND_BUFFER)
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

/// Waits for what a connection of HTTP/2 must not do: stall an answer while it goes on otherwise, or
/// stay for ever with nothing to do but to answer pings.
async fn watch_streams(activity: &Activity, settings: ListenerSettings) -> Ended {
    let shortest = settings.write_timeout.min(settings.header_timeout);
    let mut looks = tokio::time::interval((shortest / 4).max(Duration::from_millis(1)));
    loop {
        looks.tick().await;
        if activity.is_stalled(settings.write_timeout) {
            return Ended::Stalled;
        }
        let idle = activity.idle_since().map(|since| since.elapsed());
        if idle.is_some_and(|idle| idle > settings.header_timeout) {
            return Ended::Silent;
        }
    }
}

/// Runs a connection until it ends, or until there is a reason to end it. From `leave` on it ends
/// when what is under way has ended.
async fn drive<C: GracefulConnection<Error = hyper::Error>>(
    mut connection: Pin<Box<C>>,
    leave: CancellationToken,
    control: Control,
    watch: impl Future<Output = Ended>,
    activity: &Activity,
) -> Result<Ended, hyper::Error> {
    let reason = tokio::select! {
        biased;
        ended = connection.as_mut() => return ended.map(|()| Ended::Finished),
        () = leave.cancelled() => Ended::Stopped,
        () = control.stop.cancelled() => Ended::Stopped,
        () = activity.asked_to_leave() => return Ok(Ended::MadeRoom),
        reason = watch => reason,
    };
    if reason == Ended::Stalled {
        return Ok(reason);
    }
    connection.as_mut().graceful_shutdown();
    // A silent client may not even take the farewell.
    let patience = async {
        match reason {
            Ended::Silent => tokio::time::sleep(control.settings.write_timeout).await,
            _ => std::future::pending().await,
        }
    };
    tokio::select! {
        ended = connection => ended.map(|()| reason),
        () = control.abort.cancelled() => Ok(reason),
        () = patience => Ok(reason),
    }
}
