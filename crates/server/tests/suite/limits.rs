//! What is refused at the door, each with a whole answer where HTTP allows one.

use downcity_server::config::{ByteSize, Span};
use downcity_testkit::block_on;

use crate::support::{ADMIN_KEY, Running};

#[test]
fn long_addresses_and_large_heads_are_refused_by_name() {
    block_on(async {
        let running = Running::start(|config| {
            config.server.max_uri_size = ByteSize::bytes(100);
            config.server.max_header_size = ByteSize::bytes(1000);
        })
        .await;
        let mut connection = running.connect().await;

        let answer = connection.get(&format!("/health?{}", "x".repeat(100)), "").await;
        assert_eq!((answer.status, answer.code().as_str()), (414, "uri_too_long"));
        assert!(answer.header("x-request-id").is_some());

        let header = format!("x-large: {}\r\n", "x".repeat(1000));
        let answer = connection.get("/health", &header).await;
        assert_eq!((answer.status, answer.code().as_str()), (431, "headers_too_large"));
        assert!(answer.header("x-request-id").is_some());

        // The connection is still good.
        assert_eq!(connection.get("/health", "").await.status, 200);
    });
}

#[test]
fn heads_beyond_every_measure_are_refused_by_the_transport() {
    block_on(async {
        let running = Running::start(|_| ()).await;
        let mut connection = running.connect().await;
        let header = format!("x-large: {}\r\n", "x".repeat(1 << 20));
        connection.send_anyway(format!("GET / HTTP/1.1\r\nhost: fed\r\n{header}\r\n")).await;
        assert_eq!(connection.answer().await.status, 431);
    });
}

#[test]
fn more_than_a_hundred_headers_are_refused_by_the_transport() {
    block_on(async {
        let running = Running::start(|_| ()).await;
        let mut connection = running.connect().await;
        let ninety: String = (0..90).map(|n| format!("x-{n}: 1\r\n")).collect();
        assert_eq!(connection.get("/livez", &ninety).await.status, 200);
        let many: String = (0..101).map(|n| format!("x-{n}: 1\r\n")).collect();
        let answer = connection.get("/livez", &many).await;
        assert_eq!((answer.status, answer.body.as_str()), (431, ""));
        assert_eq!(connection.rest().await, "");
    });
}

#[test]
fn large_bodies_are_refused_with_and_without_a_length() {
    block_on(async {
        let running = Running::start(|config| config.server.body_limit = ByteSize::bytes(64)).await;
        let head = format!(
            "POST /v1/cities/create HTTP/1.1\r\nhost: fed\r\nauthorization: Bearer {ADMIN_KEY}\r\n"
        );
        let name = "x".repeat(100);
        let body = format!("{{\"name\":\"{name}\"}}");

        let mut connection = running.connect().await;
        connection.send(format!("{head}content-length: {}\r\n\r\n{body}", body.len())).await;
        let answer = connection.answer().await;
        assert_eq!((answer.status, answer.code().as_str()), (413, "payload_too_large"));

        let mut connection = running.connect().await;
        let chunk = format!("{:x}\r\n{body}\r\n0\r\n\r\n", body.len());
        connection.send(format!("{head}transfer-encoding: chunked\r\n\r\n{chunk}")).await;
        let answer = connection.answer().await;
        assert_eq!((answer.status, answer.code().as_str()), (413, "payload_too_large"));
    });
}

#[test]
fn a_body_that_does_not_arrive_is_a_timeout() {
    block_on(async {
        let running = Running::start(|config| config.server.body_timeout = Span::millis(20)).await;
        let mut connection = running.connect().await;
        connection
            .send(format!(
                "POST /v1/cities/create HTTP/1.1\r\nhost: fed\r\nauthorization: Bearer {ADMIN_KEY}\r\ncontent-length: 50\r\n\r\n{{"
            ))
            .await;
        let answer = connection.answer().await;
        assert_eq!((answer.status, answer.code().as_str()), (408, "request_timeout"));
    });
}

#[test]
fn connections_that_do_not_finish_a_head_are_closed() {
    block_on(async {
        let running =
            Running::start(|config| config.server.header_timeout = Span::millis(20)).await;
        // Nothing, the beginning of either protocol, and a head without its end.
        for begin in ["", "P", "PRI", "GET /health HT", "GET /health HTTP/1.1\r\nhost: fed\r\n"] {
            let mut connection = running.connect().await;
            connection.send(begin).await;
            assert_eq!(connection.rest().await, "", "{begin:?}");
        }
    });
}

#[test]
fn what_is_not_http_gets_a_400() {
    block_on(async {
        let running = Running::start(|_| ()).await;
        for nonsense in [
            "hello\r\n\r\n",
            "GET /health HTTP/9.9\r\n\r\n",
            "GET / HTTP/1.1\r\nbad header\r\n\r\n",
            "POST / HTTP/1.1\r\nhost: fed\r\ncontent-length: many\r\n\r\n",
        ] {
            let mut connection = running.connect().await;
            connection.send(nonsense).await;
            let answer = connection.answer().await;
            assert!((400..500).contains(&answer.status), "{nonsense:?}: {}", answer.status);
        }
    });
}
