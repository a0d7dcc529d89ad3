//! `fed admin`: the whole Federation on one screen, by keys.
//!
//! [`state`] is what is known and what becomes of it, [`section`] says what there is to see and do,
//! [`dialog`] what stands in front, [`net`] asks the server, [`view`] draws, [`terminal`] takes the
//! terminal over. One loop waits for keys and answers; nothing in it waits for the network.

mod dialog;
mod net;
mod section;
mod state;
mod task;
mod terminal;
#[cfg(test)]
mod tests;
mod view;

use std::io::IsTerminal as _;
use std::time::Duration;

use crossterm::event::{Event, EventStream, KeyEventKind, MouseButton, MouseEventKind};
use futures_util::StreamExt as _;
use tokio::sync::mpsc;
use tokio::time::{Interval, MissedTickBehavior};

use self::net::Net;
use self::state::App;
use self::task::Task;
use self::terminal::Terminal;
use self::view::Hits;
use crate::connection::Connection;
use crate::failure::Failure;
use crate::fed::Flags;

/// How often what turns while it is waited for is drawn anew.
const TURN: Duration = Duration::from_millis(120);
/// How often what changes by itself is read again.
const REFRESH: Duration = Duration::from_secs(4);

/// Runs the workspace until its person quits.
///
/// # Errors
/// When this is no terminal, or no Federation is known here.
pub(crate) fn run(flags: &Flags) -> Result<(), Failure> {
    if !std::io::stdin().is_terminal() || !std::io::stdout().is_terminal() {
        return Err(Failure::usage(
            "The workspace needs a terminal. `fed --help` lists the commands, which need none.",
        ));
    }
    let connection = flags.target.resolve()?;
    crate::commands::block_on(open(connection))?
}

async fn open(connection: Connection) -> Result<(), Failure> {
    let mut app = App::new(connection.place());
    let (tell, mut answers) = mpsc::unbounded_channel();
    let mut net = Net::new(connection, tell)?;
    let is_colored = crate::output::is_colored();
    let mut ended = std::pin::pin!(ended()?);
    let mut terminal = Terminal::take()?;
    let mut events = EventStream::new();
    let mut turning = every(TURN);
    let mut refreshing = every(REFRESH);
    let mut turn = 0;
    let mut tasks = app.reload();
    loop {
        for task in tasks.drain(..) {
            match task {
                Task::Read(number, read) => net.read(number, read),
                Task::Send(number, send) => net.send(number, send),
                Task::Move(connection) => net.go(connection)?,
                Task::Cancel => net.cancel(),
                Task::Copy(text) => terminal::copy(&text),
                Task::Quit => return Ok(()),
            }
        }
        let mut hits = Hits::default();
        terminal.screen().draw(|frame| hits = view::draw(frame, &mut app, turn, is_colored))?;
        tasks = tokio::select! {
            event = events.next() => match event {
                Some(event) => happened(&mut app, event?, &hits),
                None => vec![Task::Quit],
            },
            Some(heard) = answers.recv() => app.heard(heard),
            failure = net.broken() => return Err(failure),
            _ = refreshing.tick() => app.refresh(),
            _ = turning.tick(), if app.is_waiting() => {
                turn += 1;
                Vec::new()
            }
            () = &mut ended => vec![Task::Quit],
        };
    }
}

/// A clock that does not make up for the time when nobody asked it.
fn every(period: Duration) -> Interval {
    let mut interval = tokio::time::interval(period);
    interval.set_missed_tick_behavior(MissedTickBehavior::Delay);
    interval
}

/// Something happened at the terminal.
fn happened(app: &mut App, event: Event, hits: &Hits) -> Vec<Task> {
    match event {
        Event::Key(key) if key.kind != KeyEventKind::Release => app.key(key),
        Event::Paste(text) => {
            app.paste(&text);
            Vec::new()
        }
        Event::Mouse(mouse) => match mouse.kind {
            MouseEventKind::ScrollDown => app.scrolled(3),
            MouseEventKind::ScrollUp => app.scrolled(-3),
            MouseEventKind::Down(MouseButton::Left) => match hits.at(mouse.column, mouse.row) {
                Some(target) => app.clicked(target),
                None => Vec::new(),
            },
            _ => Vec::new(),
        },
        // Everything is drawn anew after each event: another size needs nothing else.
        _ => Vec::new(),
    }
}

/// What ends when the process is asked to end, so that the terminal is given back. It listens from the
/// call on.
///
/// # Errors
/// When the system does not let it listen.
#[cfg(unix)]
fn ended() -> std::io::Result<impl Future<Output = ()>> {
    use tokio::signal::unix::{SignalKind, signal};

    let mut terminated = signal(SignalKind::terminate())?;
    let mut hung_up = signal(SignalKind::hangup())?;
    // Ctrl-C is a key here; this one comes from elsewhere.
    let mut interrupted = signal(SignalKind::interrupt())?;
    Ok(async move {
        tokio::select! {
            _ = terminated.recv() => {}
            _ = hung_up.recv() => {}
            _ = interrupted.recv() => {}
        }
    })
}

#[cfg(not(unix))]
fn ended() -> std::io::Result<impl Future<Output = ()>> {
    Ok(std::future::pending())
}
