//! Ways to pay, payments, and what providers told.

use serde_json::{Value, json};

use super::{Action, Answers, Ask, Effect, List, text};
use crate::nouns::payment::{EVENT, METHOD, PAYMENT};
use crate::output::Column;

pub(super) const LISTS: &[List] = &[
    List::whole("Methods", "payment/methods", METHOD)
        .actions(&[WEBHOOK])
        .empty("No way to pay is configured. See [payment] in federation.toml."),
    List::of("Payments", "payment/payments", PAYMENT)
        .actions(&[CREDIT, REJECT, EVENTS_OF])
        .more(&[
            Column::new("PROVIDER'S ID", "provider_payment_id"),
            Column::new("CHECKOUT", "checkout_url"),
            Column::new("REFUNDED MINOR", "refunded_minor"),
        ])
        .empty("Nobody has paid yet."),
    EVENTS,
];

const EVENTS: List = List::of("Events", "payment/events", EVENT)
    .actions(&[REPLAY])
    .empty("No provider has told anything yet. w on a method says where they send it.");

const WEBHOOK: Action = Action::does(
    'w',
    "webhook URL",
    |record| format!("Where {} has to send its events", text(record, "label")),
    Effect::Tell(webhook),
);

const EVENTS_OF: Action = Action::open(
    'e',
    "events",
    &EVENTS,
    |record| json!({ "payment_id": record["payment_id"] }),
    |record| format!("Events of {}", text(record, "payment_id")),
);

const CREDIT: Action = Action::call(
    'c',
    "credit",
    "payment/payments/resolve",
    |record| format!("Credit {}", payment(record)),
    |record, _| json!({ "payment_id": record["payment_id"], "credit": true }),
)
.asking(Ask::YesOrNo);

const REJECT: Action = Action::call(
    'x',
    "reject",
    "payment/payments/resolve",
    |record| format!("Close {} without crediting it", payment(record)),
    |record, _| json!({ "payment_id": record["payment_id"], "credit": false }),
)
.asking(Ask::YesOrNo);

const REPLAY: Action = Action::call(
    'p',
    "replay",
    "payment/events/replay",
    |record| format!("Handle the event {} again; it has its effect once", text(record, "event_id")),
    replay,
)
.asking(Ask::YesOrNo);

fn replay(record: &Value, _: &Answers) -> Value {
    json!({ "event_id": record["event_id"] })
}

/// What to paste at the provider, and what to store here.
fn webhook(record: &Value) -> String {
    let webhook = &record["webhook"];
    if webhook.is_null() {
        return "This way to pay has no webhook.".to_owned();
    }
    let events = webhook["events"].as_array().into_iter().flatten().filter_map(Value::as_str);
    let events = events.fold(String::new(), |events, event| events + "\n  " + event);
    format!(
        "{}\n\nWhere providers reach this Federation under another address, that one stands in place of \
         its beginning.\n\nEvents:{events}\n\nIts signing secret is kept under Env: {}",
        text(webhook, "url"),
        text(webhook, "env_key"),
    )
}

/// A payment in a sentence: whose, how much, and how it stands.
fn payment(record: &Value) -> String {
    let minor = record["amount_minor"].as_i64().unwrap_or_default();
    let [user, currency, status] = ["user_id", "currency", "status"].map(|name| text(record, name));
    format!("the payment of {user} over {minor} minor units of {currency}, which is {status},")
}
