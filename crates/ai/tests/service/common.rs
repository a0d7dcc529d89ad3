//! An app with a scripted provider.

use std::sync::{Arc, Mutex};

use async_trait::async_trait;
use downcity_ai::{Ai, AiConfig, Billing, Problem};
use downcity_core::{Body, Call, Error, Hook, Metering, Outcome};
use downcity_services::{Balance, BalanceConfig, Usage, UsageConfig};
use downcity_testkit::{Client, Engine, MockUpstream, TestApp};
use http::{Method, Response};
use serde_json::{Value, json};

pub(crate) const KEY: &str = "sk-upstream-secret-0123456789";
pub(crate) const UPSTREAM_MODEL: &str = "upstream-1";

/// An app, its provider, and a user.
pub(crate) struct Fixture {
    pub(crate) app: TestApp,
    pub(crate) ai: Arc<Ai>,
    pub(crate) upstream: MockUpstream,
    pub(crate) user: Client,
    /// What calls consumed, as the `after` hooks saw it.
    pub(crate) metered: Metered,
}

/// The `[ai]` section of most tests: one model that answers, one without its key.
pub(crate) fn config(url: &str) -> Value {
    let provider = |id: &str, key: &str, url: &str| json!({"id": id, "protocol": "openai-chat", "base_url": url, "env_key": key});
    json!({
        "keep_alive_ms": 20,
        "retries": {"attempts": 3, "backoff_ms": 1, "budget_ms": 5_000},
        "provider": [
            provider("mock", "MOCK_API_KEY", url),
            provider("keyless", "UNSET_API_KEY", url),
            provider("down", "MOCK_API_KEY", "http://127.0.0.1:1/v1"),
        ],
        "model": [
            {"id": "keyless", "name": "Keyless", "provider": "keyless"},
            {"id": "down", "name": "Down", "provider": "down"},
            {
                "id": "chat", "name": "Chat", "provider": "mock",
                "upstream_model": UPSTREAM_MODEL, "default": true,
            },
        ],
    })
}

/// The service with wallets that nobody asks: its models are free.
pub(crate) fn ai(config: AiConfig) -> Result<Arc<Ai>, Vec<Problem>> {
    let wallets = Balance::new(BalanceConfig::default());
    let facts = Usage::new(UsageConfig::default());
    Ai::new(config, Billing { wallets, facts })
}

pub(crate) fn read(config: Value) -> AiConfig {
    serde_json::from_value(config).unwrap()
}

/// The fixture with changes to the configuration.
pub(crate) async fn with(change: impl FnOnce(&mut Value)) -> Fixture {
    let upstream = MockUpstream::start().await;
    let mut config = config(&upstream.url());
    change(&mut config);
    let ai = ai(read(config)).unwrap();
    let metered = Metered::default();
    // The AI service stores nothing: one engine is enough.
    let builder = TestApp::builder(Engine::Sqlite).builtin(ai.clone()).hook(metered.clone());
    let app = builder.start().await;
    set_env(&app, "MOCK_API_KEY", KEY).await;
    app.create_city("city_a").await;
    let user = app.user(&app.token("city_a", "user_1").await);
    Fixture { app, ai, upstream, user, metered }
}

pub(crate) async fn fixture() -> Fixture {
    with(|_| {}).await
}

/// Stores a value untested, so that providers of all kinds may stand behind it.
pub(crate) async fn set_env(app: &TestApp, key: &str, value: &str) {
    let input = json!({"key": key, "value": value, "test": false});
    app.admin().post("/v1/env/upsert", input).await.expect(200);
}

/// Keeps the metering of the calls of `ai`, and the statuses of those that failed.
#[derive(Clone, Default)]
pub(crate) struct Metered(Arc<Mutex<Vec<Metering>>>, Arc<Mutex<Vec<u16>>>);

#[async_trait]
impl Hook for Metered {
    async fn after(&self, call: &Call, _: &mut Outcome) -> downcity_core::Result<()> {
        if call.action().service_id() == "ai" {
            self.0.lock().unwrap().push(call.metering());
        }
        Ok(())
    }

    async fn on_error(&self, _: &Call, error: &Error) {
        self.1.lock().unwrap().push(error.status().as_u16());
    }
}

impl Metered {
    /// The statuses of the calls that failed so far.
    pub(crate) fn failures(&self) -> Vec<u16> {
        self.1.lock().unwrap().clone()
    }

    /// Waits until this many calls have ended.
    pub(crate) async fn all(&self, count: usize) -> Vec<Metering> {
        eventually(|| {
            let all = self.0.lock().unwrap();
            (all.len() >= count).then(|| all.clone())
        })
        .await
    }
}

/// Waits for something that is about to happen.
pub(crate) async fn eventually<T>(mut look: impl FnMut() -> Option<T>) -> T {
    let waited = tokio::time::timeout(std::time::Duration::from_secs(20), async {
        loop {
            if let Some(found) = look() {
                return found;
            }
            tokio::task::yield_now().await;
        }
    });
    waited.await.expect("it happens")
}

/// What this thread logs while it lives.
#[derive(Clone, Default)]
pub(crate) struct Logged(Arc<Mutex<Vec<u8>>>);

impl Logged {
    /// Begins to listen; the guard ends it.
    pub(crate) fn listen() -> (Self, tracing::subscriber::DefaultGuard) {
        let logged = Self::default();
        let writer = logged.clone();
        let subscriber = tracing_subscriber::fmt()
            .with_max_level(tracing::Level::TRACE)
            .with_writer(move || writer.clone())
            .finish();
        (logged, tracing::subscriber::set_default(subscriber))
    }

    pub(crate) fn text(&self) -> String {
        String::from_utf8(self.0.lock().unwrap().clone()).unwrap()
    }
}

impl std::io::Write for Logged {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        self.0.lock().unwrap().extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

impl Fixture {
    pub(crate) async fn open(&self, route: &str, input: Value) -> Response<Body> {
        self.user.open(Method::POST, &format!("/v1/ai/{route}"), input.to_string().into()).await
    }
}

/// The next piece of a streamed answer as text; `None` at its end.
pub(crate) async fn next_piece(response: &mut Response<Body>) -> Option<String> {
    use http_body_util::BodyExt as _;
    let frame = response.body_mut().frame().await?.expect("the body goes on");
    Some(String::from_utf8(frame.into_data().expect("data").to_vec()).expect("text"))
}

/// Reads until the text was seen.
pub(crate) async fn read_until(response: &mut Response<Body>, text: &str) -> String {
    let mut seen = String::new();
    while !seen.contains(text) {
        seen.push_str(&next_piece(response).await.expect("the stream goes on"));
    }
    seen
}

pub(crate) fn usage() -> Value {
    json!({
        "prompt_tokens": 10, "completion_tokens": 5, "total_tokens": 15,
        "prompt_tokens_details": {"cached_tokens": 4},
        "completion_tokens_details": {"reasoning_tokens": 2},
    })
}

pub(crate) fn completion(content: &str) -> Value {
    json!({
        "id": "chatcmpl-1", "object": "chat.completion", "created": 1, "model": UPSTREAM_MODEL,
        "choices": [{"index": 0, "message": {"role": "assistant", "content": content}, "finish_reason": "stop"}],
        "usage": usage(),
    })
}

pub(crate) fn chunk(delta: Value, finish: Option<&str>) -> Value {
    json!({
        "id": "chatcmpl-1", "object": "chat.completion.chunk",
        "choices": [{"index": 0, "delta": delta, "finish_reason": finish}],
    })
}

/// The chunks of a text answer, usage last.
pub(crate) fn text_chunks(words: &[&str]) -> Vec<Value> {
    let mut chunks: Vec<Value> =
        words.iter().map(|word| chunk(json!({"content": word}), None)).collect();
    chunks.push(chunk(json!({}), Some("stop")));
    chunks.push(json!({"id": "chatcmpl-1", "choices": [], "usage": usage()}));
    chunks
}

pub(crate) fn error_body(message: &str) -> Value {
    json!({"error": {"message": message, "type": "invalid_request_error", "param": null, "code": "x"}})
}
