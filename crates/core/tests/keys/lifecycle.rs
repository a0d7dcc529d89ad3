//! From creation to the end of a key.

use std::time::Duration;

use downcity_core::keys::delete_ended;
use downcity_core::last_use::exchange;
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

async fn last_use(app: &TestApp, name: &str) -> Value {
    let list = list(app, "").await;
    let key = list["items"].as_array().unwrap().iter().find(|key| key["name"] == name);
    key.unwrap()["last_used_at"].clone()
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

    async fn the_last_use_is_shown_to_the_second(app: TestApp = with_probe) {
        let issued = create(&app, json!({"name": "K", "actions": ["probe/*"]})).await;
        create(&app, json!({"name": "Idle", "actions": ["probe/*"]})).await;
        assert_eq!(last_use(&app, "K").await, Value::Null);
        let key = with_key(&app, &issued);
        key.get(ROUTE).await.expect(200);
        assert_eq!(last_use(&app, "K").await, "2026-01-02T03:04:05.000Z");
        // It outlives the snapshot under which it was noted.
        app.create_city("c").await;
        assert_eq!(last_use(&app, "K").await, "2026-01-02T03:04:05.000Z");
        // A call that is refused is a use too, also on a route that is open to all.
        app.clock().advance(Duration::from_secs(1));
        key.get("/v1/cities/list").await.expect_error(403, "forbidden");
        assert_eq!(last_use(&app, "K").await, "2026-01-02T03:04:06.000Z");
        app.clock().advance(Duration::from_secs(1));
        key.get("/health").await.expect(200);
        assert_eq!(last_use(&app, "K").await, "2026-01-02T03:04:07.000Z");
        assert_eq!(last_use(&app, "Idle").await, Value::Null);
        // A revoked key is used no more.
        assert_eq!(revoke(&app, &issued).await["last_used_at"], "2026-01-02T03:04:07.000Z");
        app.clock().advance(Duration::from_secs(60));
        key.get(ROUTE).await.expect_error(401, "token_revoked");
        assert_eq!(last_use(&app, "K").await, "2026-01-02T03:04:07.000Z");
    }

    async fn last_uses_are_merged_over_nodes_and_survive_a_stop(app: TestApp = with_probe) {
        let issued = create(&app, json!({"name": "K", "actions": ["probe/*"]})).await;
        let builder = || with_probe(TestApp::builder(app.runtime().db().engine()));
        let other = builder().on_database_of(&app).start().await;
        let revision = app.runtime().db().revision().await.unwrap();
        with_key(&app, &issued).get(ROUTE).await.expect(200);
        assert_eq!(last_use(&other, "K").await, Value::Null, "not written yet");
        exchange(app.runtime()).await.unwrap();
        assert_eq!(last_use(&other, "K").await, "2026-01-02T03:04:05.000Z");

        app.clock().advance(Duration::from_secs(1));
        with_key(&app, &issued).get(ROUTE).await.expect(200);
        app.clock().advance(Duration::from_secs(1));
        with_key(&other, &issued).get(ROUTE).await.expect(200);
        exchange(other.runtime()).await.unwrap();
        // The older time of the first node does not win.
        exchange(app.runtime()).await.unwrap();
        assert_eq!(last_use(&app, "K").await, "2026-01-02T03:04:07.000Z");
        app.clock().advance(Duration::from_secs(1));
        with_key(&other, &issued).get(ROUTE).await.expect(200);
        other.stop().await;
        assert_eq!(last_use(&app, "K").await, "2026-01-02T03:04:08.000Z");
        assert_eq!(app.runtime().db().revision().await.unwrap(), revision, "no node loads a state for it");
    }

    async fn the_record_of_a_key_outlives_it_by_a_year(app: TestApp = with_probe) {
        let revoked = create(&app, json!({"name": "revoked", "actions": ["probe/*"]})).await;
        let expired = create(&app, json!({"name": "expired", "actions": ["probe/*"], "ttl": 60})).await;
        create(&app, json!({"name": "lives", "actions": ["probe/*"]})).await;
        revoke(&app, &revoked).await;
        let year = Duration::from_secs(365 * 86_400);
        let outcomes = async || {
            delete_ended(app.runtime()).await.unwrap();
            [outcome(&with_key(&app, &revoked).get(ROUTE).await).1, outcome(&with_key(&app, &expired).get(ROUTE).await).1]
        };
        app.clock().advance(year);
        assert_eq!(outcomes().await, ["token_revoked", "token_expired"]);
        let revision = app.runtime().snapshot().revision();
        assert_eq!(revision, app.runtime().db().revision().await.unwrap());
        app.clock().advance(Duration::from_millis(1));
        assert_eq!(outcomes().await, ["invalid_credential", "token_expired"]);
        app.clock().advance(Duration::from_secs(60));
        assert_eq!(outcomes().await, ["invalid_credential", "invalid_credential"]);
        assert_eq!(names(&list(&app, "").await), ["lives"]);
    }
}
