//! The JSON schema of the configuration, and how to walk it.

use schemars::generate::SchemaSettings;
use serde_json::{Map, Value};

use super::Config;

/// The schema of [`Config`].
pub(super) struct ConfigSchema {
    root: Value,
}

impl ConfigSchema {
    pub(super) fn new() -> Self {
        let generator = SchemaSettings::draft2020_12().into_generator();
        Self { root: generator.into_root_schema_for::<Config>().to_value() }
    }

    pub(super) fn root(&self) -> &Value {
        &self.root
    }

    /// The schemas a value may follow: references are followed, alternatives are opened.
    pub(super) fn alternatives<'a>(&'a self, schema: &'a Value) -> Vec<&'a Value> {
        if let Some(target) = schema.get("$ref").and_then(Value::as_str) {
            let target = target.strip_prefix('#').and_then(|pointer| self.root.pointer(pointer));
            return target.map_or_else(Vec::new, |target| self.alternatives(target));
        }
        for key in ["anyOf", "oneOf", "allOf"] {
            if let Some(list) = schema.get(key).and_then(Value::as_array) {
                return list.iter().flat_map(|schema| self.alternatives(schema)).collect();
            }
        }
        vec![schema]
    }

    /// The keys that a table may hold, with their schemas; `None` when any key may stand there.
    pub(super) fn properties<'a>(&'a self, schema: &'a Value) -> Option<Vec<(&'a str, &'a Value)>> {
        let mut known = Vec::new();
        for schema in self.alternatives(schema) {
            let properties = schema.get("properties").and_then(Value::as_object);
            if properties.is_none() && may_be(schema, "object") {
                return None;
            }
            known
                .extend(properties.into_iter().flatten().map(|(key, value)| (key.as_str(), value)));
        }
        Some(known)
    }

    /// The table that a value is; `None` for other values and for tables with free keys.
    pub(super) fn table<'a>(&'a self, schema: &'a Value) -> Option<&'a Value> {
        let mut tables = self.alternatives(schema).into_iter().filter(|schema| !is_null(schema));
        let table = tables.next().filter(|schema| schema.get("properties").is_some())?;
        tables.next().is_none().then_some(table)
    }

    /// The table that each item of a list is.
    pub(super) fn table_of_list<'a>(&'a self, schema: &'a Value) -> Option<&'a Value> {
        let lists = self.alternatives(schema);
        lists.into_iter().find_map(|list| self.table(list.get("items")?))
    }

    /// The schema of a key below a table.
    pub(super) fn child<'a>(&'a self, schema: &'a Value, key: &str) -> Option<&'a Value> {
        let known = self.properties(schema)?;
        known.into_iter().find(|(name, _)| *name == key).map(|(_, schema)| schema)
    }

    /// The schema at a path of keys.
    pub(super) fn at(&self, path: &[&str]) -> Option<&Value> {
        path.iter().try_fold(&self.root, |schema, key| self.child(schema, key))
    }

    /// The names of the types that a value may have; empty = any.
    pub(super) fn types<'a>(&'a self, schema: &'a Value) -> Vec<&'a str> {
        let mut types = Vec::new();
        for schema in self.alternatives(schema) {
            match schema.get("type") {
                Some(Value::String(one)) => types.push(one.as_str()),
                Some(Value::Array(several)) => {
                    types.extend(several.iter().filter_map(Value::as_str))
                }
                _ if schema.get("const").is_some_and(Value::is_string) => types.push("string"),
                _ => return Vec::new(),
            }
        }
        types
    }
}

fn may_be(schema: &Value, wanted: &str) -> bool {
    match schema.get("type") {
        Some(Value::String(one)) => one == wanted,
        Some(Value::Array(several)) => several.iter().any(|one| one == wanted),
        _ => true,
    }
}

fn is_null(schema: &Value) -> bool {
    schema.get("type").is_some_and(|name| name == "null")
}

/// The first paragraph of a schema's description, on one line.
pub(super) fn description(schema: &Value) -> String {
    let text = schema.get("description").and_then(Value::as_str).unwrap_or_default();
    let first = text.split("\n\n").next().unwrap_or_default();
    first.split_whitespace().collect::<Vec<_>>().join(" ")
}

/// A table that has the value at the path, and nothing else.
pub(super) fn nested(path: &[&str], value: Value) -> Value {
    path.iter().rev().fold(value, |inner, key| {
        let mut table = Map::new();
        table.insert((*key).to_owned(), inner);
        Value::Object(table)
    })
}
