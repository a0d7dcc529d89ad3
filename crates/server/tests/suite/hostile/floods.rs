//! Clients that send as much as they can.

use std::time::Duration;

use downcity_server::config::ByteSize;
use downcity_testkit::block_on;
use downcity_testkit::tokio::time::timeout;

use super::{assert_serves, impatient};
use crate::support::{ADMIN_KEY, Running};

/// More than the system takes for a server that has stopped to read.
const ENOUGH: usize = 32 << 20;

#[test]
fn a_head_without_end_is_cut_off() {
    block_on(async {
        let running = Running::start(|_| ()).await;
        for (case, line) in [
            ("many small headers", "a: b\r\n".to_owned()),
            ("large headers", format!("x-large: {}\r\n", "x".repeat(8000))),
            ("one header without end", "x".repeat(8000)),
        ] {
            let mut connection = running.connect().await;
            connection.send("GET /livez HTTP/1.1\r\nhost: fed\r\nx: ").await;
            let mut sent = 0;
            while sent < ENOUGH && connection.try_send(&line).await {
                sent += line.len();
            }
            let answer = connection.rest().await;
            assert!(sent < ENOUGH, "{case}: {sent} bytes of a head were taken");
            assert!(answer.is_empty() || answer.starts_with("HTTP/1.1 431 "), "{case}: {answer}");
        }
        assert_serves(&running).await;
    });
}

#[test]
fn a_huge_length_reserves_nothing_and_is_refused_at_once() {
    block_on(async {
        let running = Running::start(|_| ()).await;
        let mut connection = running.connect().await;
        connection
            .send(format!(
                "POST /v1/cities/create HTTP/1.1\r\nhost: fed\r\nauthorization: Bearer {ADMIN_KEY}\r\n\
                 content-length: 9223372036854775807\r\n\r\n{{"
            ))
            .await;
        let answer = connection.answer().await;
        assert_eq!((answer.status, answer.code().as_str()), (413, "payload_too_large"));
        assert_serves(&running).await;
    });
}

#[test]
fn chunks_without_end_are_cut_off() {
    block_on(async {
        let limit = ByteSize::kibibytes(64);
        let running = Running::start(|config| config.server.body_limit = limit).await;
        let chunk = format!("{:x}\r\n{}\r\n", 8192, "x".repeat(8192));
        for (credential, status) in [(ADMIN_KEY, "413"), ("wrong", "401")] {
            let mut connection = running.connect().await;
            connection
                .send(format!(
                    "POST /v1/cities/create HTTP/1.1\r\nhost: fed\r\nauthorization: Bearer {credential}\r\n\
                     transfer-encoding: chunked\r\n\r\n"
                ))
                .await;
            let mut sent = 0;
            while sent < (256 << 20) && connection.try_send(&chunk).await {
                sent += chunk.len();
            }
            // What follows an answer is taken for a while, so that the client sees it.
            assert!(sent < (64 << 20), "{sent} bytes were taken");
            let answer = connection.rest().await;
            // A client that only sends may lose the answer with its connection.
            assert!(answer.is_empty() || answer.contains(status), "{answer}");
        }
        assert_serves(&running).await;
    });
}

#[test]
fn chunks_may_not_carry_much_beside_their_data() {
    block_on(async {
        let running = Running::start(|_| ()).await;
        let head = format!(
            "POST /v1/cities/create HTTP/1.1\r\nhost: fed\r\nauthorization: Bearer {ADMIN_KEY}\r\n\
             transfer-encoding: chunked\r\n\r\n"
        );
        let extension = format!("1;{}\r\n \r\n", "x".repeat(1000));
        let trailer = format!("x-trailer: {}\r\n", "x".repeat(1000));
        for (case, begin, more) in
            [("extensions", "", extension.as_str()), ("trailers", "0\r\n", trailer.as_str())]
        {
            let mut connection = running.connect().await;
            connection.send(format!("{head}{begin}")).await;
            let mut sent = 0;
            while sent < (8 << 20) && connection.try_send(more).await {
                sent += more.len();
            }
            assert!(sent < (8 << 20), "{case}: {sent} bytes were taken");
            let answer = connection.rest().await;
            assert!(answer.is_empty() || answer.contains(" 400 "), "{case}: {answer}");
        }
        assert_serves(&running).await;
    });
}

#[test]
fn many_requests_at_once_are_answered_in_their_order() {
    block_on(async {
        let running = Running::start(|_| ()).await;
        let mut connection = running.connect().await;
        let count = 2000;
        connection.send("GET /livez HTTP/1.1\r\nhost: fed\r\n\r\n".repeat(count)).await;
        for _ in 0..count {
            assert_eq!(connection.answer().await.status, 200);
        }
    });
}

#[test]
fn a_body_that_stops_is_not_kept_for_long() {
    block_on(async {
        let running = impatient().await;
        let mut connections = Vec::new();
        for _ in 0..50 {
            let mut connection = running.connect().await;
            connection
                .send(format!(
                    "POST /v1/cities/create HTTP/1.1\r\nhost: fed\r\nauthorization: Bearer {ADMIN_KEY}\r\n\
                     content-length: 100000\r\n\r\n{}",
                    " ".repeat(50_000)
                ))
                .await;
            connections.push(connection);
        }
        assert_serves(&running).await;
        for connection in &mut connections {
            assert_eq!(connection.answer().await.status, 408);
        }
        let patience = Duration::from_secs(5);
        let stopped = timeout(patience, running.federation.shutdown());
        assert!(stopped.await.is_ok());
    });
}
