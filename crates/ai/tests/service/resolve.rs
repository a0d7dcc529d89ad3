//! Which model answers.

use downcity_testkit::Answer;
use serde_json::{Value, json};

use crate::common::{Fixture, completion, fixture, set_env, with};

/// The model that answered, by its own word.
async fn answering(fixture: &Fixture, route: &str, model: Value) -> String {
    fixture.upstream.always(Answer::json(200, &completion("ok")));
    let input = json!({"model": model, "prompt": "Hi", "messages": []});
    fixture.user.post(&format!("/v1/ai/{route}"), input).await.expect(200);
    let last = fixture.upstream.requests().pop().unwrap();
    last.json()["model"].as_str().unwrap().to_owned()
}

#[tokio::test]
async fn scores_choose_the_default() {
    let fixture = with(|config| {
        let model = |id: &str, default: Value| {
            json!({"id": id, "name": id, "provider": "mock", "default": default})
        };
        config["model"] = json!([
            {"id": "keyless", "name": "k", "provider": "keyless", "default": true},
            model("none", json!(false)),
            model("stream", json!(["stream"])),
            model("text", json!(["text"])),
            model("second-text", json!(["text"])),
            model("openai", json!(["openai"])),
            {"id": "hidden", "name": "h", "provider": "mock", "default": true, "hidden": true},
        ]);
    })
    .await;
    for no_model in [Value::Null, json!("  ")] {
        assert_eq!(answering(&fixture, "text", no_model.clone()).await, "text");
        assert_eq!(answering(&fixture, "chat/completions", no_model).await, "openai");
    }
    assert_eq!(answering(&fixture, "text", json!(" stream ")).await, "stream");
    assert_eq!(answering(&fixture, "text", json!("hidden")).await, "hidden");
    set_env(&fixture.app, "UNSET_API_KEY", "x").await;
    assert_eq!(answering(&fixture, "text", Value::Null).await, "keyless");
}

#[tokio::test]
async fn models_that_cannot_answer_are_errors_that_say_why() {
    let fixture = with(|config| {
        config["model"][2]["modes"] = json!(["stream", "openai"]);
    })
    .await;
    let text = async |client: &downcity_testkit::Client, model: &str| {
        client.post("/v1/ai/text", json!({"model": model, "prompt": "Hi"})).await
    };
    let unknown = text(&fixture.user, "chta").await.expect_error(422, "model_not_found");
    assert_eq!(unknown["error"], "No model is called \"chta\"; did you mean \"chat\"?");
    let long = "x".repeat(1_000_000);
    let unknown = text(&fixture.user, &long).await.expect_error(422, "model_not_found");
    assert!(unknown["error"].as_str().unwrap().len() < 1_000, "a long name is not repeated");
    let unsupported = text(&fixture.user, "chat").await.expect_error(422, "model_unsupported");
    assert_eq!(
        unsupported["error"],
        "The model \"chat\" does not support \"text\"; it supports: stream, openai."
    );
    let user = text(&fixture.user, "keyless").await.expect_error(500, "missing_config");
    assert!(!user.to_string().contains("UNSET_API_KEY"), "{user}");
    let admin = text(&fixture.app.admin(), "keyless").await.expect_error(500, "missing_config");
    assert!(admin.to_string().contains("UNSET_API_KEY"), "{admin}");
    assert!(fixture.upstream.requests().is_empty(), "nothing was sent");
}

#[tokio::test]
async fn without_a_callable_model_there_is_no_default() {
    let fixture = fixture().await;
    set_env(&fixture.app, "MOCK_API_KEY", "").await;
    let reply = fixture.user.post("/v1/ai/text", json!({"prompt": "Hi"})).await;
    reply.expect_error(422, "model_not_found");

    let empty = with(|config| config["model"] = json!([])).await;
    let reply = empty.user.post("/v1/ai/text", json!({"prompt": "Hi"})).await;
    assert_eq!(reply.expect_error(422, "model_not_found")["error"], "No model is configured.");
}

#[tokio::test]
async fn a_new_configuration_counts_at_once_and_a_bad_one_changes_nothing() {
    let fixture = fixture().await;
    let mut config = crate::common::config(&fixture.upstream.url());
    config["model"][2]["upstream_model"] = json!("upstream-2");
    fixture.ai.apply(crate::common::read(config.clone())).unwrap();
    assert_eq!(answering(&fixture, "text", Value::Null).await, "upstream-2");
    config["model"][2]["provider"] = json!("mokc");
    let problems = fixture.ai.apply(crate::common::read(config)).unwrap_err();
    assert_eq!(problems[0].path, "model[2].provider");
    assert_eq!(answering(&fixture, "text", Value::Null).await, "upstream-2");
}

#[tokio::test]
async fn one_rule_names_the_upstream_model() {
    let fixture = with(|config| {
        config["provider"][0]["passthrough_model"] = json!("by-provider");
        let model = |id: &str, more: Value| {
            let mut model = json!({"id": id, "name": id, "provider": "mock"});
            model.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
            model
        };
        config["model"] = json!([
            model("a", json!({"upstream_model": "own", "meta": {"upstream_model": "by-meta"}})),
            model("b", json!({"meta": {"upstream_model": " by-meta "}})),
            model("c", json!({})),
        ]);
    })
    .await;
    for (id, upstream) in [("a", "own"), ("b", "by-meta"), ("c", "by-provider")] {
        for route in ["text", "chat/completions"] {
            assert_eq!(answering(&fixture, route, json!(id)).await, upstream);
        }
    }
}

#[tokio::test]
async fn a_full_house_is_a_429() {
    let fixture = with(|config| config["max_concurrent"] = json!(1)).await;
    fixture.upstream.always(Answer::stream().hang());
    let held = fixture.open("stream", json!({"prompt": "Hi"})).await;
    assert_eq!(held.status(), 200);
    let reply = fixture.user.post("/v1/ai/text", json!({"prompt": "Hi"})).await;
    reply.expect_error(429, "rate_limited");
    assert_eq!(reply.header("retry-after"), Some("1"));
    drop(held);
    fixture.upstream.always(Answer::json(200, &completion("ok")));
    fixture.user.post("/v1/ai/text", json!({"prompt": "Hi"})).await.expect(200);
}
