//! `POST /v1/messages`: the Messages API of Anthropic in front of any provider.

use downcity_testkit::{Answer, Client, Gate, TestReply};
use http::Method;
use serde_json::{Value, json};

use crate::common::{
    Fixture, KEY, UPSTREAM_MODEL, chunk, completion, error_body, fixture, next_piece, read_until,
    text_chunks, with,
};

const PATH: &str = "/v1/messages";

fn request(fields: Value) -> Value {
    let mut body = json!({"max_tokens": 64, "messages": [{"role": "user", "content": "Hi"}]});
    for (name, value) in fields.as_object().unwrap() {
        body[name] = value.clone();
    }
    body
}

async fn ask(fixture: &Fixture, fields: Value) -> TestReply {
    fixture.user.post(PATH, request(fields)).await
}

/// The events of a streamed answer, each of which names itself twice.
fn events(reply: &TestReply) -> Vec<Value> {
    let text = reply.text();
    let events = text.split_terminator("\n\n").map(|event| {
        let (name, data) = event.split_once("\ndata: ").expect("a name and data");
        let data: Value = serde_json::from_str(data).unwrap();
        assert_eq!(name, format!("event: {}", data["type"].as_str().unwrap()));
        data
    });
    events.collect()
}

fn kinds(events: &[Value]) -> Vec<&str> {
    events.iter().map(|event| event["type"].as_str().unwrap()).collect()
}

/// Checks an error of the surface, and gives it.
fn refused(reply: &TestReply, status: u16, kind: &str) -> Value {
    assert_eq!(reply.status.as_u16(), status, "{}", reply.text());
    let body = reply.json();
    assert_eq!(body["type"], "error", "{body}");
    assert_eq!(body["error"]["type"], kind, "{body}");
    assert!(body["error"]["message"].as_str().is_some_and(|text| !text.is_empty()), "{body}");
    let request_id = reply.header("request-id").expect("every answer names its id");
    assert_eq!(body["request_id"], request_id);
    assert_eq!(reply.header("x-request-id"), Some(request_id));
    body["error"].clone()
}

fn claude(config: &mut Value) {
    let url = config["provider"][0]["base_url"].clone();
    config["provider"][0] = json!({
        "id": "mock", "protocol": "anthropic-messages", "base_url": url, "env_key": "MOCK_API_KEY",
    });
}

#[tokio::test]
async fn a_whole_answer() {
    let fixture = fixture().await;
    fixture.upstream.always(Answer::json(200, &completion("Hello")));
    let fields = json!({"model": "chat", "system": "Be brief.", "city_id": "city_a"});
    let reply = ask(&fixture, fields).await;
    let answer = reply.expect(200);
    let id = answer["id"].as_str().unwrap();
    assert!(id.starts_with("msg_") && id.len() > 20, "{id}");
    assert_eq!(
        answer,
        json!({
            "id": id, "type": "message", "role": "assistant", "model": "chat",
            "content": [{"type": "text", "text": "Hello"}],
            "stop_reason": "end_turn", "stop_sequence": null,
            "usage": {"input_tokens": 6, "cache_creation_input_tokens": 0,
                "cache_read_input_tokens": 4, "output_tokens": 5},
        })
    );
    assert_eq!(reply.header("content-type"), Some("application/json"));
    assert_eq!(reply.header("request-id"), reply.header("x-request-id"));
    let sent = fixture.upstream.request();
    assert_eq!(sent.target, "POST /v1/chat/completions");
    assert_eq!(sent.headers["authorization"], format!("Bearer {KEY}"));
    assert_eq!(
        sent.json(),
        json!({
            "model": UPSTREAM_MODEL, "max_tokens": 64,
            "messages": [
                {"role": "system", "content": "Be brief."}, {"role": "user", "content": "Hi"},
            ],
        })
    );
    let metering = fixture.metered.all(1).await.remove(0);
    let counts = (metering.input_tokens, metering.cached_tokens, metering.output_tokens);
    assert_eq!(counts, (Some(6), Some(4), Some(5)));
}

#[tokio::test]
async fn a_stream() {
    let fixture = fixture().await;
    let mut chunks = vec![chunk(json!({"reasoning_content": "hm"}), None)];
    chunks.extend(text_chunks(&["Hel", "lo"]));
    fixture.upstream.always(Answer::events(&chunks));
    let reply = ask(&fixture, json!({"stream": true})).await;
    assert_eq!(reply.status, 200);
    assert_eq!(reply.header("content-type"), Some("text/event-stream"));
    assert!(reply.header("request-id").is_some());
    let events = events(&reply);
    assert_eq!(
        kinds(&events),
        [
            "message_start",
            "content_block_start",
            "content_block_delta",
            "content_block_stop",
            "content_block_start",
            "content_block_delta",
            "content_block_delta",
            "content_block_stop",
            "message_delta",
            "message_stop",
        ]
    );
    assert_eq!(events[0]["message"]["model"], "chat");
    assert_eq!(events[0]["message"]["content"], json!([]));
    assert_eq!(events[2]["delta"], json!({"type": "thinking_delta", "thinking": "hm"}));
    assert_eq!(events[6]["delta"], json!({"type": "text_delta", "text": "lo"}));
    assert_eq!(events[8]["delta"], json!({"stop_reason": "end_turn", "stop_sequence": null}));
    assert_eq!(events[8]["usage"]["output_tokens"], 5);
    let sent = fixture.upstream.request().json();
    assert_eq!(
        (&sent["stream"], &sent["stream_options"]["include_usage"]),
        (&json!(true), &json!(true))
    );
    let metering = fixture.metered.all(1).await.remove(0);
    assert_eq!(metering.output_tokens, Some(5));
}

#[tokio::test]
async fn tools_there_and_back() {
    let fixture = fixture().await;
    let call = |index: usize, id: &str, city: &str| {
        let arguments = json!({ "city": city }).to_string();
        let function = json!({"name": "weather", "arguments": arguments});
        json!({"index": index, "id": id, "type": "function", "function": function})
    };
    let calls = [call(0, "call_a", "Paris"), call(1, "call_b", "Rome")];
    let mut said = completion("");
    said["choices"][0]["message"] =
        json!({"role": "assistant", "content": null, "tool_calls": calls});
    said["choices"][0]["finish_reason"] = json!("tool_calls");
    fixture.upstream.then(Answer::json(200, &said));
    fixture.upstream.then(Answer::events(&[
        chunk(json!({"tool_calls": calls}), None),
        chunk(json!({}), Some("tool_calls")),
    ]));
    fixture.upstream.then(Answer::json(200, &completion("Warm.")));
    let tools = json!([{"name": "weather", "input_schema": {"type": "object"}}]);
    let content = json!([
        {"type": "tool_use", "id": "call_a", "name": "weather", "input": {"city": "Paris"}},
        {"type": "tool_use", "id": "call_b", "name": "weather", "input": {"city": "Rome"}},
    ]);
    let first = ask(&fixture, json!({"tools": tools, "tool_choice": {"type": "any"}})).await;
    let first = first.expect(200);
    assert_eq!((&first["content"], &first["stop_reason"]), (&content, &json!("tool_use")));
    assert_eq!(fixture.upstream.arrived(0).await.json()["tool_choice"], "required");

    let reply = ask(&fixture, json!({"tools": tools, "stream": true})).await;
    let streamed = events(&reply);
    let blocks: Vec<_> = streamed
        .iter()
        .filter(|event| event["type"] == "content_block_start")
        .map(|event| event["content_block"]["id"].clone())
        .collect();
    assert_eq!(blocks, ["call_a", "call_b"]);
    let inputs: String =
        streamed.iter().filter_map(|event| event["delta"]["partial_json"].as_str()).collect();
    assert_eq!(inputs, r#"{"city":"Paris"}{"city":"Rome"}"#);

    let result =
        |id: &str, text: &str| json!({"type": "tool_result", "tool_use_id": id, "content": text});
    let messages = json!([
        {"role": "user", "content": "How warm?"},
        {"role": "assistant", "content": content},
        {"role": "user", "content": [result("call_a", "20"), result("call_b", "25")]},
    ]);
    let last = ask(&fixture, json!({"messages": messages, "tools": tools})).await.expect(200);
    assert_eq!(last["content"][0]["text"], "Warm.");
    let sent = fixture.upstream.arrived(2).await.json();
    assert_eq!(sent["messages"][1]["tool_calls"][1]["id"], "call_b");
    let results = json!([
        {"role": "tool", "tool_call_id": "call_a", "content": "20"},
        {"role": "tool", "tool_call_id": "call_b", "content": "25"},
    ]);
    assert_eq!(json!(sent["messages"].as_array().unwrap()[2..]), results);
}

#[tokio::test]
async fn a_model_of_the_same_api_keeps_its_signatures_and_marks() {
    let fixture = with(claude).await;
    let content = json!([
        {"type": "thinking", "thinking": "hm", "signature": "sig"},
        {"type": "text", "text": "Let me look."},
        {"type": "tool_use", "id": "toolu_1", "name": "weather", "input": {"city": "Paris"}},
    ]);
    let usage = json!({"input_tokens": 4, "cache_read_input_tokens": 3, "cache_creation_input_tokens": 2, "output_tokens": 5});
    fixture.upstream.always(Answer::json(
        200,
        &json!({
            "id": "msg_up", "type": "message", "role": "assistant", "model": UPSTREAM_MODEL,
            "content": content, "stop_reason": "tool_use", "stop_sequence": null, "usage": usage,
        }),
    ));
    let mark = json!({"type": "ephemeral"});
    let thinking = json!({"type": "enabled", "budget_tokens": 1024});
    let fields = json!({
        "system": [{"type": "text", "text": "Long.", "cache_control": mark}],
        "thinking": thinking, "top_k": 5, "max_tokens": 2048,
        "tools": [{"name": "weather", "input_schema": {"type": "object"}, "cache_control": mark}],
        "output_config": {"effort": "low"},
    });
    let first = ask(&fixture, fields.clone()).await.expect(200);
    assert_eq!(first["content"], content);
    assert_eq!(first["stop_reason"], "tool_use");
    let told = json!({"input_tokens": 4, "cache_creation_input_tokens": 2, "cache_read_input_tokens": 3, "output_tokens": 5});
    assert_eq!(first["usage"], told);
    let sent = fixture.upstream.request().json();
    assert_eq!(sent["system"], fields["system"]);
    assert_eq!(sent["tools"], fields["tools"]);
    assert_eq!((&sent["thinking"], &sent["top_k"]), (&thinking, &json!(5)));
    assert_eq!(
        (&sent["max_tokens"], &sent["output_config"]),
        (&json!(2048), &fields["output_config"])
    );

    let result = json!([{"type": "tool_result", "tool_use_id": "toolu_1", "is_error": true,
        "content": [{"type": "text", "text": "No such city."}]}]);
    let messages = json!([
        {"role": "user", "content": [{"type": "text", "text": "Hi"}]},
        {"role": "assistant", "content": content},
        {"role": "user", "content": result},
    ]);
    let mut second = fields.clone();
    second["messages"] = messages.clone();
    ask(&fixture, second).await.expect(200);
    assert_eq!(fixture.upstream.arrived(1).await.json()["messages"], messages);
}

#[tokio::test]
async fn a_signature_ends_its_block_in_a_stream() {
    let fixture = with(claude).await;
    let delta = |index: u64, delta: Value| json!({"type": "content_block_delta", "index": index, "delta": delta});
    let begin = |index: u64, block: Value| json!({"type": "content_block_start", "index": index, "content_block": block});
    let stop = |index: u64| json!({"type": "content_block_stop", "index": index});
    let native = [
        json!({"type": "message_start", "message": {"id": "msg_up", "model": UPSTREAM_MODEL, "usage": {"input_tokens": 9, "output_tokens": 1}}}),
        begin(0, json!({"type": "thinking", "thinking": "", "signature": ""})),
        delta(0, json!({"type": "thinking_delta", "thinking": "hm"})),
        delta(0, json!({"type": "signature_delta", "signature": "sig"})),
        stop(0),
        begin(1, json!({"type": "text", "text": ""})),
        delta(1, json!({"type": "text_delta", "text": "Hello"})),
        stop(1),
        json!({"type": "message_delta", "delta": {"stop_reason": "stop_sequence", "stop_sequence": "END"}, "usage": {"output_tokens": 5}}),
        json!({"type": "message_stop"}),
    ];
    let answer = native.iter().fold(Answer::stream(), |answer, event| {
        answer.write(&format!("event: {}\ndata: {event}\n\n", event["type"].as_str().unwrap()))
    });
    fixture.upstream.always(answer);
    let reply = ask(&fixture, json!({"stream": true})).await;
    let events = events(&reply);
    // But for ids, the model's name and the usage of the beginning the events are those of the API.
    assert_eq!(events[1..8], native[1..8]);
    assert_eq!(events[8]["delta"], native[8]["delta"]);
    assert_eq!(events[8]["usage"]["input_tokens"], 9);
    assert_eq!(events[8]["usage"]["output_tokens"], 5);
}

#[tokio::test]
async fn a_silent_provider_is_covered_by_pings() {
    let fixture = fixture().await;
    let gate = Gate::default();
    let answer = Answer::stream().event(&chunk(json!({"content": "So"}), None)).wait(&gate);
    fixture
        .upstream
        .always(answer.event(&chunk(json!({}), Some("stop"))).write("data: [DONE]\n\n"));
    let body = request(json!({"stream": true})).to_string();
    let mut response = fixture.user.open(Method::POST, PATH, body.into()).await;
    let seen = read_until(&mut response, "event: ping\ndata: {\"type\":\"ping\"}\n\n").await;
    assert!(seen.contains("\"text\":\"So\""), "{seen}");
    gate.open();
    let rest = read_until(&mut response, "message_stop").await;
    assert!(rest.contains("end_turn"), "{rest}");
    while next_piece(&mut response).await.is_some() {}
}

#[tokio::test]
async fn a_stream_that_breaks_off_ends_with_an_error() {
    let fixture = fixture().await;
    let begun = Answer::stream().event(&chunk(json!({"content": "So"}), None));
    for (answer, code) in [
        (begun.clone().cut(), "upstream_error"),
        (begun.clone(), "upstream_error"),
        (begun.clone().write("data: {broken\n\n"), "upstream_invalid"),
        (begun.event(&error_body("Overloaded")), "upstream_error"),
    ] {
        fixture.upstream.always(answer);
        let reply = ask(&fixture, json!({"stream": true})).await;
        let events = events(&reply);
        let last = events.last().unwrap();
        assert_eq!(last["type"], "error", "{code}: {events:?}");
        assert_eq!(
            (&last["error"]["type"], &last["error"]["code"]),
            (&json!("api_error"), &json!(code))
        );
        assert_eq!(last["request_id"], reply.header("request-id").unwrap());
    }
}

fn keyed(client: &Client, key: &str) -> Client {
    client.clone().with_header("x-api-key", key)
}

#[tokio::test]
async fn a_user_token_is_the_api_key_and_no_other_key_is() {
    let fixture = fixture().await;
    fixture.upstream.always(Answer::json(200, &completion("Hello")));
    let app = &fixture.app;
    let token = app.token("city_a", "user_1").await;
    let (guest, input) = (app.guest(), request(json!({})));
    keyed(&guest, &token).post(PATH, input.clone()).await.expect(200);
    fixture.user.post(PATH, input.clone()).await.expect(200);
    let key = json!({"name": "K", "actions": ["*"]});
    let service = app.admin().post("/v1/keys/create", key).await.expect(200);
    let service = service["key"].as_str().expect("a service key");
    for trusted in [downcity_testkit::ADMIN_KEY, service] {
        let reply = keyed(&guest, trusted).post(PATH, input.clone()).await;
        let error = refused(&reply, 401, "authentication_error");
        assert_eq!(error["code"], "invalid_credential");
        let message = error["message"].as_str().unwrap();
        assert!(message.contains("x-api-key takes user_tokens alone"), "{message}");
    }
    // As a bearer credential they are good, but stand for no user.
    for trusted in [app.admin(), app.user(service)] {
        let reply = trusted.post(PATH, input.clone()).await;
        refused(&reply, 403, "permission_error");
    }
    for (client, code) in [
        (guest.clone(), "missing_credential"),
        (keyed(&guest, "sk-ant-wrong"), "invalid_credential"),
        // Two credentials contradict each other.
        (keyed(&fixture.user, "sk-ant-wrong"), "invalid_credential"),
        (keyed(&app.admin(), &token), "invalid_credential"),
    ] {
        let reply = client.post(PATH, input.clone()).await;
        assert_eq!(refused(&reply, 401, "authentication_error")["code"], code);
    }
    // The header counts on this surface alone.
    let elsewhere = keyed(&guest, &token).post("/v1/ai/text", json!({"prompt": "Hi"})).await;
    elsewhere.expect_error(401, "missing_credential");
    assert_eq!(fixture.upstream.requests().len(), 2);
}

#[tokio::test]
async fn failures_have_the_form_of_the_api() {
    let fixture = fixture().await;
    for (answer, status, kind) in [
        (Answer::json(400, &error_body("Too long")), 400, "invalid_request_error"),
        (Answer::json(404, &error_body("No model")), 502, "api_error"),
        (Answer::json(401, &error_body("Bad key")), 502, "api_error"),
        (Answer::json(413, &error_body("Large")), 413, "request_too_large"),
        (
            Answer::json(429, &error_body("Slow")).header("retry-after", "7"),
            429,
            "rate_limit_error",
        ),
        (Answer::json(500, &error_body("Oh")), 500, "api_error"),
        (Answer::text(503, "text/plain", "busy"), 503, "overloaded_error"),
        (Answer::text(200, "text/html", "<html>"), 502, "api_error"),
    ] {
        fixture.upstream.always(answer);
        for stream in [false, true] {
            let reply = ask(&fixture, json!({ "stream": stream })).await;
            let error = refused(&reply, status, kind);
            let words = error["message"].as_str().unwrap();
            assert_eq!(words == "Too long", status == 400, "{words}");
            assert_eq!(reply.header("retry-after"), (status == 429).then_some("7"));
        }
    }
    let asked = fixture.upstream.requests().len();
    let broken = fixture.user.send(Method::POST, PATH, "{".into()).await;
    refused(&broken, 400, "invalid_request_error");
    for (fields, name) in [
        (json!({"max_tokens": null}), "max_tokens"),
        (json!({"tools": [{"type": "bash_20250124", "name": "bash"}]}), "tools[0].type"),
        (json!({"container": "c"}), "container"),
    ] {
        let error = refused(&ask(&fixture, fields).await, 400, "invalid_request_error");
        let message = error["message"].as_str().unwrap();
        assert!(message.starts_with(&format!("{name}: ")), "{message}");
    }
    let unknown = ask(&fixture, json!({"model": "no-such-model"})).await;
    assert!(
        refused(&unknown, 404, "not_found_error")["message"].to_string().contains("no-such-model")
    );
    let elsewhere = ask(&fixture, json!({"city_id": "city_b"})).await;
    refused(&elsewhere, 403, "permission_error");
    let down = ask(&fixture, json!({"model": "down"})).await;
    refused(&down, 502, "api_error");
    assert_eq!(fixture.upstream.requests().len(), asked, "nothing more was asked");
}

#[tokio::test]
async fn what_is_beside_the_surface_is_refused_in_its_form() {
    let fixture = fixture().await;
    let reply = fixture.user.post("/v1/messages/count_tokens", request(json!({}))).await;
    assert_eq!(refused(&reply, 404, "not_found_error")["code"], "not_found");
    let reply = fixture.user.get(PATH).await;
    assert_eq!(refused(&reply, 405, "invalid_request_error")["code"], "method_not_allowed");
    assert_eq!(reply.header("allow"), Some("POST, OPTIONS"));
    // Elsewhere the form is the Federation's own.
    fixture.user.post("/v1/nothing", json!({})).await.expect_error(404, "not_found");
}
