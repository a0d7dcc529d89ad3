//! Values that single cities have of their own.

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use downcity_core::env::{
    ADMIN_KEY, Candidate, EnvOptions, EnvProbe, EnvStore, Probed, SYSTEM_KEYS,
};
use downcity_core::{Cx, Error, NoInput, Result, Service, ServiceDef, USER};
use downcity_db::sql;
use downcity_testkit::{Client, Engine, TestApp, both_engines};
use schemars::JsonSchema;
use serde::Serialize;
use serde_json::{Value, json};

use crate::common::{applied, listed, refresh, upsert};

const TEXT: &str = "sk-own-value-of-city-a";

/// Shows what its calls find.
struct Reader;

#[derive(Serialize, JsonSchema)]
struct Found {
    plain: Option<String>,
    for_city: Option<(String, String)>,
    again: bool,
}

impl Reader {
    async fn read(self: Arc<Self>, cx: Cx, _: NoInput) -> Result<Found> {
        let found = cx.city_env("k");
        Ok(Found {
            plain: cx.env("K").map(|value| value.expose().to_owned()),
            again: cx.has_city_env("K"),
            for_city: found.map(|it| (it.value.expose().to_owned(), it.of.as_str().to_owned())),
        })
    }
}

#[async_trait]
impl EnvProbe for Reader {
    fn knows(&self, key: &str) -> bool {
        key == "K"
    }

    async fn probe(&self, candidate: &Candidate) -> Probed {
        let url = candidate.env("URL");
        match (candidate.value().expose(), url.as_ref().map(|url| url.expose())) {
            ("refused", _) => Probed::Refused,
            (_, Some(url)) => Probed::Unknown(format!("Tried at {url}.")),
            (_, None) => Probed::Accepted,
        }
    }

    fn reads_for_cities(&self, key: &str) -> bool {
        key == "K"
    }
}

impl Service for Reader {
    fn id(&self) -> &'static str {
        "reader"
    }

    fn name(&self) -> &'static str {
        "Reader"
    }

    fn define(self: Arc<Self>, service: &mut ServiceDef) {
        service.env_probe(self.clone());
        service.get("read", USER, &self, Self::read).summary("Read K.");
    }
}

/// Two cities on the database of an app.
struct Node {
    app: TestApp,
    a: Client,
    b: Client,
}

impl Node {
    async fn on(database: &TestApp) -> Self {
        let builder = TestApp::builder(database.runtime().db().engine()).on_database_of(database);
        let app = builder.service(Reader).start().await;
        app.create_city("a").await;
        app.create_city("b").await;
        let a = app.user(&app.token("a", "ann").await);
        let b = app.user(&app.token("b", "ben").await);
        Self { app, a, b }
    }

    async fn post(&self, action: &str, input: Value) -> downcity_testkit::TestReply {
        self.app.admin().post(&format!("/v1/env/{action}"), input).await
    }

    async fn set(&self, city_id: &str, value: &str) {
        let input = json!({"key": "k", "value": value, "city_id": city_id});
        let answer = self.post("upsert", input).await.expect(200);
        assert_eq!(answer, json!({"success": true, "key": "K", "city_id": city_id}));
    }

    async fn items(&self, path: &str) -> Vec<Value> {
        let mut answer = self.app.admin().get(&format!("/v1/env/{path}")).await.expect(200);
        serde_json::from_value(answer["items"].take()).unwrap()
    }
}

async fn found(user: &Client) -> Value {
    let body = user.get("/v1/reader/read").await.expect(200);
    assert_eq!(body["again"], !body["for_city"].is_null());
    json!([body["plain"], body["for_city"]])
}

/// The rows of the table, as they stand.
async fn rows(app: &TestApp) -> Vec<(String, String, String)> {
    let read = app.runtime().db().scan(|tx| {
        let sql = sql!("SELECT city_id, key, value FROM city_env ORDER BY city_id, key");
        let rows = tx.query(sql, &[])?;
        let row = |row: &downcity_db::Row| {
            Ok::<_, Error>((row.get("city_id")?, row.get("key")?, row.get("value")?))
        };
        rows.iter().map(row).collect()
    });
    read.await.unwrap()
}

async fn by_hand(app: &TestApp, city_id: &'static str, key: &'static str, value: String) {
    let write = app.runtime().db().write(move |tx| {
        let sql = sql!(
            "INSERT INTO city_env (city_id, key, value) VALUES ($1, $2, $3)
             ON CONFLICT (city_id, key) DO UPDATE SET value = excluded.value"
        );
        tx.execute(sql, &[&city_id, &key, &value]).map_err(Error::from)
    });
    write.await.unwrap();
}

both_engines! {
    async fn a_city_uses_its_own_and_all_others_the_federations(app: TestApp) {
        let node = Node::on(&app).await;
        assert_eq!(found(&node.a).await, json!([null, null]));
        node.set("a", TEXT).await;
        assert_eq!(found(&node.a).await, json!([null, [TEXT, "city"]]));
        assert_eq!(found(&node.b).await, json!([null, null]));
        upsert(&node.app, "K", "of-all").await;
        assert_eq!(found(&node.a).await, json!(["of-all", [TEXT, "city"]]));
        assert_eq!(found(&node.b).await, json!(["of-all", ["of-all", "federation"]]));
        node.set("a", "sk-rotated-value").await;
        assert_eq!(found(&node.a).await, json!(["of-all", ["sk-rotated-value", "city"]]));
        // An empty one is there: the city has none, not everybody's.
        node.set("a", "").await;
        assert_eq!(found(&node.a).await, json!(["of-all", null]));
        let input = json!({"key": "K", "city_id": "a"});
        let removed = node.post("remove", input.clone()).await.expect(200);
        assert_eq!(removed, json!({"success": true, "key": "K", "removed": true, "city_id": "a"}));
        assert_eq!(node.post("remove", input).await.expect(200)["removed"], false);
        assert_eq!(found(&node.a).await, json!(["of-all", ["of-all", "federation"]]));
        assert_eq!(applied(&node.app, "K").as_deref(), Some("of-all"));
    }

    async fn lists_are_apart_and_a_citys_values_are_masked(app: TestApp) {
        let node = Node::on(&app).await;
        let before = node.items("list").await;
        node.set("a", TEXT).await;
        assert_eq!(node.items("list").await, before, "the Federation's list is as it was");
        let own = node.items("list?city_id=a").await;
        assert_eq!(own, [json!({
            "key": "K", "value": "********ty-a", "source": "database", "masked": true,
            "last_read_at": null, "city_id": "a",
        })]);
        found(&node.a).await;
        assert!(node.items("list?city_id=a").await[0]["last_read_at"].is_string());
        assert_eq!(node.items("list?city_id=a&reveal=true").await[0]["value"], TEXT);
        assert!(node.items("list?city_id=b").await.is_empty());
        // What lists show is not stored.
        let mask = json!({"key": "K", "value": "********ty-a", "city_id": "a"});
        node.post("upsert", mask).await.expect_error(400, "masked_value");
    }

    async fn versions_of_cities_are_apart(app: TestApp) {
        let node = Node::on(&app).await;
        upsert(&node.app, "K", "of-all").await;
        for value in ["first-of-a", "second-of-a"] {
            node.set("a", value).await;
        }
        node.set("b", "sk-first-value-of-b").await;
        let values = async |query: &str| {
            let versions = node.items(&format!("history?key=k&reveal=true{query}")).await;
            versions.iter().map(|it| json!([it["version"], it["value"]])).collect::<Vec<_>>()
        };
        assert_eq!(values("").await, [json!([1, "of-all"])]);
        assert_eq!(values("&city_id=a").await, [json!([2, "second-of-a"]), json!([1, "first-of-a"])]);
        assert_eq!(values("&city_id=b").await, [json!([1, "sk-first-value-of-b"])]);
        let masked = &node.items("history?key=k&city_id=b").await[0];
        assert_eq!((&masked["value"], &masked["masked"]), (&json!("********of-b"), &json!(true)));
        let back = json!({"key": "K", "version": 1, "city_id": "a"});
        let answer = node.post("rollback", back).await.expect(200);
        assert_eq!(answer, json!({"success": true, "key": "K", "version": 3, "city_id": "a"}));
        assert_eq!(found(&node.a).await, json!(["of-all", ["first-of-a", "city"]]));
        assert_eq!(found(&node.b).await, json!(["of-all", ["sk-first-value-of-b", "city"]]));
        let none = json!({"key": "K", "version": 2, "city_id": "b"});
        node.post("rollback", none).await.expect_error(404, "not_found");
    }

    async fn values_are_tried_and_imported_for_a_city(app: TestApp) {
        let node = Node::on(&app).await;
        let refused = json!({"key": "K", "value": "refused", "city_id": "a"});
        node.post("upsert", refused).await.expect_error(422, "env_refused");
        let raw = "K=sk-imported\nURL=https://own.example\n";
        let answer = node.post("import", json!({"raw": raw, "city_id": "a"})).await.expect(200);
        assert_eq!((&answer["count"], &answer["city_id"]), (&json!(2), &json!("a")));
        let warnings = answer["warnings"].to_string();
        assert!(warnings.contains("Tried at https://own.example."), "{warnings}");
        assert!(warnings.contains("No service reads this key for a city now"), "{warnings}");
        assert_eq!(found(&node.a).await, json!([null, ["sk-imported", "city"]]));
        assert!(applied(&node.app, "URL").is_none());
        let tested = async |input: Value| node.post("test", input).await;
        let answer = tested(json!({"key": "K", "city_id": "a"})).await.expect(200);
        assert_eq!(answer["message"], "Tried at https://own.example.");
        // The Federation's value is no city's own.
        upsert(&node.app, "K", "of-all").await;
        tested(json!({"key": "K", "city_id": "b"})).await.expect_error(404, "not_found");
        assert_eq!(tested(json!({"key": "K"})).await.expect(200)["result"], "accepted");
    }

    async fn what_no_city_can_have(app: TestApp) {
        let node = Node::on(&app).await;
        for (action, more) in [
            ("upsert", json!({"value": "x"})), ("remove", json!({})),
            ("rollback", json!({"version": 1})), ("test", json!({})),
        ] {
            let input = |key: &str, city_id: &str| {
                let mut input = more.clone();
                input["key"] = json!(key);
                input["city_id"] = json!(city_id);
                input
            };
            node.post(action, input("K", "nowhere")).await.expect_error(404, "city_not_found");
            node.post(action, input("K", " ")).await.expect_error(400, "invalid_input");
            for key in SYSTEM_KEYS {
                let reply = node.post(action, input(key, "a")).await;
                let error = reply.expect_error(400, "system_key");
                assert_eq!(error["details"][0]["path"], "key", "{error}");
            }
        }
        let raw = json!({"raw": format!("K=1\n{ADMIN_KEY}=sixteen-characters"), "city_id": "a"});
        let error = node.post("import", raw).await.expect_error(400, "system_key");
        assert!(error["error"].as_str().unwrap().contains("line 2"), "{error}");
        for path in ["list?city_id=nowhere", "history?key=K&city_id=nowhere"] {
            let path = format!("/v1/env/{path}");
            node.app.admin().get(&path).await.expect_error(404, "city_not_found");
        }
        assert!(rows(&node.app).await.is_empty());
        assert!(node.app.runtime().snapshot().env().get(ADMIN_KEY).is_some());
    }

    async fn a_removed_city_takes_its_values_with_it(app: TestApp) {
        let node = Node::on(&app).await;
        for city_id in ["a", "b"] {
            node.set(city_id, "one-value-of-the-city").await;
            node.set(city_id, "another-value-of-the-city").await;
        }
        node.app.admin().post("/v1/cities/remove", json!({"city_id": "a"})).await.expect(200);
        node.app.create_city("a").await;
        assert!(node.items("list?city_id=a").await.is_empty());
        assert!(node.items("history?key=K&city_id=a").await.is_empty());
        let again = node.app.user(&node.app.token("a", "ann").await);
        assert_eq!(found(&again).await, json!([null, null]));
        assert_eq!(node.items("history?key=K&city_id=b").await.len(), 2);
        // One that is deleted by hand leaves them behind, but to nobody.
        let delete = node.app.runtime().db().write(|tx| {
            tx.execute(sql!("DELETE FROM cities WHERE city_id = 'b'"), &[]).map_err(Error::from)
        });
        delete.await.unwrap();
        refresh(&node.app).await;
        node.app.create_city("b").await;
        assert!(node.items("list?city_id=b").await.is_empty() && rows(&node.app).await.is_empty());
        assert!(node.items("history?key=K&city_id=b").await.is_empty());
    }

    async fn rows_are_sealed_for_their_city(app: TestApp) {
        let node = Node::on(&app).await;
        node.set("a", TEXT).await;
        let sealed = rows(&node.app).await[0].2.clone();
        assert!(sealed.starts_with("sealed:v1:1:"), "{sealed}");
        // What is moved to another city opens there no more.
        by_hand(&node.app, "b", "K", sealed).await;
        refresh(&node.app).await;
        let moved = &node.items("list?city_id=b").await[0];
        assert!(moved["error"].is_string() && moved["value"] == "", "{moved}");
        upsert(&node.app, "K", "of-all").await;
        assert_eq!(found(&node.b).await, json!(["of-all", null]), "broken, not everybody's");
        // What is written by hand in the clear is sealed.
        by_hand(&node.app, "b", "k", "in-the-clear-1".to_owned()).await;
        by_hand(&node.app, "b", "K", "in-the-clear-2".to_owned()).await;
        refresh(&node.app).await;
        assert_eq!(found(&node.b).await[1], json!(["in-the-clear-2", "city"]));
        by_hand(&node.app, "a", "other", "in-the-clear-3".to_owned()).await;
        refresh(&node.app).await;
        let now = rows(&node.app).await;
        let keys: Vec<&str> = now.iter().map(|(_, key, _)| key.as_str()).collect();
        assert_eq!(keys, ["K", "OTHER", "K", "k"]);
        let clear: Vec<_> = now.iter().filter(|row| !row.2.starts_with("sealed:")).collect();
        assert_eq!(clear, [&("b".to_owned(), "k".to_owned(), "in-the-clear-1".to_owned())]);
    }

    async fn the_trail_tells_the_city_and_no_value(app: TestApp) {
        let node = Node::on(&app).await;
        node.set("a", TEXT).await;
        let trail = node.app.admin().get("/v1/audit/list?limit=1").await.expect(200);
        let entry = &trail["items"][0];
        assert_eq!((&entry["city_id"], &entry["target_id"]), (&json!("a"), &json!("K")), "{entry}");
        assert!(entry["after"]["fingerprint"].as_str().unwrap().starts_with("fp_"));
        assert!(!trail.to_string().contains(TEXT));
    }

    async fn a_service_key_for_one_city_keeps_to_its_values(app: TestApp) {
        let node = Node::on(&app).await;
        let input = json!({"name": "S", "actions": ["env/*"], "cities": ["a"]});
        let issued = node.app.admin().post("/v1/keys/create", input).await.expect(200);
        let service = node.app.user(issued["key"].as_str().unwrap());
        let own = json!({"key": "K", "value": TEXT, "city_id": "a"});
        service.post("/v1/env/upsert", own).await.expect(200);
        for (input, code) in [
            (json!({"key": "K", "value": "x"}), "forbidden"),
            (json!({"key": "K", "value": "x", "city_id": "b"}), "city_mismatch"),
        ] {
            service.post("/v1/env/upsert", input).await.expect_error(403, code);
        }
        let list = service.get("/v1/env/list?city_id=a&reveal=true").await.expect(200);
        assert_eq!(list["items"][0]["masked"], true);
        service.get("/v1/env/list").await.expect_error(403, "forbidden");
        service.post("/v1/env/refresh", json!({})).await.expect_error(403, "forbidden");
    }

    async fn beside_a_file_they_stand_in_the_database(app: TestApp) {
        let folder = tempfile::TempDir::new().unwrap();
        let path = folder.path().join(".env");
        let text = format!(
            "K=of-all\n{}=admin_test_key_0123456789\n{}=sign_test_key_0123456789\n{}=better_auth_test_key_01\n",
            SYSTEM_KEYS[0], SYSTEM_KEYS[1], SYSTEM_KEYS[2]
        );
        std::fs::write(&path, &text).unwrap();
        let engine = app.runtime().db().engine();
        let store = EnvStore::Dotenv(path.clone());
        let builder = TestApp::builder(engine).on_database_of(&app).options(move |options| {
            options.env = EnvOptions { store, ..EnvOptions::default() };
        });
        let on_file = builder.start().await;
        let node = Node::on(&on_file).await;
        // Another node on the same database, with the same file.
        let input = json!({"key": "K", "value": TEXT, "city_id": "a", "test": false});
        on_file.create_city("c").await;
        on_file.admin().post("/v1/env/upsert", input).await.expect(200);
        assert_eq!(std::fs::read_to_string(&path).unwrap(), text, "the file is as it was");
        assert!(rows(&on_file).await[0].2.starts_with("sealed:v1:1:"));
        let own = on_file.admin().get("/v1/env/list?city_id=a").await.expect(200);
        assert_eq!(own["items"][0]["source"], "database");
        by_hand(&on_file, "c", "K", "in-the-clear".to_owned()).await;
        refresh(&on_file).await;
        assert!(rows(&on_file).await.iter().all(|row| row.2.starts_with("sealed:")));
        assert_eq!(listed(&on_file, "K").await.unwrap()["value"], "of-all");
        node.app.stop().await;
    }

    async fn other_nodes_follow(app: TestApp) {
        let node = Node::on(&app).await;
        let other = Node::on_again(&node.app).await;
        node.set("a", TEXT).await;
        let user = other.user(&node.app.token("a", "ann").await);
        for _ in 0..2_000 {
            if found(&user).await == json!([null, [TEXT, "city"]]) {
                return;
            }
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
        panic!("the other node did not follow");
    }
}

impl Node {
    /// A second node.
    async fn on_again(app: &TestApp) -> TestApp {
        let builder = TestApp::builder(app.runtime().db().engine()).on_database_of(app);
        builder.service(Reader).start().await
    }
}

#[tokio::test]
async fn edits_by_hand_apply_by_themselves_where_that_is_asked_for() {
    let builder = TestApp::builder(Engine::Sqlite);
    let app = builder.options(|options| options.env.auto_refresh = true).start().await;
    app.create_city("a").await;
    by_hand(&app, "a", "K", "by-hand-and-unasked".to_owned()).await;
    let own = app.admin().get("/v1/env/list?city_id=a&reveal=true").await.expect(200);
    assert_eq!(own["items"][0]["value"], "by-hand-and-unasked");
    assert!(rows(&app).await[0].2.starts_with("sealed:v1:1:"));
}
