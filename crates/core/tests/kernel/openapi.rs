//! The OpenAPI document against the registry, the router and what the routes answer.

use std::collections::BTreeSet;
use std::sync::Arc;

use downcity_core::{Registry, Settings, views};
use downcity_testkit::{TestAppBuilder, both_engines};
use http::Method;
use serde_json::{Value, json};

use crate::demo::Demo;

fn document() -> Value {
    let registry = Registry::builder().service(Arc::new(Demo)).build().unwrap();
    let settings = Settings {
        version: "1.2.3",
        public_url: Some("https://fed.example.com".to_owned()),
        ..Settings::default()
    };
    views::openapi(&registry, &settings)
}

#[test]
fn the_document_of_a_kernel_alone() {
    let registry = Registry::builder().build().unwrap();
    let settings = Settings { version: "1.2.3", ..Settings::default() };
    insta::assert_json_snapshot!("kernel_openapi", views::openapi(&registry, &settings));
}

fn demo(builder: TestAppBuilder) -> TestAppBuilder {
    builder.service(Demo)
}

/// Method, path and operation of everything in the document.
fn operations(document: &Value) -> Vec<(Method, String, Value)> {
    let paths = document["paths"].as_object().unwrap();
    let operations = paths.iter().flat_map(|(path, item)| {
        item.as_object().unwrap().iter().map(move |(method, operation)| {
            let method = Method::from_bytes(method.to_ascii_uppercase().as_bytes()).unwrap();
            (method, path.clone(), operation.clone())
        })
    });
    operations.collect()
}

fn operation<'a>(document: &'a Value, method: &str, path: &str) -> &'a Value {
    let found = &document["paths"][path][method];
    assert!(found.is_object(), "{method} {path} is not documented");
    found
}

/// A validator for a schema that stands somewhere in the document.
fn validator(document: &Value, schema: &Value) -> jsonschema::Validator {
    let mut whole = json!({
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "components": document["components"].clone(),
    });
    whole.as_object_mut().unwrap().extend(schema.as_object().unwrap().clone());
    jsonschema::draft202012::new(&whole).unwrap_or_else(|error| panic!("{schema}: {error}"))
}

#[test]
fn every_schema_is_valid_and_its_references_lead_somewhere() {
    let document = document();
    let schemas = document["components"]["schemas"].as_object().unwrap();
    assert!(schemas.contains_key("ErrorBody") && schemas.contains_key("Item"));
    for (name, schema) in schemas {
        let legal = |c: char| c.is_ascii_alphanumeric() || "._-".contains(c);
        assert!(name.chars().all(legal), "{name}");
        assert!(!name.ends_with(|c: char| c.is_ascii_digit()), "{name}: a number may change");
        jsonschema::meta::validate(schema).unwrap_or_else(|error| panic!("{name}: {error}"));
        validator(&document, schema);
    }
    let mut seen = BTreeSet::new();
    check_references(&document, &document, &mut seen);
    for name in schemas.keys() {
        let reference = format!("#/components/schemas/{name}");
        assert!(seen.contains(&reference), "{name} is in the document but not in use");
    }
}

fn check_references(value: &Value, document: &Value, seen: &mut BTreeSet<String>) {
    if let Some(reference) = value.get("$ref").and_then(Value::as_str) {
        assert!(document.pointer(&reference[1..]).is_some(), "{reference} leads nowhere");
        seen.insert(reference.to_owned());
    }
    match value {
        Value::Array(items) => {
            items.iter().for_each(|item| check_references(item, document, seen));
        }
        Value::Object(fields) => {
            fields.values().for_each(|item| check_references(item, document, seen));
        }
        _ => {}
    }
}

#[test]
fn operations_have_unique_ids_summaries_tags_and_failures() {
    let document = document();
    let tags: Vec<&Value> =
        document["tags"].as_array().unwrap().iter().map(|tag| &tag["name"]).collect();
    let mut ids = BTreeSet::new();
    for (method, path, operation) in operations(&document) {
        let place = format!("{method} {path}");
        assert!(ids.insert(operation["operationId"].as_str().unwrap().to_owned()), "{place}");
        assert!(!operation["summary"].as_str().unwrap().is_empty(), "{place}");
        assert!(tags.contains(&&operation["tags"][0]), "{place}");
        assert!(operation["responses"]["default"].is_object(), "{place}");
        let in_path: BTreeSet<&str> = parameters(&operation, "path");
        let in_template: BTreeSet<&str> =
            path.split('{').skip(1).map(|rest| rest.split_once('}').unwrap().0).collect();
        assert_eq!(in_path, in_template, "{place}");
    }
}

fn parameters<'a>(operation: &'a Value, place: &str) -> BTreeSet<&'a str> {
    let list = operation["parameters"].as_array().into_iter().flatten();
    list.filter(|parameter| parameter["in"] == place)
        .map(|parameter| parameter["name"].as_str().unwrap())
        .collect()
}

#[test]
fn every_action_is_documented_and_nothing_else() {
    let registry = Registry::builder().service(Arc::new(Demo)).build().unwrap();
    let document = views::openapi(&registry, &Settings::default());
    let every =
        [Method::GET, Method::POST, Method::PUT, Method::PATCH, Method::DELETE, Method::OPTIONS];
    let registered: BTreeSet<(String, String)> = registry
        .actions()
        .flat_map(|action| {
            let methods = action.method().map_or(every.to_vec(), |method| vec![method.clone()]);
            let path = action.path().replace("{*", "{");
            methods.into_iter().map(move |method| (path.clone(), method.to_string()))
        })
        .collect();
    let documented: BTreeSet<(String, String)> = operations(&document)
        .into_iter()
        .map(|(method, path, _)| (path, method.to_string()))
        .collect();
    assert_eq!(documented, registered);
}

#[test]
fn inputs_become_parameters_and_bodies() {
    let document = document();
    insta::assert_json_snapshot!(
        "get_with_path_and_query",
        operation(&document, "get", "/v1/demo.things/items/{id}")
    );
    insta::assert_json_snapshot!(
        "post_with_path_and_body",
        operation(&document, "post", "/v1/demo.things/items/{id}")
    );
    insta::assert_json_snapshot!(
        "openai_errors",
        operation(&document, "post", "/v1/demo.things/chat/completions")
    );
    insta::assert_json_snapshot!(
        "raw_wildcard",
        operation(&document, "put", "/v1/demo.things/native/{rest}")
    );
    let list = operation(&document, "get", "/v1/demo.things/list");
    assert_eq!(parameters(list, "query"), BTreeSet::from(["state", "limit", "cursor"]));
    let watch = operation(&document, "get", "/v1/demo.things/watch");
    assert_eq!(watch["responses"]["200"]["content"], json!({"text/event-stream": {}}));
    let create = operation(&document, "post", "/v1/demo.things/create");
    assert_eq!(
        create["requestBody"]["content"]["application/json"]["schema"],
        json!({"$ref": "#/components/schemas/Item"})
    );
    let about = operation(&document, "get", "/v1/demo.things/native/about");
    assert_eq!(about["summary"], "Say what native is.");
}

#[test]
fn types_of_one_name_carry_the_name_of_their_service() {
    let document = document();
    let schema = |path: &str| {
        let content = &operation(&document, "get", path)["responses"]["200"]["content"];
        content["application/json"]["schema"]["$ref"].clone()
    };
    assert_eq!(schema("/v1/demo.things/city"), "#/components/schemas/DemoThingsCity");
    assert_eq!(schema("/v1/cities/list"), "#/components/schemas/CityItems");
    let schemas = &document["components"]["schemas"];
    let items = &schemas["CityItems"]["properties"]["items"]["items"]["$ref"];
    assert_eq!(items, "#/components/schemas/CitiesCity");
    assert!(schemas["CitiesCity"]["properties"]["city_id"].is_object());
    assert!(schemas["DemoThingsCity"]["properties"]["mayor"].is_object());
    assert!(schemas.get("City").is_none());
}

#[test]
fn security_follows_access() {
    let document = document();
    let security =
        |method: &str, path: &str| operation(&document, method, path)["security"].clone();
    let (user, admin) = (json!({"user_token": []}), json!({"admin_key": []}));
    assert_eq!(security("get", "/v1/demo.things/items/{id}"), json!([user]));
    assert_eq!(security("post", "/v1/demo.things/create"), json!([admin]));
    assert_eq!(security("get", "/v1/demo.things/list"), json!([user, admin]));
    assert_eq!(security("get", "/health"), json!([{}, user, admin]));
    let public = operation(&document, "get", "/health")["responses"].as_object().unwrap();
    assert!(!public.contains_key("401") && !public.contains_key("403"));
    assert_eq!(document["servers"], json!([{"url": "https://fed.example.com"}]));
    assert_eq!(document["info"]["version"], "1.2.3");
}

both_engines! {
    async fn every_documented_route_is_routed(app: TestApp = demo) {
        let document = app.guest().get("/openapi.json").await.expect(200);
        for (method, template, _) in operations(&document) {
            let mut path = template.clone();
            while let (Some(start), Some(end)) = (path.find('{'), path.find('}')) {
                path.replace_range(start..=end, "x");
            }
            let reply = app.guest().send(method.clone(), &path, "{}".into()).await;
            let text = reply.text();
            let unrouted = reply.status == 404 && text.contains("nothing at this address");
            assert!(reply.status != 405 && !unrouted, "{method} {path}: {text}");
        }
    }

    async fn answers_match_their_schemas(app: TestApp = demo) {
        app.create_city("c").await;
        let user = app.user(&app.token("c", "u").await);
        let document = app.guest().get("/openapi.json").await.expect(200);
        let calls = [
            (app.guest().get("/health").await, "/health", "get"),
            (app.guest().get("/livez").await, "/livez", "get"),
            (app.guest().get("/v1/services").await, "/v1/services", "get"),
            (app.admin().get("/v1/cities/list").await, "/v1/cities/list", "get"),
            (app.admin().get("/v1/env/list").await, "/v1/env/list", "get"),
            (app.admin().get("/v1/env/catalog").await, "/v1/env/catalog", "get"),
            (user.get("/v1/demo.things/list").await, "/v1/demo.things/list", "get"),
            (user.get("/v1/demo.things/items/7").await, "/v1/demo.things/items/{id}", "get"),
        ];
        for (reply, path, method) in calls {
            let content = &operation(&document, method, path)["responses"]["200"]["content"];
            let schema = &content["application/json"]["schema"];
            let answer = reply.expect(200);
            let problem = validator(&document, schema).validate(&answer).err();
            assert!(problem.is_none(), "{path}: {problem:?} in {answer}");
        }
        let failure = app.guest().get("/v1/cities/list").await.expect_error(401, "missing_credential");
        let schema = &document["components"]["responses"]["Unauthorised"]["content"];
        validator(&document, &schema["application/json"]["schema"]).validate(&failure).unwrap();
    }
}
