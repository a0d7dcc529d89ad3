//! Keys and the mouse.

use crossterm::event::{KeyCode, KeyEvent, KeyModifiers};

use super::App;
use crate::workspace::dialog::{Dialog, Filled, Search, Turn};
use crate::workspace::section::{Body, SECTIONS};
use crate::workspace::task::Task;
use crate::workspace::view::Target;

/// Keys that mean the same everywhere; no action of a list has one of them.
const KEYS: &[(&str, &str)] = &[
    ("Tab  Shift-Tab", "next section, the one before; also ] and ["),
    ("← →", "next list of the section, the one before"),
    ("↑ ↓   j k", "move; PgUp PgDn, Home End or g G"),
    ("Enter", "show the whole record"),
    ("Y", "copy the first field of the record"),
    ("/", "search everywhere: places, actions, records"),
    ("r  F5", "read again"),
    ("Esc", "close, go back, show all rows, break off"),
    ("q  Ctrl-C", "quit"),
];

/// What is known of a call whose answer never came.
pub(super) const MAYBE_DONE: &str = "No answer: the server may have carried it out all the same.";

/// How far the page keys go.
const PAGE: isize = 15;

impl App {
    /// A key was pressed.
    pub(in crate::workspace) fn key(&mut self, key: KeyEvent) -> Vec<Task> {
        let is_control = key.modifiers.contains(KeyModifiers::CONTROL);
        if is_control && key.code == KeyCode::Char('c') {
            return vec![Task::Quit];
        }
        if let Some(mut dialog) = self.dialogs.pop() {
            let turn = dialog.key(key);
            return self.turned(dialog, turn);
        }
        if is_control {
            return Vec::new();
        }
        self.status = None;
        match key.code {
            KeyCode::Char('q') => vec![Task::Quit],
            KeyCode::Char('?') => self.open_help(),
            KeyCode::Char('/') => self.open_search(),
            KeyCode::Char('r') | KeyCode::F(5) => self.reload(),
            KeyCode::Char('Y') => self.copy_first(),
            KeyCode::Esc => self.step_back(),
            KeyCode::Tab | KeyCode::Char(']') => self.turn(true),
            KeyCode::BackTab | KeyCode::Char('[') => self.turn(false),
            KeyCode::Right => self.next_tab(true),
            KeyCode::Left => self.next_tab(false),
            KeyCode::Down | KeyCode::Char('j') => self.step(1),
            KeyCode::Up | KeyCode::Char('k') => self.step(-1),
            KeyCode::PageDown => self.step(PAGE),
            KeyCode::PageUp => self.step(-PAGE),
            KeyCode::Home | KeyCode::Char('g') => self.step(isize::MIN),
            KeyCode::End | KeyCode::Char('G') => self.step(isize::MAX),
            KeyCode::Enter => self.open_record(),
            KeyCode::Char(key) => self.act(key),
            _ => Vec::new(),
        }
    }

    /// A text was pasted.
    pub(in crate::workspace) fn paste(&mut self, text: &str) {
        // Terminals send the ends of lines as they like.
        let text = text.replace("\r\n", "\n").replace('\r', "\n");
        if let Some(dialog) = self.dialogs.last_mut() {
            dialog.paste(&text);
        }
        self.search_again();
    }

    /// The wheel was turned.
    pub(in crate::workspace) fn scrolled(&mut self, by: isize) -> Vec<Task> {
        match self.dialogs.last_mut() {
            Some(dialog) => {
                dialog.scroll(by);
                Vec::new()
            }
            None => self.step(by),
        }
    }

    /// Something on the screen was clicked.
    pub(in crate::workspace) fn clicked(&mut self, target: Target) -> Vec<Task> {
        match target {
            Target::Section(section) => self.go(section, 0),
            Target::Tab(tab) => self.go(self.section, tab),
            Target::Key(code) => self.key(KeyEvent::from(code)),
            Target::Row(row) => {
                let Some(page) = self.page_mut() else { return Vec::new() };
                if page.selected == row {
                    return self.open_record();
                }
                page.selected = row;
                Vec::new()
            }
            Target::Field(field) => {
                if let Some(dialog) = self.dialogs.last_mut() {
                    dialog.focus(field);
                }
                Vec::new()
            }
            Target::Found(found) => {
                let Some(Dialog::Search(search)) = self.dialogs.last_mut() else {
                    return Vec::new();
                };
                search.selected = found;
                self.key(KeyEvent::from(KeyCode::Enter))
            }
        }
    }

    /// What becomes of a dialog, and of the rest, after a key.
    fn turned(&mut self, dialog: Dialog, turn: Turn) -> Vec<Task> {
        match turn {
            Turn::Closed => Vec::new(),
            Turn::Stays => {
                self.dialogs.push(dialog);
                Vec::new()
            }
            Turn::Changed => {
                self.dialogs.push(dialog);
                self.search_again();
                Vec::new()
            }
            Turn::Copied(text) => {
                self.dialogs.push(dialog);
                self.copied(text)
            }
            Turn::Kept(token) => {
                self.dialogs.push(dialog);
                self.user_token = Some(token);
                self.say("The debugger calls as this user until you quit.");
                Vec::new()
            }
            Turn::Back(form) => {
                self.dialogs.push(Dialog::Form(form));
                Vec::new()
            }
            Turn::Found(goal) => self.reach(goal),
            Turn::Answered(purpose, answers) => {
                let form = match dialog {
                    Dialog::Form(form) => Some(form),
                    _ => None,
                };
                self.answered(Filled { purpose, answers, form })
            }
            Turn::Agreed(filled) => self.carry_out(filled),
        }
    }

    /// The keys of everywhere, and those of the list that is shown.
    fn open_help(&mut self) -> Vec<Task> {
        let mut text = KEYS
            .iter()
            .fold(String::new(), |text, (keys, what)| text + &format!("{keys:<16}{what}\n"));
        let mut own: Vec<(char, &str, &str)> = Vec::new();
        let mut title = SECTIONS[self.section].title;
        if let Some(page) = self.page() {
            title = page.list.title;
            for action in page.list.actions {
                let mark = if action.changes() { "" } else { "  (changes nothing)" };
                own.push((action.key, action.label, mark));
            }
        } else if matches!(SECTIONS[self.section].body, Body::Overview) {
            own.push(('1', "to 4: go to the step and begin it", ""));
        }
        if !own.is_empty() {
            text += &format!("\n{title}\n");
        }
        for (key, label, mark) in own {
            text += &format!("{key:<16}{label}{mark}\n");
        }
        self.dialogs.push(Dialog::plain("Help", text));
        Vec::new()
    }

    fn open_search(&mut self) -> Vec<Task> {
        self.dialogs.push(Dialog::Search(Search::default()));
        self.search_again();
        self.read_the_others()
    }

    fn copy_first(&mut self) -> Vec<Task> {
        let Some(page) = self.page() else { return Vec::new() };
        let first =
            page.record().zip(page.list.columns.iter().find(|column| !column.title.is_empty()));
        match first.map(|(record, column)| column.text(record)) {
            Some(text) if !text.is_empty() => self.copied(text),
            _ => Vec::new(),
        }
    }

    fn copied(&mut self, text: String) -> Vec<Task> {
        self.say("It is in the clipboard, where the terminal allows it.");
        vec![Task::Copy(text)]
    }

    /// Breaks off what is under way; else shows all rows again; else goes back to the list before.
    fn step_back(&mut self) -> Vec<Task> {
        if self.is_waiting() {
            return self.cancel();
        }
        let shelf = &mut self.shelves[self.section];
        let page = shelf.opened.last_mut().or_else(|| shelf.tabs.get_mut(shelf.tab));
        match page {
            Some(page) if !page.filter.is_empty() => page.narrow(String::new()),
            _ => drop(shelf.opened.pop()),
        }
        Vec::new()
    }

    fn turn(&mut self, is_forward: bool) -> Vec<Task> {
        let section = beside(self.section, SECTIONS.len(), is_forward);
        self.go(section, self.shelves[section].tab)
    }

    fn next_tab(&mut self, is_forward: bool) -> Vec<Task> {
        let shelf = &self.shelves[self.section];
        match shelf.tabs.len() {
            0 | 1 => Vec::new(),
            count => self.go(self.section, beside(shelf.tab, count, is_forward)),
        }
    }

    fn step(&mut self, by: isize) -> Vec<Task> {
        match self.page_mut() {
            Some(page) => {
                if page.step(by) {
                    return self.read_page(true);
                }
            }
            None => {
                let by = i16::try_from(by.clamp(-10_000, 10_000)).unwrap_or_default();
                self.scroll = self.scroll.saturating_add_signed(by);
            }
        }
        Vec::new()
    }

    /// Shows the chosen record as a whole; an action of the debugger is called.
    fn open_record(&mut self) -> Vec<Task> {
        let Some(page) = self.page() else { return Vec::new() };
        let Some(record) = page.record() else { return Vec::new() };
        if let [only] = page.list.actions
            && only.opens_record()
        {
            return self.act(only.key);
        }
        let columns = page.list.columns.iter().chain(page.list.more);
        let title = page.list.title;
        let text = crate::workspace::dialog::record(record, columns);
        self.dialogs.push(Dialog::plain(title, text));
        Vec::new()
    }

    /// Breaks off what is under way.
    fn cancel(&mut self) -> Vec<Task> {
        self.reads.clear();
        self.next = None;
        for part in super::overview::PARTS {
            self.overview.part_mut(part).cancel();
        }
        self.instruction.cancel();
        for page in self.pages_mut() {
            page.load.cancel();
        }
        let sends = std::mem::take(&mut self.sends);
        if sends.is_empty() {
            self.say("Broken off.");
        } else {
            self.fail(MAYBE_DONE);
        }
        // What was typed for it is not lost.
        for form in sends.into_values().filter_map(|sent| sent.form) {
            let once = form.once;
            self.put(Dialog::Form(form.refused(MAYBE_DONE.to_owned(), once)));
        }
        vec![Task::Cancel]
    }

    /// Begins the action of a key.
    pub(super) fn act(&mut self, key: char) -> Vec<Task> {
        if let (Body::Overview, Some(step)) = (&SECTIONS[self.section].body, key.to_digit(10)) {
            let step = step.wrapping_sub(1) as usize;
            return if step < 4 { self.take_step(step) } else { Vec::new() };
        }
        let Some(page) = self.page() else { return Vec::new() };
        let Some(action) = page.list.actions.iter().find(|action| action.key == key) else {
            return Vec::new();
        };
        let record = match (action.needs_record, page.record()) {
            (false, _) => serde_json::Value::Null,
            (true, Some(record)) => record.clone(),
            (true, None) => {
                self.fail("There is no record to do this with.");
                return Vec::new();
            }
        };
        self.begin(action, record)
    }
}

/// The next of several, or the one before; after the last comes the first.
fn beside(at: usize, count: usize, is_forward: bool) -> usize {
    (at + if is_forward { 1 } else { count - 1 }) % count
}
