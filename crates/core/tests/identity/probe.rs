//! A service that says who calls, one route for each set of callers.

use std::sync::Arc;

use downcity_core::{ADMIN, Access, Cx, PUBLIC, Result, Service, ServiceDef, USER, USER_OR_ADMIN};
use downcity_testkit::{Client, TestApp, TestAppBuilder};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

/// The routes `/v1/probe/{name}` and who may call them; GET and POST.
pub(crate) const ROUTES: [(&str, Access); 4] =
    [("user", USER), ("admin", ADMIN), ("both", USER_OR_ADMIN), ("public", PUBLIC)];

struct Probe;

#[derive(Deserialize, JsonSchema)]
struct Nothing {}

#[derive(Serialize, JsonSchema)]
struct Caller {
    kind: String,
    user_id: Option<String>,
    city_id: Option<String>,
    metadata: Option<Map<String, Value>>,
}

impl Service for Probe {
    fn id(&self) -> &'static str {
        "probe"
    }

    fn name(&self) -> &'static str {
        "Probe"
    }

    fn define(self: Arc<Self>, service: &mut ServiceDef) {
        for (path, access) in ROUTES {
            service.get(path, access, &self, Self::who).summary("Say who calls.");
            service.post(path, access, &self, Self::who).summary("Say who calls.");
        }
    }
}

impl Probe {
    async fn who(self: Arc<Self>, cx: Cx, _: Nothing) -> Result<Caller> {
        let user = cx.identity().user();
        Ok(Caller {
            kind: cx.identity().kind().to_owned(),
            user_id: user.map(|user| user.user_id.to_string()),
            city_id: cx.city().map(|city| city.city_id.clone()),
            metadata: user.map(|user| user.metadata()),
        })
    }
}

/// An app with the probe.
pub(crate) fn with_probe(builder: TestAppBuilder) -> TestAppBuilder {
    builder.service(Probe)
}

/// Makes a node know at once what others have changed, without waiting for the notice.
pub(crate) async fn hear(node: &TestApp) {
    let revision = node.runtime().db().revision().await.unwrap();
    node.runtime().state().publish(revision).await.unwrap();
}

/// Status and error code (empty on success) of a user-only call.
pub(crate) async fn user_call(client: &Client) -> (u16, String) {
    let reply = client.get("/v1/probe/user").await;
    (reply.status.as_u16(), reply.json()["code"].as_str().unwrap_or_default().to_owned())
}

/// Asserts that the token is good for user-only calls.
#[track_caller]
pub(crate) fn assert_alive(call: (u16, String)) {
    assert_eq!(call, (200, String::new()));
}

/// Asserts that the token is refused with this code of status 401.
#[track_caller]
pub(crate) fn assert_dead(call: (u16, String), code: &str) {
    assert_eq!(call, (401, code.to_owned()));
}
