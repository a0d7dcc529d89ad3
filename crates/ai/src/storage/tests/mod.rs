//! The storage behind a service that stores what it is sent.

mod files;
mod s3;
mod take;

use std::sync::Arc;

use downcity_core::{Cx, ErrorShape, PUBLIC, Result, Service, ServiceDef};
use downcity_services::{Balance, BalanceConfig, Usage, UsageConfig};
use downcity_testkit::{Engine, TestApp, TestAppBuilder};
use schemars::JsonSchema;
use serde::Deserialize;
use serde_json::{Value, json};
use tempfile::TempDir;

use super::{Source, Stored};
use crate::{Ai, Billing};

/// A Federation with a directory of files, or with a bucket.
struct World {
    app: TestApp,
    ai: Arc<Ai>,
    folder: TempDir,
}

/// Stores what it is sent, and gives links to it.
struct Maker(Arc<Ai>);

#[derive(Deserialize, JsonSchema)]
struct PutIn {
    /// The bytes, as text.
    text: String,
    media_type: String,
    name: Option<String>,
}

#[derive(Deserialize, JsonSchema)]
struct TakeIn {
    url: String,
    media_type: Option<String>,
    name: Option<String>,
}

#[derive(Deserialize, JsonSchema)]
struct LinkIn {
    stored: Value,
}

impl Maker {
    async fn put(self: Arc<Self>, cx: Cx, input: PutIn) -> Result<Value> {
        let storage = self.0.catalog().storage.clone();
        let name = input.name.as_deref();
        let text = input.text.into();
        let stored = storage.put(cx.runtime(), text, &input.media_type, name).await?;
        told(&self.0, &cx, &stored)
    }

    async fn take(self: Arc<Self>, cx: Cx, input: TakeIn) -> Result<Value> {
        let storage = self.0.catalog().storage.clone();
        let source = Source {
            url: &input.url,
            media_type: input.media_type.as_deref(),
            filename: input.name.as_deref(),
            kind: None,
        };
        let taken = storage.take(cx.runtime(), source).await;
        told(&self.0, &cx, &taken.map_err(crate::failure::Failure::into_error)?)
    }

    async fn get(self: Arc<Self>, cx: Cx, input: LinkIn) -> Result<Value> {
        let storage = self.0.catalog().storage.clone();
        let stored = serde_json::from_value(input.stored).unwrap();
        let bytes = storage.get(cx.runtime(), &stored).await?;
        Ok(json!({"text": std::str::from_utf8(&bytes).unwrap()}))
    }

    async fn link(self: Arc<Self>, cx: Cx, input: LinkIn) -> Result<Value> {
        told(&self.0, &cx, &serde_json::from_value(input.stored).unwrap())
    }
}

fn told(ai: &Ai, cx: &Cx, stored: &Stored) -> Result<Value> {
    let url = ai.catalog().storage.url(cx, stored)?;
    Ok(json!({"stored": stored, "url": url}))
}

impl Service for Maker {
    fn id(&self) -> &'static str {
        "maker"
    }

    fn name(&self) -> &'static str {
        "Maker"
    }

    fn define(self: Arc<Self>, s: &mut ServiceDef) {
        let shape = ErrorShape::Standard;
        s.post("put", PUBLIC, &self, Self::put).summary("Store.").errors(shape);
        s.post("take", PUBLIC, &self, Self::take).summary("Download.").errors(shape);
        s.post("get", PUBLIC, &self, Self::get).summary("Read.").errors(shape);
        s.post("link", PUBLIC, &self, Self::link).summary("Link.").errors(shape);
    }
}

fn service(storage: Value) -> Arc<Ai> {
    let config = serde_json::from_value(json!({ "storage": storage })).unwrap();
    let wallets = Balance::new(BalanceConfig::default());
    let billing = Billing { wallets, facts: Usage::new(UsageConfig::default()) };
    Ai::new(config, billing).unwrap()
}

impl World {
    /// A world with these settings of `[ai.storage]`; its directory is named where they name none.
    async fn with(
        mut storage: Value,
        change: impl FnOnce(TestAppBuilder) -> TestAppBuilder,
    ) -> Self {
        let folder = tempfile::tempdir().unwrap();
        if storage.get("dir").is_none() {
            storage["dir"] = json!(folder.path().join("files"));
        }
        let ai = service(storage);
        let builder = TestApp::builder(Engine::Sqlite).builtin(ai.clone());
        let app = change(builder.service(Maker(ai.clone()))).start().await;
        Self { app, ai, folder }
    }

    async fn new() -> Self {
        Self::with(json!({}), |builder| builder).await
    }

    /// Stores a text; gives what is stored and a link to it.
    async fn put(&self, text: &str, media_type: &str, name: Option<&str>) -> (Value, String) {
        let input = json!({"text": text, "media_type": media_type, "name": name});
        let answer = self.app.guest().post("/v1/maker/put", input).await.expect(200);
        (answer["stored"].clone(), answer["url"].as_str().unwrap().to_owned())
    }

    /// Every file under the directory.
    fn files(&self) -> Vec<std::path::PathBuf> {
        let mut found = Vec::new();
        let mut folders = vec![self.folder.path().to_owned()];
        while let Some(folder) = folders.pop() {
            for entry in std::fs::read_dir(folder).unwrap() {
                let path = entry.unwrap().path();
                if path.is_dir() { folders.push(path) } else { found.push(path) }
            }
        }
        found
    }
}
