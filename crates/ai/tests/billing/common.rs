//! A shop: one model with a price, wallets, and buyers.

use std::sync::Arc;
use std::time::Duration;

use downcity_ai::{Ai, AiConfig, Billing};
use downcity_core::Body;
use downcity_services::{Balance, BalanceConfig, Usage, UsageConfig};
use downcity_testkit::{Client, Engine, MockUpstream, TestApp, TestAppBuilder, TestReply};
use http::{Method, Response};
use serde_json::{Value, json};

/// Turns each `async fn name(engine: Engine)` into a test on SQLite and one on PostgreSQL.
macro_rules! on_both {
    ($(async fn $name:ident($engine:ident: Engine) $body:block)*) => {$(
        mod $name {
            use super::*;

            async fn run($engine: downcity_testkit::Engine) $body

            #[test]
            fn sqlite() {
                downcity_testkit::block_on(run(downcity_testkit::Engine::Sqlite));
            }

            #[test]
            fn postgres() {
                downcity_testkit::block_on(run(downcity_testkit::Engine::Postgres));
            }
        }
    )*};
}

const CITY: &str = "city_a";

/// An app whose model `chat` costs money.
pub(crate) struct Shop {
    pub(crate) app: TestApp,
    pub(crate) upstream: MockUpstream,
    engine: Engine,
    config: Value,
    ai: Arc<Ai>,
}

/// A user who calls.
#[derive(Clone)]
pub(crate) struct Buyer {
    pub(crate) client: Client,
    token: String,
    user_id: String,
}

/// 1 microcredit an input token, half of it a cached one, 10 an output token.
pub(crate) fn metered_price() -> Value {
    json!({"input_per_m": 1_000_000, "cached_per_m": 500_000, "output_per_m": 10_000_000})
}

fn read(config: &Value) -> AiConfig {
    serde_json::from_value(config.clone()).unwrap()
}

/// The services of a node.
fn services(builder: TestAppBuilder, config: &Value) -> (TestAppBuilder, Arc<Ai>) {
    let balance = Balance::new(BalanceConfig::default());
    let usage = Usage::new(UsageConfig::default());
    let billing = Billing { wallets: balance.clone(), facts: usage.clone() };
    let ai = Ai::new(read(config), billing).unwrap();
    (builder.builtin(balance).builtin(usage).builtin(ai.clone()), ai)
}

impl Shop {
    /// A shop with this price.
    pub(crate) async fn open(engine: Engine, price: Value) -> Self {
        Self::with(engine, |config| config["model"][0]["price"] = price).await
    }

    /// A shop whose tokens cost money.
    pub(crate) async fn metered(engine: Engine) -> Self {
        Self::open(engine, metered_price()).await
    }

    /// A shop with another configuration.
    pub(crate) async fn with(engine: Engine, change: impl FnOnce(&mut Value)) -> Self {
        let upstream = MockUpstream::start().await;
        let mut config = json!({
            "retries": {"attempts": 3, "backoff_ms": 1, "budget_ms": 5_000},
            "provider": [
                {"id": "mock", "base_url": upstream.url()},
                {"id": "down", "base_url": "http://127.0.0.1:1/v1"},
            ],
            "model": [
                {"id": "chat", "name": "Chat", "provider": "mock", "default": true},
                {"id": "down", "name": "Down", "provider": "down", "price": {"per_request": 100}},
            ],
        });
        change(&mut config);
        let (builder, ai) = services(TestApp::builder(engine), &config);
        let app = builder.start().await;
        app.create_city(CITY).await;
        Self { app, upstream, engine, config, ai }
    }

    /// Changes the price while calls may be under way.
    pub(crate) fn apply(&self, price: Value) {
        let mut config = self.config.clone();
        config["model"][0]["price"] = price;
        self.ai.apply(read(&config)).unwrap();
    }

    /// The same shop after a restart.
    pub(crate) async fn restarted(self) -> Self {
        let (builder, ai) = services(TestApp::builder(self.engine), &self.config);
        let app = builder.on_database_of(&self.app).start().await;
        Self { app, ai, ..self }
    }

    /// A user with this much money.
    pub(crate) async fn buyer(&self, user_id: &str, funds: i64) -> Buyer {
        let token = self.app.token(CITY, user_id).await;
        if funds > 0 {
            let input = json!({"user_id": user_id, "amount_microcredits": funds});
            self.app.admin().post("/v1/balance/add", input).await.expect(200);
        }
        Buyer { client: self.app.user(&token), token, user_id: user_id.to_owned() }
    }

    /// A user after a restart.
    pub(crate) fn again(&self, buyer: &Buyer) -> Buyer {
        Buyer { client: self.app.user(&buyer.token), ..buyer.clone() }
    }

    /// Runs the jobs that are due; says how many there were.
    pub(crate) async fn run(&self) -> usize {
        self.app.run_jobs().await
    }

    /// Runs jobs until nothing is held of a buyer and this much is left.
    pub(crate) async fn run_until_settled(&self, buyer: &Buyer, left: i64) {
        let mut last = (0, 0);
        let settled = eventually(async || {
            self.run().await;
            last = self.wallet(buyer).await;
            last == (left, 0)
        });
        if tokio::time::timeout(Duration::from_secs(10), settled).await.is_err() {
            panic!("(balance, held) is {last:?}, not ({left}, 0)");
        }
        self.app.clock().advance(Duration::from_millis(1));
    }

    /// Balance and held money of a buyer.
    pub(crate) async fn wallet(&self, buyer: &Buyer) -> (i64, i64) {
        let me = buyer.client.get("/v1/balance/me").await.expect(200);
        let amount = |name: &str| me[name].as_i64().unwrap_or_else(|| panic!("no {name}: {me}"));
        (amount("microcredits"), amount("held_microcredits"))
    }

    /// The charges of a buyer, the newest first, with their metadata read.
    pub(crate) async fn charges(&self, buyer: &Buyer) -> Vec<Value> {
        let path = format!("/v1/balance/charges?user_id={}", buyer.user_id);
        let mut list = self.app.admin().get(&path).await.expect(200);
        let mut charges = Vec::new();
        for charge in list["items"].as_array_mut().unwrap() {
            let metadata = charge["metadata_json"].as_str().unwrap();
            charge["metadata"] = serde_json::from_str(metadata).unwrap();
            charges.push(charge.take());
        }
        charges
    }

    /// The receipt of a call.
    pub(crate) async fn receipt(&self, buyer: &Buyer, request_id: &str) -> Value {
        buyer.client.get(&format!("/v1/usage/requests/{request_id}")).await.expect(200)
    }
}

impl Buyer {
    pub(crate) async fn text(&self, prompt: &str) -> TestReply {
        self.client.post("/v1/ai/text", json!({"prompt": prompt})).await
    }

    pub(crate) async fn stream(&self, prompt: &str) -> TestReply {
        self.client.post("/v1/ai/stream", json!({"prompt": prompt})).await
    }

    pub(crate) async fn chat(&self, input: Value) -> TestReply {
        self.client.post("/v1/ai/chat/completions", input).await
    }

    /// A call whose answer is not yet read.
    pub(crate) async fn open(&self, route: &str, input: Value) -> Response<Body> {
        let body = input.to_string().into();
        self.client.open(Method::POST, &format!("/v1/ai/{route}"), body).await
    }
}

/// Runs a call beside the test, which waits for it or ends it.
#[expect(clippy::disallowed_methods, reason = "a client's task is none of the node's")]
pub(crate) fn beside<F>(call: F) -> tokio::task::JoinHandle<F::Output>
where
    F: Future<Output: Send> + Send + 'static,
{
    tokio::spawn(call)
}

/// Waits for something that is about to be.
pub(crate) async fn eventually(mut look: impl AsyncFnMut() -> bool) {
    let waited = tokio::time::timeout(Duration::from_secs(20), async {
        while !look().await {
            tokio::time::sleep(Duration::from_millis(2)).await;
        }
    });
    waited.await.expect("it happens");
}

/// Reads until the text was seen.
pub(crate) async fn read_until(response: &mut Response<Body>, text: &str) {
    use http_body_util::BodyExt as _;
    let mut seen = String::new();
    while !seen.contains(text) {
        let frame = response.body_mut().frame().await.expect("the stream goes on").unwrap();
        seen.push_str(&String::from_utf8_lossy(&frame.into_data().unwrap()));
    }
}

/// Usage as OpenAI tells it: cached tokens are part of the prompt's.
pub(crate) fn tokens(prompt: u64, cached: u64, output: u64) -> Value {
    json!({
        "prompt_tokens": prompt, "completion_tokens": output,
        "prompt_tokens_details": {"cached_tokens": cached},
    })
}

/// A whole answer; `null` is no usage.
pub(crate) fn completion(content: &str, usage: Value) -> Value {
    let message = json!({"role": "assistant", "content": content});
    let mut answer = json!({
        "id": "chatcmpl-1", "object": "chat.completion", "created": 1, "model": "upstream",
        "choices": [{"index": 0, "message": message, "finish_reason": "stop"}],
    });
    if !usage.is_null() {
        answer["usage"] = usage;
    }
    answer
}

/// A piece of a streamed answer.
pub(crate) fn chunk(content: &str) -> Value {
    json!({"id": "chatcmpl-1", "choices": [{"index": 0, "delta": {"content": content}}]})
}

/// A streamed answer.
pub(crate) fn chunks(words: &[&str], usage: Option<Value>) -> Vec<Value> {
    let mut chunks: Vec<Value> = words.iter().map(|word| chunk(word)).collect();
    chunks.push(json!({"choices": [{"index": 0, "delta": {}, "finish_reason": "stop"}]}));
    chunks.extend(usage.map(|usage| json!({"choices": [], "usage": usage})));
    chunks
}
