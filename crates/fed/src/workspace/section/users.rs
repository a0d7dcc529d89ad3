//! Users who signed up, their sessions, and what was mailed to them.

use serde_json::{Value, json};

use super::balance::WALLETS_OF;
use super::usage::CALLS_OF;
use super::{Action, Answers, Ask, List, text};
use crate::nouns::account::{ACCOUNT, SESSION};
use crate::output::Column;

pub(super) const LISTS: &[List] = &[
    List::of("Users", "accounts/users", ACCOUNT)
        .actions(&[WALLETS_OF, CALLS_OF, DISABLE, ENABLE, END_SESSIONS, REMOVE])
        .empty("Nobody has signed up."),
    List::of("Sessions", "accounts/sessions", SESSION)
        .actions(&[END_SESSION, END_SESSIONS])
        .more(&[Column::new("DEVICE", "user_agent")])
        .empty("Nobody is signed in."),
    List::whole("Mailbox", "accounts/mailbox", MAIL)
        .more(&[Column::new("TEXT", "text")])
        .empty("No mail is here. The development mailbox keeps what would have been mailed."),
];

const MAIL: &[Column] = &[
    Column::time("TIME", "created_at"),
    Column::new("TO", "to"),
    Column::new("SUBJECT", "subject"),
];

const DISABLE: Action = Action::call(
    'd',
    "disable",
    "accounts/users/disable",
    |record| format!("Disable {} and end all sessions", text(record, "email")),
    user,
)
.asking(Ask::YesOrNo);

const ENABLE: Action = Action::call(
    'e',
    "enable",
    "accounts/users/enable",
    |record| format!("Let {} sign in again", text(record, "email")),
    user,
);

const END_SESSIONS: Action = Action::call(
    'o',
    "end all sessions",
    "accounts/users/sessions/revoke",
    |record| format!("End all sessions of {}", text(record, "user_id")),
    user,
)
.asking(Ask::YesOrNo);

const REMOVE: Action = Action::call(
    'x',
    "remove",
    "accounts/users/remove",
    |record| format!("Remove the account of {} for ever", text(record, "email")),
    user,
)
.asking(Ask::Typed(&["email", "user_id"]));

const END_SESSION: Action = Action::call(
    'x',
    "end",
    "accounts/sessions/revoke",
    |record| format!("End this session of {}", text(record, "user_id")),
    |record, _| json!({ "session_id": record["session_id"], "city_id": record["city_id"] }),
)
.asking(Ask::YesOrNo);

fn user(record: &Value, _: &Answers) -> Value {
    json!({ "user_id": record["user_id"] })
}
