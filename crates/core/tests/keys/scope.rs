//! What a key reaches, by action and by city.

use downcity_core::env::{ADMIN_KEY, SIGNING_KEY};
use downcity_testkit::{ADMIN_KEY as ADMIN_SECRET, both_engines};
use serde_json::{Value, json};

use crate::common::{cities, client, outcome, with_probe};

both_engines! {
    async fn a_key_reaches_the_actions_that_it_lists(app: TestApp = with_probe) {
        // Status at cities/list, cities/create, probe/admin (GET, POST), env/list and services.
        for (actions, expected) in [
            (vec!["cities/list"], [200, 403, 403, 403, 403, 403]),
            (vec!["cities/*"], [200, 200, 403, 403, 403, 403]),
            (vec!["probe/admin"], [403, 403, 200, 200, 403, 403]),
            (vec!["probe/*", "cities/list"], [200, 403, 200, 200, 403, 403]),
            (vec!["*"], [200, 200, 200, 200, 403, 200]),
            (vec!["env/*"], [403, 403, 403, 403, 200, 403]),
            (vec!["env/list"], [403, 403, 403, 403, 200, 403]),
            (vec!["*", "env/list"], [200, 200, 200, 200, 200, 200]),
            (vec!["system/*"], [403, 403, 403, 403, 403, 200]),
        ] {
            let key = client(&app, &actions, &[]).await;
            let replies = [
                key.get("/v1/cities/list").await,
                key.post("/v1/cities/create", json!({"name": "C"})).await,
                key.get("/v1/probe/admin").await,
                key.post("/v1/probe/admin", json!({})).await,
                key.get("/v1/env/list").await,
                key.get("/v1/base/instruction").await,
            ];
            assert_eq!(replies.each_ref().map(|reply| reply.status.as_u16()), expected, "{actions:?}");
            for reply in replies.iter().filter(|reply| reply.status != 200) {
                reply.expect_error(403, "forbidden");
            }
        }
        let key = client(&app, &["cities/list"], &[]).await;
        let error = key.post("/v1/cities/pause", json!({})).await.expect_error(403, "forbidden");
        assert_eq!(error["error"], "This service key does not cover cities/pause.");
    }

    async fn no_key_manages_keys(app: TestApp) {
        let key = client(&app, &["*", "env/*", "cities/*", "system/*"], &[]).await;
        let input = json!({"name": "K", "actions": ["*"]});
        let error = key.post("/v1/keys/create", input).await.expect_error(403, "forbidden");
        assert_eq!(error["error"], "A service key may not call keys/create.");
        key.get("/v1/keys/list").await.expect_error(403, "forbidden");
        key.post("/v1/keys/revoke", json!({"key_id": "key_x"})).await.expect_error(403, "forbidden");
    }

    async fn no_key_gets_hold_of_system_keys(app: TestApp) {
        let key = client(&app, &["env/*"], &[]).await;
        let list = key.get("/v1/env/list?reveal=true").await.expect(200);
        assert!(!list.to_string().contains(ADMIN_SECRET), "{list}");
        let revealed = app.admin().get("/v1/env/list?reveal=true").await.expect(200);
        assert!(revealed.to_string().contains(ADMIN_SECRET));
        for name in [ADMIN_KEY, SIGNING_KEY, " downcity_federation_admin_secret_key "] {
            let input = json!({"key": name, "value": "another_key_0123456789"});
            key.post("/v1/env/upsert", input).await.expect_error(403, "forbidden");
            let raw = json!({"raw": format!("A=1\n{name}=another_key_0123456789")});
            key.post("/v1/env/import", raw).await.expect_error(403, "forbidden");
        }
        assert!(app.runtime().snapshot().env().get("A").is_none(), "nothing is imported");
        key.post("/v1/env/upsert", json!({"key": "A", "value": "1"})).await.expect(200);
        app.admin().get("/v1/env/list").await.expect(200);
    }

    async fn a_key_is_no_user(app: TestApp = with_probe) {
        let key = client(&app, &["*"], &[]).await;
        key.post("/v1/probe/user", json!({})).await.expect_error(403, "forbidden");
        assert_eq!(key.post("/v1/probe/both", json!({})).await.expect(200)["kind"], "service");
    }

    async fn a_key_out_of_scope_is_a_guest_on_open_routes(app: TestApp = with_probe) {
        cities(&app, &["a"]).await;
        for (actions, cities, path, kind) in [
            (["probe/*"], vec![], "/v1/probe/public", "service"),
            (["cities/*"], vec![], "/v1/probe/public", "guest"),
            (["probe/*"], vec!["a"], "/v1/probe/public?city_id=a", "service"),
            (["probe/*"], vec!["a"], "/v1/probe/public?city_id=b", "guest"),
            (["probe/*"], vec!["a"], "/v1/probe/public", "guest"),
        ] {
            let caller = client(&app, &actions, &cities).await.get(path).await.expect(200);
            assert_eq!(caller["kind"], kind, "{actions:?} {cities:?} {path}");
        }
        let key = client(&app, &["cities/*"], &[]).await;
        key.get("/health").await.expect(200);
    }

    async fn a_key_may_name_only_its_cities(app: TestApp = with_probe) {
        cities(&app, &["a", "b", "c"]).await;
        let key = client(&app, &["*"], &["a", "b"]).await;
        for (named, status, code) in [
            (json!("a"), 200, ""),
            (json!(" b\t"), 200, ""),
            (json!("c"), 403, "city_mismatch"),
            (json!("A"), 403, "city_mismatch"),
            (json!("nowhere"), 403, "city_mismatch"),
            (json!(""), 403, "forbidden"),
            (Value::Null, 403, "forbidden"),
        ] {
            let input = json!({"city_id": named});
            for path in ["/v1/probe/admin", "/v1/probe/both"] {
                let reply = key.post(path, input.clone()).await;
                assert_eq!(outcome(&reply), (status, code.to_owned()), "{path} {input}");
            }
        }
        key.post("/v1/probe/admin", json!({})).await.expect_error(403, "forbidden");
        for (query, status) in [("?city_id=a", 200), ("?city_id=c", 403), ("?city_id=a&city_id=c", 403), ("?city_id=c&city_id=a", 200), ("?city_id=", 403), ("", 403)] {
            assert_eq!(key.get(&format!("/v1/probe/admin{query}")).await.status, status, "{query}");
        }
        let at = |city: &str| format!("/v1/probe/cities/{city}");
        assert_eq!(key.post(&at("a"), json!({"city_id": "c"})).await.expect(200)["city_id"], "a");
        key.post(&at("c"), json!({"city_id": "a"})).await.expect_error(403, "city_mismatch");
        // Two cities in one body.
        let twice = r#"{"city_id":"a","city_id":"c"}"#;
        assert_eq!(key.send(http::Method::POST, "/v1/probe/admin", twice.into()).await.status, 400);
        // A key for all cities may name any, or none.
        let open = client(&app, &["probe/*"], &[]).await;
        for input in [json!({}), json!({"city_id": "c"}), json!({"city_id": "nowhere"})] {
            open.post("/v1/probe/admin", input).await.expect(200);
        }
    }

    async fn what_is_not_about_one_city_is_refused_to_keys_of_cities(app: TestApp = with_probe) {
        cities(&app, &["a"]).await;
        let key = client(&app, &["*", "env/*"], &["a"]).await;
        // None of these reads city_id, or not always: sending one does not make the call about it.
        for path in ["cities/list", "probe/everywhere", "base/instruction"] {
            let reply = key.get(&format!("/v1/{path}?city_id=a")).await;
            let error = reply.expect_error(403, "forbidden");
            assert!(error["error"].as_str().unwrap().contains("not about one city"), "{error}");
        }
        for path in ["probe/either", "probe/raw", "probe/unset"] {
            let input = json!({"city_id": "a", "key": "A", "value": "1", "everything": true});
            key.post(&format!("/v1/{path}"), input).await.expect_error(403, "forbidden");
        }
        // A city has an env of its own; that of the Federation is not about one city.
        key.get("/v1/env/list").await.expect_error(403, "forbidden");
        let value = json!({"key": "A", "value": "1"});
        key.post("/v1/env/upsert", value).await.expect_error(403, "forbidden");
        key.get("/v1/env/list?city_id=a").await.expect(200);
        assert!(app.runtime().snapshot().env().get("A").is_none());
        let open_raw = key.post("/v1/probe/open-raw", json!({})).await.expect(200);
        assert_eq!(open_raw["kind"], "guest");
        let open = client(&app, &["probe/*"], &[]).await;
        assert_eq!(open.post("/v1/probe/raw", json!({})).await.expect(200)["kind"], "service");
        assert_eq!(open.post("/v1/probe/open-raw", json!({})).await.expect(200)["kind"], "service");
    }

    async fn a_shop_issues_tokens_for_its_city_alone(app: TestApp = with_probe) {
        cities(&app, &["a", "b"]).await;
        let key = client(&app, &["cities/tokens/apply", "cities/tokens/revoke"], &["a"]).await;
        let user = |city: &str| json!({"city_id": city, "user_id": "u"});
        let issued = key.post("/v1/cities/tokens/apply", user("a")).await.expect(200);
        let token = app.user(issued["user_token"].as_str().unwrap());
        token.post("/v1/probe/user", json!({})).await.expect(200);
        key.post("/v1/cities/tokens/apply", user("b")).await.expect_error(403, "city_mismatch");
        key.post("/v1/cities/tokens/apply", json!({"user_id": "u"})).await.expect(400);
        key.post("/v1/cities/pause", json!({"city_id": "a"})).await.expect_error(403, "forbidden");
        key.get("/v1/cities/list").await.expect_error(403, "forbidden");

        let foreign = app.user(&app.token("b", "u").await);
        let jti = json!({"jti": "tok_x"});
        key.post("/v1/cities/tokens/revoke", jti).await.expect_error(403, "forbidden");
        key.post("/v1/cities/tokens/revoke", user("b")).await.expect_error(403, "city_mismatch");
        key.post("/v1/cities/tokens/revoke", user("a")).await.expect(200);
        token.post("/v1/probe/user", json!({})).await.expect_error(401, "token_revoked");
        foreign.post("/v1/probe/user", json!({})).await.expect(200);
    }

    async fn the_trusted_side_is_told_what_is_missing(app: TestApp = with_probe) {
        let error = client(&app, &["probe/*"], &[]).await.post("/v1/probe/unset", json!({})).await;
        let error = error.expect_error(500, "missing_config");
        assert!(error["error"].as_str().unwrap().contains("PROBE_KEY"), "{error}");
    }
}
