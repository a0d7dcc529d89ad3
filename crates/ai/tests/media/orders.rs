//! What orders may say, and orders that are repeated.

use downcity_testkit::{Answer, Client};
use serde_json::{Value, json};

use super::common::{CITY, Studio, file, file_urls, images, png, wallet};

/// The sentence of a 422.
async fn refused(client: &Client, input: Value) -> String {
    let refused =
        client.post("/v1/ai/image/create", input).await.expect_error(422, "unprocessable");
    refused["error"].as_str().unwrap().to_owned()
}

/// A conversation in which the assistant speaks.
fn talk() -> Value {
    let turn =
        |role: &str, text: &str| json!({"role": role, "content": [{"type": "text", "text": text}]});
    json!([turn("user", "A cat"), turn("assistant", "Here you are"), turn("user", "Add a hat")])
}

on_both! {
    async fn a_repeated_order_gets_its_job_whatever_became_of_the_model(engine: Engine) {
        let studio = Studio::open(engine).await;
        let ann = studio.buyer("ann", 50_000).await;
        studio.upstream.always(images(1));
        let order = json!({"prompt": "A cat", "model": "pictures", "idempotency_key": "order-1"});
        let first = ann.post("/v1/ai/image/create", order.clone()).await.expect(200);
        studio.ended(&ann, "image", &first["job_id"]).await;
        assert_eq!(wallet(&ann).await, (0, 0));
        let again = ann.post("/v1/ai/image/create", order.clone()).await.expect(200);
        assert_eq!(again, first);
        let other = studio.node_with(|config| config["model"] = json!([])).await;
        let ann = other.user(&other.token(CITY, "ann").await);
        let again = ann.post("/v1/ai/image/create", order.clone()).await.expect(200);
        assert_eq!(again, first);
        let mut changed = order;
        changed["prompt"] = json!("A dog");
        let refused = ann.post("/v1/ai/image/create", changed).await;
        refused.expect_error(409, "idempotency_mismatch");
    }

    async fn what_an_order_says_twice_has_to_agree(engine: Engine) {
        let studio = Studio::open(engine).await;
        let ann = studio.buyer("ann", 500_000).await;
        let said = refused(&ann, json!({"prompt": "A cat", "n": 2, "count": 3})).await;
        assert!(said.starts_with("count: differs from n"), "{said}");
        let same = json!({"prompt": "A cat", "n": 2, "count": 2});
        ann.post("/v1/ai/image/create", same).await.expect(200);
        assert_eq!(wallet(&ann).await, (500_000, 100_000));
        for path in ["/v1/ai/image/result", "/v1/ai/video/result", "/v1/ai/image/fetch"] {
            let empty = studio.app.admin().post(path, json!({"job_id": ""})).await;
            let empty = empty.expect_error(422, "unprocessable");
            assert!(empty["error"].as_str().unwrap().starts_with("job_id: is empty"), "{empty}");
        }
    }

    async fn nothing_of_an_order_is_dropped_in_silence(engine: Engine) {
        let studio = Studio::open(engine).await;
        let ann = studio.buyer("ann", 500_000).await;
        for (name, value) in [("stream", json!(true)), ("partial_images", json!(2))] {
            let options = json!({"mock": {name: value}});
            let said = refused(&ann, json!({"prompt": "A cat", "provider_options": options})).await;
            assert!(said.starts_with(&format!("provider_options.mock.{name}: ")), "{said}");
        }
        let input = json!({"prompt": "A cat", "partial_images": 2});
        let said = ann.post("/v1/images/generations", input).await.expect(422);
        assert!(said["error"]["message"].as_str().unwrap().contains("partial_images"), "{said}");
        let said = refused(&ann, json!({"messages": talk()})).await;
        assert!(said.starts_with("messages[1]: "), "{said}");

        let provider = json!({"protocol": "http-template", "template": {
            "create": {"path": "/gen", "body": {"text": "{{prompt}}", "style": "{{options.style}}"}},
            "answer": {"files": ["/out"]},
        }});
        let studio = Studio::of(engine, provider, &["image"]).await;
        let ann = studio.buyer("ann", 500_000).await;
        let options = json!({"mock": {"style": "oil", "frame": "gold"}});
        let said = refused(&ann, json!({"prompt": "A cat", "provider_options": options})).await;
        assert!(said.starts_with("provider_options.mock.frame: "), "{said}");
        let said = refused(&ann, json!({"messages": talk()})).await;
        assert!(said.starts_with("messages[1]: "), "{said}");
        assert!(studio.upstream.requests().is_empty());
    }

    async fn what_the_assistant_said_goes_to_who_can_hear_it(engine: Engine) {
        let provider = json!({"protocol": "gemini-generate-content"});
        let studio = Studio::of(engine, provider, &["image"]).await;
        let ann = studio.buyer("ann", 500_000).await;
        ann.post("/v1/ai/image/create", json!({"messages": talk()})).await.expect(200);
    }

    async fn relative_addresses_begin_where_the_provider_was_asked(engine: Engine) {
        let studio = Studio::with(engine, |config| {
            let provider = config["provider"][0].as_object_mut().unwrap();
            provider.remove("base_url");
            provider.insert("protocol".to_owned(), json!("async-image-jobs"));
            provider.insert("base_url_env".to_owned(), json!("MOCK_URL"));
        })
        .await;
        let url = format!("{}/?version=1", studio.upstream.url());
        let input = json!({"key": "MOCK_URL", "value": url, "test": false});
        studio.app.admin().post("/v1/env/upsert", input).await.expect(200);
        let ann = studio.buyer("ann", 500_000).await;
        let reply = ann.post("/v1/ai/image/create", json!({"prompt": "A cat", "n": 2})).await;
        let request_id = reply.header("x-request-id").unwrap().to_owned();
        studio.upstream.then(Answer::json(200, &json!({"id": "up", "status": "queued"})));
        let made = json!({"status": "done", "images": [{"url": "made/10:30.png"}, "/made/2.png"]});
        studio.upstream.then(Answer::json(200, &made));
        studio.upstream.always(file("image/png", &png()));
        let done = studio.ended(&ann, "image", &reply.expect(200)["job_id"]).await;
        assert!(file_urls(&done).iter().all(|url| url.contains("/v1/ai/files/")), "{done}");
        let asked = studio.upstream.requests();
        let mut targets: Vec<&str> = asked[2..].iter().map(|request| &*request.target).collect();
        targets.sort_unstable();
        assert_eq!(targets, ["GET /v1/made/10:30.png", "GET /v1/made/2.png"]);
        // The attempt tells what the provider answered.
        let receipt = ann.get(&format!("/v1/usage/requests/{request_id}")).await.expect(200);
        assert_eq!(receipt["attempts"][0]["status"], 200, "{receipt}");
    }
}
