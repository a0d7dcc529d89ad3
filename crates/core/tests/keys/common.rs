//! A service to call with keys, and short ways to make them.

use std::sync::Arc;

use downcity_core::audit::Target;
use downcity_core::idempotency::{self, IdempotentRequest};
use downcity_core::{
    ADMIN, Cx, NoInput, PUBLIC, RawRequest, Reply, Result, Service, ServiceDef, USER, USER_OR_ADMIN,
};
use downcity_testkit::{Client, TestApp, TestAppBuilder, TestReply};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

/// Says who calls, on routes of every kind.
struct Probe;

#[derive(Deserialize, JsonSchema)]
struct InCity {
    /// The city.
    #[serde(default)]
    city_id: Option<String>,
}

/// An input that may not be about the city that it names.
#[derive(Deserialize, JsonSchema)]
#[serde(untagged)]
enum Either {
    All { everything: bool },
    One { city_id: String },
}

#[derive(Serialize, Deserialize, JsonSchema)]
struct Caller {
    kind: String,
    city_id: Option<String>,
}

impl Service for Probe {
    fn id(&self) -> &'static str {
        "probe"
    }

    fn name(&self) -> &'static str {
        "Probe"
    }

    fn define(self: Arc<Self>, s: &mut ServiceDef) {
        s.get("admin", ADMIN, &self, Self::who).summary("Say who calls.");
        s.post("admin", ADMIN, &self, Self::who).summary("Say who calls.");
        s.post("cities/{city_id}", ADMIN, &self, Self::who).summary("Say who calls.");
        s.post("both", USER_OR_ADMIN, &self, Self::who).summary("Say who calls.");
        s.post("user", USER, &self, Self::who).summary("Say who calls.");
        s.get("public", PUBLIC, &self, Self::who).summary("Say who calls.");
        s.get("everywhere", ADMIN, &self, Self::everywhere).summary("Say who calls.");
        s.post("either", ADMIN, &self, Self::either).summary("Say who calls.");
        s.post("once", ADMIN, &self, Self::once).summary("Say who called first with this key.");
        s.post("unset", ADMIN, &self, Self::unset).summary("Ask for a setting that is missing.");
        s.post("raw", ADMIN, &self, Self::raw).summary("Take the raw request.");
        s.post("open-raw", PUBLIC, &self, Self::raw).summary("Take the raw request.");
    }
}

fn caller(cx: &Cx, city_id: Option<String>) -> Caller {
    Caller { kind: cx.identity().kind().to_owned(), city_id }
}

impl Probe {
    async fn who(self: Arc<Self>, cx: Cx, input: InCity) -> Result<Caller> {
        Ok(caller(&cx, input.city_id))
    }

    async fn everywhere(self: Arc<Self>, cx: Cx, _: NoInput) -> Result<Caller> {
        Ok(caller(&cx, None))
    }

    async fn either(self: Arc<Self>, cx: Cx, input: Either) -> Result<Caller> {
        Ok(caller(
            &cx,
            match input {
                Either::All { everything } => Some(format!("everything: {everything}")),
                Either::One { city_id } => Some(city_id),
            },
        ))
    }

    async fn once(self: Arc<Self>, cx: Cx, input: InCity) -> Result<Caller> {
        let request = IdempotentRequest::of(&cx)?;
        let (kind, city) =
            (cx.identity().service_key().map(|key| key.id().to_owned()), input.city_id);
        cx.write(move |tx, trail| {
            idempotency::once(tx, trail, request.as_ref(), |_, trail| {
                trail.record(Target::new("probe", "1"), (), &city);
                Ok(Caller { kind: kind.clone().unwrap_or_default(), city_id: city.clone() })
            })
        })
        .await
    }

    async fn unset(self: Arc<Self>, cx: Cx, _: NoInput) -> Result<Caller> {
        cx.require_env("PROBE_KEY").map(|_| caller(&cx, None))
    }

    async fn raw(self: Arc<Self>, cx: Cx, _: RawRequest) -> Result<Reply> {
        Reply::json(&caller(&cx, None))
    }
}

/// An app with the probe.
pub(crate) fn with_probe(builder: TestAppBuilder) -> TestAppBuilder {
    builder.service(Probe)
}

/// Creates the cities of these ids.
pub(crate) async fn cities(app: &TestApp, ids: &[&str]) {
    for id in ids {
        app.create_city(id).await;
    }
}

/// Asks for a key.
pub(crate) async fn ask(app: &TestApp, input: Value) -> TestReply {
    app.admin().post("/v1/keys/create", input).await
}

/// Creates a key; the whole answer.
pub(crate) async fn create(app: &TestApp, input: Value) -> Value {
    ask(app, input).await.expect(200)
}

/// A client with a new key for these actions and cities.
pub(crate) async fn client(app: &TestApp, actions: &[&str], cities: &[&str]) -> Client {
    let issued = create(app, json!({"name": "K", "actions": actions, "cities": cities})).await;
    with_key(app, &issued)
}

/// A client with the key of this answer.
pub(crate) fn with_key(app: &TestApp, issued: &Value) -> Client {
    app.user(issued["key"].as_str().unwrap())
}

/// The status and code of an answer; no code on success.
pub(crate) fn outcome(reply: &TestReply) -> (u16, String) {
    let status = reply.status.as_u16();
    let code = if status == 200 { Value::Null } else { reply.json()["code"].clone() };
    (status, code.as_str().unwrap_or_default().to_owned())
}
