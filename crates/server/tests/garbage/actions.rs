//! Garbage for each action, from each kind of caller.

use std::sync::Arc;
use std::time::Duration;

use downcity_ai::{Ai, AiConfig, Billing};
use downcity_core::{Action, Body, ErrorShape, Runtime};
use downcity_services::{
    Accounts, AccountsConfig, Balance, BalanceConfig, MailConfig, Payment, PaymentConfig, Usage,
    UsageConfig,
};
use downcity_testkit::{Client, TestAppBuilder, TestClock, both_engines};
use http::Method;
use proptest::strategy::{Strategy as _, ValueTree as _};
use proptest::test_runner::{Config, TestRunner};
use serde_json::json;
use tokio::task::JoinSet;

use crate::input::{Garbage, input};

/// Inputs per action and caller.
fn cases() -> usize {
    let is_long = std::env::var_os("DOWNCITY_LONG_TESTS").is_some_and(|value| value == "1");
    if is_long { 2_000 } else { 40 }
}

pub(crate) fn everything(builder: TestAppBuilder) -> TestAppBuilder {
    let balance = Balance::new(BalanceConfig::default());
    let usage = Usage::new(UsageConfig::default());
    let billing = Billing { wallets: balance.clone(), facts: usage.clone() };
    let ai = Ai::new(AiConfig::default(), billing).expect("the defaults are valid");
    let accounts = Accounts::new(AccountsConfig::default(), MailConfig::default());
    let payment = Payment::new(PaymentConfig::default(), balance.clone());
    builder.builtin(accounts).builtin(balance).builtin(payment).builtin(usage).builtin(ai)
}

both_engines! {
    async fn garbage_gets_a_clear_answer(app: TestApp = everything) {
        let actions: Vec<_> = app.runtime().registry().actions().cloned().collect();
        // Some actions wait for a job.
        let mut jobs = JoinSet::new();
        jobs.spawn(run_jobs(app.runtime().clone(), app.clock().clone()));
        let mut runner = TestRunner::new_with_rng(
            Config::default(),
            proptest::test_runner::TestRng::deterministic_rng(
                proptest::test_runner::RngAlgorithm::ChaCha,
            ),
        );
        for action in &actions {
            // Garbage may have paused or removed the city: each action meets a user who is let in.
            let city = json!({"city_id": "city_g", "name": "G"});
            app.admin().post("/v1/cities/create", city.clone()).await;
            app.admin().post("/v1/cities/activate", city).await.expect(200);
            let token = app.token("city_g", "user_g").await;
            for client in [app.guest(), app.user(&token), app.admin()] {
                let inputs = input(action);
                for _ in 0..cases() {
                    let input = inputs.new_tree(&mut runner).expect("a strategy").current();
                    send(&client, action, input).await;
                }
            }
        }
        app.admin().get("/v1/cities/list").await.expect(200);
        jobs.shutdown().await;
    }
}

/// Runs jobs while time passes.
async fn run_jobs(runtime: Arc<Runtime>, clock: TestClock) {
    loop {
        downcity_core::jobs::run_due(&runtime).await.expect("the jobs table answers");
        clock.advance(Duration::from_millis(5));
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
}

async fn send(client: &Client, action: &Action, input: Garbage) {
    let method = action.method().cloned().unwrap_or(Method::PUT);
    let mut path = action.path().replace(['{', '}', '*'], "");
    let body = match &input {
        Garbage::Json(value) => Body::from(value.to_string()),
        Garbage::Bytes(bytes) => Body::from(bytes::Bytes::from(bytes.clone())),
        Garbage::Query(query) => {
            path = format!("{path}?{query}");
            Body::Empty
        }
    };
    let reply = client.send(method, &path, body).await;
    let told = || format!("{action:?} {input:?} -> {} {}", reply.status, reply.text());
    assert!(reply.status.as_u16() < 500, "{}", told());
    assert!(reply.header("x-request-id").is_some(), "{}", told());
    if reply.status.is_success() {
        return;
    }
    // The pages that people see say it in words.
    if reply.header("content-type").is_some_and(|kind| kind.starts_with("text/html")) {
        let page = reply.text();
        assert!(page.contains("<title>") && !page.contains("<title></title>"), "{}", told());
        return;
    }
    let body = reply.json();
    match action.error_shape() {
        ErrorShape::Standard => {
            assert!(body["error"].is_string() && body["code"].is_string(), "{}", told());
        }
        ErrorShape::OpenAi => {
            for key in ["message", "type", "param", "code"] {
                assert!(body["error"].get(key).is_some(), "{key}: {}", told());
            }
        }
        ErrorShape::Anthropic => {
            assert_eq!(body["type"], "error", "{}", told());
            for key in ["type", "message", "code"] {
                assert!(body["error"][key].is_string(), "{key}: {}", told());
            }
        }
    }
}
