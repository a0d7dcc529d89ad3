//! What a call that goes well costs.

use downcity_testkit::{Answer, Gate};
use serde_json::json;

use crate::common::{Shop, beside, chunk, chunks, completion, tokens};

on_both! {
    async fn a_flat_price_is_charged_by_mode(engine: Engine) {
        let price = json!({"per_request": 500, "per_mode": {"stream": 700, "openai": 0}});
        let shop = Shop::open(engine, price).await;
        let ann = shop.buyer("ann", 10_000).await;
        shop.upstream.then(Answer::json(200, &completion("Hello", tokens(10, 0, 5))));
        ann.text("Hi").await.expect(200);
        shop.run_until_settled(&ann, 9_500).await;
        shop.upstream.then(Answer::events(&chunks(&["a", "b"], Some(tokens(10, 0, 5)))));
        assert_eq!(ann.stream("Hi").await.status, 200);
        shop.run_until_settled(&ann, 8_800).await;
        shop.upstream.then(Answer::json(200, &completion("free", tokens(10, 0, 5))));
        ann.chat(json!({"messages": []})).await.expect(200);
        let charges = shop.charges(&ann).await;
        let amounts: Vec<_> = charges.iter().map(|charge| &charge["amount_microcredits"]).collect();
        assert_eq!(amounts, [700, 500], "the free mode left nothing behind");
        assert_eq!(shop.wallet(&ann).await, (8_800, 0));
    }

    async fn tokens_are_charged_from_usage_on_every_route(engine: Engine) {
        let shop = Shop::metered(engine).await;
        let ann = shop.buyer("ann", 1_000_000).await;
        // 1 an input token, 0.5 a cached one, 10 an output token.
        let usage = tokens(103, 3, 20);
        let cost = 100 + 2 + 200;
        for (number, route) in ["text", "stream", "chat", "chat stream"].into_iter().enumerate() {
            shop.upstream.then(if route.ends_with("stream") {
                Answer::events(&chunks(&["Hel", "lo"], Some(usage.clone())))
            } else {
                Answer::json(200, &completion("Hello", usage.clone()))
            });
            let reply = match route {
                "text" => ann.text("Hi").await,
                "stream" => ann.stream("Hi").await,
                "chat" => ann.chat(json!({"messages": []})).await,
                _ => ann.chat(json!({"messages": [], "stream": true})).await,
            };
            assert_eq!(reply.status, 200, "{route}");
            assert!(reply.text().contains("lo"), "{route}");
            let left = 1_000_000 - cost * (i64::try_from(number).unwrap() + 1);
            shop.run_until_settled(&ann, left).await;
            let charge = &shop.charges(&ann).await[0];
            assert_eq!(charge["amount_microcredits"], cost, "{route}");
            assert_eq!((&charge["status"], &charge["note"]), (&json!("settled"), &json!("chat")));
            let request_id = reply.header("x-request-id").unwrap();
            assert_eq!(charge["ref"], request_id);
            let metadata = &charge["metadata"];
            assert_eq!(metadata["input_tokens"], 100);
            assert_eq!(metadata["cached_tokens"], 3);
            assert_eq!(metadata["output_tokens"], 20);
            assert_eq!(metadata["model_id"], "chat");
            assert_eq!(metadata["provider_id"], "mock");
            assert_eq!(metadata["request_id"], request_id);
            assert_eq!(metadata.get("estimated"), None);
            let receipt = shop.receipt(&ann, request_id).await;
            assert_eq!(receipt["charge_microcredits"], cost, "{receipt}");
            assert_eq!(receipt["status"], "success");
        }
    }

    async fn an_answer_without_usage_is_charged_by_its_bytes(engine: Engine) {
        let shop = Shop::metered(engine).await;
        let ann = shop.buyer("ann", 1_000_000).await;
        shop.upstream.then(Answer::json(200, &completion("Hello, Ann!", json!(null))));
        ann.text("Hi").await.expect(200);
        let sent = shop.upstream.requests()[0].body.len();
        // 11 bytes are 4 tokens.
        let left = 1_000_000 - (sent.div_ceil(3) as i64) - 40;
        shop.run_until_settled(&ann, left).await;
        let metadata = &shop.charges(&ann).await[0]["metadata"];
        assert_eq!((&metadata["output_tokens"], &metadata["estimated"]), (&json!(4), &json!(true)));

        // The same through the routes that pass bytes on.
        shop.upstream.then(Answer::json(200, &completion("Hello, Ann!", json!(null))));
        ann.chat(json!({"messages": []})).await.expect(200);
        let sent = shop.upstream.requests()[1].body.len();
        let left = left - (sent.div_ceil(3) as i64) - 40;
        shop.run_until_settled(&ann, left).await;
        let whole = completion("Hello, Ann!", json!(null)).to_string();
        shop.upstream.then(Answer::pieces("application/json").write(&whole));
        ann.chat(json!({"messages": []})).await.expect(200);
        let left = left - (sent.div_ceil(3) as i64) - 40;
        shop.run_until_settled(&ann, left).await;
        shop.upstream.then(Answer::events(&chunks(&["Hello, ", "Ann!"], None)));
        ann.chat(json!({"messages": [], "stream": true})).await;
        let sent = shop.upstream.requests()[3].body.len();
        shop.run_until_settled(&ann, left - (sent.div_ceil(3) as i64) - 40).await;
    }

    async fn absurd_usage_is_no_usage(engine: Engine) {
        let shop = Shop::metered(engine).await;
        let ann = shop.buyer("ann", 1_000_000).await;
        let mut left = 1_000_000;
        for absurd in [
            json!({"prompt_tokens": u64::MAX, "completion_tokens": u64::MAX}),
            json!({"prompt_tokens": 1e300, "completion_tokens": 1}),
            json!({"prompt_tokens": "99999999999999999999", "completion_tokens": "7"}),
            json!({"prompt_tokens": -5}),
            json!("a lot"),
        ] {
            shop.upstream.then(Answer::json(200, &completion("abc", absurd)));
            ann.chat(json!({"messages": []})).await.expect(200);
            let sent = shop.upstream.requests().last().unwrap().body.len();
            left -= (sent.div_ceil(3) as i64) + 10;
            shop.run_until_settled(&ann, left).await;
        }
    }

    async fn the_price_when_a_call_begins_counts(engine: Engine) {
        let shop = Shop::open(engine, json!({"per_request": 500})).await;
        let ann = shop.buyer("ann", 10_000).await;
        let gate = Gate::default();
        let answer = Answer::stream().event(&chunk("a")).wait(&gate).event(&chunk("b"));
        shop.upstream.then(answer.write("data: [DONE]\n\n"));
        let call = beside({
            let ann = ann.clone();
            async move { ann.stream("Hi").await }
        });
        shop.upstream.arrived(0).await;
        shop.apply(json!({"per_request": 9_000}));
        gate.open();
        assert_eq!(call.await.unwrap().status, 200);
        shop.run_until_settled(&ann, 9_500).await;
        shop.upstream.then(Answer::events(&chunks(&["a"], None)));
        assert_eq!(ann.stream("Hi").await.status, 200);
        shop.run_until_settled(&ann, 500).await;
    }

    async fn the_catalog_shows_prices(engine: Engine) {
        let shop = Shop::metered(engine).await;
        let ann = shop.buyer("ann", 1).await;
        let list = ann.client.get("/v1/ai/models").await.expect(200);
        assert_eq!(
            list["items"][0]["price"],
            json!({"input_per_m": 1_000_000, "cached_per_m": 500_000, "output_per_m": 10_000_000})
        );
        shop.apply(json!({"per_request": 0, "minimum": 0}));
        let list = ann.client.get("/v1/ai/models").await.expect(200);
        assert_eq!(list["items"][0].get("price"), None, "nothing is asked for");
    }
}
