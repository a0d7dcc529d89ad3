//! Compares a configuration with its schema: unknown keys and values of the wrong type, all of them.

use serde_json::{Map, Value};

use super::document::join;
use super::schema::ConfigSchema;

/// Something at a path that does not fit the schema.
pub(super) struct Mismatch {
    pub(super) path: String,
    pub(super) message: String,
}

/// Finds every mismatch and takes it out of `values`, so that the rest can be read.
pub(super) fn check(schema: &ConfigSchema, values: &mut Map<String, Value>) -> Vec<Mismatch> {
    let mut checker = Checker { schema, found: Vec::new() };
    checker.table("", schema.root(), values);
    checker.found
}

struct Checker<'a> {
    schema: &'a ConfigSchema,
    found: Vec<Mismatch>,
}

impl Checker<'_> {
    fn table(&mut self, path: &str, schema: &Value, values: &mut Map<String, Value>) {
        let Some(known) = self.schema.properties(schema) else { return };
        values.retain(|key, value| {
            let path = join(path, key);
            match known.iter().find(|(name, _)| name == key) {
                None => {
                    self.unknown(path, key, &known);
                    false
                }
                Some((_, schema)) => self.value(&path, schema, value),
            }
        });
    }

    /// Says whether the value may stay.
    fn value(&mut self, path: &str, schema: &Value, value: &mut Value) -> bool {
        let types = self.schema.types(schema);
        if !types.is_empty() && !types.iter().any(|wanted| has_type(value, wanted)) {
            let message = format!("must be {}, not {}", list(&types), type_name(value));
            self.found.push(Mismatch { path: path.to_owned(), message });
            // Without it, a required key of a list's table would be reported as missing too.
            return path.contains('[');
        }
        match value {
            Value::Object(values) => self.table(path, schema, values),
            Value::Array(items) => {
                let alternatives = self.schema.alternatives(schema);
                let Some(each) = alternatives.iter().find_map(|schema| schema.get("items")) else {
                    return true;
                };
                for (index, item) in items.iter_mut().enumerate() {
                    self.value(&format!("{path}[{index}]"), each, item);
                }
            }
            _ => {}
        }
        true
    }

    fn unknown(&mut self, path: String, key: &str, known: &[(&str, &Value)]) {
        let nearest = known
            .iter()
            .map(|(name, _)| (strsim::damerau_levenshtein(name, key), *name))
            .filter(|(distance, name)| *distance <= 1.max(name.len().max(key.len()) / 2))
            .min();
        let advice = match nearest {
            Some((_, name)) => format!("did you mean {name:?}?"),
            None => {
                let mut names: Vec<&str> = known.iter().map(|(name, _)| *name).collect();
                names.sort_unstable();
                format!("known here: {}", names.join(", "))
            }
        };
        self.found.push(Mismatch { path, message: format!("is not a known key; {advice}") });
    }
}

fn has_type(value: &Value, wanted: &str) -> bool {
    match wanted {
        "string" => value.is_string(),
        "integer" => value.is_i64() || value.is_u64(),
        "number" => value.is_number(),
        "boolean" => value.is_boolean(),
        "array" => value.is_array(),
        "object" => value.is_object(),
        "null" => value.is_null(),
        _ => true,
    }
}

fn type_name(value: &Value) -> &'static str {
    match value {
        Value::Null => "nothing",
        Value::Bool(_) => "true or false",
        Value::Number(number) if number.is_f64() => "a fraction",
        Value::Number(_) => "a whole number",
        Value::String(_) => "a text",
        Value::Array(_) => "a list",
        Value::Object(_) => "a table",
    }
}

fn list(types: &[&str]) -> String {
    let names = types.iter().filter_map(|name| match *name {
        "string" => Some("a text"),
        "integer" => Some("a whole number"),
        "number" => Some("a number"),
        "boolean" => Some("true or false"),
        "array" => Some("a list"),
        "object" => Some("a table"),
        _ => None,
    });
    let mut names: Vec<&str> = names.collect();
    names.dedup();
    names.join(" or ")
}
