//! Cities with provider keys of their own.

use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::sync::atomic::Ordering::Relaxed;

use downcity_ai::{Ai, Billing};
use downcity_services::{Balance, BalanceConfig, Usage, UsageConfig};
use downcity_testkit::{
    Answer, Client, Engine, Gate, MockUpstream, Recorded, TestApp, TestReply, both_engines,
};
use serde_json::{Value, json};
use tokio::task::JoinSet;

use crate::common::{Logged, completion, error_body, read, set_env};

const ALL: &str = "sk-the-federations-own-key";
const OF_A: &str = "sk-what-city-a-has-brought";

/// A provider with one key behind `chat`, another whose key only cities may have behind `brought`.
struct Node {
    app: TestApp,
    upstream: MockUpstream,
    a: Client,
    b: Client,
}

impl Node {
    /// The upstream of a test listens on this machine, also where its address is a city's.
    async fn on(database: &TestApp) -> Self {
        Self::with(database, |_| {}).await
    }

    async fn with(database: &TestApp, change: impl FnOnce(&mut Value)) -> Self {
        let upstream = MockUpstream::start().await;
        upstream.always(Answer::json(200, &completion("yes")));
        let mut config = json!({
            "retries": {"attempts": 1},
            "storage": {"download": {"allow_private": true}},
            "cool_down": {"first_ms": 10_000, "most_ms": 30_000},
            "provider": [
                {"id": "mock", "base_url": upstream.url(), "env_key": "MOCK_API_KEY"},
                {"id": "own", "base_url": upstream.url(), "base_url_env": "OWN_URL", "env_key": "OWN_KEY"},
            ],
            "model": [
                {"id": "chat", "name": "Chat", "provider": "mock", "default": true},
                {"id": "brought", "name": "Brought", "provider": "own"},
            ],
        });
        change(&mut config);
        let usage = Usage::new(UsageConfig::default());
        let wallets = Balance::new(BalanceConfig::default());
        let ai = Ai::new(read(config), Billing { wallets, facts: usage.clone() }).unwrap();
        let builder = TestApp::builder(database.runtime().db().engine()).on_database_of(database);
        let app = builder.builtin(ai).builtin(usage).start().await;
        set_env(&app, "MOCK_API_KEY", ALL).await;
        app.create_city("a").await;
        app.create_city("b").await;
        let a = app.user(&app.token("a", "ann").await);
        let b = app.user(&app.token("b", "ben").await);
        Self { app, upstream, a, b }
    }

    async fn set(&self, city_id: &str, key: &str, value: &str) {
        let input = json!({"key": key, "value": value, "test": false, "city_id": city_id});
        self.app.admin().post("/v1/env/upsert", input).await.expect(200);
    }

    /// The key that the provider got last.
    fn sent(&self) -> String {
        let requests = self.upstream.requests();
        let value = &requests.last().unwrap().headers["authorization"];
        value.to_str().unwrap().trim_start_matches("Bearer ").to_owned()
    }
}

async fn ask(user: &Client, model: &str) -> TestReply {
    user.post("/v1/ai/text", json!({"prompt": "Hi", "model": model})).await
}

async fn models(user: &Client) -> Vec<String> {
    let list = user.get("/v1/ai/models").await.expect(200);
    let ids = list["items"].as_array().unwrap().iter();
    ids.map(|model| model["id"].as_str().unwrap().to_owned()).collect()
}

both_engines! {
    async fn a_citys_calls_carry_its_own_key(app: TestApp) {
        let node = Node::on(&app).await;
        ask(&node.a, "chat").await.expect(200);
        assert_eq!(node.sent(), ALL);
        node.set("a", "MOCK_API_KEY", OF_A).await;
        for path in ["text", "stream", "chat/completions"] {
            let input = json!({"prompt": "Hi", "messages": [{"role": "user", "content": "Hi"}]});
            let mut input = input;
            let other = if path == "chat/completions" { "prompt" } else { "messages" };
            input.as_object_mut().unwrap().remove(other);
            node.a.post(&format!("/v1/ai/{path}"), input.clone()).await;
            assert_eq!(node.sent(), OF_A, "{path}");
            node.b.post(&format!("/v1/ai/{path}"), input).await;
            assert_eq!(node.sent(), ALL, "{path}");
        }
        // Rotation and removal count from the next call.
        node.set("a", "MOCK_API_KEY", "sk-rotated-by-city-a").await;
        ask(&node.a, "chat").await.expect(200);
        assert_eq!(node.sent(), "sk-rotated-by-city-a");
        let input = json!({"key": "MOCK_API_KEY", "city_id": "a"});
        node.app.admin().post("/v1/env/remove", input).await.expect(200);
        ask(&node.a, "chat").await.expect(200);
        assert_eq!(node.sent(), ALL);
    }

    async fn receipts_say_whose_key_it_was(app: TestApp) {
        let node = Node::on(&app).await;
        node.set("a", "MOCK_API_KEY", OF_A).await;
        for (user, of) in [(&node.a, "city"), (&node.b, "federation")] {
            let reply = ask(user, "chat").await;
            let path = format!("/v1/usage/requests/{}", reply.header("x-request-id").unwrap());
            reply.expect(200);
            let receipt = node.app.admin().get(&path).await.expect(200);
            let attempt = &receipt["attempts"][0];
            assert_eq!((&attempt["key"], &attempt["key_of"]), (&json!("MOCK_API_KEY"), &json!(of)));
            assert!(user.get(&path).await.expect(200)["attempts"][0].get("key_of").is_none());
        }
    }

    async fn a_city_sees_and_calls_what_its_keys_open(app: TestApp) {
        let node = Node::on(&app).await;
        assert_eq!(models(&node.a).await, ["chat"]);
        ask(&node.a, "brought").await.expect_error(500, "missing_config");
        node.set("a", "OWN_KEY", OF_A).await;
        assert_eq!(models(&node.a).await, ["chat", "brought"]);
        assert_eq!(models(&node.b).await, ["chat"]);
        ask(&node.a, "brought").await.expect(200);
        assert_eq!(node.sent(), OF_A);
        ask(&node.b, "brought").await.expect_error(500, "missing_config");
        // An empty entry takes a model from a city that all others have.
        node.set("b", "MOCK_API_KEY", "").await;
        assert!(models(&node.b).await.is_empty());
        assert_eq!(models(&node.a).await, ["chat", "brought"]);
    }

    async fn a_call_of_the_admin_is_for_the_city_that_it_names(app: TestApp) {
        let node = Node::on(&app).await;
        node.set("a", "MOCK_API_KEY", OF_A).await;
        for (city_id, key) in [(json!("a"), OF_A), (json!("b"), ALL), (Value::Null, ALL)] {
            let input = json!({"prompt": "Hi", "city_id": city_id});
            node.app.admin().post("/v1/ai/text", input).await.expect(200);
            assert_eq!(node.sent(), key, "{city_id}");
        }
        for route in ["text", "chat/completions"] {
            let input = json!({"prompt": "Hi", "messages": [], "city_id": "nowhere"});
            let reply = node.app.admin().post(&format!("/v1/ai/{route}"), input).await;
            assert!(reply.text().contains("city_not_found"), "{}", reply.text());
            reply.expect(404);
        }
    }

    async fn the_key_that_was_sent_is_masked(app: TestApp) {
        let node = Node::on(&app).await;
        node.set("a", "MOCK_API_KEY", OF_A).await;
        node.upstream.by(|request| {
            let sent = request.headers["authorization"].to_str().unwrap().to_owned();
            Answer::json(400, &error_body(&format!("about {sent}!")))
        });
        for user in [&node.a, &node.b] {
            for path in ["text", "chat/completions"] {
                let input = if path == "text" { json!({"prompt": "Hi"}) } else { json!({"messages": []}) };
                let text = user.post(&format!("/v1/ai/{path}"), input).await.text();
                assert!(text.contains("about "), "{text}");
                assert!(!text.contains(OF_A) && !text.contains(ALL), "{text}");
            }
        }
    }

    async fn the_key_of_one_city_rests_alone(app: TestApp) {
        let node = Node::on(&app).await;
        let values = ["sk-value-of-city-a", "sk-value-of-city-b"];
        node.set("a", "MOCK_API_KEY", values[0]).await;
        node.set("b", "MOCK_API_KEY", values[1]).await;
        // Both are refused, one after the other, and both rest then.
        node.upstream.always(Answer::json(429, &error_body("slow down")).header("retry-after", "5"));
        for user in [&node.a, &node.b] {
            ask(user, "chat").await.expect_error(429, "upstream_rate_limited");
        }
        let rests = async |city_id: &str| {
            let list = node.app.admin().get(&format!("/v1/ai/models?city_id={city_id}")).await.expect(200);
            let keys = &list["items"][0]["keys"];
            assert_eq!((&keys[0]["key"], &keys[0]["key_of"]), (&json!("MOCK_API_KEY"), &json!("city")));
            keys[0]["resting_until"].is_string()
        };
        assert!(rests("a").await && rests("b").await, "neither has taken the place of the other");
        node.upstream.always(Answer::json(200, &completion("yes")));
        // The one that is well again wakes up alone.
        ask(&node.b, "chat").await.expect(200);
        assert_eq!(node.sent(), values[1]);
        assert!(rests("a").await && !rests("b").await);
        ask(&node.a, "chat").await.expect(200);
        assert_eq!(node.sent(), values[0]);
    }

    async fn an_address_of_a_city_goes_with_its_key_alone(app: TestApp) {
        let node = Node::on(&app).await;
        let elsewhere = MockUpstream::start().await;
        elsewhere.always(Answer::json(200, &completion("elsewhere")));
        set_env(&node.app, "OWN_KEY", ALL).await;
        node.set("a", "OWN_URL", &elsewhere.url()).await;
        ask(&node.a, "brought").await.expect(200);
        assert_eq!(node.sent(), ALL);
        assert!(elsewhere.requests().is_empty(), "everybody's key stays at home");
        node.set("a", "OWN_KEY", OF_A).await;
        ask(&node.a, "brought").await.expect(200);
        let sent = elsewhere.request();
        assert_eq!(sent.headers["authorization"], format!("Bearer {OF_A}"));
        ask(&node.b, "brought").await.expect(200);
        assert_eq!(node.sent(), ALL);
    }

    async fn a_call_under_way_keeps_the_key_and_the_address_it_began_with(app: TestApp) {
        let retries = json!({"attempts": 2, "backoff_ms": 1, "budget_ms": 5_000});
        let node = Node::with(&app, |config| config["retries"] = retries).await;
        let elsewhere = MockUpstream::start().await;
        elsewhere.always(Answer::json(200, &completion("elsewhere")));
        node.set("a", "OWN_KEY", OF_A).await;
        let gate = Gate::default();
        node.upstream.then(Answer::json(500, &error_body("busy")).wait(&gate));
        let call = ask(&node.a, "brought");
        let change = async {
            node.upstream.arrived(0).await;
            node.set("a", "OWN_KEY", "sk-of-the-new-address").await;
            node.set("a", "OWN_URL", &elsewhere.url()).await;
            gate.open();
        };
        let (answer, ()) = tokio::join!(call, change);
        answer.expect(200);
        assert_eq!(node.upstream.requests().len(), 2, "it is tried again where it was tried first");
        assert_eq!(node.sent(), OF_A);
        assert!(elsewhere.requests().is_empty(), "the new address sees the new key alone");
        ask(&node.a, "brought").await.expect(200);
        assert_eq!(elsewhere.request().headers["authorization"], "Bearer sk-of-the-new-address");
    }

    async fn keys_and_addresses_that_change_together_are_used_together(app: TestApp) {
        let node = Node::on(&app).await;
        set_env(&node.app, "OWN_KEY", ALL).await;
        let homes = [MockUpstream::start().await, MockUpstream::start().await];
        for home in &homes {
            home.always(Answer::json(200, &completion("home")));
        }
        let has_settled = Arc::new(AtomicBool::new(false));
        let mut calls = JoinSet::new();
        for at in 0..10 {
            let user = if at % 5 == 0 { node.b.clone() } else { node.a.clone() };
            let has_settled = has_settled.clone();
            calls.spawn(async move {
                let mut count = 0;
                while count < 5 || !has_settled.load(Relaxed) {
                    ask(&user, "brought").await.expect(200);
                    count += 1;
                }
                count
            });
        }
        for round in 0..10 {
            // Key and address of one home, those of the other, and from time to time none.
            let at = round % 2;
            let raw = format!("OWN_KEY=sk-of-home-{at}\nOWN_URL={}", homes[at].url());
            let input = json!({"raw": raw, "city_id": "a", "test": false});
            node.app.admin().post("/v1/env/import", input).await.expect(200);
            for key in ["OWN_KEY", "OWN_URL"].into_iter().filter(|_| round % 3 == 2) {
                let input = json!({"key": key, "city_id": "a"});
                node.app.admin().post("/v1/env/remove", input).await.expect(200);
            }
        }
        has_settled.store(true, Relaxed);
        let made: usize = calls.join_all().await.into_iter().sum();
        let key_of = |request: &Recorded| request.headers["authorization"].to_str().unwrap().to_owned();
        for (at, home) in homes.iter().enumerate() {
            assert!(home.requests().iter().all(|it| key_of(it) == format!("Bearer sk-of-home-{at}")));
        }
        let at_home: usize = homes.iter().map(|home| home.requests().len()).sum();
        assert!(at_home > 0, "some calls ran while the city had an address");
        assert!(node.upstream.requests().iter().all(|it| key_of(it) == format!("Bearer {ALL}")));
        assert_eq!(at_home + node.upstream.requests().len(), made);
    }

    async fn an_address_of_a_city_leads_to_no_private_network(app: TestApp) {
        let inside = |config: &mut Value| config["storage"]["download"]["allow_private"] = json!(false);
        let node = Node::with(&app, inside).await;
        let inner = MockUpstream::start().await;
        inner.always(Answer::json(200, &completion("inner")));
        inner.models(Answer::json(200, &json!({"data": []})));
        node.set("a", "OWN_KEY", OF_A).await;
        let port = inner.url().rsplit_once(':').unwrap().1.to_owned();
        for host in ["127.0.0.1", "localhost", "127.1", "[::ffff:127.0.0.1]"] {
            node.set("a", "OWN_URL", &format!("http://{host}:{port}")).await;
            ask(&node.a, "brought").await.expect_error(502, "upstream_error");
            // Nor is a key tried there.
            let input = json!({"key": "OWN_KEY", "value": OF_A, "city_id": "a"});
            let stored = node.app.admin().post("/v1/env/upsert", input).await.expect(200);
            assert!(stored["warning"].is_string(), "{host}: {stored}");
        }
        assert!(inner.requests().is_empty() && inner.model_requests().is_empty());
        // What the operator names may be anywhere.
        set_env(&node.app, "OWN_KEY", ALL).await;
        set_env(&node.app, "OWN_URL", &inner.url()).await;
        ask(&node.b, "brought").await.expect(200);
        assert_eq!(inner.requests().len(), 1);
    }

    async fn a_citys_key_is_tried_where_it_will_be_used(app: TestApp) {
        let node = Node::on(&app).await;
        node.upstream.models(Answer::json(401, &error_body("no")));
        let input = json!({"key": "MOCK_API_KEY", "value": OF_A, "city_id": "a"});
        let refused = node.app.admin().post("/v1/env/upsert", input.clone()).await;
        refused.expect_error(422, "env_refused");
        node.upstream.models(Answer::json(200, &json!({"data": []})));
        let stored = node.app.admin().post("/v1/env/upsert", input).await.expect(200);
        assert_eq!(stored, json!({"success": true, "key": "MOCK_API_KEY", "city_id": "a"}));
        let tried = node.upstream.model_requests();
        assert_eq!(tried.last().unwrap().headers["authorization"], format!("Bearer {OF_A}"));
        // A key that no provider names waits in vain, and the answer says so.
        let input = json!({"key": "STRIPE_SECRET_KEY", "value": "x", "city_id": "a"});
        let stored = node.app.admin().post("/v1/env/upsert", input).await.expect(200);
        assert!(stored["warning"].as_str().unwrap().contains("No service reads"), "{stored}");
    }
}

#[tokio::test]
async fn no_key_stands_in_the_log() {
    let database = TestApp::builder(Engine::Sqlite).start().await;
    let node = Node::on(&database).await;
    node.upstream.by(|request| {
        let sent = request.headers["authorization"].to_str().unwrap().to_owned();
        Answer::json(500, &error_body(&format!("about {sent}!")))
    });
    let (logged, _guard) = Logged::listen();
    node.set("a", "MOCK_API_KEY", OF_A).await;
    for user in [&node.a, &node.b] {
        ask(user, "chat").await.expect_error(502, "upstream_error");
    }
    let log = logged.text();
    assert!(log.contains("an env value was set") && log.contains("the provider failed"), "{log}");
    assert!(!log.contains(OF_A) && !log.contains(ALL), "{log}");
}
