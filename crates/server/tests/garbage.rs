//! Every action of the registry meets generated garbage: the answer is never a 5xx, never a panic,
//! and every error has the documented shape.

#![cfg(test)]

use downcity_ai::{Ai, AiConfig};
use downcity_core::{Action, Body, ErrorShape, InputKind};
use downcity_testkit::{Client, TestAppBuilder, both_engines};
use http::Method;
use proptest::prelude::*;
use proptest::strategy::ValueTree as _;
use proptest::test_runner::{Config, TestRunner};
use serde_json::{Map, Value, json};

/// Inputs per action and identity. More with `DOWNCITY_GARBAGE_CASES`.
fn cases() -> usize {
    std::env::var("DOWNCITY_GARBAGE_CASES").ok().and_then(|n| n.parse().ok()).unwrap_or(40)
}

fn everything(builder: TestAppBuilder) -> TestAppBuilder {
    builder.builtin(Ai::new(AiConfig::default()).expect("the defaults are valid"))
}

both_engines! {
    async fn garbage_gets_a_clear_answer(app: TestApp = everything) {
        let actions: Vec<_> = app.runtime().registry().actions().cloned().collect();
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
                for _ in 0..cases() {
                    let input = input(action).new_tree(&mut runner).expect("a strategy").current();
                    send(&client, action, input).await;
                }
            }
        }
        app.admin().get("/v1/cities/list").await.expect(200);
    }
}

/// What goes over the wire.
#[derive(Debug, Clone)]
enum Garbage {
    Json(Value),
    Bytes(Vec<u8>),
    Query(String),
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
    }
}

fn input(action: &Action) -> BoxedStrategy<Garbage> {
    let names = field_names(action);
    if action.method() == Some(&Method::GET) {
        return query(names).prop_map(Garbage::Query).boxed();
    }
    prop_oneof![
        8 => object(names).prop_map(Garbage::Json),
        1 => scalar().prop_map(Garbage::Json),
        1 => prop::collection::vec(any::<u8>(), 0..200).prop_map(Garbage::Bytes),
    ]
    .boxed()
}

/// The fields that the action's schema knows: garbage in a known field goes deepest.
fn field_names(action: &Action) -> Vec<String> {
    let InputKind::Typed(schema) = action.input() else { return Vec::new() };
    let mut generator = schemars::SchemaGenerator::default();
    let _ = schema(&mut generator);
    let mut names: Vec<String> = generator
        .definitions()
        .values()
        .filter_map(|definition| definition.get("properties")?.as_object())
        .flat_map(|properties| properties.keys().cloned())
        .collect();
    names.push("city_id".to_owned());
    names
}

fn odd_text() -> BoxedStrategy<String> {
    prop_oneof![
        Just(String::new()),
        Just(" ".to_owned()),
        Just("\u{0}".to_owned()),
        Just("\u{feff}\u{202e}e\u{301}👩‍👩‍👧‍👦".to_owned()),
        Just("city_g".to_owned()),
        Just("user_g".to_owned()),
        Just("99999999999999999999d".to_owned()),
        Just("x".repeat(3000)),
        Just("' OR 1=1; --".to_owned()),
        Just("../../etc/passwd".to_owned()),
        "\\PC{0,20}",
        any::<String>(),
    ]
    .boxed()
}

fn scalar() -> BoxedStrategy<Value> {
    prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        any::<i64>().prop_map(Value::from),
        any::<f64>().prop_map(|number| json!(number)),
        Just(json!(1e300)),
        Just(json!(-1)),
        odd_text().prop_map(Value::from),
    ]
    .boxed()
}

fn value(names: Vec<String>) -> BoxedStrategy<Value> {
    scalar()
        .prop_recursive(3, 12, 4, move |inner| {
            let keys = prop::sample::select(names.clone());
            prop_oneof![
                prop::collection::vec(inner.clone(), 0..4).prop_map(Value::from),
                prop::collection::vec((prop_oneof![keys, odd_text()], inner), 0..4)
                    .prop_map(|pairs| Value::Object(pairs.into_iter().collect())),
            ]
        })
        .boxed()
}

fn object(names: Vec<String>) -> BoxedStrategy<Value> {
    let keys = prop::sample::select(names.clone());
    prop::collection::vec((prop_oneof![9 => keys, 1 => odd_text()], value(names)), 0..6)
        .prop_map(|pairs| Value::Object(Map::from_iter(pairs)))
        .boxed()
}

fn query(names: Vec<String>) -> BoxedStrategy<String> {
    let names = if names.is_empty() { vec!["x".to_owned()] } else { names };
    let keys = prop::sample::select(names);
    prop::collection::vec((prop_oneof![9 => keys, 1 => odd_text()], odd_text()), 0..5)
        .prop_map(|pairs| {
            form_urlencoded::Serializer::new(String::new()).extend_pairs(pairs).finish()
        })
        .boxed()
}
