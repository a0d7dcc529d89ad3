//! What is reserved before a call, and who is refused.

use std::time::Duration;

use downcity_testkit::{Answer, Gate};
use serde_json::json;

use crate::common::{Shop, beside, completion, eventually, tokens};

/// How long a hold lasts with the default limits of time.
const DEADLINE: Duration = Duration::from_secs(1_800 + 2 * 300 + 600);

on_both! {
    async fn who_cannot_pay_is_refused_before_the_provider_is_called(engine: Engine) {
        let shop = Shop::metered(engine).await;
        let ann = shop.buyer("ann", 100).await;
        let refused = ann.text("Hi").await.expect_error(402, "insufficient_balance");
        assert_eq!(refused["available"], 100, "{refused}");
        // 4,096 tokens of output and the request itself, 60 bytes.
        assert_eq!(refused["required"], 40_980, "{refused}");
        ann.stream("Hi").await.expect_error(402, "insufficient_balance");
        let openai = ann.chat(json!({"messages": []})).await.expect(402);
        assert_eq!(openai["error"]["type"], "insufficient_quota");
        assert_eq!(openai["error"]["code"], "insufficient_balance");
        let nobody = shop.buyer("nobody", 0).await;
        nobody.text("Hi").await.expect_error(402, "insufficient_balance");
        assert_eq!(shop.upstream.requests().len(), 0, "the provider was asked");
        assert_eq!(shop.run().await, 0, "nothing is left to do");
        assert_eq!(shop.wallet(&ann).await, (100, 0));
        assert_eq!(shop.charges(&ann).await.len(), 0);
    }

    async fn the_hold_is_the_input_and_the_most_output(engine: Engine) {
        let shop = Shop::with(engine, |config| {
            config["model"][0]["price"] = crate::common::metered_price();
            config["model"][0]["max_output"] = json!(50);
        })
        .await;
        let ann = shop.buyer("ann", 1_000_000).await;
        for (number, (input, output)) in [
            (json!({"messages": []}), 50),
            (json!({"messages": [], "max_tokens": 20}), 20),
            (json!({"messages": [], "max_completion_tokens": 80}), 50),
            (json!({"messages": [], "max_tokens": 20, "n": 3}), 60),
        ]
        .into_iter()
        .enumerate()
        {
            let gate = Gate::default();
            let answer = Answer::pieces("application/json").wait(&gate);
            shop.upstream.then(answer.write(&completion("a", json!(null)).to_string()));
            let call = beside({
                let ann = ann.clone();
                async move { ann.chat(input).await }
            });
            let sent = shop.upstream.arrived(number).await.body.len();
            let (_, held) = shop.wallet(&ann).await;
            assert_eq!(held, (sent.div_ceil(3) as i64) + 10 * output, "{number}");
            let holds = shop.app.admin().get("/v1/balance/holds/list?status=open").await.expect(200);
            // The longest answer, two tries to begin it, and ten minutes: with the default limits.
            let deadline = shop.app.runtime().clock().now().saturating_add(DEADLINE).to_string();
            assert_eq!(holds["items"][0]["deadline"], deadline, "{holds}");
            gate.open();
            call.await.unwrap();
            eventually(async || shop.run().await > 0).await;
            assert_eq!(shop.wallet(&ann).await.1, 0);
        }
    }

    async fn an_inline_image_counts_as_an_image(engine: Engine) {
        let shop = Shop::metered(engine).await;
        let ann = shop.buyer("ann", 100_000).await;
        shop.upstream.always(Answer::json(200, &completion("Hello", json!(null))));
        let url = format!("data:image/png;base64,{}", "A".repeat(900_000));
        let image = json!({"type": "image_url", "image_url": {"url": url}});
        let message = json!({"role": "user", "content": [image]});
        ann.chat(json!({"messages": [message], "max_tokens": 10})).await.expect(200);
        eventually(async || shop.run().await > 0).await;
        let (left, held) = shop.wallet(&ann).await;
        assert_eq!(held, 0);
        assert!((1_600..2_000).contains(&(100_000 - left)), "{left}");
    }

    async fn more_output_than_money_can_buy_is_refused_in_words(engine: Engine) {
        let shop = Shop::metered(engine).await;
        let ann = shop.buyer("ann", 1_000).await;
        let input = json!({"messages": [], "max_tokens": 1e18});
        let refused = ann.chat(input).await.expect(400);
        assert!(refused["error"]["message"].as_str().unwrap().contains("fewer output tokens"));
        assert_eq!(shop.upstream.requests().len(), 0);
    }

    async fn parallel_calls_never_hold_more_than_there_is(engine: Engine) {
        let shop = Shop::open(engine, json!({"per_request": 100})).await;
        let ann = shop.buyer("ann", 750).await;
        let gate = Gate::default();
        let whole = completion("Hello", tokens(1, 0, 1)).to_string();
        let answer = Answer::pieces("application/json").wait(&gate).write(&whole);
        shop.upstream.always(answer);
        let calls: Vec<_> = (0..50)
            .map(|_| {
                let ann = ann.clone();
                beside(async move { ann.text("Hi").await.status.as_u16() })
            })
            .collect();
        // Those that cannot pay are answered while the others wait for the provider.
        eventually(async || calls.iter().filter(|call| call.is_finished()).count() == 43).await;
        assert_eq!(shop.wallet(&ann).await, (750, 700));
        shop.upstream.arrived(6).await;
        assert_eq!(shop.upstream.requests().len(), 7);
        gate.open();
        let mut statuses = Vec::new();
        for call in calls {
            statuses.push(call.await.unwrap());
        }
        assert_eq!(statuses.iter().filter(|&&status| status == 200).count(), 7);
        assert_eq!(statuses.iter().filter(|&&status| status == 402).count(), 43);
        shop.run_until_settled(&ann, 50).await;
        assert_eq!(shop.charges(&ann).await.len(), 7);
    }

    async fn what_a_wallet_cannot_cover_is_an_unpaid_charge(engine: Engine) {
        let shop = Shop::metered(engine).await;
        let ann = shop.buyer("ann", 1_000).await;
        shop.upstream.then(Answer::json(200, &completion("Hello", tokens(500, 0, 200))));
        let reply = ann.chat(json!({"messages": [], "max_tokens": 5})).await.expect(200);
        assert_eq!(reply["choices"][0]["message"]["content"], "Hello", "the answer is delivered");
        shop.run_until_settled(&ann, 0).await;
        let charges = shop.charges(&ann).await;
        assert_eq!(charges.len(), 1);
        assert_eq!(charges[0]["status"], "unpaid", "{charges:?}");
        assert_eq!(charges[0]["amount_microcredits"], 2_500);
        ann.text("Hi").await.expect_error(402, "insufficient_balance");
    }
}
