//! Models of the table, beside those of the configuration.

use std::sync::Arc;
use std::time::Duration;

use downcity_ai::{Ai, AiConfig};
use downcity_core::Error;
use downcity_db::sql;
use downcity_testkit::{Answer, Client, Engine, MockUpstream, TestApp, TestReply, both_engines};
use serde_json::{Value, json};

use crate::common::{Logged, ai, completion, read, set_env};

struct Node {
    app: TestApp,
    ai: Arc<Ai>,
    upstream: MockUpstream,
    user: Client,
}

fn config(url: &str) -> AiConfig {
    read(json!({
        "provider": [{"id": "mock", "base_url": url, "env_key": "MOCK_API_KEY"}],
        "model": [{"id": "own", "name": "Own", "provider": "mock", "default": true}],
    }))
}

impl Node {
    async fn on(database: &TestApp) -> Self {
        let upstream = MockUpstream::start().await;
        upstream.always(Answer::json(200, &completion("yes")));
        let ai = ai(config(&upstream.url())).unwrap();
        let builder = TestApp::builder(database.runtime().db().engine()).on_database_of(database);
        let app = builder.builtin(ai.clone()).start().await;
        set_env(&app, "MOCK_API_KEY", "sk-upstream-secret").await;
        if app.runtime().snapshot().city("a").is_none() {
            app.create_city("a").await;
        }
        let user = app.user(&app.token("a", "ann").await);
        Self { app, ai, upstream, user }
    }

    async fn set(&self, models: Value) -> TestReply {
        self.app.admin().post("/v1/ai/models/set", json!({ "models": models })).await
    }

    /// Stores one model and gives it as it stands.
    async fn store(&self, id: &str, definition: Value) -> Value {
        let models = json!([{"id": id, "definition": definition}]);
        self.set(models).await.expect(200)["items"][0].clone()
    }

    async fn remove(&self, id: &str) -> TestReply {
        self.app.admin().post("/v1/ai/models/remove", json!({ "id": id })).await
    }

    /// The rows of the table.
    async fn stored(&self) -> Vec<Value> {
        let stored = self.app.admin().get("/v1/ai/models/stored").await.expect(200);
        stored["items"].as_array().unwrap().clone()
    }

    /// Writes a row as somebody with a database shell does.
    async fn by_hand(&self, id: &'static str, definition: &'static str) {
        let write = self.app.runtime().db().write(move |tx| {
            let sql = sql!(
                "INSERT INTO ai_models (id, definition, enabled, position, updated_at)
                 VALUES ($1, $2, $3, 0, 0)"
            );
            tx.execute(sql, &[&id, &definition, &true]).map_err(Error::from)
        });
        write.await.unwrap();
    }

    async fn admin(&self) -> Value {
        self.app.admin().get("/v1/ai/models").await.expect(200)
    }
}

/// What a refusal says.
fn refusal(reply: &TestReply, status: u16, code: &str) -> String {
    reply.expect_error(status, code)["error"].as_str().unwrap().to_owned()
}

fn more() -> Value {
    json!({"name": "More", "provider": "mock", "upstream_model": "more-1"})
}

async fn ids(client: &Client) -> Vec<String> {
    let list = client.get("/v1/ai/models").await.expect(200);
    let ids = list["items"].as_array().unwrap().iter();
    ids.map(|model| model["id"].as_str().unwrap().to_owned()).collect()
}

both_engines! {
    async fn a_stored_model_is_listed_called_and_removed_at_once(app: TestApp) {
        let node = Node::on(&app).await;
        assert_eq!(ids(&node.user).await, ["own"]);
        let stored = node.store("more", more()).await;
        assert_eq!((&stored["enabled"], &stored["position"]), (&json!(true), &json!(1)));
        assert_eq!((&stored["definition"], stored.get("problem")), (&more(), None));
        assert_eq!(node.stored().await, [stored]);
        assert_eq!(ids(&node.user).await, ["own", "more"]);
        let input = json!({"prompt": "Hi", "model": "more"});
        node.user.post("/v1/ai/text", input.clone()).await.expect(200);
        assert_eq!(node.upstream.request().json()["model"], "more-1");
        let list = node.admin().await;
        assert_eq!((&list["items"][0]["source"], &list["items"][1]["source"]), (&json!("configuration"), &json!("table")));
        assert_eq!(node.remove("more").await.expect(200), json!({"success": true}));
        node.remove("more").await.expect_error(404, "not_found");
        assert_eq!(node.stored().await, [] as [Value; 0]);
        assert_eq!(ids(&node.user).await, ["own"]);
        node.user.post("/v1/ai/text", input).await.expect_error(422, "model_not_found");
    }

    async fn what_is_stored_is_checked_as_the_configuration_is(app: TestApp) {
        let node = Node::on(&app).await;
        for (definition, word) in [
            (json!({"name": "N", "provider": "moc"}), "mock"),
            (json!({"name": "N", "provider": "mock", "modez": []}), "modez"),
            (json!({"provider": "mock"}), "name"),
            (json!({"id": "other", "name": "N", "provider": "mock"}), "other"),
        ] {
            let both = json!([{"id": "good", "definition": more()}, {"id": "bad", "definition": definition}]);
            let error = refusal(&node.set(both).await, 400, "invalid_input");
            assert!(error.contains("\"bad\"") && error.contains(word), "{error}");
        }
        let again = json!([{"id": "good", "definition": more()}, {"id": "good", "definition": more()}]);
        assert!(refusal(&node.set(again).await, 400, "invalid_input").contains("twice"));
        let unknown = json!([{"id": "good", "definition": more()}, {"id": "bad", "enabled": true}]);
        assert!(refusal(&node.set(unknown).await, 404, "not_found").contains("\"bad\""));
        for models in [json!([]), json!(null), json!({}), json!([{"definition": more()}]), json!([{"id": "a", "definition": "x"}])] {
            node.set(models).await.expect_error(400, "invalid_input");
        }
        assert_eq!(node.stored().await, [] as [Value; 0], "all or none");
        assert_eq!(ids(&node.user).await, ["own"]);
    }

    async fn the_order_the_switch_and_what_is_not_said(app: TestApp) {
        let node = Node::on(&app).await;
        for id in ["b", "a"] {
            node.store(id, more()).await;
        }
        assert_eq!(ids(&node.user).await, ["own", "b", "a"], "in the order in which they came");
        node.set(json!([{"id": "b", "enabled": false, "position": 9}])).await.expect(200);
        assert_eq!(ids(&node.user).await, ["own", "a"]);
        // A change of the definition leaves switch and place alone.
        let again = node.store("b", json!({"name": "Again", "provider": "mock"})).await;
        assert_eq!((&again["enabled"], &again["position"]), (&json!(false), &json!(9)));
        // What is not said stays.
        let on = node.set(json!([{"id": "b", "enabled": true}])).await.expect(200);
        assert_eq!((&on["items"][0]["definition"]["name"], &on["items"][0]["position"]), (&json!("Again"), &json!(9)));
        assert_eq!(ids(&node.user).await, ["own", "a", "b"]);
    }

    async fn what_cannot_be_used_is_switched_off_but_not_on(app: TestApp) {
        let node = Node::on(&app).await;
        node.by_hand("gone", r#"{"name": "Gone", "provider": "nobody"}"#).await;
        let row = node.stored().await.remove(0);
        assert!(row["problem"].as_str().unwrap().contains("nobody"), "{row}");
        let off = node.set(json!([{"id": "gone", "enabled": false}])).await.expect(200);
        assert_eq!((&off["items"][0]["enabled"], off["items"][0].get("problem")), (&json!(false), None));
        let on = node.set(json!([{"id": "gone", "enabled": true}])).await;
        assert!(refusal(&on, 400, "invalid_input").contains("nobody"));
    }

    async fn the_configuration_counts(app: TestApp) {
        let node = Node::on(&app).await;
        let mut mine = more();
        mine["name"] = json!("Mine");
        let stored = node.store("own", mine).await;
        assert!(stored["problem"].as_str().unwrap().contains("configuration"));
        let list = node.admin().await;
        assert_eq!(list["items"][0]["name"], "Own");
        assert_eq!(list["left_out"][0]["id"], "own");
        assert!(node.user.get("/v1/ai/models").await.expect(200).get("left_out").is_none());
        // Without the model of the configuration, the row is the model.
        let mut without = config(&node.upstream.url());
        without.model.clear();
        node.ai.apply(without).unwrap();
        let list = node.admin().await;
        assert_eq!((&list["items"][0]["name"], list.get("left_out")), (&json!("Mine"), None));
    }

    async fn a_bad_row_keeps_nobody_from_starting(app: TestApp) {
        let node = Node::on(&app).await;
        node.by_hand("text", "not json").await;
        node.by_hand("gone", r#"{"name": "Gone", "provider": "nobody"}"#).await;
        node.by_hand("good", r#"{"name": "Good", "provider": "mock"}"#).await;
        assert_eq!(ids(&node.user).await, ["own"], "a refresh takes them over");
        node.app.admin().post("/v1/env/refresh", json!({})).await.expect(200);
        assert_eq!(ids(&node.user).await, ["own", "good"]);
        let list = node.admin().await;
        let left_out: Vec<&Value> = list["left_out"].as_array().unwrap().iter().map(|it| &it["id"]).collect();
        assert_eq!(left_out, ["gone", "text"]);
        assert!(list["left_out"][0]["problem"].as_str().unwrap().contains("nobody"));
        let again = Node::on(&node.app).await;
        assert_eq!(ids(&again.user).await, ["own", "good"]);
    }

    async fn other_nodes_follow(app: TestApp) {
        let node = Node::on(&app).await;
        let other = Node::on(&node.app).await;
        node.store("more", more()).await;
        for _ in 0..2_000 {
            if ids(&other.user).await == ["own", "more"] {
                return;
            }
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
        panic!("the other node did not follow");
    }

    async fn the_trail_tells_who_did_what(app: TestApp) {
        let node = Node::on(&app).await;
        node.store("more", more()).await;
        node.remove("more").await.expect(200);
        let trail = node.app.admin().get("/v1/audit/list?limit=2").await.expect(200);
        let told: Vec<Value> = trail["items"].as_array().unwrap().iter().map(|entry| {
            json!([entry["action"], entry["actor"], entry["target_id"]])
        }).collect();
        assert_eq!(json!(told), json!([["ai/models/remove", "admin", "more"], ["ai/models/set", "admin", "more"]]));
        assert_eq!(trail["items"][1]["after"]["definition"], more());
    }
}

#[tokio::test]
async fn a_row_that_is_left_out_is_logged_once() {
    let database = TestApp::builder(Engine::Sqlite).start().await;
    let node = Node::on(&database).await;
    node.by_hand("gone", r#"{"name": "Gone", "provider": "nobody"}"#).await;
    let (logged, _guard) = Logged::listen();
    // The second is a change of something else.
    for _ in 0..2 {
        node.app.admin().post("/v1/env/refresh", json!({})).await.expect(200);
        let log = logged.text();
        assert_eq!(log.matches("is left out").count(), 1, "{log}");
        assert!(log.contains("gone") && log.contains("nobody"), "{log}");
    }
}

#[tokio::test]
async fn a_row_with_a_value_of_a_wrong_type_is_left_out() {
    // PostgreSQL keeps such values out by itself.
    let database = TestApp::builder(Engine::Sqlite).start().await;
    let node = Node::on(&database).await;
    node.by_hand("good", r#"{"name": "Good", "provider": "mock"}"#).await;
    for id in ["enabled", "position", "updated_at"] {
        node.by_hand(id, r#"{"name": "Odd", "provider": "mock"}"#).await;
    }
    let write = node.app.runtime().db().write(move |tx| {
        let odd = "some day";
        let statements = [
            sql!("UPDATE ai_models SET enabled = $1 WHERE id = 'enabled'"),
            sql!("UPDATE ai_models SET position = $1 WHERE id = 'position'"),
            sql!("UPDATE ai_models SET updated_at = $1 WHERE id = 'updated_at'"),
        ];
        for statement in statements {
            tx.execute(statement, &[&odd])?;
        }
        Ok::<_, Error>(())
    });
    write.await.unwrap();
    let (logged, _guard) = Logged::listen();
    for _ in 0..2 {
        node.app.admin().post("/v1/env/refresh", json!({})).await.expect(200);
        assert_eq!(ids(&node.user).await, ["own", "good"]);
        assert_eq!(logged.text().matches("is left out").count(), 3, "{}", logged.text());
    }
    let list = node.admin().await;
    for left_out in list["left_out"].as_array().unwrap() {
        let (id, problem) =
            (left_out["id"].as_str().unwrap(), left_out["problem"].as_str().unwrap());
        assert!(problem.contains(id) && !problem.contains("some day"), "{problem}");
    }
    // A node starts with it, and whoever stores it anew mends it.
    let again = Node::on(&node.app).await;
    assert_eq!(ids(&again.user).await, ["own", "good"]);
    again.store("position", more()).await;
    assert_eq!(again.stored().await.len(), 4);
    assert!(ids(&again.user).await.contains(&"position".to_owned()));
}

#[tokio::test]
async fn service_keys_change_models_only_where_they_name_that() {
    let app = TestApp::builder(Engine::Sqlite).start().await;
    let node = Node::on(&app).await;
    let models = json!({"models": [{"id": "more", "definition": more()}]});
    for (actions, status) in [
        (json!(["*"]), 403),
        (json!(["ai/*"]), 403),
        (json!(["ai/models/set", "ai/models/stored"]), 200),
    ] {
        let key = json!({"name": "K", "actions": actions});
        let key = node.app.admin().post("/v1/keys/create", key).await.expect(200);
        let service = node.app.user(key["key"].as_str().unwrap());
        service.get("/v1/ai/models/stored").await.expect(200);
        service.post("/v1/ai/models/set", models.clone()).await.expect(status);
    }
}
