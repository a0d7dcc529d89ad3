//! What speech and transcription cost.

use downcity_testkit::{Answer, Gate};
use serde_json::{Value, json};

use crate::common::Shop;

/// A shop whose first model speaks and listens, for 100 microcredits a second unless priced otherwise.
async fn shop(engine: downcity_testkit::Engine, price: Value) -> Shop {
    Shop::with(engine, |config| {
        config["provider"][0]["protocol"] = json!("openai-audio");
        config["model"][0]["price"] = price;
    })
    .await
}

/// So many seconds of MP3 at 128 kbit/s.
fn mp3(seconds: usize) -> Vec<u8> {
    let mut mp3 = vec![0xFF, 0xFB, 0x90, 0];
    mp3.resize(16_000 * seconds, 0);
    mp3
}

fn recording() -> Value {
    json!({"data_url": format!("data:audio/mpeg,{}", "%FF%FB%90%00".to_owned() + &"x".repeat(47_996))})
}

on_both! {
    async fn seconds_are_charged_as_they_were_spoken(engine: Engine) {
        let shop = shop(engine, json!({"per_second": 100})).await;
        let ann = shop.buyer("ann", 1_000_000).await;
        let sound = || Answer::pieces("audio/mpeg").write_bytes(&mp3(3));
        shop.upstream.then(sound());
        let reply = ann.client.post("/v1/audio/speech", json!({"input": "Hello"})).await;
        assert_eq!(reply.body.len(), 48_000);
        shop.run_until_settled(&ann, 999_700).await;
        let receipt = shop.receipt(&ann, reply.header("x-request-id").unwrap()).await;
        assert_eq!((&receipt["charge_microcredits"], &receipt["mode"]), (&json!(300), &json!("tts")));
        assert_eq!(shop.charges(&ann).await[0]["metadata"]["seconds"], 3);
        shop.upstream.then(sound());
        ann.client.post("/v1/ai/tts", json!({"text": "Hello"})).await.expect(200);
        shop.run_until_settled(&ann, 999_400).await;
        // A sound that does not tell its length counts by its text: 31 bytes are 3 seconds.
        shop.upstream.then(Answer::text(200, "audio/ogg", "OggS"));
        ann.client.post("/v1/audio/speech", json!({"input": "x".repeat(31)})).await;
        shop.run_until_settled(&ann, 999_100).await;
    }

    async fn who_leaves_early_pays_for_what_was_spoken(engine: Engine) {
        let shop = shop(engine, json!({"per_second": 100})).await;
        let ann = shop.buyer("ann", 1_000_000).await;
        let gate = Gate::default();
        let answer = Answer::pieces("audio/mpeg").write_bytes(&mp3(2)).wait(&gate).write("more");
        shop.upstream.then(answer);
        let body = json!({"input": "Hello"}).to_string().into();
        let mut answer = ann.client.open(http::Method::POST, "/v1/audio/speech", body).await;
        let mut read = 0;
        while read < 32_000 {
            use http_body_util::BodyExt as _;
            let frame = answer.body_mut().frame().await.unwrap().unwrap();
            read += frame.into_data().unwrap().len();
        }
        drop(answer);
        shop.run_until_settled(&ann, 999_800).await;
    }

    async fn recordings_are_charged_by_what_is_told_else_by_their_length(engine: Engine) {
        let shop = shop(engine, json!({"per_second": 100})).await;
        let ann = shop.buyer("ann", 1_000_000).await;
        for (answer, left) in [
            (json!({"text": "a", "duration": 7.2}), 999_200),
            (json!({"text": "a", "usage": {"type": "duration", "seconds": 5}}), 998_700),
            (json!({"text": "a"}), 998_400),
        ] {
            shop.upstream.then(Answer::json(200, &answer));
            ann.client.post("/v1/ai/asr", recording()).await.expect(200);
            shop.run_until_settled(&ann, left).await;
        }
        shop.upstream.then(Answer::json(400, &json!({"error": {"message": "No."}})));
        ann.client.post("/v1/ai/asr", recording()).await.expect(400);
        shop.run_until_settled(&ann, 998_400).await;
    }

    async fn tokens_are_charged_where_they_are_told(engine: Engine) {
        let price = json!({"input_per_m": 1_000_000, "output_per_m": 10_000_000});
        let shop = shop(engine, price).await;
        let ann = shop.buyer("ann", 1_000_000).await;
        let usage = json!({"type": "tokens", "input_tokens": 30, "output_tokens": 4, "total_tokens": 34});
        shop.upstream.then(Answer::json(200, &json!({"text": "a", "usage": usage})));
        ann.client.post("/v1/ai/asr", recording()).await.expect(200);
        shop.run_until_settled(&ann, 999_930).await;
        let bob = shop.buyer("bob", 1).await;
        bob.client.post("/v1/ai/asr", recording()).await.expect_error(402, "insufficient_balance");
        assert_eq!(shop.upstream.requests().len(), 1);
    }
}
