//! What calls of a model of Anthropic cost, on every surface.

use downcity_testkit::Answer;
use serde_json::{Value, json};

use crate::common::{Shop, metered_price};

/// 100 tokens that were read as they are, 20 written into the cache, 40 read from it, 30 produced.
fn usage() -> Value {
    json!({
        "input_tokens": 100, "cache_creation_input_tokens": 20, "cache_read_input_tokens": 40,
        "output_tokens": 30,
    })
}

/// 1 an input token, 0.5 a cached one, 10 an output token.
const COST: i64 = 120 + 20 + 300;

fn whole() -> Answer {
    Answer::json(
        200,
        &json!({
            "id": "msg_up", "type": "message", "role": "assistant", "model": "claude",
            "content": [
                {"type": "thinking", "thinking": "They greet.", "signature": "sig"},
                {"type": "text", "text": "Hello"},
            ],
            "stop_reason": "end_turn", "stop_sequence": null, "usage": usage(),
        }),
    )
}

fn streamed() -> Answer {
    let mut begun = usage();
    begun["output_tokens"] = json!(1);
    let delta = |index: u64, delta: Value| json!({"type": "content_block_delta", "index": index, "delta": delta});
    let begin = |index: u64, block: Value| json!({"type": "content_block_start", "index": index, "content_block": block});
    let stop = |index: u64| json!({"type": "content_block_stop", "index": index});
    let events = [
        json!({"type": "message_start", "message": {"id": "msg_up", "model": "claude", "usage": begun}}),
        begin(0, json!({"type": "thinking", "thinking": "", "signature": ""})),
        delta(0, json!({"type": "thinking_delta", "thinking": "They greet."})),
        delta(0, json!({"type": "signature_delta", "signature": "sig"})),
        stop(0),
        begin(1, json!({"type": "text", "text": ""})),
        delta(1, json!({"type": "text_delta", "text": "Hello"})),
        stop(1),
        json!({"type": "message_delta", "delta": {"stop_reason": "end_turn"}, "usage": {"output_tokens": 30}}),
        json!({"type": "message_stop"}),
    ];
    events.iter().fold(Answer::stream(), |answer, event| {
        answer.write(&format!("event: {}\ndata: {event}\n\n", event["type"].as_str().unwrap()))
    })
}

on_both! {
    async fn every_surface_charges_what_the_provider_counted(engine: Engine) {
        let shop = Shop::with(engine, |config| {
            config["provider"][0]["protocol"] = json!("anthropic-messages");
            config["model"][0]["price"] = metered_price();
        })
        .await;
        let ann = shop.buyer("ann", 1_000_000).await;
        let messages = json!([{"role": "user", "content": "Hi"}]);
        let mut left = 1_000_000;
        for (path, input) in [
            ("ai/text", json!({"prompt": "Hi"})),
            ("ai/stream", json!({"prompt": "Hi"})),
            ("ai/chat/completions", json!({"messages": messages})),
            ("ai/chat/completions", json!({"messages": messages, "stream": true})),
            ("messages", json!({"messages": messages, "max_tokens": 64})),
            ("messages", json!({"messages": messages, "max_tokens": 64, "stream": true})),
        ] {
            let is_stream = path == "ai/stream" || input["stream"] == true;
            shop.upstream.then(if is_stream { streamed() } else { whole() });
            let reply = ann.client.post(&format!("/v1/{path}"), input.clone()).await;
            assert_eq!(reply.status, 200, "{path} {input}: {}", reply.text());
            assert!(reply.text().contains("Hello"), "{path}: {}", reply.text());
            left -= COST;
            shop.run_until_settled(&ann, left).await;
            let charge = &shop.charges(&ann).await[0];
            assert_eq!(charge["amount_microcredits"], COST, "{path} {input}");
            let metadata = &charge["metadata"];
            let counts = ["input_tokens", "cached_tokens", "output_tokens"].map(|name| &metadata[name]);
            assert_eq!(counts, [120, 40, 30], "{path} {input}");
            assert_eq!(metadata.get("estimated"), None);
            let request_id = reply.header("x-request-id").unwrap();
            assert_eq!(shop.receipt(&ann, request_id).await["charge_microcredits"], COST);
        }
    }

    async fn an_empty_wallet_is_a_billing_error(engine: Engine) {
        let shop = Shop::metered(engine).await;
        let ann = shop.buyer("ann", 0).await;
        let input = json!({"messages": [{"role": "user", "content": "Hi"}], "max_tokens": 64});
        let reply = ann.client.post("/v1/messages", input).await;
        assert_eq!(reply.status, 402, "{}", reply.text());
        let error = &reply.json()["error"];
        assert_eq!(
            (&error["type"], &error["code"]),
            (&json!("billing_error"), &json!("insufficient_balance"))
        );
        assert!(shop.upstream.requests().is_empty(), "nobody was asked");
    }
}
