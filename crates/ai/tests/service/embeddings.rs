//! `POST /v1/embeddings` and `POST /v1/ai/embeddings`.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use downcity_ai::AiConfig;
use downcity_testkit::{Answer, Engine, TestApp, TestReply};
use serde_json::{Value, json};

use crate::common::{Fixture, KEY, ai, error_body, set_env, with};

/// A model of each protocol that offers embeddings, the one of `openai-embeddings` by default.
async fn fixture() -> Fixture {
    let fixture = with(|config| {
        let url = config["provider"][0]["base_url"].clone();
        let providers = config["provider"].as_array_mut().unwrap();
        for (id, protocol) in
            [("vectors", "openai-embeddings"), ("google", "gemini-generate-content")]
        {
            providers.push(json!({
                "id": id, "protocol": protocol, "base_url": url, "env_key": "MOCK_API_KEY",
                "strip": ["user"],
            }));
        }
        let models = config["model"].as_array_mut().unwrap();
        models.push(json!({
            "id": "embed", "name": "Embed", "provider": "vectors", "upstream_model": "embed-3",
        }));
        models.push(json!({
            "id": "both", "name": "Both", "provider": "mock", "modes": ["text", "embeddings"],
        }));
        models.push(json!({
            "id": "gem", "name": "Gem", "provider": "google", "modes": ["embeddings"],
            "upstream_model": "gemini-embedding-001",
        }));
    });
    fixture.await
}

async fn ask(fixture: &Fixture, input: Value) -> TestReply {
    fixture.user.post("/v1/embeddings", input).await
}

fn vectors() -> Value {
    vectors_as(json!([0.25, -1.5]))
}

fn vectors_as(vector: Value) -> Value {
    json!({
        "object": "list", "model": "embed-3",
        "data": [{"object": "embedding", "index": 0, "embedding": vector}],
        "usage": {"prompt_tokens": 7, "total_tokens": 7},
    })
}

#[tokio::test]
async fn vectors_are_written_as_they_were_asked_for() {
    let fixture = fixture().await;
    let (floats, text) = (json!([0.25, -1.5]), json!("AACAPgAAwL8="));
    for (asked, expected) in [
        (json!({"input": "a"}), &floats),
        (json!({"input": "a", "encoding_format": "float"}), &floats),
        (json!({"input": "a", "encoding_format": "base64"}), &text),
    ] {
        for answered in [&floats, &text] {
            fixture.upstream.always(Answer::json(200, &vectors_as(answered.clone())));
            let body = ask(&fixture, asked.clone()).await.expect(200);
            assert_eq!(body, vectors_as(expected.clone()), "{asked} {answered}");
        }
    }
    for broken in [json!("no base64!"), json!("AAAA"), json!("AADAfw==")] {
        fixture.upstream.always(Answer::json(200, &vectors_as(broken.clone())));
        let error = ask(&fixture, json!({"input": "a"})).await.expect(502);
        assert_eq!(error["error"]["code"], "upstream_invalid", "{broken}");
    }
    let metered = &fixture.metered.all(6).await[5];
    assert_eq!(metered.input_tokens, Some(7));
    // Another form is the provider's matter.
    fixture.upstream.always(Answer::json(200, &vectors_as(json!([1]))));
    let body = ask(&fixture, json!({"input": "a", "encoding_format": "int8"})).await.expect(200);
    assert_eq!(body, vectors_as(json!([1])));
}

#[tokio::test]
async fn requests_and_answers_are_passed_on() {
    let fixture = fixture().await;
    fixture.upstream.always(Answer::json(200, &vectors()));
    let input = json!({
        "input": ["a", "b"], "encoding_format": "base64", "dimensions": 2, "user": "ann",
        "city_id": "city_a", "x": 1,
    });
    let reply = ask(&fixture, input).await;
    assert_eq!(
        reply.json(),
        vectors_as(json!("AACAPgAAwL8=")),
        "as asked, though the provider did not"
    );
    let request = fixture.upstream.request();
    assert_eq!(request.target, "POST /v1/embeddings");
    assert_eq!(request.headers["authorization"], format!("Bearer {KEY}"));
    let sent = json!({
        "input": ["a", "b"], "encoding_format": "base64", "dimensions": 2, "x": 1, "model": "embed-3",
    });
    assert_eq!(request.json(), sent);
    let metered = &fixture.metered.all(1).await[0];
    assert_eq!((metered.input_tokens, metered.output_tokens), (Some(7), Some(0)));
    assert_eq!(metered.metadata["mode"], "embeddings");

    let reply =
        fixture.user.post("/v1/ai/embeddings", json!({"model": "both", "input": "a"})).await;
    assert_eq!(reply.json(), vectors(), "a chat provider makes them where its model says so");
    assert_eq!(fixture.upstream.requests()[1].json(), json!({"model": "both", "input": "a"}));
}

#[tokio::test]
async fn tokens_of_texts_are_inputs_too() {
    let fixture = fixture().await;
    fixture.upstream.always(Answer::json(200, &vectors()));
    for (number, input) in [json!("a"), json!([1, 2]), json!([[1], [2]])].into_iter().enumerate() {
        ask(&fixture, json!({"input": input})).await.expect(200);
        assert_eq!(fixture.upstream.requests()[number].json()["input"], input);
    }
}

#[tokio::test]
async fn faults_are_told_in_the_form_of_openai() {
    let fixture = fixture().await;
    fixture.upstream.always(Answer::json(400, &error_body("Too many inputs.")));
    for (input, status, said) in [
        (json!({}), 400, "input"),
        (json!({"input": ""}), 400, "input"),
        (json!({"input": [ ]}), 400, "input"),
        (json!({"input": {"a": 1}}), 400, "input"),
        (json!({"input": "a", "model": 7}), 400, "model"),
        (json!({"input": "a", "model": "chat"}), 422, "does not support"),
        (json!({"input": "a", "model": "nobody"}), 404, "nobody"),
        (json!({"input": ["a", "b"]}), 400, "Too many inputs."),
    ] {
        let reply = ask(&fixture, input.clone()).await;
        let error = &reply.expect(status)["error"];
        assert!(error["message"].as_str().unwrap().contains(said), "{input}: {error}");
        assert!(error["type"].is_string());
    }
    fixture.upstream.always(Answer::text(200, "text/html", "<html>"));
    let reply = ask(&fixture, json!({"input": "a"})).await;
    assert_eq!(reply.expect(502)["error"]["code"], "upstream_invalid");
}

#[tokio::test]
async fn the_next_upstream_is_asked_where_one_fails() {
    let fixture = with(|config| {
        let url = config["provider"][0]["base_url"].clone();
        config["provider"] = json!([
            {"id": "down", "protocol": "openai-embeddings", "base_url": "http://127.0.0.1:1/v1"},
            {"id": "up", "protocol": "openai-embeddings", "base_url": url},
        ]);
        config["model"] = json!([{"id": "e", "name": "E", "upstreams": [
            {"provider": "down"}, {"provider": "up", "upstream_model": "embed-3"},
        ]}]);
    });
    let fixture = fixture.await;
    fixture.upstream.always(Answer::json(200, &vectors()));
    ask(&fixture, json!({"input": "a"})).await.expect(200);
    assert_eq!(fixture.upstream.request().json(), json!({"input": "a", "model": "embed-3"}));
    let metered = &fixture.metered.all(1).await[0];
    assert_eq!(metered.provider_id.as_deref(), Some("up"));
    assert_eq!(metered.metadata["attempts"].as_array().unwrap().len(), 2);
}

#[tokio::test]
async fn models_that_name_no_modes_keep_theirs() {
    let fixture = fixture().await;
    let list = fixture.user.get("/v1/ai/models").await.expect(200);
    let modes = |id: &str| {
        let mut models = list["items"].as_array().unwrap().iter();
        models.find(|model| model["id"] == id).unwrap()["modalities"].clone()
    };
    assert_eq!(modes("chat"), json!(["text", "stream", "openai"]));
    assert_eq!(modes("embed"), json!(["embeddings"]));
    assert_eq!(modes("both"), json!(["text", "embeddings"]));
}

#[tokio::test]
async fn gemini_makes_vectors_of_texts() {
    let fixture = fixture().await;
    set_env(&fixture.app, "MOCK_API_KEY", KEY).await;
    let native = json!({"embeddings": [{"values": [0.25, -1.5]}, {"values": [1, 0]}]});
    fixture.upstream.always(Answer::json(200, &native));
    let input = json!({"model": "gem", "input": ["a", "b"], "dimensions": 2});
    let answer = ask(&fixture, input).await.expect(200);
    assert_eq!(answer["data"][0]["embedding"], json!([0.25, -1.5]));
    assert_eq!(answer["data"][1]["index"], 1);
    assert_eq!(answer.get("usage"), None, "Gemini tells none");
    let request = fixture.upstream.request();
    assert_eq!(request.target, "POST /v1/models/gemini-embedding-001:batchEmbedContents");
    let one = |text: &str| {
        json!({
            "model": "models/gemini-embedding-001", "content": {"parts": [{"text": text}]},
            "outputDimensionality": 2,
        })
    };
    assert_eq!(request.json(), json!({"requests": [one("a"), one("b")]}));

    let input = json!({"model": "gem", "input": ["a", "b"], "encoding_format": "base64"});
    let answer = ask(&fixture, input).await.expect(200);
    let bytes = [0.25_f32, -1.5].iter().flat_map(|x| x.to_le_bytes()).collect::<Vec<u8>>();
    assert_eq!(answer["data"][0]["embedding"], STANDARD.encode(bytes));

    for input in [json!("a"), json!(["a", "b", "c"])] {
        let reply = ask(&fixture, json!({"model": "gem", "input": input})).await;
        assert_eq!(reply.expect(502)["error"]["code"], "upstream_invalid");
    }
    let input = json!({"model": "gem", "input": ["a", "b"], "user": "u", "task_type": "QUERY"});
    let refused = ask(&fixture, input).await.expect(422);
    assert!(refused["error"]["message"].as_str().unwrap().contains("task_type"), "{refused}");

    let reply = ask(&fixture, json!({"model": "gem", "input": [1, 2]})).await;
    assert!(reply.expect(422)["error"]["message"].as_str().unwrap().contains("texts"));
    fixture.upstream.always(Answer::json(200, &json!({"embeddings": [{"values": "x"}]})));
    ask(&fixture, json!({"model": "gem", "input": "a"})).await.expect(502);
}

#[tokio::test]
async fn echo_makes_vectors_of_words() {
    let app = TestApp::builder(Engine::Sqlite).builtin(ai(AiConfig::default()).unwrap());
    let app = app.start().await;
    app.create_city("city_a").await;
    let user = app.user(&app.token("city_a", "u").await);
    let input =
        json!({"model": "echo", "input": ["red apples", "Apples, red!", "blue whales", ""]});
    let answer = user.post("/v1/embeddings", input).await.expect(200);
    let vector = |at: usize| -> Vec<f64> {
        serde_json::from_value(answer["data"][at]["embedding"].clone()).unwrap()
    };
    let near =
        |a: usize, b: usize| -> f64 { vector(a).iter().zip(vector(b)).map(|(a, b)| a * b).sum() };
    assert_eq!(vector(0).len(), 256);
    assert!((near(0, 1) - 1.0).abs() < 1e-6 && near(0, 2) < 0.1);
    assert!((near(3, 3) - 1.0).abs() < 1e-6, "an empty text has a vector too");
    assert_eq!(answer["usage"]["prompt_tokens"], 6);
    let small = json!({"input": "a", "dimensions": 3});
    let answer = user.post("/v1/embeddings", small).await.expect(200);
    assert_eq!(answer["data"][0]["embedding"].as_array().unwrap().len(), 3);
    for (texts, dimensions) in [(2_049, 1), (1_000, 65_536)] {
        let input = json!({"input": vec!["a"; texts], "dimensions": dimensions});
        let reply = user.post("/v1/embeddings", input).await;
        assert_eq!(reply.expect(400)["error"]["param"], "input");
    }
    for dimensions in [json!(0), json!(1_000_000), json!("x")] {
        let input = json!({"input": "a", "dimensions": dimensions});
        let reply = user.post("/v1/embeddings", input).await;
        assert_eq!(reply.expect(400)["error"]["param"], "dimensions");
    }
}
