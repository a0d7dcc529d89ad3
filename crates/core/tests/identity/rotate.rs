//! `/v1/keys/rotate`, `signing` and `retired/drop`: which tokens live on, how long, on which node.

use std::time::Duration;

use downcity_core::env::SIGNING_KEY;
use downcity_core::token;
use downcity_db::{Tx, sql};
use downcity_testkit::{Client, TestApp, TestAppBuilder, both_engines};
use downcity_types::TokenAlgorithm;
use serde_json::{Value, json};

use crate::probe::{assert_alive, assert_dead, hear, user_call, with_probe};

const CITY: &str = "city_downcity";
const WEEK: Duration = Duration::from_hours(7 * 24);

fn with_ed25519(builder: TestAppBuilder) -> TestAppBuilder {
    with_probe(builder).settings(|settings| settings.token_algorithm = TokenAlgorithm::Ed25519)
}

fn without_grace(builder: TestAppBuilder) -> TestAppBuilder {
    with_probe(builder).settings(|settings| settings.token_rotation_grace = Duration::ZERO)
}

async fn rotate(app: &TestApp, input: Value) -> Value {
    app.admin().post("/v1/keys/rotate", input).await.expect(200)
}

async fn keys(app: &TestApp) -> Vec<Value> {
    let list = app.admin().get("/v1/keys/signing").await.expect(200);
    list["items"].as_array().unwrap().clone()
}

/// The keys as `algorithm status`, with a star for the one that issues.
async fn outline(app: &TestApp) -> Vec<String> {
    let word = |key: &Value, field: &str| key[field].as_str().unwrap().to_owned();
    let line = |key: &Value| {
        let star = if key["issues"] == true { "*" } else { "" };
        format!("{} {}{star}", word(key, "algorithm"), word(key, "status"))
    };
    keys(app).await.iter().map(line).collect()
}

async fn signing_key(app: &TestApp) -> String {
    let list = app.admin().get("/v1/env/list?reveal=true").await.expect(200);
    let items = list["items"].as_array().unwrap();
    let entry = items.iter().find(|entry| entry["key"] == SIGNING_KEY).unwrap();
    entry["value"].as_str().unwrap().to_owned()
}

async fn write_back(app: &TestApp, value: &str) {
    let input = json!({"key": SIGNING_KEY, "value": value});
    app.admin().post("/v1/env/upsert", input).await.expect(200);
}

async fn user(app: &TestApp) -> Client {
    app.user(&app.token(CITY, "u").await)
}

async fn alive(clients: &[&Client]) -> Vec<bool> {
    let mut alive = Vec::new();
    for client in clients {
        let (status, code) = user_call(client).await;
        assert!(status == 200 || code == "invalid_credential", "{status} {code}");
        alive.push(status == 200);
    }
    alive
}

/// A second node, as soon as it has heard of what the first one did.
async fn second_node(app: &TestApp) -> TestApp {
    let builder = TestApp::builder(app.runtime().db().engine());
    with_probe(builder).on_database_of(app).start().await
}

async fn stored(app: &TestApp) -> i64 {
    let count = |tx: &mut Tx<'_>| {
        tx.query_one(sql!("SELECT COUNT(*) AS count FROM signing_keys"), &[])?.get("count")
    };
    app.runtime().db().read::<i64, downcity_db::DbError, _>(count).await.unwrap()
}

both_engines! {
    async fn a_retired_key_verifies_until_its_grace_ends(app: TestApp = with_probe) {
        let (old, before) = (user(&app).await, signing_key(&app).await);
        let rotated = rotate(&app, json!({})).await;
        let text = rotated.to_string();
        let after = signing_key(&app).await;
        assert!(after != before && after.starts_with("sign_") && after.len() == 48, "{after}");
        assert!(!text.contains(&after) && !text.contains(&before), "{text}");
        assert_eq!((&rotated["algorithm"], &rotated["status"], &rotated["issues"]), (&json!("hmac"), &json!("active"), &json!(true)));
        assert_eq!((&rotated["retired_at"], &rotated["verifies_until"]), (&Value::Null, &Value::Null));
        assert_eq!(rotated["retired"][0]["retired_at"], "2026-01-02T03:04:05.678Z");
        assert_eq!(rotated["retired"][0]["verifies_until"], "2026-01-09T03:04:05.000Z");
        assert_eq!(outline(&app).await, ["hmac active*", "hmac retired"]);

        let new = user(&app).await;
        assert_eq!(alive(&[&old, &new]).await, [true, true]);
        app.clock().advance(WEEK - Duration::from_millis(679));
        assert_eq!(alive(&[&old, &new]).await, [true, true]);
        app.clock().advance(Duration::from_millis(1));
        assert_eq!(alive(&[&old, &new]).await, [false, true]);
        assert_eq!((outline(&app).await, stored(&app).await), (vec!["hmac active*".to_owned()], 1));
        token::prune_signing_keys(app.runtime()).await.unwrap();
        assert_eq!(stored(&app).await, 0);
        assert_eq!(alive(&[&old, &new]).await, [false, true]);
    }

    async fn keys_that_were_retired_before_count_on(app: TestApp = with_probe) {
        let first = user(&app).await;
        rotate(&app, json!({"algorithm": "hmac"})).await;
        let second = user(&app).await;
        app.clock().advance(Duration::from_hours(24));
        let rotated = rotate(&app, json!({})).await;
        let third = user(&app).await;
        assert_eq!(rotated["retired"].as_array().unwrap().len(), 2);
        assert_eq!(alive(&[&first, &second, &third]).await, [true, true, true]);
        app.clock().advance(WEEK - Duration::from_hours(24));
        assert_eq!(alive(&[&first, &second, &third]).await, [false, true, true]);
    }

    async fn another_value_ends_all_older_tokens_and_an_older_value_revives_its_own(app: TestApp = with_probe) {
        let (first, first_key) = (user(&app).await, signing_key(&app).await);
        rotate(&app, json!({})).await;
        let (second, second_key) = (user(&app).await, signing_key(&app).await);
        let all = [&first, &second];
        assert_eq!(alive(&all).await, [true, true]);
        write_back(&app, "sign_from_an_older_tool").await;
        assert_eq!(alive(&all).await, [false, false]);
        assert_eq!(outline(&app).await, ["hmac active*"]);
        write_back(&app, &first_key).await;
        assert_eq!(alive(&all).await, [true, false], "the value of the first key alone");
        write_back(&app, &second_key).await;
        assert_eq!(alive(&all).await, [true, true], "as it was after the rotation");

        // A rotation from another value does not bring back what that value has ended.
        write_back(&app, "sign_from_an_older_tool").await;
        rotate(&app, json!({})).await;
        assert_eq!(alive(&all).await, [false, false]);
        // Nor does a key that comes round a second time keep its old end.
        write_back(&app, &first_key).await;
        app.clock().advance(WEEK);
        rotate(&app, json!({})).await;
        assert_eq!(alive(&all).await, [true, false]);
    }

    async fn a_row_written_by_hand_ends_all_older_tokens_on_refresh(app: TestApp = with_probe) {
        let first = user(&app).await;
        rotate(&app, json!({})).await;
        let second = user(&app).await;
        let by_hand = |tx: &mut Tx<'_>| {
            let update = sql!("UPDATE env SET value = 'sign_written_by_hand' WHERE key = $1");
            tx.execute(update, &[&SIGNING_KEY]).map(drop)
        };
        app.runtime().db().write(by_hand).await.unwrap();
        assert_eq!(alive(&[&first, &second]).await, [true, true]);
        app.admin().post("/v1/env/refresh", json!({})).await.expect(200);
        assert_eq!(alive(&[&first, &second]).await, [false, false]);
    }

    async fn without_grace_the_old_key_ends_at_once(app: TestApp = without_grace) {
        let first = user(&app).await;
        let rotated = rotate(&app, json!({})).await;
        assert_eq!(rotated["retired"], json!([]));
        assert_eq!((alive(&[&first]).await, stored(&app).await), (vec![false], 0));
        for _ in 0..2 {
            rotate(&app, json!({"algorithm": "ed25519"})).await;
            assert_eq!(outline(&app).await, ["hmac active*", "ed25519 active"]);
            assert_eq!(stored(&app).await, 1);
        }
    }

    async fn a_shorter_grace_counts_for_keys_that_were_retired_before(app: TestApp = with_probe) {
        let first = user(&app).await;
        rotate(&app, json!({})).await;
        let builder = without_grace(TestApp::builder(app.runtime().db().engine()));
        let restarted = builder.on_database_of(&app).start().await;
        rotate(&restarted, json!({})).await;
        assert_dead(user_call(&restarted.user("x")).await, "invalid_credential");
        hear(&app).await;
        assert_eq!(alive(&[&first]).await, [false]);
    }

    async fn retired_keys_are_dropped(app: TestApp = with_ed25519) {
        let first = user(&app).await;
        let kept = rotate(&app, json!({})).await["retired"][0]["key_id"].clone();
        let second = user(&app).await;
        app.clock().advance(Duration::from_secs(1));
        let dropped = rotate(&app, json!({})).await["retired"][0]["key_id"].clone();
        rotate(&app, json!({"algorithm": "hmac"})).await;
        assert_ne!(kept, dropped);
        let drop = |input| async { app.admin().post("/v1/keys/retired/drop", input).await };
        assert_eq!(drop(json!({"key_id": dropped})).await.expect(200), json!({"dropped": [dropped]}));
        assert_eq!(alive(&[&first, &second]).await, [true, false]);
        drop(json!({"key_id": dropped})).await.expect_error(404, "not_found");
        let active = keys(&app).await.into_iter().find(|key| key["issues"] == true).unwrap();
        drop(json!({"key_id": active["key_id"]})).await.expect_error(404, "not_found");
        let all = drop(json!({})).await.expect(200);
        assert_eq!(all["dropped"].as_array().unwrap().len(), 2);
        assert_eq!(drop(json!({})).await.expect(200), json!({"dropped": []}));
        assert_eq!(alive(&[&first, &second]).await, [false, false]);
        assert_alive(user_call(&user(&app).await).await);
        assert_eq!(outline(&app).await, ["hmac active", "ed25519 active*"]);
    }

    async fn a_rotation_counts_on_every_node(app: TestApp = with_probe) {
        let other = second_node(&app).await;
        let first = app.token(CITY, "u").await;
        rotate(&app, json!({})).await;
        rotate(&app, json!({"algorithm": "ed25519"})).await;
        let second = app.token(CITY, "u").await;
        hear(&other).await;
        assert_eq!(keys(&other).await, keys(&app).await);
        let there = [&first, &second].map(|token| other.user(token));
        assert_eq!(alive(&[&there[0], &there[1]]).await, [true, true]);
        assert_alive(user_call(&app.user(&other.token(CITY, "u").await)).await);
        app.admin().post("/v1/keys/retired/drop", json!({})).await.expect(200);
        hear(&other).await;
        assert_eq!(alive(&[&there[0], &there[1]]).await, [false, true]);

        let restarted = second_node(&app).await;
        let then = [&first, &second].map(|token| restarted.user(token));
        assert_eq!(alive(&[&then[0], &then[1]]).await, [false, true]);
    }

    async fn rotations_at_once_follow_one_another(app: TestApp = with_probe) {
        let first = user(&app).await;
        let other = second_node(&app).await;
        let rotating = (0..6).map(|n| {
            let node = if n % 2 == 0 { app.clone() } else { other.clone() };
            async move {
                let algorithm = if n < 3 { "hmac" } else { "ed25519" };
                rotate(&node, json!({"algorithm": algorithm})).await;
            }
        });
        futures_util::future::join_all(rotating).await;
        hear(&app).await;
        let outline = outline(&app).await;
        let count = |text: &str| outline.iter().filter(|line| *line == text).count();
        assert_eq!((count("hmac active*"), count("hmac retired")), (1, 3));
        assert_eq!((count("ed25519 active"), count("ed25519 retired")), (1, 2));
        assert_eq!(alive(&[&first]).await, [true]);
    }

    async fn a_repeated_request_rotates_once(app: TestApp = with_probe) {
        let client = app.admin().with_header("idempotency-key", "rotation-1");
        let first = client.post("/v1/keys/rotate", json!({})).await.expect(200);
        let again = client.post("/v1/keys/rotate", json!({})).await.expect(200);
        assert_eq!(first, again);
        assert_eq!(outline(&app).await, ["hmac active*", "hmac retired"]);
    }

    async fn there_is_an_end_to_retired_keys(app: TestApp = with_probe) {
        for _ in 0..16 {
            rotate(&app, json!({})).await;
        }
        let key = signing_key(&app).await;
        let refused = app.admin().post("/v1/keys/rotate", json!({})).await;
        refused.expect_error(409, "conflict");
        assert_eq!(signing_key(&app).await, key, "nothing has changed");
        app.admin().post("/v1/keys/retired/drop", json!({})).await.expect(200);
        rotate(&app, json!({})).await;
    }

    async fn only_the_admin_key_rotates(app: TestApp = with_probe) {
        let scope = json!({"name": "all", "actions": ["*", "env/*"]});
        let created = app.admin().post("/v1/keys/create", scope).await.expect(200);
        let service = app.user(created["key"].as_str().unwrap());
        let key = signing_key(&app).await;
        for path in ["rotate", "retired/drop"] {
            let path = format!("/v1/keys/{path}");
            service.post(&path, json!({})).await.expect_error(403, "forbidden");
            user(&app).await.post(&path, json!({})).await.expect_error(403, "forbidden");
            app.guest().post(&path, json!({})).await.expect_error(401, "missing_credential");
        }
        service.get("/v1/keys/signing").await.expect_error(403, "forbidden");
        let wrong = app.admin().post("/v1/keys/rotate", json!({"algorithm": "none"})).await;
        wrong.expect_error(400, "invalid_input");
        assert_eq!(signing_key(&app).await, key);
    }

    async fn keys_are_sealed_and_one_that_does_not_open_is_skipped(app: TestApp = with_ed25519) {
        let (first, hmac) = (user(&app).await, signing_key(&app).await);
        rotate(&app, json!({})).await;
        rotate(&app, json!({"algorithm": "hmac"})).await;
        let second = user(&app).await;
        let rows = |tx: &mut Tx<'_>| {
            let rows = tx.query(sql!("SELECT secret FROM signing_keys ORDER BY key_id"), &[])?;
            rows.iter().map(|row| row.get("secret")).collect::<Result<Vec<String>, _>>()
        };
        let sealed = app.runtime().db().read::<_, downcity_db::DbError, _>(rows).await.unwrap();
        assert_eq!(sealed.len(), 3);
        for secret in sealed {
            assert!(secret.starts_with("sealed:v1:1:") && !secret.contains(&hmac), "{secret}");
        }
        // The secret of one key under the name of another opens nothing.
        let swap = |tx: &mut Tx<'_>| {
            let swap = sql!(
                "UPDATE signing_keys SET secret = (SELECT MAX(secret) FROM signing_keys
                     WHERE algorithm = 'ed25519' AND retired_at IS NULL)
                 WHERE algorithm = 'ed25519' AND retired_at IS NOT NULL"
            );
            tx.execute(swap, &[]).map(drop)
        };
        app.runtime().db().write(swap).await.unwrap();
        app.runtime().state().refresh().await.unwrap();
        assert_eq!(alive(&[&first, &second]).await, [false, true]);
    }

    async fn every_change_of_keys_leaves_its_rows(app: TestApp = with_ed25519) {
        rotate(&app, json!({})).await;
        rotate(&app, json!({"algorithm": "hmac"})).await;
        let after = signing_key(&app).await;
        app.admin().post("/v1/keys/retired/drop", json!({})).await.expect(200);
        app.admin().post("/v1/keys/retired/drop", json!({})).await.expect(200);
        let rows = |tx: &mut Tx<'_>| {
            let rows = tx.query(
                sql!("SELECT action, target_kind, before_json, after_json FROM audit ORDER BY seq"),
                &[],
            )?;
            rows.iter()
                .map(|row| {
                    let side = |name| row.get::<Option<String>>(name);
                    let sides = (side("before_json")?.is_some(), side("after_json")?.is_some());
                    let text = format!("{:?} {:?}", side("before_json")?, side("after_json")?);
                    let (action, kind) = (row.get::<String>("action")?, row.get::<String>("target_kind")?);
                    Ok((format!("{action} {kind}"), sides, text))
                })
                .collect::<Result<Vec<_>, downcity_db::DbError>>()
        };
        let rows = app.runtime().db().read::<_, downcity_db::DbError, _>(rows).await.unwrap();
        assert!(rows.iter().all(|(_, _, text)| !text.contains(&after) && !text.contains("sealed:")));
        let of = |line: &str| {
            let found = rows.iter().filter(|(named, ..)| named == line).map(|(_, sides, _)| *sides);
            let mut sides: Vec<(bool, bool)> = found.collect();
            sides.sort_unstable();
            sides
        };
        let (came, changed, went) = ((false, true), (true, true), (true, false));
        assert_eq!(of("system/start signing_key"), [came]);
        // Twice a new key, twice the key before: an HMAC key and an Ed25519 key.
        assert_eq!(of("keys/rotate signing_key"), [came, came, changed, changed]);
        assert_eq!(of("keys/rotate env"), [changed]);
        assert_eq!(of("keys/retired/drop signing_key"), [went, went]);
    }
}
