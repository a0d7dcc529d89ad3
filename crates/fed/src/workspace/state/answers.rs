//! What becomes of answers.

use serde_json::Value;

use super::keys::MAYBE_DONE;
use super::{After, App, Link, Sent, Want};
use crate::nouns::env::masked;
use crate::output::steady;
use crate::workspace::dialog::{Dialog, Form, record};
use crate::workspace::section::{Shows, Source};
use crate::workspace::task::{Heard, Number, Task, Trouble};

impl App {
    /// Something came back.
    pub(in crate::workspace) fn heard(&mut self, heard: Heard) -> Vec<Task> {
        let Heard { number, answer, is_from_server, moves } = heard;
        let (want, sent) = (self.reads.remove(&number), self.sends.remove(&number));
        // What was broken off changes nothing any more.
        if want.is_none() && sent.is_none() {
            return Vec::new();
        }
        // One that was sent to another Federation tells nothing of this one.
        if is_from_server && !sent.as_ref().is_some_and(|sent| sent.is_elsewhere) {
            let is_down = answer.as_ref().is_err_and(|trouble| trouble.is_unreachable);
            self.link = if is_down { Link::Down } else { Link::Up };
        }
        let mut tasks = match (want, sent) {
            (Some(want), _) => self.read_was(want, number, answer),
            (None, Some(sent)) => self.sent(sent, answer),
            (None, None) => Vec::new(),
        };
        self.search_again();
        if let Some(connection) = moves {
            // Before anything is read there.
            tasks.insert(0, Task::Move(connection));
        }
        tasks
    }

    fn read_was(
        &mut self,
        want: Want,
        number: Number,
        answer: Result<Value, Trouble>,
    ) -> Vec<Task> {
        match (want, answer) {
            (Want::Page { goes_on }, answer) => {
                let is_shown = self.page().is_some_and(|page| page.asked == number);
                self.fill(number, goes_on, answer);
                return if is_shown { self.begin_next() } else { Vec::new() };
            }
            (Want::Part(part), answer) => return self.part_was(part, answer),
            (Want::Instruction, answer) => {
                let text = |answer: Value| {
                    let text = answer.as_str().map(steady).unwrap_or_default();
                    text.replace('\t', "    ")
                };
                self.instruction.end(answer.map(text));
            }
            (Want::Record { title, .. }, Err(trouble)) => self.trouble(&title, trouble.says),
            (Want::Reveal { key }, Err(trouble)) => self.trouble(&key, trouble.says),
            (Want::Record { title, columns }, Ok(answer)) => {
                self.put(Dialog::plain(title, record(&answer, columns.iter())));
            }
            (Want::Reveal { key }, Ok(answer)) => self.reveal(&key, &answer),
        }
        Vec::new()
    }

    fn fill(&mut self, number: Number, goes_on: bool, answer: Result<Value, Trouble>) {
        let mut document = None;
        // Whoever has gone on to another list has asked again since.
        let Some(page) = self.pages_mut().find(|page| page.asked == number) else { return };
        match answer {
            Ok(answer) => {
                if matches!(page.list.source, Source::Document) {
                    document = Some(answer.clone());
                }
                let is_list = answer["items"].is_array() || document.is_some();
                if is_list {
                    page.fill(answer, goes_on);
                } else {
                    let says = "The server's answer is no list.".to_owned();
                    page.load.end(Err(Trouble { says, is_unreachable: false, is_open: false }));
                }
            }
            Err(trouble) if goes_on => {
                page.load.cancel();
                self.trouble("More rows", trouble.says);
            }
            Err(trouble) => page.load.end(Err(trouble)),
        }
        if let Some(document) = document {
            self.document = document;
        }
    }

    /// Shows one value of the whole list, and drops the others.
    fn reveal(&mut self, key: &str, answer: &Value) {
        let mut entries = answer["items"].as_array().into_iter().flatten();
        let value =
            entries.find(|entry| entry["key"] == key).and_then(|entry| entry["value"].as_str());
        match value {
            Some(value) => {
                self.put(Dialog::plain(format!("{key}, in the clear"), steady(value)));
            }
            None => self.fail(format!("{key} is not stored here.")),
        }
    }

    fn sent(&mut self, sent: Sent, answer: Result<Value, Trouble>) -> Vec<Task> {
        let Sent { label, after, form, list, .. } = sent;
        let answer = match answer {
            Ok(answer) => answer,
            Err(trouble) => {
                self.refused(&label, form, trouble);
                return Vec::new();
            }
        };
        let is_servers = matches!(after, After::Servers);
        match after {
            After::Response { hides_values } => {
                let mut answer = answer;
                if hides_values {
                    mask_values(&mut answer);
                }
                // The form stays behind its answer, so that it can be sent again.
                let once = self.number();
                let again = form.map(|form| Dialog::Form(form.again(once)));
                let answer = Dialog::plain(label, pretty(&answer));
                if self.dialogs.is_empty() {
                    self.dialogs.extend(again);
                    self.dialogs.push(answer);
                } else {
                    self.put(answer);
                }
                return Vec::new();
            }
            After::Servers => {
                if let Some(place) = answer["place"].as_str() {
                    self.move_to(place);
                }
            }
            After::Shows(shows) => {
                self.show(shows, &label, &answer);
                // What was made is chosen, in the list that it was made in.
                if let Some(list) = list.filter(|list| !list.id(&answer).is_empty())
                    && let Some(page) = self.page_mut().filter(|page| page.list.title == list.title)
                {
                    page.made = Some(answer.clone());
                }
            }
        }
        let warning = answer["warning"].as_str().filter(|_| is_servers);
        self.say(warning.map_or_else(|| format!("Done: {label}."), str::to_owned));
        self.reload()
    }

    /// Nothing that is known of one place holds for another, but secrets that are shown once stay. What is
    /// still under way there is heard, and cannot be sent again here.
    fn move_to(&mut self, place: &str) {
        if place == self.place {
            return;
        }
        let was = std::mem::replace(self, Self::new(place.to_owned()));
        (self.section, self.numbers) = (was.section, was.numbers);
        self.dialogs = was.dialogs.into_iter().filter_map(Dialog::left).collect();
        let left = |(number, sent): (Number, Sent)| (number, sent.left(&was.place));
        self.sends = was.sends.into_iter().map(left).collect();
    }

    /// The server said no, or nothing: the form that was filled in comes back. Where nobody knows whether
    /// it was carried out, sending it again has no second effect.
    fn refused(&mut self, label: &str, form: Option<Form>, trouble: Trouble) {
        let says =
            if trouble.is_open { format!("{}\n{MAYBE_DONE}", trouble.says) } else { trouble.says };
        match form {
            Some(form) => {
                let once = if trouble.is_open { form.once } else { self.number() };
                self.put(Dialog::Form(form.refused(says, once)));
            }
            None => self.trouble(label, says),
        }
    }

    fn show(&mut self, shows: Shows, label: &str, answer: &Value) {
        match shows {
            Shows::Done => {
                if let Some(warned) = warned(answer) {
                    self.put(Dialog::plain(label, warned));
                }
            }
            Shows::Once(secret) => self.put(Dialog::once(secret(answer))),
            Shows::Token => {
                self.overview.has_issued = true;
                let token = answer["user_token"].as_str().unwrap_or_default();
                self.put(Dialog::token(token.to_owned()));
            }
            Shows::Report(columns) => {
                let records =
                    answer["items"].as_array().map_or(std::slice::from_ref(answer), Vec::as_slice);
                let texts = records.iter().map(|found| record(found, columns.iter()));
                let text = texts.collect::<Vec<_>>().join("\n");
                self.put(Dialog::plain(label, text));
            }
        }
    }
}

impl Sent {
    /// One that goes on at a place that was left: it cannot be sent again, and a token of there is not one
    /// to call with.
    fn left(self, place: &str) -> Self {
        let after = match self.after {
            After::Shows(Shows::Token) => After::Shows(Shows::Once(|answer| {
                answer["user_token"].as_str().unwrap_or_default().to_owned()
            })),
            after => after,
        };
        let label = format!("{} ({place})", self.label);
        Self { label, after, form: None, list: None, is_elsewhere: true }
    }
}

/// What an answer warns of beyond success.
fn warned(answer: &Value) -> Option<String> {
    let of = |warning: &Value| match warning {
        Value::String(text) => Some(text.clone()),
        Value::Object(_) => {
            let key = warning["key"].as_str().unwrap_or_default();
            Some(format!("{key}: {}", warning["warning"].as_str().unwrap_or_default()))
        }
        _ => None,
    };
    let several = answer["warnings"].as_array().into_iter().flatten();
    let warnings: Vec<String> = several.chain([&answer["warning"]]).filter_map(of).collect();
    (!warnings.is_empty()).then(|| warnings.join("\n"))
}

/// JSON as people read it; a text as it is.
fn pretty(answer: &Value) -> String {
    match answer {
        Value::String(text) => steady(text),
        other => serde_json::to_string_pretty(other).unwrap_or_default(),
    }
}

/// Hides the values of env entries that an answer lists: `v` under Env reveals one.
fn mask_values(answer: &mut Value) {
    for entry in answer.get_mut("items").and_then(Value::as_array_mut).into_iter().flatten() {
        if let Some(value) = entry.get_mut("value")
            && let Some(text) = value.as_str()
        {
            *value = masked(text).into();
        }
    }
}
