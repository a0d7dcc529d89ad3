//! The check of all money: what somebody with access to the database changes is found.

use std::time::Duration;

use downcity_services::balance::{Problem, Refund, Verification, claw_back, verify};
use downcity_services::{Balance, BalanceConfig};
use downcity_testkit::{Engine, TestApp, TestAppBuilder, both_engines};
use downcity_types::Microcredits;
use serde_json::{Map, Value, json};

fn config() -> BalanceConfig {
    BalanceConfig { init_microcredits: Microcredits(1_000), ..BalanceConfig::default() }
}

fn balance(app: TestAppBuilder) -> TestAppBuilder {
    app.builtin(Balance::new(config()))
}

async fn check(app: &TestApp) -> Verification {
    verify(app.runtime().db(), |_| ()).await.unwrap()
}

/// Two wallets with entries of most kinds, open and ended holds, charges paid, unpaid and given back,
/// and payments that went back.
async fn world(app: &TestApp) {
    let post = async |path: &str, input: Value| -> Value {
        app.admin().post(&format!("/v1/balance/{path}"), input).await.expect(200)
    };
    let soon = app.runtime().clock().now().saturating_add(Duration::from_secs(60));
    post("add", json!({"user_id": "ann", "amount_microcredits": 500, "expires_at": soon})).await;
    post("add", json!({"user_id": "bob", "amount": 2})).await;
    post("sub", json!({"user_id": "bob", "amount": "0.5"})).await;
    post("charge", json!({"user_id": "ann", "amount_microcredits": 200})).await;
    let back = post("charge", json!({"user_id": "ann", "amount_microcredits": 100})).await;
    post("charges/refund", json!({"charge_id": back["charge_id"]})).await;
    for (amount, cost) in [(300, Some(250)), (50, Some(9_000)), (40, None), (30, Some(0))] {
        let input = json!({"user_id": "ann", "amount_microcredits": amount});
        let hold = post("holds/create", input).await;
        let hold_id = &hold["hold_id"];
        match cost {
            Some(cost) => {
                let end = json!({"hold_id": hold_id, "amount_microcredits": cost});
                post("holds/settle", end).await;
                post("add", json!({"user_id": "ann", "amount_microcredits": 1_000})).await;
            }
            None => drop(post("holds/release", json!({"hold_id": hold_id})).await),
        }
    }
    post("holds/create", json!({"user_id": "bob", "amount": 1})).await;
    let wallets = Balance::new(config());
    let refund = Refund {
        refund_id: "re_1".to_owned(),
        owner: wallets.owner("shop", "bob"),
        amount: Microcredits(700_000),
        note: "refund".to_owned(),
        reference: "pay_1".to_owned(),
        metadata: Map::new(),
        actor: "payment:pay_1".to_owned(),
        now: app.runtime().clock().now(),
    };
    let done = app.runtime().db().write(move |tx| claw_back(tx, &refund)).await;
    let done = done.map_err(|error: downcity_core::Error| error).unwrap();
    assert!(done.taken > Microcredits::ZERO && done.unpaid > Microcredits::ZERO);
    app.clock().advance(Duration::from_secs(61));
    post("add", json!({"user_id": "ann", "amount": 1})).await;
    app.create_city("shop").await;
    let ann = app.user(&app.token("shop", "ann").await);
    for _ in 0..2 {
        let topup = ann.post("/v1/balance/topups/create", json!({"amount": 5})).await.expect(200);
        post("topups/finish", json!({"topup_id": topup["topup_id"]})).await;
    }
    ann.post("/v1/balance/topups/create", json!({"amount": 5})).await.expect(200);
    let code =
        post("redeem-codes/create", json!({"amount": 3, "max_uses": 5, "max_uses_per_user": 5}))
            .await;
    for _ in 0..2 {
        let input = json!({"code": code["code"]});
        ann.post("/v1/balance/redeem-codes/redeem", input).await.expect(200);
    }
    post("redeem-codes/create", json!({"amount": 3})).await;
}

/// Takes away what keeps a person from changing rows, constraints included, and keeps copies.
fn open_to_change(app: &TestApp) {
    let is_sqlite = app.runtime().db().engine() == Engine::Sqlite;
    let triggers = [
        ("balance_ledger_is_not_changed", "balance_ledger"),
        ("balance_ledger_is_not_deleted", "balance_ledger"),
        ("balance_ledger_grows_at_its_end", "balance_ledger"),
        ("balance_wallets_stay", "balance_wallets"),
    ];
    for (trigger, table) in triggers {
        let of = if is_sqlite { String::new() } else { format!(" ON {table}") };
        by_hand(app, &format!("DROP TRIGGER IF EXISTS {trigger}{of}"));
    }
    for table in TABLES {
        // A copy has no constraints.
        by_hand(
            app,
            &format!(
                "CREATE TABLE {table}_copy AS SELECT * FROM {table};
                 DROP TABLE {table};
                 CREATE TABLE {table} AS SELECT * FROM {table}_copy"
            ),
        );
    }
}

const TABLES: [&str; 9] = [
    "balance_wallets",
    "balance_ledger",
    "balance_lots",
    "balance_holds",
    "balance_charges",
    "balance_refunds",
    "balance_topups",
    "balance_redeem_codes",
    "balance_redemptions",
];

fn by_hand(app: &TestApp, sql: &str) {
    app.database().execute(sql).unwrap_or_else(|why| panic!("{sql}: {why}"));
}

fn restore(app: &TestApp) {
    for table in TABLES {
        by_hand(
            app,
            &format!("DELETE FROM {table}; INSERT INTO {table} SELECT * FROM {table}_copy"),
        );
    }
}

both_engines! {
    async fn the_trusted_side_checks_over_http(app: TestApp = balance) {
        world(&app).await;
        let admin = app.admin();
        let check = || admin.post("/v1/balance/ledger/verify", json!({}));
        let add = admin.post("/v1/balance/add", json!({"user_id": "eve", "amount": 1}));
        // One at a time, and who moves money does not wait.
        let (first, second, added) = tokio::join!(check(), check(), add);
        assert_eq!(first.expect(200)["ok"], true);
        second.expect_error(409, "conflict");
        added.expect(200);
        let found = check().await.expect(200);
        let expected = self::check(&app).await;
        let counts = ["wallets", "entries", "charges", "holds", "refunds", "topups", "codes"];
        let counted = counts.map(|name| found[name].as_u64().unwrap());
        assert_eq!(counted[0], 3);
        assert_eq!((counted[1], counted[3]), (expected.entries, expected.holds));
        assert_eq!(found["balance_microcredits"], expected.balance.to_string());
        assert_eq!(found["held_microcredits"], "1000000");
        assert_eq!((&found["problems"], &found["broken"]), (&json!(0), &json!([])));
        open_to_change(&app);
        by_hand(&app, "UPDATE balance_wallets SET balance = balance + 1 WHERE user_id = 'ann'");
        let found = check().await.expect(200);
        let broken = &found["broken"][0];
        assert_eq!((&found["ok"], &broken["problem"]), (&json!(false), &json!("balance")));
        assert_eq!(found["broken"].as_array().unwrap().len() as u64, found["problems"]);
        assert!(broken["wallet_id"].as_str().unwrap().starts_with("wal_"), "{broken}");
    }

    async fn a_ledger_that_nobody_touched_is_whole(app: TestApp = balance) {
        assert_eq!(check(&app).await, Verification::default());
        world(&app).await;
        let found = check(&app).await;
        assert!(found.is_whole(), "{:?}", found.broken);
        assert_eq!((found.wallets, found.charges, found.holds, found.refunds), (2, 4, 5, 1));
        assert_eq!((found.topups, found.codes), (3, 2));
        assert!(found.entries > 10 && found.balance > 0 && found.held == 1_000_000, "{found:?}");
    }

    async fn what_is_changed_by_hand_is_found(app: TestApp = balance) {
        world(&app).await;
        open_to_change(&app);
        assert!(check(&app).await.is_whole());
        let ann = "user_id = 'ann'";
        let entry = |seq: i64| format!("{ann} AND seq = {seq}");
        let mut changes = Vec::new();
        let mut change = |problem: Problem, sql: String| changes.push((problem, sql));
        change(Problem::Balance, format!("UPDATE balance_wallets SET balance = balance + 1 WHERE {ann}"));
        change(Problem::Balance, format!("UPDATE balance_wallets SET balance = -1 WHERE {ann}"));
        change(Problem::Held, format!("UPDATE balance_wallets SET held = held + 1 WHERE {ann}"));
        change(Problem::Held, "UPDATE balance_wallets SET held = 0 WHERE user_id = 'bob'".to_owned());
        change(Problem::Sequence, format!("UPDATE balance_wallets SET entries = entries + 1 WHERE {ann}"));
        change(Problem::Sequence, format!("UPDATE balance_wallets SET entries = entries - 1 WHERE {ann}"));
        change(Problem::Lots, format!("UPDATE balance_wallets SET next_expiry = {} WHERE {ann}", i64::MAX)
            + "; UPDATE balance_lots SET expires_at = 5 WHERE remaining > 0");
        change(Problem::Orphan, format!("DELETE FROM balance_wallets WHERE {ann}"));
        change(Problem::Orphan, "DELETE FROM balance_wallets".to_owned());
        for seq in [1, 2, 3] {
            let at = entry(seq);
            change(Problem::Sequence, format!("DELETE FROM balance_ledger WHERE {at}"));
            change(Problem::Sequence, format!("UPDATE balance_ledger SET seq = 900 WHERE {at}"));
            change(Problem::Entry, format!("UPDATE balance_ledger SET amount = amount - 1 WHERE {at}"));
            change(Problem::Entry, format!("UPDATE balance_ledger SET balance_after = balance_after + 1 WHERE {at}"));
            change(Problem::Entry, format!("UPDATE balance_ledger SET user_id = 'eve' WHERE {at}"));
            change(Problem::Entry, format!("UPDATE balance_ledger SET entry_id = 'bal_x' WHERE {at}"));
            change(Problem::Entry, format!("UPDATE balance_ledger SET kind = 'gift' WHERE {at}"));
            change(Problem::Entry, format!("UPDATE balance_ledger SET amount = -amount WHERE {at}"));
        }
        change(Problem::Sequence, "INSERT INTO balance_ledger SELECT wallet_id, 900, entry_id, user_id, city_id,
            kind, amount, balance_after, note, ref, metadata, actor, NULL, created_at
            FROM balance_ledger WHERE user_id = 'ann' AND seq = 2".to_owned());
        change(Problem::Orphan, "INSERT INTO balance_ledger SELECT 'wal_~', 1, entry_id, user_id, city_id,
            kind, amount, balance_after, note, ref, metadata, actor, NULL, created_at
            FROM balance_ledger WHERE user_id = 'ann' AND seq = 2".to_owned());
        change(Problem::Effect, "UPDATE balance_ledger SET effect = 'init:x' WHERE kind IN ('init', 'add')".to_owned());
        change(Problem::Lots, "UPDATE balance_lots SET remaining = remaining - 1 WHERE remaining > 1".to_owned());
        change(Problem::Lots, "UPDATE balance_lots SET amount = amount + 1".to_owned());
        change(Problem::Lots, "DELETE FROM balance_lots WHERE remaining = 0".to_owned());
        change(Problem::Orphan, "UPDATE balance_lots SET wallet_id = 'wal_~'".to_owned());
        change(Problem::Held, "UPDATE balance_holds SET amount = amount + 1 WHERE status = 'open'".to_owned());
        change(Problem::Held, "UPDATE balance_holds SET status = 'released' WHERE status = 'open'".to_owned());
        change(Problem::Held, "UPDATE balance_holds SET status = 'open' WHERE status = 'released'".to_owned());
        change(Problem::Orphan, "UPDATE balance_holds SET wallet_id = 'wal_~' WHERE status = 'open'".to_owned());
        change(Problem::Hold, "UPDATE balance_holds SET charge_id = 'x' WHERE status = 'settled'".to_owned());
        change(Problem::Hold, "DELETE FROM balance_holds WHERE status = 'settled'".to_owned());
        change(Problem::Charge, "DELETE FROM balance_charges WHERE status = 'settled' AND hold_id = ''".to_owned());
        change(Problem::Charge, "UPDATE balance_charges SET amount = amount + 1".to_owned());
        change(Problem::Charge, "UPDATE balance_charges SET unpaid = unpaid - 1 WHERE status = 'unpaid'".to_owned());
        change(Problem::Charge, "UPDATE balance_charges SET unpaid = 0 WHERE status = 'unpaid'".to_owned());
        change(Problem::Charge, "UPDATE balance_charges SET entry = entry + 1".to_owned());
        change(Problem::Charge, "UPDATE balance_charges SET entry = 0".to_owned());
        change(Problem::Charge, "UPDATE balance_charges SET status = 'unpaid'".to_owned());
        change(Problem::Charge, "UPDATE balance_charges SET wallet_id = 'wal_~'".to_owned());
        change(Problem::Charge, "UPDATE balance_ledger SET metadata = '{}' WHERE kind = 'charge'".to_owned());
        change(Problem::Charge, "UPDATE balance_ledger SET metadata = 'x' WHERE kind = 'charge'".to_owned());
        change(Problem::Refund, "UPDATE balance_charges SET status = 'settled', refunded = 0 WHERE status = 'refunded'".to_owned());
        change(Problem::Refund, "UPDATE balance_refunds SET taken = taken - 1".to_owned());
        change(Problem::Refund, "UPDATE balance_refunds SET wallet_id = 'wal_~'".to_owned());
        change(Problem::Refund, "DELETE FROM balance_refunds".to_owned());
        change(Problem::Refund, "UPDATE balance_ledger SET effect = NULL WHERE kind = 'refund'".to_owned());
        change(Problem::Refund, "UPDATE balance_ledger SET effect = 'refund:y' WHERE effect = 'refund:re_1'".to_owned());
        change(Problem::Topup, "UPDATE balance_topups SET status = 'paid', pending_slot = NULL".to_owned());
        change(Problem::Topup, "UPDATE balance_topups SET status = 'canceled' WHERE status = 'paid'".to_owned());
        change(Problem::Topup, "UPDATE balance_topups SET amount = amount + 1 WHERE status = 'paid'".to_owned());
        change(Problem::Topup, "UPDATE balance_topups SET user_id = 'eve' WHERE status = 'paid'".to_owned());
        change(Problem::Topup, "DELETE FROM balance_topups".to_owned());
        change(Problem::Topup, "UPDATE balance_ledger SET effect = NULL WHERE kind = 'topup'".to_owned());
        change(Problem::Code, "UPDATE balance_redeem_codes SET uses = uses + 1".to_owned());
        change(Problem::Code, "UPDATE balance_redeem_codes SET uses = 0".to_owned());
        change(Problem::Code, "UPDATE balance_redeem_codes SET amount = amount + 1".to_owned());
        change(Problem::Code, "DELETE FROM balance_redeem_codes".to_owned());
        change(Problem::Code, "DELETE FROM balance_redemptions".to_owned());
        change(Problem::Code, "UPDATE balance_ledger SET effect = 'redeem:x' WHERE kind = 'redeem' AND effect LIKE '%:2'".to_owned());
        for (problem, sql) in changes {
            by_hand(&app, &sql);
            let found = check(&app).await;
            let problems: Vec<_> = found.broken.iter().map(|broken| broken.problem).collect();
            assert!(problems.contains(&problem), "{sql}: {problem:?} not in {problems:?}");
            assert!(!found.broken.iter().any(|broken| broken.to_string().is_empty()));
            restore(&app);
        }
        assert!(check(&app).await.is_whole());
    }
}
