//! The OpenAPI 3.1 document, assembled from the registry.
//!
//! Format: <https://spec.openapis.org/oas/v3.1.1.html>. Schemas are JSON Schema draft 2020-12.

use std::collections::{BTreeMap, HashSet};

use downcity_types::{AnthropicError, ErrorBody, OpenAiError};
use http::Method;
use schemars::{JsonSchema, SchemaGenerator};
use serde_json::{Map, Value, json};

use super::components;
use super::parameters::{Field, PathTemplate, body_schema, fields, generator, is_required};
use crate::registry::METHODS;
use crate::{Access, Action, CredentialHeader, ErrorShape, InputKind, Registry, Settings};

const RESPONSES: &str = "#/components/responses/";
const USER_TOKEN: &str = "user_token";
const ADMIN_KEY: &str = "admin_key";
const API_KEY: &str = "api_key";

const ABOUT: &str = "One backend that many AI products share. Send \
`Authorization: Bearer <credential>` with a user_token, the admin key, or a \
service key, which stands for the admin key within its scope. Every answer carries \
`x-request-id`; a failed one names the same id as `request_id`, a sentence as `error` and a stable \
`code` to branch on.";

/// The document as JSON. Every route of the registry is in it; a route that answers any method
/// stands under each method that OpenAPI has and an action can declare.
pub fn openapi(registry: &Registry, settings: &Settings) -> Value {
    let mut assembler = Assembler::new();
    let declared: HashSet<(&str, &Method)> = registry
        .actions()
        .filter_map(|action| action.method().map(|method| (action.path(), method)))
        .collect();
    for action in registry.actions() {
        match action.method() {
            Some(method) => assembler.add(action, method),
            None => METHODS
                .iter()
                .filter(|method| !declared.contains(&(action.path(), method)))
                .for_each(|method| assembler.add(action, method)),
        }
    }
    let tags: Vec<Value> = registry
        .services()
        .iter()
        .map(|service| json!({"name": service.id(), "description": service.name()}))
        .collect();
    let (paths, components) = assembler.finish();
    json!({
        "openapi": "3.1.0",
        "jsonSchemaDialect": "https://json-schema.org/draft/2020-12/schema",
        "info": {
            "title": "Downcity Federation",
            "version": settings.version,
            "description": ABOUT,
        },
        "servers": [{"url": settings.public_url.as_deref().unwrap_or("/")}],
        "tags": tags,
        "paths": paths,
        "components": components,
    })
}

struct Assembler {
    /// One for the whole document, so that a type has one schema wherever it stands.
    schemas: SchemaGenerator,
    paths: Map<String, Value>,
    operation_ids: HashSet<String>,
    /// Error responses in use, by name.
    responses: BTreeMap<&'static str, Value>,
    /// Whether any action takes a credential in `x-api-key`.
    takes_api_keys: bool,
}

impl Assembler {
    fn new() -> Self {
        Self {
            schemas: generator(),
            paths: Map::new(),
            operation_ids: HashSet::new(),
            responses: BTreeMap::new(),
            takes_api_keys: false,
        }
    }

    fn add(&mut self, action: &Action, method: &Method) {
        let template = PathTemplate::parse(action.path());
        let operation = self.operation(action, method, &template);
        let item = self.paths.entry(template.text).or_insert_with(|| json!({}));
        if let Value::Object(item) = item {
            item.insert(method.as_str().to_ascii_lowercase(), operation);
        }
    }

    fn operation(&mut self, action: &Action, method: &Method, template: &PathTemplate) -> Value {
        let mut operation = Map::new();
        operation.insert("tags".into(), json!([action.service_id()]));
        operation.insert("operationId".into(), self.operation_id(action, method).into());
        operation.insert("summary".into(), action.summary().into());
        if !action.description().is_empty() {
            operation.insert("description".into(), action.description().into());
        }
        operation.insert("security".into(), security(action));
        self.takes_api_keys |= action.credential_header() == CredentialHeader::BearerOrApiKey;
        let has_body = !matches!(*method, Method::GET | Method::OPTIONS);
        let (parameters, body) = self.input(action, has_body, template);
        let takes_input = has_body || !parameters.is_empty();
        if !parameters.is_empty() {
            operation.insert("parameters".into(), parameters.into());
        }
        if let Some(body) = body {
            operation.insert("requestBody".into(), body);
        }
        operation.insert("responses".into(), self.responses(action, takes_input, has_body));
        operation.into()
    }

    /// Such as `cities_tokens_apply`; with the method where that is taken.
    fn operation_id(&mut self, action: &Action, method: &Method) -> String {
        let id = action.id().strip_prefix("v1/").unwrap_or(action.id());
        let service = action.service_id();
        let name = if id == service { id.to_owned() } else { format!("{service} {id}") };
        let words =
            name.split(|c: char| !c.is_ascii_alphanumeric()).filter(|word| !word.is_empty());
        let name = words.collect::<Vec<_>>().join("_");
        let with_method = format!("{name}_{}", method.as_str().to_ascii_lowercase());
        let numbered = (2..).map(|count: u32| format!("{with_method}_{count}"));
        let free = [name, with_method.clone()]
            .into_iter()
            .chain(numbered)
            .find(|id| !self.operation_ids.contains(id))
            .unwrap_or(with_method);
        self.operation_ids.insert(free.clone());
        free
    }

    /// Parameters and request body.
    fn input(
        &mut self,
        action: &Action,
        has_body: bool,
        template: &PathTemplate,
    ) -> (Vec<Value>, Option<Value>) {
        let InputKind::Typed(schema) = action.input() else {
            let any = json!({"content": {"*/*": {}}});
            return (template.parameters(&[]), has_body.then_some(any));
        };
        let schema = schema(&mut self.schemas).to_value();
        let definitions = self.schemas.definitions();
        let fields = fields(&schema, definitions);
        let mut parameters = template.parameters(&fields);
        if !has_body {
            let query = fields.iter().filter(|field| !template.names(&field.name));
            parameters.extend(query.map(Field::query_parameter));
            return (parameters, None);
        }
        let schema = body_schema(schema, template, definitions);
        let mut content = json!({"application/json": {"schema": schema}});
        if action.takes_forms {
            content["multipart/form-data"] = json!({"schema": {"type": "object"}});
        }
        let body = json!({"required": is_required(&schema, definitions), "content": content});
        (parameters, Some(body))
    }

    fn responses(&mut self, action: &Action, takes_input: bool, has_body: bool) -> Value {
        let schema = action.output_schema(&mut self.schemas);
        let content = schema.map_or_else(|| json!({}), |schema| json!({"schema": schema}));
        let mut responses = Map::new();
        let success =
            json!({"description": "Success.", "content": {action.content_type(): content}});
        responses.insert("200".into(), success);
        let typed = matches!(action.input(), InputKind::Typed(_));
        let failures = [
            (typed && takes_input, Failure::INVALID),
            (!action.access().is_public(), Failure::UNAUTHORISED),
            (!action.access().is_public(), Failure::FORBIDDEN),
            (typed && has_body, Failure::TOO_LARGE),
            (true, Failure::OTHER),
        ];
        for (_, failure) in failures.into_iter().filter(|(applies, _)| *applies) {
            let name = self.failure(&failure, action.error_shape());
            responses.insert(failure.status.into(), json!({"$ref": format!("{RESPONSES}{name}")}));
        }
        responses.into()
    }

    /// The name of the shared response for a failure in this shape.
    fn failure(&mut self, failure: &Failure, shape: ErrorShape) -> &'static str {
        let (name, schema) = match shape {
            ErrorShape::Standard => (failure.name, reference::<ErrorBody>(&mut self.schemas)),
            ErrorShape::OpenAi => {
                (failure.openai_name, reference::<OpenAiError>(&mut self.schemas))
            }
            ErrorShape::Anthropic => {
                (failure.anthropic_name, reference::<AnthropicError>(&mut self.schemas))
            }
        };
        self.responses.entry(name).or_insert_with(|| {
            json!({
                "description": failure.description,
                "content": {"application/json": {"schema": schema}},
            })
        });
        name
    }

    /// Paths and components. Schemas that only gave their fields to parameters are left out.
    fn finish(mut self) -> (Map<String, Value>, Value) {
        let definitions = self.schemas.take_definitions(true);
        let schemas = components::tidy(&mut self.paths, &mut self.responses, definitions);
        let mut components = json!({
            "schemas": schemas,
            "responses": self.responses,
            "securitySchemes": {
                USER_TOKEN: {
                    "type": "http",
                    "scheme": "bearer",
                    "bearerFormat": "user_token",
                    "description": "A token that the product's server issued for one of its users \
                                    with POST /v1/cities/tokens/apply.",
                },
                ADMIN_KEY: {
                    "type": "http",
                    "scheme": "bearer",
                    "bearerFormat": "admin_secret_key",
                    "description": "The key of the trusted side. It does not stand for a user.",
                },
            },
        });
        if self.takes_api_keys {
            components["securitySchemes"][API_KEY] = json!({
                "type": "apiKey",
                "in": "header",
                "name": "x-api-key",
                "description": "A user_token, where clients of Anthropic put their key.",
            });
        }
        (self.paths, components)
    }
}

/// A failure that documents describe once.
struct Failure {
    status: &'static str,
    name: &'static str,
    openai_name: &'static str,
    anthropic_name: &'static str,
    description: &'static str,
}

impl Failure {
    const INVALID: Self = Self {
        status: "400",
        name: "InvalidInput",
        openai_name: "OpenAiInvalidInput",
        anthropic_name: "AnthropicInvalidInput",
        description: "The input is not a JSON object, or a field is missing or wrong.",
    };
    const UNAUTHORISED: Self = Self {
        status: "401",
        name: "Unauthorised",
        openai_name: "OpenAiUnauthorised",
        anthropic_name: "AnthropicUnauthorised",
        description: "The credential is missing, wrong, expired or revoked.",
    };
    const FORBIDDEN: Self = Self {
        status: "403",
        name: "Forbidden",
        openai_name: "OpenAiForbidden",
        anthropic_name: "AnthropicForbidden",
        description: "The credential is good but not for this action, this city or a paused city.",
    };
    const TOO_LARGE: Self = Self {
        status: "413",
        name: "TooLarge",
        openai_name: "OpenAiTooLarge",
        anthropic_name: "AnthropicTooLarge",
        description: "The body is larger than the server accepts.",
    };
    const OTHER: Self = Self {
        status: "default",
        name: "Failure",
        openai_name: "OpenAiFailure",
        anthropic_name: "AnthropicFailure",
        description: "Any other failure.",
    };
}

fn reference<T: JsonSchema>(schemas: &mut SchemaGenerator) -> Value {
    schemas.subschema_for::<T>().to_value()
}

/// Who may call, as alternatives.
fn security(action: &Action) -> Value {
    let access: Access = action.access();
    let mut alternatives = Vec::new();
    if access.is_public() {
        alternatives.push(json!({}));
    }
    if access.allows_user() {
        alternatives.push(json!({USER_TOKEN: []}));
        if action.credential_header() == CredentialHeader::BearerOrApiKey {
            alternatives.push(json!({API_KEY: []}));
        }
    }
    if access.allows_admin() {
        alternatives.push(json!({ADMIN_KEY: []}));
    }
    alternatives.into()
}
