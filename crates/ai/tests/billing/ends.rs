//! Clients that leave before the end.

use downcity_testkit::{Answer, Gate};
use serde_json::json;

use crate::common::{Shop, beside, chunk, chunks, completion, read_until, tokens};

on_both! {
    async fn who_leaves_a_stream_pays_for_what_was_produced(engine: Engine) {
        let shop = Shop::metered(engine).await;
        let ann = shop.buyer("ann", 1_000_000).await;
        let mut left = 1_000_000;
        for (number, route) in ["stream", "chat/completions"].into_iter().enumerate() {
            let answer = Answer::stream().event(&chunk("Hello, ")).event(&chunk("Ann!"));
            shop.upstream.then(answer.hang());
            let mut response = ann.open(route, json!({"prompt": "Hi", "messages": [], "stream": true})).await;
            read_until(&mut response, "Ann!").await;
            drop(response);
            let request = shop.upstream.arrived(number).await;
            assert!(request.left_early().await, "the provider's work is cancelled");
            left -= (request.body.len().div_ceil(3) as i64) + 40;
            shop.run_until_settled(&ann, left).await;
            let charge = &shop.charges(&ann).await[0];
            assert_eq!(charge["metadata"]["estimated"], true);
            let receipt = shop.receipt(&ann, charge["ref"].as_str().unwrap()).await;
            assert_eq!(receipt["status"], "canceled");
        }
    }

    async fn an_answer_that_is_finished_for_nobody_is_charged_from_its_usage(engine: Engine) {
        let shop = Shop::with(engine, |config| {
            config["model"][0]["price"] = crate::common::metered_price();
            config["on_disconnect"] = json!("finish");
        })
        .await;
        let ann = shop.buyer("ann", 1_000_000).await;
        let mut left = 1_000_000;
        for route in ["stream", "chat/completions"] {
            let gate = Gate::default();
            let rest = chunks(&["Ann!"], Some(tokens(100, 0, 20)));
            let answer = Answer::stream().event(&chunk("Hello, ")).wait(&gate);
            let answer = rest.iter().fold(answer, Answer::event).write("data: [DONE]\n\n");
            shop.upstream.then(answer);
            let mut response = ann.open(route, json!({"prompt": "Hi", "messages": [], "stream": true})).await;
            read_until(&mut response, "Hello").await;
            drop(response);
            gate.open();
            left -= 100 + 200;
            shop.run_until_settled(&ann, left).await;
            let charge = &shop.charges(&ann).await[0];
            assert_eq!(charge["metadata"].get("estimated"), None);
            let receipt = shop.receipt(&ann, charge["ref"].as_str().unwrap()).await;
            assert_eq!((&receipt["status"], &receipt["charge_microcredits"]), (&json!("canceled"), &json!(300)));
        }
    }

    async fn who_leaves_before_the_answer_pays_for_what_was_sent(engine: Engine) {
        let shop = Shop::metered(engine).await;
        let ann = shop.buyer("ann", 1_000_000).await;
        let mut left = 1_000_000;
        shop.upstream.always(Answer::stream().silent());
        for (number, route) in ["text", "stream", "chat/completions"].into_iter().enumerate() {
            let call = beside({
                let ann = ann.clone();
                async move { ann.open(route, json!({"prompt": "Hi", "messages": []})).await }
            });
            let request = shop.upstream.arrived(number).await;
            call.abort();
            assert!(request.left_early().await);
            left -= request.body.len().div_ceil(3) as i64;
            shop.run_until_settled(&ann, left).await;
        }
    }

    async fn who_leaves_a_whole_answer_that_is_finished_pays_for_it(engine: Engine) {
        let shop = Shop::with(engine, |config| {
            config["model"][0]["price"] = crate::common::metered_price();
            config["on_disconnect"] = json!("finish");
        })
        .await;
        let ann = shop.buyer("ann", 1_000_000).await;
        let gate = Gate::default();
        let whole = completion("Hello", tokens(100, 0, 20)).to_string();
        shop.upstream.then(Answer::pieces("application/json").wait(&gate).write(&whole));
        let call = beside({
            let ann = ann.clone();
            async move { ann.text("Hi").await }
        });
        shop.upstream.arrived(0).await;
        call.abort();
        gate.open();
        shop.run_until_settled(&ann, 1_000_000 - 300).await;
    }
}
