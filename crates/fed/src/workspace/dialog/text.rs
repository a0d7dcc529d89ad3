//! Something to read, and perhaps to copy.

use crossterm::event::{KeyCode, KeyEvent};
use secrecy::SecretString;
use serde_json::Value;

use super::Turn;
use crate::output::{Column, at};

/// A text in front.
pub(in crate::workspace) struct Text {
    pub(in crate::workspace) title: String,
    pub(in crate::workspace) text: String,
    /// What can be done with it.
    pub(in crate::workspace) foot: &'static str,
    /// Lines scrolled down.
    pub(in crate::workspace) offset: u16,
    /// Whether it is shown once: no key closes it by chance.
    is_once: bool,
    kept: Option<SecretString>,
}

impl Text {
    pub(super) fn new(title: String, text: String, foot: &'static str) -> Self {
        // A terminal's tabs would not stand where they belong.
        let text = text.replace('\t', "    ");
        Self { title, text, foot, offset: 0, is_once: false, kept: None }
    }

    /// One that is never shown again.
    pub(super) fn once(self) -> Self {
        Self { is_once: true, ..self }
    }

    pub(super) fn is_once(&self) -> bool {
        self.is_once
    }

    pub(super) fn keeping(self, token: SecretString) -> Self {
        Self { kept: Some(token), ..self }
    }

    pub(super) fn key(&mut self, key: KeyEvent) -> Turn {
        match key.code {
            KeyCode::Char('c' | 'Y') => return Turn::Copied(self.text.clone()),
            KeyCode::Char('d') => {
                if let Some(token) = self.kept.clone() {
                    return Turn::Kept(token);
                }
            }
            KeyCode::Enter | KeyCode::Char('q') if !self.is_once => return Turn::Closed,
            KeyCode::Down | KeyCode::Char('j') => self.scroll(1),
            KeyCode::Up | KeyCode::Char('k') => self.scroll(-1),
            KeyCode::PageDown | KeyCode::Char(' ') => self.scroll(15),
            KeyCode::PageUp => self.scroll(-15),
            KeyCode::Home | KeyCode::Char('g') => self.offset = 0,
            KeyCode::End | KeyCode::Char('G') => self.offset = u16::MAX,
            _ => {}
        }
        Turn::Stays
    }

    /// Moves the text; drawing sees to it that it does not move beyond its end.
    pub(super) fn scroll(&mut self, by: isize) {
        let by = i16::try_from(by.clamp(-10_000, 10_000)).unwrap_or_default();
        self.offset = self.offset.saturating_add_signed(by);
    }
}

/// A record as a text, a line per field that has a value; structures follow as JSON.
pub(in crate::workspace) fn record<'a>(
    record: &Value,
    columns: impl Iterator<Item = &'a Column>,
) -> String {
    let columns: Vec<&Column> = columns.filter(|column| !column.title.is_empty()).collect();
    let width = columns.iter().map(|column| column.title.chars().count()).max().unwrap_or(0);
    let mut text = String::new();
    let mut structures = String::new();
    for column in columns {
        let title = column.title;
        if let Some(value) = at(record, column.path()).filter(|value| is_structure(value)) {
            let value = serde_json::to_string_pretty(value).unwrap_or_default();
            structures.push_str(&format!("\n{title}\n{value}\n"));
            continue;
        }
        let shown = column.steady(record);
        if !shown.is_empty() {
            text.push_str(&format!("{title:<width$}  {shown}\n"));
        }
    }
    text + &structures
}

/// Whether a value is more than a line: an object, or a list of objects.
fn is_structure(value: &Value) -> bool {
    match value {
        Value::Object(_) => true,
        Value::Array(items) => items.iter().any(Value::is_object),
        _ => false,
    }
}
