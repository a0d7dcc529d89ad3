//! Wallets, their ledger, top-ups and codes.

use serde_json::{Value, json};

use super::{Action, Answers, Ask, Field, Kind, List, Shows, nothing, text};
use crate::nouns::balance::{ENTRY, TOPUP, WALLET};
use crate::output::{Column, credits};

pub(super) const LISTS: &[List] = &[
    WALLETS,
    LEDGER,
    List::of("Top-ups", "balance/topups", TOPUP)
        .actions(&[FINISH, CANCEL])
        .empty("Nobody has asked for a top-up."),
    List::of("Redeem codes", "balance/redeem-codes", CODES)
        .by("redeem_code_id")
        .actions(&[MAKE, DISABLE])
        .empty("There is no code. n makes one."),
];

const CODES: &[Column] = &[
    Column::new("CODE", "code_mask"),
    Column::credits("AMOUNT", "amount"),
    Column::status("STATUS", "status"),
    Column::new("USES", "uses"),
    Column::new("OF", "max_uses"),
    Column::new("BY", "redeemed_by_user_id"),
    Column::time("ENDS", "expires_at"),
    Column::time("CREATED", "created_at"),
    Column::new("BATCH", "batch_id"),
    Column::new("ID", "redeem_code_id"),
];

const WALLETS: List = List::of("Wallets", "balance/users", WALLET)
    .actions(&[GIVE, ADD, SUB, LEDGER_OF])
    .empty("Nobody has a wallet yet. n gives credits to a user.");

const LEDGER: List = List::of("Ledger", "balance/history", ENTRY)
    .by("entry_id")
    .actions(&[VERIFY])
    .empty("Nothing was moved yet.");

const VERIFY: Action = Action::call(
    'v',
    "verify",
    "balance/ledger/verify",
    |_| "Prove that all money is where the ledger says".to_owned(),
    nothing,
)
.of_list()
.showing(Shows::Report(PROOF));

const PROOF: &[Column] = &[
    Column::status("OK", "ok"),
    Column::new("WALLETS", "wallets"),
    Column::new("ENTRIES", "entries"),
    Column::new("PROBLEMS", "problems"),
    Column::new("BROKEN", "broken"),
];

/// The wallets of the user of a record.
pub(super) const WALLETS_OF: Action = Action::open(
    'w',
    "wallet",
    &WALLETS,
    |record| json!({ "user_id": record["user_id"] }),
    |record| format!("Wallet of {}", person(record)),
);

const LEDGER_OF: Action = Action::open(
    'h',
    "ledger",
    &LEDGER,
    |record| json!({ "user_id": record["user_id"], "city_id": record["city_id"] }),
    |record| format!("Ledger of {}", person(record)),
);

const CREDITS: Field = Field::new("amount", "Credits", Kind::Credits);
const NOTE: Field = Field::new("note", "Note", Kind::Text).optional();

const GIVE: Action = Action::call(
    'n',
    "give to a user",
    "balance/add",
    |_| "Give credits to a user".to_owned(),
    |_, answers| {
        json!({
            "user_id": answers.get("user_id"), "city_id": answers.get("city_id"),
            "amount_microcredits": answers.get("amount"), "note": answers.get("note"),
        })
    },
)
.of_list()
.form(
    const {
        &[
            Field::new("user_id", "User", Kind::Text),
            CREDITS,
            NOTE,
            Field::new("city_id", "City, where each has wallets", Kind::Text).optional(),
        ]
    },
);

const ADD: Action = Action::call(
    'a',
    "give",
    "balance/add",
    |record| format!("Give credits to {}", person(record)),
    adjust,
)
.form(const { &[CREDITS, NOTE] });

const SUB: Action = Action::call(
    's',
    "take",
    "balance/sub",
    |record| format!("Take credits from {}", person(record)),
    adjust,
)
.form(const { &[CREDITS, NOTE] })
.hint("Never more than are available.")
.asking(Ask::YesOrNo);

const FINISH: Action = Action::call(
    'f',
    "finish",
    "balance/topups/finish",
    |record| format!("Credit {} to {}, as paid", amount(record), text(record, "user_id")),
    topup,
)
.asking(Ask::YesOrNo);

const CANCEL: Action = Action::call(
    'x',
    "cancel",
    "balance/topups/cancel",
    |record| format!("Give up the top-up of {} for {}", amount(record), text(record, "user_id")),
    topup,
)
.asking(Ask::YesOrNo);

const MAKE: Action = Action::call(
    'n',
    "new",
    "balance/redeem-codes/batch",
    |_| "Make redeem codes".to_owned(),
    |_, answers| {
        json!({
            "count": if answers.get("count").is_null() { json!(1) } else { answers.get("count") },
            "amount_microcredits": answers.get("amount"), "max_uses": answers.get("max_uses"),
            "note": answers.get("note"),
        })
    },
)
.of_list()
.form(
    const {
        &[
            CREDITS,
            Field::new("count", "How many codes (1)", Kind::Number).optional(),
            Field::new("max_uses", "Uses of each (1)", Kind::Number).optional(),
            NOTE,
        ]
    },
)
.hint("Whoever redeems a code gets the credits. Codes are shown once.")
.showing(Shows::Once(codes));

const DISABLE: Action = Action::call(
    'x',
    "disable",
    "balance/redeem-codes/disable",
    |record| {
        format!("Take back the code {}: nobody redeems it any more", text(record, "code_mask"))
    },
    |record, _| json!({ "redeem_code_id": record["redeem_code_id"] }),
)
.asking(Ask::YesOrNo);

fn adjust(record: &Value, answers: &Answers) -> Value {
    json!({
        "user_id": record["user_id"], "city_id": record["city_id"],
        "amount_microcredits": answers.get("amount"), "note": answers.get("note"),
    })
}

fn topup(record: &Value, _: &Answers) -> Value {
    json!({ "topup_id": record["topup_id"] })
}

/// A line per code.
fn codes(answer: &Value) -> String {
    let codes = answer["items"].as_array().into_iter().flatten();
    codes.filter_map(|code| code["code"].as_str()).collect::<Vec<_>>().join("\n")
}

/// Whose wallet it is: a user's may be one of several, where each city has its own.
fn person(record: &Value) -> String {
    let user = text(record, "user_id");
    match record["city_id"].as_str() {
        Some(city) => format!("{user} in {city}"),
        None => user.to_owned(),
    }
}

/// The amount of a record in a sentence.
fn amount(record: &Value) -> String {
    format!("{} credits", credits(record["amount"].as_i64().unwrap_or_default()))
}
