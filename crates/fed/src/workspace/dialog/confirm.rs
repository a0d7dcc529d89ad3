//! Something to agree to.

use crossterm::event::{Event, KeyCode, KeyEvent};
use tui_input::Input;
use tui_input::backend::crossterm::EventHandler as _;

use super::{Filled, Form, Purpose, Turn};
use crate::workspace::section::Ask;

/// A question before something that takes away, or that changes something for others.
pub(in crate::workspace) struct Confirm {
    /// Until it is agreed to.
    filled: Option<Box<Filled>>,
    /// What is asked.
    pub(in crate::workspace) question: String,
    /// What was answered before, a line each; secrets are not in it.
    pub(in crate::workspace) told: Vec<String>,
    /// One of these has to be typed, where yes is not enough.
    pub(in crate::workspace) wanted: Vec<String>,
    pub(in crate::workspace) typed: Input,
}

impl Confirm {
    pub(in crate::workspace) fn new(filled: Filled) -> Self {
        let wanted = match (&filled.purpose, filled.purpose.ask()) {
            (Purpose::Act(_, record), Ask::Typed(fields)) => {
                let texts = fields.iter().filter_map(|field| record[*field].as_str());
                texts.filter(|text| !text.is_empty()).map(str::to_owned).collect()
            }
            _ => Vec::new(),
        };
        Self {
            question: format!("{}?", filled.purpose.what()),
            told: filled.form.as_ref().map(Form::told).unwrap_or_default(),
            wanted,
            typed: Input::default(),
            filled: Some(Box::new(filled)),
        }
    }

    pub(super) fn key(&mut self, key: KeyEvent) -> Turn {
        if self.wanted.is_empty() {
            return match key.code {
                KeyCode::Char('y' | 'Y') => self.agreed(),
                KeyCode::Char('n' | 'N' | 'q') => self.left(),
                _ => Turn::Stays,
            };
        }
        if key.code == KeyCode::Enter {
            let typed = self.typed.value().trim();
            let is_it = self.wanted.iter().any(|wanted| wanted.trim() == typed);
            return if is_it { self.agreed() } else { Turn::Stays };
        }
        self.typed.handle_event(&Event::Key(key));
        Turn::Stays
    }

    pub(super) fn paste(&mut self, text: &str) {
        let typed = format!("{}{}", self.typed.value(), text.trim());
        self.typed = Input::new(typed);
    }

    /// Whoever does not agree may want to answer differently.
    pub(super) fn left(&mut self) -> Turn {
        match self.filled.take().and_then(|filled| filled.form) {
            Some(form) => Turn::Back(form),
            None => Turn::Closed,
        }
    }

    fn agreed(&mut self) -> Turn {
        match self.filled.take() {
            Some(filled) => Turn::Agreed(*filled),
            None => Turn::Closed,
        }
    }
}
