//! JSON Schema as the subset that Gemini takes.
//!
//! What the subset can say in other words is said so. A rule that it cannot say stands in the
//! description, where the model reads it; notes for people and tools are left out.

use downcity_core::{Error, Result};
use downcity_types::ErrorCode;
use serde_json::{Map, Value, json};

/// Members that mean the same in both.
const SHARED: &[&str] = &[
    "title",
    "description",
    "nullable",
    "maxItems",
    "minItems",
    "required",
    "minProperties",
    "maxProperties",
    "minLength",
    "maxLength",
    "pattern",
    "minimum",
    "maximum",
    "default",
    "propertyOrdering",
    "example",
];
/// Members that rule nothing.
const NOTES: &[&str] = &[
    "$schema",
    "$id",
    "$anchor",
    "$comment",
    "$defs",
    "definitions",
    "examples",
    "deprecated",
    "readOnly",
    "writeOnly",
];
/// Formats that Gemini knows.
const FORMATS: &[&str] = &["float", "double", "int32", "int64", "enum", "date-time"];
/// How deep schemas may be nested, followed references included.
const DEEPEST: usize = 48;

/// The schema in the form of Gemini; `path` names it in errors.
///
/// # Errors
/// 422 for references that lead nowhere or never end.
pub(super) fn convert(schema: &Value, path: &str) -> Result<Value> {
    Converter { root: schema, path }.schema(schema, 0)
}

struct Converter<'a> {
    root: &'a Value,
    path: &'a str,
}

impl Converter<'_> {
    fn schema(&self, schema: &Value, depth: usize) -> Result<Value> {
        if depth > DEEPEST {
            return Err(self.refuse("is nested too deeply, or refers to itself"));
        }
        let Value::Object(schema) = schema else {
            return match schema {
                Value::Bool(true) => Ok(json!({})),
                _ => Err(self.refuse("must be made of JSON objects")),
            };
        };
        let merged;
        let schema = match schema.get("$ref") {
            Some(reference) => {
                merged = self.resolved(reference, schema)?;
                // What the reference leads to may be a reference again.
                return self.schema(&Value::Object(merged), depth + 1);
            }
            None => schema,
        };
        let mut out = Map::new();
        let mut unsaid = Map::new();
        for (name, value) in schema {
            match (name.as_str(), value) {
                ("type", _) => self.kind(value, &mut out),
                ("properties", Value::Object(fields)) => {
                    let mut converted = Map::new();
                    for (name, field) in fields {
                        converted.insert(name.clone(), self.schema(field, depth + 1)?);
                    }
                    out.insert("properties".to_owned(), Value::Object(converted));
                }
                ("items", Value::Object(_) | Value::Bool(true)) => {
                    out.insert("items".to_owned(), self.schema(value, depth + 1)?);
                }
                ("anyOf" | "oneOf", Value::Array(options)) if !out.contains_key("anyOf") => {
                    self.options(options, depth, &mut out)?;
                }
                ("enum", Value::Array(values)) if values.iter().all(Value::is_string) => {
                    out.insert("enum".to_owned(), value.clone());
                }
                ("const", Value::String(_)) => {
                    out.insert("enum".to_owned(), json!([value]));
                }
                ("format", Value::String(format)) if FORMATS.contains(&format.as_str()) => {
                    out.insert(name.clone(), value.clone());
                }
                // Models only fill in the properties that they are told of.
                ("additionalProperties", Value::Bool(false)) => {}
                (name, _) if SHARED.contains(&name) => {
                    out.insert(name.to_owned(), value.clone());
                }
                (name, _) if NOTES.contains(&name) => {}
                (name, _) => {
                    unsaid.insert(name.to_owned(), value.clone());
                }
            }
        }
        // A list of words without a type is one of texts.
        if out.contains_key("enum") && !out.contains_key("type") && !out.contains_key("anyOf") {
            out.insert("type".to_owned(), json!("STRING"));
        }
        if !unsaid.is_empty() {
            describe(&mut out, &unsaid);
        }
        Ok(Value::Object(out))
    }

    /// `type`, which may be a list of types.
    fn kind(&self, value: &Value, out: &mut Map<String, Value>) {
        let names: Vec<&str> = match value {
            Value::String(name) => vec![name],
            Value::Array(names) => names.iter().filter_map(Value::as_str).collect(),
            _ => Vec::new(),
        };
        if names.contains(&"null") && names.len() > 1 {
            out.insert("nullable".to_owned(), json!(true));
        }
        let kept: Vec<&str> =
            names.iter().copied().filter(|name| *name != "null" || names.len() == 1).collect();
        match kept.as_slice() {
            [] => {}
            [one] => {
                out.insert("type".to_owned(), json!(one.to_ascii_uppercase()));
            }
            several => {
                let several: Vec<Value> =
                    several.iter().map(|name| json!({"type": name.to_ascii_uppercase()})).collect();
                out.insert("anyOf".to_owned(), Value::Array(several));
            }
        }
    }

    /// Alternatives; one that is `null` makes the others nullable.
    fn options(&self, options: &[Value], depth: usize, out: &mut Map<String, Value>) -> Result<()> {
        let is_null = |option: &Value| option.get("type").and_then(Value::as_str) == Some("null");
        if options.iter().any(is_null) && options.len() > 1 {
            out.insert("nullable".to_owned(), json!(true));
        }
        let kept = options.iter().filter(|option| options.len() == 1 || !is_null(option));
        let kept: Vec<Value> =
            kept.map(|option| self.schema(option, depth + 1)).collect::<Result<_>>()?;
        out.insert("anyOf".to_owned(), Value::Array(kept));
        Ok(())
    }

    /// What a reference within the schema leads to, with what stands beside the reference.
    fn resolved(
        &self,
        reference: &Value,
        beside: &Map<String, Value>,
    ) -> Result<Map<String, Value>> {
        let text = reference.as_str().and_then(|text| text.strip_prefix('#'));
        let found = text.and_then(|pointer| self.root.pointer(pointer)).and_then(Value::as_object);
        let Some(found) = found else {
            return Err(self.refuse("holds a $ref that leads nowhere within it"));
        };
        let mut merged = found.clone();
        let beside = beside.iter().filter(|(name, _)| *name != "$ref");
        merged.extend(beside.map(|(name, value)| (name.clone(), value.clone())));
        Ok(merged)
    }

    fn refuse(&self, message: &str) -> Error {
        Error::new(ErrorCode::Unprocessable, "").with_field(self.path, message)
    }
}

/// Puts rules into the description that the subset has no member for.
fn describe(out: &mut Map<String, Value>, unsaid: &Map<String, Value>) {
    let rules = json!(unsaid).to_string();
    let text = match out.get("description").and_then(Value::as_str) {
        Some(text) if !text.is_empty() => format!("{text}\nIt also has to match: {rules}"),
        _ => format!("It has to match: {rules}"),
    };
    out.insert("description".to_owned(), Value::String(text));
}
