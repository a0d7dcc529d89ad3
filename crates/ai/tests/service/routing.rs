//! Several upstreams and several keys of one model.

use std::sync::Arc;
use std::time::Duration;

use downcity_ai::{Ai, Billing};
use downcity_services::{Balance, BalanceConfig, Usage, UsageConfig};
use downcity_testkit::{Answer, Client, Engine, MockUpstream, TestApp, both_engines};
use serde_json::{Value, json};

use crate::common::{completion, error_body, read, set_env, text_chunks};

const ROUTES: [&str; 3] = ["text", "stream", "chat/completions"];

/// Two providers, the first with two keys, behind the model `chat`.
struct Node {
    app: TestApp,
    first: MockUpstream,
    second: MockUpstream,
    user: Client,
}

impl Node {
    async fn start() -> Self {
        Self::with(None, |_| {}).await
    }

    /// On the database of an app, with usage, where one is given.
    async fn with(database: Option<&TestApp>, change: impl FnOnce(&mut Value)) -> Self {
        let (first, second) = (MockUpstream::start().await, MockUpstream::start().await);
        let mut config = json!({
            "retries": {"attempts": 1},
            "cool_down": {"first_ms": 10_000, "most_ms": 30_000},
            "provider": [
                {"id": "first", "base_url": first.url(), "env_key": "KEY_A", "env_keys": ["KEY_B"]},
                {"id": "second", "base_url": second.url(), "env_key": "KEY_C", "strip": ["seed"]},
            ],
            "model": [{
                "id": "chat", "name": "Chat",
                "upstreams": [
                    {"provider": "first", "upstream_model": "one"},
                    {"provider": "second", "upstream_model": "two"},
                ],
            }],
        });
        change(&mut config);
        let usage = Usage::new(UsageConfig::default());
        let wallets = Balance::new(BalanceConfig::default());
        let billing = Billing { wallets, facts: usage.clone() };
        let ai: Arc<Ai> = Ai::new(read(config), billing).unwrap();
        let mut builder = TestApp::builder(Engine::Sqlite).builtin(ai);
        if let Some(database) = database {
            builder = builder.on_database_of(database).builtin(usage);
        }
        let app = builder.start().await;
        for key in ["KEY_A", "KEY_B", "KEY_C"] {
            set_env(&app, key, &format!("sk-value-of-{key}")).await;
        }
        app.create_city("city_a").await;
        let user = app.user(&app.token("city_a", "user_1").await);
        first.always(Answer::json(200, &completion("from the first")));
        second.always(Answer::json(200, &completion("from the second")));
        Self { app, first, second, user }
    }

    async fn ask(&self, route: &str) -> downcity_testkit::TestReply {
        let input = match route {
            "chat/completions" => {
                json!({"messages": [{"role": "user", "content": "Hi"}], "seed": 1})
            }
            _ => json!({"prompt": "Hi", "seed": 1}),
        };
        self.user.post(&format!("/v1/ai/{route}"), input).await
    }

    /// The names of the keys that were sent so far, in order.
    fn keys(&self) -> Vec<String> {
        let requests = [self.first.requests(), self.second.requests()].concat();
        let key = |value: &http::HeaderValue| {
            value.to_str().unwrap().trim_start_matches("Bearer sk-value-of-").to_owned()
        };
        requests.iter().map(|request| key(&request.headers["authorization"])).collect()
    }
}

#[tokio::test]
async fn the_next_upstream_answers_where_one_fails_before_its_first_byte() {
    for status in [401, 402, 403, 404, 408, 429, 500, 503, 529] {
        let node = Node::start().await;
        node.first.always(Answer::json(status, &error_body("no")));
        for route in ["text", "chat/completions"] {
            let body = node.ask(route).await.expect(200);
            assert!(body.to_string().contains("from the second"), "{status} {body}");
        }
        let sent = node.second.requests()[0].json();
        assert_eq!(
            (&sent["model"], sent.get("seed")),
            (&json!("two"), None),
            "fitted for the second"
        );
        assert_eq!(node.first.requests()[0].json()["seed"], 1);
    }
}

#[tokio::test]
async fn the_next_upstream_answers_where_one_sends_what_is_no_answer() {
    let node = Node::start().await;
    for nothing in [
        Answer::json(200, &json!({"choices": []})),
        Answer::json(200, &error_body("under 200")),
        Answer::text(200, "application/json", ""),
        Answer::text(200, "text/html", "<html>Sign in</html>"),
        Answer::events(&text_chunks(&["a stream"])),
        Answer::pieces("application/json").write("{}"),
    ] {
        node.first.always(nothing);
        for route in ["text", "chat/completions"] {
            let body = node.ask(route).await.expect(200);
            assert!(body.to_string().contains("from the second"), "{body}");
        }
    }
    node.first.always(Answer::json(200, &completion("no stream")));
    node.second.always(Answer::events(&text_chunks(&["second"])));
    assert!(node.ask("stream").await.text().contains("second"));
    let streamed = json!({"messages": [], "stream": true});
    let reply = node.user.post("/v1/ai/chat/completions", streamed).await;
    assert!(reply.text().contains("second"), "{}", reply.text());
}

#[tokio::test]
async fn streams_fall_back_as_well_and_never_after_their_first_byte() {
    let node = Node::start().await;
    node.first.then(Answer::json(503, &error_body("no")));
    node.first.then(Answer::json(503, &error_body("no")));
    node.second.always(Answer::events(&text_chunks(&["second"])));
    assert!(node.ask("stream").await.text().contains("second"));
    let begun = Answer::stream().event(&text_chunks(&["begun"])[0]).cut();
    node.first.always(begun);
    let asked = node.second.requests().len();
    let text = node.ask("stream").await.text();
    assert!(text.contains("begun") && text.contains("\"error\""), "{text}");
    assert_eq!(node.second.requests().len(), asked, "what has begun is not asked for again");
}

#[tokio::test]
async fn what_is_the_requests_fault_is_asked_once() {
    for status in [400, 409, 413, 422] {
        let node = Node::start().await;
        node.first.always(Answer::json(status, &error_body("your fault")));
        for route in ROUTES {
            let reply = node.ask(route).await;
            assert!(reply.status.as_u16() >= 400);
        }
        assert!(node.second.requests().is_empty(), "{status}");
    }
}

#[tokio::test]
async fn no_connection_and_no_answer_in_time() {
    let node = Node::with(None, |config| {
        config["model"][0]["upstreams"][0]["first_byte_ms"] = json!(60);
        config["provider"][0]["env_keys"] = json!([]);
    })
    .await;
    node.first.always(Answer::stream().silent());
    for route in ["text", "chat/completions"] {
        let body = node.ask(route).await.expect(200);
        assert!(body.to_string().contains("from the second"), "{body}");
    }
    assert_eq!(node.first.requests().len(), 2);
    let node = Node::with(None, |config| {
        config["provider"][0]["base_url"] = json!("http://127.0.0.1:1/v1")
    })
    .await;
    for route in ["text", "chat/completions"] {
        let body = node.ask(route).await.expect(200);
        assert!(body.to_string().contains("from the second"), "{body}");
    }
}

#[tokio::test]
async fn the_last_upstreams_failure_is_the_callers_answer() {
    let node = Node::start().await;
    node.first.always(Answer::json(503, &error_body("first")));
    let last = error_body("the second is busy");
    node.second.always(Answer::json(429, &last).header("retry-after", "7"));
    let reply = node.ask("chat/completions").await;
    assert_eq!(reply.header("retry-after"), Some("7"));
    assert_eq!(reply.expect(429), last);
    node.ask("text").await.expect(502);
    assert_eq!(node.second.requests().len(), 1, "it rests, and the first has others");
}

#[tokio::test]
async fn a_refused_key_rests_and_longer_each_time() {
    let node = Node::start().await;
    let refuse_a = |request: &downcity_testkit::Recorded| {
        let refused = request.headers["authorization"].to_str().unwrap().ends_with("KEY_A");
        match refused {
            true => Answer::json(401, &error_body("bad key")),
            false => Answer::json(200, &completion("from the first")),
        }
    };
    let node = {
        node.first.by(refuse_a);
        node
    };
    node.ask("text").await.expect(200);
    assert_eq!(node.keys(), ["KEY_A", "KEY_B"], "the next key of the same provider");
    node.ask("text").await.expect(200);
    assert_eq!(node.keys()[2..], ["KEY_B"], "it rests");
    node.app.clock().advance(Duration::from_millis(10_001));
    node.ask("text").await.expect(200);
    assert_eq!(node.keys()[3..], ["KEY_A", "KEY_B"], "and is tried again");
    node.app.clock().advance(Duration::from_millis(10_001));
    node.ask("text").await.expect(200);
    assert_eq!(node.keys()[5..], ["KEY_B"], "twice as long");
    set_env(&node.app, "KEY_A", "sk-value-of-KEY_NEW").await;
    node.ask("text").await.expect(200);
    assert_eq!(node.keys()[6..], ["KEY_NEW"], "a new value does not rest");
}

#[tokio::test]
async fn a_limited_key_rests_as_long_as_its_provider_says() {
    let node = Node::with(None, |config| config["provider"][0]["env_keys"] = json!([])).await;
    node.first.then(Answer::json(429, &error_body("slow")).header("retry-after", "100"));
    node.ask("text").await.expect(200);
    assert_eq!(node.keys(), ["KEY_A", "KEY_C"]);
    node.app.clock().advance(Duration::from_secs(99));
    node.ask("text").await.expect(200);
    assert_eq!(node.first.requests().len(), 1, "beyond most_ms, as the provider said so");
    node.app.clock().advance(Duration::from_secs(2));
    node.ask("text").await.expect(200);
    assert_eq!(node.first.requests().len(), 2);
}

#[tokio::test]
async fn where_every_key_rests_the_first_to_wake_is_asked() {
    let node = Node::start().await;
    let busy = |after: &str| Answer::json(429, &error_body("slow")).header("retry-after", after);
    node.first.then(busy("50"));
    node.first.then(busy("20"));
    node.second.then(busy("30"));
    node.ask("text").await.expect(429);
    node.ask("text").await.expect(200);
    assert_eq!(node.first.requests().len(), 3, "the second key of the first provider");
    assert_eq!(node.keys()[2], "KEY_B");
}

#[tokio::test]
async fn rounds_are_repeated_within_the_retries() {
    let node = Node::with(None, |config| {
        config["retries"] = json!({"attempts": 2, "backoff_ms": 1, "budget_ms": 5_000});
        config["provider"][0]["env_keys"] = json!([]);
    })
    .await;
    node.first.then(Answer::json(503, &error_body("no")));
    node.second.then(Answer::json(403, &error_body("no")));
    let body = node.ask("text").await.expect(200);
    assert!(body.to_string().contains("from the first"), "{body}");
    assert_eq!((node.first.requests().len(), node.second.requests().len()), (2, 1));
}

#[tokio::test]
async fn one_key_of_several_makes_a_model_callable() {
    let node = Node::start().await;
    let listed = async || {
        let list = node.user.get("/v1/ai/models").await.expect(200);
        list["items"].as_array().unwrap().len()
    };
    let remove = async |key: &str| {
        node.app.admin().post("/v1/env/remove", json!({"key": key})).await.expect(200);
    };
    remove("KEY_A").await;
    node.ask("text").await.expect(200);
    assert_eq!(node.keys(), ["KEY_B"], "a key without a value is left out");
    remove("KEY_B").await;
    node.ask("text").await.expect(200);
    assert_eq!(node.keys(), ["KEY_B", "KEY_C"]);
    assert_eq!(listed().await, 1);
    let admin = node.app.admin().get("/v1/ai/models").await.expect(200);
    assert!(admin["items"][0]["env_requirements"].is_array());
    remove("KEY_C").await;
    assert_eq!(listed().await, 0);
    node.ask("text").await.expect(422);
    assert_eq!(node.keys().len(), 2);
}

both_engines! {
    async fn every_attempt_is_in_the_receipt(app: TestApp) {
        let node = Node::with(Some(&app), |_| {}).await;
        node.first.then(Answer::json(401, &error_body("bad key")));
        node.first.then(Answer::json(503, &error_body("no")));
        let reply = node.ask("text").await;
        let request_id = reply.header("x-request-id").unwrap().to_owned();
        reply.expect(200);
        let path = format!("/v1/usage/requests/{request_id}");
        let receipt = node.app.admin().get(&path).await.expect(200);
        assert_eq!((&receipt["status"], &receipt["provider_id"]), (&json!("success"), &json!("second")));
        assert_eq!(receipt["upstream_model"], "two");
        let attempts: Vec<Value> = receipt["attempts"].as_array().unwrap().iter().map(|attempt| {
            assert!(attempt["duration_ms"].is_u64());
            json!([attempt["provider"], attempt["key"], attempt["upstream_model"], attempt["outcome"], attempt["status"]])
        }).collect();
        assert_eq!(json!(attempts), json!([
            ["first", "KEY_A", "one", "key_refused", 401],
            ["first", "KEY_B", "one", "failed", 503],
            ["second", "KEY_C", "two", "success", 200],
        ]));
        let own = node.user.get(&path).await.expect(200);
        assert_eq!(own["attempts"].as_array().unwrap().len(), 3);
        assert!(!own.to_string().contains("KEY_") && !receipt.to_string().contains("sk-value"));
    }

    async fn a_client_that_leaves_before_the_answer_is_in_the_attempts(app: TestApp) {
        let node = Node::with(Some(&app), |_| {}).await;
        node.first.always(Answer::stream().silent());
        let answer = node.user.open(http::Method::POST, "/v1/ai/text", json!({"prompt": "Hi"}).to_string().into());
        tokio::select! {
            _ = answer => panic!("nobody answers"),
            _ = node.first.arrived(0) => {}
        }
        let event = loop {
            let events = node.app.admin().get("/v1/usage/events").await.expect(200);
            if let Some(event) = events["items"].get(0) {
                break event.clone();
            }
            tokio::time::sleep(Duration::from_millis(5)).await;
        };
        assert_eq!(event["attempts"][0]["outcome"], "canceled", "{event}");
    }
}
