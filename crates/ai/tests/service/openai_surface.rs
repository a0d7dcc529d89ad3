//! What OpenAI's own SDKs find under `/v1`.

use downcity_testkit::Answer;
use http::Method;
use serde_json::{Value, json};

use crate::common::{KEY, completion, error_body, fixture, text_chunks, usage, with};

/// A model as OpenAI clients read it.
fn model(id: &str) -> Value {
    json!({"id": id, "object": "model", "created": 0, "owned_by": "downcity"})
}

#[tokio::test]
async fn chat_completions_are_those_of_the_longer_address() {
    let fixture = fixture().await;
    let ask = async |body: Value| {
        let mut replies = Vec::new();
        for path in ["/v1/ai/chat/completions", "/v1/chat/completions"] {
            replies.push(fixture.user.send(Method::POST, path, body.to_string().into()).await);
        }
        let [longer, shorter] = <[_; 2]>::try_from(replies).ok().unwrap();
        assert_eq!(shorter.status, longer.status);
        assert_eq!(shorter.text(), longer.text());
        assert_eq!(shorter.header("content-type"), longer.header("content-type"));
        shorter
    };
    fixture.upstream.always(Answer::json(200, &completion("Hello")));
    assert_eq!(ask(json!({"model": "chat", "messages": []})).await.json(), completion("Hello"));
    fixture.upstream.always(Answer::events(&text_chunks(&["Hel", "lo"])));
    let text = ask(json!({"stream": true})).await.text();
    assert!(text.ends_with("data: [DONE]\n\n"), "{text}");
    fixture.upstream.always(Answer::json(400, &error_body("no such thing")));
    assert_eq!(ask(json!({})).await.json(), error_body("no such thing"));
    for metering in &fixture.metered.all(4).await[..2] {
        assert_eq!(metering.raw_usage, Some(usage()));
        assert_eq!(metering.model_id.as_deref(), Some("chat"));
    }
    let request = fixture.upstream.arrived(1).await;
    assert_eq!(request.headers["authorization"], format!("Bearer {KEY}"));
}

#[tokio::test]
async fn a_model_that_is_not_there_is_what_sdks_know() {
    let fixture = fixture().await;
    let (chat, words) = (json!({"messages": []}), json!({"input": "a"}));
    for (path, input, status) in [
        ("/v1/chat/completions", &chat, 404),
        ("/v1/responses", &words, 404),
        ("/v1/embeddings", &words, 404),
        ("/v1/images/generations", &json!({"prompt": "a"}), 404),
        ("/v1/audio/speech", &json!({"input": "a", "voice": "alloy"}), 404),
        // The service's own routes cannot carry the request out.
        ("/v1/ai/chat/completions", &chat, 422),
        ("/v1/ai/embeddings", &words, 422),
    ] {
        let mut input = input.clone();
        input["model"] = json!("chap");
        let error = fixture.user.post(path, input).await.expect(status);
        assert_eq!(
            error["error"],
            json!({
                "message": "No model is called \"chap\"; did you mean \"chat\"?",
                "type": "invalid_request_error", "param": "model", "code": "model_not_found",
            }),
            "{path}"
        );
    }
    assert!(fixture.upstream.requests().is_empty());
}

#[tokio::test]
async fn what_is_not_offered_is_told_in_the_form_of_openai() {
    let fixture = fixture().await;
    for path in [
        "/v1/moderations",
        "/v1/completions",
        "/v1/files",
        "/v1/files/file-1/content",
        "/v1/assistants",
        "/v1/threads/t/runs",
        "/v1/images/edits",
        "/v1/audio/translations",
        "/v1/fine_tuning/jobs",
    ] {
        let error = fixture.user.post(path, json!({})).await.expect(404);
        let error = error["error"].as_object().unwrap();
        let keys: Vec<&str> = error.keys().map(String::as_str).collect();
        assert_eq!(keys, ["message", "type", "param", "code"], "{path}");
        assert!(error["message"].as_str().unwrap().contains("not offered"), "{path}");
        assert_eq!(error["code"], "not_found");
    }
    let error = fixture.user.post("/v1/nothing", json!({})).await.expect(404);
    assert!(error["error"].is_string(), "{error}");
}

#[tokio::test]
async fn models_are_listed_and_shown_as_callers_may_see_them() {
    let fixture = with(|config| {
        let named = |id: &str| json!({"id": id, "name": "N", "provider": "mock"});
        let models = config["model"].as_array_mut().unwrap();
        models.push(named("vendor/family/large"));
        models.push(named("grüße 1"));
        models.push(json!({"id": "secret", "name": "S", "provider": "mock", "hidden": true}));
    })
    .await;
    let shown = ["chat", "down", "vendor/family/large", "grüße 1"];
    let list = fixture.user.get("/v1/models").await.expect(200);
    assert_eq!(list, json!({"object": "list", "data": shown.map(model)}));
    let own = fixture.user.get("/v1/ai/models").await.expect(200);
    assert_eq!(own["data"], list["data"]);
    let admin = fixture.app.admin().get("/v1/models").await.expect(200);
    assert_eq!(admin["data"].as_array().unwrap().len(), 6);
    for (path, id) in [
        ("chat", "chat"),
        ("vendor/family/large", "vendor/family/large"),
        ("vendor%2Ffamily%2Flarge", "vendor/family/large"),
        ("vendor%2ffamily/large", "vendor/family/large"),
        ("gr%C3%BC%C3%9Fe%201", "grüße 1"),
    ] {
        let found = fixture.user.get(&format!("/v1/models/{path}")).await.expect(200);
        assert_eq!(found, model(id), "{path}");
    }
    for unseen in ["keyless", "secret"] {
        let path = format!("/v1/models/{unseen}");
        fixture.user.get(&path).await.expect(404);
        assert_eq!(fixture.app.admin().get(&path).await.expect(200), model(unseen));
    }
}

#[tokio::test]
async fn errors_are_those_of_openai() {
    let fixture = fixture().await;
    let unknown = fixture.user.get("/v1/models/chap").await.expect(404);
    assert_eq!(
        unknown,
        json!({"error": {
            "message": "No model is called \"chap\"; did you mean \"chat\"?",
            "type": "invalid_request_error", "param": "model", "code": "model_not_found",
        }})
    );
    for path in ["/v1/models", "/v1/models/chat"] {
        let error = fixture.app.guest().get(path).await.expect(401);
        let error = error["error"].as_object().unwrap();
        let keys: Vec<&str> = error.keys().map(String::as_str).collect();
        assert_eq!(keys, ["message", "type", "param", "code"]);
        assert_eq!(error["type"], "authentication_error");
        assert_eq!(error["code"], "missing_credential");
    }
    let refused = fixture.app.guest().post("/v1/chat/completions", json!({})).await.expect(401);
    assert_eq!(refused["error"]["code"], "missing_credential");
}
