//! The actions of a Federation, as its OpenAPI document describes them: what they take, and whether an
//! input is right.

use downcity_server::FailureKind;
use jsonschema::error::{TypeKind, ValidationErrorKind};
use jsonschema::{ValidationError, Validator};
use serde_json::{Map, Value, json};

use crate::failure::Failure;
use crate::remote::without_nulls;

/// Problems of an input that are told.
const TOLD: usize = 5;

/// An action of the document.
pub(crate) struct Described<'a> {
    document: &'a Value,
    pub(crate) method: &'a str,
    pub(crate) path: &'a str,
    pub(crate) operation: &'a Value,
}

/// A field of an action's input.
pub(crate) struct Field<'a> {
    pub(crate) name: &'a str,
    pub(crate) required: bool,
    /// The kind of its value, such as `string` or `integer or string`; `value` for any.
    pub(crate) kind: String,
    /// The values that it can have, where these are few and known.
    pub(crate) choices: Vec<&'a str>,
    /// What it is where it is left out, if the document says so.
    pub(crate) default: Option<&'a Value>,
    /// Whether the document says that its value is a secret.
    pub(crate) is_secret: bool,
    pub(crate) what: &'a str,
}

/// The actions and routes of a document.
pub(crate) fn operations(document: &Value) -> impl Iterator<Item = Described<'_>> {
    let paths = document["paths"].as_object().into_iter().flatten();
    paths.flat_map(move |(path, methods)| {
        let methods = methods.as_object().into_iter().flatten();
        methods.map(move |(method, operation)| {
            let method = if method == "get" { "GET" } else { "POST" };
            Described { document, method, path, operation }
        })
    })
}

/// The action of a name such as `balance/add`.
///
/// # Errors
/// When the document has none; the sentence names the one that is most like it.
pub(crate) fn find<'a>(document: &'a Value, action: &str) -> Result<Described<'a>, Failure> {
    let wanted = format!("/v1/{}", action.trim().trim_matches('/'));
    operations(document).find(|described| described.path == wanted).ok_or_else(|| {
        let near = operations(document)
            .map(|described| described.path)
            .min_by_key(|path| strsim::damerau_levenshtein(path, &wanted));
        let near = near.map(|path| path.trim_start_matches("/v1/")).unwrap_or_default();
        let message = format!(
            "The Federation has no action {action:?}; did you mean {near:?}? `fed call` lists them."
        );
        Failure::new(FailureKind::NotFound, message)
    })
}

/// Puts what an input says of the parameters of a path, such as `usage/requests/{request_id}`, where they
/// stand. The rest of the input is left.
pub(crate) fn place(path: &str, input: &mut Map<String, Value>) -> String {
    let mut placed = path.to_owned();
    input.retain(|name, value| {
        let parameter = format!("{{{name}}}");
        if !placed.contains(&parameter) {
            return true;
        }
        let text = value.as_str().map_or_else(|| value.to_string(), str::to_owned);
        placed = placed.replace(&parameter, &text);
        false
    });
    placed
}

impl<'a> Described<'a> {
    /// What the action takes.
    pub(crate) fn fields(&self) -> Vec<Field<'a>> {
        if let Some(schema) = self.body() {
            let required = schema["required"].as_array();
            let is_required =
                |name: &str| required.is_some_and(|names| names.iter().any(|known| known == name));
            let fields = schema["properties"].as_object().into_iter().flatten();
            return fields
                .map(|(name, field)| self.field(name, is_required(name), field, field))
                .collect();
        }
        let fields = self.parameters().filter_map(|field| {
            let required = field["required"] == Value::Bool(true);
            Some(self.field(field["name"].as_str()?, required, &field["schema"], field))
        });
        fields.collect()
    }

    fn field(
        &self,
        name: &'a str,
        required: bool,
        schema: &'a Value,
        described: &'a Value,
    ) -> Field<'a> {
        let meant = self.meant(schema);
        let is_secret = [schema, meant].iter().any(|schema| {
            schema["writeOnly"] == Value::Bool(true) || schema["format"] == "password"
        });
        let default = schema.get("default").or_else(|| meant.get("default"));
        Field {
            name,
            required,
            kind: kind(meant),
            choices: choices(meant),
            default: default.filter(|default| !default.is_null()),
            is_secret,
            what: described["description"].as_str().unwrap_or_default(),
        }
    }

    /// The schema of the body, where the action takes one.
    fn body(&self) -> Option<&'a Value> {
        let body = &self.operation["requestBody"]["content"]["application/json"]["schema"];
        self.resolved(body)
    }

    fn parameters(&self) -> impl Iterator<Item = &'a Value> {
        let all = self.operation["parameters"].as_array().into_iter().flatten();
        all.filter(|parameter| parameter["in"] == "query" || parameter["in"] == "path")
    }

    /// A schema, wherever it stands in the document.
    fn resolved(&self, schema: &'a Value) -> Option<&'a Value> {
        match schema["$ref"].as_str() {
            Some(place) => self.document.pointer(place.strip_prefix('#')?),
            None => schema.is_object().then_some(schema),
        }
    }

    /// The same for a value that may be missing: without the `null` beside it.
    fn meant(&self, schema: &'a Value) -> &'a Value {
        let ways = schema["anyOf"].as_array().map(Vec::as_slice).unwrap_or_default();
        let mut others = ways.iter().filter(|way| way["type"] != "null");
        let schema = match (others.next(), others.next()) {
            (Some(only), None) => only,
            _ => schema,
        };
        self.resolved(schema).unwrap_or(schema)
    }

    /// Whether the trusted side cannot call it.
    pub(crate) fn is_for_users(&self) -> bool {
        self.takes("user_token") && !self.takes("admin_key")
    }

    /// Whether a credential of this kind is one that it takes.
    pub(crate) fn takes(&self, credential: &str) -> bool {
        let known = self.operation["security"].as_array();
        known.is_some_and(|ways| ways.iter().any(|way| way.get(credential).is_some()))
    }

    /// Finds what is wrong with an input, by the whole schema of the document. Fields that are `null`
    /// count as left out.
    ///
    /// # Errors
    /// A sentence per problem, each with its field and what it must be; none shows a value.
    pub(crate) fn check(&self, input: &Value) -> Result<(), Failure> {
        let input = without_nulls(input.clone());
        let fields = self.fields();
        let mut problems = self.unknown(&fields, &input);
        if let Some(validator) = self.validator()? {
            problems.extend(validator.iter_errors(&input).map(|error| problem(&fields, &error)));
        }
        if problems.is_empty() {
            return Ok(());
        }
        problems.truncate(TOLD);
        problems.push("`--describe` shows what the action takes.".to_owned());
        Err(Failure::usage(problems.join("\n")))
    }

    /// What checks inputs; `None` where the action takes any.
    fn validator(&self) -> Result<Option<Validator>, Failure> {
        let mut schema = if self.operation["requestBody"].is_object() {
            match self.body() {
                Some(body) => json!({ "allOf": [body] }),
                None => return Ok(None),
            }
        } else {
            let mut properties = Map::new();
            let mut required = Vec::new();
            for parameter in self.parameters() {
                let Some(name) = parameter["name"].as_str() else { continue };
                properties.insert(name.to_owned(), parameter["schema"].clone());
                if parameter["required"] == Value::Bool(true) {
                    required.push(name);
                }
            }
            json!({ "properties": properties, "required": required })
        };
        // References lead there.
        schema["components"] = self.document["components"].clone();
        jsonschema::validator_for(&schema).map(Some).map_err(|error| {
            let message = format!("The description of {} cannot be used: {error}.", self.path);
            Failure::new(FailureKind::Failed, message)
        })
    }

    /// Fields that the action does not know, where it says all that it knows.
    fn unknown(&self, fields: &[Field<'_>], input: &Value) -> Vec<String> {
        let is_open = self.operation["requestBody"].is_object()
            && self.body().is_none_or(|schema| {
                let more = ["additionalProperties", "anyOf", "oneOf", "allOf"];
                schema["properties"].is_null() || more.iter().any(|word| schema.get(word).is_some())
            });
        if is_open {
            return Vec::new();
        }
        let given = input.as_object().into_iter().flatten().map(|(name, _)| name.as_str());
        let unknown = given.filter(|name| fields.iter().all(|field| field.name != *name));
        let near = |name: &str| {
            let distance = |field: &&Field<'_>| strsim::damerau_levenshtein(field.name, name);
            let near = fields
                .iter()
                .min_by_key(distance)
                .filter(|field| distance(field) <= (name.len() / 3).max(1));
            near.map(|field| format!("; did you mean {}?", field.name))
        };
        unknown
            .map(|name| {
                format!(
                    "The action takes no {name}{}",
                    near(name).unwrap_or_else(|| ".".to_owned())
                )
            })
            .collect()
    }
}

/// The kind of a value, in words.
fn kind(schema: &Value) -> String {
    match &schema["type"] {
        Value::String(kind) => kind.clone(),
        Value::Array(kinds) => {
            let kinds = kinds.iter().filter_map(Value::as_str).filter(|kind| *kind != "null");
            kinds.collect::<Vec<_>>().join(" or ")
        }
        _ if !choices(schema).is_empty() => "string".to_owned(),
        _ => "value".to_owned(),
    }
}

/// The words that a value can be.
fn choices(schema: &Value) -> Vec<&str> {
    if let Some(options) = schema["enum"].as_array() {
        return options.iter().filter_map(Value::as_str).collect();
    }
    let ways = schema["oneOf"].as_array().map(Vec::as_slice).unwrap_or_default();
    let words: Option<Vec<Vec<&str>>> = ways
        .iter()
        .map(|way| match way["const"].as_str() {
            Some(word) => Some(vec![word]),
            None => way["enum"]
                .as_array()
                .map(|options| options.iter().filter_map(Value::as_str).collect()),
        })
        .collect();
    words.unwrap_or_default().concat()
}

/// What is wrong, without the value that is.
fn problem(fields: &[Field<'_>], error: &ValidationError<'_>) -> String {
    let place = error.instance_path().to_string();
    let place = place.trim_start_matches('/').replace('/', ".");
    let inside = |name: &str| {
        if place.is_empty() { name.to_owned() } else { format!("{place}.{name}") }
    };
    let must = |what: String| {
        let place = if place.is_empty() { "The input" } else { &place };
        format!("{place} must be {what}.")
    };
    let choices = fields.iter().find(|field| field.name == place).map(|field| &field.choices);
    match error.kind() {
        ValidationErrorKind::Required { property } => {
            format!("The input lacks {}.", inside(property.as_str().unwrap_or_default()))
        }
        ValidationErrorKind::AdditionalProperties { unexpected } => {
            let names: Vec<String> = unexpected.iter().map(|name| inside(name)).collect();
            format!("The action takes no {}.", names.join(", "))
        }
        _ if choices.is_some_and(|choices| !choices.is_empty()) => must(format!(
            "one of {}",
            choices.map(|choices| choices.join(", ")).unwrap_or_default()
        )),
        ValidationErrorKind::Type { kind } => must(match kind {
            TypeKind::Single(kind) => kind.to_string(),
            TypeKind::Multiple(kinds) => {
                let kinds = kinds.iter().map(|kind| kind.to_string());
                kinds.filter(|kind| kind != "null").collect::<Vec<_>>().join(" or ")
            }
        }),
        ValidationErrorKind::Enum { options } => {
            let options = options.as_array().map(Vec::as_slice).unwrap_or_default();
            let options: Vec<String> = options.iter().map(Value::to_string).collect();
            must(format!("one of {}", options.join(", ")))
        }
        ValidationErrorKind::Minimum { limit } => must(format!("{limit} or more")),
        ValidationErrorKind::Maximum { limit } => must(format!("{limit} or less")),
        ValidationErrorKind::Pattern { pattern } => must(format!("as {pattern} has it")),
        _ => {
            let place = if place.is_empty() { "The input" } else { &place };
            format!("{place}: {}.", error.masked_with("the value"))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn document() -> Value {
        let nested = json!({
            "type": "object", "required": ["street"], "additionalProperties": false,
            "properties": { "street": { "type": "string" }, "number": { "type": "integer" } },
        });
        let body = json!({
            "type": "object", "required": ["name"],
            "properties": {
                "name": { "type": "string", "description": "Its name." },
                "size": { "type": ["integer", "null"], "minimum": 1, "maximum": 9, "default": 3 },
                "status": { "anyOf": [{ "$ref": "#/components/schemas/Status" }, { "type": "null" }] },
                "secret": { "type": "string", "writeOnly": true },
                "home": { "$ref": "#/components/schemas/Home" },
            },
        });
        let status = json!({ "oneOf": [{ "const": "on" }, { "const": "off" }] });
        let parameters = json!([
            { "name": "limit", "in": "query", "schema": { "type": "integer", "minimum": 1 } },
            { "name": "id", "in": "query", "required": true, "schema": { "type": "string" } },
        ]);
        let content = json!({
            "application/json": { "schema": { "$ref": "#/components/schemas/In" } },
        });
        json!({
            "paths": {
                "/v1/a/make": { "post": { "requestBody": { "content": content } } },
                "/v1/a/list": { "get": { "parameters": parameters } },
            },
            "components": { "schemas": { "In": body, "Home": nested, "Status": status } },
        })
    }

    fn refused(action: &str, input: Value) -> String {
        let document = document();
        let described = find(&document, action).unwrap();
        let checked = described.check(&input);
        checked.err().map(|failure| failure.message().to_owned()).unwrap_or_default()
    }

    #[test]
    fn fields_say_what_a_form_needs() {
        let document = document();
        let fields = find(&document, "a/make").unwrap().fields();
        let shown: Vec<_> = fields
            .iter()
            .map(|field| (field.name, field.required, field.kind.as_str(), field.is_secret))
            .collect();
        assert_eq!(
            shown,
            [
                ("name", true, "string", false),
                ("size", false, "integer", false),
                ("status", false, "string", false),
                ("secret", false, "string", true),
                ("home", false, "object", false),
            ]
        );
        assert_eq!((fields[0].what, fields[1].default), ("Its name.", Some(&json!(3))));
        assert_eq!(fields[2].choices, ["on", "off"]);
    }

    #[test]
    fn an_input_is_checked_by_the_whole_schema() {
        let good = json!({
            "name": "x", "size": 9, "status": "off", "secret": null, "home": { "street": "y" },
        });
        assert_eq!(refused("a/make", good), "");
        for (input, said) in [
            (json!({}), "The input lacks name."),
            (json!({"name": 5}), "name must be string."),
            (json!({"name": "x", "size": 0}), "size must be 1 or more."),
            (json!({"name": "x", "size": 10}), "size must be 9 or less."),
            (json!({"name": "x", "size": "sk-1"}), "size must be integer."),
            (json!({"name": "x", "status": "sk-1"}), "status must be one of on, off."),
            (json!({"name": "x", "nmae": "sk-1"}), "The action takes no nmae; did you mean name?"),
            (json!({"name": "x", "home": {}}), "The input lacks home.street."),
            (json!({"name": "x", "home": "sk-1"}), "home must be object."),
            (json!({"name": "x", "home": {"street": 1}}), "home.street must be string."),
            (
                json!({"name": "x", "home": {"street": "y", "sreet": 1}}),
                "The action takes no home.sreet.",
            ),
        ] {
            let message = refused("a/make", input.clone());
            assert!(message.starts_with(said), "{input}: {message}");
            assert!(!message.contains("sk-1"), "{message}");
        }
    }

    #[test]
    fn a_query_is_checked_by_its_parameters() {
        assert_eq!(refused("a/list", json!({"id": "x", "limit": 1})), "");
        for (input, said) in [
            (json!({"limit": 1}), "The input lacks id."),
            (json!({"id": "x", "limit": 0}), "limit must be 1 or more."),
            (json!({"id": "x", "limit": true}), "limit must be integer."),
            (json!({"id": "x", "city": "y"}), "The action takes no city."),
        ] {
            let message = refused("a/list", input.clone());
            assert!(message.starts_with(said), "{input}: {message}");
        }
    }
}
