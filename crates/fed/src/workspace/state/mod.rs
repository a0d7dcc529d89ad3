//! What the workspace knows, and what becomes of it with every key and every answer.
//!
//! Nothing here draws, waits or calls: [`App::key`] and [`App::heard`] change the state and say what is
//! to be done, so that tests can play a whole session without a terminal or a server.

mod act;
mod answers;
mod keys;
mod load;
mod overview;
mod page;
mod search;

use std::collections::{BTreeMap, HashMap};

use jiff::civil::Date;
use secrecy::SecretString;
use serde_json::Value;

pub(super) use load::{Load, Stand};
use overview::Next;
pub(super) use overview::{Overview, Part};
pub(super) use page::Page;

use super::dialog::{Dialog, Form};
use super::section::{Body, List, SECTIONS, Shows};
use super::task::{Number, Read, Task};
use crate::output::Column;

/// How long a sentence at the foot is at most.
const FOOT: usize = 76;

/// What is shown and known.
pub(super) struct App {
    /// Where it is connected.
    pub(super) place: String,
    pub(super) link: Link,
    pub(super) section: usize,
    /// What stands in each section.
    pub(super) shelves: Vec<Shelf>,
    pub(super) overview: Overview,
    pub(super) instruction: Load<String>,
    /// Lines scrolled down in the instruction.
    pub(super) scroll: u16,
    /// What stands in front, the last one on top.
    pub(super) dialogs: Vec<Dialog>,
    /// The last thing that was said.
    pub(super) status: Option<Status>,
    /// What is begun when the rows that were asked for are there.
    next: Option<Next>,
    /// The day of the server.
    today: Option<Date>,
    /// The OpenAPI document, which the forms of the debugger are made of.
    document: Value,
    /// A user_token that was issued here and is kept for the debugger.
    user_token: Option<SecretString>,
    reads: HashMap<Number, Want>,
    sends: BTreeMap<Number, Sent>,
    numbers: Number,
}

/// The lists of a section.
#[derive(Debug)]
pub(super) struct Shelf {
    /// Which one is shown.
    pub(super) tab: usize,
    pub(super) tabs: Vec<Page>,
    /// Lists of single records that were opened, the last one on top.
    pub(super) opened: Vec<Page>,
}

/// Whether the server answers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Link {
    Unknown,
    Up,
    Down,
}

/// A sentence at the foot.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Status {
    pub(super) text: String,
    pub(super) is_error: bool,
}

/// What an answer is for.
#[derive(Debug)]
enum Want {
    /// Rows of the page that asked, in place of the present ones or behind them.
    Page {
        goes_on: bool,
    },
    Part(Part),
    Instruction,
    /// A record that is shown by itself.
    Record {
        title: String,
        columns: &'static [Column],
    },
    /// The value of an env entry, among all.
    Reveal {
        key: String,
    },
}

/// A call that may change something and is under way.
struct Sent {
    label: String,
    after: After,
    /// The form that was filled in: it comes back when the server refuses it.
    form: Option<Form>,
    /// The list that it was begun from.
    list: Option<&'static List>,
    /// Whether it was sent to a Federation that was left since.
    is_elsewhere: bool,
}

/// What follows when it went well.
#[derive(Debug)]
enum After {
    Shows(Shows),
    /// The answer is shown as it is; or without the values of env entries.
    Response {
        hides_values: bool,
    },
    /// The workspace is somewhere else now, or knows other places.
    Servers,
}

impl App {
    /// A workspace of the Federation at this place, before anything is known.
    pub(super) fn new(place: String) -> Self {
        let shelf = |section: &super::section::Section| {
            let lists = match section.body {
                Body::Lists(lists) => lists,
                _ => &[],
            };
            Shelf { tab: 0, tabs: lists.iter().map(Page::new).collect(), opened: Vec::new() }
        };
        Self {
            place,
            link: Link::Unknown,
            section: 0,
            shelves: SECTIONS.iter().map(shelf).collect(),
            overview: Overview::default(),
            instruction: Load::default(),
            scroll: 0,
            dialogs: Vec::new(),
            status: None,
            next: None,
            today: None,
            document: Value::Null,
            user_token: None,
            reads: HashMap::new(),
            sends: BTreeMap::new(),
            numbers: 0,
        }
    }

    /// The list that is shown, where the section has one.
    pub(super) fn page(&self) -> Option<&Page> {
        let shelf = &self.shelves[self.section];
        shelf.opened.last().or_else(|| shelf.tabs.get(shelf.tab))
    }

    pub(super) fn page_mut(&mut self) -> Option<&mut Page> {
        let shelf = &mut self.shelves[self.section];
        shelf.opened.last_mut().or_else(|| shelf.tabs.get_mut(shelf.tab))
    }

    fn pages_mut(&mut self) -> impl Iterator<Item = &mut Page> {
        let shelves = self.shelves.iter_mut();
        shelves.flat_map(|shelf| shelf.tabs.iter_mut().chain(&mut shelf.opened))
    }

    /// Whether anything is waited for.
    pub(super) fn is_waiting(&self) -> bool {
        !self.reads.is_empty() || !self.sends.is_empty()
    }

    /// What is being done, for the foot.
    pub(super) fn doing(&self) -> Option<&str> {
        self.sends.values().next_back().map(|sent| sent.label.as_str())
    }

    fn number(&mut self) -> Number {
        self.numbers += 1;
        self.numbers
    }

    fn read(&mut self, read: Read, want: Want) -> Task {
        let number = self.number();
        self.reads.insert(number, want);
        Task::Read(number, read)
    }

    /// Reads again what is shown.
    pub(super) fn reload(&mut self) -> Vec<Task> {
        match SECTIONS[self.section].body {
            Body::Overview => self.look(),
            Body::Instruction => {
                self.instruction.begin();
                vec![self.read(Read::Text("/v1/base/instruction"), Want::Instruction)]
            }
            Body::Lists(_) => self.read_page(false),
        }
    }

    /// Reads the page that is shown anew, or what follows on it.
    fn read_page(&mut self, goes_on: bool) -> Vec<Task> {
        let (number, today) = (self.number(), self.today);
        let Some(page) = self.page_mut() else { return Vec::new() };
        let read = page.ask(number, goes_on, today);
        self.reads.insert(number, Want::Page { goes_on });
        vec![Task::Read(number, read)]
    }

    /// A while has passed: what changes by itself is read again.
    pub(super) fn refresh(&mut self) -> Vec<Task> {
        let shows_overview = matches!(SECTIONS[self.section].body, Body::Overview);
        if shows_overview && self.reads.is_empty() { self.look() } else { Vec::new() }
    }

    /// Goes to a section, and to one of its lists.
    pub(super) fn go(&mut self, section: usize, tab: usize) -> Vec<Task> {
        self.section = section.min(SECTIONS.len() - 1);
        let shelf = &mut self.shelves[self.section];
        shelf.tab = tab.min(shelf.tabs.len().saturating_sub(1));
        shelf.opened.clear();
        self.next = None;
        self.scroll = 0;
        self.reload()
    }

    /// Puts something in front; behind what already stands there, where somebody may be typing.
    fn put(&mut self, dialog: Dialog) {
        if self.dialogs.is_empty() {
            self.dialogs.push(dialog);
        } else {
            self.dialogs.insert(0, dialog);
        }
    }

    /// Says what went wrong: at the foot, or in front where it does not fit there.
    fn trouble(&mut self, label: &str, says: String) {
        if says.contains('\n') || says.chars().count() > FOOT {
            self.put(Dialog::plain(label, says));
        } else {
            self.fail(says);
        }
    }

    pub(super) fn say(&mut self, text: impl Into<String>) {
        self.status = Some(Status { text: text.into(), is_error: false });
    }

    pub(super) fn fail(&mut self, text: impl Into<String>) {
        self.status = Some(Status { text: text.into(), is_error: true });
    }
}
