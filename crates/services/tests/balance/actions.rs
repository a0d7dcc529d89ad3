//! What operators and users do with wallets.

use std::time::Duration;

use downcity_services::balance::WalletScope;
use downcity_services::{Balance, BalanceConfig};
use downcity_testkit::{TestApp, TestAppBuilder, both_engines};
use downcity_types::{Microcredits, Timestamp};
use futures_util::future::join_all;
use serde_json::{Value, json};

fn with(change: impl FnOnce(&mut BalanceConfig)) -> BalanceConfig {
    let mut config = BalanceConfig::default();
    change(&mut config);
    config
}

fn balance(app: TestAppBuilder) -> TestAppBuilder {
    app.builtin(Balance::new(BalanceConfig::default()))
}

fn generous(app: TestAppBuilder) -> TestAppBuilder {
    app.builtin(Balance::new(with(|config| config.init_microcredits = Microcredits(100_000_000))))
}

fn per_city(app: TestAppBuilder) -> TestAppBuilder {
    app.builtin(Balance::new(with(|config| config.wallet_scope = WalletScope::City)))
}

/// Whether a record is in a list.
type Condition<'a> = &'a dyn Fn(&Value) -> bool;

async fn add(app: &TestApp, input: Value) -> Value {
    app.admin().post("/v1/balance/add", input).await.expect(200)
}

async fn kinds(app: &TestApp, path: &str) -> Vec<String> {
    let list = app.admin().get(path).await.expect(200);
    let items = list["items"].as_array().unwrap();
    items.iter().map(|item| item["kind"].as_str().unwrap().to_owned()).collect()
}

both_engines! {
    async fn amounts_have_the_units_of_their_fields(app: TestApp = generous) {
        app.create_city("shop").await;
        let user = app.user(&app.token("shop", "u1").await);
        // Reading makes no wallet.
        let me = user.get("/v1/balance/me").await.expect(200);
        assert_eq!((&me["balance"], &me["microcredits"]), (&json!(100), &json!(100_000_000)));
        assert_eq!(app.admin().get("/v1/balance/users").await.expect(200)["items"], json!([]));
        let input = json!({"user_id": "u1", "amount": 20, "note": "used"});
        let account = app.admin().post("/v1/balance/sub", input).await.expect(200);
        assert_eq!(account["balance"], 80_000_000);
        assert_eq!((&account["unit"], &account["balance_credits"]), (&json!("microcredits"), &json!("80")));
        let input = json!({"user_id": "u1", "amount_microcredits": 26_500_200});
        app.admin().post("/v1/balance/sub", input).await.expect(200);
        let me = user.get("/v1/balance/me").await.expect(200);
        assert_eq!(me["balance"], json!(53.4998));
        assert_eq!(me["display"], "53.4998");
        assert_eq!(me["unit"], "credits");
        assert_eq!(me["conversion"], json!({"microcredits_per_credit": 1_000_000, "credit_decimals": 6}));
        let history = user.get("/v1/balance/history/me?limit=10").await.expect(200);
        let seen: Vec<_> = history["items"].as_array().unwrap().iter()
            .map(|item| (item["kind"].as_str().unwrap(), item["amount"].as_i64().unwrap(), item["balance_after"].as_i64().unwrap()))
            .collect();
        assert_eq!(seen, [("sub", -26_500_200, 53_499_800), ("sub", -20_000_000, 80_000_000), ("init", 100_000_000, 100_000_000)]);
    }

    async fn a_charge_keeps_its_reference(app: TestApp = balance) {
        app.create_city("shop").await;
        add(&app, json!({"user_id": "u", "amount": 1})).await;
        let input = json!({"user_id": "u", "amount_microcredits": 123_456, "ref": "job_1", "metadata": {"model": "m"}});
        let charge = app.admin().post("/v1/balance/charge", input).await.expect(200);
        assert_eq!(charge["amount"], json!(0.123_456));
        assert_eq!((&charge["ref"], &charge["status"], &charge["note"]), (&json!("job_1"), &json!("settled"), &json!("charge")));
        assert_eq!(charge["metadata_json"], r#"{"model":"m"}"#);
        let entry = app.admin().get("/v1/balance/history?user_id=u&kind=charge").await.expect(200);
        let entry = &entry["items"][0];
        assert_eq!((&entry["amount"], &entry["balance_after"]), (&json!(-123_456), &json!(876_544)));
        assert!(entry["metadata_json"].as_str().unwrap().contains(charge["charge_id"].as_str().unwrap()));
        let too_much = json!({"user_id": "u", "amount_microcredits": 876_545});
        let refused = app.admin().post("/v1/balance/charge", too_much).await.expect_error(402, "insufficient_balance");
        assert_eq!((&refused["required"], &refused["available"]), (&json!(876_545), &json!(876_544)));
        let user = app.user(&app.token("shop", "u").await);
        assert_eq!(user.get("/v1/balance/charges/me").await.expect(200)["items"].as_array().unwrap().len(), 1);
        // Given back, once.
        let input = json!({"charge_id": charge["charge_id"]});
        let back = app.admin().post("/v1/balance/charges/refund", input.clone()).await.expect(200);
        assert_eq!((&back["status"], &back["refunded_microcredits"]), (&json!("refunded"), &json!(123_456)));
        app.admin().post("/v1/balance/charges/refund", input).await.expect_error(409, "conflict");
        assert_eq!(user.get("/v1/balance/me").await.expect(200)["microcredits"], 1_000_000);
        app.admin().post("/v1/balance/charges/refund", json!({"charge_id": "chg_x"})).await.expect_error(404, "not_found");
    }

    async fn bad_input_is_the_callers_fault(app: TestApp = balance) {
        for (path, input) in [
            ("add", json!({"amount": 1})),
            ("add", json!({"user_id": " ", "amount": 1})),
            ("add", json!({"user_id": "u"})),
            ("add", json!({"user_id": "u", "amount": 0})),
            ("add", json!({"user_id": "u", "amount": "1e3"})),
            ("add", json!({"user_id": "u", "amount": true})),
            ("add", json!({"user_id": "u", "amount": 1, "amount_microcredits": 1})),
            ("add", json!({"user_id": "u", "amount": 1, "note": "x".repeat(501)})),
            ("add", json!({"user_id": "u", "amount": 1, "meta": {"x": "x".repeat(9_000)}})),
            ("add", json!({"user_id": "u", "amount": 1, "expires_at": "2001-01-01T00:00:00.000Z"})),
            ("sub", json!({"user_id": "u", "amount": -1})),
            ("charge", json!({"user_id": "u", "amount_microcredits": 1.5})),
            ("holds/create", json!({"user_id": "u", "amount": 1, "deadline": "2001-01-01T00:00:00.000Z"})),
            ("holds/settle", json!({"hold_id": "h", "amount_microcredits": -1})),
        ] {
            let answer = app.admin().post(&format!("/v1/balance/{path}"), input.clone()).await;
            assert_eq!(answer.status, 400, "{path} {input}");
        }
        for query in ["history?kind=x", "charges?status=x", "holds/list?status=x", "history?cursor=x", "users?cursor=x"] {
            assert_eq!(app.admin().get(&format!("/v1/balance/{query}")).await.status, 400, "{query}");
        }
        let most = json!({"user_id": "u", "amount_microcredits": Microcredits::MAX_WIRE});
        add(&app, most.clone()).await;
        assert_eq!(app.admin().post("/v1/balance/add", most).await.status, 400);
    }

    async fn fifty_at_once_never_overdraw(app: TestApp = balance) {
        add(&app, json!({"user_id": "u", "amount_microcredits": 700})).await;
        let charges = (0..50).map(|_| {
            let app = &app;
            async move {
                let input = json!({"user_id": "u", "amount_microcredits": 50});
                app.admin().post("/v1/balance/charge", input).await.status
            }
        });
        let statuses = join_all(charges).await;
        assert_eq!(statuses.iter().filter(|status| **status == 200).count(), 14);
        assert_eq!(statuses.iter().filter(|status| **status == 402).count(), 36);
        let list = app.admin().get("/v1/balance/history?user_id=u&limit=200").await.expect(200);
        let after: Vec<i64> = list["items"].as_array().unwrap().iter().map(|item| item["balance_after"].as_i64().unwrap()).collect();
        let expected: Vec<i64> = (0..=14).map(|number| number * 50).collect();
        assert_eq!(after, expected);
    }

    async fn a_repeated_request_is_one_request(app: TestApp = balance) {
        let input = json!({"user_id": "u", "amount": 5, "idempotency_key": "k-1"});
        let first = add(&app, input.clone()).await;
        assert_eq!(add(&app, input).await, first);
        let other = json!({"user_id": "u", "amount": 6, "idempotency_key": "k-1"});
        app.admin().post("/v1/balance/add", other).await.expect_error(409, "idempotency_mismatch");
        assert_eq!(kinds(&app, "/v1/balance/history?user_id=u").await, ["add"]);
    }

    async fn a_hold_that_is_settled_again_counts_once_for_its_key(app: TestApp = balance) {
        add(&app, json!({"user_id": "u", "amount_microcredits": 100})).await;
        let key = app.admin().post("/v1/keys/create", json!({
            "name": "shop", "amount_per_day": 100,
            "actions": ["balance/holds/create", "balance/holds/settle"],
        })).await.expect(200);
        let shop = app.user(key["key"].as_str().unwrap());
        let hold = shop.post("/v1/balance/holds/create", json!({"user_id": "u", "amount_microcredits": 40})).await.expect(200);
        let input = json!({"hold_id": hold["hold_id"], "amount_microcredits": 40});
        let first = shop.post("/v1/balance/holds/settle", input.clone()).await.expect(200);
        for _ in 0..3 {
            assert_eq!(shop.post("/v1/balance/holds/settle", input.clone()).await.expect(200), first);
        }
    }

    async fn holds_reserve_until_they_end(app: TestApp = balance) {
        add(&app, json!({"user_id": "u", "amount_microcredits": 100})).await;
        let hold = |amount: i64| {
            let admin = app.admin();
            async move { admin.post("/v1/balance/holds/create", json!({"user_id": "u", "amount_microcredits": amount, "ref": "job"})).await }
        };
        let first = hold(60).await.expect(200);
        assert_eq!((&first["status"], &first["amount"]), (&json!("open"), &json!(60)));
        hold(41).await.expect_error(402, "insufficient_balance");
        app.admin().post("/v1/balance/sub", json!({"user_id": "u", "amount_microcredits": 41})).await.expect_error(402, "insufficient_balance");
        let input = json!({"hold_id": first["hold_id"], "amount_microcredits": 10});
        let settled = app.admin().post("/v1/balance/holds/settle", input.clone()).await.expect(200);
        assert_eq!(settled["status"], "settled");
        assert_eq!(app.admin().post("/v1/balance/holds/settle", input).await.expect(200), settled);
        let second = hold(90).await.expect(200);
        let input = json!({"hold_id": second["hold_id"]});
        assert_eq!(app.admin().post("/v1/balance/holds/release", input.clone()).await.expect(200)["status"], "released");
        app.admin().post("/v1/balance/holds/release", input).await.expect(200);
        let third = hold(80).await.expect(200);
        let input = json!({"hold_id": third["hold_id"], "amount_microcredits": 100});
        app.admin().post("/v1/balance/holds/settle", input).await.expect(200);
        let charges = app.admin().get("/v1/balance/charges?status=unpaid").await.expect(200);
        assert_eq!((&charges["items"][0]["amount_microcredits"], &charges["items"][0]["unpaid_microcredits"]), (&json!(100), &json!(10)));
        assert_eq!(app.admin().get("/v1/balance/users").await.expect(200)["items"][0]["balance"], 0);
        assert_eq!(app.admin().get("/v1/balance/holds/list?status=settled").await.expect(200)["items"].as_array().unwrap().len(), 2);
        app.admin().post("/v1/balance/holds/release", json!({"hold_id": "hold_x"})).await.expect_error(404, "not_found");
    }

    async fn credits_that_end_first_are_spent_first(app: TestApp = balance) {
        let now = app.runtime().clock().now();
        let at = |seconds| Timestamp::to_string(&now.saturating_add(Duration::from_secs(seconds)));
        add(&app, json!({"user_id": "u", "amount_microcredits": 100})).await;
        add(&app, json!({"user_id": "u", "amount_microcredits": 50, "expires_at": at(200)})).await;
        add(&app, json!({"user_id": "u", "amount_microcredits": 30, "expires_at": at(100)})).await;
        app.admin().post("/v1/balance/charge", json!({"user_id": "u", "amount_microcredits": 40})).await.expect(200);
        app.clock().advance(Duration::from_secs(150));
        // All that ended was spent.
        app.admin().post("/v1/balance/charge", json!({"user_id": "u", "amount_microcredits": 1})).await.expect(200);
        assert_eq!(kinds(&app, "/v1/balance/history?user_id=u&kind=expire").await, [""; 0]);
        app.clock().advance(Duration::from_secs(100));
        // 39 of the second lot ended; 100 are left, also before they are taken out.
        app.create_city("shop").await;
        let me = app.user(&app.token("shop", "u").await).get("/v1/balance/me").await.expect(200);
        assert_eq!((&me["microcredits"], &me["available_microcredits"]), (&json!(100), &json!(100)));
        app.admin().post("/v1/balance/charge", json!({"user_id": "u", "amount_microcredits": 101})).await.expect_error(402, "insufficient_balance");
        app.admin().post("/v1/balance/charge", json!({"user_id": "u", "amount_microcredits": 100})).await.expect(200);
        let list = app.admin().get("/v1/balance/history?user_id=u&kind=expire").await.expect(200);
        assert_eq!(list["items"][0]["amount"], -39);
    }

    async fn lists_go_on_where_they_ended(app: TestApp = balance) {
        for number in 0..7 {
            add(&app, json!({"user_id": format!("u{}", number % 2), "amount": 1, "ref": format!("r{number}")})).await;
            if number % 3 == 0 {
                app.clock().advance(Duration::from_secs(1));
            }
        }
        for path in ["history", "history?user_id=u1", "users"] {
            let join = if path.contains('?') { '&' } else { '?' };
            let whole = app.admin().get(&format!("/v1/balance/{path}")).await.expect(200);
            let (mut items, mut cursor) = (Vec::new(), String::new());
            loop {
                let page = app.admin().get(&format!("/v1/balance/{path}{join}limit=2{cursor}")).await.expect(200);
                items.extend(page["items"].as_array().unwrap().clone());
                match page["next_cursor"].as_str() {
                    Some(next) => cursor = format!("&cursor={next}"),
                    None => break,
                }
            }
            assert_eq!(&items, whole["items"].as_array().unwrap(), "{path}");
        }
        app.admin().post("/v1/balance/sub", json!({"user_id": "u0", "city_id": "c", "amount": "0.5"})).await.expect(200);
        app.admin().post("/v1/balance/charge", json!({"user_id": "u1", "city_id": "c", "amount": "0.5"})).await.expect(200);
        let all = app.admin().get("/v1/balance/history").await.expect(200);
        let all = all["items"].as_array().unwrap();
        let middle = all[4]["created_at"].clone();
        let times = |item: &Value| item["created_at"].as_str().unwrap().to_owned();
        let (from, to) = (format!("from={}", middle.as_str().unwrap()), format!("to={}", middle.as_str().unwrap()));
        let is = |field: &'static str, text: &'static str| move |item: &Value| item[field] == text;
        let filters: [(&str, Condition<'_>); 9] = [
            ("kind=add", &is("kind", "add")),
            ("kind=charge", &is("kind", "charge")),
            ("kind=add&user_id=u1", &|item: &Value| item["kind"] == "add" && item["user_id"] == "u1"),
            ("kind=charge&user_id=u1", &|item: &Value| item["kind"] == "charge" && item["user_id"] == "u1"),
            ("city_id=c", &is("city_id", "c")),
            ("city_id=c&kind=sub", &|item: &Value| item["city_id"] == "c" && item["kind"] == "sub"),
            (&from, &|item: &Value| times(item) >= times(&all[4])),
            (&to, &|item: &Value| times(item) < times(&all[4])),
            ("ref=r3&user_id=u0", &|_: &Value| false),
        ];
        for (query, is_in) in filters {
            let found = app.admin().get(&format!("/v1/balance/history?{query}")).await.expect(200);
            let expected: Vec<_> = all.iter().filter(|item| is_in(item)).cloned().collect();
            assert_eq!(found["items"], json!(expected), "{query}");
        }
        let one = app.admin().get("/v1/balance/history?ref=r3").await.expect(200);
        assert_eq!(one["items"].as_array().unwrap().len(), 1);
    }

    async fn a_wallet_per_city(app: TestApp = per_city) {
        app.create_city("a").await;
        app.create_city("b").await;
        app.admin().post("/v1/balance/add", json!({"user_id": "u", "amount": 1})).await.expect_error(400, "invalid_input");
        add(&app, json!({"user_id": "u", "city_id": "a", "amount": 1})).await;
        add(&app, json!({"user_id": "u", "city_id": "b", "amount": 2})).await;
        for (city, balance) in [("a", 1_000_000), ("b", 2_000_000)] {
            let user = app.user(&app.token(city, "u").await);
            assert_eq!(user.get("/v1/balance/me").await.expect(200)["microcredits"], balance);
            assert_eq!(user.get("/v1/balance/history/me").await.expect(200)["items"].as_array().unwrap().len(), 1);
        }
        let list = app.admin().get("/v1/balance/users?user_id=u").await.expect(200);
        let items = list["items"].as_array().unwrap().iter();
        let mut wallets: Vec<_> = items.map(|wallet| (wallet["city_id"].to_string(), wallet["balance"].clone())).collect();
        wallets.sort_by(|a, b| a.0.cmp(&b.0));
        assert_eq!(wallets, [("\"a\"".to_owned(), json!(1_000_000)), ("\"b\"".to_owned(), json!(2_000_000))]);
    }
}
