//! Answers that do not wait for the body of their request.

use downcity_testkit::block_on;

use crate::support::{ADMIN_KEY, Answer, Connection, Running};

/// Sends a head, takes the answer, and only then sends the body, in packets of its own.
async fn refused(connection: &mut Connection, head: &str, body: &str) -> Answer {
    let length = body.len();
    connection.send(format!("{head}host: fed\r\ncontent-length: {length}\r\n\r\n")).await;
    let answer = connection.answer().await;
    connection.send(body).await;
    answer
}

#[test]
fn a_connection_outlives_answers_given_before_the_body() {
    block_on(async {
        let running = Running::start(|_| ()).await;
        let mut connection = running.connect().await;
        let admin = format!("authorization: Bearer {ADMIN_KEY}\r\n");
        let large = "x".repeat(3 << 20);
        for body in ["{\"name\":\"x\"}", large.as_str()] {
            for (path, headers, status) in [
                ("/v1/cities/create", "authorization: Bearer wrong\r\n", 401),
                ("/v1/nope", admin.as_str(), 404),
                ("/v1/cities/list", admin.as_str(), 405),
            ] {
                let head = format!("POST {path} HTTP/1.1\r\n{headers}");
                let answer = refused(&mut connection, &head, body).await;
                assert_eq!(answer.status, status, "{path}");
            }
        }
        assert_eq!(connection.get("/livez", "").await.status, 200);
    });
}

#[test]
fn a_client_that_sends_everything_first_is_told_that_it_is_too_large() {
    block_on(async {
        let running = Running::start(|_| ()).await;
        let mut connection = running.connect().await;
        let body = "x".repeat(24 << 20);
        for authorization in [ADMIN_KEY, "wrong"] {
            connection
                .send(format!(
                    "POST /v1/cities/create HTTP/1.1\r\nhost: fed\r\nauthorization: Bearer {authorization}\r\n\
                     content-length: {}\r\n\r\n{body}",
                    body.len()
                ))
                .await;
            let expected = if authorization == ADMIN_KEY { 413 } else { 401 };
            assert_eq!(connection.answer().await.status, expected);
        }
        assert_eq!(connection.get("/livez", "").await.status, 200);
    });
}

#[test]
fn chunks_behind_an_answer_are_taken() {
    block_on(async {
        let running = Running::start(|_| ()).await;
        let mut connection = running.connect().await;
        connection
            .send("POST /v1/nope HTTP/1.1\r\nhost: fed\r\ntransfer-encoding: chunked\r\n\r\n2\r\nab\r\n")
            .await;
        assert_eq!(connection.answer().await.status, 404);
        connection.send("3\r\ncde\r\n0\r\n\r\n").await;
        assert_eq!(connection.get("/livez", "").await.status, 200);
    });
}

#[test]
fn a_client_that_waits_for_leave_is_refused_without_it() {
    block_on(async {
        let running = Running::start(|_| ()).await;
        let mut connection = running.connect().await;
        connection
            .send("POST /v1/nope HTTP/1.1\r\nhost: fed\r\nexpect: 100-continue\r\ncontent-length: 9\r\n\r\n")
            .await;
        // The first answer is the final one, and nothing follows it.
        assert_eq!(connection.answer().await.status, 404);
        assert_eq!(connection.rest().await, "");
    });
}

#[test]
fn a_shutdown_does_not_wait_for_a_body_that_nobody_reads() {
    block_on(async {
        let running = Running::start(|_| ()).await;
        let mut connection = running.connect().await;
        connection.send("POST /v1/nope HTTP/1.1\r\nhost: fed\r\ncontent-length: 9\r\n\r\n{").await;
        assert_eq!(connection.answer().await.status, 404);
        assert!(running.federation.shutdown().await);
        assert_eq!(connection.rest().await, "");
    });
}

#[test]
fn a_packed_body_is_refused_by_name() {
    block_on(async {
        let running = Running::start(|_| ()).await;
        let mut connection = running.connect().await;
        let post = |encoding: &str| {
            format!(
                "POST /v1/cities/create HTTP/1.1\r\nauthorization: Bearer {ADMIN_KEY}\r\n\
                 content-encoding: {encoding}\r\n"
            )
        };
        let answer = refused(&mut connection, &post("gzip"), "{\"name\":\"Shop\"}").await;
        assert_eq!((answer.status, answer.code().as_str()), (415, "unsupported_media_type"));

        let body = "{\"name\":\"Shop\"}";
        let plain = post("Identity");
        let length = body.len();
        connection
            .send(format!("{plain}host: fed\r\ncontent-length: {length}\r\n\r\n{body}"))
            .await;
        assert_eq!(connection.answer().await.status, 200);
    });
}
