//! What these tests share: looking until something is so, and saying how long it took.

use std::time::{Duration, Instant};

use downcity_testkit::{Client, TestApp};
use serde_json::{Value, json};

/// What is promised: a change is in force on every node within this time.
pub(crate) const PROMISED: Duration = Duration::from_secs(1);

/// What a machine that runs other tests at the same time may add.
pub(crate) const SLACK: Duration = Duration::from_secs(3);

/// Looks until `holds` says so; fails the test when that takes too long.
pub(crate) async fn soon(what: &str, holds: impl AsyncFn() -> bool) {
    let began = Instant::now();
    while !holds().await {
        let waited = began.elapsed();
        assert!(waited < PROMISED + SLACK, "{what}: not in force after {waited:?}");
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    println!("{what}: in force after {:?}", began.elapsed());
}

/// Whether the node lets the holder of this token in.
pub(crate) async fn lets_in(node: &TestApp, user_token: &str) -> bool {
    let input = json!({"user_token": user_token});
    let status = node.admin().post("/v1/cities/tokens/verify", input).await;
    status.expect(200)["active"] == true
}

/// The status of a call that only looks at the node's memory.
pub(crate) async fn status_of(client: &Client) -> u16 {
    client.get("/v1/env/list").await.status.as_u16()
}

/// The keys of the env vault that the node knows.
pub(crate) async fn knows_env(node: &TestApp, key: &str) -> bool {
    let list = node.admin().get("/v1/env/list").await.expect(200);
    list["items"].as_array().unwrap().iter().any(|entry| entry["key"] == key)
}

/// The code of an attempt to issue a token in a city; empty when it works.
pub(crate) async fn issuing(node: &TestApp, city_id: &str) -> String {
    let input = json!({"city_id": city_id, "user_id": "u"});
    let reply = node.admin().post("/v1/cities/tokens/apply", input).await.json();
    reply["code"].as_str().unwrap_or_default().to_owned()
}

pub(crate) async fn put_env(client: &Client, key: &str, value: &str) {
    let input = json!({"key": key, "value": value});
    client.post("/v1/env/upsert", input).await.expect(200);
}

pub(crate) async fn revoke(node: &TestApp, input: Value) {
    node.admin().post("/v1/cities/tokens/revoke", input).await.expect(200);
}
