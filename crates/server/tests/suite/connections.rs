//! What clients and browsers see of the transport.

use downcity_testkit::{block_on, tokio};

use crate::support::{Running, Slow, connect};

#[test]
fn every_answer_has_a_request_id_of_its_own() {
    block_on(async {
        let running = Running::start(|_| ()).await;
        let mut connection = running.connect().await;
        let mut ids = std::collections::HashSet::new();
        for path in ["/health", "/nowhere", "/v1/cities/list", "/%ff", "/v1/cities/create"] {
            let answer = connection.get(path, "").await;
            let id = answer.header("x-request-id").unwrap().to_owned();
            if answer.status >= 400 {
                assert!(answer.body.contains(&id), "{path}: {}", answer.body);
            }
            assert!(ids.insert(id), "{path}");
        }
    });
}

#[test]
fn a_head_request_has_the_head_of_get_and_no_body() {
    block_on(async {
        let running = Running::start(|_| ()).await;
        let mut connection = running.connect().await;
        connection.send("HEAD /livez HTTP/1.1\r\nhost: fed\r\n\r\n").await;
        let head = connection.head().await;
        assert!(head.starts_with("HTTP/1.1 200 "), "{head}");
        assert!(head.contains("content-length: 11\r\n"), "{head}");
        // Were there a body, the next answer would not begin here.
        assert_eq!(connection.get("/livez", "").await.body, "{\"ok\":true}");
    });
}

#[test]
fn options_tells_the_methods_of_a_route() {
    block_on(async {
        let running = Running::start(|_| ()).await;
        let mut connection = running.connect().await;
        connection.send("OPTIONS /v1/cities/list HTTP/1.1\r\nhost: fed\r\n\r\n").await;
        let answer = connection.answer().await;
        assert_eq!((answer.status, answer.body.as_str()), (204, ""));
        assert_eq!(answer.header("allow"), Some("GET, HEAD, OPTIONS"));
        assert!(answer.header("x-request-id").is_some());

        connection.send("OPTIONS /nowhere HTTP/1.1\r\nhost: fed\r\n\r\n").await;
        assert_eq!(connection.answer().await.status, 404);
    });
}

#[test]
fn browsers_of_any_origin_may_call_by_default() {
    block_on(async {
        let running = Running::start(|_| ()).await;
        let mut connection = running.connect().await;
        let preflight = "OPTIONS /v1/ai/anything HTTP/1.1\r\nhost: fed\r\norigin: https://app.example\r\n\
             access-control-request-method: POST\r\n\
             access-control-request-headers: authorization,idempotency-key,x-downcity-dialect,x-stainless-os\r\n\r\n";
        connection.send(preflight).await;
        let answer = connection.answer().await;
        assert_eq!((answer.status, answer.body.as_str()), (204, ""));
        assert_eq!(answer.header("access-control-allow-origin"), Some("*"));
        assert_eq!(answer.header("access-control-allow-methods"), Some("GET,POST,OPTIONS"));
        assert_eq!(
            answer.header("access-control-allow-headers"),
            Some("authorization,idempotency-key,x-downcity-dialect,x-stainless-os")
        );
        assert_eq!(answer.header("access-control-max-age"), Some("86400"));
        assert_eq!(answer.header("access-control-allow-credentials"), None);
        assert!(answer.header("x-request-id").is_some());

        // Errors too, or a browser could not read them.
        for path in ["/health", "/v1/cities/list"] {
            let answer = connection.get(path, "origin: https://app.example\r\n").await;
            assert_eq!(answer.header("access-control-allow-origin"), Some("*"), "{path}");
            assert_eq!(
                answer.header("access-control-expose-headers"),
                Some(
                    "x-request-id,request-id,retry-after,x-ratelimit-limit,x-ratelimit-remaining,x-ratelimit-reset"
                )
            );
        }
        let plain = connection.get("/health", "").await;
        assert_eq!(plain.header("access-control-allow-origin"), None);
    });
}

#[test]
fn browsers_of_other_origins_are_kept_out_where_origins_are_listed() {
    block_on(async {
        let allowed = "https://app.example".to_owned();
        let running = Running::start(|config| config.server.cors.origins = vec![allowed]).await;
        let mut connection = running.connect().await;
        let answer = connection.get("/health", "origin: https://app.example\r\n").await;
        assert_eq!(answer.header("access-control-allow-origin"), Some("https://app.example"));
        let answer = connection.get("/health", "origin: https://other.example\r\n").await;
        assert_eq!(answer.header("access-control-allow-origin"), None);

        let running = Running::start(|config| config.server.cors.origins.clear()).await;
        let answer = running.connect().await.get("/health", "origin: https://a.example\r\n").await;
        assert_eq!((answer.status, answer.header("access-control-allow-origin")), (200, None));
    });
}

#[test]
fn http_2_is_spoken_with_prior_knowledge() {
    block_on(async {
        let running = Running::start(|_| ()).await;
        let address = running.federation.local_addr().unwrap();
        let stream = tokio::net::TcpStream::connect(address).await.unwrap();
        let (mut send, connection) = hyper::client::conn::http2::handshake(
            hyper_util::rt::TokioExecutor::new(),
            hyper_util::rt::TokioIo::new(stream),
        )
        .await
        .unwrap();
        let request = http::Request::get(format!("http://{address}/livez"))
            .body(downcity_core::Body::Empty)
            .unwrap();
        let answer = tokio::select! {
            answer = send.send_request(request) => answer.unwrap(),
            _ = connection => panic!("the connection ended"),
        };
        assert_eq!(answer.status(), 200);
        assert_eq!(answer.version(), http::Version::HTTP_2);
    });
}

#[test]
fn a_shutdown_finishes_streams_and_takes_no_further_connections() {
    block_on(async {
        let (slow, pieces) = Slow::new();
        let begun = slow.begun.clone();
        let running = Running::with_services(|_| (), |builder| builder.service(slow)).await;
        let mut idle = running.connect().await;
        assert_eq!(idle.get("/livez", "").await.status, 200);
        let mut stream = running.connect().await;
        stream.send("GET /v1/slow/stream HTTP/1.1\r\nhost: fed\r\n\r\n").await;
        begun.notified().await;
        pieces.send("data: 1\n\n").await.unwrap();
        assert!(stream.head().await.starts_with("HTTP/1.1 200 "));
        assert_eq!(stream.chunk().await.as_deref(), Some("data: 1\n\n"));

        let address = running.federation.local_addr().unwrap();
        let shutdown = async { running.federation.shutdown().await };
        let client = async {
            // The idle connection ends as soon as the shutdown begins.
            assert_eq!(idle.rest().await, "");
            assert!(tokio::net::TcpStream::connect(address).await.is_err());
            pieces.send("data: 2\n\n").await.unwrap();
            drop(pieces);
            assert_eq!(stream.chunk().await.as_deref(), Some("data: 2\n\n"));
            assert_eq!(stream.chunk().await, None);
            assert_eq!(stream.rest().await, "");
        };
        let (finished, ()) = tokio::join!(shutdown, client);
        assert!(finished);
    });
}

#[test]
fn a_shutdown_cuts_off_what_takes_too_long() {
    block_on(async {
        let (slow, pieces) = Slow::new();
        let begun = slow.begun.clone();
        let running = Running::with_services(
            |config| config.server.shutdown_timeout = downcity_server::config::Span::millis(30),
            |builder| builder.service(slow),
        )
        .await;
        let mut stream = connect(&running.federation).await;
        stream.send("GET /v1/slow/stream HTTP/1.1\r\nhost: fed\r\n\r\n").await;
        begun.notified().await;
        stream.head().await;
        assert!(!running.federation.shutdown().await);
        assert_eq!(stream.rest().await, "");
        assert!(pieces.is_closed(), "the stream is dropped with its connection");
    });
}

#[test]
fn a_call_under_way_is_answered_during_a_shutdown() {
    block_on(async {
        let (slow, pieces) = Slow::new();
        let begun = slow.begun.clone();
        let running = Running::with_services(|_| (), |builder| builder.service(slow)).await;
        let mut call = running.connect().await;
        call.send("GET /v1/slow/wait HTTP/1.1\r\nhost: fed\r\n\r\n").await;
        begun.notified().await;
        let stopping = running.federation.runtime().tasks().stopping();
        let shutdown = async { running.federation.shutdown().await };
        let client = async {
            pieces.send("done").await.unwrap();
            assert_eq!(call.answer().await.body, "\"done\"");
        };
        let (finished, ()) = tokio::join!(shutdown, client);
        assert!(finished && stopping.is_cancelled());
    });
}

#[test]
fn a_node_that_drains_serves_and_sends_its_clients_elsewhere() {
    block_on(async {
        let running = Running::start(|_| ()).await;
        assert!(!running.federation.is_followed());
        let mut kept = running.connect().await;
        assert_eq!(kept.get("/readyz", "").await.status, 200);
        assert!(running.federation.is_followed() && running.federation.is_healthy().await);
        running.federation.drain();
        assert!(!running.federation.is_healthy().await);

        let answer = kept.get("/readyz", "").await;
        assert_eq!((answer.status, answer.header("connection")), (503, Some("close")));
        assert_eq!(answer.header("retry-after"), Some("1"));
        assert!(answer.body.contains(r#""code":"shutting_down""#), "{}", answer.body);
        assert_eq!(kept.rest().await, "", "the connection ended with its answer");

        // Who comes all the same is served.
        let mut late = running.connect().await;
        let answer = late.get("/health", "").await;
        assert_eq!((answer.status, answer.header("connection")), (200, Some("close")));
        let mut late = running.connect().await;
        assert_eq!(late.admin_get("/v1/cities/list").await.status, 200);
        assert!(running.federation.shutdown().await);
    });
}

#[test]
fn a_node_that_drains_ends_http_2_connections_after_their_streams() {
    block_on(async {
        let (slow, pieces) = Slow::new();
        let begun = slow.begun.clone();
        let running = Running::with_services(|_| (), |builder| builder.service(slow)).await;
        let address = running.federation.local_addr().unwrap();
        let stream = tokio::net::TcpStream::connect(address).await.unwrap();
        let (mut send, connection) = hyper::client::conn::http2::handshake(
            hyper_util::rt::TokioExecutor::new(),
            hyper_util::rt::TokioIo::new(stream),
        )
        .await
        .unwrap();
        let request = http::Request::get(format!("http://{address}/v1/slow/wait"))
            .body(downcity_core::Body::Empty)
            .unwrap();
        let call = send.send_request(request);
        let server = async {
            begun.notified().await;
            running.federation.drain();
            pieces.send("done").await.unwrap();
        };
        let (answer, (), ended) = tokio::join!(call, server, connection);
        assert_eq!(answer.unwrap().status(), 200);
        ended.unwrap();
        assert!(send.is_closed(), "GOAWAY ended the connection after its stream");
        assert!(running.federation.shutdown().await);
    });
}
