//! `POST /v1/ai/stream`

use downcity_testkit::{Answer, Gate};
use http::{Method, Request, Version};
use serde_json::{Value, json};

use crate::common::{
    Fixture, KEY, chunk, completion, error_body, fixture, read_until, text_chunks, with,
};

async fn ask(fixture: &Fixture, input: Value) -> downcity_testkit::TestReply {
    fixture.user.post("/v1/ai/stream", input).await
}

/// The chunks of a stream, its framing checked.
fn chunks(text: &str) -> Vec<Value> {
    let mut events: Vec<&str> =
        text.split("\n\n").filter(|event| !event.starts_with(':')).collect();
    assert_eq!(events.pop(), Some(""), "{text}");
    assert_eq!(events.pop(), Some("data: [DONE]"), "{text}");
    let data = events.iter().map(|event| event.strip_prefix("data: ").expect("a data line"));
    data.map(|data| serde_json::from_str(data).expect("JSON")).collect()
}

fn kinds(text: &str) -> Vec<String> {
    chunks(text).iter().map(|chunk| chunk["type"].as_str().unwrap().to_owned()).collect()
}

#[tokio::test]
async fn a_stream_has_the_documented_headers_and_chunks() {
    let fixture = fixture().await;
    let events = text_chunks(&["He", "llo"]);
    fixture.upstream.always(Answer::events(&events).header("set-cookie", "a=b"));
    let reply = ask(&fixture, json!({"prompt": "Hi", "city_id": "city_a"})).await;
    assert_eq!(reply.status, 200);
    for (name, value) in [
        ("content-type", "text/event-stream"),
        ("cache-control", "no-cache"),
        ("connection", "keep-alive"),
        ("x-vercel-ai-ui-message-stream", "v1"),
        ("x-accel-buffering", "no"),
    ] {
        assert_eq!(reply.header(name), Some(value));
    }
    assert_eq!(reply.header("set-cookie"), None);
    let chunks = chunks(&reply.text());
    assert_eq!(
        chunks[0]["messageMetadata"],
        json!({"model": "chat", "city_id": "city_a", "user_id": "user_1"})
    );
    assert!(chunks[0]["messageId"].as_str().unwrap().starts_with("msg_"));
    assert_eq!(
        chunks[1..7],
        [
            json!({"type": "start-step"}),
            json!({"type": "text-start", "id": "txt-0"}),
            json!({"type": "text-delta", "id": "txt-0", "delta": "He"}),
            json!({"type": "text-delta", "id": "txt-0", "delta": "llo"}),
            json!({"type": "text-end", "id": "txt-0"}),
            json!({"type": "finish-step"}),
        ]
    );
    assert_eq!(chunks[7]["messageMetadata"]["usage"]["totalTokens"], 15);
    assert_eq!(
        fixture.upstream.request().json(),
        json!({
            "model": "upstream-1", "messages": [{"role": "user", "content": "Hi"}],
            "stream": true, "stream_options": {"include_usage": true},
        })
    );
}

#[tokio::test]
async fn on_http_2_there_is_no_connection_header() {
    let fixture = fixture().await;
    fixture.upstream.always(Answer::events(&text_chunks(&["x"])));
    let token = fixture.app.token("city_a", "u").await;
    let request = Request::builder()
        .method(Method::POST)
        .uri("/v1/ai/stream")
        .version(Version::HTTP_2)
        .header("authorization", format!("Bearer {token}"))
        .body(json!({"prompt": "Hi"}).to_string().into())
        .unwrap();
    let response = fixture.app.handle(request).await;
    assert_eq!(response.status(), 200);
    assert!(response.headers().get("connection").is_none());
}

#[tokio::test]
async fn failures_before_the_first_byte_have_a_status() {
    let fixture = fixture().await;
    let html = "<html>Sign in</html>";
    for (answer, status, code) in [
        (Answer::json(401, &error_body(KEY)), 502, "upstream_auth"),
        (Answer::json(400, &error_body("Too long")), 400, "invalid_input"),
        (Answer::text(503, "text/plain", "busy"), 502, "upstream_error"),
        (Answer::text(200, "text/html", html), 502, "upstream_invalid"),
        (Answer::json(200, &completion("whole")), 502, "upstream_invalid"),
        (Answer::events(&[]).header("content-encoding", "gzip"), 502, "upstream_invalid"),
    ] {
        fixture.upstream.always(answer);
        let reply = ask(&fixture, json!({"prompt": "Hi"})).await;
        reply.expect_error(status, code);
        assert!(!reply.text().contains(KEY) && !reply.text().contains("<html>"));
    }
    let reply = ask(&fixture, json!({"prompt": "Hi", "model": "down"})).await;
    reply.expect_error(502, "upstream_error");
    let reply = ask(&fixture, json!({"prompt": "Hi", "city_id": "other"})).await;
    reply.expect_error(403, "city_mismatch");
}

#[tokio::test]
async fn the_end_of_an_answer_is_a_finish_reason_or_done() {
    let fixture = fixture().await;
    let begun = || Answer::stream().event(&chunk(json!({"content": "x"}), None));
    for (answer, reason) in [
        (begun().event(&chunk(json!({}), Some("stop"))), "stop"),
        (begun().write("data: [DONE]\n\n"), "other"),
        (Answer::stream(), "other"),
    ] {
        fixture.upstream.always(answer);
        let text = ask(&fixture, json!({"prompt": "Hi"})).await.text();
        assert_eq!(chunks(&text).last().unwrap()["finishReason"], reason, "{text}");
        assert!(!kinds(&text).contains(&"error".to_owned()), "{text}");
    }
}

#[tokio::test]
async fn later_failures_are_told_in_the_stream() {
    let fixture = with(|config| config["timeouts"] = json!({"idle_ms": 100})).await;
    let begun = || Answer::stream().event(&chunk(json!({"content": "half"}), None));
    for answer in [
        begun().cut(),
        // Ends in good order, but not where an answer ends.
        begun(),
        begun().write("data: {\"choices\":[{\"delta\":{\"content\":\"x"),
        begun().write("data: {not json\n\n"),
        begun().event(&error_body("overloaded")),
        begun().hang(),
        begun().write("data: \u{fffd}").write(&"x".repeat(9 * 1024 * 1024)),
    ] {
        fixture.upstream.always(answer);
        let text = ask(&fixture, json!({"prompt": "Hi"})).await.text();
        let expected = [
            "start",
            "start-step",
            "text-start",
            "text-delta",
            "error",
            "text-end",
            "finish-step",
            "finish",
        ];
        assert_eq!(kinds(&text), expected, "{text}");
        assert_eq!(chunks(&text)[7]["finishReason"], "error");
    }
}

#[tokio::test]
async fn a_stream_has_an_end_even_when_its_provider_never_stops() {
    let fixture = with(|config| config["timeouts"] = json!({"total_ms": 150})).await;
    let begin = chunk(json!({"content": "x"}), None);
    fixture.upstream.always(Answer::stream().event(&begin).hang());
    let text = ask(&fixture, json!({"prompt": "Hi"})).await.text();
    assert_eq!(chunks(&text).last().unwrap()["finishReason"], "error");
}

#[tokio::test]
async fn chunks_leave_at_once_and_silence_is_bridged() {
    let fixture = fixture().await;
    let gate = Gate::default();
    let answer = Answer::stream()
        .event(&chunk(json!({"content": "first"}), None))
        .wait(&gate)
        .event(&chunk(json!({"content": "last"}), Some("stop")))
        .write("data: [DONE]\n\n");
    fixture.upstream.always(answer);
    let mut response = fixture.open("stream", json!({"prompt": "Hi"})).await;
    let seen = read_until(&mut response, ": keep-alive\n\n").await;
    assert!(seen.contains("\"first\""), "{seen}");
    gate.open();
    read_until(&mut response, "data: [DONE]\n\n").await;
}

#[tokio::test]
async fn a_provider_that_keeps_its_connection_open_does_not_hold_the_message() {
    let fixture = fixture().await;
    fixture.upstream.always(Answer::events(&text_chunks(&["x"])).hang());
    let reply = ask(&fixture, json!({"prompt": "Hi"})).await;
    assert_eq!(chunks(&reply.text()).last().unwrap()["finishReason"], "stop");
}

#[tokio::test]
async fn a_caller_who_leaves_cancels_or_finishes_the_call() {
    for (policy, cancels) in [("cancel", true), ("finish", false)] {
        let fixture = with(|config| config["on_disconnect"] = json!(policy)).await;
        let gate = Gate::default();
        let mut answer =
            Answer::stream().event(&chunk(json!({"content": "one"}), None)).wait(&gate);
        for event in text_chunks(&["two"]) {
            answer = answer.event(&event);
        }
        fixture.upstream.always(answer);
        let mut response = fixture.open("stream", json!({"prompt": "Hi"})).await;
        read_until(&mut response, "\"one\"").await;
        drop(response);
        if !cancels {
            gate.open();
        }
        assert_eq!(fixture.upstream.request().left_early().await, cancels);
    }
}

#[tokio::test]
async fn a_caller_who_leaves_before_the_first_byte_cancels_the_call() {
    let fixture = fixture().await;
    fixture.upstream.always(Answer::stream().silent());
    let request = tokio::select! {
        request = fixture.upstream.arrived(0) => request,
        _ = fixture.open("stream", json!({"prompt": "Hi"})) => panic!("there is no answer yet"),
    };
    assert!(request.left_early().await);
}
