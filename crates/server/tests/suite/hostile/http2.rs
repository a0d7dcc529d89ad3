//! Abuses that HTTP/2 makes possible.

use downcity_testkit::tokio::time::interval;
use downcity_testkit::{block_on, tokio};

use super::frames::{
    CONTINUATION, END_HEADERS, END_STREAM, GOAWAY, HEADERS, Http2, INITIAL_WINDOW_SIZE,
    MAX_CONCURRENT_STREAMS, MAX_HEADER_LIST_SIZE, PING, RST_STREAM, SETTINGS, frame, get, request,
};
use super::slow::endless;
use super::{PATIENCE, assert_serves, impatient};
use crate::support::Running;

#[test]
fn the_limits_are_told_at_the_beginning() {
    block_on(async {
        let running = Running::start(|_| ()).await;
        let mut connection = Http2::open(&running.federation, &[]).await;
        let hello = connection.next().await.unwrap();
        assert_eq!(hello.kind, SETTINGS);
        let settings = hello.settings();
        assert!(settings.contains(&(MAX_CONCURRENT_STREAMS, 100)), "{settings:?}");
        assert!(settings.iter().any(|(id, _)| *id == MAX_HEADER_LIST_SIZE), "{settings:?}");
    });
}

#[test]
fn requests_that_are_taken_back_at_once_end_the_connection() {
    block_on(async {
        let running = Running::start(|_| ()).await;
        let mut connection = Http2::open(&running.federation, &[]).await;
        let mut flood = Vec::new();
        for n in 0..10_000 {
            let stream = 2 * n + 1;
            flood.extend(request(stream, "/livez"));
            flood.extend(frame(RST_STREAM, 0, stream, &8_u32.to_be_bytes()));
        }
        // The server closes in the midst of it.
        let whole = connection.send(&flood).await;
        let frames = connection.rest().await;
        let farewell = frames.iter().any(|frame| frame.kind == GOAWAY);
        assert!(farewell || !whole, "the connection goes on");
        assert_serves(&running).await;
    });
}

#[test]
fn streams_beyond_the_limit_are_refused() {
    block_on(async {
        let (running, _, _) = endless().await;
        // Answers that wait, as the client has room for nothing.
        let mut connection = Http2::open(&running.federation, &[(INITIAL_WINDOW_SIZE, 0)]).await;
        let mut all: Vec<u8> =
            (0..110).flat_map(|n| request(2 * n + 1, "/v1/endless/stream")).collect();
        all.extend(frame(PING, 0, 0, &[0; 8]));
        connection.send(&all).await;
        let mut refused = 0;
        while let Some(frame) = connection.next().await {
            if frame.kind == RST_STREAM {
                assert!(frame.stream > 200, "{frame:?}");
                refused += 1;
            }
            if matches!(frame.kind, PING | GOAWAY) {
                break;
            }
        }
        assert!(refused > 0, "all were taken");
        assert_serves(&running).await;
    });
}

#[test]
fn a_head_without_end_ends_the_connection() {
    block_on(async {
        let running = Running::start(|_| ()).await;
        let mut connection = Http2::open(&running.federation, &[]).await;
        connection.send(&frame(HEADERS, END_STREAM, 1, &get("/livez"))).await;
        // A literal header that is not indexed: 16 bytes of name and value, over and over.
        let block = b"\x00\x05x-far\x08xxxxxxxx".repeat(1000);
        let more = frame(CONTINUATION, 0, 1, &block);
        let mut sent = 0;
        while sent < (16 << 20) && connection.send(&more).await {
            sent += more.len();
        }
        assert!(sent < (16 << 20), "{sent} bytes of a head were taken");
        assert_serves(&running).await;
    });
}

#[test]
fn a_head_that_is_too_large_is_refused() {
    block_on(async {
        let running = Running::start(|_| ()).await;
        let mut connection = Http2::open(&running.federation, &[]).await;
        connection.send(&frame(HEADERS, END_STREAM, 1, &get("/livez"))).await;
        let block = b"\x00\x05x-far\x08xxxxxxxx".repeat(1000);
        for _ in 0..20 {
            connection.send(&frame(CONTINUATION, 0, 1, &block)).await;
        }
        connection.send(&frame(CONTINUATION, END_HEADERS, 1, &[])).await;
        connection.send(&frame(PING, 0, 0, &[0; 8])).await;
        let mut answers = Vec::new();
        while let Some(frame) = connection.next().await {
            if frame.kind == PING {
                break;
            }
            answers.push(frame);
        }
        // `:status 200` is one byte in an answer (RFC 7541, appendix A, index 8).
        let ok = answers.iter().any(|frame| frame.kind == HEADERS && frame.payload[0] == 0x88);
        assert!(!ok, "{answers:?}");
        assert_serves(&running).await;
    });
}

#[test]
fn settings_and_pings_whose_answers_nobody_reads_end_the_connection() {
    block_on(async {
        for flood in [frame(SETTINGS, 0, 0, &[]), frame(PING, 0, 0, &[0; 8])] {
            let running = impatient().await;
            let mut connection = Http2::open(&running.federation, &[]).await;
            let flood = flood.repeat(10_000);
            let mut sent = 0;
            while sent < (256 << 20) && connection.send(&flood).await {
                sent += flood.len();
            }
            assert!(sent < (256 << 20), "{sent} bytes were taken");
            assert_serves(&running).await;
        }
    });
}

#[test]
fn an_answer_that_its_client_stalls_ends_the_connection_whatever_else_it_does() {
    block_on(async {
        let (running, _, gone) = endless().await;
        // The client has room for nothing, and goes on to speak.
        let mut connection = Http2::open(&running.federation, &[(INITIAL_WINDOW_SIZE, 0)]).await;
        connection.send(&request(1, "/v1/endless/stream")).await;
        let talk = async {
            let mut ticks = interval(PATIENCE.get() / 10);
            loop {
                ticks.tick().await;
                if !connection.send(&frame(PING, 0, 0, &[0; 8])).await {
                    return;
                }
                while let Ok(frame) =
                    tokio::time::timeout(PATIENCE.get() / 20, connection.next()).await
                {
                    if frame.is_none() {
                        return;
                    }
                }
            }
        };
        talk.await;
        gone.notified().await;
        assert_serves(&running).await;
    });
}

#[test]
fn an_answer_in_memory_does_not_wait_for_ever_either() {
    block_on(async {
        let running = impatient().await;
        // Room for the first bytes only.
        let mut connection = Http2::open(&running.federation, &[(INITIAL_WINDOW_SIZE, 10)]).await;
        connection.send(&request(1, "/openapi.json")).await;
        let frames = connection.rest().await;
        let data: usize =
            frames.iter().filter(|frame| frame.kind == 0).map(|frame| frame.payload.len()).sum();
        assert!(data <= 10, "{data}");
        assert_serves(&running).await;
    });
}

#[test]
fn a_connection_with_nothing_to_do_is_closed_though_it_answers_pings() {
    block_on(async {
        let running = impatient().await;
        let mut connection = Http2::open(&running.federation, &[]).await;
        connection.send(&request(1, "/livez")).await;
        let mut answered = false;
        while let Some(frame) = connection.next().await {
            answered |= frame.kind == HEADERS && frame.payload[0] == 0x88;
            if frame.kind == PING && frame.flags == 0 {
                connection.send(&super::frames::frame(PING, 1, 0, &frame.payload)).await;
            }
        }
        assert!(answered);
        assert_serves(&running).await;
    });
}
