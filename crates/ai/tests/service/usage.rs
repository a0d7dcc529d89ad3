//! What the usage service records of AI calls.

use std::sync::Arc;

use downcity_ai::{Ai, Billing};
use downcity_services::{Balance, BalanceConfig, Usage, UsageConfig};
use downcity_testkit::{Answer, Client, Engine, MockUpstream, TestApp, both_engines};
use http::Method;
use serde_json::{Value, json};

use crate::common::{KEY, chunk, completion, config, read, read_until, set_env, text_chunks};

/// A node with AI and usage on the database of an app, its provider, and a user.
struct Node {
    app: TestApp,
    upstream: MockUpstream,
    user: Client,
}

impl Node {
    async fn start(app: &TestApp) -> Self {
        let upstream = MockUpstream::start().await;
        let usage = Usage::new(UsageConfig::default());
        let wallets = Balance::new(BalanceConfig::default());
        let billing = Billing { wallets, facts: usage.clone() };
        let ai: Arc<Ai> = Ai::new(read(config(&upstream.url())), billing).unwrap();
        // The engine is that of the app.
        let builder = TestApp::builder(Engine::Sqlite).on_database_of(app);
        let app = builder.builtin(ai).builtin(usage).start().await;
        set_env(&app, "MOCK_API_KEY", KEY).await;
        app.create_city("city_a").await;
        let user = app.user(&app.token("city_a", "user_1").await);
        Self { app, upstream, user }
    }

    /// The recorded calls, oldest first.
    async fn events(&self) -> Vec<Value> {
        let events = self.app.admin().get("/v1/usage/events").await.expect(200);
        let mut events = events["items"].as_array().unwrap().clone();
        events.reverse();
        events
    }

    /// The same, once there are so many.
    async fn so_many(&self, count: usize) -> Vec<Value> {
        loop {
            let events = self.events().await;
            if events.len() >= count {
                return events;
            }
            tokio::time::sleep(std::time::Duration::from_millis(5)).await;
        }
    }
}

fn seen(event: &Value) -> Value {
    json!([
        event["status"],
        event["http_status"],
        event["code"],
        event["streamed"],
        event["mode"],
        event["input_tokens"],
        event["cached_tokens"],
        event["output_tokens"],
    ])
}

both_engines! {
    async fn one_text_call_is_one_event(app: TestApp) {
        let node = Node::start(&app).await;
        node.upstream.always(Answer::json(200, &completion("ab")));
        let reply = node.user.post("/v1/ai/text", json!({"prompt": "Hi"})).await;
        let request_id = reply.header("x-request-id").unwrap().to_owned();
        reply.expect(200);
        let events = node.events().await;
        assert_eq!(events.len(), 1, "{events:?}");
        assert_eq!(seen(&events[0]), json!(["success", 200, null, false, "text", 6, 4, 5]));
        assert_eq!((&events[0]["service"], &events[0]["action"]), (&json!("ai"), &json!("text")));
        assert_eq!((&events[0]["provider_id"], &events[0]["model_id"]), (&json!("mock"), &json!("chat")));
        let summary = node.app.admin().get("/v1/usage/summary").await.expect(200);
        assert_eq!(summary["items"].as_array().unwrap().len(), 1);
        assert_eq!((&summary["items"][0]["service"], &summary["items"][0]["count"]), (&json!("ai"), &json!(1)));
        let receipt = node.user.get(&format!("/v1/usage/requests/{request_id}")).await.expect(200);
        assert_eq!(receipt["event_id"], events[0]["event_id"]);
        assert!(receipt["first_byte_ms"].is_u64() && receipt["duration_ms"].is_u64());
    }

    async fn failures_of_providers_are_errors(app: TestApp) {
        let node = Node::start(&app).await;
        let refusal = json!({"error": {"message": "No such deployment."}});
        node.upstream.always(Answer::json(404, &refusal));
        node.user.post("/v1/ai/text", json!({"prompt": "Hi"})).await;
        let input = json!({"messages": [{"role": "user", "content": "Hi"}]});
        node.user.post("/v1/ai/chat/completions", input).await;
        let events = node.events().await;
        assert_eq!(events.len(), 2);
        for event in events {
            assert_eq!(event["status"], "error", "{event}");
            assert!(event["http_status"].as_u64().unwrap() >= 400);
            assert!(event["code"].is_string());
        }
    }

    async fn streams_are_recorded_with_their_last_tokens(app: TestApp) {
        let node = Node::start(&app).await;
        let prompt = json!({"prompt": "Hi"});
        let chat = json!({"messages": [], "stream": true});
        node.upstream.always(Answer::events(&text_chunks(&["a", "b"])));
        node.user.post("/v1/ai/stream", prompt.clone()).await;
        node.user.post("/v1/ai/chat/completions", chat.clone()).await;
        for event in node.so_many(2).await {
            let mode = event["mode"].clone();
            assert_eq!(seen(&event), json!(["success", 200, null, true, mode, 6, 4, 5]));
        }
        // A connection that breaks, and an error that the provider itself sends.
        let broken = Answer::stream().event(&chunk(json!({"content": "one"}), None)).cut();
        let told = Answer::stream()
            .event(&chunk(json!({"content": "one"}), None))
            .event(&json!({"error": {"message": "Overloaded.", "code": 503}}));
        for (index, answer) in [broken, told].into_iter().enumerate() {
            node.upstream.always(answer);
            node.user.post("/v1/ai/stream", prompt.clone()).await;
            node.user.post("/v1/ai/chat/completions", chat.clone()).await;
            let events = node.so_many(4 + 2 * index).await;
            for event in &events[2 + 2 * index..] {
                assert_eq!(event["status"], "error", "{event}");
                assert_eq!((&event["http_status"], &event["code"]), (&json!(200), &json!("upstream_error")));
            }
        }
    }

    async fn clients_that_leave_cancel_with_what_was_used_so_far(app: TestApp) {
        let node = Node::start(&app).await;
        let mut early = chunk(json!({"content": "one"}), None);
        early["usage"] = json!({"prompt_tokens": 7, "completion_tokens": 1});
        node.upstream.always(Answer::stream().event(&early).hang());
        for (index, route) in ["stream", "chat/completions"].into_iter().enumerate() {
            let input = json!({"prompt": "Hi", "messages": [], "stream": true});
            let path = format!("/v1/ai/{route}");
            let mut answer = node.user.open(Method::POST, &path, input.to_string().into()).await;
            read_until(&mut answer, "one").await;
            drop(answer);
            let events = node.so_many(index + 1).await;
            let mode = events[index]["mode"].clone();
            assert_eq!(seen(&events[index]), json!(["canceled", 200, null, true, mode, 7, 0, 1]));
        }
    }
}
