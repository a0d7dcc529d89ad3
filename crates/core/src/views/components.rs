//! The named schemas of the OpenAPI document: those in use, under names that stay.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::{Map, Value};

use super::parameters::{SCHEMAS, referenced};

/// Keeps the schemas that the operations and shared responses refer to, sorted by name, and gives
/// them their final names throughout.
///
/// The generator numbers types of one name in the order in which it meets them, so that a further
/// service would rename the types of others. Such types carry the name of their service instead.
pub(super) fn tidy(
    paths: &mut Map<String, Value>,
    responses: &mut BTreeMap<&'static str, Value>,
    definitions: Map<String, Value>,
) -> Map<String, Value> {
    let users = users(paths, responses, &definitions);
    let names = names(&users, &definitions);
    let mut schemas: BTreeMap<String, Value> = definitions
        .into_iter()
        .filter(|(name, _)| users.contains_key(name))
        .map(|(name, schema)| (names.get(&name).cloned().unwrap_or(name), schema))
        .collect();
    paths
        .values_mut()
        .chain(responses.values_mut())
        .chain(schemas.values_mut())
        .for_each(|value| finish(value, &names));
    schemas.into_iter().collect()
}

/// The services that use a schema, by its name; shared responses belong to none.
type Users = BTreeMap<String, BTreeSet<String>>;

fn users(
    paths: &Map<String, Value>,
    responses: &BTreeMap<&'static str, Value>,
    definitions: &Map<String, Value>,
) -> Users {
    let operations = paths.values().filter_map(Value::as_object).flat_map(Map::values);
    let operations = operations.map(|operation| {
        let service = operation.pointer("/tags/0").and_then(Value::as_str).unwrap_or_default();
        (service, operation)
    });
    let mut users = Users::new();
    for (service, value) in operations.chain(responses.values().map(|value| ("", value))) {
        let mut used = BTreeSet::new();
        mark_used(value, definitions, &mut used);
        for name in used {
            users.entry(name).or_default().insert(service.to_owned());
        }
    }
    users
}

/// Marks every named schema that this value refers to, directly or through others.
fn mark_used(value: &Value, definitions: &Map<String, Value>, used: &mut BTreeSet<String>) {
    match value {
        Value::Array(items) => items.iter().for_each(|item| mark_used(item, definitions, used)),
        Value::Object(object) => {
            let name = object.get("$ref").and_then(Value::as_str);
            if let Some(name) = name.and_then(|name| name.strip_prefix(SCHEMAS))
                && used.insert(name.to_owned())
                && let Some(target) = referenced(value, definitions)
            {
                mark_used(target, definitions, used);
            }
            object.values().for_each(|item| mark_used(item, definitions, used));
        }
        _ => {}
    }
}

/// New names for types that share theirs with others, where one service alone uses them.
fn names(users: &Users, definitions: &Map<String, Value>) -> BTreeMap<String, String> {
    let shared: BTreeSet<&str> =
        users.keys().filter_map(|name| numbered(name, definitions)).collect();
    let mut names = BTreeMap::new();
    let mut taken: BTreeSet<String> = definitions.keys().cloned().collect();
    for (name, services) in users {
        let base = numbered(name, definitions).unwrap_or(name);
        let (true, Some(service), 1) = (shared.contains(base), services.first(), services.len())
        else {
            continue;
        };
        let own = format!("{}{base}", pascal_case(service));
        if taken.insert(own.clone()) {
            names.insert(name.clone(), own);
        }
    }
    names
}

/// The name that a numbered one was made from.
fn numbered<'a>(name: &'a str, definitions: &Map<String, Value>) -> Option<&'a str> {
    let base = name.trim_end_matches(|c: char| c.is_ascii_digit());
    (base.len() < name.len() && definitions.contains_key(base)).then_some(base)
}

fn pascal_case(id: &str) -> String {
    let words = id.split(|c: char| !c.is_ascii_alphanumeric());
    words
        .flat_map(|word| {
            let (first, rest) = word.split_at(word.len().min(1));
            [first.to_ascii_uppercase(), rest.to_owned()]
        })
        .collect()
}

/// Puts the final names into references. Doc comments also link to other Rust items; outside of
/// Rust only their names say something.
fn finish(value: &mut Value, names: &BTreeMap<String, String>) {
    match value {
        Value::Array(items) => items.iter_mut().for_each(|item| finish(item, names)),
        Value::Object(object) => {
            if let Some(Value::String(target)) = object.get_mut("$ref")
                && let Some(name) = target.strip_prefix(SCHEMAS).and_then(|old| names.get(old))
            {
                *target = format!("{SCHEMAS}{name}");
            }
            if let Some(Value::String(text)) = object.get_mut("description") {
                *text = text.replace("[`", "`").replace("`]", "`");
            }
            object.values_mut().for_each(|item| finish(item, names));
        }
        _ => {}
    }
}
