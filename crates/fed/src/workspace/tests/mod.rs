//! A whole session, played without a terminal or a server: keys go in, screens come out.

mod contract;
mod dialogs;
mod fixtures;
mod pictures;
mod sections;
mod session;

use std::collections::VecDeque;

use crossterm::event::{KeyCode, KeyEvent, KeyModifiers};
use ratatui::Terminal;
use ratatui::backend::TestBackend;
use ratatui::buffer::Buffer;
use serde_json::Value;

use super::section::Servers;
use super::state::App;
use super::task::{Heard, Read, Send, Task, Trouble};
use super::view::{self, Hits};
use crate::connection::{Connection, Server};

/// The sizes that everything is drawn in.
pub(super) const SIZES: [(u16, u16); 2] = [(80, 24), (160, 50)];

/// A person at the workspace of a Federation that answers with fixtures.
pub(super) struct Session {
    pub(super) app: App,
    /// What was asked and has no answer yet.
    asked: VecDeque<Task>,
    /// Whether the server takes its time.
    is_slow: bool,
    /// What comes in place of the next answer.
    trouble: Option<Trouble>,
    /// The last call that may change something: its path and input.
    pub(super) sent: Vec<(String, Value)>,
    /// For what each of them has one effect.
    pub(super) onces: Vec<u64>,
    /// Where the next answer moves the workspace, and where it was moved.
    moves: Option<Connection>,
    pub(super) place: Option<String>,
    /// Whether the last call of the debugger was made as a user.
    pub(super) was_user: bool,
    pub(super) copied: Vec<String>,
    pub(super) has_quit: bool,
    pub(super) was_canceled: bool,
}

impl Session {
    pub(super) fn start() -> Self {
        let app = App::new("work · https://fed.example.com".to_owned());
        let mut session = Self {
            app,
            asked: VecDeque::new(),
            is_slow: false,
            trouble: None,
            sent: Vec::new(),
            onces: Vec::new(),
            moves: None,
            place: None,
            was_user: false,
            copied: Vec::new(),
            has_quit: false,
            was_canceled: false,
        };
        let tasks = session.app.reload();
        session.take(tasks);
        session
    }

    /// A session that stands in the section of this title.
    pub(super) fn in_section(title: &str) -> Self {
        let mut session = Self::start();
        session.go(title);
        session
    }

    pub(super) fn go(&mut self, title: &str) {
        let section =
            super::section::SECTIONS.iter().position(|section| section.title == title).unwrap();
        let tasks = self.app.go(section, 0);
        self.take(tasks);
    }

    /// From now on the server takes its time, until [`Session::answer`].
    pub(super) fn slow(&mut self) {
        self.is_slow = true;
    }

    /// The next answer is this instead.
    pub(super) fn fail_next(&mut self, says: &str, is_unreachable: bool) {
        let says = says.to_owned();
        self.trouble = Some(Trouble { says, is_unreachable, is_open: is_unreachable });
    }

    /// The next answer is that of something between, such as a proxy.
    pub(super) fn break_next(&mut self, says: &str) {
        let says = says.to_owned();
        self.trouble = Some(Trouble { says, is_unreachable: false, is_open: true });
    }

    pub(super) fn press(&mut self, code: KeyCode) -> &mut Self {
        self.press_with(code, KeyModifiers::NONE)
    }

    pub(super) fn press_with(&mut self, code: KeyCode, modifiers: KeyModifiers) -> &mut Self {
        let tasks = self.app.key(KeyEvent::new(code, modifiers));
        self.take(tasks);
        self
    }

    /// Types a text, letter by letter.
    pub(super) fn type_text(&mut self, text: &str) -> &mut Self {
        for letter in text.chars() {
            self.press(KeyCode::Char(letter));
        }
        self
    }

    pub(super) fn enter(&mut self) -> &mut Self {
        self.press(KeyCode::Enter)
    }

    /// Clicks on the first place where this text stands.
    pub(super) fn click(&mut self, text: &str) {
        let (buffer, hits) = self.drawn(80, 24);
        let (column, row) =
            found(&buffer, text).unwrap_or_else(|| panic!("{text:?} is not on the screen"));
        let target =
            hits.at(column, row).unwrap_or_else(|| panic!("{text:?} is not to be clicked"));
        let tasks = self.app.clicked(target);
        self.take(tasks);
    }

    /// Keeps what was asked and has no answer yet from being answered, until [`Session::release`].
    pub(super) fn hold(&mut self) -> VecDeque<Task> {
        std::mem::take(&mut self.asked)
    }

    pub(super) fn release(&mut self, held: VecDeque<Task>) {
        self.asked.extend(held);
    }

    fn take(&mut self, tasks: Vec<Task>) {
        self.asked.extend(tasks);
        if !self.is_slow {
            self.answer();
        }
    }

    /// The server answers everything that was asked.
    pub(super) fn answer(&mut self) {
        while let Some(task) = self.asked.pop_front() {
            let (number, answer, is_from_server) = match task {
                Task::Move(connection) => {
                    self.place = Some(connection.place());
                    continue;
                }
                Task::Quit => {
                    self.has_quit = true;
                    continue;
                }
                Task::Cancel => {
                    self.was_canceled = true;
                    continue;
                }
                Task::Copy(text) => {
                    self.copied.push(text);
                    continue;
                }
                Task::Read(number, read) => {
                    let is_from_server = read != Read::Servers;
                    (number, self.read(read), is_from_server)
                }
                Task::Send(number, send) => (number, self.send(send), true),
            };
            let moves = self.moves.take();
            let tasks = self.app.heard(Heard { number, answer, is_from_server, moves });
            self.asked.extend(tasks);
        }
    }

    fn read(&mut self, read: Read) -> Result<Value, Trouble> {
        match (self.trouble.take(), read) {
            (Some(trouble), _) => Err(trouble),
            (None, Read::Action(path, query)) => Ok(fixtures::read(&path, &query)),
            (None, Read::Route(path)) => Ok(fixtures::route(path)),
            (None, Read::Text(_)) => Ok(fixtures::INSTRUCTION.into()),
            (None, Read::Servers) => Ok(fixtures::servers()),
        }
    }

    fn send(&mut self, send: Send) -> Result<Value, Trouble> {
        let (path, input) = match send {
            Send::Action { path, input, once, .. } => {
                self.onces.push(once);
                (path, input)
            }
            Send::Call { path, input, once, user_token, .. } => {
                self.onces.push(once);
                self.was_user = user_token.is_some();
                (path, input)
            }
            Send::Servers { change, name, url, .. } => {
                if change == Servers::Use {
                    let server = Server { name: name.clone(), url: url.clone(), admin_key: None };
                    self.moves = Some(Connection::to(server, None));
                }
                (format!("{change:?}"), serde_json::json!({ "name": name, "url": url }))
            }
        };
        self.sent.push((path.clone(), input.clone()));
        match self.trouble.take() {
            Some(trouble) => Err(trouble),
            None => Ok(fixtures::sent(&path, &input)),
        }
    }

    fn drawn(&mut self, width: u16, height: u16) -> (Buffer, Hits) {
        let mut terminal = Terminal::new(TestBackend::new(width, height)).unwrap();
        let mut hits = Hits::default();
        terminal.draw(|frame| hits = view::draw(frame, &mut self.app, 0, true)).unwrap();
        (terminal.backend().buffer().clone(), hits)
    }

    /// The screen at this size, as it is drawn.
    pub(super) fn buffer(&mut self, width: u16, height: u16) -> Buffer {
        self.drawn(width, height).0
    }

    /// The screen at this size as lines.
    pub(super) fn screen(&mut self, width: u16, height: u16) -> String {
        lines(&self.buffer(width, height))
    }

    /// The screen at every size.
    pub(super) fn screens(&mut self) -> String {
        let screens = SIZES.map(|(width, height)| self.screen(width, height));
        screens.join("\n\n")
    }

    /// Whether a text is on the small screen.
    pub(super) fn shows(&mut self, text: &str) -> bool {
        self.screen(80, 24).contains(text)
    }
}

/// The letters of a screen.
pub(super) fn lines(buffer: &Buffer) -> String {
    let width = usize::from(buffer.area.width);
    let lines = buffer.content.chunks(width).map(|cells| {
        let line: String = cells.iter().map(ratatui::buffer::Cell::symbol).collect();
        line.trim_end().to_owned()
    });
    lines.collect::<Vec<_>>().join("\n")
}

/// Where a text stands.
fn found(buffer: &Buffer, text: &str) -> Option<(u16, u16)> {
    let letters = text.chars().count();
    for row in 0..buffer.area.height {
        for column in 0..buffer.area.width.saturating_sub(u16::try_from(letters).unwrap()) {
            let here = (column..).take(letters).map(|at| buffer[(at, row)].symbol());
            if here.collect::<String>() == text {
                return Some((column, row));
            }
        }
    }
    None
}
