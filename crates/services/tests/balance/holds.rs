//! Holds, as a service that sells something uses them.

use std::sync::Arc;
use std::time::Duration;

use downcity_core::{Error, NewHold, Settled, Settlement, Wallets};
use downcity_db::registered_statements;
use downcity_services::balance::{Refund, claw_back, sweep_wallets, verify};
use downcity_services::{Balance, BalanceConfig};
use downcity_testkit::{Engine, TestApp, TestAppBuilder, both_engines};
use downcity_types::{ErrorCode, Microcredits};
use serde_json::{Map, json};

/// Wallets begin with 1,000 microcredits.
fn config() -> BalanceConfig {
    BalanceConfig { init_microcredits: Microcredits(1_000), ..BalanceConfig::default() }
}

fn balance(app: TestAppBuilder) -> TestAppBuilder {
    app.builtin(Balance::new(config()))
}

fn wallets() -> Arc<Balance> {
    Balance::new(config())
}

async fn hold(app: &TestApp, id: &str, amount: i64) -> Result<(), Error> {
    let now = app.runtime().clock().now();
    let hold = NewHold {
        hold_id: id.to_owned(),
        city_id: "shop".to_owned(),
        user_id: "ann".to_owned(),
        amount: Microcredits(amount),
        note: "a call".to_owned(),
        reference: "req".to_owned(),
        metadata: Map::new(),
        deadline: now.saturating_add(Duration::from_secs(60)),
        now,
    };
    let wallets = wallets();
    app.runtime().db().write(move |tx| wallets.hold(tx, &hold)).await
}

async fn settle(app: &TestApp, id: &str, amount: i64) -> Result<Settled, Error> {
    let settlement = Settlement {
        hold_id: id.to_owned(),
        charge_id: format!("chg_{id}"),
        amount: Microcredits(amount),
        note: "a call".to_owned(),
        reference: "req".to_owned(),
        metadata: Map::new(),
        now: app.runtime().clock().now(),
    };
    let wallets = wallets();
    app.runtime().db().write(move |tx| wallets.settle(tx, &settlement)).await
}

async fn release(app: &TestApp, id: &'static str) {
    let (wallets, now) = (wallets(), app.runtime().clock().now());
    app.runtime().db().write(move |tx| wallets.release(tx, id, now)).await.unwrap();
}

/// The balance of the only wallet, and what of it is held.
async fn wallet_of_ann(app: &TestApp) -> (i64, i64) {
    let list = app.admin().get("/v1/balance/users").await.expect(200);
    let of = |field: &str| list["items"][0][field].as_i64().unwrap();
    (of("balance"), of("held"))
}

/// The index that a list of holds is read by, from the first condition of its statement.
fn index_of(statement: &str) -> &'static str {
    [
        ("WHERE ref = $1", "balance_holds_by_ref"),
        ("WHERE user_id = $1", "balance_holds_by_user"),
        ("WHERE status = $1", "balance_holds_by_status"),
        ("WHERE city_id = $1", "balance_holds_by_city"),
        ("WHERE (created_at, hold_id) < ($1, $2)", "balance_holds_by_time"),
    ]
    .into_iter()
    .find(|(condition, _)| statement.contains(condition))
    .unwrap_or_else(|| panic!("no index for {statement}"))
    .1
}

/// Every statement of the list has an index that finds its rows in their order: SQLite refuses a
/// statement whose index cannot be used, or that would have to sort.
#[test]
fn lists_of_holds_read_their_rows_by_an_index() {
    downcity_testkit::block_on(async {
        let app = balance(TestApp::builder(Engine::Sqlite)).start().await;
        let lists = registered_statements()
            .filter(|sql| sql.file().ends_with("balance/lists.rs"))
            .map(|sql| sql.text())
            .filter(|text| text.contains("FROM balance_holds"));
        let mut indexes = Vec::new();
        for (number, text) in lists.enumerate() {
            let index = index_of(text);
            let mut text = text
                .replace("FROM balance_holds", &format!("FROM balance_holds INDEXED BY {index}"));
            for parameter in (1..10).rev() {
                text = text.replace(&format!("${parameter}"), "'1'");
            }
            let made = app.database().execute(&format!("CREATE TABLE plan_{number} AS {text}"));
            made.unwrap_or_else(|error| panic!("{error}: {text}"));
            indexes.push(index);
        }
        assert_eq!(indexes.len(), 5, "{indexes:?}");
    });
}

both_engines! {
    async fn holds_are_found_by_what_they_are_about(app: TestApp = balance) {
        for id in ["a", "b"] {
            hold(&app, id, 100).await.unwrap();
        }
        app.admin().post("/v1/balance/add", json!({"user_id": "bob", "city_id": "mall", "amount": 1})).await.expect(200);
        let input = json!({"user_id": "bob", "city_id": "mall", "amount_microcredits": 5, "ref": "order"});
        app.admin().post("/v1/balance/holds/create", input).await.expect(200);
        release(&app, "a").await;
        for (query, number) in [
            ("city_id=shop", 2),
            ("city_id=mall", 1),
            ("city_id=shop&status=open", 1),
            ("city_id=shop&ref=req", 2),
            ("city_id=mall&ref=req", 0),
            ("ref=req", 2),
            ("ref=req&user_id=ann&status=released", 1),
            ("ref=order", 1),
            ("ref=order&user_id=ann", 0),
            ("user_id=ann&city_id=mall", 0),
            ("", 3),
        ] {
            let list = app.admin().get(&format!("/v1/balance/holds/list?{query}")).await.expect(200);
            assert_eq!(list["items"].as_array().unwrap().len(), number, "{query}");
        }
    }

    async fn a_hold_is_settled_once_with_less_or_more(app: TestApp = balance) {
        hold(&app, "a", 600).await.unwrap();
        let refused = hold(&app, "b", 401).await.unwrap_err();
        assert_eq!(refused.code(), ErrorCode::InsufficientBalance);
        let settled = settle(&app, "a", 500).await.unwrap();
        assert_eq!((settled.charged, settled.unpaid), (Microcredits(500), Microcredits(0)));
        assert_eq!(settle(&app, "a", 70).await.unwrap(), settled);
        hold(&app, "b", 500).await.unwrap();
        release(&app, "b").await;
        release(&app, "b").await;
        hold(&app, "c", 400).await.unwrap();
        let more = settle(&app, "c", 900).await.unwrap();
        assert_eq!((more.charged, more.unpaid), (Microcredits(500), Microcredits(400)));
        assert_eq!(hold(&app, "d", 1).await.unwrap_err().code(), ErrorCode::InsufficientBalance);
        assert_eq!(hold(&app, "c", 1).await.unwrap_err().code(), ErrorCode::InsufficientBalance);
    }

    async fn what_was_refunded_is_taken_back_as_far_as_it_is_there(app: TestApp = balance) {
        hold(&app, "a", 300).await.unwrap();
        let refund = Refund {
            refund_id: "re_1".to_owned(),
            owner: wallets().owner("shop", "ann"),
            amount: Microcredits(900),
            note: "refund".to_owned(),
            reference: "pay_1".to_owned(),
            metadata: Map::new(),
            actor: "payment:pay_1".to_owned(),
            now: app.runtime().clock().now(),
        };
        for _ in 0..2 {
            let refund = refund.clone();
            let done = app.runtime().db().write(move |tx| claw_back(tx, &refund)).await;
            let done = done.map_err(|error: Error| error).unwrap();
            assert_eq!((done.taken, done.unpaid), (Microcredits(700), Microcredits(200)));
        }
        let settled = settle(&app, "a", 300).await.unwrap();
        assert_eq!((settled.charged, settled.unpaid), (Microcredits(300), Microcredits(0)));
    }

    async fn what_is_reserved_is_charged_also_after_its_credits_have_ended(app: TestApp = balance) {
        let soon = app.runtime().clock().now().saturating_add(Duration::from_secs(5));
        let input = serde_json::json!({"user_id": "ann", "amount_microcredits": 500, "expires_at": soon});
        app.admin().post("/v1/balance/add", input).await.expect(200);
        hold(&app, "a", 1_300).await.unwrap();
        app.clock().advance(Duration::from_secs(6));
        // 200 of the credits were not reserved: they end. The others are there for the charge.
        let settled = settle(&app, "a", 1_400).await.unwrap();
        assert_eq!((settled.charged, settled.unpaid), (Microcredits(1_300), Microcredits(100)));
        assert_eq!(wallet_of_ann(&app).await, (0, 0));
        assert!(verify(app.runtime().db(), |_| ()).await.unwrap().is_whole());
    }

    async fn overdue_holds_and_ended_credits_are_swept(app: TestApp = balance) {
        hold(&app, "a", 600).await.unwrap();
        let soon = app.runtime().clock().now().saturating_add(Duration::from_secs(30));
        let input = serde_json::json!({"user_id": "ann", "amount_microcredits": 5_000, "expires_at": soon});
        app.admin().post("/v1/balance/add", input).await.expect(200);
        let wallet = async || wallet_of_ann(&app).await;
        assert_eq!(sweep_wallets(app.runtime()).await.unwrap(), 0);
        app.clock().advance(Duration::from_secs(31));
        sweep_wallets(app.runtime()).await.unwrap();
        assert_eq!(wallet().await, (1_000, 600));
        // What is reserved does not end.
        let soon = app.runtime().clock().now().saturating_add(Duration::from_secs(5));
        let input = serde_json::json!({"user_id": "ann", "amount_microcredits": 900, "expires_at": soon});
        app.admin().post("/v1/balance/add", input).await.expect(200);
        hold(&app, "b", 1_200).await.unwrap();
        app.clock().advance(Duration::from_secs(6));
        sweep_wallets(app.runtime()).await.unwrap();
        assert_eq!(wallet().await, (1_800, 1_800));
        app.clock().advance(Duration::from_secs(60));
        sweep_wallets(app.runtime()).await.unwrap();
        assert_eq!(wallet().await, (1_000, 0));
        assert_eq!(sweep_wallets(app.runtime()).await.unwrap(), 0);
        // A hold that has ended is charged to what is there.
        let settled = settle(&app, "a", 300).await.unwrap();
        assert_eq!((settled.charged, settled.unpaid), (Microcredits(300), Microcredits(0)));
        assert!(verify(app.runtime().db(), |_| ()).await.unwrap().is_whole());
    }
}
