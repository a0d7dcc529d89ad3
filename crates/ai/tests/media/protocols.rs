//! What each protocol sends, and what it makes of answers.

use downcity_testkit::Answer;
use serde_json::{Value, json};

use super::common::{KEY, MP4, PNG, Studio, file, file_urls, images, png, wallet};

/// A turn that shows an image and says what to do with it.
fn edit(text: &str) -> Value {
    let url = format!("data:image/png;base64,{PNG}");
    json!([
        {"role": "system", "content": [{"type": "text", "text": "In oil."}]},
        {"role": "user", "content": [
            {"type": "text", "text": text}, {"type": "image", "data_url": url},
        ]},
    ])
}

on_both! {
    async fn openai_edits_images_that_are_sent_along(engine: Engine) {
        let studio = Studio::open(engine).await;
        let ann = studio.buyer("ann", 500_000).await;
        studio.upstream.always(images(1));
        let input = json!({
            "messages": edit("Add a hat"), "ratio": "3:2", "client_job_id": "mine-1",
            "provider_options": {"mock": {"background": "opaque"}, "other": {"x": 1}},
        });
        let done = studio.made(&ann, "image", input).await;
        let sent = studio.upstream.request();
        assert_eq!(sent.target, "POST /v1/images/edits");
        // Never the client's own id: another user may choose the same.
        assert_eq!(sent.headers["idempotency-key"], done["job_id"].as_str().unwrap());
        let kind = sent.headers["content-type"].to_str().unwrap();
        let boundary = kind.strip_prefix("multipart/form-data; boundary=").unwrap();
        let form = String::from_utf8_lossy(&sent.body);
        assert!(form.ends_with(&format!("--{boundary}--\r\n")), "{form}");
        for part in [
            "name=\"prompt\"\r\n\r\nIn oil.\nAdd a hat\r\n",
            "name=\"size\"\r\n\r\n1536x1024\r\n",
            "name=\"background\"\r\n\r\nopaque\r\n",
            "name=\"image\"; filename=\"image-1.png\"\r\nContent-Type: image/png\r\n\r\n",
        ] {
            assert!(form.contains(part), "{part} in {form}");
        }
        assert!(!form.contains("other"));
        // What it cannot take is refused before anything is held.
        for (input, field) in [
            (json!({"prompt": "A cat", "ratio": "16:9"}), "ratio"),
            (json!({"prompt": "A cat", "seconds": 5}), "seconds"),
        ] {
            let refused = ann.post("/v1/ai/image/create", input).await;
            let refused = refused.expect_error(422, "unprocessable");
            assert!(refused["error"].as_str().unwrap().starts_with(field), "{refused}");
        }
        for reserved in [json!({"n": 9}), json!({"prompt": "A dog"})] {
            let reserved = json!({"prompt": "A cat", "provider_options": {"mock": reserved}});
            ann.post("/v1/ai/image/create", reserved).await.expect_error(400, "invalid_input");
        }
        assert_eq!(wallet(&ann).await, (450_000, 0));
    }

    async fn jobs_of_an_upstream_are_followed_to_their_end(engine: Engine) {
        let provider = json!({"protocol": "async-image-jobs", "force": {"tier": "fast"}});
        let studio = Studio::of(engine, provider, &["image"]).await;
        let ann = studio.buyer("ann", 500_000).await;
        for state in [
            json!({"data": {"job_id": 17, "status": "pending"}}),
            json!({"data": {"status": "running"}}),
            json!({"data": {"status": "Success", "result": {"images": [
                {"base64": PNG, "mimeType": "image/png"}, "/made/2.png",
            ]}}}),
        ] {
            studio.upstream.then(Answer::json(200, &state));
        }
        studio.upstream.then(file("image/png", &png()));
        let input = json!({"prompt": "A cat", "count": 2, "aspect_ratio": "16:9", "seed": 7});
        let done = studio.made(&ann, "image", input).await;
        let urls = file_urls(&done);
        assert!(urls.iter().all(|url| url.contains("/v1/ai/files/")), "{urls:?}");
        let sent = studio.upstream.requests();
        let mut body = sent[0].json();
        assert_eq!(body["client_job_id"].take(), done["job_id"]);
        assert_eq!(
            body,
            json!({
                "model": "gpt-image-1", "prompt": "A cat", "ratio": "16:9", "count": 2, "seed": 7,
                "client_job_id": null, "tier": "fast",
            })
        );
        assert_eq!(sent[2].target, "GET /v1/api/relay/image-jobs/17");
        assert_eq!(sent[3].target, "GET /v1/made/2.png");
        assert_eq!(sent[2].headers["authorization"], format!("Bearer {KEY}"));
        assert_eq!(wallet(&ann).await, (400_000, 0));
    }

    async fn options_do_not_get_around_the_number_that_is_paid_for(engine: Engine) {
        let provider = json!({"protocol": "async-image-jobs", "jobs": {
            "count_field": "num_images", "idempotency_field": "dedup",
        }});
        let studio = Studio::of(engine, provider, &["image"]).await;
        let ann = studio.buyer("ann", 500_000).await;
        for options in [json!({"num_images": 9}), json!({"dedup": "x"})] {
            let input = json!({"prompt": "A cat", "provider_options": {"mock": options}});
            ann.post("/v1/ai/image/create", input).await.expect_error(400, "invalid_input");
        }
        let provider = json!({"protocol": "async-image-jobs", "jobs": {"count_field": ""}});
        let studio = Studio::of(engine, provider, &["image"]).await;
        let ann = studio.buyer("ann", 500_000).await;
        let two = json!({"prompt": "A cat", "n": 2});
        ann.post("/v1/ai/image/create", two).await.expect_error(422, "unprocessable");
        ann.post("/v1/ai/image/create", json!({"prompt": "A cat", "n": 1})).await.expect(200);
    }

    async fn gemini_draws_from_a_conversation(engine: Engine) {
        let provider = json!({"protocol": "gemini-generate-content"});
        let studio = Studio::of(engine, provider, &["text", "image"]).await;
        let ann = studio.buyer("ann", 500_000).await;
        let drawn = json!({
            "candidates": [{"content": {"parts": [
                {"text": "Here you are"},
                {"inlineData": {"mimeType": "image/png", "data": PNG}},
            ]}, "finishReason": "STOP"}],
            "usageMetadata": {"promptTokenCount": 9, "candidatesTokenCount": 1_290},
        });
        studio.upstream.then(Answer::json(200, &drawn));
        let input = json!({"messages": edit("Add a hat"), "ratio": "16:9"});
        assert_eq!(file_urls(&studio.made(&ann, "image", input).await).len(), 1);
        let sent = studio.upstream.request();
        assert_eq!(sent.target, "POST /v1/models/gpt-image-1:generateContent");
        assert_eq!(sent.headers["x-goog-api-key"], KEY);
        assert_eq!(
            sent.json(),
            json!({
                "contents": [{"role": "user", "parts": [
                    {"text": "Add a hat"}, {"inlineData": {"mimeType": "image/png", "data": PNG}},
                ]}],
                "systemInstruction": {"parts": [{"text": "In oil."}]},
                "generationConfig": {
                    "responseModalities": ["TEXT", "IMAGE"], "imageConfig": {"aspectRatio": "16:9"},
                },
            })
        );
        // No image is a failure, and says why.
        let none = json!({"candidates": [{"finishReason": "IMAGE_SAFETY"}]});
        studio.upstream.then(Answer::json(200, &none));
        let failed = studio.made(&ann, "image", json!({"prompt": "Something"})).await;
        assert_eq!(failed["error"], "The AI provider made no image (IMAGE_SAFETY).");
        let two = json!({"prompt": "A cat", "n": 2});
        ann.post("/v1/ai/image/create", two).await.expect_error(422, "unprocessable");
        for options in [
            json!({"generationConfig": {"candidateCount": 8}}),
            json!({"generationConfig": 1}),
            json!({"contents": []}),
        ] {
            let input = json!({"prompt": "A cat", "provider_options": {"mock": options}});
            ann.post("/v1/ai/image/create", input).await.expect_error(400, "invalid_input");
        }
        assert_eq!(wallet(&ann).await, (450_000, 0));
    }

    async fn a_template_speaks_to_any_api(engine: Engine) {
        let provider = json!({"protocol": "http-template", "template": {
            "create": {
                "path": "/gen/{{model}}?v=1",
                "headers": {"x-trace": "fed-{{job_id}}"},
                "body": {
                    "input": {"text": "{{prompt}}", "count": "{{n}}", "seed": "{{seed}}"},
                    "note": "size {{width}} by {{height}}", "style": "{{options.style}}",
                },
            },
            "answer": {"files": ["/out"]},
        }});
        let studio = Studio::of(engine, provider, &["image"]).await;
        let ann = studio.buyer("ann", 500_000).await;
        studio.upstream.then(Answer::json(200, &json!({"out": [format!("data:image/png;base64,{PNG}")]})));
        let input = json!({
            "prompt": "A \"cat\", {{seed}}\n", "n": 1, "size": "640x480",
            "provider_options": {"mock": {"style": ["oil"]}},
        });
        let done = studio.made(&ann, "image", input).await;
        assert_eq!(file_urls(&done).len(), 1);
        let sent = studio.upstream.request();
        assert_eq!(sent.target, "POST /v1/gen/gpt%2Dimage%2D1?v=1");
        assert_eq!(sent.headers["x-trace"], format!("fed-{}", done["job_id"].as_str().unwrap()));
        assert_eq!(
            sent.json(),
            json!({
                "input": {"text": "A \"cat\", {{seed}}\n", "count": 1},
                "note": "size 640 by 480", "style": ["oil"],
            })
        );
        // An answer may be the file itself.
        let png = Answer::pieces("image/png").write_bytes(b"\x89PNG\r\n\x1a\n");
        studio.upstream.then(png);
        let done = studio.made(&ann, "image", json!({"prompt": "A cat"})).await;
        assert_eq!(done["result"]["parts"][0]["mediaType"], "image/png");
        let lost = json!({"prompt": "A cat", "quality": "hd"});
        ann.post("/v1/ai/image/create", lost).await.expect_error(422, "unprocessable");
    }

    async fn a_video_is_followed_and_paid_by_its_seconds(engine: Engine) {
        let provider = json!({"protocol": "http-template", "template": {
            "create": {"path": "/videos", "body": {"prompt": "{{prompt}}", "duration": "{{seconds}}"}},
            "status": {"path": "/videos/{{id}}"},
            "answer": {"files": ["/video"], "seconds": ["/length"]},
        }});
        let studio = Studio::of(engine, provider, &["video"]).await;
        let ann = studio.buyer("ann", 100_000).await;
        studio.upstream.then(Answer::json(200, &json!({"id": "v/1", "status": "queued"})));
        studio.upstream.then(Answer::json(200, &json!({"id": "v/1", "status": "working"})));
        let url = format!("{}/film.mp4", studio.upstream.url());
        let done = json!({"status": "done", "video": {"url": url}, "length": 5.5});
        studio.upstream.then(Answer::json(200, &done));
        studio.upstream.then(file("video/mp4", MP4));
        let order = json!({"prompt": "Waves", "seconds": 10});
        let job = ann.post("/v1/ai/video/create", order).await.expect(200);
        assert_eq!(wallet(&ann).await, (100_000, 70_000));
        let done = studio.ended(&ann, "video", &job["job_id"]).await;
        assert!(file_urls(&done)[0].contains("/v1/ai/files/"));
        assert_eq!(done["result"]["parts"][0]["mediaType"], "video/mp4");
        assert_eq!(studio.upstream.requests()[2].target, "GET /v1/videos/v%2F1");
        assert_eq!(wallet(&ann).await, (100_000 - 6 * 7_000, 0));
        let image = ann.post("/v1/ai/image/create", json!({"prompt": "A cat"})).await;
        image.expect_error(422, "model_not_found");
    }

    async fn no_more_is_paid_than_can_have_come_of_the_order(engine: Engine) {
        let provider = json!({"protocol": "http-template", "template": {
            "create": {"path": "/videos", "body": {"duration": "{{seconds}}"}},
            "answer": {"files": ["/videos"], "seconds": ["/length"]},
        }});
        let studio = Studio::of(engine, provider, &["video", "image"]).await;
        let ann = studio.buyer("ann", 500_000).await;
        let mut left = 500_000;
        let url = format!("{}/film.mp4", studio.upstream.url());
        // Milliseconds, nothing, and two videos where one was ordered.
        for (length, count) in [(5_500.0, 1), (0.0, 1), (-3.0, 1), (40.5, 2)] {
            let videos = vec![json!(url); count];
            let said = json!({"videos": videos, "length": length});
            studio.upstream.then(Answer::json(200, &said));
            for _ in 0..count {
                studio.upstream.then(file("video/mp4", MP4));
            }
            let order = json!({"prompt": "Waves", "seconds": 10});
            let done = studio.made(&ann, "video", order).await;
            assert_eq!(done["status"], "succeeded", "{done}");
            left -= 10 * 7_000;
            assert_eq!(wallet(&ann).await, (left, 0), "{length}");
        }
        let said = json!({"videos": vec![json!(format!("data:image/png;base64,{PNG}")); 3]});
        studio.upstream.then(Answer::json(200, &said));
        studio.made(&ann, "image", json!({"prompt": "A cat"})).await;
        assert_eq!(wallet(&ann).await, (left - 50_000, 0));
    }

    async fn echo_draws_offline(engine: Engine) {
        let studio = Studio::with(engine, |config| {
            config["provider"] = json!([]);
            config["model"] = json!([]);
        })
        .await;
        let ann = studio.buyer("ann", 0).await;
        let done = studio.made(&ann, "image", json!({"prompt": "A cat", "n": 2})).await;
        assert_eq!(file_urls(&done).len(), 2);
        assert_eq!(done["result"]["parts"][1]["filename"], "echo-development-2.png");
    }
}
