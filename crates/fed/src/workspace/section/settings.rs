//! The Federations that this person works with.

use super::{Action, Ask, Effect, Field, Kind, List, Servers, Source, text};
use crate::nouns::server::SERVER;

pub(super) const LISTS: &[List] = &[List::with("Connections", Source::Servers, SERVER)
    .by("name")
    .actions(&[USE, ADD, LOG_IN, REMOVE])
    .empty("No Federation is stored here. n adds one.")];

const KEY: Field = Field::new("admin_key", "Admin key", Kind::Secret);

const USE: Action = Action::does(
    'u',
    "use",
    |record| format!("Go to {}, here and with every command", text(record, "name")),
    Effect::Servers(Servers::Use),
);

const ADD: Action =
    Action::does('n', "add", |_| "Add a Federation".to_owned(), Effect::Servers(Servers::Add))
        .of_list()
        .form(
            const {
                &[
                    Field::new("name", "How to call it here", Kind::Text),
                    Field::new("url", "Address", Kind::Text),
                    KEY,
                ]
            },
        )
        .hint("The key is tried before anything is stored.");

const LOG_IN: Action = Action::does(
    'l',
    "new key",
    |record| format!("Store another admin key for {}", text(record, "name")),
    Effect::Servers(Servers::LogIn),
)
.form(const { &[KEY] })
.hint("The key is tried before it is stored.");

const REMOVE: Action = Action::does(
    'x',
    "forget",
    |record| {
        format!("Forget {} and its key; the Federation itself stays as it is", text(record, "name"))
    },
    Effect::Servers(Servers::Remove),
)
.asking(Ask::YesOrNo);
