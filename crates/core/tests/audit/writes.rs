//! Every action of the built-in services that writes for the trusted side.

use std::net::IpAddr;

use downcity_core::Registry;
use downcity_core::env::SIGNING_KEY;
use downcity_testkit::{Engine, TestApp, both_engines};
use serde_json::{Value, json};

use crate::common::{ByHand as _, assert_whole, dump, last, service_key, since};

/// One call, and the rows that it leaves.
struct Step {
    action: &'static str,
    input: Value,
    rows: Vec<Row>,
}

/// What a row says beside its action: target, city, and which of before and after are there.
struct Row {
    target: (&'static str, &'static str),
    city: Option<&'static str>,
    before: bool,
    after: bool,
}

fn row(kind: &'static str, id: &'static str) -> Row {
    let city = (kind == "city").then_some(id);
    Row { target: (kind, id), city, before: false, after: true }
}

fn made(kind: &'static str, id: &'static str) -> Vec<Row> {
    vec![row(kind, id)]
}

fn changed(kind: &'static str, id: &'static str) -> Vec<Row> {
    vec![Row { before: true, ..row(kind, id) }]
}

fn gone(kind: &'static str, id: &'static str) -> Vec<Row> {
    vec![Row { before: true, after: false, ..row(kind, id) }]
}

fn in_shop(kind: &'static str, id: &'static str) -> Vec<Row> {
    vec![Row { city: Some("shop"), ..row(kind, id) }]
}

fn step(action: &'static str, input: Value, rows: Vec<Row>) -> Step {
    Step { action, input, rows }
}

/// Calls that write, one after the other; `*` stands for an id that is made at random. What changes
/// nothing leaves no row.
fn steps(key_id: &str, token: &str) -> Vec<Step> {
    let shop = json!({"city_id": "shop"});
    vec![
        step("cities/create", json!({"city_id": "shop", "name": "Shop"}), made("city", "shop")),
        step("cities/pause", shop.clone(), changed("city", "shop")),
        step("cities/pause", shop.clone(), vec![]),
        step("cities/activate", shop.clone(), changed("city", "shop")),
        step("cities/tokens/revoke", json!({"jti": "tok_1"}), made("token", "tok_1")),
        step(
            "cities/tokens/revoke",
            json!({"jti": "tok_1", "city_id": "shop"}),
            in_shop("token", "tok_1"),
        ),
        step(
            "cities/tokens/revoke",
            json!({"city_id": "shop", "user_id": "ann"}),
            in_shop("user", "ann"),
        ),
        step("cities/tokens/revoke", shop.clone(), made("city", "shop")),
        step(
            "cities/tokens/revoke",
            json!({"user_token": token}),
            vec![Row { city: Some("city_downcity"), ..row("token", "*") }],
        ),
        step("cities/remove", shop, gone("city", "shop")),
        step("env/upsert", json!({"key": "a_key", "value": "one"}), made("env", "A_KEY")),
        step("env/upsert", json!({"key": "A_KEY", "value": "two"}), changed("env", "A_KEY")),
        step("env/upsert", json!({"key": "A_KEY", "value": "two"}), vec![]),
        step("env/rollback", json!({"key": "A_KEY", "version": 1}), changed("env", "A_KEY")),
        step(
            "env/import",
            json!({"raw": "A_KEY=three\nB_KEY=four\n"}),
            changed("env", "A_KEY").into_iter().chain(made("env", "B_KEY")).collect(),
        ),
        step("env/import", json!({"raw": ""}), vec![]),
        step("env/remove", json!({"key": "B_KEY"}), gone("env", "B_KEY")),
        step("env/remove", json!({"key": "B_KEY"}), vec![]),
        step("env/refresh", json!({}), made("env", "*")),
        step("keys/create", json!({"name": "K", "actions": ["*"]}), made("service_key", "*")),
        step(
            "keys/rotate",
            json!({}),
            changed("env", SIGNING_KEY)
                .into_iter()
                .chain(made("signing_key", "*"))
                .chain(changed("signing_key", "*"))
                .collect(),
        ),
        step("keys/rotate", json!({"algorithm": "ed25519"}), made("signing_key", "*")),
        step("keys/retired/drop", json!({}), gone("signing_key", "*")),
        step("keys/retired/drop", json!({}), vec![]),
        step("keys/revoke", json!({"key_id": key_id}), changed("service_key", "*")),
        step("keys/revoke", json!({"key_id": key_id}), vec![]),
        step("jobs/retry", json!({"job_id": "job_1"}), changed("job", "job_1")),
        step("jobs/cancel", json!({"job_id": "job_1"}), changed("job", "job_1")),
        step("backup/create", json!({}), made("backup", "*")),
    ]
}

/// Actions that write nothing which the trusted side owns.
const STATELESS: &[&str] =
    &["audit/verify", "cities/tokens/apply", "cities/tokens/verify", "env/test"];

/// What the steps need beforehand: a key to revoke, a token, and a job that was given up.
async fn prepare(app: &TestApp) -> Vec<Step> {
    let (_, issued) = service_key(app, &["cities/list"], &[]).await;
    let token = app.token("city_downcity", "ann").await;
    app.by_hand(
        "INSERT INTO jobs (job_id, kind, payload, status, due_at, created_at, updated_at)
         VALUES ('job_1', 'nobody.runs.it', '{}', 'dead', 1, 1, 1)",
    );
    steps(issued["key_id"].as_str().unwrap(), &token)
}

fn assert_rows(step: &Step, rows: &[Value]) {
    assert_eq!(rows.len(), step.rows.len(), "{}: {rows:?}", step.action);
    for (expected, row) in step.rows.iter().zip(rows) {
        let (kind, id) = expected.target;
        assert_eq!((&row["action"], &row["target_kind"]), (&json!(step.action), &json!(kind)));
        if id != "*" || kind == "env" {
            assert_eq!(row["target_id"], id, "{row}");
        }
        assert_eq!(row["city_id"], json!(expected.city), "{row}");
        assert_eq!(row["before"] != Value::Null, expected.before, "{row}");
        assert_eq!(row["after"] != Value::Null, expected.after, "{row}");
    }
}

fn path(action: &str) -> String {
    format!("/v1/{action}")
}

both_engines! {
    async fn every_write_leaves_its_rows_and_none_without(app: TestApp) {
        let steps = prepare(&app).await;
        let address: IpAddr = "203.0.113.7".parse().unwrap();
        let admin = app.admin().at(address);
        for step in steps {
            let before = last(&app).await;
            let reply = admin.post(&path(step.action), step.input.clone()).await;
            // Not every answer is JSON.
            assert_eq!(reply.status, 200, "{}", step.action);
            let rows = since(&app, before).await;
            assert_rows(&step, &rows);
            for row in rows {
                assert_eq!((&row["actor"], &row["key_id"]), (&json!("admin"), &Value::Null));
                assert_eq!(row["request_id"], reply.header("x-request-id").unwrap());
                assert_eq!(row["client_address"], "203.0.113.7");
                assert_eq!(row["created_at"], json!(app.runtime().clock().now()));
            }
        }
        assert_whole(&app).await;
    }

    async fn a_write_whose_row_cannot_be_stored_changes_nothing(app: TestApp) {
        for step in prepare(&app).await {
            break_inserts(&app, true);
            let before = dump(&app).await;
            let reply = app.admin().post(&path(step.action), step.input.clone()).await;
            if step.rows.is_empty() {
                assert_eq!(reply.status, 200, "{}", step.action);
            } else {
                reply.expect_error(500, "internal");
                assert_eq!(dump(&app).await, before, "{}", step.action);
            }
            break_inserts(&app, false);
            // The same call works when its row can be stored: nothing was half done.
            let before = last(&app).await;
            let reply = app.admin().post(&path(step.action), step.input.clone()).await;
            assert_eq!(reply.status, 200, "{}", step.action);
            assert_rows(&step, &since(&app, before).await);
        }
        assert_whole(&app).await;
    }

    async fn without_a_head_nothing_is_written(app: TestApp) {
        app.by_hand(match app.runtime().db().engine() {
            Engine::Sqlite => "DROP TRIGGER audit_head_stays",
            Engine::Postgres => "DROP TRIGGER audit_head_stays ON audit_head",
        });
        app.by_hand("DELETE FROM audit_head");
        let before = dump(&app).await;
        let input = json!({"city_id": "shop", "name": "Shop"});
        app.admin().post("/v1/cities/create", input).await.expect_error(500, "internal");
        assert_eq!(dump(&app).await, before);
    }

    async fn repeated_requests_leave_no_second_row(app: TestApp) {
        let client = app.admin().with_header("idempotency-key", "once");
        let before = last(&app).await;
        let input = json!({"name": "Shop"});
        let first = client.post("/v1/cities/create", input.clone()).await.expect(200);
        assert_eq!(client.post("/v1/cities/create", input).await.expect(200), first);
        let rows = since(&app, before).await;
        assert_eq!((rows.len(), &rows[0]["after"]), (1, &first));
    }

    async fn before_and_after_are_the_records(app: TestApp) {
        let before = last(&app).await;
        app.create_city("shop").await;
        let shop = json!({"city_id": "shop"});
        app.admin().post("/v1/cities/pause", shop.clone()).await.expect(200);
        app.admin().post("/v1/cities/remove", shop).await.expect(200);
        let rows = since(&app, before).await;
        assert_eq!(rows[0]["after"], rows[1]["before"]);
        assert_eq!(rows[1]["after"], rows[2]["before"]);
        let status = |row: &Value, when: &str| row[when]["status"].clone();
        assert_eq!((status(&rows[1], "before"), status(&rows[1], "after")), (json!("active"), json!("paused")));
    }

    async fn a_service_key_is_named(app: TestApp) {
        let (client, issued) = service_key(&app, &["cities/*"], &[]).await;
        let before = last(&app).await;
        client.post("/v1/cities/create", json!({"name": "Own"})).await.expect(200);
        let rows = since(&app, before).await;
        let named = ["actor", "key_id", "key_name"].map(|field| &rows[0][field]);
        assert_eq!(named, [&json!("service"), &issued["key_id"], &json!("Shop's server")]);
    }

    async fn a_first_start_is_the_system_s(app: TestApp) {
        let rows = since(&app, 0).await;
        let about = |row: &Value| {
            let text = |field: &str| row[field].as_str().unwrap().to_owned();
            assert_eq!((text("actor"), text("action")), ("system".to_owned(), "system/start".to_owned()));
            assert_eq!(row["request_id"], Value::Null);
            format!("{} {}", text("target_kind"), text("target_id"))
        };
        let mut targets: Vec<String> = rows.iter().map(about).collect();
        targets.sort();
        assert_eq!(targets, [
            "city city_downcity",
            "env BETTER_AUTH_SECRET",
            "env DOWNCITY_FEDERATION_ADMIN_SECRET_KEY",
            "env DOWNCITY_FEDERATION_TOKEN_SIGNING_KEY",
        ]);
        let engine = app.runtime().db().engine();
        let restarted = TestApp::builder(engine).on_database_of(&app).start().await;
        assert_eq!(last(&restarted).await, 4);
        assert_whole(&restarted).await;
    }

    async fn rows_written_by_hand_are_recorded_when_they_are_sealed(app: TestApp) {
        app.by_hand("INSERT INTO env (key, value) VALUES ('BY_HAND', 'in the clear')");
        let before = last(&app).await;
        app.admin().post("/v1/env/refresh", json!({})).await.expect(200);
        app.admin().post("/v1/env/upsert", json!({"key": "BY_HAND", "value": "new"})).await.expect(200);
        let rows = since(&app, before).await;
        let sealed = &rows[0]["after"]["sealed"]["BY_HAND"];
        assert_eq!(&rows[1]["before"]["fingerprint"], sealed, "{rows:?}");

        app.by_hand("INSERT INTO env (key, value) VALUES ('LATER', 'in the clear')");
        let engine = app.runtime().db().engine();
        let restarted = TestApp::builder(engine).on_database_of(&app).start().await;
        let row = since(&restarted, before + 2).await.pop().unwrap();
        assert_eq!((&row["actor"], &row["target_id"]), (&json!("system"), &json!("*")));
        assert_eq!(&row["after"]["sealed"]["LATER"], sealed);
    }
}

/// Makes the table refuse every row, or take rows again.
fn break_inserts(app: &TestApp, broken: bool) {
    let statement = match (app.runtime().db().engine(), broken) {
        (Engine::Sqlite, true) => {
            "CREATE TRIGGER audit_broken BEFORE INSERT ON audit
             BEGIN SELECT RAISE(ABORT, 'broken'); END"
        }
        (Engine::Postgres, true) => {
            "CREATE TRIGGER audit_broken BEFORE INSERT ON audit
             FOR EACH STATEMENT EXECUTE FUNCTION audit_is_append_only()"
        }
        (Engine::Sqlite, false) => "DROP TRIGGER audit_broken",
        (Engine::Postgres, false) => "DROP TRIGGER audit_broken ON audit",
    };
    app.by_hand(statement);
}

/// A new action that may write has to be among the steps, or be known to be stateless.
#[test]
fn every_action_of_the_trusted_side_is_here() {
    let registry = Registry::builder().build().unwrap();
    let known: Vec<&str> =
        steps("", "").iter().map(|step| step.action).chain(STATELESS.iter().copied()).collect();
    let mut seen = 0;
    for action in registry.actions() {
        let reads = action.method().is_some_and(|method| method == http::Method::GET);
        if reads || !action.access().allows_admin() {
            continue;
        }
        let name = format!("{}/{}", action.service_id(), action.id());
        assert!(
            known.contains(&name.as_str()),
            "{name} has no step and is not said to be stateless"
        );
        seen += 1;
    }
    assert!(seen > 10);
}
