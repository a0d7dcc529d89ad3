//! Every credential at every kind of route, and the city that a user may name.

use std::time::Duration;

use downcity_testkit::{Client, TestApp, both_engines};
use serde_json::{Value, json};

use crate::probe::{ROUTES, with_probe};

/// Every kind of caller: what it is, its client, and its status and code at the routes `user`,
/// `admin`, `both` and `public`.
type Caller = (&'static str, Client, [u16; 4], &'static str);

async fn callers(app: &TestApp) -> Vec<Caller> {
    for city in ["open", "paused", "removed", "recreated"] {
        app.create_city(city).await;
    }
    let open = app.token("open", "u").await;
    let expired = app.token_with(json!({"city_id": "open", "user_id": "u", "ttl": 5})).await;
    let paused = app.token("paused", "u").await;
    let removed = app.token("removed", "u").await;
    let recreated = app.token("recreated", "u").await;
    let revoked = app.token("open", "v").await;
    for (action, input) in [
        ("pause", json!({"city_id": "paused"})),
        ("remove", json!({"city_id": "removed"})),
        ("remove", json!({"city_id": "recreated"})),
        ("tokens/revoke", json!({"user_token": revoked})),
    ] {
        app.admin().post(&format!("/v1/cities/{action}"), input).await.expect(200);
    }
    app.create_city("recreated").await;
    app.clock().advance(Duration::from_secs(5));

    let refused = [401, 401, 401, 200];
    vec![
        ("no credential", app.guest(), refused, "missing_credential"),
        ("empty credential", app.user(""), refused, "missing_credential"),
        ("a wrong key", app.user("admin_of_somewhere_else"), refused, "invalid_credential"),
        ("half a token", app.user(&open[..60]), refused, "invalid_credential"),
        ("a token without prefix", app.user(&open[3..]), refused, "invalid_credential"),
        ("an expired token", app.user(&expired), refused, "token_expired"),
        ("a revoked token", app.user(&revoked), refused, "token_revoked"),
        ("a removed city", app.user(&removed), refused, "invalid_credential"),
        ("a recreated city", app.user(&recreated), refused, "token_revoked"),
        ("a paused city", app.user(&paused), [403, 403, 403, 200], "city_paused"),
        ("a user", app.user(&open), [200, 403, 200, 200], "forbidden"),
        ("the admin", app.admin(), [403, 200, 200, 200], "forbidden"),
    ]
}

both_engines! {
    async fn every_caller_meets_every_route(app: TestApp = with_probe) {
        for (who, client, statuses, code) in callers(&app).await {
            for ((route, _), status) in ROUTES.into_iter().zip(statuses) {
                let path = format!("/v1/probe/{route}");
                for reply in [client.get(&path).await, client.post(&path, json!({})).await] {
                    assert_eq!(reply.status.as_u16(), status, "{who} at {route}: {}", reply.text());
                    if status == 200 {
                        let kind = match who {
                            "a user" => "user",
                            "the admin" => "admin",
                            _ => "guest",
                        };
                        assert_eq!(reply.json()["kind"], kind, "{who} at {route}");
                    } else {
                        reply.expect_error(status, code);
                        let challenge = reply.header("www-authenticate").is_some();
                        assert_eq!(challenge, status == 401, "{who} at {route}");
                    }
                }
            }
        }
    }

    async fn refused_callers_are_not_told_what_exists(app: TestApp = with_probe) {
        app.create_city("here").await;
        let unknown = app.user("ub_e30.AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA");
        let (removed, mut texts) = (app.token("here", "u").await, Vec::new());
        app.admin().post("/v1/cities/remove", json!({"city_id": "here"})).await.expect(200);
        for client in [unknown, app.user(&removed), app.user("nonsense")] {
            let mut body = client.get("/v1/probe/user").await.expect(401);
            body.as_object_mut().unwrap().remove("request_id");
            texts.push(body);
        }
        assert!(texts.iter().all(|text| *text == texts[0]), "{texts:?}");
    }

    async fn a_public_route_knows_its_user(app: TestApp = with_probe) {
        app.create_city("a").await;
        let metadata = json!({"plan": "pro", "seats": [1, 2]});
        let input = json!({"city_id": "a", "user_id": "用户", "metadata": metadata});
        let token = app.token_with(input).await;
        let caller = app.user(&token).get("/v1/probe/public").await.expect(200);
        let expected =
            json!({"kind": "user", "user_id": "用户", "city_id": "a", "metadata": metadata});
        assert_eq!(caller, expected);
        let plain = app.token("a", "u").await;
        let caller = app.user(&plain).get("/v1/probe/both").await.expect(200);
        assert_eq!(caller["metadata"], json!({}));
    }

    async fn the_scheme_is_read_in_any_case(app: TestApp = with_probe) {
        for header in ["bearer {}", "BEARER   {}", "Bearer {}  "] {
            let header = header.replace("{}", downcity_testkit::ADMIN_KEY);
            let client = app.guest().with_header("authorization", &header);
            client.get("/v1/probe/admin").await.expect(200);
        }
        for header in ["Basic x", "Bearer", "Token x"] {
            let client = app.guest().with_header("authorization", header);
            client.get("/v1/probe/admin").await.expect_error(401, "missing_credential");
        }
    }

    async fn a_user_may_name_only_the_own_city(app: TestApp = with_probe) {
        app.create_city("a").await;
        app.create_city("b").await;
        let user = app.user(&app.token("a", "u").await);
        for same in [json!("a"), json!(" a\t"), json!(""), json!("  "), json!(null), json!(7), json!(["b"]), json!({"id": "b"})] {
            let input = json!({"city_id": same});
            assert_eq!(user.post("/v1/probe/user", input).await.status, 200, "{same}");
        }
        for other in ["b", " b ", "A", "a b", "nowhere"] {
            let input = json!({"city_id": other});
            user.post("/v1/probe/user", input.clone()).await.expect_error(403, "city_mismatch");
            user.post("/v1/probe/both", input.clone()).await.expect_error(403, "city_mismatch");
            user.post("/v1/probe/public", input.clone()).await.expect(200);
            app.admin().post("/v1/probe/both", input).await.expect(200);
        }
        for (query, status) in [("city_id=a", 200), ("city_id=+a+", 200), ("city_id=", 200), ("city_id", 200), ("city_id=b", 403), ("city_id=a&city_id=b", 403), ("city_id=b&city_id=a", 200)] {
            let reply = user.get(&format!("/v1/probe/user?{query}")).await;
            assert_eq!(reply.status, status, "{query}: {}", reply.text());
        }
        app.admin().get("/v1/probe/both?city_id=b").await.expect(200);
    }

    async fn a_new_admin_key_counts_at_once(app: TestApp = with_probe) {
        let key = "another_admin_key_0123456789";
        let input = json!({"key": downcity_core::env::ADMIN_KEY, "value": key});
        app.admin().post("/v1/env/upsert", input).await.expect(200);
        let refused: Value = app.admin().get("/v1/probe/admin").await.expect(401);
        assert_eq!(refused["code"], "invalid_credential");
        app.user(key).get("/v1/probe/admin").await.expect(200);
    }
}
