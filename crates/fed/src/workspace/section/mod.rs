//! What the workspace shows and can do, as data: sections, their lists, and what can be done with them.
//!
//! A list is where its records come from, the columns of its rows and its actions; an action is a key,
//! what is asked of the person, and what becomes of the answers. Loading, drawing, asking and sending is
//! the same for all of them.

mod balance;
mod cities;
mod debugger;
mod env;
mod models;
mod payment;
mod settings;
mod usage;
mod users;
mod work;

use serde_json::{Value, json};

use crate::output::{Column, at};

pub(super) use debugger::ACTION_PATH;
pub(super) use env::SET_THIS;

/// A place of the workspace.
#[derive(Debug)]
pub(super) struct Section {
    pub(super) title: &'static str,
    pub(super) body: Body,
}

/// What a section consists of.
#[derive(Debug)]
pub(super) enum Body {
    /// How the Federation is, and what to do next.
    Overview,
    /// Lists, one of which is shown.
    Lists(&'static [List]),
    /// The text that explains the Federation.
    Instruction,
}

/// A list of records.
#[derive(Debug)]
pub(super) struct List {
    pub(super) title: &'static str,
    pub(super) source: Source,
    pub(super) columns: &'static [Column],
    /// Makes rows of what the source answered.
    pub(super) rows: fn(Value) -> Vec<Value>,
    pub(super) actions: &'static [Action],
    /// The field that tells a record from others.
    pub(super) id: &'static str,
    /// What the whole record shows beyond the columns.
    pub(super) more: &'static [Column],
    /// What an empty list says.
    pub(super) empty: &'static str,
}

/// Where records come from.
#[derive(Clone, Copy, Debug)]
pub(super) enum Source {
    /// An action that lists, such as `cities/list`, with fields of its query.
    Action(&'static str, &'static [(&'static str, &'static str)]),
    /// The actions that the OpenAPI document describes.
    Document,
    /// The Federations that this person works with.
    Servers,
}

/// Something that can be done with a list, or with the record that is chosen in it.
#[derive(Debug)]
pub(super) struct Action {
    pub(super) key: char,
    pub(super) label: &'static str,
    /// Whether it is about the chosen record.
    pub(super) needs_record: bool,
    /// What is asked first.
    pub(super) fields: &'static [Field],
    /// What it does, as a sentence without its end.
    pub(super) what: fn(&Value) -> String,
    /// What is said beside the questions.
    pub(super) hint: &'static str,
    pub(super) ask: Ask,
    /// About which records it is asked.
    pub(super) asks_about: fn(&Value) -> bool,
    /// What is wrong with the answers as a whole.
    pub(super) refuses: fn(&Answers) -> Option<&'static str>,
    pub(super) effect: Effect,
}

/// What an action does.
#[derive(Clone, Copy, Debug)]
pub(super) enum Effect {
    /// Calls an action of the server with an input that is made of the record and the answers.
    Call { path: &'static str, input: fn(&Value, &Answers) -> Value, shows: Shows },
    /// Opens a list that belongs to the record, under a heading of its own.
    Open { list: &'static List, query: fn(&Value) -> Value },
    /// Goes to the list of another section that has this title, and looks for a row there.
    Jump { list: &'static str, row: fn(&Value) -> Option<String> },
    /// Reads one record by its path and shows it.
    Look { path: fn(&Value) -> String, columns: &'static [Column] },
    /// Shows the value of this env entry in the clear.
    Reveal,
    /// Asks what an action of the registry takes, and calls it.
    Compose,
    /// Shows this text of the record, to be copied.
    Tell(fn(&Value) -> String),
    /// Changes the Federations that this person works with.
    Servers(Servers),
}

/// What is changed of the Federations that a person works with.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Servers {
    /// The workspace and all commands go there.
    Use,
    /// A new one; its key is tried before it is stored.
    Add,
    /// A new key for one that is known; it is tried before it is stored.
    LogIn,
    Remove,
}

/// What of an answer is shown to the person.
#[derive(Clone, Copy, Debug)]
pub(super) enum Shows {
    /// That it is done; and what the server warns of.
    Done,
    /// A secret that is never shown again.
    Once(fn(&Value) -> String),
    /// A user_token, which is never shown again and can be used in the debugger.
    Token,
    /// What was found out, as records.
    Report(&'static [Column]),
}

/// How an action is confirmed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Ask {
    /// Not at all: it takes nothing away.
    Never,
    /// With yes or no.
    YesOrNo,
    /// By typing what one of these fields of the record says.
    Typed(&'static [&'static str]),
}

/// A question of a form.
#[derive(Clone, Copy, Debug)]
pub(super) struct Field {
    pub(super) name: &'static str,
    pub(super) label: &'static str,
    pub(super) kind: Kind,
    /// Where the answer may be left out.
    pub(super) optional: bool,
}

/// What a field takes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    /// A line of text.
    Text,
    /// Several texts with commas between.
    Texts,
    /// A line that is not shown.
    Secret,
    /// Several lines that are not shown, such as a pasted .env file.
    SecretLines,
    /// A path of this machine, whose content is the answer.
    File,
    /// Credits, such as 2.5; microcredits in the answer.
    Credits,
    /// A whole number.
    Number,
    /// Yes or no.
    Flag,
    /// One of several, which the form knows.
    Choice,
    /// Any JSON.
    Json,
}

/// What was answered in a form, by field. Secrets are among it: it is never printed.
#[derive(Clone, Default)]
pub(super) struct Answers(pub(super) Vec<(String, Value)>);

impl Answers {
    /// The answer to a field; null where it was left out.
    pub(super) fn get(&self, name: &str) -> Value {
        let found = self.0.iter().find(|(known, _)| known == name);
        found.map_or(Value::Null, |(_, value)| value.clone())
    }

    /// The text of an answer; empty where it was left out.
    pub(super) fn text(&self, name: &str) -> String {
        self.get(name).as_str().unwrap_or_default().to_owned()
    }
}

/// The sections, in the order of the menu.
pub(super) const SECTIONS: &[Section] = &[
    Section { title: "Overview", body: Body::Overview },
    Section { title: "Env", body: Body::Lists(env::LISTS) },
    Section { title: "Models", body: Body::Lists(models::LISTS) },
    Section { title: "Cities", body: Body::Lists(cities::LISTS) },
    Section { title: "Users", body: Body::Lists(users::LISTS) },
    Section { title: "Balance", body: Body::Lists(balance::LISTS) },
    Section { title: "Usage", body: Body::Lists(usage::LISTS) },
    Section { title: "Payment", body: Body::Lists(payment::LISTS) },
    Section { title: "Debugger", body: Body::Lists(debugger::LISTS) },
    Section { title: "Jobs", body: Body::Lists(work::JOBS) },
    Section { title: "Audit", body: Body::Lists(work::AUDIT) },
    Section { title: "Instruction", body: Body::Instruction },
    Section { title: "Settings", body: Body::Lists(settings::LISTS) },
];

/// The place of the list with this title: its section, and its number there.
pub(super) fn place_of(title: &str) -> Option<(usize, usize)> {
    SECTIONS.iter().enumerate().find_map(|(at, section)| {
        let Body::Lists(lists) = section.body else { return None };
        let tab = lists.iter().position(|list| list.title == title)?;
        Some((at, tab))
    })
}

impl List {
    /// A list of the records of an action, read in pages.
    const fn of(title: &'static str, path: &'static str, columns: &'static [Column]) -> Self {
        Self::with(title, Source::Action(path, PAGE), columns)
    }

    /// A list of the records of an action that answers with all of them.
    const fn whole(title: &'static str, path: &'static str, columns: &'static [Column]) -> Self {
        Self::with(title, Source::Action(path, &[]), columns)
    }

    const fn with(title: &'static str, source: Source, columns: &'static [Column]) -> Self {
        Self {
            title,
            source,
            columns,
            rows: items,
            actions: &[],
            id: columns[0].path(),
            more: &[],
            empty: "Nothing is there.",
        }
    }

    /// What tells a record of this list from others; empty where it does not say.
    pub(super) fn id(&self, record: &Value) -> String {
        at(record, self.id).and_then(Value::as_str).unwrap_or_default().to_owned()
    }

    /// Tells records apart by this field, where it is not the first column that does.
    const fn by(mut self, id: &'static str) -> Self {
        self.id = id;
        self
    }

    const fn empty(mut self, says: &'static str) -> Self {
        self.empty = says;
        self
    }

    const fn actions(mut self, actions: &'static [Action]) -> Self {
        self.actions = actions;
        self
    }

    const fn rows(mut self, rows: fn(Value) -> Vec<Value>) -> Self {
        self.rows = rows;
        self
    }

    const fn more(mut self, more: &'static [Column]) -> Self {
        self.more = more;
        self
    }
}

/// The value of a query that stands for some days before today.
pub(super) const LAST_DAYS: &str = "{last days}";

/// How many records are read at once.
const PAGE: &[(&str, &str)] = &[("limit", "100")];

/// The records of an answer as they are.
fn items(mut answer: Value) -> Vec<Value> {
    match answer.get_mut("items").map(Value::take) {
        Some(Value::Array(items)) => items,
        _ => Vec::new(),
    }
}

impl Action {
    /// One that calls an action of the server about the chosen record.
    const fn call(
        key: char,
        label: &'static str,
        path: &'static str,
        what: fn(&Value) -> String,
        input: fn(&Value, &Answers) -> Value,
    ) -> Self {
        Self::does(key, label, what, Effect::Call { path, input, shows: Shows::Done })
    }

    const fn does(
        key: char,
        label: &'static str,
        what: fn(&Value) -> String,
        effect: Effect,
    ) -> Self {
        Self {
            key,
            label,
            needs_record: true,
            fields: &[],
            what,
            hint: "",
            ask: Ask::Never,
            asks_about: |_| true,
            refuses: |_| None,
            effect,
        }
    }

    /// One that opens a list that belongs to the chosen record.
    const fn open(
        key: char,
        label: &'static str,
        list: &'static List,
        query: fn(&Value) -> Value,
        heading: fn(&Value) -> String,
    ) -> Self {
        Self::does(key, label, heading, Effect::Open { list, query })
    }

    const fn asking(mut self, ask: Ask) -> Self {
        self.ask = ask;
        self
    }

    /// Only about some records.
    const fn only_about(mut self, records: fn(&Value) -> bool) -> Self {
        self.asks_about = records;
        self
    }

    const fn refusing(mut self, refuses: fn(&Answers) -> Option<&'static str>) -> Self {
        self.refuses = refuses;
        self
    }

    const fn form(mut self, fields: &'static [Field]) -> Self {
        self.fields = fields;
        self
    }

    const fn hint(mut self, hint: &'static str) -> Self {
        self.hint = hint;
        self
    }

    /// About the list as a whole.
    const fn of_list(mut self) -> Self {
        self.needs_record = false;
        self
    }

    const fn showing(mut self, shown: Shows) -> Self {
        if let Effect::Call { path, input, .. } = self.effect {
            self.effect = Effect::Call { path, input, shows: shown };
        }
        self
    }
}

impl Field {
    const fn new(name: &'static str, label: &'static str, kind: Kind) -> Self {
        Self { name, label, kind, optional: false }
    }

    const fn optional(mut self) -> Self {
        self.optional = true;
        self
    }
}

/// A text of a record, for sentences.
fn text<'a>(record: &'a Value, field: &str) -> &'a str {
    record[field].as_str().unwrap_or("?")
}

/// Nothing of the record, for actions of a list.
fn nothing(_: &Value, _: &Answers) -> Value {
    json!({})
}
