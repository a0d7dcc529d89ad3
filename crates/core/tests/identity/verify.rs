//! `/v1/cities/tokens/verify`: what is said of a token, and to whom.

use std::time::Duration;

use downcity_testkit::{Client, TestApp, both_engines};
use serde_json::{Value, json};

use crate::probe::{user_call, with_probe};

async fn status(client: &Client, input: Value) -> Value {
    client.post("/v1/cities/tokens/verify", input).await.expect(200)
}

/// What is said of a token that the caller may know nothing of.
fn unknown() -> Value {
    json!({
        "active": false, "reason": "invalid_credential", "token_id": null, "city_id": null, "user_id": null,
        "metadata": null, "algorithm": null, "issued_at": null, "expires_at": null,
    })
}

async fn service_key(app: &TestApp, cities: Value) -> Client {
    let input = json!({"name": "verifier", "actions": ["cities/tokens/verify"], "cities": cities});
    let created = app.admin().post("/v1/keys/create", input).await.expect(200);
    app.user(created["key"].as_str().unwrap())
}

both_engines! {
    async fn a_good_token_is_told_in_full(app: TestApp = with_probe) {
        app.create_city("a").await;
        let input = json!({"city_id": "a", "user_id": "用户", "metadata": {"plan": "pro"}, "ttl": "1h"});
        let token = app.token_with(input).await;
        let said = status(&app.admin(), json!({"user_token": token, "extra": 1})).await;
        let id = said["token_id"].as_str().unwrap();
        assert!(id.starts_with("tok_"), "{id}");
        let expected = json!({
            "active": true, "reason": null, "token_id": id, "city_id": "a", "user_id": "用户",
            "metadata": {"plan": "pro"}, "algorithm": "hmac", "issued_at": "2026-01-02T03:04:05.000Z",
            "expires_at": "2026-01-02T04:04:05.000Z",
        });
        assert_eq!(said, expected);
        assert_eq!(status(&app.admin(), json!({"user_token": token, "city_id": " a "})).await, expected);
        let endless = app.token("a", "u").await;
        let said = status(&app.admin(), json!({"user_token": endless})).await;
        assert_eq!((&said["active"], &said["expires_at"], &said["metadata"]), (&json!(true), &Value::Null, &json!({})));
    }

    /// It is judged by the same code: what is said is what a call with the token meets.
    async fn what_is_said_is_what_a_call_meets(app: TestApp = with_probe) {
        for city in ["open", "paused", "removed", "recreated"] {
            app.create_city(city).await;
        }
        let short = json!({"city_id": "open", "user_id": "u", "ttl": 5});
        let mut tokens = vec![("nonsense".to_owned(), false), (String::new(), false)];
        tokens.push((app.token_with(short).await, true));
        for (city, user, genuine) in [("open", "u", true), ("open", "v", true), ("paused", "u", true), ("removed", "u", false), ("recreated", "u", true)] {
            tokens.push((app.token(city, user).await, genuine));
        }
        let cut = tokens[3].0[..60].to_owned();
        tokens.push((cut, false));
        for (action, input) in [
            ("pause", json!({"city_id": "paused"})),
            ("remove", json!({"city_id": "removed"})),
            ("remove", json!({"city_id": "recreated"})),
            ("tokens/revoke", json!({"city_id": "open", "user_id": "v"})),
        ] {
            app.admin().post(&format!("/v1/cities/{action}"), input).await.expect(200);
        }
        app.create_city("recreated").await;
        app.clock().advance(Duration::from_secs(5));
        let mut reasons = Vec::new();
        for (token, genuine) in tokens {
            let said = status(&app.admin(), json!({"user_token": token})).await;
            let (code, call) = user_call(&app.user(&token)).await;
            assert_eq!(said["active"], code == 200, "{said}");
            let reason = said["reason"].as_str().unwrap_or_default().to_owned();
            assert!(reason == call || token.is_empty(), "{reason} {call}");
            assert_eq!(said["user_id"].is_string(), genuine, "{said}");
            if !genuine {
                assert_eq!(said, unknown());
            }
            reasons.push(reason);
        }
        let expected = [
            "invalid_credential", "invalid_credential", "token_expired", "", "token_revoked", "city_paused",
            "invalid_credential", "token_revoked", "invalid_credential",
        ];
        assert_eq!(reasons, expected);
    }

    async fn keys_are_no_tokens(app: TestApp) {
        let created = app.admin().post("/v1/keys/create", json!({"name": "k", "actions": ["*"]})).await;
        for credential in [downcity_testkit::ADMIN_KEY, created.expect(200)["key"].as_str().unwrap()] {
            assert_eq!(status(&app.admin(), json!({"user_token": credential})).await, unknown());
        }
    }

    async fn a_service_key_of_a_city_sees_its_tokens_alone(app: TestApp) {
        app.create_city("a").await;
        app.create_city("b").await;
        let (of_a, of_b) = (app.token("a", "u").await, app.token("b", "u").await);
        let key = service_key(&app, json!(["a"])).await;
        let said = status(&key, json!({"user_token": of_a, "city_id": "a"})).await;
        assert_eq!((&said["active"], &said["city_id"]), (&json!(true), &json!("a")));
        assert_eq!(status(&key, json!({"user_token": of_b, "city_id": "a"})).await, unknown());
        let path = "/v1/cities/tokens/verify";
        let other = key.post(path, json!({"user_token": of_b, "city_id": "b"})).await;
        other.expect_error(403, "city_mismatch");
        key.post(path, json!({"user_token": of_a})).await.expect_error(403, "forbidden");

        // A dead token of another city is as unknown as a living one.
        app.admin().post("/v1/cities/tokens/revoke", json!({"city_id": "b"})).await.expect(200);
        assert_eq!(status(&key, json!({"user_token": of_b, "city_id": "a"})).await, unknown());
        let of_all = service_key(&app, json!([])).await;
        assert_eq!(status(&of_all, json!({"user_token": of_b})).await["reason"], "token_revoked");
        assert_eq!(status(&app.admin(), json!({"user_token": of_a, "city_id": "b"})).await, unknown());
    }

    async fn bad_requests_and_other_callers(app: TestApp) {
        let path = "/v1/cities/tokens/verify";
        for (input, field) in [
            (json!({}), "user_token"),
            (json!({"user_token": null}), "user_token"),
            (json!({"user_token": 7}), "user_token"),
            (json!({"user_token": "x", "city_id": ""}), "city_id"),
            (json!({"user_token": "x", "city_id": 7}), "city_id"),
        ] {
            let error = app.admin().post(path, input.clone()).await.expect_error(400, "invalid_input");
            assert_eq!(error["details"][0]["path"], field, "{input}");
        }
        let token = app.token("city_downcity", "u").await;
        let input = json!({"user_token": token});
        app.guest().post(path, input.clone()).await.expect_error(401, "missing_credential");
        app.user(&token).post(path, input.clone()).await.expect_error(403, "forbidden");
        // The database is not asked.
        app.runtime().db().close().await;
        assert_eq!(status(&app.admin(), input).await["active"], true);
    }
}
