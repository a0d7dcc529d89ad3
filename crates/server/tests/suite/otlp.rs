//! Spans of requests, at a collector of the test.

use std::sync::Arc;
use std::time::Duration;

use downcity_server::prelude::*;
use downcity_testkit::tokio::time::Instant;
use downcity_testkit::{Answer, MockUpstream, block_on};

use crate::support::{ADMIN_KEY, Connection, Running};

/// Has a path with a part that callers choose.
struct Shelf;

#[derive(Deserialize, JsonSchema)]
struct Which {
    id: String,
}

impl Shelf {
    async fn find(self: Arc<Self>, _: Cx, which: Which) -> Result<String> {
        Ok(which.id)
    }
}

impl Service for Shelf {
    fn id(&self) -> &'static str {
        "shelf"
    }

    fn name(&self) -> &'static str {
        "Shelf"
    }

    fn define(self: Arc<Self>, s: &mut ServiceDef) {
        s.get("of/{id}", USER, &self, Self::find).summary("Find one by its id.");
    }
}

/// A Federation that exports to this address.
async fn exporting(endpoint: String) -> Running {
    let change = |config: &mut Config| {
        config.telemetry.otlp_endpoint = Some(endpoint);
        config.telemetry.service_name = "federation-under-test".to_owned();
    };
    Running::with_services(change, |builder| builder.service(Shelf)).await
}

async fn post(connection: &mut Connection, path: &str, body: &str) -> serde_json::Value {
    let length = body.len();
    connection
        .send(format!(
            "POST {path} HTTP/1.1\r\nhost: fed\r\nauthorization: Bearer {ADMIN_KEY}\r\n\
             content-length: {length}\r\n\r\n{body}"
        ))
        .await;
    let answer = connection.answer().await;
    assert_eq!(answer.status, 200, "{path}: {}", answer.body);
    serde_json::from_str(&answer.body).unwrap()
}

fn holds(body: &[u8], wanted: &[u8]) -> bool {
    body.windows(wanted.len()).any(|window| window == wanted)
}

/// `traceparent` of a trace whose id is this byte sixteen times, and its span the byte eight times.
fn trace(byte: u8, sampled: bool) -> String {
    let hex = |length| format!("{byte:02x}").repeat(length);
    format!("traceparent: 00-{}-{}-0{}\r\n", hex(16), hex(8), u8::from(sampled))
}

#[test]
fn a_request_is_a_span_of_its_callers_trace_and_shows_no_secret() {
    block_on(async {
        let collector = MockUpstream::start().await;
        collector.always(Answer::text(200, "application/x-protobuf", ""));
        let endpoint = collector.url().trim_end_matches("/v1").to_owned();
        let running = exporting(endpoint).await;
        let mut connection = running.connect().await;
        let secrets = "authorization: Bearer geheim\r\ncookie: geheim\r\ntracestate: a=geheim\r\n";
        for (target, headers, status) in [
            ("/v1/shelf/of/geheim?x=geheim", trace(0xab, true), 401),
            ("/geheim", trace(0xac, true), 404),
            ("/livez?geheim", trace(0xad, false), 200),
            ("/readyz", "traceparent: geheim\r\n".to_owned(), 200),
        ] {
            let answer = connection.get(target, &format!("{headers}{secrets}")).await;
            assert_eq!(answer.status, status, "{target}: {}", answer.body);
        }
        let city = "{\"city_id\":\"city_traced\",\"name\":\"geheim\"}";
        post(&mut connection, "/v1/cities/create", city).await;
        let user = "{\"city_id\":\"city_traced\",\"user_id\":\"geheim@example.com\"}";
        let issued = post(&mut connection, "/v1/cities/tokens/apply", user).await;
        let token = issued["user_token"].as_str().unwrap();
        let bearer = format!("authorization: Bearer {token}\r\n");
        assert_eq!(connection.get("/v1/shelf/of/geheim", &bearer).await.status, 200);
        assert!(running.federation.shutdown().await);

        let requests = collector.requests();
        assert!(!requests.is_empty());
        let mut all = Vec::new();
        for request in &requests {
            assert_eq!(request.target, "POST /v1/traces");
            assert_eq!(request.headers["content-type"], "application/x-protobuf");
            assert!(!request.headers.values().any(|value| holds(value.as_bytes(), b"geheim")));
            all.extend_from_slice(&request.body);
        }
        for wanted in [
            &b"federation-under-test"[..],
            b"GET /v1/shelf/of/{id}",
            b"POST /v1/cities/create",
            b"GET /readyz",
            b"http.response.status_code",
            b"invalid_credential",
            b"not_found",
            b"admin",
            b"city_traced",
            &[0xab; 16],
            &[0xab; 8],
            &[0xac; 16],
        ] {
            assert!(holds(&all, wanted), "{}", String::from_utf8_lossy(wanted));
        }
        for secret in [&b"geheim"[..], ADMIN_KEY.as_bytes(), token.as_bytes()] {
            assert!(!holds(&all, secret), "{}", String::from_utf8_lossy(&all));
        }
        // Its caller does not record this trace.
        assert!(!holds(&all, &[0xad; 16]));
    });
}

#[test]
fn a_collector_that_is_gone_or_silent_holds_nobody_up() {
    block_on(async {
        let silent = MockUpstream::start().await;
        silent.always(Answer::stream().silent().hang());
        let silent = silent.url().trim_end_matches("/v1").to_owned();
        for endpoint in ["http://127.0.0.1:1".to_owned(), silent] {
            let running = exporting(endpoint).await;
            let mut connection = running.connect().await;
            let began = Instant::now();
            for _ in 0..200 {
                assert_eq!(connection.get("/livez", "").await.status, 200);
            }
            assert!(began.elapsed() < Duration::from_secs(5), "{:?}", began.elapsed());
            assert!(running.federation.shutdown().await);
            assert!(began.elapsed() < Duration::from_secs(10), "{:?}", began.elapsed());
        }
    });
}
