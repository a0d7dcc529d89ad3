//! From an action to what is asked, and from the answers to what is done.

use secrecy::SecretString;
use serde_json::{Value, json};

use super::{After, App, Page, Sent, Want};
use crate::remote::without_nulls;
use crate::workspace::dialog::{Confirm, Dialog, Filled, Form, Purpose, operation};
use crate::workspace::section::{Action, Answers, Ask, Effect, Servers, Shows, place_of};
use crate::workspace::task::{Read, Send, Task};

impl App {
    /// Begins an action: asks what it needs to know, or does it.
    pub(super) fn begin(&mut self, action: &'static Action, record: Value) -> Vec<Task> {
        let purpose = match action.effect {
            Effect::Compose => match operation(&self.document, &record) {
                Some(operation) => Purpose::Compose(Box::new(operation)),
                None => {
                    self.fail(
                        "The OpenAPI document says nothing of it any more: r reads it again.",
                    );
                    return Vec::new();
                }
            },
            _ => Purpose::Act(action, record),
        };
        if purpose.asks() {
            let (has_token, once) = (self.user_token.is_some(), self.number());
            self.dialogs.push(Dialog::Form(Form::new(purpose, has_token, once)));
            return Vec::new();
        }
        self.answered(Filled { purpose, answers: Answers::default(), form: None })
    }

    /// The questions are answered: it is confirmed, or done.
    pub(super) fn answered(&mut self, filled: Filled) -> Vec<Task> {
        if filled.purpose.ask() == Ask::Never {
            return self.carry_out(filled);
        }
        self.dialogs.push(Dialog::Confirm(Confirm::new(filled)));
        Vec::new()
    }

    /// Does it.
    pub(super) fn carry_out(&mut self, filled: Filled) -> Vec<Task> {
        let Filled { purpose, answers, form } = filled;
        let once = form.as_ref().map_or_else(|| self.number(), |form| form.once);
        let (action, record) = match purpose {
            Purpose::Act(action, record) => (action, record),
            Purpose::Compose(operation) => {
                let label = format!("{} {}", operation.method, operation.path);
                let user_token = operation.user_token(&answers, self.user_token.as_ref());
                let (path, input) = operation.call(&answers);
                let is_get = operation.method == "GET";
                let call = Send::Call { is_get, path, input, once, user_token };
                let after = After::Response { hides_values: operation.path.starts_with("env/") };
                return self.send(label, after, form, call);
            }
        };
        match action.effect {
            Effect::Call { path, input, shows } => {
                let input = without_nulls(input(&record, &answers));
                let takes_long = matches!(shows, Shows::Report(_));
                let send = Send::Action { path: path.to_owned(), input, once, takes_long };
                self.send((action.what)(&record), After::Shows(shows), form, send)
            }
            Effect::Open { list, query } => {
                let page = Page::of(list, (action.what)(&record), without_nulls(query(&record)));
                self.shelves[self.section].opened.push(page);
                self.reload()
            }
            Effect::Jump { list, row } => self.jump(list, row(&record)),
            Effect::Look { path, columns } => {
                let read = Read::Action(path(&record), json!({}));
                let want = Want::Record { title: (action.what)(&record), columns };
                vec![self.read(read, want)]
            }
            Effect::Reveal => {
                let key = record["key"].as_str().unwrap_or_default().to_owned();
                let read = Read::Action("env/list".to_owned(), json!({ "reveal": true }));
                vec![self.read(read, Want::Reveal { key })]
            }
            Effect::Tell(tells) => {
                self.dialogs.push(Dialog::plain((action.what)(&record), tells(&record)));
                Vec::new()
            }
            Effect::Servers(change) => {
                let send = servers(change, &record, &answers);
                self.send((action.what)(&record), After::Servers, form, send)
            }
            // It was made into a purpose of its own when it began.
            Effect::Compose => Vec::new(),
        }
    }

    fn send(&mut self, label: String, after: After, form: Option<Form>, send: Send) -> Vec<Task> {
        let number = self.number();
        let list = self.page().map(|page| page.list);
        self.sends.insert(number, Sent { label, after, form, list, is_elsewhere: false });
        vec![Task::Send(number, send)]
    }

    /// Goes to a list of another section, and there to a row, and begins the first action on it.
    fn jump(&mut self, list: &str, row: Option<String>) -> Vec<Task> {
        let Some(row) = row else {
            self.say("It lacks nothing.");
            return Vec::new();
        };
        let Some((section, tab)) = place_of(list) else { return Vec::new() };
        let tasks = self.go(section, tab);
        let record = json!({ "key": row });
        self.shelves[section].tabs[tab].choose(&record);
        self.begin(&crate::workspace::section::SET_THIS, record);
        tasks
    }
}

/// A change of the stored Federations: what is not answered is what the record says.
fn servers(change: Servers, record: &Value, answers: &Answers) -> Send {
    let of = |field: &str| match answers.get(field) {
        Value::String(text) => text,
        _ => record[field].as_str().unwrap_or_default().to_owned(),
    };
    let key = answers.get("admin_key").as_str().map(SecretString::from);
    Send::Servers { change, name: of("name"), url: of("url"), key }
}

impl Action {
    /// Whether Enter does it in place of showing the record.
    pub(super) fn opens_record(&self) -> bool {
        matches!(self.effect, Effect::Compose)
    }

    /// Whether it changes something, as far as the person is concerned.
    pub(in crate::workspace) fn changes(&self) -> bool {
        match self.effect {
            Effect::Call { shows, .. } => !matches!(shows, Shows::Report(_)),
            Effect::Servers(_) | Effect::Compose => true,
            _ => false,
        }
    }
}
