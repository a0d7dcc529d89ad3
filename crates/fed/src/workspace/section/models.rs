//! Models: whether they can be called, what they lack, and what they cost.

use serde_json::{Value, json};

use super::{Action, Answers, Ask, Effect, Field, Kind, List, Shows, text};
use crate::nouns::model::{PRICE, STORED, TESTED};
use crate::output::Column;

pub(super) const LISTS: &[List] = &[
    List::whole("Models", "ai/models", READINESS)
        .actions(&[TEST, SET_MISSING])
        .more(&[
            Column::new("MODES", "modalities"),
            Column::new("DESCRIPTION", "description"),
            Column::new("TAGS", "tags"),
        ])
        .empty("No model is configured."),
    List::whole("Prices", "ai/models", PRICE).empty("No model is configured."),
    List::whole("Stored", "ai/models/stored", STORED)
        .actions(&[STORE, TURN_ON, TURN_OFF, REMOVE])
        .more(&[Column::new("DEFINITION", "definition")])
        .empty("No model is stored. n stores one beside those of federation.toml."),
];

const READINESS: &[Column] = &[
    Column::new("ID", "id"),
    Column::status("READY", "ready"),
    Column::new("MISSING ENV", "missing_env"),
    Column::new("NAME", "name"),
    Column::new("DEFAULT FOR", "default_modes"),
    Column::new("FROM", "source"),
];

const TEST: Action = Action::call(
    't',
    "test live",
    "ai/test",
    |record| format!("Make a tiny live call of {}", text(record, "id")),
    |record, _| json!({ "models": [record["id"]] }),
)
.showing(Shows::Report(TESTED));

const SET_MISSING: Action = Action::does(
    's',
    "set missing env",
    |record| format!("Set what {} lacks", text(record, "id")),
    Effect::Jump {
        list: "Needed",
        row: |record| record["missing_env"][0].as_str().map(str::to_owned),
    },
);

const STORE: Action = Action::call(
    'n',
    "store",
    "ai/models/set",
    |_| "Store a model, in place of the stored one of its id".to_owned(),
    |_, answers| {
        json!({ "models": [{
            "id": answers.get("id"),
            "definition": {
                "name": answers.get("name"), "provider": answers.get("provider"),
                "upstream_model": answers.get("upstream_model"),
            },
        }] })
    },
)
.of_list()
.form(
    const {
        &[
            Field::new("id", "Id that products call", Kind::Text),
            Field::new("name", "Name", Kind::Text),
            Field::new("provider", "Provider (its id)", Kind::Text),
            Field::new("upstream_model", "What the provider calls it", Kind::Text),
        ]
    },
)
.hint("Applies at once, on every node. `fed model set` takes prices and all other settings.");

const TURN_ON: Action = Action::call(
    'e',
    "enable",
    "ai/models/set",
    |record| format!("Take {} into the catalog", text(record, "id")),
    |record, _| enabled(record, true),
);

const TURN_OFF: Action = Action::call(
    'd',
    "disable",
    "ai/models/set",
    |record| format!("Leave {} out of the catalog: nobody can call it", text(record, "id")),
    |record, _| enabled(record, false),
)
.asking(Ask::YesOrNo);

const REMOVE: Action = Action::call(
    'x',
    "remove",
    "ai/models/remove",
    |record| format!("Remove {} from the table", text(record, "id")),
    |record, _: &Answers| json!({ "id": record["id"] }),
)
.asking(Ask::YesOrNo);

fn enabled(record: &Value, enabled: bool) -> Value {
    json!({ "models": [{ "id": record["id"], "enabled": enabled }] })
}
