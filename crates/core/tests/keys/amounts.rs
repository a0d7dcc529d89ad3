//! How much money a key may move.

use std::sync::Arc;
use std::time::Duration;

use downcity_core::audit::{Target, Trail};
use downcity_core::idempotency::{self, IdempotentRequest};
use downcity_core::{ADMIN, Cx, Error, Result, Service, ServiceDef, USER_OR_ADMIN};
use downcity_db::{Migration, MigrationSet, MigrationSql, Tx, sql};
use downcity_testkit::{Client, TestApp, TestAppBuilder, both_engines};
use downcity_types::{ErrorCode, Microcredits, Timestamp};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use crate::common::{cities, create, outcome, with_key};

/// A till that money is put into.
struct Till;

#[derive(Deserialize, JsonSchema)]
struct Payment {
    /// How much.
    amount: Microcredits,
    /// The city that pays.
    #[serde(default)]
    city_id: Option<String>,
    /// Whether to fail when the money has been moved.
    #[serde(default)]
    fail: bool,
}

#[derive(Serialize, Deserialize, JsonSchema)]
struct Paid {
    amount: Microcredits,
    city_id: Option<String>,
}

impl Service for Till {
    fn id(&self) -> &'static str {
        "till"
    }

    fn name(&self) -> &'static str {
        "Till"
    }

    fn define(self: Arc<Self>, s: &mut ServiceDef) {
        s.migrations(MigrationSet {
            service: "till",
            steps: &[Migration {
                version: 1,
                name: "init",
                sql: MigrationSql::Same("CREATE TABLE till (amount BIGINT NOT NULL)"),
            }],
        });
        s.post("pay", USER_OR_ADMIN, &self, Self::pay).summary("Pay.").moves_money();
        s.post("forgetful", ADMIN, &self, Self::forgetful).summary("Pay unasked.").moves_money();
        s.post("undeclared", ADMIN, &self, Self::pay).summary("Pay without saying so.");
        s.get("look", ADMIN, &self, Self::look).summary("Say how much there is.");
    }
}

impl Till {
    async fn pay(self: Arc<Self>, cx: Cx, input: Payment) -> Result<Paid> {
        let request = IdempotentRequest::of(&cx)?;
        let pay = move |tx: &mut Tx<'_>, trail: &mut Trail| {
            idempotency::once(tx, trail, request.as_ref(), |tx, trail| {
                trail.authorise_amount(tx, input.amount)?;
                put(tx, input.amount)?;
                trail.record(Target::new("till", "main"), (), input.amount);
                if input.fail {
                    return Err(Error::new(ErrorCode::Conflict, "Asked to fail."));
                }
                Ok(Paid { amount: input.amount, city_id: input.city_id.clone() })
            })
        };
        cx.write(pay).await
    }

    async fn forgetful(self: Arc<Self>, cx: Cx, input: Payment) -> Result<Paid> {
        let pay = move |tx: &mut Tx<'_>, trail: &mut Trail| {
            put(tx, input.amount)?;
            trail.record(Target::new("till", "main"), (), input.amount);
            Ok(Paid { amount: input.amount, city_id: None })
        };
        cx.write(pay).await
    }

    async fn look(self: Arc<Self>, cx: Cx, _: downcity_core::NoInput) -> Result<Paid> {
        let amount = cx.runtime().db().scan(total).await?;
        Ok(Paid { amount, city_id: None })
    }
}

fn put(tx: &mut Tx<'_>, amount: Microcredits) -> Result<()> {
    tx.execute(sql!("INSERT INTO till (amount) VALUES ($1)"), &[&amount.get()])?;
    Ok(())
}

fn total(tx: &mut Tx<'_>) -> Result<Microcredits> {
    let row = tx.query_one(
        sql!("SELECT CAST(COALESCE(SUM(amount), 0) AS BIGINT) AS total FROM till"),
        &[],
    )?;
    Ok(Microcredits(row.get("total")?))
}

fn with_till(builder: TestAppBuilder) -> TestAppBuilder {
    builder.service(Till)
}

async fn key(app: &TestApp, per_call: Option<i64>, per_day: Option<i64>) -> Client {
    let input = json!({
        "name": "K", "actions": ["till/*"], "amount_per_call": per_call, "amount_per_day": per_day,
    });
    with_key(app, &create(app, input).await)
}

async fn pay(client: &Client, amount: i64) -> (u16, String) {
    outcome(&client.post("/v1/till/pay", json!({"amount": amount})).await)
}

async fn refused(client: &Client, amount: i64) -> Value {
    let reply = client.post("/v1/till/pay", json!({"amount": amount})).await;
    reply.expect_error(403, "amount_exceeded")
}

async fn in_till(app: &TestApp) -> i64 {
    app.admin().get("/v1/till/look").await.expect(200)["amount"].as_i64().unwrap()
}

/// The days that are counted for any key, with their sums.
async fn counted(app: &TestApp) -> Vec<(i64, i64)> {
    let read = |tx: &mut Tx<'_>| {
        let rows =
            tx.query(sql!("SELECT day, spent FROM service_key_spending ORDER BY day"), &[])?;
        rows.iter().map(|row| Ok::<_, Error>((row.get("day")?, row.get("spent")?))).collect()
    };
    app.runtime().db().scan(read).await.unwrap()
}

fn paid() -> (u16, String) {
    (200, String::new())
}

both_engines! {
    async fn a_key_without_amounts_moves_any(app: TestApp = with_till) {
        let key = key(&app, None, None).await;
        for amount in [0, 1, i64::from(u32::MAX), Microcredits::MAX_WIRE, -Microcredits::MAX_WIRE] {
            assert_eq!(pay(&key, amount).await, paid());
        }
        assert_eq!(counted(&app).await, [], "what has no limit is not counted");
    }

    async fn a_call_is_limited(app: TestApp = with_till) {
        let key = key(&app, Some(100), None).await;
        for amount in [0, 1, 100, 100, -100] {
            assert_eq!(pay(&key, amount).await, paid());
        }
        for amount in [101, -101, Microcredits::MAX_WIRE, -Microcredits::MAX_WIRE] {
            let error = refused(&key, amount).await;
            assert_eq!(error["details"], json!([{"path": "amount_per_call", "message": "is 100"}]));
            let sentence = format!("This service key may move at most 100 microcredits in one call; the call moves {}.", amount.abs());
            assert_eq!(error["error"], sentence);
        }
        assert_eq!((in_till(&app).await, counted(&app).await), (101, vec![]));
    }

    async fn a_day_is_limited_until_midnight_utc(app: TestApp = with_till) {
        let key = key(&app, None, Some(1000)).await;
        assert_eq!(pay(&key, 700).await, paid());
        let error = refused(&key, 301).await;
        assert_eq!(error["details"], json!([{
            "path": "amount_per_day",
            "message": "is 1000; 300 are left until 2026-01-03T00:00:00.000Z",
        }]));
        assert_eq!(error["error"], "This service key may move 300 microcredits more until 2026-01-03T00:00:00.000Z; the call moves 301.");
        // What is taken counts like what is given.
        assert_eq!(pay(&key, -300).await, paid());
        assert_eq!(pay(&key, 0).await, paid());
        assert!(refused(&key, 1).await["error"].as_str().unwrap().contains("may move 0 microcredits more"));

        let midnight: Timestamp = "2026-01-03T00:00:00.000Z".parse().unwrap();
        app.clock().set(Timestamp::from_millis(midnight.millis() - 1));
        refused(&key, 1).await;
        app.clock().set(midnight);
        refused(&key, 1001).await;
        assert_eq!(pay(&key, 1000).await, paid());
        // A clock that goes back finds what the day before had.
        app.clock().set(Timestamp::from_millis(midnight.millis() - 1));
        refused(&key, 1).await;
        let day = midnight.millis() / 86_400_000;
        assert_eq!(counted(&app).await, [(day - 1, 1000), (day, 1000)]);
        // Days long past are forgotten.
        app.clock().advance(Duration::from_secs(40 * 86_400));
        assert_eq!(pay(&key, 5).await, paid());
        assert_eq!(counted(&app).await, [(day + 39, 5)]);
    }

    async fn a_key_with_amounts_of_zero_moves_nothing(app: TestApp = with_till) {
        for (per_call, per_day) in [(Some(0), None), (None, Some(0)), (Some(0), Some(0))] {
            let key = key(&app, per_call, per_day).await;
            refused(&key, 1).await;
            assert_eq!(pay(&key, 0).await, paid());
            key.get("/v1/till/look").await.expect(200);
        }
        assert_eq!(in_till(&app).await, 0);
    }

    async fn amounts_are_those_of_one_key(app: TestApp = with_till) {
        let (one, two) = (key(&app, Some(60), Some(100)).await, key(&app, Some(60), Some(100)).await);
        assert_eq!(pay(&one, 60).await, paid());
        assert_eq!(pay(&one, 40).await, paid());
        refused(&one, 1).await;
        assert_eq!(pay(&two, 60).await, paid());
        assert_eq!(pay(&app.admin(), 1_000_000).await, paid());
        let user = app.user(&app.token("city_downcity", "u").await);
        assert_eq!(pay(&user, 1_000_000).await, paid());
    }

    async fn what_fails_or_is_repeated_is_not_counted(app: TestApp = with_till) {
        let key = key(&app, None, Some(100)).await;
        for _ in 0..3 {
            let reply = key.post("/v1/till/pay", json!({"amount": 100, "fail": true})).await;
            reply.expect_error(409, "conflict");
        }
        assert_eq!((in_till(&app).await, counted(&app).await), (0, vec![]));
        let once = key.with_header("idempotency-key", "1");
        for _ in 0..3 {
            assert_eq!(pay(&once, 60).await, paid());
        }
        assert_eq!(in_till(&app).await, 60);
        assert_eq!(counted(&app).await[0].1, 60);
    }

    async fn concurrent_calls_on_two_nodes_stop_at_the_amount(app: TestApp = with_till) {
        let issued = create(&app, json!({"name": "K", "actions": ["till/pay"], "amount_per_day": 730})).await;
        let builder = with_till(TestApp::builder(app.runtime().db().engine()));
        let other = builder.on_database_of(&app).start().await;
        let calls = (0..50).map(|index| {
            let key = with_key(if index % 2 == 0 { &app } else { &other }, &issued);
            async move { pay(&key, 20).await }
        });
        let outcomes = futures_util::future::join_all(calls).await;
        let good = outcomes.iter().filter(|outcome| **outcome == paid()).count();
        let exceeded = (403, "amount_exceeded".to_owned());
        assert!(outcomes.iter().all(|outcome| *outcome == paid() || *outcome == exceeded), "{outcomes:?}");
        assert_eq!((good, in_till(&app).await), (36, 720));
        assert_eq!(counted(&app).await[0].1, 720);
        assert_eq!(pay(&with_key(&other, &issued), 10).await, paid(), "the rest is still there");
    }

    async fn an_action_that_does_not_say_so_moves_nothing(app: TestApp = with_till) {
        for client in [app.admin(), key(&app, None, None).await, key(&app, Some(100), None).await] {
            client.post("/v1/till/undeclared", json!({"amount": 1})).await.expect_error(500, "internal");
        }
        assert_eq!(in_till(&app).await, 0);
    }

    async fn an_action_that_forgets_to_ask_moves_nothing_for_keys_with_amounts(app: TestApp = with_till) {
        let forgetful = async |client: Client| client.post("/v1/till/forgetful", json!({"amount": 1})).await;
        for amounts in [(Some(100), None), (None, Some(100))] {
            forgetful(key(&app, amounts.0, amounts.1).await).await.expect_error(500, "internal");
        }
        assert_eq!(in_till(&app).await, 0);
        forgetful(key(&app, None, None).await).await.expect(200);
        forgetful(app.admin()).await.expect(200);
        assert_eq!(in_till(&app).await, 2);
    }

    async fn amounts_come_on_top_of_actions_and_cities(app: TestApp = with_till) {
        cities(&app, &["a", "b"]).await;
        let issued = create(&app, json!({
            "name": "K", "actions": ["till/pay"], "cities": ["a"], "amount_per_call": 10, "amount_per_day": 15,
        })).await;
        let key = with_key(&app, &issued);
        for (city, amount, expected) in [
            ("b", 1, (403, "city_mismatch")),
            ("a", 11, (403, "amount_exceeded")),
            ("a", 10, (200, "")),
            ("a", 6, (403, "amount_exceeded")),
            ("a", 5, (200, "")),
        ] {
            let reply = key.post("/v1/till/pay", json!({"city_id": city, "amount": amount})).await;
            assert_eq!(outcome(&reply), (expected.0, expected.1.to_owned()), "{city} {amount}");
        }
        key.get("/v1/till/look").await.expect_error(403, "forbidden");
    }
}
