//! A studio: models that make images and videos, wallets, and buyers.

use std::future::Future;
use std::sync::Arc;
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use downcity_ai::{Ai, Billing};
use downcity_services::{Balance, BalanceConfig, Usage, UsageConfig};
use downcity_testkit::{Answer, Client, Engine, MockUpstream, TestApp, TestAppBuilder};
use serde_json::{Value, json};
use tempfile::TempDir;

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

pub(crate) const CITY: &str = "city_a";
pub(crate) const KEY: &str = "sk-studio-secret-0123456789";
/// The begin of a PNG, as base64.
pub(crate) const PNG: &str = "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNk+M9QDwADhgGAWjR9awAAAABJRU5ErkJggg==";

/// The begin of an MP4.
pub(crate) const MP4: &[u8] = b"\0\0\0\x18ftypmp42\0\0\0\0mp42isom";

/// An app whose model `pictures` costs 50,000 microcredits an image.
pub(crate) struct Studio {
    pub(crate) app: TestApp,
    pub(crate) upstream: MockUpstream,
    pub(crate) engine: Engine,
    pub(crate) ai: Arc<Ai>,
    /// Where its files are.
    pub(crate) folder: TempDir,
    config: Value,
}

/// The services of a node.
fn services(builder: TestAppBuilder, config: &Value) -> (TestAppBuilder, Arc<Ai>) {
    let balance = Balance::new(BalanceConfig::default());
    let usage = Usage::new(UsageConfig::default());
    let billing = Billing { wallets: balance.clone(), facts: usage.clone() };
    let ai: Arc<Ai> = Ai::new(serde_json::from_value(config.clone()).unwrap(), billing).unwrap();
    (builder.builtin(balance).builtin(usage).builtin(ai.clone()), ai)
}

impl Studio {
    pub(crate) async fn open(engine: Engine) -> Self {
        Self::with(engine, |_| {}).await
    }

    /// A studio with another configuration.
    pub(crate) async fn with(engine: Engine, change: impl FnOnce(&mut Value)) -> Self {
        let upstream = MockUpstream::start().await;
        let folder = tempfile::tempdir().unwrap();
        let mut config = json!({
            // Providers of tests have their files on this machine.
            "storage": {"dir": folder.path().join("files"), "download": {"allow_private": true}},
            "retries": {"attempts": 2, "backoff_ms": 1, "budget_ms": 5_000},
            "provider": [{
                "id": "mock", "protocol": "openai-images", "base_url": upstream.url(),
                "env_key": "MOCK_API_KEY",
            }],
            "model": [{
                "id": "pictures", "name": "Pictures", "provider": "mock",
                "upstream_model": "gpt-image-1", "default": true, "price": {"per_image": 50_000},
            }],
        });
        change(&mut config);
        let (builder, ai) = services(TestApp::builder(engine), &config);
        let app = builder.start().await;
        app.create_city(CITY).await;
        let input = json!({"key": "MOCK_API_KEY", "value": KEY, "test": false});
        app.admin().post("/v1/env/upsert", input).await.expect(200);
        Self { app, upstream, engine, ai, folder, config }
    }

    /// A studio whose only provider is this one, beside its address and key.
    pub(crate) async fn of(engine: Engine, provider: Value, modes: &[&str]) -> Self {
        Self::with(engine, |config| {
            for (name, value) in provider.as_object().unwrap() {
                config["provider"][0][name] = value.clone();
            }
            config["model"][0]["modes"] = json!(modes);
            config["model"][0]["price"] = json!({"per_image": 50_000, "per_second": 7_000});
        })
        .await
    }

    /// Another node of the same studio.
    pub(crate) async fn another_node(&self) -> TestApp {
        self.node_with(|_| {}).await
    }

    /// Another node, with another configuration.
    pub(crate) async fn node_with(&self, change: impl FnOnce(&mut Value)) -> TestApp {
        let mut config = self.config.clone();
        change(&mut config);
        let (builder, _) = services(TestApp::builder(self.engine), &config);
        builder.on_database_of(&self.app).start().await
    }

    /// A user with this much money.
    pub(crate) async fn buyer(&self, user_id: &str, funds: i64) -> Client {
        let token = self.app.token(CITY, user_id).await;
        if funds > 0 {
            let input = json!({"user_id": user_id, "amount_microcredits": funds});
            self.app.admin().post("/v1/balance/add", input).await.expect(200);
        }
        self.app.user(&token)
    }

    /// Every file under its directory.
    pub(crate) fn files(&self) -> usize {
        let mut folders = vec![self.folder.path().to_owned()];
        let mut found = 0;
        while let Some(folder) = folders.pop() {
            for entry in std::fs::read_dir(folder).unwrap() {
                let path = entry.unwrap().path();
                if path.is_dir() { folders.push(path) } else { found += 1 }
            }
        }
        found
    }

    /// Runs jobs until this one has ended; gives it.
    pub(crate) async fn ended(&self, client: &Client, mode: &str, job_id: &Value) -> Value {
        let mut last = Value::Null;
        let ended = eventually(async || {
            self.app.run_jobs().await;
            let path = format!("/v1/ai/{mode}/result");
            last = client.post(&path, json!({"job_id": job_id})).await.expect(200);
            // What is due later is due now.
            self.app.clock().advance(Duration::from_secs(1));
            matches!(last["status"].as_str(), Some("succeeded" | "failed"))
        });
        ended.await;
        last
    }

    /// Makes images of this input; gives the job at its end.
    pub(crate) async fn made(&self, client: &Client, mode: &str, input: Value) -> Value {
        let path = format!("/v1/ai/{mode}/create");
        let job = client.post(&path, input).await.expect(200);
        self.ended(client, mode, &job["job_id"]).await
    }
}

/// Balance and held money of a buyer.
pub(crate) async fn wallet(client: &Client) -> (i64, i64) {
    let me = client.get("/v1/balance/me").await.expect(200);
    let amount = |name: &str| me[name].as_i64().unwrap_or_else(|| panic!("no {name}: {me}"));
    (amount("microcredits"), amount("held_microcredits"))
}

/// An answer of the images API of OpenAI with so many images.
pub(crate) fn images(count: usize) -> Answer {
    let data: Vec<Value> = (0..count).map(|_| json!({"b64_json": PNG})).collect();
    let usage = json!({"input_tokens": 12, "output_tokens": 1_056, "total_tokens": 1_068});
    Answer::json(200, &json!({"created": 1, "data": data, "usage": usage}))
}

/// An answer that is a file.
pub(crate) fn file(media_type: &str, bytes: &[u8]) -> Answer {
    Answer::pieces(media_type).write_bytes(bytes)
}

/// The bytes of [`PNG`].
pub(crate) fn png() -> Vec<u8> {
    STANDARD.decode(PNG).unwrap()
}

/// The addresses of the files of a job that succeeded.
pub(crate) fn file_urls(job: &Value) -> Vec<String> {
    assert_eq!(job["status"], "succeeded", "{job}");
    let parts = job["result"]["parts"].as_array().unwrap();
    parts.iter().map(|part| part["url"].as_str().unwrap().to_owned()).collect()
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

/// Runs a call beside the test, which waits for it.
#[expect(clippy::disallowed_methods, reason = "a client's task is none of the node's")]
pub(crate) fn beside<F>(call: F) -> tokio::task::JoinHandle<F::Output>
where
    F: Future<Output: Send> + Send + 'static,
{
    tokio::spawn(call)
}
