//! Calls of the trusted side.

use downcity_testkit::Answer;
use serde_json::json;

use crate::common::{Shop, completion, tokens};

on_both! {
    async fn calls_of_the_admin_are_free(engine: Engine) {
        let shop = Shop::open(engine, json!({"per_request": 100})).await;
        let ann = shop.buyer("ann", 1_000).await;
        shop.upstream.always(Answer::json(200, &completion("Hello", tokens(1, 0, 1))));
        let input = json!({"prompt": "Hi", "city_id": "city_a", "user_id": "ann"});
        shop.app.admin().post("/v1/ai/text", input).await.expect(200);
        assert_eq!(shop.run().await, 0);
        assert_eq!(shop.wallet(&ann).await, (1_000, 0));
    }

    async fn calls_of_the_admin_are_billed_to_the_user_they_name_where_configured(engine: Engine) {
        let shop = Shop::with(engine, |config| {
            config["model"][0]["price"] = json!({"per_request": 100});
            config["bill_admin"] = json!(true);
        })
        .await;
        let ann = shop.buyer("ann", 150).await;
        shop.upstream.always(Answer::json(200, &completion("Hello", tokens(1, 0, 1))));
        let admin = shop.app.admin();
        let named = json!({"messages": [], "prompt": "Hi", "city_id": "city_a", "user_id": "ann"});
        for free in [json!({"prompt": "Hi"}), json!({"prompt": "Hi", "city_id": "city_a"})] {
            admin.post("/v1/ai/text", free).await.expect(200);
        }
        assert_eq!(shop.run().await, 0);
        admin.post("/v1/ai/chat/completions", named.clone()).await.expect(200);
        shop.run_until_settled(&ann, 50).await;
        let sent = shop.upstream.requests()[2].json();
        assert_eq!((sent.get("user_id"), sent.get("city_id")), (None, None), "{sent}");
        admin.post("/v1/ai/text", named).await.expect_error(402, "insufficient_balance");

        let wrong = |city: serde_json::Value, user: serde_json::Value| {
            json!({"prompt": "Hi", "city_id": city, "user_id": user})
        };
        let post = async |input| admin.post("/v1/ai/text", input).await;
        post(wrong(json!(null), json!("ann"))).await.expect_error(400, "invalid_input");
        post(wrong(json!("city_a"), json!(""))).await.expect_error(400, "invalid_input");
        post(wrong(json!("city_a"), json!("a\0b"))).await.expect_error(400, "invalid_input");
        post(wrong(json!("city_a"), json!("a".repeat(513)))).await.expect_error(400, "invalid_input");
        post(wrong(json!("city_a"), json!(7))).await.expect_error(400, "invalid_input");
        post(wrong(json!("elsewhere"), json!("ann"))).await.expect_error(404, "city_not_found");
        assert_eq!(shop.upstream.requests().len(), 3);
        admin.get("/v1/audit/verify").await;
    }

    async fn a_service_key_keeps_within_its_amounts(engine: Engine) {
        let shop = Shop::with(engine, |config| {
            config["model"][0]["price"] = json!({"per_request": 100});
            config["bill_admin"] = json!(true);
        })
        .await;
        let ann = shop.buyer("ann", 1_000).await;
        shop.upstream.always(Answer::json(200, &completion("Hello", tokens(1, 0, 1))));
        let key = json!({"name": "Key", "actions": ["ai/*"], "amount_per_call": 200, "amount_per_day": 250});
        let key = shop.app.admin().post("/v1/keys/create", key).await.expect(200);
        let key = shop.app.user(key["key"].as_str().unwrap());
        let named = json!({"prompt": "Hi", "city_id": "city_a", "user_id": "ann"});
        key.post("/v1/ai/text", named.clone()).await.expect(200);
        key.post("/v1/ai/text", named.clone()).await.expect(200);
        key.post("/v1/ai/text", named).await.expect_error(403, "amount_exceeded");
        shop.run_until_settled(&ann, 800).await;
        key.post("/v1/ai/text", json!({"prompt": "Hi"})).await.expect(200);
    }
}
