//! A terminal of a given size with a command in it, and a person in front of it.
//!
//! The bytes of the command go through a terminal emulator, so that tests see what a person sees. Nothing
//! here sleeps: waiting ends with new output, or fails with the screen when the deadline is over.

use std::io::{Read as _, Write};
use std::process::Command;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use portable_pty::{Child, CommandBuilder, MasterPty, PtySize, native_pty_system};
use rustix::process::{Pid, Signal};
use vt100::{MouseProtocolMode, Parser};

/// Far more than any screen needs on a busy machine; only a test that fails waits so long.
const DEADLINE: Duration = Duration::from_secs(60);

/// Keys as a terminal sends them.
pub(crate) const ENTER: &str = "\r";
pub(crate) const ESC: &str = "\x1b";
pub(crate) const CTRL_C: &str = "\x03";
pub(crate) const DOWN: &str = "\x1b[B";

/// A command in a terminal; ended by its id when it is dropped.
pub(crate) struct Screen {
    shown: Arc<Shown>,
    master: Box<dyn MasterPty + Send>,
    writer: Arc<Mutex<Box<dyn Write + Send>>>,
    child: Box<dyn Child + Send + Sync>,
    reader: Option<JoinHandle<()>>,
}

/// Runs the command and says how it leaves the terminal. That cannot be seen later: a terminal is reset
/// when the first process in it ends, which therefore is not the command.
const SHELL: &str = r#"
trap : INT TERM HUP
before=$(stty -g)
"$@"
code=$?
test "$(stty -g)" = "$before" || echo "left in another mode"
exit $code
"#;

/// What has arrived until now, and a bell for more.
struct Shown {
    state: Mutex<State>,
    more: Condvar,
}

struct State {
    parser: Parser<Asked>,
    raw: Vec<u8>,
    /// The command has closed the terminal.
    is_over: bool,
}

/// Answers to what a command asks its terminal.
#[derive(Default)]
struct Asked {
    answers: Vec<u8>,
}

impl vt100::Callbacks for Asked {
    fn unhandled_csi(
        &mut self,
        screen: &mut vt100::Screen,
        _: Option<u8>,
        _: Option<u8>,
        params: &[&[u16]],
        letter: char,
    ) {
        match (letter, params) {
            ('n', [[6]]) => {
                let (row, column) = screen.cursor_position();
                self.answers.extend(format!("\x1b[{};{}R", row + 1, column + 1).into_bytes());
            }
            // What kind of terminal it is: one with few abilities.
            ('c', [] | [[0]]) => self.answers.extend(b"\x1b[?1;2c"),
            _ => {}
        }
    }
}

impl Screen {
    /// Starts the command in a terminal of so many columns and rows. It gets the environment and the
    /// folder that were set for it, and nothing of the developer's environment.
    pub(crate) fn start(command: &Command, columns: u16, rows: u16) -> Self {
        let pair = native_pty_system().openpty(size(columns, rows)).unwrap();
        let child = pair.slave.spawn_command(builder(command)).unwrap();
        // The terminal ends with the command only if nobody else holds it.
        drop(pair.slave);
        let writer = Arc::new(Mutex::new(pair.master.take_writer().unwrap()));
        let parser = Parser::new_with_callbacks(rows, columns, 1000, Asked::default());
        let state = State { parser, raw: Vec::new(), is_over: false };
        let shown = Arc::new(Shown { state: Mutex::new(state), more: Condvar::new() });
        let mut output = pair.master.try_clone_reader().unwrap();
        let (seen, answers) = (Arc::clone(&shown), Arc::clone(&writer));
        let reader = std::thread::Builder::new()
            .name("terminal".to_owned())
            .spawn(move || {
                let mut bytes = [0; 4096];
                // Linux tells the end of the other side as an error.
                while let Ok(length @ 1..) = output.read(&mut bytes) {
                    let answer = seen.take(bytes.get(..length).unwrap_or_default());
                    // The command may have ended meanwhile.
                    let _ = lock(&answers).write_all(&answer);
                }
                lock(&seen.state).is_over = true;
                seen.more.notify_all();
            })
            .unwrap();
        Self { shown, master: pair.master, writer, child, reader: Some(reader) }
    }

    /// Types text, or a key as its terminal sends it.
    pub(crate) fn type_text(&self, text: &str) {
        lock(&self.writer).write_all(text.as_bytes()).unwrap();
    }

    /// Presses a key, such as [`ENTER`].
    pub(crate) fn key(&self, key: &str) {
        self.type_text(key);
    }

    /// Waits until the text stands on the screen.
    pub(crate) fn wait_for(&self, text: &str) {
        self.wait_until(&format!("{text:?} on the screen"), |screen| {
            screen.contents().contains(text)
        });
    }

    /// Waits until the screen is as it should be, with a name for that in case it never is.
    pub(crate) fn wait_until(&self, what: &str, mut is_so: impl FnMut(&vt100::Screen) -> bool) {
        self.wait(what, |state| is_so(state.parser.screen()));
    }

    /// The lines of the screen, without blanks at their ends.
    pub(crate) fn text(&self) -> String {
        text(lock(&self.shown.state).parser.screen())
    }

    /// Everything that has arrived, as it came.
    pub(crate) fn raw(&self) -> Vec<u8> {
        lock(&self.shown.state).raw.clone()
    }

    /// Whether the text has ever been sent to the terminal.
    pub(crate) fn has_seen(&self, text: &str) -> bool {
        String::from_utf8_lossy(&self.raw()).contains(text)
    }

    /// Makes the terminal larger or smaller, and tells the command. Wait for what it changes before the
    /// next key: one that comes in the same moment may be seen only with the key after it.
    pub(crate) fn resize(&self, columns: u16, rows: u16) {
        lock(&self.shown.state).parser.screen_mut().set_size(rows, columns);
        self.master.resize(size(columns, rows)).unwrap();
    }

    /// Sends the command a signal, as the system does.
    pub(crate) fn signal(&self, signal: Signal) {
        // The shell that watches it is told as well, and goes on until the command has ended.
        let shell =
            Pid::from_raw(i32::try_from(self.child.process_id().unwrap()).unwrap()).unwrap();
        rustix::process::kill_process_group(shell, signal).unwrap();
    }

    /// Waits for the end of the command, which has to leave the terminal as it found it, and must not be
    /// ended by a signal.
    pub(crate) fn exit_code(&mut self) -> u32 {
        self.wait("the end of the command", |state| state.is_over);
        let status = self.child.wait().unwrap();
        let state = lock(&self.shown.state);
        let screen = state.parser.screen();
        let left = (
            screen.contents().contains("left in another mode"),
            screen.hide_cursor(),
            screen.alternate_screen(),
            screen.bracketed_paste(),
            screen.mouse_protocol_mode() != MouseProtocolMode::None,
        );
        assert_eq!(
            left,
            (false, false, false, false, false),
            "left behind: another mode, hidden cursor, alternate screen, bracketed paste, mouse"
        );
        let code = status.exit_code();
        assert!(code < 128, "ended by a signal: {code}\n{}", text(screen));
        code
    }

    fn wait(&self, what: &str, mut is_so: impl FnMut(&State) -> bool) {
        let end = Instant::now() + DEADLINE;
        let mut state = lock(&self.shown.state);
        while !is_so(&state) {
            let left = end.saturating_duration_since(Instant::now());
            let text = text(state.parser.screen());
            assert!(!state.is_over, "The command has ended without {what}:\n{text}");
            assert!(!left.is_zero(), "No {what} within {DEADLINE:?}:\n{text}");
            let waited = self.shown.more.wait_timeout(state, left);
            state = waited.unwrap_or_else(PoisonError::into_inner).0;
        }
    }
}

impl Drop for Screen {
    fn drop(&mut self) {
        // Already ended where it ended by itself.
        let _ = self.child.kill();
        let _ = self.child.wait();
        if let Some(reader) = self.reader.take() {
            let _ = reader.join();
        }
    }
}

impl Shown {
    /// Shows what has arrived, and gives what the terminal answers.
    fn take(&self, bytes: &[u8]) -> Vec<u8> {
        let mut state = lock(&self.state);
        state.raw.extend_from_slice(bytes);
        state.parser.process(bytes);
        self.more.notify_all();
        std::mem::take(&mut state.parser.callbacks_mut().answers)
    }
}

/// The command as the terminal starts it.
fn builder(command: &Command) -> CommandBuilder {
    let mut builder = CommandBuilder::new("/bin/sh");
    builder.args(["-c", SHELL, "sh"]);
    builder.arg(command.get_program());
    builder.args(command.get_args());
    builder.env_clear();
    builder.env("TERM", "xterm-256color");
    for (name, value) in command.get_envs() {
        match value {
            Some(value) => builder.env(name, value),
            None => builder.env_remove(name),
        }
    }
    if let Some(folder) = command.get_current_dir() {
        builder.cwd(folder);
    }
    builder
}

fn size(columns: u16, rows: u16) -> PtySize {
    PtySize { rows, cols: columns, pixel_width: 0, pixel_height: 0 }
}

fn text(screen: &vt100::Screen) -> String {
    let (_, columns) = screen.size();
    let lines: Vec<String> =
        screen.rows(0, columns).map(|line| line.trim_end().to_owned()).collect();
    lines.join("\n").trim_end().to_owned()
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[test]
fn a_terminal_has_the_size_it_is_given() {
    let mut screen = sh("stty size; read line; stty size; exit 7");
    screen.wait_for("24 80");
    screen.resize(30, 8);
    screen.key(ENTER);
    screen.wait_for("8 30");
    assert_eq!(screen.exit_code(), 7);
}

#[test]
#[should_panic(expected = "left behind: another mode")]
fn a_terminal_in_another_mode_is_seen() {
    sh("stty raw -echo").exit_code();
}

#[test]
#[should_panic(expected = "left behind: another mode")]
fn a_cursor_left_hidden_is_seen() {
    sh("printf '\\033[?25l'").exit_code();
}

fn sh(script: &str) -> Screen {
    let mut command = Command::new("/bin/sh");
    command.args(["-c", script]);
    Screen::start(&command, 80, 24)
}
