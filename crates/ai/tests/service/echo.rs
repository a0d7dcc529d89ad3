//! Without configuration the echo model answers on every route.

use downcity_ai::AiConfig;
use downcity_testkit::{Client, Engine, TestApp};
use serde_json::{Value, json};

use crate::common::{Logged, ai};

async fn user() -> (TestApp, Client) {
    let builder = TestApp::builder(Engine::Sqlite);
    let app = builder.builtin(ai(AiConfig::default()).unwrap()).start().await;
    app.create_city("city_a").await;
    let user = app.user(&app.token("city_a", "u").await);
    (app, user)
}

#[tokio::test]
async fn it_is_the_only_model_and_says_what_it_is() {
    let (_app, user) = user().await;
    let list = user.get("/v1/ai/models").await.expect(200);
    assert_eq!(list["items"].as_array().unwrap().len(), 1);
    assert_eq!(list["items"][0]["id"], "echo");
    assert_eq!(list["items"][0]["name"], "Echo (development)");
}

#[tokio::test]
async fn it_repeats_the_last_text_on_every_route() {
    let (_app, user) = user().await;
    let said = "Echo (development): Grüße an 🦀";
    let text = user.post("/v1/ai/text", json!({"prompt": "Grüße an 🦀"})).await.expect(200);
    assert_eq!(text["parts"], json!([{"type": "text", "text": said}]));
    assert_eq!(text["metadata"]["usage"]["inputTokens"], 3);

    let stream = user.post("/v1/ai/stream", json!({"prompt": "Grüße an 🦀"})).await.text();
    let deltas =
        stream.lines().filter_map(|line| serde_json::from_str(line.strip_prefix("data: ")?).ok());
    let words: Vec<String> =
        deltas.filter_map(|chunk: Value| Some(chunk["delta"].as_str()?.to_owned())).collect();
    assert_eq!(words, ["Echo ", "(development): ", "Grüße ", "an ", "🦀"]);

    let messages = json!([
        {"role": "user", "content": "first"}, {"role": "assistant", "content": "x"},
        {"role": "user", "content": [{"type": "text", "text": "Grüße an 🦀"}]},
    ]);
    let chat = |input: Value| user.post("/v1/ai/chat/completions", input);
    let whole = chat(json!({"messages": messages})).await.expect(200);
    assert_eq!(whole["choices"][0]["message"]["content"], said);
    let streamed = chat(json!({"messages": messages, "stream": true})).await.text();
    assert!(!streamed.contains("usage") && streamed.ends_with("data: [DONE]\n\n"), "{streamed}");
    let options = json!({"include_usage": true});
    let asked = json!({"messages": messages, "stream": true, "stream_options": options});
    assert!(chat(asked).await.text().contains("\"usage\":{\"prompt_tokens\":5"));
}

#[tokio::test]
async fn a_request_that_it_cannot_read_is_a_400() {
    let (_app, user) = user().await;
    let (logged, _guard) = Logged::listen();
    for (messages, param) in [
        (json!("PLANT"), "messages"),
        (json!([{}, "PLANT"]), "messages[1]"),
        (json!({"PLANT": 1}), "messages"),
        (json!([{"role": ["PLANT"]}]), "messages[0].role"),
    ] {
        let reply = user.post("/v1/ai/chat/completions", json!({"messages": messages})).await;
        let error = &reply.expect(400)["error"];
        assert_eq!((&error["code"], &error["param"]), (&json!("invalid_input"), &json!(param)));
        assert!(!reply.text().contains("PLANT"), "{error}");
    }
    assert!(!logged.text().contains("PLANT") && !logged.text().contains("WARN"));
    user.post("/v1/ai/chat/completions", json!({})).await.expect(200);
}

#[tokio::test]
async fn with_a_provider_it_is_gone_unless_it_is_configured() {
    let provider = json!({"id": "p", "base_url": "http://127.0.0.1:1/v1"});
    let config = |model: Value| {
        serde_json::from_value::<AiConfig>(json!({"provider": [provider], "model": model})).unwrap()
    };
    let fault = ai(config(json!([{"id": "e", "name": "E", "provider": "echo"}])));
    assert_eq!(fault.err().unwrap()[0].path, "model[0].provider");
    let own: AiConfig = serde_json::from_value(json!({
        "provider": [{"id": "mirror", "protocol": "echo"}],
        "model": [{"id": "m", "name": "M", "provider": "mirror"}],
    }))
    .unwrap();
    assert!(ai(own).is_ok());
}
