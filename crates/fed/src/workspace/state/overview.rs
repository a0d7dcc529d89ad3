//! What the first page tells: how the Federation is, and what to do next.

use serde_json::{Value, json};

use super::load::{Load, Stand};
use super::page::days_before;
use super::{App, Want};
use crate::remote::without_nulls;
use crate::workspace::section::{ACTION_PATH, place_of};
use crate::workspace::task::{Read, Task, Trouble};

/// Something that the overview reads by itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::workspace) enum Part {
    Health,
    /// Calls and charges by day.
    Days,
    /// The newest calls that failed.
    Errors,
    Models,
    Cities,
    /// The newest call of any user.
    Used,
    /// The newest call of a model.
    Called,
}

pub(super) const PARTS: [Part; 7] =
    [Part::Health, Part::Days, Part::Errors, Part::Models, Part::Cities, Part::Used, Part::Called];

/// The city that every new Federation has.
const FIRST_CITY: &str = "city_downcity";
/// The model that answers while nothing is configured.
const ECHO: &str = "echo";

/// What is known for it.
#[derive(Debug, Default)]
pub(in crate::workspace) struct Overview {
    parts: [Load<Value>; PARTS.len()],
    /// Whether a token was issued from here. Nobody keeps a record of tokens; but whoever calls has one.
    pub(super) has_issued: bool,
}

/// A step to the first answer of a model.
#[derive(Debug)]
pub(in crate::workspace) struct Step {
    pub(in crate::workspace) what: &'static str,
    pub(in crate::workspace) is_done: bool,
}

impl Part {
    /// What is read at once; the days wait until it is known which day it is.
    fn read(self) -> Read {
        let of = |path: &str, query: Value| Read::Action(path.to_owned(), query);
        match self {
            Self::Health | Self::Days => Read::Route("/health"),
            Self::Errors => of("usage/events", json!({ "status": "error", "limit": "20" })),
            Self::Models => of("ai/models", json!({})),
            Self::Cities => of("cities/list", json!({ "limit": "2" })),
            Self::Used => of("usage/events", json!({ "limit": "1" })),
            Self::Called => of("usage/events", json!({ "service": "ai", "limit": "1" })),
        }
    }
}

impl Overview {
    pub(in crate::workspace) fn part(&self, part: Part) -> &Load<Value> {
        &self.parts[part as usize]
    }

    pub(super) fn part_mut(&mut self, part: Part) -> &mut Load<Value> {
        &mut self.parts[part as usize]
    }

    /// The records of a part that lists.
    pub(in crate::workspace) fn items(&self, part: Part) -> Option<&[Value]> {
        self.part(part).get()?["items"].as_array().map(Vec::as_slice)
    }

    /// Whether there is anything left to do, as far as it is known.
    pub(in crate::workspace) fn has_steps(&self) -> bool {
        self.steps().is_none_or(|steps| steps.iter().any(|step| !step.is_done))
    }

    /// Why the steps are not known, where one of their parts did not come.
    pub(in crate::workspace) fn steps_failed(&self) -> Option<&str> {
        let parts = [Part::Models, Part::Cities, Part::Used, Part::Called];
        parts.into_iter().find_map(|part| match self.part(part).stand() {
            Stand::Failed(why) => Some(why),
            _ => None,
        })
    }

    /// The way to the first answer, once it is known how much of it is gone.
    pub(in crate::workspace) fn steps(&self) -> Option<[Step; 4]> {
        let models = self.items(Part::Models)?;
        let is_real = |model: &Value| model["id"] != ECHO && model["ready"] == Value::Bool(true);
        let is_own = |city: &Value| city["city_id"] != FIRST_CITY;
        Some([
            Step { what: "Add the key of a provider", is_done: models.iter().any(is_real) },
            Step { what: "Create a city", is_done: self.items(Part::Cities)?.iter().any(is_own) },
            Step {
                what: "Issue a token",
                is_done: self.has_issued || !self.items(Part::Used)?.is_empty(),
            },
            Step { what: "Make a call", is_done: !self.items(Part::Called)?.is_empty() },
        ])
    }
}

impl App {
    /// Reads what the overview shows, each part by itself.
    pub(super) fn look(&mut self) -> Vec<Task> {
        let mut tasks = Vec::new();
        for part in PARTS {
            self.overview.part_mut(part).begin();
            if part != Part::Days {
                tasks.push(self.read(part.read(), Want::Part(part)));
            }
        }
        tasks
    }

    /// Something that the overview shows has come: with the health of the server comes its day, from
    /// which the days are counted.
    pub(super) fn part_was(&mut self, part: Part, answer: Result<Value, Trouble>) -> Vec<Task> {
        let mut tasks = Vec::new();
        if part == Part::Health {
            match &answer {
                Ok(health) => {
                    let day = health["checked_at"].as_str().and_then(|time| time.get(..10));
                    self.today = day.and_then(|day| day.parse().ok()).or(self.today);
                    let from = self.today.map(days_before);
                    let query = json!({ "group_by": "day", "from": from, "limit": "60" });
                    let read = Read::Action("usage/summary".to_owned(), without_nulls(query));
                    tasks.push(self.read(read, Want::Part(Part::Days)));
                }
                Err(trouble) => self.overview.part_mut(Part::Days).end(Err(trouble.clone())),
            }
        }
        self.overview.part_mut(part).end(answer);
        tasks
    }

    /// Goes to where a step of the overview is taken, and begins it.
    pub(super) fn take_step(&mut self, step: usize) -> Vec<Task> {
        let has_token = self.user_token.is_some();
        let (list, next) = match step {
            0 => ("Needed", None),
            1 => ("Cities", Some(Next { key: 'n', chooses: |_| true })),
            3 if has_token => {
                let chooses = |row: &Value| row[ACTION_PATH] == "ai/text";
                ("Actions", Some(Next { key: 'c', chooses }))
            }
            _ => ("Cities", Some(Next { key: 't', chooses: |city| city["city_id"] != FIRST_CITY })),
        };
        let Some((section, tab)) = place_of(list) else { return Vec::new() };
        let tasks = self.go(section, tab);
        self.next = next;
        match step {
            0 => self.say("Choose the key of a provider, and press s to set it."),
            2 => self.say("d keeps the token that is shown, so that the debugger calls with it."),
            3 if !has_token => self.say("First a token: d keeps it, so that the call is a user's."),
            _ => {}
        }
        tasks
    }

    /// Begins what a step is for, once the rows are there; not over what somebody reads or types by then.
    pub(super) fn begin_next(&mut self) -> Vec<Task> {
        let Some(Next { key, chooses }) = self.next.take() else { return Vec::new() };
        if !self.dialogs.is_empty() {
            return Vec::new();
        }
        let said = self.status.take();
        if let Some(page) = self.page_mut()
            && let Some(found) = page.rows().iter().position(|row| chooses(row))
        {
            page.selected = found;
        }
        let tasks = self.act(key);
        self.status = said.or(self.status.take());
        tasks
    }
}

/// What is begun when the list that was gone to is there.
pub(super) struct Next {
    /// The action.
    key: char,
    /// The row that it is about.
    chooses: fn(&Value) -> bool,
}
