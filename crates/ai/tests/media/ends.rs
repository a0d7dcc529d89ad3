//! Ends that meet trouble: a database that is away, an action that is gone, a city's own key.

use std::time::Duration;

use downcity_testkit::{Answer, Gate};
use serde_json::json;

use super::common::{CITY, KEY, PNG, Studio, eventually, images, wallet};

on_both! {
    async fn an_end_that_cannot_be_stored_is_stored_later(engine: Engine) {
        let studio = Studio::open(engine).await;
        let ann = studio.buyer("ann", 100_000).await;
        let gate = Gate::default();
        studio.upstream.then(images(1).wait(&gate));
        let job = ann.post("/v1/ai/image/create", json!({"prompt": "A cat"})).await.expect(200);
        let input = json!({"job_id": job["job_id"]});
        studio.app.run_jobs().await;
        studio.upstream.arrived(0).await;
        // The fact of the call cannot be stored, and so nothing of the end.
        let database = studio.app.database();
        database.execute("ALTER TABLE usage_events RENAME TO usage_away").unwrap();
        gate.open();
        eventually(async || studio.files() == 1).await;
        for _ in 0..10 {
            studio.app.run_jobs().await;
            let seen = ann.post("/v1/ai/image/result", input.clone()).await.expect(200);
            assert_eq!(seen["status"], "running");
            assert_eq!(wallet(&ann).await, (100_000, 50_000));
        }
        database.execute("ALTER TABLE usage_away RENAME TO usage_events").unwrap();
        eventually(async || {
            let seen = ann.post("/v1/ai/image/result", input.clone()).await.expect(200);
            seen["status"] == "succeeded"
        })
        .await;
        assert_eq!(wallet(&ann).await, (50_000, 0));
        assert_eq!(studio.upstream.requests().len(), 1, "it was not made again");
    }

    async fn a_job_whose_action_is_gone_fails_in_its_time(engine: Engine) {
        let studio = Studio::open(engine).await;
        let ann = studio.buyer("ann", 100_000).await;
        let job = ann.post("/v1/ai/image/create", json!({"prompt": "A cat"})).await.expect(200);
        let input = json!({"job_id": job["job_id"]});
        let gone = "UPDATE ai_jobs SET action_id = 'image/of-another-release'";
        studio.app.database().execute(gone).unwrap();
        studio.app.run_jobs().await;
        // A node that knows the action may come.
        let seen = ann.post("/v1/ai/image/result", input.clone()).await.expect(200);
        assert_eq!((&seen["status"], wallet(&ann).await), (&json!("queued"), (100_000, 50_000)));
        studio.app.clock().advance(Duration::from_secs(7_200));
        studio.app.run_jobs().await;
        let ann = studio.buyer("ann", 0).await;
        let seen = ann.post("/v1/ai/image/result", input).await.expect(200);
        assert_eq!((&seen["status"], &seen["error"]), (&json!("failed"), &json!("upstream timeout")));
        assert_eq!(seen["code"], "upstream_timeout");
        assert_eq!(wallet(&ann).await, (100_000, 0));
        assert!(studio.upstream.requests().is_empty());
    }

    async fn operators_do_not_give_up_what_holds_money(engine: Engine) {
        let studio = Studio::open(engine).await;
        let ann = studio.buyer("ann", 100_000).await;
        let asked = json!({"prompt": "A cat"});
        ann.post("/v1/ai/image/create", asked).await.expect(200);
        let admin = studio.app.admin();
        let page = admin.get("/v1/jobs/list?kind=ai.media").await.expect(200);
        let job = json!({"job_id": page["items"][0]["job_id"]});
        admin.post("/v1/jobs/cancel", job.clone()).await.expect_error(409, "conflict");
        assert_eq!(wallet(&ann).await, (100_000, 50_000));
        assert_eq!(admin.post("/v1/jobs/retry", job).await.expect(200)["status"], "queued");
    }

    async fn a_city_has_its_images_made_with_its_own_key(engine: Engine) {
        const OWN: &str = "sk-what-the-city-has-brought";
        let provider = json!({"protocol": "async-image-jobs"});
        let studio = Studio::of(engine, provider, &["image"]).await;
        let input = json!({"key": "MOCK_API_KEY", "value": OWN, "test": false, "city_id": CITY});
        studio.app.admin().post("/v1/env/upsert", input).await.expect(200);
        studio.app.create_city("city_b").await;
        let ann = studio.buyer("ann", 500_000).await;
        let ben = studio.app.user(&studio.app.token("city_b", "ben").await);
        let input = json!({"city_id": "city_b", "user_id": "ben", "amount_microcredits": 500_000});
        studio.app.admin().post("/v1/balance/add", input).await.expect(200);
        for (client, key, of) in [(&ann, OWN, "city"), (&ben, KEY, "federation")] {
            let asked = studio.upstream.requests().len();
            studio.upstream.then(Answer::json(200, &json!({"id": "up", "status": "queued"})));
            let made = json!({"status": "done", "images": [{"b64_json": PNG}]});
            studio.upstream.then(Answer::json(200, &made));
            let reply = client.post("/v1/ai/image/create", json!({"prompt": "A cat"})).await;
            let request_id = reply.header("x-request-id").unwrap().to_owned();
            let done = studio.ended(client, "image", &reply.expect(200)["job_id"]).await;
            assert_eq!(done["status"], "succeeded", "{done}");
            let requests = studio.upstream.requests();
            assert_eq!(requests.len(), asked + 2);
            for sent in &requests[asked..] {
                assert_eq!(sent.headers["authorization"], format!("Bearer {key}"));
            }
            let path = format!("/v1/usage/requests/{request_id}");
            let receipt = studio.app.admin().get(&path).await.expect(200);
            assert_eq!(receipt["attempts"][0]["key_of"], of, "{receipt}");
        }
    }
}
