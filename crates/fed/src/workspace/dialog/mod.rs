//! What stands in front of the workspace: questions, forms, texts, help and search.

mod compose;
mod confirm;
mod form;
mod search;
mod text;

use crossterm::event::{KeyCode, KeyEvent, KeyModifiers};
use secrecy::SecretString;
use serde_json::Value;

pub(super) use compose::{Operation, operation};
pub(super) use confirm::Confirm;
pub(super) use form::{Entry, Form, lines};
pub(super) use search::{Found, Goal, Search};
pub(super) use text::{Text, record};

use super::section::{Action, Answers, Ask};

/// Something in front.
pub(super) enum Dialog {
    Text(Text),
    Confirm(Confirm),
    Form(Form),
    Search(Search),
}

/// What becomes of a dialog with a key.
pub(super) enum Turn {
    Stays,
    Closed,
    /// It stays, and what it looks for is another.
    Changed,
    /// It stays, and a text goes to the clipboard.
    Copied(String),
    /// A user_token is kept for the debugger.
    Kept(SecretString),
    /// Something was found.
    Found(Goal),
    /// The questions are answered.
    Answered(Purpose, Answers),
    /// It is agreed to.
    Agreed(Filled),
    /// It is not agreed to: the form that asked comes back.
    Back(Form),
}

/// Something that can be done now: everything is answered.
pub(super) struct Filled {
    pub(super) purpose: Purpose,
    pub(super) answers: Answers,
    /// The form that asked, which comes back when it is refused.
    pub(super) form: Option<Form>,
}

/// What questions are asked for.
#[derive(Clone)]
pub(super) enum Purpose {
    /// An action of a list, about this record.
    Act(&'static Action, Value),
    /// A call of any action of the server.
    Compose(Box<Operation>),
}

impl Purpose {
    /// What will be done, as a sentence without its end.
    pub(super) fn what(&self) -> String {
        match self {
            Self::Act(action, record) => (action.what)(record),
            Self::Compose(operation) => format!("{} {}", operation.method, operation.path),
        }
    }

    /// What is said beside the questions.
    pub(super) fn hint(&self) -> &str {
        match self {
            Self::Act(action, _) => action.hint,
            Self::Compose(operation) => &operation.summary,
        }
    }

    /// Whether anything is asked before it is done.
    pub(super) fn asks(&self) -> bool {
        match self {
            Self::Act(action, _) => !action.fields.is_empty(),
            Self::Compose(_) => true,
        }
    }

    /// What is wrong with the answers as a whole.
    pub(super) fn refuses(&self, answers: &Answers) -> Option<&'static str> {
        match self {
            Self::Act(action, _) => (action.refuses)(answers),
            Self::Compose(_) => None,
        }
    }

    /// How it is confirmed.
    pub(super) fn ask(&self) -> Ask {
        match self {
            Self::Act(action, record) if (action.asks_about)(record) => action.ask,
            Self::Act(..) => Ask::Never,
            Self::Compose(operation) if operation.method == "GET" => Ask::Never,
            Self::Compose(_) => Ask::YesOrNo,
        }
    }
}

impl Dialog {
    /// Something to read.
    pub(super) fn plain(title: impl Into<String>, text: String) -> Self {
        Self::Text(Text::new(title.into(), text, "c copy   Esc close"))
    }

    /// A secret that is shown once.
    pub(super) fn once(text: String) -> Self {
        let foot = "c copy   Esc close   It is never shown again.";
        Self::Text(Text::new("Shown once".to_owned(), text, foot).once())
    }

    /// A user_token that is shown once.
    pub(super) fn token(token: String) -> Self {
        let kept = SecretString::from(token.clone());
        let foot = "c copy   d call with it in the debugger   Esc close   Never shown again.";
        let text = Text::new("user_token, shown once".to_owned(), token, foot);
        Self::Text(text.once().keeping(kept))
    }

    /// What is left of it for another Federation: what is never shown again, to be read and copied.
    pub(super) fn left(self) -> Option<Self> {
        match self {
            Self::Text(text) if text.is_once() => Some(Self::once(text.text)),
            _ => None,
        }
    }

    /// A key was pressed.
    pub(super) fn key(&mut self, key: KeyEvent) -> Turn {
        let is_typed = match self {
            Self::Text(_) => false,
            Self::Confirm(confirm) => !confirm.wanted.is_empty(),
            Self::Form(_) | Self::Search(_) => true,
        };
        if key.modifiers.intersects(KeyModifiers::CONTROL | KeyModifiers::ALT) && !is_typed {
            return Turn::Stays;
        }
        if key.code == KeyCode::Esc {
            return match self {
                Self::Confirm(confirm) => confirm.left(),
                _ => Turn::Closed,
            };
        }
        match self {
            Self::Text(text) => text.key(key),
            Self::Confirm(confirm) => confirm.key(key),
            Self::Form(form) => form.key(key),
            Self::Search(search) => search.key(key),
        }
    }

    /// Takes a text that was pasted.
    pub(super) fn paste(&mut self, text: &str) {
        match self {
            Self::Form(form) => form.paste(text),
            Self::Confirm(confirm) => confirm.paste(text),
            Self::Search(search) => search.paste(text),
            Self::Text(_) => {}
        }
    }

    /// Moves what it shows.
    pub(super) fn scroll(&mut self, by: isize) {
        match self {
            Self::Text(text) => text.scroll(by),
            Self::Search(search) => search.step(by),
            Self::Form(form) => form.step(by),
            Self::Confirm(_) => {}
        }
    }

    /// Goes to one of its fields.
    pub(super) fn focus(&mut self, field: usize) {
        if let Self::Form(form) = self {
            form.go(field);
        }
    }
}
