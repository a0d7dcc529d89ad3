//! Parameters of routes: `{param}` segments of paths, and the fields of an input record.

use schemars::SchemaGenerator;
use schemars::generate::SchemaSettings;
use serde_json::{Map, Value, json};

use crate::{Action, InputKind};

/// Where the generated schemas of named types stand in the document.
pub(super) const SCHEMAS: &str = "#/components/schemas/";

/// How deep records may be composed of others before their fields are no longer looked for, so
/// that a type that is composed of itself ends.
const MAX_DEPTH: usize = 8;

/// A generator of the schemas of one document.
pub(super) fn generator() -> SchemaGenerator {
    let settings = SchemaSettings::draft2020_12().with(|settings| {
        settings.definitions_path = "/components/schemas".into();
        settings.meta_schema = None;
    });
    settings.into_generator()
}

/// Whether every input of an action may have a field of this name: one that stands in some of its
/// alternatives alone may be ignored. Raw input has none.
pub(crate) fn has_field(action: &Action, name: &str) -> bool {
    let InputKind::Typed(schema) = action.input() else { return false };
    let mut schemas = generator();
    let schema = schema(&mut schemas).to_value();
    declares(&schema, schemas.definitions(), name, MAX_DEPTH)
}

fn declares(schema: &Value, definitions: &Map<String, Value>, name: &str, depth: usize) -> bool {
    let Some(depth) = depth.checked_sub(1) else { return false };
    schema.get("properties").is_some_and(|own| own.get(name).is_some())
        || referenced(schema, definitions)
            .into_iter()
            .chain(list(schema, "allOf"))
            .any(|part| declares(part, definitions, name, depth))
}

/// A path pattern of the router as OpenAPI writes it.
pub(super) struct PathTemplate {
    /// The path with `{param}` segments; a wildcard looks like any other.
    pub(super) text: String,
    /// The parameters in order, and whether each is a wildcard.
    pub(super) params: Vec<(String, bool)>,
}

impl PathTemplate {
    pub(super) fn parse(pattern: &str) -> Self {
        let mut template = Self { text: String::with_capacity(pattern.len()), params: Vec::new() };
        let mut rest = pattern;
        while let Some((before, after)) = rest.split_once('{') {
            let Some((name, after)) = after.split_once('}') else { break };
            let (name, wildcard) = match name.strip_prefix('*') {
                Some(name) => (name, true),
                None => (name, false),
            };
            template.text.push_str(before);
            template.text.push_str(&format!("{{{name}}}"));
            template.params.push((name.to_owned(), wildcard));
            rest = after;
        }
        template.text.push_str(rest);
        template
    }

    pub(super) fn names(&self, field: &str) -> bool {
        self.params.iter().any(|(name, _)| name == field)
    }

    /// The path parameters as OpenAPI objects, with the schemas that the input's fields give them.
    pub(super) fn parameters(&self, fields: &[Field]) -> Vec<Value> {
        let parameter = |(name, wildcard): &(String, bool)| {
            let field = fields.iter().find(|field| field.name == *name);
            let mut schema = field.map_or_else(|| json!({"type": "string"}), Field::text_schema);
            let description = take_description(&mut schema);
            let mut parameter =
                json!({"name": name, "in": "path", "required": true, "schema": schema});
            if *wildcard {
                parameter["description"] =
                    json!(description.unwrap_or("The rest of the path; may hold slashes.".into()));
            } else if let Some(description) = description {
                parameter["description"] = json!(description);
            }
            parameter
        };
        self.params.iter().map(parameter).collect()
    }
}

/// One field of an input record.
pub(super) struct Field {
    pub(super) name: String,
    schema: Value,
    required: bool,
}

impl Field {
    /// The schema of the field as text of a path or query, which has no `null`.
    fn text_schema(&self) -> Value {
        let mut schema = self.schema.clone();
        let Some(object) = schema.as_object_mut() else { return json!({}) };
        if let Some(types) = object.get_mut("type").and_then(Value::as_array_mut) {
            types.retain(|kind| kind != "null");
            if let [only] = types.as_slice() {
                let only = only.clone();
                object.insert("type".into(), only);
            }
        }
        if let Some(choices) = object.get_mut("anyOf").and_then(Value::as_array_mut) {
            choices.retain(|choice| choice.get("type").is_none_or(|kind| kind != "null"));
            if let [Value::Object(only)] = choices.as_slice() {
                let only = only.clone();
                object.remove("anyOf");
                only.into_iter().for_each(|(key, value)| {
                    object.entry(key).or_insert(value);
                });
            }
        }
        if object.get("default").is_some_and(Value::is_null) {
            object.remove("default");
        }
        schema
    }

    /// The field as a query parameter.
    pub(super) fn query_parameter(&self) -> Value {
        let mut schema = self.text_schema();
        let description = take_description(&mut schema);
        let mut parameter = json!({"name": self.name, "in": "query"});
        if let Some(description) = description {
            parameter["description"] = json!(description);
        }
        if self.required {
            parameter["required"] = json!(true);
        }
        parameter["schema"] = schema;
        parameter
    }
}

/// A description reads better beside the parameter than inside its schema.
fn take_description(schema: &mut Value) -> Option<String> {
    match schema.as_object_mut()?.remove("description")? {
        Value::String(text) => Some(text),
        _ => None,
    }
}

/// The fields of a record, those of flattened and chosen parts included.
pub(super) fn fields(schema: &Value, definitions: &Map<String, Value>) -> Vec<Field> {
    let mut found = Vec::new();
    collect(schema, definitions, true, MAX_DEPTH, &mut found);
    found
}

fn collect(
    schema: &Value,
    definitions: &Map<String, Value>,
    surely: bool,
    depth: usize,
    found: &mut Vec<Field>,
) {
    let Some(depth) = depth.checked_sub(1) else { return };
    if let Some(target) = referenced(schema, definitions) {
        collect(target, definitions, surely, depth, found);
    }
    let required: Vec<&str> = list(schema, "required").filter_map(Value::as_str).collect();
    for (name, field) in schema.get("properties").and_then(Value::as_object).into_iter().flatten() {
        if found.iter().all(|known| known.name != *name) {
            found.push(Field {
                name: name.clone(),
                schema: field.clone(),
                required: surely && required.contains(&name.as_str()),
            });
        }
    }
    for part in list(schema, "allOf") {
        collect(part, definitions, surely, depth, found);
    }
    for choice in list(schema, "anyOf").chain(list(schema, "oneOf")) {
        collect(choice, definitions, false, depth, found);
    }
}

fn list<'a>(schema: &'a Value, key: &str) -> impl Iterator<Item = &'a Value> {
    schema.get(key).and_then(Value::as_array).into_iter().flatten()
}

/// The named schema that this one refers to.
pub(super) fn referenced<'a>(
    schema: &Value,
    definitions: &'a Map<String, Value>,
) -> Option<&'a Value> {
    definitions.get(schema.get("$ref")?.as_str()?.strip_prefix(SCHEMAS)?)
}

/// The schema of a JSON body: the input without the fields that stand in the path.
pub(super) fn body_schema(
    schema: Value,
    template: &PathTemplate,
    definitions: &Map<String, Value>,
) -> Value {
    if template.params.is_empty() {
        return schema;
    }
    let mut own = referenced(&schema, definitions).unwrap_or(&schema).clone();
    let properties = own.get_mut("properties").and_then(Value::as_object_mut);
    let Some(properties) = properties else { return schema };
    properties.retain(|name, _| !template.names(name));
    if let Some(required) = own.get_mut("required").and_then(Value::as_array_mut) {
        required.retain(|name| name.as_str().is_none_or(|name| !template.names(name)));
    }
    own
}

/// Whether a call without any field would be refused.
pub(super) fn is_required(schema: &Value, definitions: &Map<String, Value>) -> bool {
    fields(schema, definitions).iter().any(|field| field.required)
}
