//! What responses cost.

use downcity_testkit::{Answer, TestReply};
use http::Method;
use serde_json::{Value, json};

use crate::common::{Buyer, Shop, chunk, chunks, completion, read_until, tokens};

async fn ask(buyer: &Buyer, stream: bool) -> TestReply {
    buyer.client.post("/v1/responses", json!({"input": "Hi", "stream": stream})).await
}

on_both! {
    async fn a_response_is_charged_from_its_usage_whole_and_streamed(engine: Engine) {
        let shop = Shop::metered(engine).await;
        let ann = shop.buyer("ann", 1_000_000).await;
        let mut left = 1_000_000;
        let usage = tokens(100, 40, 20);
        for stream in [false, true] {
            let answer = match stream {
                true => Answer::events(&chunks(&["Hel", "lo"], Some(usage.clone()))),
                false => Answer::json(200, &completion("Hello", usage.clone())),
            };
            shop.upstream.then(answer);
            let reply = ask(&ann, stream).await;
            assert_eq!(reply.status, 200);
            left -= 60 + 20 + 200;
            shop.run_until_settled(&ann, left).await;
            let charge = &shop.charges(&ann).await[0];
            assert_eq!(charge["metadata"].get("estimated"), None);
            let receipt = shop.receipt(&ann, charge["ref"].as_str().unwrap()).await;
            assert_eq!(receipt["status"], "success");
            assert_eq!(receipt["charge_microcredits"], 280);
        }
    }

    async fn what_cannot_be_paid_is_not_asked(engine: Engine) {
        let shop = Shop::metered(engine).await;
        let poor = shop.buyer("poor", 0).await;
        let error = ask(&poor, true).await.expect(402);
        assert_eq!(error["error"]["code"], "insufficient_balance");
        assert_eq!(error["error"]["type"], "insufficient_quota");
        assert!(shop.upstream.requests().is_empty());
    }

    async fn failures_and_clients_that_leave_pay_for_what_was_produced(engine: Engine) {
        let shop = Shop::metered(engine).await;
        let ann = shop.buyer("ann", 1_000_000).await;
        shop.upstream.then(Answer::json(500, &json!({"error": {"message": "no"}})));
        assert_eq!(ask(&ann, true).await.status, 500);
        shop.run_until_settled(&ann, 1_000_000).await;

        let begun = || Answer::stream().event(&chunk("Hello, ")).event(&chunk("Ann!"));
        shop.upstream.then(begun().cut());
        let text = ask(&ann, true).await.text();
        assert!(text.contains("response.failed"), "{text}");
        let sent = |number: usize| shop.upstream.requests()[number].body.len().div_ceil(3) as i64;
        let mut left = 1_000_000 - sent(1) - 40;
        shop.run_until_settled(&ann, left).await;

        shop.upstream.then(begun().hang());
        let body: Value = json!({"input": "Hi", "stream": true});
        let body = body.to_string().into();
        let mut response = ann.client.open(Method::POST, "/v1/responses", body).await;
        read_until(&mut response, "Ann!").await;
        drop(response);
        assert!(shop.upstream.arrived(2).await.left_early().await, "the provider's work is cancelled");
        left -= sent(2) + 40;
        shop.run_until_settled(&ann, left).await;
    }
}
