//! Without a configuration: well-known providers wait for their keys, and `echo` answers meanwhile.

use std::sync::Arc;

use downcity_ai::{Ai, AiConfig, Billing, Starter};
use downcity_services::{Balance, BalanceConfig, Usage, UsageConfig};
use downcity_testkit::{Answer, Client, MockUpstream, TestApp, both_engines};
use serde_json::{Value, json};

use crate::common::{completion, error_body, read};

const KEY: &str = "sk-that-somebody-has-pasted";

/// A Federation that nobody has configured, whose well-known providers are all this one.
struct Node {
    app: TestApp,
    ai: Arc<Ai>,
    upstream: MockUpstream,
    user: Client,
}

impl Node {
    async fn on(database: &TestApp) -> Self {
        let upstream = MockUpstream::start().await;
        upstream.always(Answer::json(200, &completion("yes")));
        upstream.models(Answer::json(200, &json!({"data": []})));
        let mut starter = Starter::default();
        for provider in &mut starter.provider {
            provider.base_url = Some(upstream.url());
        }
        let wallets = Balance::new(BalanceConfig::default());
        let facts = Usage::new(UsageConfig::default());
        let billing = Billing { wallets, facts };
        let ai = Ai::with_starter(AiConfig::default(), billing, starter).unwrap();
        let builder = TestApp::builder(database.runtime().db().engine()).on_database_of(database);
        let app = builder.builtin(ai.clone()).start().await;
        app.create_city("a").await;
        let user = app.user(&app.token("a", "ann").await);
        Self { app, ai, upstream, user }
    }

    async fn set(&self, key: &str) {
        let input = json!({"key": key, "value": KEY});
        let answer = self.app.admin().post("/v1/env/upsert", input).await.expect(200);
        assert_eq!(answer, json!({"success": true, "key": key}));
    }

    async fn remove(&self, key: &str) {
        self.app.admin().post("/v1/env/remove", json!({ "key": key })).await.expect(200);
    }

    async fn store(&self, id: &str, definition: Value) {
        let models = json!({"models": [{"id": id, "definition": definition}]});
        self.app.admin().post("/v1/ai/models/set", models).await.expect(200);
    }

    /// The model that answers callers who name none.
    async fn default(&self) -> Value {
        let answer = self.user.post("/v1/ai/text", json!({"prompt": "Hi"})).await.expect(200);
        answer["metadata"]["model"].clone()
    }

    /// What the trusted side sees of a model.
    async fn model(&self, id: &str) -> Option<Value> {
        let list = self.app.admin().get("/v1/ai/models").await.expect(200);
        list["items"].as_array().unwrap().iter().find(|model| model["id"] == id).cloned()
    }

    /// The keys that models may need: whether each has a value, and whether it is required.
    async fn needed(&self) -> Vec<(String, bool, bool)> {
        let catalog = self.app.admin().get("/v1/env/catalog").await.expect(200);
        let scopes = catalog["items"].as_array().unwrap();
        let models = scopes.iter().find(|scope| scope["id"] == "ai-models");
        let keys = models.map_or(&[][..], |scope| scope["env"].as_array().unwrap());
        let told = |key: &Value, name: &str| key[name].as_bool().unwrap();
        let row = |key: &Value| {
            let name = key["key"].as_str().unwrap().to_owned();
            (name, told(key, "configured"), told(key, "required"))
        };
        keys.iter().map(row).collect()
    }
}

async fn ids(client: &Client, path: &str) -> Vec<String> {
    let list = client.get(path).await.expect(200);
    let ids = list["data"].as_array().unwrap().iter();
    ids.map(|model| model["id"].as_str().unwrap().to_owned()).collect()
}

const ALL: [&str; 7] = ["echo", "gpt", "claude", "gemini", "deepseek", "llama", "mistral"];
const KEYS: [&str; 6] = [
    "OPENAI_API_KEY",
    "ANTHROPIC_API_KEY",
    "GEMINI_API_KEY",
    "DEEPSEEK_API_KEY",
    "OPENROUTER_API_KEY",
    "MISTRAL_API_KEY",
];

both_engines! {
    async fn without_a_key_echo_answers_and_the_trusted_side_sees_what_could_be(app: TestApp) {
        let node = Node::on(&app).await;
        for path in ["/v1/ai/models", "/v1/models"] {
            assert_eq!(ids(&node.user, path).await, ["echo"]);
            assert_eq!(ids(&node.app.admin(), path).await, ALL);
        }
        assert_eq!(node.default().await, "echo");
        let gpt = node.model("gpt").await.unwrap();
        assert_eq!((&gpt["ready"], &gpt["missing_env"]), (&json!(false), &json!(["OPENAI_API_KEY"])));
        assert_eq!((&gpt["source"], gpt.get("price")), (&json!("built-in"), None));
        let needed: Vec<_> = KEYS.map(|key| (key.to_owned(), false, false)).into();
        assert_eq!(node.needed().await, needed);
        let named = json!({"prompt": "Hi", "model": "gpt"});
        node.user.post("/v1/ai/text", named.clone()).await.expect_error(422, "model_not_found");
        node.app.admin().post("/v1/ai/text", named).await.expect_error(500, "missing_config");
        // Nobody has asked for the others.
        let tested = node.app.admin().post("/v1/ai/test", json!({})).await.expect(200);
        assert_eq!((&tested["ok"], tested["items"].as_array().unwrap().len()), (&json!(true), 1));
        assert!(node.upstream.requests().is_empty());
    }

    async fn with_a_key_its_model_is_there_at_once_until_the_key_is_gone(app: TestApp) {
        let node = Node::on(&app).await;
        node.set("OPENAI_API_KEY").await;
        assert_eq!(node.upstream.model_requests().len(), 1, "the key is tried as any other");
        assert_eq!(ids(&node.user, "/v1/models").await, ["gpt", "echo"]);
        assert_eq!(node.default().await, "gpt");
        let sent = node.upstream.request();
        assert_eq!((sent.target.as_str(), &sent.json()["model"]), ("POST /v1/chat/completions", &json!("gpt-4.1")));
        assert_eq!(sent.headers["authorization"], format!("Bearer {KEY}"));
        let chat = json!({"model": "gpt", "messages": [{"role": "user", "content": "Hi"}]});
        let answer = node.user.post("/v1/chat/completions", chat).await.expect(200);
        assert_eq!(answer["choices"][0]["message"]["content"], "yes");
        assert_eq!(node.model("gpt").await.unwrap()["ready"], true);
        assert_eq!(node.needed().await[0], ("OPENAI_API_KEY".to_owned(), true, false));

        node.set("MISTRAL_API_KEY").await;
        node.set("DEEPSEEK_API_KEY").await;
        assert_eq!(ids(&node.user, "/v1/models").await, ["gpt", "deepseek", "mistral", "echo"]);
        assert_eq!(node.default().await, "gpt");
        node.remove("OPENAI_API_KEY").await;
        assert_eq!(ids(&node.user, "/v1/models").await, ["deepseek", "mistral", "echo"]);
        assert_eq!(node.default().await, "deepseek", "the first one that is ready");
        node.remove("DEEPSEEK_API_KEY").await;
        node.remove("MISTRAL_API_KEY").await;
        assert_eq!(ids(&node.user, "/v1/models").await, ["echo"]);
        assert_eq!(node.default().await, "echo");
    }

    async fn a_key_that_the_provider_refuses_is_not_stored(app: TestApp) {
        let node = Node::on(&app).await;
        node.upstream.models(Answer::json(401, &error_body("wrong key")));
        let input = json!({"key": "ANTHROPIC_API_KEY", "value": "sk-mistyped"});
        let refused = node.app.admin().post("/v1/env/upsert", input).await;
        refused.expect_error(422, "env_refused");
        assert_eq!(ids(&node.user, "/v1/models").await, ["echo"]);
    }

    async fn a_city_may_bring_the_key(app: TestApp) {
        let node = Node::on(&app).await;
        node.app.create_city("b").await;
        let input = json!({"key": "OPENAI_API_KEY", "value": KEY, "city_id": "b"});
        node.app.admin().post("/v1/env/upsert", input).await.expect(200);
        let of_b = node.app.user(&node.app.token("b", "ben").await);
        assert_eq!(ids(&of_b, "/v1/models").await, ["gpt", "echo"]);
        assert_eq!(ids(&node.user, "/v1/models").await, ["echo"]);
    }

    async fn whoever_configures_a_provider_or_a_model_has_that_alone(app: TestApp) {
        let node = Node::on(&app).await;
        node.set("OPENAI_API_KEY").await;
        let url = node.upstream.url();
        let own = json!({"id": "own", "base_url": url, "env_key": "OWN_KEY"});
        let all = ["gpt", "echo", "claude", "gemini", "deepseek", "llama", "mistral"];
        for (config, all) in [
            (json!({"starter": false}), &["echo"][..]),
            (json!({}), &all),
            (json!({"provider": [own]}), &[]),
            (json!({"provider": [own], "model": [{"id": "m", "name": "M", "provider": "own"}]}), &["m"]),
            (json!({"model": [{"id": "m", "name": "M", "provider": "echo"}]}), &["m"]),
            // A file that has lost its providers, or is being written, makes no call free of charge.
            (json!({}), &["echo"]),
            (json!({"starter": false}), &["echo"]),
        ] {
            node.ai.apply(read(config.clone())).unwrap();
            assert_eq!(ids(&node.app.admin(), "/v1/models").await, all, "{config}");
            let keys = node.needed().await.into_iter();
            let known = keys.filter(|(key, ..)| KEYS.contains(&key.as_str())).count();
            assert_eq!(known > 0, all.len() > 1 && config == json!({}), "{config}");
        }
        // A model of one's own does not reach what is built in.
        let astray = json!({"model": [{"id": "m", "name": "M", "provider": "openai"}]});
        assert_eq!(node.ai.apply(read(astray)).unwrap_err()[0].path, "model[0].provider");
    }

    async fn models_of_the_table_stand_before_those_that_are_built_in(app: TestApp) {
        let node = Node::on(&app).await;
        node.set("DEEPSEEK_API_KEY").await;
        node.store("mine", json!({"name": "Mine", "provider": "deepseek", "upstream_model": "mine-1"})).await;
        assert_eq!(ids(&node.user, "/v1/models").await, ["mine", "deepseek", "echo"]);
        assert_eq!(node.default().await, "mine");
        assert_eq!(node.upstream.request().json()["model"], "mine-1");
        assert_eq!(node.model("mine").await.unwrap()["source"], "table");
        // What the operator wants, others need.
        let needed = |key: &'static str| (key.to_owned(), true, true);
        assert!(node.needed().await.contains(&needed("DEEPSEEK_API_KEY")));
        // Also where the first of those that are built in could be called.
        node.set("OPENAI_API_KEY").await;
        assert_eq!(ids(&node.user, "/v1/models").await, ["mine", "gpt", "deepseek", "echo"]);
        assert_eq!(node.default().await, "mine");
        node.remove("OPENAI_API_KEY").await;
        node.store("deepseek", json!({"name": "Another", "provider": "echo"})).await;
        let another = node.model("deepseek").await.unwrap();
        assert_eq!((&another["name"], &another["source"]), (&json!("Another"), &json!("table")));
        assert_eq!(ids(&node.user, "/v1/models").await, ["mine", "deepseek", "echo"]);
        // What is built in does not come back where its row is switched off.
        let off = json!({"models": [{"id": "deepseek", "enabled": false}]});
        node.app.admin().post("/v1/ai/models/set", off).await.expect(200);
        assert_eq!(ids(&node.user, "/v1/models").await, ["mine", "echo"]);
    }
}
