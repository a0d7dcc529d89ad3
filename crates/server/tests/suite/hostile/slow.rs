//! Clients that send or read as slowly as they can.

use std::convert::Infallible;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::task::Poll;
use std::time::Duration;

use downcity_server::prelude::*;
use downcity_testkit::block_on;
use downcity_testkit::tokio::sync::Notify;
use downcity_testkit::tokio::time::{Instant, interval, timeout};

use super::{PATIENCE, assert_serves, impatient};
use crate::support::{ADMIN_KEY, Connection, Running};

/// A body that never ends, and counts what was taken of it.
pub(super) struct Endless {
    taken: Arc<AtomicUsize>,
    gone: Arc<Notify>,
}

const PIECE: usize = 8 * 1024;

struct Gone(Arc<Notify>);

impl Drop for Gone {
    fn drop(&mut self) {
        self.0.notify_one();
    }
}

impl Endless {
    pub(super) fn new() -> Self {
        Self { taken: Default::default(), gone: Default::default() }
    }

    async fn stream(self: Arc<Self>, _: Cx, _: NoInput) -> Result<Sse> {
        let (taken, gone) = (self.taken.clone(), Gone(self.gone.clone()));
        Ok(Sse(Body::from_stream(futures_util::stream::poll_fn(move |_| {
            let _alive = &gone;
            taken.fetch_add(PIECE, Ordering::Relaxed);
            let piece = bytes::Bytes::from_static(&[b'x'; PIECE]);
            Poll::Ready(Some(Ok::<_, Infallible>(piece)))
        }))))
    }
}

impl Service for Endless {
    fn id(&self) -> &'static str {
        "endless"
    }

    fn name(&self) -> &'static str {
        "Endless"
    }

    fn define(self: Arc<Self>, s: &mut ServiceDef) {
        s.get("stream", PUBLIC, &self, Self::stream).summary("Stream without end.");
    }
}

/// A Federation with an endless stream; gives what was taken of it, and the news of its end.
pub(super) async fn endless() -> (Running, Arc<AtomicUsize>, Arc<Notify>) {
    let service = Endless::new();
    let (taken, gone) = (service.taken.clone(), service.gone.clone());
    let running = Running::with_services(
        |config| config.server.write_timeout = PATIENCE,
        |builder| builder.service(service),
    )
    .await;
    (running, taken, gone)
}

/// Sends one byte after the other.
async fn drip(connection: &mut Connection, bytes: &[u8]) {
    let mut ticks = interval(Duration::from_millis(20));
    for byte in bytes {
        ticks.tick().await;
        connection.send_anyway([*byte]).await;
    }
}

#[test]
fn a_head_that_comes_byte_by_byte_is_not_waited_for() {
    block_on(async {
        let running = impatient().await;
        let began = Instant::now();
        let mut connection = running.connect().await;
        let head = format!("GET /livez HTTP/1.1\r\nhost: fed\r\nx-slow: {}", "x".repeat(30));
        drip(&mut connection, head.as_bytes()).await;
        assert_eq!(connection.rest().await, "");
        assert!(began.elapsed() < Duration::from_secs(5));
        assert_serves(&running).await;
    });
}

#[test]
fn a_connection_that_has_asked_once_and_is_silent_then_is_closed() {
    block_on(async {
        let running = impatient().await;
        let mut connection = running.connect().await;
        assert_eq!(connection.get("/livez", "").await.status, 200);
        assert_eq!(connection.rest().await, "");
    });
}

#[test]
fn a_body_that_comes_byte_by_byte_is_a_timeout() {
    block_on(async {
        let running = impatient().await;
        let mut connection = running.connect().await;
        connection
            .send(format!(
                "POST /v1/cities/create HTTP/1.1\r\nhost: fed\r\nauthorization: Bearer {ADMIN_KEY}\r\n\
                 content-length: 1000\r\n\r\n"
            ))
            .await;
        drip(&mut connection, &[b' '; 40]).await;
        assert_eq!(connection.answer().await.status, 408);
        assert_serves(&running).await;
    });
}

#[test]
fn a_stream_whose_client_does_not_read_is_ended() {
    block_on(async {
        let (running, taken, gone) = endless().await;
        let mut connection = running.connect().await;
        connection.send("GET /v1/endless/stream HTTP/1.1\r\nhost: fed\r\n\r\n").await;
        assert!(connection.head().await.starts_with("HTTP/1.1 200 "));
        // Nothing is read from here on: the buffers of both systems fill, then the server waits.
        gone.notified().await;
        let taken = taken.load(Ordering::Relaxed);
        assert!(taken < 64 << 20, "{taken} bytes were kept for a client that does not read");
        assert_serves(&running).await;
    });
}

#[test]
fn a_stream_whose_client_reads_goes_on() {
    block_on(async {
        let (running, _, gone) = endless().await;
        let mut connection = running.connect().await;
        connection.send("GET /v1/endless/stream HTTP/1.1\r\nhost: fed\r\n\r\n").await;
        connection.head().await;
        let mut ticks = interval(PATIENCE.get() / 10);
        for _ in 0..30 {
            ticks.tick().await;
            for _ in 0..64 {
                assert!(connection.chunk().await.is_some());
            }
        }
        drop(connection);
        gone.notified().await;
    });
}

#[test]
fn requests_without_end_whose_answers_nobody_reads_are_ended() {
    block_on(async {
        let running = impatient().await;
        let mut connection = running.connect().await;
        // The server stops to read when its answers do not leave; then the client's write waits.
        let many = "GET /openapi.json HTTP/1.1\r\nhost: fed\r\n\r\n".repeat(1000);
        let flood = async { while connection.try_send(&many).await {} };
        let ended = timeout(Duration::from_secs(20), flood).await;
        assert!(ended.is_ok(), "the connection goes on");
        assert_serves(&running).await;
    });
}

#[test]
fn a_silent_connection_is_probed_by_the_system() {
    block_on(async {
        let running = impatient().await;
        let address = running.federation.local_addr().unwrap();
        let mut connection = running.connect().await;
        assert_eq!(connection.get("/livez", "").await.status, 200);
        // Columns: local and remote address, state, queues, and the timer: 02 is that of keepalive.
        let table = std::fs::read_to_string("/proc/net/tcp").unwrap();
        let port = format!(":{:04X}", address.port());
        let established: Vec<_> = table
            .lines()
            .map(|line| line.split_whitespace().collect::<Vec<_>>())
            .filter(|line| line[1].ends_with(&port) && line[3] == "01")
            .collect();
        assert_eq!(established.len(), 1, "{table}");
        assert!(established[0][5].starts_with("02:"), "{:?}", established[0]);
    });
}
