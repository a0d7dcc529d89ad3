//! A search for places, things that can be done, and records.

use crossterm::event::{Event, KeyCode, KeyEvent};
use serde_json::Value;
use tui_input::Input;
use tui_input::backend::crossterm::EventHandler as _;

use super::Turn;

/// What is looked for, and what there is.
#[derive(Default)]
pub(in crate::workspace) struct Search {
    pub(in crate::workspace) input: Input,
    pub(in crate::workspace) found: Vec<Found>,
    pub(in crate::workspace) selected: usize,
}

/// Something of this name.
pub(in crate::workspace) struct Found {
    pub(in crate::workspace) label: String,
    pub(in crate::workspace) goal: Goal,
}

/// Where it is: by section, and number of the list there.
#[derive(Clone)]
pub(in crate::workspace) enum Goal {
    Place(usize, usize),
    /// An action of a list, by its key.
    Act(usize, usize, char),
    /// A row of a list.
    Row(usize, usize, Value),
    /// The rows of the present list that hold this text.
    Narrow(String),
}

impl Search {
    pub(in crate::workspace) fn text(&self) -> &str {
        self.input.value()
    }

    pub(super) fn key(&mut self, key: KeyEvent) -> Turn {
        match key.code {
            KeyCode::Enter => {
                if let Some(found) = self.found.get(self.selected) {
                    return Turn::Found(found.goal.clone());
                }
            }
            KeyCode::Down | KeyCode::Tab => self.step(1),
            KeyCode::Up | KeyCode::BackTab => self.step(-1),
            KeyCode::PageDown => self.step(10),
            KeyCode::PageUp => self.step(-10),
            _ => {
                let is_changed =
                    self.input.handle_event(&Event::Key(key)).is_some_and(|state| state.value);
                if is_changed {
                    self.selected = 0;
                    return Turn::Changed;
                }
            }
        }
        Turn::Stays
    }

    pub(super) fn paste(&mut self, text: &str) {
        let text = text.lines().next().unwrap_or_default();
        self.input = Input::new(format!("{}{text}", self.input.value()));
        self.selected = 0;
    }

    pub(super) fn step(&mut self, by: isize) {
        let last = self.found.len().saturating_sub(1);
        self.selected = self.selected.saturating_add_signed(by).min(last);
    }
}
