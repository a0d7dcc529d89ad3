//! Models of Gemini through `text`, `stream` and `chat/completions` alike.

use downcity_testkit::{Answer, TestReply};
use serde_json::{Value, json};

use crate::common::{Fixture, KEY, with};

async fn fixture() -> Fixture {
    with(|config| {
        config["provider"][0]["protocol"] = json!("gemini-generate-content");
        config["model"][2]["upstream_model"] = json!("gemini-2.5-pro");
    })
    .await
}

async fn ask(fixture: &Fixture, route: &str, input: Value) -> TestReply {
    fixture.user.post(&format!("/v1/ai/{route}"), input).await
}

fn candidate(parts: Value, finish: Option<&str>) -> Value {
    json!({
        "responseId": "r1",
        "candidates": [{"index": 0, "content": {"role": "model", "parts": parts}, "finishReason": finish}],
        "usageMetadata": {
            "promptTokenCount": 10, "candidatesTokenCount": 3, "thoughtsTokenCount": 2,
            "cachedContentTokenCount": 4, "totalTokenCount": 15,
        },
    })
}

fn events(events: &[Value]) -> Answer {
    events.iter().fold(Answer::stream(), Answer::event)
}

fn failed(status: u16, message: &str, details: Value) -> Answer {
    let error = json!({"code": status, "message": message, "status": "X", "details": details});
    Answer::json(status, &json!({"error": error}))
}

#[tokio::test]
async fn a_text_is_asked_for_and_answered_in_ui_messages() {
    let fixture = fixture().await;
    let parts = json!([{"text": "Hm", "thought": true}, {"text": "Hello"}]);
    fixture.upstream.always(Answer::json(200, &candidate(parts, Some("STOP"))));
    let input = json!({"prompt": "Hi", "system": "Be brief.", "max_output_tokens": 9});
    let message = ask(&fixture, "text", input).await.expect(200);
    assert_eq!(message["parts"][0]["text"], "Hm");
    assert_eq!(message["parts"][1], json!({"type": "text", "text": "Hello"}));
    assert_eq!(message["metadata"]["finishReason"], "stop");
    assert_eq!(message["metadata"]["usage"]["outputTokenDetails"]["reasoningTokens"], 2);
    let request = fixture.upstream.request();
    assert_eq!(request.target, "POST /v1/models/gemini-2.5-pro:generateContent");
    assert_eq!(request.headers["x-goog-api-key"], KEY);
    assert!(!request.headers.contains_key("authorization"));
    assert_eq!(
        request.json(),
        json!({
            "systemInstruction": {"parts": [{"text": "Be brief."}]},
            "contents": [{"role": "user", "parts": [{"text": "Hi"}]}],
            "generationConfig": {"maxOutputTokens": 9},
        })
    );
    let metering = &fixture.metered.all(1).await[0];
    assert_eq!(metering.input_tokens, Some(6), "those that were not cached");
    assert_eq!(metering.cached_tokens, Some(4));
    assert_eq!(metering.output_tokens, Some(5));
}

#[tokio::test]
async fn a_stream_carries_words_and_calls_and_its_usage() {
    let fixture = fixture().await;
    let call = json!([{"functionCall": {"name": "weather", "args": {"city": "Bern"}}}]);
    let told = [
        candidate(json!([{"text": "Let me "}]), None),
        candidate(json!([{"text": "look."}]), None),
        candidate(call, Some("STOP")),
    ];
    fixture.upstream.always(events(&told));
    let tools = json!([{"type": "function", "function": {"name": "weather"}}]);
    let reply = ask(&fixture, "stream", json!({"prompt": "Hi", "tools": tools})).await;
    assert_eq!(reply.status, 200);
    let text = reply.text();
    for expected in [
        r#""delta":"Let me ""#,
        r#""type":"tool-input-available","toolCallId":"call_r1_0_0","toolName":"weather","input":{"city":"Bern"}"#,
        r#""finishReason":"tool-calls""#,
        r#""totalTokens":15"#,
    ] {
        assert!(text.contains(expected), "{expected} in {text}");
    }
    assert!(text.ends_with("data: [DONE]\n\n") && !text.contains(r#""type":"error""#), "{text}");
    let target = fixture.upstream.request().target;
    assert_eq!(target, "POST /v1/models/gemini-2.5-pro:streamGenerateContent?alt=sse");
    assert_eq!(fixture.metered.all(1).await[0].output_tokens, Some(5));
}

#[tokio::test]
async fn chat_completions_have_the_form_of_openai_whole_and_streamed() {
    let fixture = fixture().await;
    let whole = candidate(json!([{"text": "Hello"}]), Some("MAX_TOKENS"));
    fixture.upstream.then(Answer::json(200, &whole));
    let messages = json!([{"role": "user", "content": "Hi"}]);
    let reply = ask(&fixture, "chat/completions", json!({"messages": messages})).await;
    assert_eq!(reply.header("content-type"), Some("application/json"));
    let answer = reply.expect(200);
    assert_eq!(answer["id"], "chatcmpl-r1");
    assert_eq!(answer["choices"][0]["message"], json!({"role": "assistant", "content": "Hello"}));
    assert_eq!(answer["choices"][0]["finish_reason"], "length");
    assert_eq!(answer["usage"]["total_tokens"], 15);
    for wants_usage in [false, true] {
        fixture.upstream.then(events(std::slice::from_ref(&whole)));
        let options = json!({"include_usage": wants_usage});
        let input = json!({"messages": messages, "stream": true, "stream_options": options});
        let reply = ask(&fixture, "chat/completions", input).await;
        assert_eq!(reply.header("content-type"), Some("text/event-stream"));
        let text = reply.text();
        assert!(
            text.contains(r#""content":"Hello""#) && text.ends_with("data: [DONE]\n\n"),
            "{text}"
        );
        assert_eq!(text.contains("usage"), wants_usage, "{text}");
    }
    for metering in fixture.metered.all(3).await {
        assert_eq!(metering.output_tokens, Some(5));
    }
}

#[tokio::test]
async fn what_cannot_be_said_is_refused_before_the_provider_is_asked() {
    let fixture = fixture().await;
    let input = json!({"messages": [{"role": "user", "content": "Hi"}], "logit_bias": {"1": 1}});
    let reply = ask(&fixture, "chat/completions", input).await;
    assert_eq!(reply.status, 422);
    assert!(reply.text().contains("logit_bias"), "{}", reply.text());
    assert!(fixture.upstream.requests().is_empty());
}

#[tokio::test]
async fn failures_have_the_status_of_their_cause() {
    let fixture = fixture().await;
    let key = json!([{"reason": "API_KEY_INVALID"}]);
    let html = || Answer::text(200, "text/html", "<html>");
    for (route, input) in [
        ("text", json!({"prompt": "Hi"})),
        ("chat/completions", json!({"messages": [{"role": "user", "content": "Hi"}]})),
    ] {
        for (answer, status) in [
            (failed(400, "Bad schema", json!([])), 400),
            (failed(400, "API key not valid", key.clone()), 502),
            (html(), 502),
            (Answer::json(200, &json!({"candidates": []})), 502),
        ] {
            fixture.upstream.then(answer);
            let reply = ask(&fixture, route, input.clone()).await;
            assert_eq!(reply.status, status, "{route}: {}", reply.text());
            assert!(!reply.text().contains("API key not valid"), "{}", reply.text());
        }
    }
    let streamed = json!({"prompt": "Hi"});
    fixture.upstream.then(html());
    assert_eq!(ask(&fixture, "stream", streamed.clone()).await.status, 502);
    // A stream that stops before its end.
    fixture.upstream.then(events(&[candidate(json!([{"text": "He"}]), None)]));
    let text = ask(&fixture, "stream", streamed).await.text();
    assert!(
        text.contains(r#""type":"error""#) && text.contains(r#""finishReason":"error""#),
        "{text}"
    );
}

#[tokio::test]
async fn a_key_is_tried_and_a_wrong_one_is_not_stored() {
    let fixture = fixture().await;
    let key = json!([{"reason": "API_KEY_INVALID"}]);
    fixture.upstream.models(failed(400, "API key not valid", key));
    let input = json!({"key": "MOCK_API_KEY", "value": "AIza-new"});
    fixture
        .app
        .admin()
        .post("/v1/env/upsert", input.clone())
        .await
        .expect_error(422, "env_refused");
    let tried = fixture.upstream.model_requests();
    assert_eq!(tried.last().unwrap().headers["x-goog-api-key"], "AIza-new");
    fixture.upstream.models(Answer::json(200, &json!({"models": []})));
    fixture.app.admin().post("/v1/env/upsert", input).await.expect(200);
}
