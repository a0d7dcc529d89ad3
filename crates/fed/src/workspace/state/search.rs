//! Search everywhere: places, what can be done, and records.

use super::page::holds;
use super::{App, Want};
use crate::workspace::dialog::{Dialog, Found, Goal};
use crate::workspace::section::{Body, SECTIONS, Source};
use crate::workspace::task::Task;

/// How many records of one list are offered.
const ROWS: usize = 5;

impl App {
    /// Looks again for what was typed, where somebody searches.
    pub(super) fn search_again(&mut self) {
        let Some(Dialog::Search(search)) = self.dialogs.last() else { return };
        let found = self.search(search.text().trim());
        if let Some(Dialog::Search(search)) = self.dialogs.last_mut() {
            search.selected = search.selected.min(found.len().saturating_sub(1));
            search.found = found;
        }
    }

    /// What there is of this name.
    fn search(&self, text: &str) -> Vec<Found> {
        let wanted = text.to_lowercase();
        let is_so = |name: &str| name.to_lowercase().contains(&wanted);
        let mut found = Vec::new();
        let (mut actions, mut records) = (Vec::new(), Vec::new());
        for (at, section) in SECTIONS.iter().enumerate() {
            if is_so(section.title) {
                let label = section.title.to_owned();
                found.push(Found { label, goal: Goal::Place(at, 0) });
            }
            let Body::Lists(lists) = section.body else { continue };
            for (tab, list) in lists.iter().enumerate() {
                let name = if list.title == section.title {
                    section.title.to_owned()
                } else {
                    format!("{} › {}", section.title, list.title)
                };
                if list.title != section.title && is_so(list.title) {
                    found.push(Found { label: name.clone(), goal: Goal::Place(at, tab) });
                }
                if text.is_empty() {
                    continue;
                }
                for action in list.actions.iter().filter(|action| is_so(action.label)) {
                    let label = format!("{name}: {} ({})", action.label, action.key);
                    let goal = if action.needs_record {
                        Goal::Place(at, tab)
                    } else {
                        Goal::Act(at, tab, action.key)
                    };
                    actions.push(Found { label, goal });
                }
                let page = &self.shelves[at].tabs[tab];
                let rows = page.load.get().into_iter().flatten();
                for row in rows.filter(|row| holds(list, row, text)).take(ROWS) {
                    let texts = list.columns.iter().map(|column| column.text(row));
                    let texts: Vec<String> =
                        texts.filter(|text| !text.is_empty()).take(3).collect();
                    let label = format!("{name}: {}", texts.join("  "));
                    records.push(Found { label, goal: Goal::Row(at, tab, row.clone()) });
                }
            }
        }
        if !text.is_empty() && self.page().is_some() {
            let label = format!("Only rows with {text:?} in this list");
            found.push(Found { label, goal: Goal::Narrow(text.to_owned()) });
        }
        found.extend(actions);
        found.extend(records);
        found
    }

    /// Goes to what was found.
    pub(super) fn reach(&mut self, goal: Goal) -> Vec<Task> {
        match goal {
            Goal::Place(section, tab) => self.go(section, tab),
            Goal::Act(section, tab, key) => {
                let mut tasks = self.go(section, tab);
                tasks.extend(self.act(key));
                tasks
            }
            Goal::Row(section, tab, record) => {
                let tasks = self.go(section, tab);
                let page = &mut self.shelves[section].tabs[tab];
                page.narrow(String::new());
                page.choose(&record);
                tasks
            }
            Goal::Narrow(text) => {
                if let Some(page) = self.page_mut() {
                    page.narrow(text);
                }
                Vec::new()
            }
        }
    }

    /// Reads the other lists, so that their records are found too, as they are now.
    pub(super) fn read_the_others(&mut self) -> Vec<Task> {
        let mut tasks = Vec::new();
        for section in 0..self.shelves.len() {
            for tab in 0..self.shelves[section].tabs.len() {
                let today = self.today;
                let page = &self.shelves[section].tabs[tab];
                // The list that is shown stays as far as it was read.
                let is_shown = section == self.section && page.load.get().is_some();
                let is_whole = matches!(page.list.source, Source::Document);
                if is_shown || is_whole || page.load.is_loading() {
                    continue;
                }
                let number = self.number();
                let read = self.shelves[section].tabs[tab].ask(number, false, today);
                self.reads.insert(number, Want::Page { goes_on: false });
                tasks.push(Task::Read(number, read));
            }
        }
        tasks
    }
}
