//! Providers that fail: nothing is owed for nothing.

use downcity_testkit::Answer;
use http_body_util::BodyExt as _;
use serde_json::json;

use crate::common::{Shop, chunk, completion, tokens};

on_both! {
    async fn a_failed_call_costs_nothing(engine: Engine) {
        let shop = Shop::with(engine, |config| {
            config["model"][0]["price"] = json!({"per_request": 100});
            config["timeouts"] = json!({"first_byte_ms": 100});
        })
        .await;
        let ann = shop.buyer("ann", 1_000).await;
        let broken = json!({"error": {"message": "no", "code": "x"}});
        for (answer, status) in [
            (Answer::json(400, &broken), 400),
            (Answer::json(401, &broken), 502),
            (Answer::text(418, "text/plain", "tea"), 418),
            (Answer::text(500, "text/plain", "oops"), 500),
            (Answer::text(200, "text/html", "<html>"), 502),
            (Answer::json(200, &json!([])), 502),
            (Answer::stream().silent(), 504),
        ] {
            shop.upstream.always(answer);
            for streams in [false, true] {
                let reply = ann.chat(json!({"messages": [], "stream": streams})).await;
                assert!(!reply.status.is_success(), "{} {status}", reply.text());
                let request_id = reply.header("x-request-id").unwrap().to_owned();
                shop.run_until_settled(&ann, 1_000).await;
                let receipt = shop.receipt(&ann, &request_id).await;
                assert_eq!(receipt["charge_microcredits"], 0, "{receipt}");
                assert_eq!(receipt["status"], "error");
            }
            assert!(!ann.text("Hi").await.status.is_success(), "{status}");
            shop.run_until_settled(&ann, 1_000).await;
            assert!(!ann.stream("Hi").await.status.is_success(), "{status}");
            shop.run_until_settled(&ann, 1_000).await;
        }
        ann.chat(json!({"model": "down", "messages": []})).await.expect(502);
        shop.run_until_settled(&ann, 1_000).await;
        assert_eq!(shop.charges(&ann).await.len(), 0);
    }

    async fn repeated_tries_are_one_charge(engine: Engine) {
        let shop = Shop::open(engine, json!({"per_request": 100})).await;
        let ann = shop.buyer("ann", 1_000).await;
        shop.upstream.then(Answer::text(500, "text/plain", "oops"));
        shop.upstream.then(Answer::text(429, "text/plain", "later"));
        shop.upstream.then(Answer::json(200, &completion("Hello", tokens(1, 0, 1))));
        ann.text("Hi").await.expect(200);
        assert_eq!(shop.upstream.requests().len(), 3);
        shop.run_until_settled(&ann, 900).await;
        assert_eq!(shop.charges(&ann).await.len(), 1);
    }

    async fn whoever_answers_is_charged_once(engine: Engine) {
        let shop = Shop::with(engine, |config| {
            let model = &mut config["model"][0];
            model.as_object_mut().unwrap().remove("provider");
            model["upstreams"] = json!([{"provider": "down"}, {"provider": "mock"}]);
            model["price"] = json!({"per_request": 100});
        })
        .await;
        let ann = shop.buyer("ann", 1_000).await;
        shop.upstream.always(Answer::json(200, &completion("Hello", tokens(1, 0, 1))));
        ann.text("Hi").await.expect(200);
        shop.run_until_settled(&ann, 900).await;
        ann.chat(json!({"messages": []})).await.expect(200);
        shop.run_until_settled(&ann, 800).await;
        let charges = shop.charges(&ann).await;
        assert_eq!(charges.len(), 2);
        for charge in &charges {
            assert!(charge.to_string().contains("mock"), "the provider that answered: {charge}");
        }
    }

    async fn a_stream_that_breaks_is_charged_for_what_it_brought(engine: Engine) {
        let shop = Shop::metered(engine).await;
        let ann = shop.buyer("ann", 1_000_000).await;
        let mut left = 1_000_000;
        for (number, route) in ["stream", "chat"].into_iter().enumerate() {
            let answer = Answer::stream().event(&chunk("Hello, ")).event(&chunk("Ann!"));
            shop.upstream.then(answer.cut());
            let reply = match route {
                "stream" => ann.stream("Hi").await,
                _ => ann.chat(json!({"messages": [], "stream": true})).await,
            };
            assert_eq!(reply.status, 200);
            assert!(reply.text().contains("Ann!") && reply.text().contains("error"), "{route}");
            let sent = shop.upstream.requests()[number].body.len();
            left -= (sent.div_ceil(3) as i64) + 40;
            shop.run_until_settled(&ann, left).await;
            assert_eq!(shop.charges(&ann).await[0]["metadata"]["estimated"], true);
        }
    }

    async fn half_of_a_whole_answer_costs_nothing(engine: Engine) {
        let shop = Shop::open(engine, json!({"per_request": 100})).await;
        let ann = shop.buyer("ann", 1_000).await;
        let answer = Answer::pieces("application/json").write("{\"choices\":");
        shop.upstream.always(answer.cut());
        assert_eq!(ann.text("Hi").await.status, 502);
        shop.run_until_settled(&ann, 1_000).await;
        let mut response = ann.open("chat/completions", json!({"messages": []})).await;
        assert_eq!(response.status(), 200, "it had begun");
        while let Some(Ok(_)) = response.body_mut().frame().await {}
        drop(response);
        shop.run_until_settled(&ann, 1_000).await;
        assert_eq!(shop.charges(&ann).await.len(), 0);
    }

    async fn a_stream_that_breaks_before_its_first_word_costs_nothing(engine: Engine) {
        let shop = Shop::metered(engine).await;
        let ann = shop.buyer("ann", 1_000_000).await;
        let error = json!({"error": {"message": "overloaded"}});
        let role = json!({"choices": [{"index": 0, "delta": {"role": "assistant", "content": ""}}]});
        for answer in [
            Answer::stream().event(&role).cut(),
            Answer::stream().event(&role).event(&error).write("data: [DONE]\n\n"),
        ] {
            shop.upstream.always(answer);
            assert_eq!(ann.stream("Hi").await.status, 200);
            shop.run_until_settled(&ann, 1_000_000).await;
            assert_eq!(ann.chat(json!({"messages": [], "stream": true})).await.status, 200);
            shop.run_until_settled(&ann, 1_000_000).await;
        }
        assert_eq!(shop.charges(&ann).await.len(), 0);
    }
}
