//! Who may move whose money, what is left of it in the audit trail, and what a start decides.

use downcity_services::balance::{WalletScope, verify};
use downcity_services::{Balance, BalanceConfig};
use downcity_testkit::{Client, TestApp, TestAppBuilder, both_engines};
use serde_json::{Value, json};

fn balance(app: TestAppBuilder) -> TestAppBuilder {
    app.builtin(Balance::new(BalanceConfig::default()))
}

/// A service key, and its id.
async fn key(app: &TestApp, terms: Value) -> (Client, String) {
    let mut input = json!({"name": "till"});
    input.as_object_mut().unwrap().extend(terms.as_object().unwrap().clone());
    let key = app.admin().post("/v1/keys/create", input).await.expect(200);
    (app.user(key["key"].as_str().unwrap()), key["key_id"].as_str().unwrap().to_owned())
}

async fn post(client: &Client, path: &str, input: Value) -> Value {
    client.post(&format!("/v1/balance/{path}"), input).await.expect(200)
}

both_engines! {
    async fn a_key_of_a_city_reaches_what_is_of_that_city_alone(app: TestApp = balance) {
        app.create_city("a").await;
        app.create_city("b").await;
        let ann = json!({"user_id": "ann", "city_id": "a", "amount": 5});
        post(&app.admin(), "add", ann.clone()).await;
        let charge = post(&app.admin(), "charge", json!({"user_id": "ann", "city_id": "a", "amount": 1})).await;
        let hold = post(&app.admin(), "holds/create", json!({"user_id": "ann", "city_id": "a", "amount": 1})).await;
        let (other, _) = key(&app, json!({"actions": ["balance/*"], "cities": ["b"]})).await;
        assert_eq!(other.post("/v1/balance/add", ann).await.status, 403);
        for (path, id) in [
            ("charges/refund", json!({"charge_id": charge["charge_id"]})),
            ("holds/settle", json!({"hold_id": hold["hold_id"], "amount": 1})),
            ("holds/release", json!({"hold_id": hold["hold_id"]})),
        ] {
            let mut input = id.clone();
            input["city_id"] = "b".into();
            other.post(&format!("/v1/balance/{path}"), input).await.expect_error(404, "not_found");
            let named = other.post(&format!("/v1/balance/{path}"), id).await;
            assert_eq!(named.status, 403, "{path}");
        }
        for list in ["history", "charges", "holds/list"] {
            let found = other.get(&format!("/v1/balance/{list}?city_id=b")).await.expect(200);
            assert_eq!(found["items"], json!([]), "{list}");
            assert_eq!(other.get(&format!("/v1/balance/{list}")).await.status, 403, "{list}");
        }
        let (own, key_id) = key(&app, json!({"actions": ["balance/*"], "cities": ["a"]})).await;
        let input = json!({"hold_id": hold["hold_id"], "city_id": "a", "amount": "0.25"});
        assert_eq!(post(&own, "holds/settle", input).await["status"], "settled");
        let last = own.get("/v1/balance/history?city_id=a&limit=1").await.expect(200);
        assert_eq!(last["items"][0]["actor"], format!("service:{key_id}"));
    }

    async fn a_key_moves_no_more_than_it_may(app: TestApp = balance) {
        let terms = json!({"actions": ["balance/*"], "amount_per_call": 2_000_000, "amount_per_day": 5_000_000});
        let (till, _) = key(&app, terms).await;
        post(&till, "add", json!({"user_id": "u", "amount": 2})).await;
        till.post("/v1/balance/add", json!({"user_id": "u", "amount": 3})).await.expect_error(403, "amount_exceeded");
        let charge = json!({"user_id": "u", "amount": 1, "idempotency_key": "once"});
        let first = post(&till, "charge", charge.clone()).await;
        assert_eq!(post(&till, "charge", charge).await, first);
        post(&till, "charge", json!({"user_id": "u", "amount": 1})).await;
        till.post("/v1/balance/sub", json!({"user_id": "u", "amount": "1.1"})).await.expect_error(403, "amount_exceeded");
        // What was refused for want of money counts nothing.
        till.post("/v1/balance/charge", json!({"user_id": "u", "amount": 1})).await.expect_error(402, "insufficient_balance");
        post(&till, "add", json!({"user_id": "u", "amount": 1})).await;
        till.post("/v1/balance/add", json!({"user_id": "u", "amount_microcredits": 1})).await.expect_error(403, "amount_exceeded");
    }

    async fn whatever_the_trusted_side_moves_is_in_the_audit_trail(app: TestApp = balance) {
        let admin = app.admin();
        post(&admin, "add", json!({"user_id": "u", "amount": 5})).await;
        post(&admin, "sub", json!({"user_id": "u", "amount": 1})).await;
        let charge = post(&admin, "charge", json!({"user_id": "u", "amount": 1})).await;
        post(&admin, "charges/refund", json!({"charge_id": charge["charge_id"]})).await;
        let hold = post(&admin, "holds/create", json!({"user_id": "u", "amount": 1})).await;
        let settle = json!({"hold_id": hold["hold_id"], "amount_microcredits": 5});
        post(&admin, "holds/settle", settle.clone()).await;
        post(&admin, "holds/settle", settle).await;
        let hold = post(&admin, "holds/create", json!({"user_id": "u", "amount": 1})).await;
        for _ in 0..2 {
            post(&admin, "holds/release", json!({"hold_id": hold["hold_id"]})).await;
        }
        let list = admin.get("/v1/audit/list?limit=50").await.expect(200);
        let of_balance = |row: &Value| {
            let action = row["action"].as_str().unwrap().strip_prefix("balance/")?;
            Some((action.to_owned(), row["target_kind"].as_str().unwrap().to_owned()))
        };
        let mut rows: Vec<_> = list["items"].as_array().unwrap().iter().filter_map(of_balance).collect();
        rows.reverse();
        let expected = [
            ("add", "wallet"),
            ("sub", "wallet"),
            ("charge", "charge"),
            ("charges/refund", "charge"),
            ("holds/create", "hold"),
            ("holds/settle", "hold"),
            ("holds/create", "hold"),
            ("holds/release", "hold"),
        ];
        assert_eq!(rows, expected.map(|(action, kind)| (action.to_owned(), kind.to_owned())));
    }

    async fn the_scope_of_wallets_is_decided_once(app: TestApp = balance) {
        post(&app.admin(), "add", json!({"user_id": "u", "amount": 5})).await;
        let engine = app.runtime().db().engine();
        let per_city = BalanceConfig { wallet_scope: WalletScope::City, ..BalanceConfig::default() };
        let other = TestApp::builder(engine).on_database_of(&app).builtin(Balance::new(per_city));
        let Err(refused) = other.try_start().await else { panic!("it started") };
        let said = format!("{} {refused:?}", refused.message());
        assert!(said.contains("balance.wallet_scope is \"city\"") && said.contains("federation"), "{said}");
        let same = TestApp::builder(engine).on_database_of(&app);
        balance(same).start().await.stop().await;
    }

    async fn calls_that_overlap_are_listed_in_the_order_of_their_numbers(app: TestApp = balance) {
        post(&app.admin(), "add", json!({"user_id": "u", "amount": 5})).await;
        // A node whose clock is behind.
        app.clock().set(app.runtime().clock().now().saturating_sub(std::time::Duration::from_secs(5)));
        for _ in 0..3 {
            post(&app.admin(), "charge", json!({"user_id": "u", "amount": 1})).await;
        }
        let list = app.admin().get("/v1/balance/history?user_id=u").await.expect(200);
        let numbers: Vec<_> = list["items"].as_array().unwrap().iter().map(|item| item["seq"].clone()).collect();
        assert_eq!(numbers, [4, 3, 2, 1]);
        assert!(verify(app.runtime().db(), |_| ()).await.unwrap().is_whole());
    }
}
