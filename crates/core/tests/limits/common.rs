//! A service to call, and short ways to call it.

use std::sync::Arc;
use std::time::Duration;

use downcity_core::limits::LimitSettings;
use downcity_core::{Cx, ErrorShape, NoInput, PUBLIC, Result, Service, ServiceDef, USER_OR_ADMIN};
use downcity_testkit::{Client, Engine, TestApp, TestAppBuilder, TestReply, block_on};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

struct Probe;

#[derive(Deserialize, JsonSchema)]
struct Text {
    #[expect(dead_code, reason = "only its presence counts")]
    text: String,
}

#[derive(Serialize, JsonSchema)]
struct Done {
    done: bool,
}

impl Service for Probe {
    fn id(&self) -> &'static str {
        "probe"
    }

    fn name(&self) -> &'static str {
        "Probe"
    }

    fn define(self: Arc<Self>, s: &mut ServiceDef) {
        s.get("open", PUBLIC, &self, Self::get).summary("Answer everybody.");
        s.get("mine", USER_OR_ADMIN, &self, Self::get).summary("Answer those who are known.");
        s.post("text", USER_OR_ADMIN, &self, Self::text).summary("Take a text.").body_limit(16);
        s.get("chat", USER_OR_ADMIN, &self, Self::get)
            .errors(ErrorShape::OpenAi)
            .summary("Answer as OpenAI does.");
    }
}

impl Probe {
    async fn get(self: Arc<Self>, _: Cx, _: NoInput) -> Result<Done> {
        Ok(Done { done: true })
    }

    async fn text(self: Arc<Self>, _: Cx, _: Text) -> Result<Done> {
        Ok(Done { done: true })
    }
}

/// Settings without any limit, and what is made of them.
fn limits(change: impl FnOnce(&mut LimitSettings)) -> LimitSettings {
    let mut settings = LimitSettings {
        address: 0,
        failed_auth: 0,
        user: 0,
        city: 0,
        credential: 0,
        ..LimitSettings::default()
    };
    change(&mut settings);
    settings
}

/// An app with the service, of which only the given limits hold.
pub(crate) fn limited(
    builder: TestAppBuilder,
    change: impl FnOnce(&mut LimitSettings),
) -> TestAppBuilder {
    let limits = limits(change);
    builder.service(Probe).settings(|settings| settings.limits = limits)
}

/// Runs a test on an app of which only the given limits hold.
pub(crate) fn with<F: Future<Output = ()>>(
    change: impl FnOnce(&mut LimitSettings),
    test: impl FnOnce(TestApp) -> F,
) {
    block_on(async {
        let app = limited(TestApp::builder(Engine::Sqlite), change).start().await;
        app.create_city("a").await;
        app.create_city("b").await;
        test(app).await;
    });
}

/// The client at an address.
pub(crate) fn at(client: Client, address: &str) -> Client {
    client.at(address.parse().unwrap())
}

/// The statuses of so many calls.
pub(crate) async fn statuses(client: &Client, path: &str, calls: usize) -> Vec<u16> {
    let mut statuses = Vec::new();
    for _ in 0..calls {
        statuses.push(client.get(path).await.status.as_u16());
    }
    statuses
}

/// A header that is a number.
#[track_caller]
pub(crate) fn number(reply: &TestReply, name: &str) -> u64 {
    let value = reply.header(name).unwrap_or_else(|| panic!("no {name}: {:?}", reply.headers));
    value.parse().unwrap()
}

/// Limit and remaining as the answer tells them.
#[track_caller]
pub(crate) fn told(reply: &TestReply) -> (u64, u64) {
    let reset = number(reply, "x-ratelimit-reset");
    assert!((1..=69).contains(&reset), "{reset}");
    (number(reply, "x-ratelimit-limit"), number(reply, "x-ratelimit-remaining"))
}

/// Asserts the refusal of a limit, and gives the time after which it lets in again.
#[track_caller]
pub(crate) fn expect_limited(reply: &TestReply, limit: u64) -> Duration {
    let body = reply.expect_error(429, "rate_limited");
    assert_eq!(told(reply), (limit, 0));
    let wait = number(reply, "retry-after");
    assert!((1..=69).contains(&wait), "{wait}");
    let text = body["error"].as_str().unwrap();
    assert!(text.ends_with(&format!("; try again in {wait} s.")), "{text}");
    Duration::from_secs(wait)
}
