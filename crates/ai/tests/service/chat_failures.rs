//! `POST /v1/ai/chat/completions`: failures are always the four-key object.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use downcity_testkit::Answer;
use serde_json::{Value, json};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpListener;
use tokio::task::JoinSet;

use crate::common::{
    Fixture, KEY, Logged, chunk, completion, error_body, fixture, set_env, text_chunks, with,
};

async fn ask(fixture: &Fixture, input: &Value) -> downcity_testkit::TestReply {
    fixture.user.post("/v1/ai/chat/completions", input.clone()).await
}

#[track_caller]
fn envelope(body: &Value) -> &str {
    let error = body["error"].as_object().expect("an error object");
    let mut keys: Vec<&str> = error.keys().map(String::as_str).collect();
    keys.sort_unstable();
    assert_eq!(keys, ["code", "message", "param", "type"], "{body}");
    assert!(!error["message"].as_str().unwrap().is_empty());
    error["code"].as_str().unwrap()
}

#[tokio::test]
async fn the_callers_faults() {
    let fixture = fixture().await;
    for (input, status, code, param) in [
        (json!({"model": 5}), 400, "invalid_input", json!("model")),
        (json!({"stream": "yes"}), 400, "invalid_input", json!("stream")),
        (json!({"stream_options": []}), 400, "invalid_input", json!("stream_options")),
        (json!({"model": "nope"}), 422, "model_not_found", json!("model")),
        (json!({"model": "keyless"}), 500, "missing_config", Value::Null),
        (json!({"city_id": "other"}), 403, "city_mismatch", Value::Null),
    ] {
        let body = ask(&fixture, &input).await.expect(status);
        assert_eq!((envelope(&body), &body["error"]["param"]), (code, &param), "{body}");
        assert!(!body.to_string().contains("UNSET_API_KEY"));
    }
    let guest = fixture.app.guest().post("/v1/ai/chat/completions", json!({})).await.expect(401);
    assert_eq!(envelope(&guest), "missing_credential");
    let list = fixture.user.send(http::Method::POST, "/v1/ai/chat/completions", "[1]".into()).await;
    assert_eq!(envelope(&list.expect(400)), "invalid_json");
    assert!(fixture.upstream.requests().is_empty());
}

#[tokio::test]
async fn the_providers_refusals() {
    let fixture = fixture().await;
    let written = error_body("max_tokens is too large");
    for status in [400, 409, 429, 500, 503] {
        fixture.upstream.always(Answer::json(status, &written).header("retry-after", "7"));
        let reply = ask(&fixture, &json!({})).await;
        assert_eq!(reply.expect(status), written, "a JSON error passes as it is");
        assert_eq!(reply.header("retry-after"), Some("7"));
    }
    assert_eq!(fixture.metered.failures(), [400, 409, 429, 500, 503], "hooks see failed calls");
    for status in [401, 402, 403] {
        fixture.upstream.always(Answer::json(status, &error_body(KEY)));
        let reply = ask(&fixture, &json!({})).await;
        assert_eq!(envelope(&reply.expect(502)), "upstream_auth");
        assert!(!reply.text().contains(KEY));
    }
    for status in [404, 405] {
        fixture.upstream.always(Answer::json(status, &error_body("no such model upstream-1")));
        let reply = ask(&fixture, &json!({})).await;
        assert_eq!(envelope(&reply.expect(502)), "upstream_error", "our configuration is wrong");
        assert!(reply.text().contains("operator") && !reply.text().contains("upstream-1"));
    }
    fixture.upstream.always(Answer::json(400, &error_body(&format!("key {KEY}"))));
    assert_eq!(ask(&fixture, &json!({})).await.expect(400)["error"]["message"], "key ***");
    for (status, kind, text) in [
        (500, "text/plain", "Internal Server Error"),
        (502, "text/html", "<html>Bad Gateway</html>"),
        (503, "application/json", "{broken"),
        (429, "text/plain", ""),
    ] {
        fixture.upstream.always(Answer::text(status, kind, text));
        let reply = ask(&fixture, &json!({"stream": true})).await;
        envelope(&reply.expect(status));
        assert!(!reply.text().contains("<html>"));
    }
    fixture.upstream.always(Answer::text(307, "text/plain", "").header("location", "http://x"));
    assert_eq!(envelope(&ask(&fixture, &json!({})).await.expect(502)), "upstream_error");
}

#[tokio::test]
async fn the_providers_errors_have_the_four_keys() {
    let fixture = fixture().await;
    for (said, expected) in [
        (
            json!({"error": {"message": "No.", "code": "x", "more": 1}}),
            json!({
                "message": "No.", "code": "x", "more": 1, "param": null,
                "type": "invalid_request_error",
            }),
        ),
        (
            json!({"error": {"message": "No."}}),
            json!({
                "message": "No.", "code": "invalid_input", "param": null,
                "type": "invalid_request_error",
            }),
        ),
        (
            json!({"detail": "No."}),
            json!({
                "message": "No.", "code": "invalid_input", "param": null,
                "type": "invalid_request_error",
            }),
        ),
        (
            json!({"error": "No."}),
            json!({
                "message": "No.", "code": "invalid_input", "param": null,
                "type": "invalid_request_error",
            }),
        ),
    ] {
        fixture.upstream.always(Answer::json(400, &said));
        assert_eq!(ask(&fixture, &json!({})).await.expect(400)["error"], expected, "{said}");
    }
}

#[tokio::test]
async fn what_limits_the_answer_is_a_number_that_limits() {
    let fixture = fixture().await;
    for field in ["max_tokens", "max_completion_tokens", "n"] {
        for value in [json!(0), json!(-1), json!(1.5), json!("8"), json!([1])] {
            let error = ask(&fixture, &json!({field: value})).await.expect(400);
            assert_eq!(error["error"]["param"], field, "{value}");
        }
    }
    assert!(fixture.upstream.requests().is_empty());
    fixture.upstream.always(Answer::json(200, &completion("ok")));
    ask(&fixture, &json!({"max_tokens": null, "n": 1.0})).await.expect(200);
}

#[tokio::test]
async fn the_log_tells_the_failure_and_not_what_the_provider_wrote() {
    let fixture = fixture().await;
    let (logged, _guard) = Logged::listen();
    let wrong_type = json!({"choices": "PLANT"});
    for answer in [
        Answer::json(400, &error_body("you said PLANT")),
        Answer::json(401, &error_body("you said PLANT")),
        Answer::json(200, &error_body("you said PLANT")),
        Answer::json(200, &wrong_type),
        Answer::text(500, "text/plain", "PLANT"),
    ] {
        fixture.upstream.always(answer);
        for route in ["/v1/ai/text", "/v1/ai/stream", "/v1/ai/chat/completions"] {
            let input = json!({"prompt": "PLANT", "messages": []});
            fixture.user.post(route, input).await;
        }
    }
    let text = logged.text();
    assert!(text.contains("the provider failed") && !text.contains("PLANT"), "{text}");
}

#[tokio::test]
async fn answers_that_are_no_json() {
    let fixture = fixture().await;
    for stream in [false, true] {
        for answer in [
            Answer::text(200, "text/html", "<html>Sign in</html>"),
            Answer::text(200, "application/json", "<html>Sign in</html>"),
            Answer::text(200, "text/plain", "{broken"),
            Answer::text(200, "application/json", ""),
            Answer::text(200, "application/json", "{}"),
            Answer::text(200, "application/json", "{\"choices\":[]}"),
            Answer::text(200, "application/json", "{\"choices\":[{}]}"),
            Answer::pieces("application/json").write("{\"choices\": [ ]}"),
            Answer::text(200, "application/json", "\u{1}{}").header("content-encoding", "br"),
        ] {
            fixture.upstream.always(answer);
            let reply = ask(&fixture, &json!({"stream": stream})).await;
            assert_eq!(envelope(&reply.expect(502)), "upstream_invalid");
        }
    }
    // JSON under another name is JSON.
    let whole = completion("x").to_string();
    fixture.upstream.always(Answer::text(200, "text/plain", &whole));
    let reply = ask(&fixture, &json!({})).await;
    assert_eq!(
        (reply.header("content-type"), reply.text().as_str()),
        (Some("application/json"), whole.as_str())
    );
    // No answer, in a form that was not asked for.
    fixture.upstream.always(Answer::json(200, &completion("x")));
    let reply = ask(&fixture, &json!({"stream": true})).await;
    assert_eq!(envelope(&reply.expect(502)), "upstream_invalid");
    fixture.upstream.always(Answer::events(&text_chunks(&["x"])));
    let reply = ask(&fixture, &json!({})).await;
    assert_eq!(envelope(&reply.expect(502)), "upstream_invalid");
    // Blanks have to be passed on while a model works: what follows them can only break.
    fixture.upstream.always(Answer::pieces("application/json").write("\n").write("{\"a\":1}"));
    let body = json!({}).to_string().into();
    let reply = fixture.user.open(http::Method::POST, "/v1/ai/chat/completions", body).await;
    assert!(http_body_util::BodyExt::collect(reply.into_body()).await.is_err());
}

#[tokio::test]
async fn no_connection_and_no_answer() {
    let fixture =
        with(|config| config["timeouts"] = json!({"first_byte_ms": 80, "idle_ms": 80})).await;
    let reply = ask(&fixture, &json!({"model": "down"})).await;
    assert_eq!(envelope(&reply.expect(502)), "upstream_error");
    assert!(!reply.text().contains("127.0.0.1"));
    fixture.upstream.always(Answer::stream().silent());
    let reply = ask(&fixture, &json!({})).await;
    assert_eq!(envelope(&reply.expect(504)), "upstream_timeout");
    let requests = fixture.upstream.requests().len();
    assert_eq!(requests, 1, "a call that was sent is not repeated");
}

#[tokio::test]
async fn a_stream_that_breaks_off_ends_with_an_error_event() {
    let fixture = with(|config| config["timeouts"] = json!({"idle_ms": 80})).await;
    let half = chunk(json!({"content": "half"}), None);
    for (answer, code) in [
        (Answer::stream().event(&half).write("data: {\"cho").cut(), "upstream_error"),
        (Answer::stream().event(&half).hang(), "upstream_timeout"),
        // Ends in good order, but not where an answer ends.
        (Answer::stream().event(&half), "upstream_error"),
        (Answer::stream().event(&half).write("data: {\"cho"), "upstream_error"),
    ] {
        fixture.upstream.always(answer);
        let text = ask(&fixture, &json!({"stream": true})).await.text();
        let rest = text.strip_prefix(&format!("data: {half}\n\n")).expect("the whole event came");
        let error = rest.strip_prefix("data: ").unwrap().strip_suffix("\n\n").unwrap();
        assert_eq!(envelope(&serde_json::from_str(error).unwrap()), code);
    }
}

/// A provider that answers the first request of a connection and closes it over the second one;
/// with `closes_at_once`, over any. Gives its URL, and counts requests.
async fn closing_provider(closes_at_once: bool) -> (String, Arc<AtomicUsize>, JoinSet<()>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}/v1", listener.local_addr().unwrap());
    let requests = Arc::new(AtomicUsize::new(0));
    let counted = requests.clone();
    let mut tasks = JoinSet::new();
    tasks.spawn(async move {
        while let Ok((mut stream, _)) = listener.accept().await {
            for number in 0..2 {
                let mut request = Vec::new();
                while !request.ends_with(b"}") {
                    assert!(stream.read_buf(&mut request).await.unwrap() > 0, "a whole request");
                }
                counted.fetch_add(1, Ordering::Relaxed);
                if closes_at_once || number == 1 {
                    break;
                }
                let whole = completion("x").to_string();
                let head = "HTTP/1.1 200 OK\r\ncontent-type: application/json";
                let answer = format!("{head}\r\ncontent-length: {}\r\n\r\n{whole}", whole.len());
                stream.write_all(answer.as_bytes()).await.unwrap();
            }
        }
    });
    (url, requests, tasks)
}

#[tokio::test]
async fn a_kept_connection_that_the_provider_closed_is_replaced_once() {
    let (url, requests, _tasks) = closing_provider(false).await;
    let fixture = with(|config| config["provider"][0]["base_url"] = json!(url)).await;
    for _ in 0..3 {
        ask(&fixture, &json!({})).await.expect(200);
    }
    assert_eq!(requests.load(Ordering::Relaxed), 5, "the second and third were made again");
    let metered = fixture.metered.all(3).await;
    assert_eq!(metered.iter().filter_map(|call| call.request_count).collect::<Vec<_>>(), [1, 2, 2]);

    // A new connection that is closed over a request is the provider's failure.
    let (url, requests, _tasks) = closing_provider(true).await;
    let fixture = with(|config| config["provider"][0]["base_url"] = json!(url)).await;
    assert_eq!(envelope(&ask(&fixture, &json!({})).await.expect(502)), "upstream_error");
    assert_eq!(requests.load(Ordering::Relaxed), 1);
}

#[tokio::test]
async fn a_key_that_no_header_can_carry_is_the_operators_matter() {
    let fixture = fixture().await;
    set_env(&fixture.app, "MOCK_API_KEY", "line\nbreak").await;
    let body = ask(&fixture, &json!({})).await.expect(500);
    assert_eq!(envelope(&body), "missing_config");
    assert!(!body.to_string().contains("line"), "{body}");
}
