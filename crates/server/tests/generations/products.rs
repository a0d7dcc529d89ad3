//! What users of products call.

use serde_json::{Value, json};

use crate::world::{ADMIN, World, on_both};

const SAYS_PRODUCT: &str = "visiblebase";

async fn token(world: &World) -> String {
    let input = json!({"product_id": "prod_downcity", "user_id": "ann"});
    let issued = world.post(ADMIN, "/api/admin/tokens/apply", input).await.expect(200);
    issued["user_token"].as_str().expect("a token").to_owned()
}

fn names(list: &Value) -> Vec<&str> {
    list.as_array().expect("an array").iter().map(|name| name.as_str().expect("a text")).collect()
}

on_both! {
    async fn models_are_a_bare_array(world: World) {
        let ann = token(&world).await;
        let models = world.call(&ann, SAYS_PRODUCT, "GET /v1/models", &Value::Null).await.expect(200);
        let listed = world.get(&ann, "/v1/ai/models").await.expect(200);
        let listed = listed["items"].as_array().expect("items");
        assert_eq!(models.as_array().expect("an array").len(), listed.len());
        assert!(!listed.is_empty());
        for (position, model) in models.as_array().unwrap().iter().enumerate() {
            assert_eq!(model["id"], listed[position]["id"]);
            assert_eq!(model["primary"], json!(position == 0));
            for field in ["name", "provider", "description"] {
                assert!(model[field].is_string(), "{field}: {model}");
            }
        }
        let mounted = world.get(&ann, "/compat/visiblebase/v1/models").await.expect(200);
        assert_eq!(mounted, models);
        world.call("", SAYS_PRODUCT, "GET /v1/models", &Value::Null).await.expect_error(401, "missing_credential");
    }

    async fn services_are_names(world: World) {
        let ann = token(&world).await;
        let services = world.call(&ann, SAYS_PRODUCT, "GET /v1/services", &Value::Null).await.expect(200);
        assert_eq!(names(&services["items"]), ["text", "stream", "image", "video", "tts", "asr", "shop"]);
        let today = world.get(&ann, "/v1/services").await.expect(200);
        assert!(today["items"][0]["id"].is_string(), "{today}");
    }

    async fn one_route_calls_every_service(world: World) {
        let ann = token(&world).await;
        let order = json!({"service": "shop", "action": "order", "size": 2, "product_id": "prod_downcity"});
        let seen = world.post(&ann, "/v1/invoke", order.clone()).await.expect(200);
        assert_eq!(seen["seen"]["size"], json!(2));
        assert_eq!(seen["dialect"], json!("visiblebase"));
        let orders = json!({"service": "shop/orders", "page": 3});
        let seen = world.post(&ann, "/v1/invoke", orders).await.expect(200);
        assert_eq!(seen["seen"]["page"], json!("3"));
        let wallet = world.post(&ann, "/v1/invoke", json!({"service": "balance", "action": "me"})).await;
        assert_eq!(wallet.expect(200)["user_id"], json!("ann"));

        for (input, status, code) in [
            (json!({}), 400, "invalid_input"),
            (json!({"service": " "}), 400, "invalid_input"),
            (json!({"service": "shop"}), 400, "invalid_input"),
            (json!({"service": "shop", "action": "none"}), 404, "not_found"),
            (json!({"service": "../health"}), 404, "not_found"),
            (json!({"service": "visiblebase/invoke"}), 400, "invalid_input"),
            (json!({"service": "cities", "action": "list"}), 403, "forbidden"),
            (json!({"service": "shop/order", "product_id": "prod_other"}), 403, "tenant_mismatch"),
        ] {
            let answer = world.post(&ann, "/v1/invoke", input.clone()).await;
            assert_eq!(answer.expect(status)["code"], code, "{input}");
        }
        let guest = world.post("", "/v1/invoke", order).await;
        guest.expect_error(401, "missing_credential");
    }

    async fn amounts_through_it_are_those_of_the_caller(world: World) {
        for (user, route, dialect, micro) in [
            ("say_gate", "POST /v1/invoke", "gate", 3_000_000),
            ("mounted", "POST /compat/gate/v1/invoke", "", 3_000_000),
            ("product", "POST /v1/invoke", "", 300_000_000),
        ] {
            let add = json!({"service": "balance/add", "user_id": user, "amount": 300});
            world.call(ADMIN, dialect, route, &add).await.expect(200);
            let wallets = world.get(ADMIN, &format!("/v1/balance/users?user_id={user}")).await.expect(200);
            assert_eq!(wallets["items"][0]["balance"], json!(micro), "{user}: {wallets}");
        }
    }

    async fn a_call_through_it_counts_once_against_limits(world: World) {
        let ann = token(&world).await;
        let left = async || {
            let answer = world.post(&ann, "/v1/invoke", json!({"service": "balance/me"})).await;
            answer.expect(200);
            answer.headers["x-ratelimit-remaining"].to_str().unwrap().parse::<u32>().unwrap()
        };
        let before = left().await;
        assert_eq!(left().await, before - 1);
        // What names no action counts as well.
        world.post(&ann, "/v1/invoke", json!({"service": "none/at-all"})).await.expect(404);
        assert_eq!(left().await, before - 3);
    }

    async fn a_call_through_it_is_one_fact(world: World) {
        let ann = token(&world).await;
        world.post(&ann, "/v1/invoke", json!({"service": "shop/orders"})).await.expect(200);
        let facts = world.get(ADMIN, "/v1/usage/events?user_id=ann").await.expect(200);
        let facts = facts["items"].as_array().expect("a list");
        assert_eq!(facts.len(), 1, "{facts:?}");
        assert_eq!((&facts[0]["service"], &facts[0]["action"]), (&json!("shop"), &json!("orders")));
    }
}
