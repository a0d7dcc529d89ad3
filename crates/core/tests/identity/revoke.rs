//! `/v1/cities/tokens/revoke`: what ends, what does not, on which node and for how long.

use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use downcity_core::token::{self, Revocation};
use downcity_db::sql;
use downcity_testkit::{Client, TestApp, both_engines};
use serde_json::{Value, json};

use crate::probe::{assert_alive, assert_dead, hear, user_call, with_probe};

async fn revoke(app: &TestApp, input: Value) {
    let reply = app.admin().post("/v1/cities/tokens/revoke", input).await;
    assert_eq!(reply.expect(200), json!({"revoked": true}));
}

/// Two users of city `a` and one of city `b`.
async fn three_users(app: &TestApp) -> [String; 3] {
    app.create_city("a").await;
    app.create_city("b").await;
    [app.token("a", "u").await, app.token("a", "v").await, app.token("b", "u").await]
}

async fn alive(clients: &[Client]) -> Vec<bool> {
    let mut alive = Vec::new();
    for client in clients {
        let (status, code) = user_call(client).await;
        assert!(status == 200 || code == "token_revoked", "{status} {code}");
        alive.push(status == 200);
    }
    alive
}

/// The id in a token.
fn jti(token: &str) -> String {
    let payload = token.strip_prefix("ub_").unwrap().split('.').next().unwrap();
    let claims: Value = serde_json::from_slice(&URL_SAFE_NO_PAD.decode(payload).unwrap()).unwrap();
    claims["jti"].as_str().unwrap().to_owned()
}

async fn stored(app: &TestApp) -> i64 {
    let count = |tx: &mut downcity_db::Tx<'_>| {
        tx.query_one(sql!("SELECT COUNT(*) AS count FROM revocations"), &[])?.get("count")
    };
    app.runtime().db().read::<i64, downcity_db::DbError, _>(count).await.unwrap()
}

both_engines! {
    async fn one_token_ends(app: TestApp = with_probe) {
        let tokens = three_users(&app).await;
        let again = app.token("a", "u").await;
        let clients = [&tokens[0], &tokens[1], &tokens[2], &again].map(|token| app.user(token));
        revoke(&app, json!({"user_token": tokens[0]})).await;
        assert_eq!(alive(&clients).await, [false, true, true, true]);
        revoke(&app, json!({"user_token": tokens[0], "city_id": "a", "extra": 1})).await;
        revoke(&app, json!({"jti": jti(&tokens[1])})).await;
        assert_eq!(alive(&clients).await, [false, false, true, true]);
        revoke(&app, json!({"jti": jti(&tokens[2]), "city_id": "a"})).await;
        assert_eq!(alive(&clients).await, [false, false, true, true], "the id is of another city");
        revoke(&app, json!({"jti": jti(&tokens[2]), "city_id": "b"})).await;
        assert_eq!(alive(&clients).await, [false, false, false, true]);
        revoke(&app, json!({"jti": "of no token"})).await;
        assert_eq!(alive(&clients).await, [false, false, false, true]);
    }

    async fn all_tokens_of_a_user_end(app: TestApp = with_probe) {
        let clients = three_users(&app).await.map(|token| app.user(&token));
        for _ in 0..3 {
            revoke(&app, json!({"city_id": "a", "user_id": "u"})).await;
            assert_eq!(alive(&clients).await, [false, true, true]);
        }
        // Issued in the same second, and not hit.
        let next = app.user(&app.token("a", "u").await);
        assert_alive(user_call(&next).await);
        revoke(&app, json!({"city_id": "a", "user_id": "u"})).await;
        assert_dead(user_call(&next).await, "token_revoked");
        revoke(&app, json!({"city_id": "a", "user_id": "nobody"})).await;
        assert_eq!(alive(&clients).await, [false, true, true]);
    }

    async fn all_tokens_of_a_city_end(app: TestApp = with_probe) {
        let clients = three_users(&app).await.map(|token| app.user(&token));
        revoke(&app, json!({"city_id": "a", "user_id": "u"})).await;
        let bound = app.user(&app.token("a", "u").await);
        revoke(&app, json!({"city_id": "a"})).await;
        assert_eq!(alive(&clients).await, [false, false, true]);
        assert_dead(user_call(&bound).await, "token_revoked");
        for user in ["u", "v", "w"] {
            assert_alive(user_call(&app.user(&app.token("a", user).await)).await);
        }
    }

    async fn a_dead_token_may_be_ended_again(app: TestApp = with_probe) {
        app.create_city("a").await;
        let short = app.token_with(json!({"city_id": "a", "user_id": "u", "ttl": 1})).await;
        let endless = app.token("a", "u").await;
        app.clock().advance(Duration::from_secs(1));
        revoke(&app, json!({"user_token": short})).await;
        assert_eq!(stored(&app).await, 0, "it has ended by itself");
        app.admin().post("/v1/cities/remove", json!({"city_id": "a"})).await.expect(200);
        revoke(&app, json!({"user_token": endless})).await;
        app.create_city("a").await;
        assert_dead(user_call(&app.user(&endless)).await, "token_revoked");
    }

    async fn bad_requests_end_nothing(app: TestApp = with_probe) {
        let tokens = three_users(&app).await;
        let clients = tokens.each_ref().map(|token| app.user(token));
        for (input, code, field) in [
            (json!({}), "invalid_input", "city_id"),
            (json!({"user_id": "u"}), "invalid_input", "city_id"),
            (json!({"city_id": ""}), "invalid_input", "city_id"),
            (json!({"city_id": ["a"]}), "invalid_input", "city_id"),
            (json!({"city_id": "a", "user_id": ""}), "invalid_input", "user_id"),
            (json!({"city_id": "a", "user_id": 7}), "invalid_input", "user_id"),
            (json!({"city_id": "a", "user_id": "a\0b"}), "invalid_input", "user_id"),
            (json!({"city_id": "a", "user_id": "x".repeat(5_000)}), "invalid_input", "user_id"),
            (json!({"jti": ""}), "invalid_input", "jti"),
            (json!({"jti": "a\0b"}), "invalid_input", "jti"),
            (json!({"jti": "x".repeat(5_000)}), "invalid_input", "jti"),
            (json!({"user_token": ""}), "invalid_input", "user_token"),
            (json!({"user_token": "nonsense"}), "invalid_input", "user_token"),
            (json!({"user_token": format!("{}A", tokens[0])}), "invalid_input", "user_token"),
            (json!({"user_token": tokens[0], "city_id": "b"}), "conflicting_fields", "city_id"),
            (json!({"user_token": tokens[0], "jti": jti(&tokens[0])}), "conflicting_fields", ""),
            (json!({"user_token": tokens[0], "user_id": "u"}), "conflicting_fields", ""),
            (json!({"jti": jti(&tokens[0]), "user_id": "u"}), "conflicting_fields", ""),
        ] {
            let reply = app.admin().post("/v1/cities/tokens/revoke", input.clone()).await;
            let error = reply.expect_error(400, code);
            assert_eq!(error["details"][0]["path"].as_str().unwrap_or_default(), field, "{input}");
        }
        assert_eq!(alive(&clients).await, [true, true, true]);
        assert_eq!(stored(&app).await, 0);
    }

    async fn other_nodes_and_restarts_know(app: TestApp = with_probe) {
        let tokens = three_users(&app).await;
        let engine = app.runtime().db().engine();
        let other = with_probe(TestApp::builder(engine)).on_database_of(&app).start().await;
        let there = tokens.each_ref().map(|token| other.user(token));
        assert_eq!(alive(&there).await, [true, true, true]);
        revoke(&app, json!({"city_id": "a", "user_id": "u"})).await;
        revoke(&app, json!({"user_token": tokens[1]})).await;
        hear(&other).await;
        assert_eq!(alive(&there).await, [false, false, true]);
        // Tokens of both nodes keep to the bound that one of them has set.
        assert_alive(user_call(&app.user(&other.token("a", "u").await)).await);

        let restarted = with_probe(TestApp::builder(engine)).on_database_of(&app).start().await;
        let then = tokens.each_ref().map(|token| restarted.user(token));
        assert_eq!(alive(&then).await, [false, false, true]);
    }

    async fn rows_written_by_hand_count_after_a_refresh(app: TestApp = with_probe) {
        let clients = three_users(&app).await.map(|token| app.user(&token));
        let by_hand = |tx: &mut downcity_db::Tx<'_>| {
            let insert = sql!(
                "INSERT INTO revocations
                     (kind, city_id, subject, not_before, expires_at, revision, created_at)
                 VALUES ('city', 'b', '', 9999999999, NULL, 0, 0)"
            );
            tx.execute(insert, &[]).map(drop)
        };
        app.runtime().db().write(by_hand).await.unwrap();
        assert_eq!(alive(&clients).await, [true, true, true]);
        app.runtime().state().refresh().await.unwrap();
        assert_eq!(alive(&clients).await, [true, true, false]);
    }

    async fn what_has_ended_by_itself_is_forgotten(app: TestApp = with_probe) {
        app.create_city("a").await;
        let short = app.token_with(json!({"city_id": "a", "user_id": "u", "ttl": 60})).await;
        let long = app.token_with(json!({"city_id": "a", "user_id": "u", "ttl": 61})).await;
        revoke(&app, json!({"user_token": short})).await;
        revoke(&app, json!({"user_token": long})).await;
        revoke(&app, json!({"city_id": "a", "user_id": "u"})).await;
        let held = || app.runtime().snapshot().revocations().len();
        token::prune_revocations(app.runtime()).await.unwrap();
        assert_eq!((held(), stored(&app).await), (3, 3));
        app.clock().advance(Duration::from_secs(60));
        token::prune_revocations(app.runtime()).await.unwrap();
        assert_eq!((held(), stored(&app).await), (3, 3), "a week longer, should the clock be wrong");
        assert_dead(user_call(&app.user(&long)).await, "token_revoked");
        app.clock().advance(Duration::from_secs(7 * 24 * 3600));
        token::prune_revocations(app.runtime()).await.unwrap();
        assert_eq!((held(), stored(&app).await), (2, 2));
        assert_dead(user_call(&app.user(&short)).await, "token_expired");
    }

    async fn what_is_issued_right_after_works_and_lives_no_longer(app: TestApp = with_probe) {
        app.create_city("a").await;
        let old = app.user(&app.token("a", "u").await);
        // A revocation dates the next tokens some seconds ahead, several together a bit more.
        for _ in 0..3 {
            revoke(&app, json!({"city_id": "a", "user_id": "u"})).await;
        }
        assert_dead(user_call(&old).await, "token_revoked");
        let input = |ttl: u32| json!({"city_id": "a", "user_id": "u", "ttl": ttl});
        let issue = |ttl| app.token_with(input(ttl));
        let (short, long) = (app.user(&issue(1).await), app.user(&issue(60).await));
        assert_eq!(alive(&[short.clone(), long.clone()]).await, [true, true]);
        app.clock().advance(Duration::from_secs(1));
        assert_dead(user_call(&short).await, "token_expired");
        app.clock().advance(Duration::from_secs(58));
        assert_alive(user_call(&long).await);
        app.clock().advance(Duration::from_secs(1));
        assert_dead(user_call(&long).await, "token_expired");
    }

    async fn services_revoke_within_their_own_change(app: TestApp = with_probe) {
        let clients = three_users(&app).await.map(|token| app.user(&token));
        let now = app.runtime().clock().now();
        let user = Revocation::User { city_id: "b".to_owned(), user_id: "u".to_owned() };
        let undone = {
            let user = user.clone();
            move |tx: &mut downcity_db::Tx<'_>| {
                token::revoke(tx, &user, now)?;
                Err::<(), _>(downcity_core::Error::invalid("x", "changed its mind"))
            }
        };
        app.runtime().change(undone).await.unwrap_err();
        assert_eq!(alive(&clients).await, [true, true, true]);
        app.runtime().change(move |tx| token::revoke(tx, &user, now)).await.unwrap();
        assert_eq!(alive(&clients).await, [true, true, false]);
    }

    async fn concurrent_revocations_all_hold(app: TestApp = with_probe) {
        app.create_city("a").await;
        let mut clients = Vec::new();
        for user in 0..12 {
            clients.push(app.user(&app.token("a", &format!("u{user}")).await));
        }
        let revoking = (0..12).map(|user| {
            let app = app.clone();
            async move {
                revoke(&app, json!({"city_id": "a", "user_id": format!("u{user}")})).await;
            }
        });
        futures_util::future::join_all(revoking).await;
        assert_eq!(alive(&clients).await, [false; 12]);
        assert_eq!(app.runtime().snapshot().revocations().len(), 12);
    }
}
