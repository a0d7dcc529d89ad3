//! Questions, one of which is answered at a time.

use crossterm::event::{Event, KeyCode, KeyEvent};
use serde_json::{Value, json};
use tui_input::Input;
use tui_input::backend::crossterm::EventHandler as _;

use super::{Purpose, Turn};
use crate::nouns::balance::micro;
use crate::workspace::section::{Answers, Field, Kind};
use crate::workspace::task::Number;

/// The largest file that is taken as an answer.
const FILE_LIMIT: u64 = 1024 * 1024;

/// Questions before something is done.
pub(in crate::workspace) struct Form {
    purpose: Purpose,
    pub(in crate::workspace) title: String,
    pub(in crate::workspace) hint: String,
    pub(in crate::workspace) entries: Vec<Entry>,
    pub(in crate::workspace) focus: usize,
    /// What is wrong with an answer.
    pub(in crate::workspace) problem: Option<String>,
    /// What is sent has one effect for this number, however often it is sent.
    pub(in crate::workspace) once: Number,
}

/// A question, and what was typed so far.
pub(in crate::workspace) struct Entry {
    pub(in crate::workspace) name: String,
    pub(in crate::workspace) label: String,
    pub(in crate::workspace) kind: Kind,
    pub(in crate::workspace) optional: bool,
    /// What can be chosen, for [`Kind::Choice`].
    pub(in crate::workspace) choices: Vec<String>,
    /// What is said while it is answered.
    pub(in crate::workspace) help: String,
    pub(in crate::workspace) input: Input,
}

impl Entry {
    pub(in crate::workspace) fn new(name: &str, label: &str, kind: Kind, optional: bool) -> Self {
        Self {
            name: name.to_owned(),
            label: label.to_owned(),
            kind,
            optional,
            choices: Vec::new(),
            help: String::new(),
            input: Input::default(),
        }
    }

    /// Goes to the next choice, or the one before; past the ends stands no answer where it may be left out.
    fn turn(&mut self, is_forward: bool) {
        let mut choices: Vec<&str> = self.choices.iter().map(String::as_str).collect();
        if self.optional {
            choices.insert(0, "");
        }
        let count = choices.len();
        let at = choices.iter().position(|choice| *choice == self.input.value());
        let next = match (at, is_forward) {
            (None, _) => 0,
            (Some(at), true) => at + 1,
            (Some(at), false) => at + count - 1,
        };
        if count > 0 {
            self.input = Input::new(choices[next % count].to_owned());
        }
    }

    fn flip(&mut self) {
        let flipped = if self.input.value().is_empty() { "yes" } else { "" };
        self.input = Input::new(flipped.to_owned());
    }

    /// What was typed, as a value; null where it may be left out and was.
    fn answer(&self) -> Result<Value, String> {
        let text = self.input.value().trim();
        if self.kind == Kind::Flag {
            return Ok(if text.is_empty() { Value::Null } else { Value::Bool(true) });
        }
        if text.is_empty() {
            return if self.optional { Ok(Value::Null) } else { Err("is needed".to_owned()) };
        }
        match self.kind {
            Kind::Credits => micro(text).map(|micro| json!(micro)),
            Kind::Number => {
                let number = text.parse::<i64>().map_err(|_| "must be a whole number".to_owned());
                number.map(Value::from)
            }
            Kind::Texts => {
                let texts = text.split(',').map(str::trim).filter(|text| !text.is_empty());
                Ok(texts.collect::<Value>())
            }
            Kind::Json => {
                serde_json::from_str(text).map_err(|error| format!("must be JSON: {error}"))
            }
            Kind::File => file(text).map(Value::from),
            Kind::Text | Kind::Secret | Kind::SecretLines | Kind::Choice | Kind::Flag => {
                Ok(json!(text))
            }
        }
    }
}

impl From<&Field> for Entry {
    fn from(field: &Field) -> Self {
        Self::new(field.name, field.label, field.kind, field.optional)
    }
}

/// The text of a file of this machine.
fn file(path: &str) -> Result<String, String> {
    let path = match (path.strip_prefix("~/"), std::env::var("HOME")) {
        (Some(rest), Ok(home)) => format!("{home}/{rest}"),
        _ => path.to_owned(),
    };
    let failed = |error: std::io::Error| format!("cannot be read: {error}");
    let data = std::fs::metadata(&path).map_err(failed)?;
    if !data.is_file() || data.len() > FILE_LIMIT {
        return Err("must be a file of at most 1 MiB".to_owned());
    }
    std::fs::read_to_string(&path).map_err(failed)
}

impl Form {
    pub(in crate::workspace) fn new(purpose: Purpose, has_token: bool, once: Number) -> Self {
        let entries = match &purpose {
            Purpose::Act(action, _) => action.fields.iter().map(Entry::from).collect(),
            Purpose::Compose(operation) => operation.entries(has_token),
        };
        Self {
            title: purpose.what(),
            hint: purpose.hint().to_owned(),
            purpose,
            entries,
            focus: 0,
            problem: None,
            once,
        }
    }

    pub(super) fn key(&mut self, key: KeyEvent) -> Turn {
        if self.entries.is_empty() {
            let is_done = matches!(key.code, KeyCode::Enter | KeyCode::F(2));
            return if is_done { self.filled_in() } else { Turn::Stays };
        }
        let last = self.entries.len() - 1;
        let entry = &mut self.entries[self.focus];
        match (key.code, entry.kind) {
            (KeyCode::Tab | KeyCode::Down, _) => self.go((self.focus + 1) % (last + 1)),
            (KeyCode::BackTab | KeyCode::Up, _) => self.go((self.focus + last) % (last + 1)),
            (KeyCode::F(2), _) => return self.filled_in(),
            (KeyCode::Enter, _) if self.focus < last => self.go(self.focus + 1),
            (KeyCode::Enter, _) => return self.filled_in(),
            (KeyCode::Char(' '), Kind::Flag) => entry.flip(),
            (KeyCode::Char(' ') | KeyCode::Right, Kind::Choice) => entry.turn(true),
            (KeyCode::Left, Kind::Choice) => entry.turn(false),
            (_, Kind::Flag | Kind::Choice) => {}
            _ => {
                entry.input.handle_event(&Event::Key(key));
            }
        }
        Turn::Stays
    }

    pub(super) fn paste(&mut self, text: &str) {
        let Some(entry) = self.entries.get_mut(self.focus) else { return };
        let text = match entry.kind {
            Kind::Flag | Kind::Choice => return,
            // A key of several lines, such as a certificate's, is one value.
            Kind::Secret | Kind::SecretLines | Kind::Json => text.trim_end(),
            _ => text.trim().lines().next().unwrap_or_default(),
        };
        let (before, after) = split(entry.input.value(), entry.input.cursor());
        let cursor = before.chars().count() + text.chars().count();
        entry.input = Input::new(format!("{before}{text}{after}")).with_cursor(cursor);
    }

    /// Goes to a question.
    pub(super) fn go(&mut self, field: usize) {
        self.focus = field.min(self.entries.len().saturating_sub(1));
        self.problem = None;
    }

    /// It was answered, and can be answered again for another effect.
    pub(in crate::workspace) fn again(self, once: Number) -> Self {
        Self { once, problem: None, ..self }
    }

    /// It was refused: says why, and lets it be answered again.
    pub(in crate::workspace) fn refused(self, why: String, once: Number) -> Self {
        Self { problem: Some(why), once, ..self }
    }

    /// What was answered, a line each; secrets are not in it.
    pub(super) fn told(&self) -> Vec<String> {
        let answered = self.entries.iter().filter(|entry| !entry.input.value().trim().is_empty());
        let told = answered.filter_map(|entry| {
            let text = entry.input.value().trim();
            let shown = match entry.kind {
                Kind::Secret => return None,
                Kind::SecretLines => lines(text.lines().count()),
                _ => text.to_owned(),
            };
            Some(format!("{}: {shown}", entry.label))
        });
        told.collect()
    }

    pub(super) fn step(&mut self, by: isize) {
        self.go(self.focus.saturating_add_signed(by.signum()));
    }

    fn filled_in(&mut self) -> Turn {
        let mut answers = Vec::new();
        for (at, entry) in self.entries.iter().enumerate() {
            match entry.answer() {
                Ok(value) => answers.push((entry.name.clone(), value)),
                Err(problem) => {
                    self.problem = Some(format!("{} {problem}.", entry.label));
                    self.focus = at;
                    return Turn::Stays;
                }
            }
        }
        let answers = Answers(answers);
        if let Some(problem) = self.purpose.refuses(&answers) {
            self.problem = Some(problem.to_owned());
            return Turn::Stays;
        }
        Turn::Answered(self.purpose.clone(), answers)
    }
}

/// A text in two, at a number of letters.
fn split(text: &str, at: usize) -> (&str, &str) {
    let at = text.char_indices().nth(at).map_or(text.len(), |(at, _)| at);
    text.split_at(at)
}

/// So many lines, for people.
pub(in crate::workspace) fn lines(count: usize) -> String {
    if count == 1 { "1 line".to_owned() } else { format!("{count} lines") }
}
