//! The files of answers: what is none is not delivered, and what cannot be stored is told with care.

use downcity_testkit::{Answer, Gate};
use serde_json::{Value, json};

use super::common::{MP4, PNG, Studio, eventually, file, file_urls, images, png, wallet};

fn made(data: &Value) -> Answer {
    Answer::json(200, &json!({"data": data}))
}

on_both! {
    async fn what_is_no_image_is_neither_delivered_nor_charged(engine: Engine) {
        let studio = Studio::open(engine).await;
        let ann = studio.buyer("ann", 100_000).await;
        // Broken base64, nothing, a page, a zip, a video; and a good one does not make up for them.
        for bad in ["no base64!", "", "PGh0bWw+", "UEsDBA==", "AAAAGGZ0eXBtcDQyAAAAAG1wNDI="] {
            let data = json!([{"b64_json": PNG}, {"b64_json": bad}]);
            studio.upstream.then(made(&data));
            let failed = studio.made(&ann, "image", json!({"prompt": "A cat", "n": 2})).await;
            assert_eq!(
                (&failed["status"], &failed["code"]),
                (&json!("failed"), &json!("upstream_invalid")),
                "{bad}: {failed}"
            );
            assert!(failed["error"].as_str().unwrap().starts_with("The AI provider sent a"));
            assert_eq!(wallet(&ann).await, (100_000, 0), "{bad}");
        }
    }

    async fn the_next_upstream_is_asked_where_files_are_bad(engine: Engine) {
        let studio = Studio::with(engine, |config| {
            for id in ["other", "third"] {
                let mut other = config["provider"][0].clone();
                other["id"] = json!(id);
                config["provider"].as_array_mut().unwrap().push(other);
            }
            let model = config["model"][0].as_object_mut().unwrap();
            model.remove("provider");
            model.remove("upstream_model");
            model.insert("upstreams".to_owned(), json!([
                {"provider": "mock", "upstream_model": "gpt-image-1"},
                {"provider": "other", "upstream_model": "gpt-image-2"},
                {"provider": "third", "upstream_model": "gpt-image-3"},
            ]));
        })
        .await;
        let ann = studio.buyer("ann", 100_000).await;
        studio.upstream.then(made(&json!([{"b64_json": "PGh0bWw+"}])));
        studio.upstream.then(Answer::text(200, "text/html", "<html>"));
        studio.upstream.then(images(1));
        let reply = ann.post("/v1/ai/image/create", json!({"prompt": "A cat"})).await;
        let request_id = reply.header("x-request-id").unwrap().to_owned();
        let done = studio.ended(&ann, "image", &reply.expect(200)["job_id"]).await;
        assert_eq!(file_urls(&done).len(), 1);
        let models: Vec<Value> =
            studio.upstream.requests().iter().map(|sent| sent.json()["model"].clone()).collect();
        assert_eq!(models, ["gpt-image-1", "gpt-image-2", "gpt-image-3"]);
        assert_eq!(wallet(&ann).await, (50_000, 0));
        let receipt = ann.get(&format!("/v1/usage/requests/{request_id}")).await.expect(200);
        let outcomes: Vec<&Value> =
            receipt["attempts"].as_array().unwrap().iter().map(|one| &one["outcome"]).collect();
        assert_eq!(outcomes, ["bad_file", "unreadable", "success"]);
        assert_eq!(receipt["provider_id"], "third");
    }

    async fn files_are_what_their_bytes_show(engine: Engine) {
        let studio = Studio::open(engine).await;
        let ann = studio.buyer("ann", 100_000).await;
        // A JPEG, without padding and over two lines.
        studio.upstream.then(made(&json!([{"b64_json": "/9j/4AAQ\nSkY", "media_type": "image/png"}])));
        let done = studio.made(&ann, "image", json!({"prompt": "A cat"})).await;
        let part = &done["result"]["parts"][0];
        assert_eq!(part["mediaType"], "image/jpeg", "{done}");
        assert_eq!(part["filename"], "image-1.jpg");
        let url = part["url"].as_str().unwrap();
        let served = studio.app.guest().get(&url[url.find("/v1/").unwrap()..]).await;
        assert_eq!(served.header("content-type"), Some("image/jpeg"));
    }

    async fn what_is_fetched_has_to_be_what_was_asked_for(engine: Engine) {
        let studio = Studio::open(engine).await;
        let ann = studio.buyer("ann", 100_000).await;
        let url = format!("{}/files/1", studio.upstream.url());
        for bad in [file("image/png", b"<html>busy</html>"), file("image/png", b""), file("text/html", b"<p>")] {
            studio.upstream.then(made(&json!([{"url": url}])));
            studio.upstream.then(bad);
            let failed = studio.made(&ann, "image", json!({"prompt": "A cat"})).await;
            assert_eq!(failed["code"], "upstream_invalid", "{failed}");
            assert_eq!(wallet(&ann).await, (100_000, 0));
        }
        // The bytes say what it is, not its server.
        studio.upstream.then(made(&json!([{"url": url}])));
        studio.upstream.then(file("image/webp", &png()));
        let done = studio.made(&ann, "image", json!({"prompt": "A cat"})).await;
        assert_eq!(done["result"]["parts"][0]["mediaType"], "image/png");
        assert_eq!(done["result"]["parts"][0]["filename"], "image-1.png");
        assert_eq!(wallet(&ann).await, (50_000, 0));
        // One that is not there stays at its address.
        studio.upstream.then(made(&json!([{"url": url}])));
        studio.upstream.then(Answer::text(404, "text/plain", "later"));
        let done = studio.made(&ann, "image", json!({"prompt": "A cat"})).await;
        assert_eq!(file_urls(&done), [url]);
    }

    async fn an_image_is_no_video(engine: Engine) {
        let provider = json!({"protocol": "http-template", "template": {
            "create": {"path": "/videos"}, "answer": {"files": ["/video"]},
        }});
        let studio = Studio::of(engine, provider, &["video"]).await;
        let ann = studio.buyer("ann", 100_000).await;
        studio.upstream.then(file("video/mp4", &png()));
        let failed = studio.made(&ann, "video", json!({"prompt": "Waves"})).await;
        assert_eq!(failed["error"], "The AI provider sent a file that is no video.");
        studio.upstream.then(file("video/mp4", MP4));
        assert_eq!(file_urls(&studio.made(&ann, "video", json!({"prompt": "Waves"})).await).len(), 1);
    }

    async fn only_types_that_are_allowed_are_taken(engine: Engine) {
        let studio = Studio::with(engine, |config| {
            config["storage"]["download"]["types"] = json!(["image/jpeg"]);
        })
        .await;
        let ann = studio.buyer("ann", 100_000).await;
        studio.upstream.then(images(1));
        let failed = studio.made(&ann, "image", json!({"prompt": "A cat"})).await;
        assert_eq!(failed["code"], "upstream_invalid", "{failed}");
        assert_eq!(wallet(&ann).await, (100_000, 0));
    }

    async fn a_private_address_is_told_to_nobody(engine: Engine) {
        let studio = Studio::with(engine, |config| {
            config["storage"]["download"]["allow_private"] = json!(false);
        })
        .await;
        let ann = studio.buyer("ann", 100_000).await;
        let here = studio.upstream.url();
        for url in [&*here, "http://10.0.0.7/1.png", "http://localhost:9/1.png", "http://u:p@8.8.8.8/"] {
            studio.upstream.then(made(&json!([{"url": url}])));
            let failed = studio.made(&ann, "image", json!({"prompt": "A cat"})).await;
            assert_eq!((&failed["status"], &failed["code"]), (&json!("failed"), &json!("upstream_invalid")));
            assert!(!failed.to_string().contains("http"), "{failed}");
        }
        assert_eq!(studio.upstream.requests().len(), 4, "nobody fetched them");
        assert_eq!(wallet(&ann).await, (100_000, 0));
    }

    async fn four_files_are_stored_at_once(engine: Engine) {
        let studio = Studio::open(engine).await;
        let ann = studio.buyer("ann", 500_000).await;
        let (gate, here) = (Gate::default(), studio.upstream.url());
        let data: Vec<Value> = (0..6).map(|at| json!({"url": format!("{here}/files/{at}")})).collect();
        let held = gate.clone();
        studio.upstream.by(move |asked| match asked.target.starts_with("POST") {
            true => made(&json!(data)),
            false => file("image/png", &png()).wait(&held),
        });
        let job = ann.post("/v1/ai/image/create", json!({"prompt": "A cat", "n": 6})).await.expect(200);
        eventually(async || {
            studio.app.run_jobs().await;
            studio.upstream.requests().len() == 5
        })
        .await;
        studio.app.run_jobs().await;
        assert_eq!(studio.upstream.requests().len(), 5, "the order and four files");
        gate.open();
        let done = studio.ended(&ann, "image", &job["job_id"]).await;
        assert_eq!(file_urls(&done).len(), 6);
        let names: Vec<&Value> =
            done["result"]["parts"].as_array().unwrap().iter().map(|part| &part["filename"]).collect();
        assert_eq!(names[5], "image-6.png");
    }

    async fn storing_ends_in_time(engine: Engine) {
        let studio = Studio::with(engine, |config| {
            config["storage"]["download"]["all_timeout_ms"] = json!(50);
        })
        .await;
        let ann = studio.buyer("ann", 500_000).await;
        let here = studio.upstream.url();
        let urls: Vec<String> = (0..6).map(|at| format!("{here}/files/{at}")).collect();
        let data: Vec<Value> = urls.iter().map(|url| json!({"url": url})).collect();
        studio.upstream.by(move |asked| match asked.target.starts_with("POST") {
            true => made(&json!(data)),
            false => file("image/png", b"").silent(),
        });
        let done = studio.made(&ann, "image", json!({"prompt": "A cat", "n": 6})).await;
        assert_eq!(file_urls(&done), urls);
    }
}
