//! Env values.

use downcity_server::{system_key, system_keys_in};
use serde_json::{Value, json};

use super::{Action, Answers, Ask, Effect, Field, Kind, List, Shows, items, nothing, text};
use crate::nouns::env::{ENTRY, VERSION, masked};
use crate::output::Column;

pub(super) const LISTS: &[List] = &[
    List::whole("Values", "env/list", ENTRY)
        .rows(hidden)
        .actions(&[SET, SET_AGAIN, REMOVE, REVEAL, HISTORY, TEST, IMPORT, REFRESH])
        .empty("No value is stored. n sets one, i imports a .env file."),
    List::whole("Needed", "env/catalog", WANTED)
        .rows(needed)
        .actions(&[SET_THIS, HISTORY, REFRESH])
        .empty("Nothing that is mounted needs a value."),
];

/// What services and models need.
const WANTED: &[Column] = &[
    Column::new("KEY", "key"),
    Column::status("STATE", "state"),
    Column::new("FOR", "scope"),
    Column::new("DESCRIPTION", "description"),
];

/// The scope of the catalog that holds the keys of AI providers.
const MODELS: &str = "ai-models";

/// The versions of one value.
const VERSIONS: List = List::whole("Versions", "env/history", VERSION)
    .rows(hidden)
    .actions(&[ROLLBACK])
    .empty("It has no versions.");

const VALUE: Field = Field::new("value", "Value", Kind::Secret);
const UNTESTED: Field =
    Field::new("untested", "Do not ask its provider whether it works", Kind::Flag).optional();

const SET: Action = Action::call('n', "set", "env/upsert", |_| "Set a value".to_owned(), upsert)
    .of_list()
    .form(const { &[Field::new("key", "Key", Kind::Text), VALUE, UNTESTED] })
    .refusing(|answers| {
        let is_system = system_key(&answers.text("key")).is_some();
        is_system.then_some("The Federation works with this one: choose it in the list, then s.")
    })
    .hint("Stored sealed; it applies at once, on every node.");

const SET_AGAIN: Action = Action::call('s', "set again", "env/upsert", set_this, upsert)
    .form(const { &[VALUE, UNTESTED] })
    .hint("The present value stays in the history.")
    .asking(Ask::Typed(&["key"]))
    .only_about(is_system);

/// Sets the value that is needed here.
pub(in crate::workspace) const SET_THIS: Action =
    Action::call('s', "set", "env/upsert", set_this, upsert)
        .form(const { &[VALUE, UNTESTED] })
        .hint("Stored sealed; it applies at once, on every node.");

const IMPORT: Action = Action::call(
    'i',
    "import",
    "env/import",
    |_| "Store all assignments of a .env text".to_owned(),
    |_, answers| json!({ "raw": assignments(answers) }),
)
.of_list()
.form(
    const {
        &[
            Field::new("file", "File on this machine", Kind::File).optional(),
            Field::new("raw", "Or paste it here", Kind::SecretLines).optional(),
        ]
    },
)
.refusing(|answers| {
    let text = assignments(answers);
    if text.is_empty() {
        return Some("Name a file, or paste the text.");
    }
    let sets_system = !system_keys_in(&text).is_empty();
    sets_system
        .then_some("It sets a key of the Federation itself, such as its admin key: leave that out.")
})
.hint("Values that are stored under these keys are replaced; they stay in the history.")
.asking(Ask::YesOrNo);

const REMOVE: Action = Action::call(
    'x',
    "remove",
    "env/remove",
    |record| format!("Remove {}: whatever reads it does without from now on", text(record, "key")),
    |record, _| json!({ "key": record["key"] }),
)
.asking(Ask::YesOrNo);

const REVEAL: Action = Action::does(
    'v',
    "reveal",
    |record| format!("Show {} in the clear, for whoever sees this screen", text(record, "key")),
    Effect::Reveal,
)
.asking(Ask::YesOrNo);

const HISTORY: Action = Action::open(
    'h',
    "history",
    &VERSIONS,
    |record| json!({ "key": record["key"] }),
    |record| format!("Versions of {}", text(record, "key")),
);

const ROLLBACK: Action = Action::call(
    'b',
    "roll back",
    "env/rollback",
    |record| {
        format!(
            "Let the value of version {} of {} apply again",
            record["version"],
            text(record, "key")
        )
    },
    |record, _| json!({ "key": record["key"], "version": record["version"] }),
)
.asking(Ask::YesOrNo);

const TEST: Action = Action::call(
    't',
    "test",
    "env/test",
    |record| format!("Ask the provider about {}", text(record, "key")),
    |record, _| json!({ "key": record["key"] }),
)
.showing(Shows::Report(TESTED));

const TESTED: &[Column] = &[
    Column::new("KEY", "key"),
    Column::status("RESULT", "result"),
    Column::new("MESSAGE", "message"),
];

const REFRESH: Action = Action::call(
    'R',
    "Refresh runtime cache",
    "env/refresh",
    |_| "Apply what was edited by hand in the database or the env file".to_owned(),
    nothing,
)
.of_list();

fn set_this(record: &Value) -> String {
    let key = text(record, "key");
    if is_system(record) {
        return format!("Set {key}, which the Federation itself works with");
    }
    format!("Set {key}")
}

/// Whether it is a key that the Federation itself works with: those who know the present one are locked
/// out by another.
fn is_system(record: &Value) -> bool {
    system_key(text(record, "key")).is_some()
}

/// The text to be imported: that of the file, and what was pasted.
fn assignments(answers: &Answers) -> String {
    let texts = [answers.text("file"), answers.text("raw")];
    let texts: Vec<String> = texts.into_iter().filter(|text| !text.is_empty()).collect();
    texts.join("\n")
}

/// The key is that of the form, or that of the record.
fn upsert(record: &Value, answers: &Answers) -> Value {
    let key = match answers.get("key") {
        Value::Null => record["key"].clone(),
        key => key,
    };
    // The server asks unless it is told not to.
    let test =
        if answers.get("untested") == Value::Bool(true) { Value::Bool(false) } else { Value::Null };
    json!({ "key": key, "value": answers.get("value"), "test": test })
}

fn hidden(answer: Value) -> Vec<Value> {
    let hide = |mut record: Value| {
        if let Some(value) = record["value"].as_str().filter(|_| record["masked"] != true) {
            record["value"] = masked(value).into();
        }
        record
    };
    items(answer).into_iter().map(hide).collect()
}

/// The values of all scopes, each with the name of its scope and how it stands: what is required and
/// missing comes first, then what models need.
fn needed(answer: Value) -> Vec<Value> {
    let of_scope = |scope: Value| {
        let (id, name) = (scope["id"].clone(), scope["name"].clone());
        let needed = scope["env"].as_array().cloned().unwrap_or_default();
        needed.into_iter().map(move |mut value| {
            let state = match (&value["configured"], &value["required"]) {
                (Value::Bool(true), _) => "set",
                (_, Value::Bool(true)) => "missing",
                _ => "not set",
            };
            let order = u8::from(state != "missing") + u8::from(id != MODELS);
            value["scope"] = name.clone();
            value["state"] = state.into();
            (order, value)
        })
    };
    let mut needed: Vec<(u8, Value)> = items(answer).into_iter().flat_map(of_scope).collect();
    needed.sort_by_key(|(order, _)| *order);
    needed.into_iter().map(|(_, value)| value).collect()
}
