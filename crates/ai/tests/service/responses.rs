//! `POST /v1/responses`

use downcity_testkit::{Answer, Gate, TestReply};
use http::Method;
use serde_json::{Value, json};

use crate::common::{
    Fixture, KEY, UPSTREAM_MODEL, chunk, completion, error_body, fixture, read_until, text_chunks,
    usage, with,
};

async fn ask(fixture: &Fixture, body: Value) -> TestReply {
    fixture.user.send(Method::POST, "/v1/responses", body.to_string().into()).await
}

/// The events of a streamed answer, by their data.
fn events(text: &str) -> Vec<Value> {
    let data = text.split("\n\n").filter_map(|event| event.split_once("data: "));
    data.map(|(_, data)| serde_json::from_str(data).unwrap()).collect()
}

fn names(events: &[Value]) -> Vec<&str> {
    events.iter().map(|event| event["type"].as_str().unwrap()).collect()
}

fn tokens() -> Value {
    json!({
        "input_tokens": 10, "input_tokens_details": {"cached_tokens": 4}, "output_tokens": 5,
        "output_tokens_details": {"reasoning_tokens": 2}, "total_tokens": 15,
    })
}

#[tokio::test]
async fn a_whole_answer_is_a_response() {
    let fixture = fixture().await;
    let answer = Answer::json(200, &completion("Hello")).header("x-request-id", "up-1");
    fixture.upstream.always(answer);
    let body = json!({
        "model": "chat", "input": "Hi", "instructions": "Be brief", "max_output_tokens": 50,
        "metadata": {"a": "b"}, "city_id": "city_a",
    });
    let reply = ask(&fixture, body).await;
    assert_eq!(reply.status, 200);
    assert_eq!(reply.header("content-type"), Some("application/json"));
    assert_eq!(reply.header("x-upstream-request-id"), Some("up-1"));
    let response = reply.json();
    assert_eq!(
        (&response["object"], &response["status"]),
        (&json!("response"), &json!("completed"))
    );
    assert_eq!((&response["model"], &response["store"]), (&json!("chat"), &json!(false)));
    assert_eq!(response["metadata"], json!({"a": "b"}));
    assert_eq!(response["output"][0]["content"][0]["text"], "Hello");
    assert_eq!(response["usage"], tokens());
    assert!(response["created_at"].as_i64().unwrap() > 0);
    assert!(response["id"].as_str().unwrap().starts_with("resp_"));
    let request = fixture.upstream.request();
    assert_eq!(
        request.json(),
        json!({
            "model": UPSTREAM_MODEL, "stream": false, "max_tokens": 50,
            "messages": [{"role": "system", "content": "Be brief"}, {"role": "user", "content": "Hi"}],
        }),
        "the limit has the name that the provider wants"
    );
    assert_eq!(request.headers["authorization"], format!("Bearer {KEY}"));
    let metering = &fixture.metered.all(1).await[0];
    assert_eq!(metering.raw_usage, Some(usage()));
    assert_eq!((metering.input_tokens, metering.cached_tokens), (Some(6), Some(4)));
    assert_eq!((metering.output_tokens, metering.model_id.as_deref()), (Some(5), Some("chat")));
}

#[tokio::test]
async fn a_stream_is_the_sequence_of_events() {
    let fixture = fixture().await;
    fixture.upstream.always(Answer::events(&text_chunks(&["Hel", "lo"])));
    let reply = ask(&fixture, json!({"input": "Hi", "stream": true})).await;
    assert_eq!(reply.header("content-type"), Some("text/event-stream"));
    assert_eq!(reply.header("cache-control"), Some("no-cache"));
    let text = reply.text();
    let events = events(&text);
    assert_eq!(names(&events)[..2], ["response.created", "response.in_progress"]);
    let last = events.last().unwrap();
    assert_eq!(last["type"], "response.completed");
    assert_eq!(last["response"]["output"][0]["content"][0]["text"], "Hello");
    assert_eq!(last["response"]["usage"], tokens());
    assert!(!text.contains("[DONE]"));
    assert_eq!(fixture.upstream.request().json()["stream_options"], json!({"include_usage": true}));
    let metering = &fixture.metered.all(1).await[0];
    assert_eq!(metering.raw_usage, Some(usage()));
    assert!(metering.first_byte_ms.is_some());
}

#[tokio::test]
async fn tools_go_there_and_back() {
    let fixture = fixture().await;
    let call = |index: usize| {
        json!({"index": index, "id": format!("call_{index}"), "type": "function",
            "function": {"name": "weather", "arguments": format!("{{\"city\":{index}}}")}})
    };
    let chunks = [
        chunk(json!({"reasoning_content": "Hm"}), None),
        chunk(json!({"tool_calls": [call(0)]}), None),
        chunk(json!({"tool_calls": [call(1)]}), Some("tool_calls")),
    ];
    fixture.upstream.always(Answer::events(&chunks));
    let tools = json!([{"type": "function", "name": "weather", "parameters": {"type": "object"}}]);
    let body = json!({"input": "Hi", "tools": tools, "stream": true});
    let told = events(&ask(&fixture, body).await.text());
    let output = told.last().unwrap()["response"]["output"].as_array().unwrap().clone();
    let kinds: Vec<&str> = output.iter().map(|item| item["type"].as_str().unwrap()).collect();
    assert_eq!(kinds, ["reasoning", "function_call", "function_call"]);

    fixture.upstream.always(Answer::json(200, &completion("Rain")));
    let mut input = vec![json!({"role": "user", "content": "Hi"})];
    input.extend(output);
    for id in ["call_0", "call_1"] {
        input.push(json!({"type": "function_call_output", "call_id": id, "output": "rain"}));
    }
    ask(&fixture, json!({"input": input, "tools": tools})).await.expect(200);
    let messages = fixture.upstream.arrived(1).await.json()["messages"].take();
    let roles: Vec<&str> = messages
        .as_array()
        .unwrap()
        .iter()
        .map(|message| message["role"].as_str().unwrap())
        .collect();
    assert_eq!(roles, ["user", "assistant", "tool", "tool"]);
    assert_eq!(messages[1]["reasoning_content"], "Hm");
    assert_eq!(messages[1]["tool_calls"][1]["function"]["arguments"], "{\"city\":1}");
}

#[tokio::test]
async fn what_is_refused_names_its_field_and_asks_nobody() {
    let fixture = fixture().await;
    for (name, value, status, code) in [
        ("store", json!(true), 400, "invalid_input"),
        ("previous_response_id", json!("resp_1"), 400, "invalid_input"),
        ("conversation", json!({"id": "conv_1"}), 400, "invalid_input"),
        ("background", json!(true), 400, "invalid_input"),
        ("prompt", json!({"id": "p"}), 422, "unsupported_content"),
        ("truncation", json!("auto"), 422, "unsupported_content"),
    ] {
        let error = ask(&fixture, json!({"input": "Hi", name: value})).await.expect(status);
        let error = error["error"].as_object().unwrap();
        let keys: Vec<&str> = error.keys().map(String::as_str).collect();
        assert_eq!(keys, ["message", "type", "param", "code"]);
        assert_eq!((&error["param"], &error["code"]), (&json!(name), &json!(code)));
        assert_eq!(error["type"], "invalid_request_error");
    }
    let deep: Value = (0..126).fold(json!([]), |inner, _| json!([inner]));
    let deep = ask(&fixture, json!({"input": "Hi", "x": deep})).await;
    assert!(matches!(deep.status.as_u16(), 400 | 422), "{}", deep.text());
    let unknown = ask(&fixture, json!({"input": "Hi", "model": "none"})).await.expect(404);
    assert_eq!(unknown["error"]["code"], "model_not_found");
    assert!(fixture.upstream.requests().is_empty());
}

#[tokio::test]
async fn failures_of_the_provider_have_a_status_or_end_the_stream() {
    let fixture = fixture().await;
    let body = || json!({"input": "Hi", "stream": true});
    fixture.upstream.always(Answer::json(429, &error_body("slow down")).header("retry-after", "7"));
    let reply = ask(&fixture, body()).await;
    assert_eq!(reply.header("retry-after"), Some("7"));
    assert_eq!(reply.expect(429), error_body("slow down"));
    fixture.upstream.always(Answer::json(401, &error_body("bad key")));
    assert_eq!(ask(&fixture, body()).await.expect(502)["error"]["code"], "upstream_auth");
    fixture.upstream.always(Answer::json(200, &completion("not a stream")));
    assert_eq!(ask(&fixture, body()).await.expect(502)["error"]["code"], "upstream_invalid");
    fixture.upstream.always(Answer::text(200, "text/html", "<html>"));
    let whole = ask(&fixture, json!({"input": "Hi"})).await.expect(502);
    assert_eq!(whole["error"]["code"], "upstream_invalid");
    let begun = || Answer::stream().event(&chunk(json!({"content": "He"}), None));
    for answer in
        [begun(), begun().cut(), begun().write("data: {not json\n\n").write("data: [DONE]\n\n")]
    {
        fixture.upstream.always(answer);
        let text = ask(&fixture, body()).await.text();
        let events = events(&text);
        assert_eq!(names(&events)[events.len() - 2..], ["error", "response.failed"], "{text}");
        let response = &events.last().unwrap()["response"];
        assert_eq!(
            (&response["status"], &response["error"]["code"]),
            (&json!("failed"), &json!("server_error"))
        );
        assert_eq!(response["output"][0]["content"][0]["text"], "He");
    }
}

#[tokio::test]
async fn words_arrive_while_the_provider_still_writes_and_silence_is_bridged() {
    let fixture = fixture().await;
    let gate = Gate::default();
    let answer = Answer::stream()
        .event(&chunk(json!({"content": "first"}), None))
        .wait(&gate)
        .event(&chunk(json!({"content": "last"}), Some("stop")));
    fixture.upstream.always(answer);
    let body = json!({"input": "Hi", "stream": true}).to_string();
    let mut response = fixture.user.open(Method::POST, "/v1/responses", body.into()).await;
    read_until(&mut response, "\"delta\":\"first\"").await;
    read_until(&mut response, ": keep-alive").await;
    gate.open();
    read_until(&mut response, "response.completed").await;
}

#[tokio::test]
async fn a_client_that_leaves_cancels_or_finishes_the_call() {
    for (policy, cancels) in [("cancel", true), ("finish", false)] {
        let fixture = with(|config| config["on_disconnect"] = json!(policy)).await;
        let gate = Gate::default();
        let answer = Answer::stream()
            .event(&chunk(json!({"content": "one"}), None))
            .wait(&gate)
            .event(&chunk(json!({}), Some("stop")));
        fixture.upstream.always(answer);
        let body = json!({"input": "Hi", "stream": true}).to_string();
        let mut response = fixture.user.open(Method::POST, "/v1/responses", body.into()).await;
        read_until(&mut response, "one").await;
        drop(response);
        if !cancels {
            gate.open();
        }
        assert_eq!(fixture.upstream.request().left_early().await, cancels);
    }
}

#[tokio::test]
async fn the_providers_key_is_shown_to_nobody() {
    let fixture = fixture().await;
    let said = format!("my key is {KEY}");
    fixture.upstream.always(Answer::json(200, &completion(&said)));
    let whole = ask(&fixture, json!({"input": "Hi"})).await.text();
    fixture.upstream.always(Answer::events(&text_chunks(&[&said])));
    let streamed = ask(&fixture, json!({"input": "Hi", "stream": true})).await.text();
    fixture.upstream.always(Answer::events(&[json!({"error": {"message": said}})]));
    let failed = ask(&fixture, json!({"input": "Hi", "stream": true})).await.text();
    fixture.upstream.always(Answer::json(400, &error_body(&said)));
    let refused = ask(&fixture, json!({"input": "Hi"})).await.text();
    for text in [whole, streamed, failed, refused] {
        assert!(text.contains("my key is *"), "{text}");
        assert!(!text.contains(KEY), "{text}");
    }
}
