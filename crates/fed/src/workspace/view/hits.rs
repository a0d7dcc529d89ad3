//! What stands where on the screen, for the mouse.

use crossterm::event::KeyCode;
use ratatui::layout::{Position, Rect};

/// Something that can be clicked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::workspace) enum Target {
    /// A section of the menu.
    Section(usize),
    /// A list of the section.
    Tab(usize),
    /// A row of the list.
    Row(usize),
    /// The same as this key.
    Key(KeyCode),
    /// A question of a form.
    Field(usize),
    /// Something that was found.
    Found(usize),
}

/// What can be clicked.
#[derive(Debug, Default)]
pub(in crate::workspace) struct Hits(Vec<(Rect, Target)>);

impl Hits {
    pub(super) fn add(&mut self, place: Rect, target: Target) {
        self.0.push((place, target));
    }

    /// What stands there.
    pub(in crate::workspace) fn at(&self, column: u16, row: u16) -> Option<Target> {
        let at = Position { x: column, y: row };
        self.0.iter().find(|(place, _)| place.contains(at)).map(|(_, target)| *target)
    }
}
