//! What embeddings cost.

use downcity_testkit::Answer;
use serde_json::json;

use crate::common::Shop;

/// A shop whose first model makes vectors, for 1 microcredit a token.
async fn shop(engine: downcity_testkit::Engine) -> Shop {
    Shop::with(engine, |config| {
        config["provider"][0]["protocol"] = json!("openai-embeddings");
        // What is written costs nothing here: a vector is no text.
        config["model"][0]["price"] = json!({"input_per_m": 1_000_000, "output_per_m": 9_000_000});
    })
    .await
}

on_both! {
    async fn tokens_that_the_provider_tells_are_charged(engine: Engine) {
        let shop = shop(engine).await;
        let ann = shop.buyer("ann", 1_000_000).await;
        let usage = json!({"prompt_tokens": 8, "total_tokens": 8});
        let answer = json!({"data": [{"embedding": vec![0.5; 1_000]}], "usage": usage});
        shop.upstream.then(Answer::json(200, &answer));
        let reply = ann.client.post("/v1/embeddings", json!({"input": "a"})).await;
        reply.expect(200);
        shop.run_until_settled(&ann, 999_992).await;
        let charge = &shop.charges(&ann).await[0];
        assert_eq!(charge["metadata"].get("estimated"), None);
        let receipt = shop.receipt(&ann, reply.header("x-request-id").unwrap()).await;
        assert_eq!((&receipt["charge_microcredits"], &receipt["mode"]), (&json!(8), &json!("embeddings")));
        // An answer that is passed on in pieces.
        shop.upstream.then(Answer::pieces("application/json").write(&answer.to_string()));
        ann.client.post("/v1/ai/embeddings", json!({"input": "a"})).await.expect(200);
        shop.run_until_settled(&ann, 999_984).await;
    }

    async fn without_usage_the_bytes_of_the_request_count(engine: Engine) {
        let shop = shop(engine).await;
        let ann = shop.buyer("ann", 1_000_000).await;
        shop.upstream.then(Answer::json(200, &json!({"data": [{"embedding": vec![0.5; 1_000]}]})));
        ann.client.post("/v1/embeddings", json!({"input": "a"})).await.expect(200);
        let sent = shop.upstream.request().body.len();
        shop.run_until_settled(&ann, 1_000_000 - sent.div_ceil(3) as i64).await;
        assert_eq!(shop.charges(&ann).await[0]["metadata"]["estimated"], true);
    }

    async fn a_refusal_is_free_and_nobody_calls_without_money(engine: Engine) {
        let shop = shop(engine).await;
        let ann = shop.buyer("ann", 1_000_000).await;
        shop.upstream.always(Answer::json(400, &json!({"error": {"message": "No."}})));
        ann.client.post("/v1/embeddings", json!({"input": "a"})).await.expect(400);
        shop.run_until_settled(&ann, 1_000_000).await;
        let bob = shop.buyer("bob", 0).await;
        let reply = bob.client.post("/v1/embeddings", json!({"input": "a"})).await;
        assert_eq!(reply.expect(402)["error"]["code"], "insufficient_balance");
        assert_eq!(shop.upstream.requests().len(), 1);
    }
}
