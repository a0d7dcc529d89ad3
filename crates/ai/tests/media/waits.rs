//! Calls that wait for their images or video.

use std::time::Duration;

use downcity_testkit::{Answer, Gate, TestReply};
use serde_json::{Value, json};

use super::common::{PNG, Studio, beside, eventually, images, wallet};

/// Makes a call while jobs run.
async fn answered(studio: &Studio, user: &str, path: &'static str, input: Value) -> TestReply {
    let client = studio.buyer(user, 0).await;
    let call = beside(async move { client.post(path, input).await });
    eventually(async || {
        studio.app.run_jobs().await;
        call.is_finished()
    })
    .await;
    call.await.unwrap()
}

on_both! {
    async fn a_call_waits_for_its_images(engine: Engine) {
        let studio = Studio::open(engine).await;
        studio.buyer("ann", 200_000).await;
        studio.upstream.then(images(1));
        let message = answered(&studio, "ann", "/v1/ai/image", json!({"prompt": "A cat"})).await;
        let message = message.expect(200);
        assert_eq!(message["parts"][0]["mediaType"], "image/png");
        assert!(message["id"].as_str().unwrap().starts_with("msg_"));
        let refusal = json!({"error": {"message": "No such thing"}});
        studio.upstream.then(Answer::json(400, &refusal));
        let refused = answered(&studio, "ann", "/v1/ai/image", json!({"prompt": "A cat"})).await;
        let refused = refused.expect_error(400, "invalid_input");
        assert_eq!(refused["error"], "No such thing");
        assert!(refused["job_id"].as_str().unwrap().starts_with("job_"));
    }

    async fn a_call_that_waited_long_enough_names_the_job(engine: Engine) {
        let studio = Studio::open(engine).await;
        let ann = studio.buyer("ann", 100_000).await;
        let gate = Gate::default();
        // Time jumps further than a claim lasts, so the work may begin anew.
        studio.upstream.always(images(1).wait(&gate));
        let caller = ann.clone();
        let call = beside(async move {
            caller.post("/v1/ai/image", json!({"prompt": "A cat"})).await
        });
        eventually(async || {
            studio.app.run_jobs().await;
            !studio.upstream.requests().is_empty()
        })
        .await;
        studio.app.clock().advance(Duration::from_secs(119));
        assert!(!call.is_finished());
        studio.app.clock().advance(Duration::from_secs(1));
        let late = call.await.unwrap().expect_error(504, "job_pending");
        gate.open();
        let done = studio.ended(&ann, "image", &late["job_id"]).await;
        assert_eq!(done["status"], "succeeded", "the job went on");
        assert_eq!(wallet(&ann).await, (50_000, 0));
    }

    async fn images_in_the_form_of_openai(engine: Engine) {
        let studio = Studio::open(engine).await;
        studio.buyer("ann", 200_000).await;
        let path = "/v1/images/generations";
        studio.upstream.then(images(2));
        let input = json!({
            "model": "pictures", "prompt": "A cat", "n": 2, "size": "auto", "quality": "auto",
            "background": "transparent", "user": "u-1",
        });
        let whole = answered(&studio, "ann", path, input).await.expect(200);
        assert_eq!(whole["data"], json!([{"b64_json": PNG}, {"b64_json": PNG}]));
        assert!(whole["created"].as_i64().unwrap() > 0);
        assert_eq!(whole["usage"]["output_tokens"], 1_056);
        assert_eq!(
            studio.upstream.request().json(),
            json!({
                "model": "gpt-image-1", "prompt": "A cat", "n": 2, "background": "transparent",
            })
        );
        studio.upstream.then(images(1));
        let input = json!({"prompt": "A cat", "response_format": "url"});
        let linked = answered(&studio, "ann", path, input).await.expect(200);
        assert!(linked["data"][0]["url"].as_str().unwrap().contains("/v1/ai/files/"));
        assert_eq!(linked["data"][0].get("b64_json"), None);
        for (input, status) in [
            (json!({"prompt": "A cat", "stream": true}), 400),
            (json!({"prompt": " "}), 400),
            (json!({"prompt": "A cat", "model": "none"}), 404),
            (json!({"prompt": "A cat", "n": 9}), 402),
        ] {
            let refused = answered(&studio, "ann", path, input).await.expect(status);
            for field in ["message", "type", "param", "code"] {
                assert!(refused["error"].get(field).is_some(), "{refused}");
            }
        }
    }
}
