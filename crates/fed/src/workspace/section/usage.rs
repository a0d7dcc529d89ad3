//! What was called, and what it cost.

use serde_json::{Value, json};

use super::{Action, Effect, LAST_DAYS, List, Source, items, text};
use crate::nouns::usage::{RECEIPT, SUM};
use crate::output::Column;

pub(super) const LISTS: &[List] = &[
    CALLS,
    summed("By day", &[("group_by", "day,city_id,status"), ("from", LAST_DAYS), ("limit", "500")])
        .rows(newest_first),
    summed("By model", &[("group_by", "model_id,status"), ("service", "ai"), ("limit", "100")]),
    summed("By user", &[("group_by", "user_id,city_id"), ("limit", "100")]),
];

/// What tells most of a call comes first: a narrow window shows no more.
const CALL: &[Column] = &[
    Column::time("TIME", "created_at"),
    Column::status("STATUS", "status"),
    Column::new("ACTION", "action"),
    Column::new("MODEL", "model_id"),
    Column::new("USER", "user_id"),
    Column::credits("CHARGED", "charge_microcredits"),
    Column::new("MS", "duration_ms"),
    Column::new("CITY", "city_id"),
    Column::new("REQUEST", "request_id"),
];

const CALLS: List = List::of("Calls", "usage/events", CALL)
    .by("request_id")
    .actions(&[EXPLAIN])
    .more(&[Column::new("CODE", "code"), Column::new("ERROR", "error")])
    .empty("No call was recorded yet. Calls of users are, those of the trusted side are not.");

const fn summed(title: &'static str, query: &'static [(&'static str, &'static str)]) -> List {
    List::with(title, Source::Action("usage/summary", query), SUM)
        .empty("No call was recorded yet.")
}

/// Days, which the server tells from the oldest on.
fn newest_first(answer: Value) -> Vec<Value> {
    let mut days = items(answer);
    days.sort_by(|one, other| other["day"].as_str().cmp(&one["day"].as_str()));
    days
}

/// The calls of the user of a record.
pub(super) const CALLS_OF: Action = Action::open(
    'c',
    "calls",
    &CALLS,
    |record| json!({ "user_id": record["user_id"] }),
    |record| format!("Calls of {}", text(record, "user_id")),
);

const EXPLAIN: Action = Action::does(
    'e',
    "explain",
    |record| format!("Receipt of {}", text(record, "request_id")),
    Effect::Look { path: receipt, columns: RECEIPT },
);

fn receipt(record: &Value) -> String {
    format!("usage/requests/{}", text(record, "request_id"))
}
