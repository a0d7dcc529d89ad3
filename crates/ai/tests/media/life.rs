//! The life of a job, from its order to its charge.

use std::time::Duration;

use downcity_testkit::{Answer, Gate};
use serde_json::{Value, json};

use super::common::{CITY, KEY, Studio, eventually, images, wallet};

on_both! {
    async fn an_order_is_held_made_stored_and_charged_once(engine: Engine) {
        let studio = Studio::open(engine).await;
        let ann = studio.buyer("ann", 500_000).await;
        studio.upstream.then(images(2));
        let order = json!({"prompt": "A cat", "n": 2, "size": "1024x1024", "quality": "high"});
        let reply = ann.post("/v1/ai/image/create", order).await;
        let request_id = reply.header("x-request-id").unwrap().to_owned();
        let job = reply.expect(200);
        assert_eq!((&job["status"], &job["poll_after_ms"]), (&json!("queued"), &json!(1_000)));
        assert!(job["job_id"].as_str().unwrap().starts_with("job_"));
        // What it may cost is held before any upstream is asked.
        assert_eq!(wallet(&ann).await, (500_000, 100_000));
        assert!(studio.upstream.requests().is_empty());
        let receipts = format!("/v1/usage/requests/{request_id}");
        ann.get(&receipts).await.expect(404);

        let done = studio.ended(&ann, "image", &job["job_id"]).await;
        assert_eq!(done["status"], "succeeded", "{done}");
        let message = &done["result"];
        assert_eq!(message["role"], "assistant");
        assert_eq!(message["metadata"]["model"], "pictures");
        assert_eq!(message["metadata"]["city_id"], CITY);
        assert_eq!(message["metadata"]["user_id"], "ann");
        let parts = message["parts"].as_array().unwrap();
        assert_eq!(parts.len(), 2);
        assert_eq!((&parts[0]["type"], &parts[0]["mediaType"]), (&json!("file"), &json!("image/png")));
        assert_eq!(parts[0]["filename"], "image-1.png");
        // The files are ours now: their links are signed, and work.
        let url = parts[0]["url"].as_str().unwrap();
        let path = &url[url.find("/v1/ai/files/").expect("a link to a file of ours")..];
        let file = studio.app.guest().get(path).await;
        assert_eq!(file.status, 200);
        assert_eq!(&file.body[1..4], b"PNG");

        let sent = studio.upstream.request();
        assert_eq!(sent.target, "POST /v1/images/generations");
        assert_eq!(sent.headers["authorization"], format!("Bearer {KEY}"));
        assert_eq!(sent.headers["idempotency-key"], job["job_id"].as_str().unwrap());
        assert_eq!(
            sent.json(),
            json!({
                "model": "gpt-image-1", "prompt": "A cat", "n": 2, "size": "1024x1024",
                "quality": "high",
            })
        );
        assert_eq!(wallet(&ann).await, (400_000, 0));
        let charges = studio.app.admin().get("/v1/balance/charges?user_id=ann").await.expect(200);
        assert_eq!(charges["items"].as_array().unwrap().len(), 1);
        let receipt = ann.get(&receipts).await.expect(200);
        assert_eq!(receipt["charge_microcredits"], 100_000);
        assert_eq!((&receipt["action"], &receipt["status"]), (&json!("image/create"), &json!("success")));
        assert_eq!((&receipt["image_count"], &receipt["provider_id"]), (&json!(2), &json!("mock")));
        assert_eq!(receipt["attempts"][0]["outcome"], "success");
        // Nothing is left to do, and nothing changes any more.
        assert_eq!(studio.app.run_jobs().await, 0);
        assert_eq!(wallet(&ann).await, (400_000, 0));
    }

    async fn who_cannot_pay_starts_nothing(engine: Engine) {
        let studio = Studio::open(engine).await;
        let poor = studio.buyer("poor", 49_999).await;
        let order = json!({"prompt": "A cat"});
        let reply = poor.post("/v1/ai/image/create", order.clone()).await;
        reply.expect_error(402, "insufficient_balance");
        poor.post("/v1/ai/image", order).await.expect_error(402, "insufficient_balance");
        studio.app.run_jobs().await;
        assert!(studio.upstream.requests().is_empty());
        assert_eq!(wallet(&poor).await, (49_999, 0));
    }

    async fn a_failure_gives_the_hold_back_and_says_why(engine: Engine) {
        let studio = Studio::open(engine).await;
        let ann = studio.buyer("ann", 100_000).await;
        let said = format!("Your prompt was refused ({KEY})");
        let refusal = json!({"error": {"message": said, "code": "moderation_blocked"}});
        studio.upstream.then(Answer::json(400, &refusal));
        let failed = studio.made(&ann, "image", json!({"prompt": "Something"})).await;
        assert_eq!((&failed["status"], &failed["code"]), (&json!("failed"), &json!("invalid_input")));
        assert_eq!(failed["error"], "Your prompt was refused (***)");
        assert_eq!(failed["message"], failed["error"]);
        assert_eq!(failed.get("result"), None);
        assert_eq!(wallet(&ann).await, (100_000, 0));
        // What may pass is tried again first.
        studio.upstream.then(Answer::text(503, "text/plain", "busy"));
        studio.upstream.then(images(1));
        let done = studio.made(&ann, "image", json!({"prompt": "Something"})).await;
        assert_eq!(done["status"], "succeeded");
        assert_eq!(wallet(&ann).await, (50_000, 0));
    }

    async fn a_job_is_its_owners_alone(engine: Engine) {
        let studio = Studio::open(engine).await;
        let ann = studio.buyer("ann", 100_000).await;
        let bob = studio.buyer("bob", 100_000).await;
        studio.app.create_city("city_b").await;
        let namesake = studio.app.user(&studio.app.token("city_b", "ann").await);
        let job = ann.post("/v1/ai/image/create", json!({"prompt": "A cat"})).await.expect(200);
        let input = json!({"job_id": job["job_id"]});
        for other in [&bob, &namesake] {
            other.post("/v1/ai/image/result", input.clone()).await.expect_error(404, "not_found");
        }
        ann.post("/v1/ai/video/result", input.clone()).await.expect_error(404, "not_found");
        ann.post("/v1/ai/image/fetch", input.clone()).await.expect_error(403, "forbidden");
        let seen = studio.app.admin().post("/v1/ai/image/result", input.clone()).await.expect(200);
        assert_eq!(seen["job_id"], job["job_id"]);
        let elsewhere = json!({"job_id": job["job_id"], "city_id": "city_b"});
        let reply = studio.app.admin().post("/v1/ai/image/result", elsewhere).await;
        reply.expect_error(404, "not_found");
        let missing = json!({"job_id": "job_nothing"});
        ann.post("/v1/ai/image/result", missing).await.expect_error(404, "not_found");
        ann.post("/v1/ai/image/result", json!({"job_id": " "})).await.expect(422);
    }

    async fn two_looks_at_once_charge_once(engine: Engine) {
        let studio = Studio::open(engine).await;
        let other = studio.another_node().await;
        let ann = studio.buyer("ann", 100_000).await;
        let gate = Gate::default();
        studio.upstream.always(images(1).wait(&gate));
        let job = ann.post("/v1/ai/image/create", json!({"prompt": "A cat"})).await.expect(200);
        let input = json!({"job_id": job["job_id"]});
        let here = studio.app.admin();
        let there = other.admin();
        let (first, second, ()) = tokio::join!(
            here.post("/v1/ai/image/fetch", input.clone()),
            there.post("/v1/ai/image/fetch", input.clone()),
            async {
                studio.upstream.arrived(0).await;
                other.run_jobs().await;
                gate.open();
            }
        );
        let states = [first.expect(200), second.expect(200)];
        let is_done = |state: &Value| state["status"] == "succeeded";
        assert!(states.iter().any(is_done), "{states:?}");
        eventually(async || {
            ann.post("/v1/ai/image/result", input.clone()).await.expect(200)["status"] == "succeeded"
        })
        .await;
        // Only one node asked, and one charge was made.
        assert_eq!(studio.upstream.requests().len(), 1);
        for app in [&studio.app, &other] {
            app.clock().advance(Duration::from_secs(120));
            app.run_jobs().await;
        }
        assert_eq!(wallet(&ann).await, (50_000, 0));
    }

    async fn a_repeated_order_is_the_same_job(engine: Engine) {
        let studio = Studio::open(engine).await;
        let ann = studio.buyer("ann", 100_000).await.with_header("idempotency-key", "order-1");
        let order = json!({"prompt": "A cat"});
        let first = ann.post("/v1/ai/image/create", order.clone()).await.expect(200);
        let again = ann.post("/v1/ai/image/create", order).await.expect(200);
        assert_eq!(first, again);
        assert_eq!(wallet(&ann).await, (100_000, 50_000));
        let other = ann.post("/v1/ai/image/create", json!({"prompt": "A dog"})).await;
        other.expect_error(409, "idempotency_mismatch");
    }
}
