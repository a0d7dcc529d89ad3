//! A Federation that has sold something is copied while it sells, and moves from engine to engine.

use std::path::Path;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

use downcity_core::env::MasterKey;
use downcity_db::testing::{TestDatabase, rows_of};
use downcity_db::{DbOptions, DbUrl, Engine};
use downcity_server::{CopyWatch, FailureKind, Federation, FederationBuilder};
use downcity_services::payment::sandbox::{Moment, Vendor};
use downcity_testkit::{Answer, block_on};
use futures_util::future::{join, join_all};
use serde_json::{Value, json};
use tempfile::TempDir;

use crate::buyer::{ADMIN, MASTER, Market, get, post, text};

#[test]
fn from_sqlite() {
    block_on(moving(Engine::Sqlite));
}

#[test]
fn from_postgres() {
    block_on(moving(Engine::Postgres));
}

/// What holds wherever the Federation is.
struct Known {
    ann: String,
    wallet: Value,
    code: String,
}

async fn moving(engine: Engine) {
    let market = Market::open(engine, Vendor::Stripe).await;
    let known = sell(&market).await;
    let folder = tempfile::tempdir().unwrap();
    copies_while_money_moves(&market, &folder).await;
    let wallet = market.get(&known.ann, "/v1/balance/me").await.expect(200);
    let known = Known { wallet, ..known };
    let Market { federation, database, config, .. } = market;
    federation.shutdown().await;
    let beside = |database: DbUrl| {
        Federation::builder()
            .config(config.clone())
            .database(DbOptions::new(database))
            .master_key(MasterKey::parse(MASTER).unwrap())
    };

    let copy = folder.path().join("copy.sqlite");
    beside(database.url()).backup(&copy, CopyWatch::default()).await.unwrap();
    let checked = beside(database.url()).verify_backup(&copy, CopyWatch::default());
    let checked = checked.await.unwrap();
    assert!(checked.is_good() && checked.opens == Some(true), "{checked:?}");
    assert_eq!(checked.is_from_postgres, engine == Engine::Postgres);
    every_table_holds_something(&copy);

    // Into PostgreSQL, and from there over a SQLite file into PostgreSQL again.
    let server = TestDatabase::new(Engine::Postgres).unwrap();
    beside(server.url()).restore(&copy, false, CopyWatch::default()).await.unwrap();
    if engine == Engine::Postgres {
        assert_eq!(dump(&server), dump(&database));
    }
    let second = folder.path().join("second.sqlite");
    beside(server.url()).backup(&second, CopyWatch::default()).await.unwrap();
    assert_eq!(rows_of(&second).unwrap(), rows_of(&copy).unwrap());
    let file = DbUrl::sqlite(folder.path().join("place/downcity.sqlite"));
    let done = beside(file.clone()).restore(&second, false, CopyWatch::default()).await.unwrap();
    assert_eq!(done.path.as_deref(), file.sqlite_path());
    let third = folder.path().join("third.sqlite");
    beside(file.clone()).backup(&third, CopyWatch::default()).await.unwrap();
    let other = TestDatabase::new(Engine::Postgres).unwrap();
    beside(other.url()).restore(&third, false, CopyWatch::default()).await.unwrap();
    assert_eq!(dump(&other), dump(&server));

    for place in [server.url(), file.clone()] {
        good(|| beside(place.clone()), &known).await;
    }
    // What is there by now is not lost without a word, nor while a server runs on it.
    let refused = beside(server.url()).restore(&copy, false, CopyWatch::default()).await;
    let refused = refused.unwrap_err();
    assert_eq!(refused.kind(), FailureKind::Conflict);
    assert!(refused.to_string().contains("--replace"), "{refused}");
    let running = beside(server.url()).build().await.unwrap();
    let refused = beside(server.url()).restore(&copy, true, CopyWatch::default()).await;
    let refused = refused.unwrap_err();
    assert_eq!(refused.kind(), FailureKind::Conflict);
    assert!(refused.to_string().contains("Stop the servers"), "{refused}");
    running.shutdown().await;
    beside(server.url()).restore(&third, true, CopyWatch::default()).await.unwrap();
    assert_eq!(dump(&server), dump(&other));
}

/// Something of everything that a Federation keeps, made through its own routes.
async fn sell(market: &Market) -> Known {
    let account = json!({"email": "ann@example.com", "password": "correct horse battery",
        "name": "Ann \u{1f9d1}\u{200d}\u{1f680} \\N \t", "city_id": "city_downcity"});
    let registered = market.post("", "/v1/accounts/register", account).await.expect(200);
    let ann = text(&registered, "user_token");
    let topup = market.post(&ann, "/v1/balance/topups/create", json!({"amount": 5})).await;
    let topup_id = text(&topup.expect(200), "topup_id");
    let input = json!({"method_id": market.vendor.id(), "topup_id": topup_id});
    let checkout = market.post(&ann, "/v1/payment/checkout/create", input).await.expect(200);
    let paid = Moment::Paid { minor: 500, currency: "usd".to_owned() };
    market.tell("evt_1", &paid, &checkout).await.expect(200);
    market.models.always(Answer::json(
        200,
        &json!({"choices": [{"message": {"role": "assistant", "content": "Hello, Ann."},
            "finish_reason": "stop"}], "usage": {"prompt_tokens": 100, "completion_tokens": 20}}),
    ));
    market.post(&ann, "/v1/ai/text", json!({"prompt": "Hello"})).await.expect(200);
    market.charge().await;
    let user_id = text(&registered, "user_id");
    let money = |amount: i64| json!({"user_id": user_id, "amount": amount, "city_id": "shop"});
    let mut ends = money(3_000_000);
    ends["expires_in"] = json!("30d");
    let codes = json!({"amount": 7, "max_uses": 3});
    for (path, input) in [
        ("/v1/cities/create", json!({"city_id": "shop", "name": "Shop"})),
        ("/v1/balance/add", ends),
        ("/v1/balance/holds/create", money(1_000)),
        ("/v1/balance/charge", money(2_000)),
        ("/v1/env/upsert", json!({"key": "OWN", "value": "of the city", "city_id": "shop"})),
        ("/v1/env/upsert", json!({"key": "TWICE", "value": "one"})),
        ("/v1/env/upsert", json!({"key": "TWICE", "value": "two"})),
        ("/v1/keys/create", json!({"name": "K", "actions": ["balance/*"], "amount_per_day": 9})),
        ("/v1/keys/rotate", json!({"algorithm": "ed25519"})),
        ("/v1/cities/tokens/revoke", json!({"city_id": "shop", "user_id": "bob"})),
    ] {
        market.post(ADMIN, path, input).await.expect(200);
    }
    let made = market.post(ADMIN, "/v1/balance/redeem-codes/create", codes).await.expect(200);
    let code = text(&made, "code");
    let redeem = json!({"code": code});
    market.post(&ann, "/v1/balance/redeem-codes/redeem", redeem).await.expect(200);
    Known { ann, wallet: Value::Null, code }
}

/// Copies over HTTP, one after the other, while eight write.
async fn copies_while_money_moves(market: &Market, folder: &TempDir) {
    let (done, rounds) = (AtomicBool::new(false), AtomicUsize::new(0));
    let writers = join_all((0..8).map(|writer| {
        let (market, done, rounds) = (&market, &done, &rounds);
        async move {
            let user = format!("writer {writer}");
            while !done.load(Ordering::Relaxed) {
                for (path, amount) in
                    [("add", 1_000), ("holds/create", 10), ("charge", 300), ("sub", 100)]
                {
                    let input = json!({"user_id": user, "amount": amount, "city_id": "shop"});
                    let path = format!("/v1/balance/{path}");
                    market.post(ADMIN, &path, input).await.expect(200);
                }
                rounds.fetch_add(1, Ordering::Relaxed);
            }
        }
    }));
    let copies = async {
        while rounds.load(Ordering::Relaxed) < 8 {
            tokio::task::yield_now().await;
        }
        for number in 0..3 {
            let copy = folder.path().join(format!("live-{number}.sqlite"));
            let made = market.post(ADMIN, "/v1/backup/create", json!({})).await;
            assert_eq!(made.status, 200, "{}", made.body);
            std::fs::write(&copy, &made.bytes).unwrap();
            let checked = Federation::builder()
                .config(market.config.clone())
                .database(DbOptions::new(market.database.url()))
                .master_key(MasterKey::parse(MASTER).unwrap())
                .verify_backup(&copy, CopyWatch::default())
                .await
                .unwrap();
            assert!(checked.is_good(), "{checked:?}");
            assert!(checked.ledger.wallets > 1, "{checked:?}");
        }
        done.store(true, Ordering::Relaxed);
    };
    join(writers, copies).await;
}

/// A copy of which half is empty would prove half.
fn every_table_holds_something(copy: &Path) {
    let look = downcity_db::testing::tables_of(copy).unwrap();
    let empty: Vec<_> = look.iter().filter(|(_, rows)| *rows == 0).map(|(name, _)| name).collect();
    let may_be = [
        "accounts_codes",
        "accounts_failures",
        "accounts_oauth_states",
        "ai_jobs",
        "ai_models",
        "balance_redeem_failures",
        "balance_refunds",
        "env_reads",
        "idempotency",
        "limit_windows",
        "payment_refunds",
        "service_key_spending",
        "usage_daily",
        "usage_daily_users",
        "usage_of_users",
    ];
    let missing: Vec<_> = empty.iter().filter(|name| !may_be.contains(&name.as_str())).collect();
    assert!(missing.is_empty(), "nothing is in {missing:?}");
}

/// Every row of every table but the histories of migrations, which each engine has for itself.
fn dump(database: &TestDatabase) -> Vec<String> {
    let text = String::from_utf8(database.dump().unwrap()).unwrap();
    let is_history = |line: &str| {
        let fields: Vec<_> = line.trim_matches(['(', ')']).split(',').collect();
        matches!(fields[..], [step, _, _, sum] if step.parse::<u32>().is_ok() && sum.parse::<u64>().is_ok())
    };
    let mut rows: Vec<_> =
        text.lines().filter(|line| !is_history(line)).map(str::to_owned).collect();
    rows.sort_unstable();
    rows
}

/// A Federation on it has what the one before had: money, tokens, secrets, codes, and its two proofs.
async fn good(on: impl Fn() -> FederationBuilder, known: &Known) {
    let ledger = on().verify_ledger(|_| ()).await.unwrap();
    assert!(ledger.is_whole() && ledger.entries > 10, "{ledger:?}");
    let audit = on().verify_audit(None, |_, _| ()).await.unwrap();
    assert!(audit.broken.is_none() && audit.rows > 10, "{audit:?}");
    let values = on().env_values(&["TWICE", "STRIPE_SECRET_KEY"]).await.unwrap();
    assert_eq!(values["TWICE"].expose(), "two");
    assert_eq!(values["STRIPE_SECRET_KEY"].expose(), "sk_test_1");
    let federation = on().build().await.unwrap();
    let wallet = get(&federation, &known.ann, "/v1/balance/me").await.expect(200);
    assert_eq!(wallet["microcredits"], known.wallet["microcredits"]);
    let redeem = json!({"code": known.code});
    let again = post(&federation, &known.ann, "/v1/balance/redeem-codes/redeem", redeem).await;
    again.expect(409);
    get(&federation, ADMIN, "/v1/cities/list").await.expect(200);
    federation.shutdown().await;
}
