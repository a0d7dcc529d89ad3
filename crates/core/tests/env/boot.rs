//! What a first start makes, and what later starts leave alone.

use downcity_core::env::{ADMIN_KEY, AUTH_SECRET, MasterKey, SIGNING_KEY, SYSTEM_KEYS};
use downcity_core::{Kernel, KernelOptions, Registry, Secret};
use downcity_db::testing::TestDatabase;
use downcity_db::{DbOptions, Engine};
use downcity_testkit::{TestApp, TestAppBuilder, both_engines};
use downcity_types::ErrorCode;
use serde_json::json;

use crate::common::{applied, listed, stored, stored_keys, upsert, versions, write_by_hand};

/// As on a machine without a word in its process environment.
fn unseeded(app: TestAppBuilder) -> TestAppBuilder {
    seeded(app, &[])
}

fn seeded(app: TestAppBuilder, seeds: &[(&str, &str)]) -> TestAppBuilder {
    let seeds: Vec<_> =
        seeds.iter().map(|(key, value)| ((*key).to_owned(), Secret::new(*value))).collect();
    app.options(move |options| options.seeds = seeds)
}

fn again(app: &TestApp) -> TestAppBuilder {
    TestApp::builder(app.runtime().db().engine()).on_database_of(app)
}

async fn city_ids(app: &TestApp, admin_key: &str) -> Vec<String> {
    let list = app.user(admin_key).get("/v1/cities/list").await.expect(200);
    let items = list["items"].as_array().unwrap();
    items.iter().map(|city| city["city_id"].as_str().unwrap().to_owned()).collect()
}

both_engines! {
    async fn a_first_start_makes_three_secrets_and_one_city(app: TestApp = unseeded) {
        assert_eq!(stored_keys(&app).await, [AUTH_SECRET, ADMIN_KEY, SIGNING_KEY]);
        for (key, prefix, length) in
            [(ADMIN_KEY, "admin_", 49), (SIGNING_KEY, "sign_", 48), (AUTH_SECRET, "better_auth_", 98)]
        {
            let value = applied(&app, key).unwrap();
            assert!(value.starts_with(prefix) && value.len() == length, "{key}");
            assert!(stored(&app, key).await.unwrap().starts_with("sealed:v1:1:"));
        }
        let first = app.kernel().first_start();
        let admin_key = first.admin_key.as_ref().unwrap().expose();
        assert_eq!(Some(admin_key), applied(&app, ADMIN_KEY).as_deref());
        assert_eq!(first.city_id.as_deref(), Some("city_downcity"));
        let cities = app.user(admin_key).get("/v1/cities/list").await.expect(200);
        assert_eq!(cities["items"].as_array().unwrap().len(), 1);
        let city = &cities["items"][0];
        assert_eq!((&city["city_id"], &city["name"], &city["status"]),
            (&json!("city_downcity"), &json!("Downcity"), &json!("active")));
    }

    async fn a_restart_keeps_everything_and_tells_nothing(app: TestApp = unseeded) {
        let before = SYSTEM_KEYS.map(|key| applied(&app, key));
        let revision = app.runtime().snapshot().revision();
        app.stop().await;
        let app = unseeded(again(&app)).start().await;
        assert_eq!(SYSTEM_KEYS.map(|key| applied(&app, key)), before);
        assert!(app.kernel().first_start().admin_key.is_none());
        assert!(app.kernel().first_start().city_id.is_none());
        assert_eq!(app.runtime().snapshot().revision(), revision, "nothing was written");
    }

    async fn a_removed_default_city_stays_away(app: TestApp) {
        let city = json!({"city_id": "city_downcity"});
        app.admin().post("/v1/cities/remove", city).await.expect(200);
        app.stop().await;
        let app = again(&app).start().await;
        assert!(city_ids(&app, downcity_testkit::ADMIN_KEY).await.is_empty());
    }

    async fn the_process_environment_fills_gaps_only(app: TestApp = |app| seeded(app, &[
        (ADMIN_KEY, "admin_given_by_hand"),
        (SIGNING_KEY, "  "),
        ("deepseek_api_key", "sk-given"),
        ("OTHER_API_KEY", "sk-..."),
        ("not a key", "x"),
    ])) {
        assert_eq!(applied(&app, ADMIN_KEY).as_deref(), Some("admin_given_by_hand"));
        assert!(app.kernel().first_start().admin_key.is_none(), "known already: not to be shown");
        assert_eq!(applied(&app, SIGNING_KEY).unwrap().len(), 48);
        assert_eq!(applied(&app, "DEEPSEEK_API_KEY").as_deref(), Some("sk-given"));
        assert_eq!(stored_keys(&app).await.len(), 4);
        app.stop().await;
        let other = [(ADMIN_KEY, "admin_another_by_hand"), ("DEEPSEEK_API_KEY", "sk-other")];
        let app = seeded(again(&app), &other).start().await;
        assert_eq!(applied(&app, ADMIN_KEY).as_deref(), Some("admin_given_by_hand"));
        assert_eq!(applied(&app, "DEEPSEEK_API_KEY").as_deref(), Some("sk-given"));
    }

    async fn a_blank_system_key_is_made_again(app: TestApp) {
        write_by_hand(&app, SIGNING_KEY, "").await;
        app.stop().await;
        let app = again(&app).start().await;
        assert_eq!(applied(&app, SIGNING_KEY).unwrap().len(), 48);
    }

    async fn rows_written_before_a_start_are_applied_and_sealed(app: TestApp) {
        write_by_hand(&app, ADMIN_KEY, "admin_recovered_by_hand").await;
        write_by_hand(&app, "K", "in the clear").await;
        app.stop().await;
        let app = again(&app).start().await;
        assert_eq!(applied(&app, "K").as_deref(), Some("in the clear"));
        assert!(stored(&app, "K").await.unwrap().starts_with("sealed:v1:"));
        app.user("admin_recovered_by_hand").get("/v1/env/list").await.expect(200);
    }

    async fn a_row_that_cannot_be_opened_never_stops_a_start(app: TestApp) {
        write_by_hand(&app, "K", "sealed:v1:1:AAAA").await;
        write_by_hand(&app, SIGNING_KEY, "sealed:v1:1:AAAA").await;
        app.stop().await;
        let app = again(&app).start().await;
        assert!(listed(&app, "K").await.unwrap()["error"].is_string());
        assert_eq!(applied(&app, SIGNING_KEY), None);
        let kept = stored(&app, SIGNING_KEY).await;
        assert_eq!(kept.as_deref(), Some("sealed:v1:1:AAAA"), "it may still be mended");
        upsert(&app, SIGNING_KEY, "sign_set_by_the_operator").await;
        assert_eq!(applied(&app, SIGNING_KEY).as_deref(), Some("sign_set_by_the_operator"));
    }

    async fn nodes_write_one_key_at_the_same_time(app: TestApp) {
        let other = again(&app).start().await;
        let writes = (0..20).map(|number| {
            let node = if number % 2 == 0 { &app } else { &other };
            let raw = format!("K=value {number}\nL=value {number}");
            let client = node.admin();
            async move { client.post("/v1/env/import", json!({"raw": raw})).await.expect(200) }
        });
        futures_util::future::join_all(writes).await;
        let numbers: Vec<i64> = versions(&app, "K").await.iter().map(|(n, _)| *n).collect();
        assert_eq!(numbers, (1..=19).collect::<Vec<_>>(), "each write made one version");
        let revision = other.runtime().db().revision().await.unwrap();
        app.runtime().state().publish(revision).await.unwrap();
        other.runtime().state().publish(revision).await.unwrap();
        assert_eq!(applied(&app, "K"), applied(&other, "K"));
        assert_eq!(applied(&app, "K"), applied(&other, "L"), "an import is one transaction");
    }
}

#[test]
fn a_given_system_key_that_is_too_short_is_refused_and_the_start_may_be_repeated() {
    downcity_testkit::block_on(async {
        let app = TestApp::builder(Engine::Sqlite).start().await;
        let short = || seeded(TestApp::builder(Engine::Sqlite), &[(ADMIN_KEY, "too short")]);
        let error = short().try_start().await.err().unwrap();
        assert_eq!(error.code(), ErrorCode::MissingConfig);
        assert!(error.message().contains(ADMIN_KEY), "{error}");
        assert!(!error.message().contains("too short"), "{error}");
        // Where the database has a key, what is given does not matter.
        app.stop().await;
        let app = short().on_database_of(&app).start().await;
        assert!(applied(&app, ADMIN_KEY).is_some());
    });
}

async fn two_first_starts(engine: Engine) {
    let database = TestDatabase::new(engine).unwrap();
    let start = || {
        let key = MasterKey::parse(&"0f".repeat(32)).unwrap();
        let options = KernelOptions::new(DbOptions::new(database.url()), key);
        Kernel::start(options, Registry::builder())
    };
    let (first, second) = tokio::join!(start(), start());
    let nodes = [first.unwrap(), second.unwrap()];
    for key in SYSTEM_KEYS {
        let [a, b] = nodes.each_ref().map(|node| {
            node.runtime().snapshot().env().get(key).map(|value| value.expose().to_owned())
        });
        assert_eq!(a, b);
        assert!(a.is_some());
    }
    let told = nodes.iter().filter(|node| node.first_start().admin_key.is_some()).count();
    assert_eq!(told, 1, "one of the two made the admin key and tells it");
    for node in nodes {
        node.shutdown(std::time::Duration::from_secs(5)).await;
    }
}

#[test]
fn two_nodes_that_start_at_once_agree_sqlite() {
    downcity_testkit::block_on(two_first_starts(Engine::Sqlite));
}

#[test]
fn two_nodes_that_start_at_once_agree_postgres() {
    downcity_testkit::block_on(two_first_starts(Engine::Postgres));
}
