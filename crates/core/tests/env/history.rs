//! Versions of values, and the way back to one.

use std::time::Duration;

use downcity_core::env::{ADMIN_KEY, SIGNING_KEY};
use downcity_testkit::{TestApp, both_engines};
use serde_json::{Value, json};

use crate::common::{applied, listed, refresh, stored, upsert, write_by_hand};

async fn history(app: &TestApp, query: &str) -> Vec<Value> {
    let path = format!("/v1/env/history?{query}");
    let mut answer = app.admin().get(&path).await.expect(200);
    serde_json::from_value(answer["items"].take()).unwrap()
}

async fn rollback(app: &TestApp, key: &str, version: i64) -> Value {
    let input = json!({"key": key, "version": version});
    app.admin().post("/v1/env/rollback", input).await.expect(200)
}

/// A client with a service key for these actions.
async fn service(app: &TestApp, actions: &[&str]) -> downcity_testkit::Client {
    let input = json!({"name": "S", "actions": actions});
    let issued = app.admin().post("/v1/keys/create", input).await.expect(200);
    app.user(issued["key"].as_str().unwrap())
}

both_engines! {
    async fn versions_are_listed_newest_first_and_masked(app: TestApp) {
        for value in ["first-value-of-k", "second-value-of-k"] {
            upsert(&app, "K", value).await;
            app.clock().advance(Duration::from_secs(60));
        }
        let versions = history(&app, "key=%20k").await;
        assert_eq!(versions, [
            json!({"version": 2, "value": "********of-k", "masked": true,
                   "written_at": "2026-01-02T03:05:05.678Z", "replaced_at": null}),
            json!({"version": 1, "value": "********of-k", "masked": true,
                   "written_at": "2026-01-02T03:04:05.678Z", "replaced_at": "2026-01-02T03:05:05.678Z"}),
        ]);
        let shown = history(&app, "key=K&reveal=true").await;
        let values: Vec<&Value> = shown.iter().map(|version| &version["value"]).collect();
        assert_eq!(values, ["second-value-of-k", "first-value-of-k"]);
        assert!(shown.iter().all(|version| version["masked"] == false));
        assert!(history(&app, "key=UNKNOWN").await.is_empty());
        app.admin().get("/v1/env/history?key=a-b").await.expect_error(400, "invalid_key");
    }

    async fn a_rollback_is_a_new_version(app: TestApp) {
        for value in ["one", "two", "three"] {
            upsert(&app, "K", value).await;
        }
        assert_eq!(rollback(&app, "k", 1).await, json!({"success": true, "key": "K", "version": 4}));
        assert_eq!(applied(&app, "K").as_deref(), Some("one"));
        assert!(stored(&app, "K").await.unwrap().starts_with("sealed:v1:4:"));
        // What applies already is not stored again.
        assert_eq!(rollback(&app, "K", 4).await["version"], 4);
        assert_eq!(rollback(&app, "K", 1).await["version"], 4);
        assert_eq!(rollback(&app, "K", 3).await["version"], 5);
        assert_eq!(applied(&app, "K").as_deref(), Some("three"));
        for version in [0, 6, -1] {
            let input = json!({"key": "K", "version": version});
            app.admin().post("/v1/env/rollback", input).await.expect_error(404, "not_found");
        }
    }

    async fn a_removed_key_can_be_rolled_back(app: TestApp) {
        upsert(&app, "K", "worth keeping").await;
        app.admin().post("/v1/env/remove", json!({"key": "K"})).await.expect(200);
        let versions = history(&app, "key=K").await;
        assert_eq!(versions.len(), 1);
        assert!(versions[0]["replaced_at"].is_string());
        assert_eq!(rollback(&app, "K", 1).await["version"], 2);
        assert_eq!(applied(&app, "K").as_deref(), Some("worth keeping"));
    }

    async fn a_version_that_cannot_be_opened_says_so_and_stays_away(app: TestApp) {
        write_by_hand(&app, "K", "sealed:v1:nonsense").await;
        refresh(&app).await;
        upsert(&app, "K", "good").await;
        let versions = history(&app, "key=K&reveal=true").await;
        assert_eq!((&versions[0]["value"], &versions[0]["error"]), (&json!("good"), &Value::Null));
        assert_eq!((&versions[1]["value"], &versions[1]["masked"]), (&json!(""), &json!(true)));
        assert!(versions[1]["error"].is_string());
        let input = json!({"key": "K", "version": versions[1]["version"]});
        app.admin().post("/v1/env/rollback", input).await.expect_error(422, "unprocessable");
        assert_eq!(applied(&app, "K").as_deref(), Some("good"));
    }

    async fn system_keys_are_never_revealed_and_not_for_service_keys(app: TestApp) {
        upsert(&app, SIGNING_KEY, "a_signing_key_of_some_length").await;
        upsert(&app, SIGNING_KEY, "another_signing_key_of_length").await;
        let versions = history(&app, &format!("key={SIGNING_KEY}&reveal=true")).await;
        assert_eq!(versions.len(), 3);
        assert!(versions.iter().all(|version| version["masked"] == true));
        assert!(!json!(versions).to_string().contains("signing_key_of"));
        let client = service(&app, &["env/*"]).await;
        for key in [ADMIN_KEY, SIGNING_KEY] {
            let path = format!("/v1/env/history?key={key}");
            client.get(&path).await.expect_error(403, "forbidden");
            let input = json!({"key": key, "version": 1});
            client.post("/v1/env/rollback", input).await.expect_error(403, "forbidden");
        }
        upsert(&app, "K", "a value that is secret").await;
        let seen = client.get("/v1/env/history?key=K&reveal=true").await.expect(200);
        assert_eq!(seen["items"][0]["value"], "********cret");
        client.post("/v1/env/rollback", json!({"key": "K", "version": 1})).await.expect(200);
        rollback(&app, SIGNING_KEY, 2).await;
        assert_eq!(applied(&app, SIGNING_KEY).as_deref(), Some("a_signing_key_of_some_length"));
    }

    async fn reads_are_noted_to_the_second_and_outlive_snapshots(app: TestApp) {
        upsert(&app, "K", "v").await;
        upsert(&app, "UNREAD", "v").await;
        let last = async |app: &TestApp, key| listed(app, key).await.unwrap()["last_read_at"].clone();
        // Neither lists nor the publisher read.
        refresh(&app).await;
        assert_eq!(last(&app, "K").await, Value::Null);
        assert_eq!(last(&app, ADMIN_KEY).await, Value::Null);
        assert_eq!(applied(&app, "K").as_deref(), Some("v"));
        assert_eq!(last(&app, "K").await, "2026-01-02T03:04:05.000Z");
        app.clock().advance(Duration::from_secs(90));
        upsert(&app, "OTHER", "another snapshot").await;
        assert_eq!(last(&app, "K").await, "2026-01-02T03:04:05.000Z");
        assert_eq!(applied(&app, " k ").as_deref(), Some("v"));
        assert_eq!(last(&app, "K").await, "2026-01-02T03:05:35.000Z");
        assert_eq!(last(&app, "UNREAD").await, Value::Null);
    }

    async fn reads_are_merged_over_nodes_and_survive_a_stop(app: TestApp) {
        upsert(&app, "K", "v").await;
        let other = TestApp::builder(app.runtime().db().engine()).on_database_of(&app).start().await;
        let last = async |app: &TestApp| listed(app, "K").await.unwrap()["last_read_at"].clone();
        let exchange = async |app: &TestApp| downcity_core::last_use::exchange(app.runtime()).await.unwrap();
        applied(&other, "K");
        exchange(&other).await;
        app.clock().advance(Duration::from_secs(1));
        applied(&app, "K");
        exchange(&app).await;
        assert_eq!(last(&app).await, "2026-01-02T03:04:06.000Z");
        // The older time of the other node does not win.
        exchange(&other).await;
        assert_eq!(last(&other).await, "2026-01-02T03:04:06.000Z");
        app.clock().advance(Duration::from_secs(1));
        applied(&other, "K");
        other.stop().await;
        exchange(&app).await;
        assert_eq!(last(&app).await, "2026-01-02T03:04:07.000Z");
    }
}
