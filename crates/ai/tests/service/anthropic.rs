//! The protocol `anthropic-messages`, through every surface.

use downcity_testkit::{Answer, TestReply};
use serde_json::{Value, json};

use crate::common::{Fixture, KEY, UPSTREAM_MODEL, with};

async fn fixture() -> Fixture {
    with(|config| {
        let url = config["provider"][0]["base_url"].clone();
        config["provider"][0] = json!({
            "id": "mock", "protocol": "anthropic-messages", "base_url": url,
            "env_key": "MOCK_API_KEY",
        });
    })
    .await
}

async fn ask(fixture: &Fixture, route: &str, input: Value) -> TestReply {
    fixture.user.post(&format!("/v1/ai/{route}"), input).await
}

fn usage() -> Value {
    json!({
        "input_tokens": 4, "cache_read_input_tokens": 4, "cache_creation_input_tokens": 2,
        "output_tokens": 5,
    })
}

fn message(content: Value, stop_reason: &str) -> Value {
    json!({
        "id": "msg_up", "type": "message", "role": "assistant", "model": UPSTREAM_MODEL,
        "content": content, "stop_reason": stop_reason, "usage": usage(),
    })
}

fn events() -> Vec<Value> {
    let delta = |delta: Value| json!({"type": "content_block_delta", "index": 0, "delta": delta});
    vec![
        json!({"type": "message_start", "message": {
            "id": "msg_up", "model": UPSTREAM_MODEL, "usage": usage(),
        }}),
        json!({"type": "content_block_start", "index": 0, "content_block": {"type": "text", "text": ""}}),
        json!({"type": "ping"}),
        delta(json!({"type": "text_delta", "text": "He"})),
        delta(json!({"type": "text_delta", "text": "llo"})),
        json!({"type": "content_block_stop", "index": 0}),
        json!({"type": "message_delta", "delta": {"stop_reason": "end_turn"}, "usage": {"output_tokens": 5}}),
        json!({"type": "message_stop"}),
    ]
}

/// Events as the API writes them: with names, and without `[DONE]`.
fn streamed(events: &[Value]) -> Answer {
    events.iter().fold(Answer::stream(), |answer, event| {
        answer.write(&format!("event: {}\ndata: {event}\n\n", event["type"].as_str().unwrap()))
    })
}

fn data(reply: &TestReply) -> Vec<Value> {
    let text = reply.text();
    let events = text.split("\n\n").filter_map(|event| event.strip_prefix("data: {"));
    events.map(|data| serde_json::from_str(&format!("{{{data}")).unwrap()).collect()
}

async fn metered(fixture: &Fixture) {
    let metering = fixture.metered.all(1).await.remove(0);
    assert_eq!(metering.upstream_model.as_deref(), Some(UPSTREAM_MODEL));
    let counts = (metering.input_tokens, metering.cached_tokens, metering.output_tokens);
    assert_eq!(counts, (Some(6), Some(4), Some(5)));
}

fn error(kind: &str, message: &str) -> Value {
    json!({"type": "error", "error": {"type": kind, "message": message}})
}

#[tokio::test]
async fn text() {
    let fixture = fixture().await;
    let content = json!([
        {"type": "thinking", "thinking": "hm", "signature": "x"},
        {"type": "text", "text": "Hello"},
        {"type": "tool_use", "id": "a", "name": "f", "input": {"x": 1}},
        {"type": "tool_use", "id": "b", "name": "f", "input": {}},
    ]);
    fixture.upstream.always(Answer::json(200, &message(content, "tool_use")));
    let tool = json!({"type": "function", "function": {"name": "f", "parameters": {}}});
    let input = json!({"system": "Be brief.", "prompt": "Hi", "tools": [tool]});
    let answer = ask(&fixture, "text", input).await.expect(200);
    let call = |id: &str, input: Value| json!({"type": "dynamic-tool", "toolCallId": id, "toolName": "f", "state": "input-available", "input": input});
    assert_eq!(answer["parts"][0]["text"], "hm");
    assert_eq!(answer["parts"][1], json!({"type": "text", "text": "Hello"}));
    assert_eq!(answer["parts"][2], call("a", json!({"x": 1})));
    assert_eq!(answer["parts"][3], call("b", json!({})));
    assert_eq!(answer["metadata"]["finishReason"], "tool-calls");
    assert_eq!(answer["metadata"]["usage"]["inputTokens"], 10);
    assert_eq!(answer["metadata"]["usage"]["cachedInputTokens"], 4);
    assert_eq!(answer["metadata"]["usage"]["outputTokens"], 5);
    metered(&fixture).await;
    let request = fixture.upstream.request();
    assert_eq!(request.target, "POST /v1/messages");
    assert_eq!(request.headers["x-api-key"], KEY);
    assert_eq!(request.headers["anthropic-version"], "2023-06-01");
    assert_eq!(request.headers.get("authorization"), None);
    let sent = request.json();
    assert_eq!(sent["model"], UPSTREAM_MODEL);
    assert_eq!(sent["max_tokens"], 4096);
    assert_eq!(sent["system"], json!([{"type": "text", "text": "Be brief."}]));
    assert_eq!(sent["tools"][0]["input_schema"]["type"], "object");
}

#[tokio::test]
async fn stream() {
    let fixture = fixture().await;
    fixture.upstream.always(streamed(&events()));
    let reply = ask(&fixture, "stream", json!({"prompt": "Hi"})).await;
    assert_eq!(reply.status, 200);
    let chunks = data(&reply);
    let deltas: String = chunks.iter().filter_map(|chunk| chunk["delta"].as_str()).collect();
    assert_eq!(deltas, "Hello");
    let finish = chunks.last().unwrap();
    assert_eq!(finish["finishReason"], "stop");
    assert_eq!(finish["messageMetadata"]["usage"]["inputTokens"], 10);
    assert!(reply.text().ends_with("data: [DONE]\n\n"));
    metered(&fixture).await;
    assert_eq!(fixture.upstream.request().json().get("stream_options"), None);
}

#[tokio::test]
async fn chat_completions() {
    let fixture = fixture().await;
    let messages = json!([{"role": "user", "content": "Hi"}]);
    let content = json!([{"type": "text", "text": "Hello"}]);
    fixture.upstream.then(Answer::json(200, &message(content, "max_tokens")));
    let input = json!({"model": "chat", "messages": messages});
    let answer = ask(&fixture, "chat/completions", input).await.expect(200);
    assert_eq!(answer["object"], "chat.completion");
    assert_eq!(answer["choices"][0]["message"]["content"], "Hello");
    assert_eq!(answer["choices"][0]["finish_reason"], "length");
    assert_eq!(answer["usage"]["prompt_tokens"], 10);
    metered(&fixture).await;
    for wants_usage in [true, false] {
        fixture.upstream.then(streamed(&events()));
        let input = json!({
            "model": "chat", "messages": messages, "stream": true,
            "stream_options": {"include_usage": wants_usage},
        });
        let reply = ask(&fixture, "chat/completions", input).await;
        let chunks = data(&reply);
        let texts = chunks.iter().map(|chunk| &chunk["choices"][0]["delta"]["content"]);
        assert_eq!(texts.filter_map(Value::as_str).collect::<String>(), "Hello");
        let told = chunks.iter().any(|chunk| chunk["usage"]["prompt_tokens"] == 10);
        assert_eq!(told, wants_usage);
        assert!(reply.text().ends_with("data: [DONE]\n\n"));
    }
    let all = fixture.metered.all(3).await;
    assert!(all.iter().all(|metering| metering.output_tokens == Some(5)));
}

#[tokio::test]
async fn errors_before_the_first_byte() {
    let fixture = fixture().await;
    let chat = json!({"model": "chat", "messages": [{"role": "user", "content": "Hi"}]});
    for (status, kind, text_status, chat_status) in [
        (400, "invalid_request_error", 400, 400),
        (401, "authentication_error", 502, 502),
        (429, "rate_limit_error", 429, 429),
        (529, "overloaded_error", 502, 503),
    ] {
        fixture.upstream.always(Answer::json(status, &error(kind, "As it is.")));
        for route in ["text", "stream"] {
            let reply = ask(&fixture, route, json!({"prompt": "Hi"})).await;
            assert_eq!(reply.status, text_status, "{route} {status}");
        }
        let reply = ask(&fixture, "chat/completions", chat.clone()).await;
        let answer = reply.expect(chat_status);
        if status != 401 {
            let words = json!({"message": "As it is.", "type": kind, "param": null, "code": kind});
            assert_eq!(answer["error"], words);
        }
        assert!(!reply.text().contains(KEY));
    }
    for broken in [
        Answer::text(200, "text/html", "<html>"),
        Answer::text(200, "application/json", "{}"),
        Answer::text(200, "application/json", "{"),
    ] {
        fixture.upstream.always(broken);
        for (route, input) in
            [("text", json!({"prompt": "Hi"})), ("chat/completions", chat.clone())]
        {
            assert_eq!(ask(&fixture, route, input).await.status, 502, "{route}");
        }
    }
}

#[tokio::test]
async fn errors_within_a_stream() {
    let fixture = fixture().await;
    let chat = json!({
        "model": "chat", "messages": [{"role": "user", "content": "Hi"}], "stream": true,
    });
    let mut told = events()[..4].to_vec();
    let cut = streamed(&told);
    told.push(error("overloaded_error", "Overloaded"));
    for answer in [streamed(&told), cut] {
        fixture.upstream.always(answer);
        let chunks = data(&ask(&fixture, "stream", json!({"prompt": "Hi"})).await);
        assert!(chunks.iter().any(|chunk| chunk["type"] == "error"), "{chunks:?}");
        assert_eq!(chunks.last().unwrap()["finishReason"], "error");
    }
    fixture.upstream.always(streamed(&told));
    let reply = ask(&fixture, "chat/completions", chat).await;
    assert_eq!(data(&reply).last().unwrap()["error"]["message"], "Overloaded");
    assert!(!reply.text().contains("[DONE]"));
}

#[tokio::test]
async fn fields_that_the_api_does_not_take_are_named() {
    let fixture = fixture().await;
    let input = json!({
        "model": "chat", "messages": [{"role": "user", "content": "Hi"}], "logprobs": true,
    });
    let reply = ask(&fixture, "chat/completions", input).await;
    assert_eq!(reply.status, 422);
    assert!(reply.text().contains("logprobs"), "{}", reply.text());
    let audio =
        json!({"type": "file", "mediaType": "audio/wav", "url": "data:audio/wav;base64,AA=="});
    let input = json!({"messages": [{"role": "user", "parts": [audio]}]});
    for route in ["text", "stream"] {
        let reply = ask(&fixture, route, input.clone()).await;
        assert_eq!(reply.status, 422);
        assert!(reply.text().contains("messages[0].content[0]"), "{}", reply.text());
    }
    assert!(fixture.upstream.requests().is_empty());
}

#[tokio::test]
async fn keys_are_tried() {
    let fixture = fixture().await;
    for (status, result) in [(200, "accepted"), (401, "refused")] {
        fixture.upstream.models(Answer::json(status, &json!({"data": []})));
        let input = json!({"key": "MOCK_API_KEY"});
        let answer = fixture.app.admin().post("/v1/env/test", input).await.expect(200);
        // Another provider of the fixture shares the key and cannot be reached.
        let tried = fixture.upstream.model_requests();
        let request = tried.last().unwrap();
        assert_eq!(request.target, "GET /v1/models");
        assert_eq!(request.headers["x-api-key"], KEY);
        assert_eq!(answer["result"], result);
    }
}

#[tokio::test]
async fn the_body_of_a_whole_answer_has_the_time_of_a_body() {
    let fixture = with(|config| {
        let url = config["provider"][0]["base_url"].clone();
        config["provider"][0] = json!({
            "id": "mock", "protocol": "anthropic-messages", "base_url": url,
            "env_key": "MOCK_API_KEY",
        });
        config["timeouts"] = json!({"first_byte_ms": 600_000, "idle_ms": 80});
    })
    .await;
    fixture.upstream.always(Answer::pieces("application/json").write("{").hang());
    let began = std::time::Instant::now();
    let message = json!({"role": "user", "content": "Hi"});
    for (route, input) in
        [("text", json!({"prompt": "Hi"})), ("chat/completions", json!({"messages": [message]}))]
    {
        ask(&fixture, route, input).await.expect(504);
    }
    assert!(began.elapsed().as_secs() < 60, "the head was there in time, and the pause too long");
}
