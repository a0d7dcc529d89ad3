//! What the sections say of the server, checked against the server's own OpenAPI document.

use std::collections::HashSet;

use serde_json::{Value, json};

use super::fixtures;
use crate::remote::without_nulls;
use crate::workspace::dialog::Entry;
use crate::workspace::section::{
    Action, Answers, Body, Effect, Kind, List, SECTIONS, Source, place_of,
};

fn document() -> Value {
    downcity_server::Federation::builder().openapi().unwrap()
}

/// All lists: those of the menu, and those that actions open.
fn lists() -> Vec<&'static List> {
    let mut lists: Vec<&'static List> = Vec::new();
    for section in SECTIONS {
        if let Body::Lists(own) = section.body {
            lists.extend(own);
        }
    }
    let mut at = 0;
    while at < lists.len() {
        for action in lists[at].actions {
            if let Effect::Open { list, .. } = action.effect
                && !lists.iter().any(|known| known.title == list.title)
            {
                lists.push(list);
            }
        }
        at += 1;
    }
    lists
}

fn resolved<'a>(document: &'a Value, schema: &'a Value) -> &'a Value {
    match schema["$ref"].as_str() {
        Some(place) => resolved(document, document.pointer(&place[1..]).unwrap()),
        None => schema,
    }
}

#[test]
fn the_keys_of_a_list_are_its_own() {
    for list in lists() {
        let mut seen = HashSet::new();
        for action in list.actions {
            let is_free = !"qjkgGrY/?[]".contains(action.key);
            assert!(is_free && seen.insert(action.key), "{}: {}", list.title, action.key);
        }
    }
}

#[test]
fn what_lists_read_is_there_with_every_column() {
    let document = document();
    for list in lists() {
        let Source::Action(path, query) = list.source else { continue };
        let operation = &document["paths"][format!("/v1/{path}")]["get"];
        assert!(operation.is_object(), "{path} is no action");
        let parameters = operation["parameters"].as_array();
        for (name, _) in query {
            let known =
                parameters.is_some_and(|known| known.iter().any(|field| field["name"] == *name));
            assert!(known, "{path} takes no {name}");
        }
        let answer = &operation["responses"]["200"]["content"]["application/json"]["schema"];
        let items = &resolved(&document, answer)["properties"]["items"]["items"];
        let record = resolved(&document, items);
        for column in list.columns.iter().chain(list.more) {
            // These are made here, of what the answer says.
            if ["scope", "state"].contains(&column.path()) || path == "env/catalog" {
                continue;
            }
            let first = column.path().split('.').next().unwrap();
            assert!(record["properties"][first].is_object(), "{path}: no field {first}");
        }
    }
}

/// What somebody may have answered to every question of an action.
fn answers(action: &Action) -> Answers {
    let answer = |entry: Entry| {
        let value = match entry.kind {
            Kind::Credits | Kind::Number => json!(2),
            Kind::Flag => json!(true),
            Kind::Texts => json!(["a/b"]),
            Kind::Json => json!({}),
            _ if entry.name == "ttl" => json!("7d"),
            _ => json!("text"),
        };
        (entry.name, value)
    };
    Answers(action.fields.iter().map(|field| answer(Entry::from(field))).collect())
}

#[test]
fn what_actions_send_is_what_the_server_takes() {
    let document = document();
    let mut count = 0;
    for list in lists() {
        let record = fixtures::record(list);
        for action in list.actions {
            let Effect::Call { path, input, .. } = action.effect else { continue };
            let operation = &document["paths"][format!("/v1/{path}")]["post"];
            assert!(operation.is_object(), "{path} is no action");
            let body = &operation["requestBody"]["content"]["application/json"]["schema"];
            let mut schema = json!({ "allOf": [body] });
            schema["components"] = document["components"].clone();
            let validator = jsonschema::validator_for(&schema).unwrap();
            for answers in [answers(action), Answers::default()] {
                // Without answers, only what the record gives is there.
                let is_asked = answers.0.is_empty() && !action.fields.is_empty();
                let input = without_nulls(input(&record, &answers));
                let problems: Vec<String> =
                    validator.iter_errors(&input).map(|problem| problem.to_string()).collect();
                assert!(is_asked || problems.is_empty(), "{path} {input}: {problems:?}");
                for name in input.as_object().unwrap().keys() {
                    let known = resolved(&document, body)["properties"][name].is_object();
                    assert!(known, "{path} takes no {name}");
                }
            }
            count += 1;
        }
    }
    assert!(count > 30, "{count} actions were checked");
}

#[test]
fn sentences_name_what_they_are_about() {
    for list in lists() {
        let record = fixtures::record(list);
        for action in list.actions {
            let says = (action.what)(&record);
            assert!(!says.contains('?') && !says.contains("null"), "{}: {says}", list.title);
        }
    }
}

#[test]
fn lists_that_belong_to_a_record_ask_what_the_server_takes() {
    let document = document();
    let mut count = 0;
    for list in lists() {
        let record = fixtures::record(list);
        for action in list.actions {
            let Effect::Open { list: opened, query } = action.effect else { continue };
            let Source::Action(path, _) = opened.source else { continue };
            let parameters =
                document["paths"][format!("/v1/{path}")]["get"]["parameters"].as_array();
            for name in without_nulls(query(&record)).as_object().unwrap().keys() {
                let mut known = parameters.into_iter().flatten();
                assert!(known.any(|field| field["name"] == *name), "{path} takes no {name}");
            }
            count += 1;
        }
    }
    assert!(count > 4, "{count} lists were checked");
}

#[test]
fn places_that_are_gone_to_by_name_are_there() {
    for title in ["Needed", "Cities", "Actions"] {
        assert!(place_of(title).is_some(), "{title}");
    }
    for list in lists() {
        for action in list.actions {
            if let Effect::Jump { list: to, .. } = action.effect {
                assert!(place_of(to).is_some(), "{}: {to}", list.title);
            }
        }
    }
}
