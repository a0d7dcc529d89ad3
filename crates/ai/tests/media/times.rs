//! Jobs that take long, nodes that end, files that cannot be stored.

use std::time::Duration;

use downcity_testkit::{Answer, Client, Engine, Gate};
use serde_json::{Value, json};

use super::common::{CITY, KEY, PNG, Studio, eventually, images, wallet};

const DAY: u64 = 24 * 3_600;

/// A studio whose provider works on jobs, and an order that it has taken on.
async fn working(engine: Engine) -> (Studio, Client, Value) {
    let provider = json!({"protocol": "async-image-jobs"});
    let studio = Studio::of(engine, provider, &["image"]).await;
    let ann = studio.buyer("ann", 100_000).await;
    studio.upstream.then(Answer::json(200, &json!({"job": {"id": "up 1", "status": "queued"}})));
    let order = json!({"prompt": "A cat"});
    let job = ann.post("/v1/ai/image/create", order).await.expect(200);
    let input = json!({"job_id": job["job_id"]});
    eventually(async || {
        studio.app.run_jobs().await;
        let state = ann.post("/v1/ai/image/result", input.clone()).await.expect(200);
        state["poll_after_ms"] == 3_000
    })
    .await;
    (studio, ann, input)
}

on_both! {
    async fn a_job_is_looked_at_when_it_is_due_and_by_any_node(engine: Engine) {
        let (studio, ann, input) = working(engine).await;
        let state = ann.post("/v1/ai/image/result", input.clone()).await.expect(200);
        assert_eq!(state["status"], "running");
        assert_eq!(studio.app.run_jobs().await, 0, "it is not due yet");
        assert_eq!(studio.upstream.requests().len(), 1);
        // Its node is gone; another goes on with it. A look that meets no answer ends nothing.
        let other = studio.another_node().await;
        studio.app.stop().await;
        studio.upstream.then(Answer::text(502, "text/html", "<html>"));
        let done = json!({"status": "completed", "data": {"images": [{"b64_json": PNG}]}});
        studio.upstream.then(Answer::json(200, &done));
        let ann = other.user(&other.token(CITY, "ann").await);
        let mut last = Value::Null;
        eventually(async || {
            other.clock().advance(Duration::from_secs(4));
            other.run_jobs().await;
            last = ann.post("/v1/ai/image/result", input.clone()).await.expect(200);
            last["status"] == "succeeded"
        })
        .await;
        let asked = studio.upstream.requests();
        let targets: Vec<&str> = asked.iter().map(|request| &*request.target).collect();
        assert_eq!(targets, [
            "POST /v1/api/relay/image-jobs/generations",
            "GET /v1/api/relay/image-jobs/up%201",
            "GET /v1/api/relay/image-jobs/up%201",
        ]);
        assert_eq!(wallet(&ann).await, (50_000, 0));
    }

    async fn a_node_that_ends_in_the_middle_leaves_the_work_to_others(engine: Engine) {
        let studio = Studio::open(engine).await;
        let ann = studio.buyer("ann", 100_000).await;
        let gate = Gate::default();
        studio.upstream.then(images(1).wait(&gate));
        let job = ann.post("/v1/ai/image/create", json!({"prompt": "A cat"})).await.expect(200);
        // The first node asks, hears nothing, and is seen no more.
        studio.app.run_jobs().await;
        studio.upstream.arrived(0).await;
        let other = studio.another_node().await;
        studio.upstream.then(images(1));
        other.clock().advance(Duration::from_secs(30));
        other.run_jobs().await;
        assert_eq!(studio.upstream.requests().len(), 1, "the first node holds it");
        let input = json!({"job_id": job["job_id"]});
        let ann = other.user(&other.token(CITY, "ann").await);
        eventually(async || {
            other.clock().advance(Duration::from_secs(31));
            other.run_jobs().await;
            ann.post("/v1/ai/image/result", input.clone()).await.expect(200)["status"] == "succeeded"
        })
        .await;
        // What the first one hears in the end changes nothing.
        gate.open();
        studio.app.run_jobs().await;
        assert_eq!(wallet(&ann).await, (50_000, 0));
    }

    async fn a_job_that_takes_too_long_fails_and_costs_nothing(engine: Engine) {
        let (studio, ann, input) = working(engine).await;
        assert_eq!(wallet(&ann).await, (100_000, 50_000));
        studio.app.clock().advance(Duration::from_millis(7_199_000));
        let state = ann.post("/v1/ai/image/result", input.clone()).await.expect(200);
        assert_eq!(state["status"], "running");
        studio.app.clock().advance(Duration::from_secs(1));
        // No worker has noticed: who asks does.
        let state = ann.post("/v1/ai/image/result", input.clone()).await.expect(200);
        assert_eq!((&state["status"], &state["code"]), (&json!("failed"), &json!("upstream_timeout")));
        assert_eq!((&state["error"], &state["message"]), (&json!("upstream timeout"), &json!("upstream timeout")));
        assert_eq!(
            state["metadata"],
            json!({"timeout_reason": "upstream timeout", "max_pending_duration_ms": 7_200_000})
        );
        assert_eq!(wallet(&ann).await, (100_000, 0));
        studio.app.run_jobs().await;
        assert_eq!(studio.upstream.requests().len(), 1, "nobody asks any more");
        // A month later nobody knows of it.
        let runtime = studio.app.runtime();
        assert_eq!(studio.ai.sweep(runtime).await.unwrap(), (0, 0));
        studio.app.clock().advance(Duration::from_secs(31 * DAY));
        assert_eq!(studio.ai.sweep(runtime).await.unwrap(), (1, 0));
        let ann = studio.app.user(&studio.app.token(CITY, "ann").await);
        ann.post("/v1/ai/image/result", input).await.expect_error(404, "not_found");
    }

    async fn files_are_kept_for_ever_unless_set(engine: Engine) {
        let studio = Studio::open(engine).await;
        let ann = studio.buyer("ann", 100_000).await;
        studio.upstream.then(images(1));
        studio.made(&ann, "image", json!({"prompt": "A cat"})).await;
        studio.app.clock().advance(Duration::from_secs(10_000 * DAY));
        studio.ai.sweep(studio.app.runtime()).await.unwrap();
        assert_eq!(studio.files(), 1);
    }

    async fn files_go_when_no_kept_job_has_them(engine: Engine) {
        let studio = Studio::with(engine, |config| config["storage"]["keep_days"] = json!(10)).await;
        let runtime = studio.app.runtime();
        let (jpeg, webp) = ("/9j/4AAQSkZJRg==", "UklGRgAAAABXRUJQ");
        let made = async |base64: &str| {
            let ann = studio.buyer("ann", 50_000).await;
            studio.upstream.then(Answer::json(200, &json!({"data": [{"b64_json": base64}]})));
            studio.made(&ann, "image", json!({"prompt": "A cat"})).await
        };
        made(jpeg).await;
        made(webp).await;
        std::fs::write(studio.folder.path().join("files/mine.txt"), "kept").unwrap();
        studio.app.clock().advance(Duration::from_secs(8 * DAY));
        // The same file again, of another job: it stays with that one.
        let again = made(jpeg).await;
        studio.app.clock().advance(Duration::from_secs(4 * DAY));
        assert_eq!(studio.files(), 3);
        assert_eq!(studio.ai.sweep(runtime).await.unwrap(), (2, 1));
        let ann = studio.buyer("ann", 0).await;
        let seen = ann.post("/v1/ai/image/result", json!({"job_id": again["job_id"]})).await;
        let url = seen.expect(200)["result"]["parts"][0]["url"].as_str().unwrap().to_owned();
        let path = &url[url.find("/v1/").unwrap()..];
        assert_eq!(studio.app.guest().get(path).await.status, 200);
        // Nothing else than files of ours is deleted, and those that are gone can be made again.
        studio.app.clock().advance(Duration::from_secs(12 * DAY));
        assert_eq!(studio.ai.sweep(runtime).await.unwrap(), (1, 1));
        assert_eq!(studio.files(), 1);
        made(jpeg).await;
        assert_eq!(studio.files(), 2);
    }

    async fn what_an_upstream_tells_of_its_failure_is_passed_on(engine: Engine) {
        let (studio, ann, input) = working(engine).await;
        let said = json!({"data": {"status": "FAILED", "error": {
            "detail": {"message": "The picture shows a secret"}, "code": "policy_17",
        }}});
        studio.upstream.then(Answer::json(200, &said));
        let failed = studio.ended(&ann, "image", &input["job_id"]).await;
        assert_eq!(failed["error"], "The picture shows a secret (policy_17)");
        assert_eq!(failed["code"], "upstream_error");
        assert_eq!(wallet(&ann).await, (100_000, 0));
    }

    async fn a_job_of_a_city_that_was_removed_ends_and_stays_its_own(engine: Engine) {
        for is_worker in [true, false] {
            let (studio, ann, input) = working(engine).await;
            assert_eq!(wallet(&ann).await, (100_000, 50_000));
            let admin = studio.app.admin();
            admin.post("/v1/cities/remove", json!({"city_id": CITY})).await.expect(200);
            studio.app.clock().advance(Duration::from_secs(60));
            if is_worker {
                studio.app.run_jobs().await;
            }
            let failed = admin.post("/v1/ai/image/result", input.clone()).await.expect(200);
            assert_eq!(
                (&failed["status"], &failed["code"]),
                (&json!("failed"), &json!("city_not_found"))
            );
            assert_eq!(studio.upstream.requests().len(), 1, "nobody asks any more");
            studio.app.create_city(CITY).await;
            let ann = studio.app.user(&studio.app.token(CITY, "ann").await);
            assert_eq!(wallet(&ann).await.1, 0);
            ann.post("/v1/ai/image/result", input.clone()).await.expect_error(404, "not_found");
        }
    }

    async fn a_job_that_is_done_without_files_has_failed(engine: Engine) {
        for files in [json!([]), json!([{"url": "ftp://files/1.png"}])] {
            let (studio, ann, input) = working(engine).await;
            let said = json!({"data": {"status": "completed", "images": files}});
            studio.upstream.then(Answer::json(200, &said));
            let failed = studio.ended(&ann, "image", &input["job_id"]).await;
            assert_eq!(failed["error"], "The AI provider made no file.");
            assert_eq!(studio.upstream.requests().len(), 2);
            assert_eq!(wallet(&ann).await, (100_000, 0));
        }
    }

    async fn the_key_is_masked_in_what_an_upstream_answers(engine: Engine) {
        let (studio, ann, input) = working(engine).await;
        let url = format!("{}/1.png?key={KEY}", studio.upstream.url());
        let said = json!({"status": "completed", "data": {"images": [{"url": url}]}});
        studio.upstream.then(Answer::json(200, &said));
        let done = studio.ended(&ann, "image", &input["job_id"]).await;
        assert_eq!(done["status"], "succeeded", "{done}");
        assert!(!done.to_string().contains(KEY), "{done}");
    }
}
