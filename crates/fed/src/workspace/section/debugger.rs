//! Any action of any service, from the OpenAPI document.

use serde_json::{Value, json};

use super::{Action, Effect, List, Source, text};
use crate::actions::operations;
use crate::output::Column;

pub(super) const LISTS: &[List] = &[LIST];

/// Where an action of the document says its path.
pub(in crate::workspace) const ACTION_PATH: &str = "action";

/// The actions of the document.
pub(in crate::workspace) const LIST: List = List::with("Actions", Source::Document, COLUMNS)
    .rows(actions)
    .actions(&[CALL])
    .empty("Nothing is mounted.");

const COLUMNS: &[Column] = &[
    Column::new("ACTION", ACTION_PATH),
    Column::new("METHOD", "method"),
    Column::new("AS", "as"),
    Column::new("WHAT IT DOES", "summary"),
];

const CALL: Action = Action::does(
    'c',
    "call",
    |record| format!("{} {}", text(record, "method"), text(record, ACTION_PATH)),
    Effect::Compose,
);

/// A row per action that the document describes; routes beside `/v1` are no actions.
fn actions(document: Value) -> Vec<Value> {
    let actions = operations(&document).filter(|action| action.path.starts_with("/v1/"));
    let row = |action: crate::actions::Described<'_>| {
        json!({
            "method": action.method,
            ACTION_PATH: action.path.trim_start_matches("/v1/"),
            "as": match (action.takes("user_token"), action.takes("admin_key")) {
                (true, true) => "both",
                (true, false) => "user",
                (false, _) => "admin",
            },
            "summary": action.operation["summary"],
        })
    };
    actions.map(row).collect()
}
