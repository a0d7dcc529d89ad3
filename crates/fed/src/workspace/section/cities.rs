//! Cities, and the keys of the trusted side.

use serde_json::{Value, json};

use super::{Action, Ask, Field, Kind, List, Shows, nothing, text};
use crate::nouns::city::CITY;
use crate::nouns::key::SIGNING;
use crate::output::Column;

pub(super) const LISTS: &[List] = &[
    List::of("Cities", "cities/list", CITY)
        .actions(&[CREATE, ISSUE, PAUSE, ACTIVATE, REMOVE])
        .empty("There is no city. n creates one."),
    List::of("Service keys", "keys/list", SERVICE_KEY)
        .by("key_id")
        .actions(&[CREATE_KEY, REVOKE_KEY])
        .empty("There is no service key. n makes one that can do only what it is for."),
    List::whole("Signing keys", "keys/signing", SIGNING)
        .actions(&[ROTATE])
        .empty("No key signs tokens yet."),
];

const SERVICE_KEY: &[Column] = &[
    Column::new("NAME", "name"),
    Column::new("BEGINS", "prefix"),
    Column::time("REVOKED", "revoked_at"),
    Column::new("ACTIONS", "actions"),
    Column::time("ENDS", "expires_at"),
    Column::new("CITIES", "cities"),
    Column::credits("PER CALL", "amount_per_call"),
    Column::credits("PER DAY", "amount_per_day"),
    Column::time("LAST USED", "last_used_at"),
    Column::new("ID", "key_id"),
];

const CREATE: Action = Action::call(
    'n',
    "new",
    "cities/create",
    |_| "Create a city".to_owned(),
    |_, answers| json!({ "name": answers.get("name"), "city_id": answers.get("city_id") }),
)
.of_list()
.form(
    const {
        &[
            Field::new("name", "Name", Kind::Text),
            Field::new("city_id", "Id (made up if empty)", Kind::Text).optional(),
        ]
    },
)
.hint("A city is one product. Its users and their tokens are its own.");

const ISSUE: Action = Action::call(
    't',
    "issue token",
    "cities/tokens/apply",
    |record| format!("Issue a user_token in {}", named(record)),
    |record, answers| {
        json!({
            "city_id": record["city_id"], "user_id": answers.get("user_id"),
            "ttl": answers.get("ttl"),
        })
    },
)
.form(
    const {
        &[
            Field::new("user_id", "User", Kind::Text),
            Field::new("ttl", "Good for, such as 12h or 7d", Kind::Text).optional(),
        ]
    },
)
.hint("The token is shown once. Whoever has it is this user.")
.showing(Shows::Token);

const PAUSE: Action = Action::call(
    'p',
    "pause",
    "cities/pause",
    |record| format!("Pause {}: its users are refused until it is activated", named(record)),
    city,
)
.asking(Ask::YesOrNo);

const ACTIVATE: Action = Action::call(
    'a',
    "activate",
    "cities/activate",
    |record| format!("Activate {}", named(record)),
    city,
);

const REMOVE: Action = Action::call(
    'x',
    "remove",
    "cities/remove",
    |record| format!("Remove {} and end all of its tokens", named(record)),
    city,
)
.asking(Ask::Typed(&["name", "city_id"]));

const CREATE_KEY: Action = Action::call(
    'n',
    "new",
    "keys/create",
    |_| "Make a service key".to_owned(),
    |_, answers| {
        json!({
            "name": answers.get("name"), "actions": answers.get("actions"),
            "cities": answers.get("cities"), "ttl": answers.get("ttl"),
            "amount_per_day": answers.get("amount_per_day"),
        })
    },
)
.of_list()
.form(
    const {
        &[
            Field::new("name", "Name", Kind::Text),
            Field::new("actions", "Actions, such as usage/*", Kind::Texts),
            Field::new("cities", "Only in these cities", Kind::Texts).optional(),
            Field::new("ttl", "Good for, such as 90d", Kind::Text).optional(),
            Field::new("amount_per_day", "Credits a day at most", Kind::Credits).optional(),
        ]
    },
)
.hint("For a program of the trusted side. The key is shown once.")
.showing(Shows::Once(|answer| text(answer, "key").to_owned()));

const REVOKE_KEY: Action = Action::call(
    'x',
    "revoke",
    "keys/revoke",
    |record| format!("End the service key {}: it is refused at once", key_named(record)),
    |record, _| json!({ "key_id": record["key_id"] }),
)
.asking(Ask::YesOrNo);

const ROTATE: Action = Action::call(
    'o',
    "rotate",
    "keys/rotate",
    |_| {
        "Sign new tokens with a new key; those of the present one stay good until they end"
            .to_owned()
    },
    nothing,
)
.of_list()
.asking(Ask::YesOrNo);

fn city(record: &Value, _: &super::Answers) -> Value {
    json!({ "city_id": record["city_id"] })
}

/// A city in a sentence: others may have the same name.
fn named(record: &Value) -> String {
    format!("{} ({})", text(record, "name"), text(record, "city_id"))
}

/// A service key in a sentence.
fn key_named(record: &Value) -> String {
    format!("{} ({})", text(record, "name"), text(record, "prefix"))
}
