//! Requests of which a proxy in front could see the end somewhere else.

use downcity_testkit::block_on;

use super::assert_serves;
use crate::support::Running;

/// What must not be taken for a request of its own.
const HIDDEN: &str = "GET /v1/hidden HTTP/1.1\r\nhost: fed\r\n\r\n";

#[test]
fn a_request_with_two_ends_is_refused_and_its_connection_closed() {
    block_on(async {
        let running = Running::start(|_| ()).await;
        for (case, headers, body) in [
            (
                "length and chunks",
                "content-length: 4\r\ntransfer-encoding: chunked\r\n",
                "0\r\n\r\n",
            ),
            (
                "chunks and length",
                "transfer-encoding: chunked\r\ncontent-length: 4\r\n",
                "0\r\n\r\n",
            ),
            ("two lengths", "content-length: 4\r\ncontent-length: 5\r\n", "abcd"),
            ("a list of lengths", "content-length: 4, 5\r\n", "abcd"),
            ("a signed length", "content-length: +4\r\n", "abcd"),
            ("a negative length", "content-length: -1\r\n", ""),
            ("a length in hexadecimal", "content-length: 0x4\r\n", "abcd"),
            ("an endless length", "content-length: 99999999999999999999999\r\n", ""),
            ("an unknown coding", "transfer-encoding: cow\r\n", "0\r\n\r\n"),
            (
                "chunks that are not the last coding",
                "transfer-encoding: chunked, gzip\r\n",
                "0\r\n\r\n",
            ),
            ("a coding with a tab", "transfer-encoding:\tchunked\x0b\r\n", "0\r\n\r\n"),
            ("a space before the colon", "transfer-encoding : chunked\r\n", "0\r\n\r\n"),
            ("a folded header", "transfer-encoding:\r\n chunked\r\n", "0\r\n\r\n"),
            ("a carriage return inside", "x: a\rcontent-length: 4\r\n", "abcd"),
            ("no chunk size", "transfer-encoding: chunked\r\n", "\r\n\r\n"),
            ("a chunk size that is none", "transfer-encoding: chunked\r\n", "zz\r\n\r\n"),
            (
                "a chunk that is too large",
                "transfer-encoding: chunked\r\n",
                "ffffffffffffffff0\r\n",
            ),
            ("a chunk without its end", "transfer-encoding: chunked\r\n", "1\r\naXX0\r\n\r\n"),
        ] {
            let mut connection = running.connect().await;
            connection
                .send_anyway(format!(
                    "POST /v1/nope HTTP/1.1\r\nhost: fed\r\n{headers}\r\n{body}{HIDDEN}"
                ))
                .await;
            let all = connection.rest().await;
            assert!(!all.contains("200 OK"), "{case}: {all}");
            // At most the refusal of the request itself: what hides behind it is not answered.
            assert!(all.matches("HTTP/1.1 ").count() <= 1, "{case}: {all}");
            let status = all.split(' ').nth(1).unwrap_or("closed");
            assert!(matches!(status, "400" | "404"), "{case}: {all}");
        }
        assert_serves(&running).await;
    });
}

#[test]
fn an_older_request_may_not_have_chunks() {
    block_on(async {
        let running = Running::start(|_| ()).await;
        let mut connection = running.connect().await;
        let old =
            "POST /v1/nope HTTP/1.0\r\nhost: fed\r\ntransfer-encoding: chunked\r\n\r\n0\r\n\r\n";
        connection.send_anyway(format!("{old}{HIDDEN}")).await;
        let all = connection.rest().await;
        assert!(all.matches("HTTP/1.").count() <= 1 && !all.contains(" 200 "), "{all}");
    });
}

#[test]
fn a_request_names_exactly_one_host() {
    block_on(async {
        let running = Running::start(|_| ()).await;
        for (head, status) in [
            ("GET /livez HTTP/1.1\r\nhost: fed\r\n\r\n", 200),
            ("GET /livez HTTP/1.1\r\n\r\n", 400),
            ("GET /livez HTTP/1.1\r\nhost: fed\r\nhost: other\r\n\r\n", 400),
            ("GET /livez HTTP/1.0\r\n\r\n", 200),
        ] {
            let mut connection = running.connect().await;
            connection.send(head).await;
            let answer = connection.answer().await;
            assert_eq!(answer.status, status, "{head:?}");
            if status == 400 {
                assert_eq!(answer.code(), "invalid_input");
                assert_eq!(answer.header("connection"), Some("close"));
            }
        }
    });
}

#[test]
fn the_end_of_a_length_is_the_beginning_of_the_next_request() {
    block_on(async {
        let running = Running::start(|_| ()).await;
        let mut connection = running.connect().await;
        let length = HIDDEN.len();
        connection
            .send(format!(
                "POST /v1/nope HTTP/1.1\r\nhost: fed\r\ncontent-length: {length}\r\n\r\n{HIDDEN}\
                 GET /livez HTTP/1.1\r\nhost: fed\r\n\r\n"
            ))
            .await;
        assert_eq!(connection.answer().await.status, 404);
        // The body was a body: the next answer is that of the next request.
        assert_eq!(connection.answer().await.body, "{\"ok\":true}");
    });
}
