//! From creation to the end of a key.

use std::time::Duration;

use downcity_testkit::{TestApp, both_engines};
use downcity_types::Timestamp;
use serde_json::{Value, json};

use crate::common::{client, create, outcome, with_key, with_probe};

const ROUTE: &str = "/v1/probe/admin";

async fn list(app: &TestApp, query: &str) -> Value {
    app.admin().get(&format!("/v1/keys/list{query}")).await.expect(200)
}

async fn revoke(app: &TestApp, issued: &Value) -> Value {
    let input = json!({"key_id": issued["key_id"]});
    app.admin().post("/v1/keys/revoke", input).await.expect(200)
}

fn names(list: &Value) -> Vec<&str> {
    list["items"].as_array().unwrap().iter().map(|key| key["name"].as_str().unwrap()).collect()
}

both_engines! {
    async fn a_key_works_until_it_is_revoked(app: TestApp = with_probe) {
        let issued = create(&app, json!({"name": "K", "actions": ["probe/*"]})).await;
        let key = with_key(&app, &issued);
        assert_eq!(key.get(ROUTE).await.expect(200)["kind"], "service");

        app.clock().advance(Duration::from_secs(1));
        let revoked = revoke(&app, &issued).await;
        assert_eq!(revoked["revoked_at"], "2026-01-02T03:04:06.678Z");
        assert_eq!(revoked.get("key"), None);
        let error = key.get(ROUTE).await.expect_error(401, "token_revoked");
        assert!(error["error"].as_str().unwrap().contains("service key"), "{error}");
        assert_eq!(key.get("/v1/probe/public").await.expect(200)["kind"], "guest");

        app.clock().advance(Duration::from_secs(1));
        assert_eq!(revoke(&app, &issued).await, revoked, "it ends once");
        assert_eq!(list(&app, "").await["items"], json!([revoked]));
    }

    async fn a_revoked_key_is_dead_on_every_node(app: TestApp = with_probe) {
        let issued = create(&app, json!({"name": "K", "actions": ["probe/*"]})).await;
        let builder = || with_probe(TestApp::builder(app.runtime().db().engine()));
        let other = builder().on_database_of(&app).start().await;
        with_key(&other, &issued).get(ROUTE).await.expect(200);
        revoke(&app, &issued).await;
        let revision = app.runtime().snapshot().revision();
        other.runtime().state().publish(revision).await.unwrap();
        let dead = (401, "token_revoked".to_owned());
        assert_eq!(outcome(&with_key(&other, &issued).get(ROUTE).await), dead);
        let restarted = builder().on_database_of(&app).start().await;
        assert_eq!(outcome(&with_key(&restarted, &issued).get(ROUTE).await), dead);
    }

    async fn a_key_expires_by_the_clock(app: TestApp = with_probe) {
        let issued = create(&app, json!({"name": "K", "actions": ["probe/*"], "ttl": 60})).await;
        let end: Timestamp = issued["expires_at"].as_str().unwrap().parse().unwrap();
        let key = with_key(&app, &issued);
        app.clock().set(Timestamp::from_millis(end.millis() - 1));
        key.get(ROUTE).await.expect(200);
        app.clock().set(end);
        let error = key.get(ROUTE).await.expect_error(401, "token_expired");
        assert!(error["error"].as_str().unwrap().contains("service key"), "{error}");
        assert_eq!(key.get("/v1/probe/public").await.expect(200)["kind"], "guest");
        // Revoked is the stronger word.
        revoke(&app, &issued).await;
        key.get(ROUTE).await.expect_error(401, "token_revoked");
    }

    async fn keys_are_told_apart(app: TestApp = with_probe) {
        let first = create(&app, json!({"name": "K", "actions": ["probe/*"]})).await;
        let second = create(&app, json!({"name": "K", "actions": ["probe/*"]})).await;
        assert!(first["key"] != second["key"] && first["key_id"] != second["key_id"]);
        revoke(&app, &first).await;
        with_key(&app, &first).get(ROUTE).await.expect_error(401, "token_revoked");
        with_key(&app, &second).get(ROUTE).await.expect(200);
    }

    async fn an_unknown_key_cannot_be_revoked(app: TestApp) {
        for id in ["key_nothing", "a\0b"] {
            let input = json!({"key_id": id});
            app.admin().post("/v1/keys/revoke", input).await.expect_error(404, "not_found");
        }
        for input in [json!({}), json!({"key_id": " "}), json!({"key_id": 7})] {
            let error = app.admin().post("/v1/keys/revoke", input).await.expect_error(400, "invalid_input");
            assert_eq!(error["details"][0]["path"], "key_id");
        }
    }

    async fn the_list_comes_in_pages(app: TestApp) {
        for name in ["1", "2", "3", "4", "5"] {
            create(&app, json!({"name": name, "actions": ["*"]})).await;
            app.clock().advance(Duration::from_millis(1));
        }
        assert_eq!(names(&list(&app, "").await), ["1", "2", "3", "4", "5"]);
        for limit in 1..7 {
            let (mut seen, mut query) = (Vec::new(), format!("?limit={limit}"));
            loop {
                let page = list(&app, &query).await;
                assert!(names(&page).len() <= limit);
                seen.extend(names(&page).into_iter().map(str::to_owned));
                let Some(next) = page["next_cursor"].as_str() else { break };
                query = format!("?limit={limit}&cursor={next}");
            }
            assert_eq!(seen, ["1", "2", "3", "4", "5"], "{limit}");
        }
        let error = app.admin().get("/v1/keys/list?cursor=x").await.expect_error(400, "invalid_input");
        assert_eq!(error["details"][0]["path"], "cursor");
    }

    async fn each_key_repeats_its_own_requests(app: TestApp = with_probe) {
        let header = |client: downcity_testkit::Client| client.with_header("idempotency-key", "7");
        let (one, two) = (client(&app, &["*"], &[]).await, client(&app, &["*"], &[]).await);
        let (one, two) = (header(one), header(two));
        let first = one.post("/v1/probe/once", json!({})).await.expect(200);
        let second = two.post("/v1/probe/once", json!({})).await.expect(200);
        let admin = header(app.admin()).post("/v1/probe/once", json!({})).await.expect(200);
        assert!(first != second && first != admin && second != admin);
        assert_eq!(one.post("/v1/probe/once", json!({})).await.expect(200), first);
        one.post("/v1/probe/once", json!({"city_id": "x"})).await.expect_error(409, "idempotency_mismatch");
    }
}
