//! `/v1/cities/tokens/apply`, and issuing by services.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use downcity_core::env::SIGNING_KEY;
use downcity_core::token::{self, IssueRequest};
use downcity_db::sql;
use downcity_testkit::{TestApp, TestAppBuilder, TestReply, both_engines};
use downcity_types::{ErrorCode, Timestamp, Ttl};
use serde_json::{Value, json};

use crate::probe::{assert_alive, assert_dead, user_call, with_probe};

/// The second at which the clock of a test stands.
const NOW: i64 = 1_767_323_045;

const CITY: &str = "city_downcity";

/// A token of another server with the signing key [`OLD_KEY`]: no id, no end.
const OLD_TOKEN: &str = "ub_eyJhdWQiOiJkb3duY2l0eTp1c2VyIiwiY2l0eV9pZCI6ImNpdHlfZGVtbyIsInVzZXJfaWQiOiLnlKjmiLciLCJtZXRhZGF0YSI6e30sImlhdCI6MTc1MDAwMDAwMH0.tXSPOsUE9H2ysd7LLovYqvX6-2eorSd4ju8ZkwieAtY";
const OLD_KEY: &str = "sign_test_key_0123456789";

async fn apply(app: &TestApp, input: Value) -> TestReply {
    app.admin().post("/v1/cities/tokens/apply", input).await
}

fn input(ttl: Value) -> Value {
    json!({"city_id": CITY, "user_id": "u", "ttl": ttl})
}

/// The signed claims of a token.
fn payload(issued: &Value) -> Value {
    let token = issued["user_token"].as_str().unwrap();
    let (payload, signature) = token.strip_prefix("ub_").unwrap().split_once('.').unwrap();
    assert_eq!(URL_SAFE_NO_PAD.decode(signature).unwrap().len(), 32);
    serde_json::from_slice(&URL_SAFE_NO_PAD.decode(payload).unwrap()).unwrap()
}

fn with_limits(builder: TestAppBuilder) -> TestAppBuilder {
    builder.settings(|settings| {
        settings.token_default_ttl = Ttl::from_seconds(3_600).ok();
        settings.token_max_ttl = Ttl::from_seconds(86_400).ok();
    })
}

/// Takes a system key away behind the back of the API, which refuses to.
async fn lose_signing_key(app: &TestApp) {
    let delete = |tx: &mut downcity_db::Tx<'_>| {
        tx.execute(sql!("DELETE FROM env WHERE key = $1"), &[&SIGNING_KEY]).map(drop)
    };
    app.runtime().db().write(delete).await.unwrap();
    app.runtime().state().refresh().await.unwrap();
}

both_engines! {
    async fn a_token_says_what_was_asked_for(app: TestApp = with_probe) {
        let metadata = json!({"plan": "pro", "org": {"id": 7}});
        let input = json!({
            "city_id": " city_downcity ", "user_id": "user 用户", "metadata": metadata, "ttl": "7d",
            "studio": "ignored",
        });
        let issued = apply(&app, input).await.expect(200);
        assert_eq!(issued.as_object().unwrap().len(), 4);
        assert_eq!((&issued["city_id"], &issued["user_id"]), (&json!(CITY), &json!("user 用户")));
        assert_eq!(issued["expires_at"], "2026-01-09T03:04:05.000Z");
        let claims = payload(&issued);
        let keys: Vec<&String> = claims.as_object().unwrap().keys().collect();
        assert_eq!(keys, ["aud", "city_id", "user_id", "metadata", "iat", "exp", "jti"]);
        assert_eq!((&claims["aud"], &claims["city_id"], &claims["user_id"]), (&json!("downcity:user"), &json!(CITY), &json!("user 用户")));
        assert_eq!((&claims["metadata"], &claims["iat"]), (&metadata, &json!(NOW)));
        assert_eq!(claims["exp"], NOW + 7 * 86_400);
        assert!(claims["jti"].as_str().unwrap().starts_with("tok_"));

        let user = app.user(issued["user_token"].as_str().unwrap());
        assert_alive(user_call(&user).await);
        app.clock().set(Timestamp::from_seconds(NOW + 7 * 86_400 - 1));
        assert_alive(user_call(&user).await);
        app.clock().set(Timestamp::from_seconds(NOW + 7 * 86_400));
        assert_dead(user_call(&user).await, "token_expired");
    }

    async fn every_ttl_that_is_accepted(app: TestApp) {
        for (ttl, seconds) in [
            (json!("60s"), 60), (json!("30m"), 1_800), (json!("1h"), 3_600), (json!("7d"), 604_800),
            (json!("3600"), 3_600), (json!(3600), 3_600), (json!(1), 1), (json!(60.0), 60),
            (json!("36500d"), 3_153_600_000_i64),
        ] {
            let issued = apply(&app, input(ttl.clone())).await.expect(200);
            assert_eq!(payload(&issued)["exp"], NOW + seconds, "{ttl}");
            let end: Timestamp = issued["expires_at"].as_str().unwrap().parse().unwrap();
            assert_eq!(end.millis(), (NOW + seconds) * 1_000, "{ttl}");
        }
        for endless in [input(Value::Null), json!({"city_id": CITY, "user_id": "u"})] {
            let issued = apply(&app, endless).await.expect(200);
            assert_eq!(issued.get("expires_at"), Some(&Value::Null));
            assert_eq!(payload(&issued).get("exp"), None);
        }
    }

    async fn every_ttl_that_is_refused(app: TestApp) {
        for ttl in [
            json!(0), json!(-1), json!(1.5), json!(-0.5), json!(1e300), json!(u64::MAX), json!(""), json!(" "), json!("0"), json!("0s"),
            json!("1w"), json!("-1h"), json!("1.5h"), json!("1h30m"), json!("h"), json!("１h"), json!("36501d"),
            json!("99999999999999999999d"), json!("nan"), json!(true), json!([60]), json!({"s": 60}),
        ] {
            let error = apply(&app, input(ttl.clone())).await.expect_error(400, "invalid_ttl");
            assert_eq!(error["details"][0]["path"], "ttl", "{ttl}");
            assert!(error["error"].as_str().unwrap().contains("ttl"), "{ttl}");
        }
    }

    async fn faults_are_found_in_order(app: TestApp) {
        app.create_city("shut").await;
        app.admin().post("/v1/cities/pause", json!({"city_id": "shut"})).await.expect(200);
        let with = |city_id: &str, user_id: &str| json!({"city_id": city_id, "user_id": user_id, "ttl": "1w"});
        apply(&app, with("nowhere", "")).await.expect_error(404, "city_not_found");
        apply(&app, with("shut", "")).await.expect_error(403, "city_paused");
        let error = apply(&app, with(CITY, " ")).await.expect_error(400, "invalid_input");
        assert_eq!(error["details"][0]["path"], "user_id");
        apply(&app, with(CITY, "u")).await.expect_error(400, "invalid_ttl");
    }

    async fn bad_fields_are_named(app: TestApp) {
        for (input, field) in [
            (json!({"user_id": "u"}), "city_id"),
            (json!({"city_id": CITY}), "user_id"),
            (json!({"city_id": CITY, "user_id": ""}), "user_id"),
            (json!({"city_id": CITY, "user_id": 7}), "user_id"),
            (json!({"city_id": CITY, "user_id": "a\0b"}), "user_id"),
            (json!({"city_id": CITY, "user_id": "x".repeat(513)}), "user_id"),
            (json!({"city_id": CITY, "user_id": "u", "metadata": []}), "metadata"),
            (json!({"city_id": CITY, "user_id": "u", "metadata": "x"}), "metadata"),
            (json!({"city_id": CITY, "user_id": "u", "metadata": {"x": "y".repeat(6_200)}}), "metadata"),
        ] {
            let error = apply(&app, input.clone()).await.expect_error(400, "invalid_input");
            assert_eq!(error["details"][0]["path"], field, "{error}");
        }
        for text in ["", "{", "[]", "null"] {
            let code = if text.is_empty() { "invalid_input" } else { "invalid_json" };
            let path = "/v1/cities/tokens/apply";
            let reply = app.admin().send(http::Method::POST, path, text.into()).await;
            reply.expect_error(400, code);
        }
        let large = json!({"city_id": CITY, "user_id": "u", "metadata": {"x": "y".repeat(5_900)}});
        let issued = apply(&app, large).await.expect(200);
        assert!(issued["user_token"].as_str().unwrap().len() <= 8_192);
        let null = json!({"city_id": CITY, "user_id": "u", "metadata": null});
        assert_eq!(payload(&apply(&app, null).await.expect(200))["metadata"], json!({}));
    }

    async fn the_settings_bound_the_ttl(app: TestApp = with_limits) {
        let end = |issued: Value| payload(&issued)["exp"].as_i64().unwrap() - NOW;
        assert_eq!(end(apply(&app, input(Value::Null)).await.expect(200)), 3_600);
        assert_eq!(end(apply(&app, input(json!("1d"))).await.expect(200)), 86_400);
        let error = apply(&app, input(json!(86_401))).await.expect_error(400, "invalid_ttl");
        assert!(error["error"].as_str().unwrap().contains("at most 1d"), "{error}");
        // Services that issue tokens keep to the same bounds.
        let issue = |ttl: Option<i64>| {
            let ttl = ttl.map(|seconds| Ttl::from_seconds(seconds).unwrap());
            let (city_id, user_id) = (CITY.to_owned(), "u".to_owned());
            token::issue(app.runtime(), IssueRequest { city_id, user_id, ttl, ..IssueRequest::default() })
        };
        assert_eq!(issue(None).unwrap().expires_at, Some(Timestamp::from_seconds(NOW + 3_600)));
        assert_eq!(issue(Some(86_401)).unwrap_err().code(), ErrorCode::InvalidTtl);
    }

    async fn without_a_signing_key_nothing_is_issued(app: TestApp = with_probe) {
        let token = app.token(CITY, "u").await;
        lose_signing_key(&app).await;
        let error = apply(&app, input(Value::Null)).await.expect_error(500, "missing_config");
        assert!(error["error"].as_str().unwrap().contains(SIGNING_KEY), "the admin is told which");
        apply(&app, input(json!("1w"))).await.expect_error(400, "invalid_ttl");
        assert_dead(user_call(&app.user(&token)).await, "invalid_credential");
        app.admin().get("/v1/probe/admin").await.expect(200);
    }

    async fn a_new_signing_key_counts_at_once(app: TestApp = with_probe) {
        let before = app.token(CITY, "u").await;
        let input = json!({"key": SIGNING_KEY, "value": "sign_another_key_0123456789"});
        app.admin().post("/v1/env/upsert", input).await.expect(200);
        assert_dead(user_call(&app.user(&before)).await, "invalid_credential");
        let after = app.token(CITY, "u").await;
        assert_alive(user_call(&app.user(&after)).await);
    }

    async fn tokens_of_another_server_work_with_its_key(app: TestApp = with_probe) {
        app.create_city("city_demo").await;
        let user = app.user(OLD_TOKEN);
        assert_dead(user_call(&user).await, "invalid_credential");
        let key = json!({"key": SIGNING_KEY, "value": OLD_KEY});
        app.admin().post("/v1/env/upsert", key).await.expect(200);
        assert_eq!(user.get("/v1/probe/user").await.expect(200)["user_id"], "用户");
        // It has no id, and can be ended all the same.
        let revoke = json!({"user_token": OLD_TOKEN});
        app.admin().post("/v1/cities/tokens/revoke", revoke).await.expect(200);
        assert_dead(user_call(&user).await, "token_revoked");
        assert_alive(user_call(&app.user(&app.token("city_demo", "用户").await)).await);
    }

    async fn issuing_asks_no_database(app: TestApp) {
        app.runtime().db().close().await;
        apply(&app, input(json!("1h"))).await.expect(200);
    }

    async fn services_issue_with_the_same_checks(app: TestApp = with_probe) {
        let request = |city_id: &str, user_id: &str| IssueRequest {
            city_id: city_id.to_owned(),
            user_id: user_id.to_owned(),
            metadata: json!({"from": "accounts"}).as_object().cloned().unwrap(),
            ttl: Ttl::from_seconds(60).ok(),
            token_id: Some("ses_1".to_owned()),
        };
        let issued = token::issue(app.runtime(), request(CITY, "u")).unwrap();
        assert_eq!(issued.expires_at, Some(Timestamp::from_seconds(NOW + 60)));
        let caller = app.user(&issued.user_token).get("/v1/probe/user").await.expect(200);
        assert_eq!(caller["metadata"], json!({"from": "accounts"}));
        let status = app.admin().post("/v1/cities/tokens/revoke", json!({"jti": "ses_1"})).await;
        status.expect(200);
        app.user(&issued.user_token).get("/v1/probe/user").await.expect_error(401, "token_revoked");
        let refused = |request| token::issue(app.runtime(), request).unwrap_err().code();
        assert_eq!(refused(request("nowhere", "u")), ErrorCode::CityNotFound);
        assert_eq!(refused(request(CITY, "")), ErrorCode::InvalidInput);
    }
}
