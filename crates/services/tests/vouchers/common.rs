//! The service under test, and what most tests do with it.

use downcity_services::{Balance, BalanceConfig};
use downcity_testkit::tokio::task::JoinSet;
use downcity_testkit::{Client, TestApp, TestAppBuilder, TestReply};
use serde_json::{Value, json};

/// The service as an unconfigured Federation has it.
pub(crate) fn balance(builder: TestAppBuilder) -> TestAppBuilder {
    builder.builtin(Balance::new(BalanceConfig::default()))
}

/// A user of the city `shop`, which is made when it is not there.
pub(crate) async fn user(app: &TestApp, user_id: &str) -> Client {
    if app.runtime().snapshot().city("shop").is_none() {
        app.create_city("shop").await;
    }
    app.user(&app.token("shop", user_id).await)
}

pub(crate) async fn post(client: &Client, action: &str, input: Value) -> TestReply {
    client.post(&format!("/v1/balance/{action}"), input).await
}

pub(crate) async fn get(client: &Client, path: &str) -> Value {
    client.get(&format!("/v1/balance/{path}")).await.expect(200)
}

/// What the user has, in microcredits.
pub(crate) async fn balance_of(user: &Client) -> i64 {
    get(user, "me").await["microcredits"].as_i64().expect("a whole number")
}

/// The ledger of a user as kinds and amounts, newest first.
pub(crate) async fn ledger(user: &Client) -> Vec<(String, i64)> {
    let history = get(user, "history/me?limit=200").await;
    let entries = history["items"].as_array().expect("a list").iter();
    entries.map(|entry| (text(entry, "kind"), entry["amount"].as_i64().unwrap())).collect()
}

/// A new code of this amount in credits; further fields are added.
pub(crate) async fn code(app: &TestApp, amount: i64, further: Value) -> Value {
    let mut input = json!({"amount": amount});
    input.as_object_mut().unwrap().extend(further.as_object().unwrap().clone());
    post(&app.admin(), "redeem-codes/create", input).await.expect(200)
}

/// A text of an answer.
#[track_caller]
pub(crate) fn text(value: &Value, field: &str) -> String {
    value[field].as_str().unwrap_or_else(|| panic!("no text {field} in {value}")).to_owned()
}

/// One field of every record of a list.
pub(crate) fn each(list: &Value, field: &str) -> Vec<String> {
    list["items"].as_array().expect("a list").iter().map(|item| text(item, field)).collect()
}

/// The answers of this many calls at once.
pub(crate) async fn at_once<F>(count: usize, call: impl Fn(usize) -> F) -> Vec<TestReply>
where
    F: Future<Output = TestReply> + Send + 'static,
{
    let mut calls: JoinSet<TestReply> = (0..count).map(call).collect();
    let mut replies = Vec::with_capacity(count);
    while let Some(reply) = calls.join_next().await {
        replies.push(reply.expect("the call ends"));
    }
    replies
}

/// How many of these answers have this status.
pub(crate) fn times(replies: &[TestReply], status: u16) -> usize {
    replies.iter().filter(|reply| reply.status == status).count()
}
