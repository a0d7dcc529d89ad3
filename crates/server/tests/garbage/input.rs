//! What is sent: values from the schema of an action, and values that know nothing of it.

use downcity_core::{Action, InputKind};
use http::Method;
use proptest::prelude::*;
use proptest::sample::Index;
use serde_json::{Map, Value, json};

/// What goes over the wire.
#[derive(Debug, Clone)]
pub(crate) enum Garbage {
    Json(Value),
    Bytes(Vec<u8>),
    Query(String),
}

/// Inputs for an action.
pub(crate) fn input(action: &Action) -> BoxedStrategy<Garbage> {
    let names = field_names(action);
    if action.method() == Some(&Method::GET) {
        return query(names).prop_map(Garbage::Query).boxed();
    }
    let good = good(action);
    let slips = prop::collection::vec((any::<Index>(), value(names.clone()), 0..4_u8), 1..3);
    prop_oneof![
        4 => good.clone().prop_map(Garbage::Json),
        4 => (good, slips).prop_map(|(good, slips)| Garbage::Json(with_slips(good, slips))),
        4 => object(names).prop_map(Garbage::Json),
        1 => scalar().prop_map(Garbage::Json),
        1 => prop::collection::vec(any::<u8>(), 0..200).prop_map(Garbage::Bytes),
    ]
    .boxed()
}

/// The schema of an action's input and what it refers to.
fn schema(action: &Action) -> (Value, Map<String, Value>) {
    let InputKind::Typed(schema) = action.input() else { return (json!({}), Map::new()) };
    let mut generator = schemars::SchemaGenerator::default();
    let own = schema(&mut generator).to_value();
    (own, generator.take_definitions(true))
}

/// The fields that the action's schema knows: garbage in a known field goes deepest.
fn field_names(action: &Action) -> Vec<String> {
    let (own, definitions) = schema(action);
    let mut names: Vec<String> = definitions
        .values()
        .chain([&own])
        .filter_map(|definition| definition.get("properties")?.as_object())
        .flat_map(|properties| properties.keys().cloned())
        .collect();
    names.push("city_id".to_owned());
    names
}

/// Inputs that the action's schema allows.
fn good(action: &Action) -> BoxedStrategy<Value> {
    let (own, definitions) = schema(action);
    like(&own, &definitions, 5)
}

/// Values that a schema allows, as far as types, choices and required fields go.
fn like(schema: &Value, definitions: &Map<String, Value>, depth: u32) -> BoxedStrategy<Value> {
    let part = |schema: &Value| like(schema, definitions, depth.saturating_sub(1));
    if depth == 0 {
        return Just(Value::Null).boxed();
    }
    if let Some(name) = schema["$ref"].as_str().and_then(|path| path.rsplit('/').next()) {
        return part(definitions.get(name).unwrap_or(&Value::Null));
    }
    if let Some(value) = schema.get("const") {
        return Just(value.clone()).boxed();
    }
    if let Some(choices) = schema["enum"].as_array() {
        return prop::sample::select(choices.clone()).boxed();
    }
    if let Some(choices) = schema["anyOf"].as_array().or(schema["oneOf"].as_array()) {
        return prop::strategy::Union::new(choices.iter().map(part)).boxed();
    }
    let kinds = match &schema["type"] {
        Value::Array(kinds) => kinds.clone(),
        kind => vec![kind.clone()],
    };
    let of_kind = kinds.iter().map(|kind| match kind.as_str() {
        Some("string") => text().prop_map(Value::from).boxed(),
        Some("integer") => prop_oneof![(0..100_i64), any::<i64>()].prop_map(Value::from).boxed(),
        Some("number") => any::<f64>().prop_map(|number| json!(number)).boxed(),
        Some("boolean") => any::<bool>().prop_map(Value::from).boxed(),
        Some("null") => Just(Value::Null).boxed(),
        Some("array") => {
            prop::collection::vec(part(&schema["items"]), 0..3).prop_map(Value::from).boxed()
        }
        Some("object") => fields(schema, part),
        _ => scalar(),
    });
    prop::strategy::Union::new(of_kind).boxed()
}

/// Objects with all required fields and some of the others.
fn fields(schema: &Value, part: impl Fn(&Value) -> BoxedStrategy<Value>) -> BoxedStrategy<Value> {
    let required: Vec<&str> =
        schema["required"].as_array().into_iter().flatten().filter_map(Value::as_str).collect();
    let properties = schema["properties"].as_object().into_iter().flatten();
    let fields: Vec<_> = properties
        .map(|(name, schema)| {
            let value = part(schema);
            let value = if required.contains(&name.as_str()) {
                value.prop_map(Some).boxed()
            } else {
                prop::option::of(value).boxed()
            };
            (Just(name.clone()), value)
        })
        .collect();
    fields
        .prop_map(|fields| {
            let present = fields.into_iter().filter_map(|(name, value)| Some((name, value?)));
            Value::Object(present.collect())
        })
        .boxed()
}

/// Texts that mean something to some action, and texts that mean nothing to any.
fn text() -> BoxedStrategy<String> {
    let known = [
        "city_g",
        "user_g",
        "7d",
        "echo",
        "KEY_G",
        "A=1\nB=2",
        "cities/list",
        "user",
        "text",
        "hmac",
    ];
    prop_oneof![
        2 => prop::sample::select(known.to_vec()).prop_map(str::to_owned),
        1 => odd_text(),
    ]
    .boxed()
}

/// A value of which some fields are replaced, removed, wrapped or doubled.
fn with_slips(mut good: Value, slips: Vec<(Index, Value, u8)>) -> Value {
    for (at, other, kind) in slips {
        let Some(object) = good.as_object_mut().filter(|object| !object.is_empty()) else { break };
        let Some(name) = object.keys().nth(at.index(object.len())).cloned() else { break };
        match kind {
            0 => drop(object.insert(name, other)),
            1 => drop(object.remove(&name)),
            2 => {
                let inner = object.remove(&name);
                object.insert(name, json!([inner]));
            }
            _ => {
                let inner = object.get(&name).cloned();
                object.insert(format!("{name}s"), json!(inner));
            }
        }
    }
    good
}

pub(crate) fn odd_text() -> BoxedStrategy<String> {
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
