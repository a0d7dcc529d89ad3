//! The terminal: taken over while the workspace runs, and given back whatever happens.

use std::io::{Write as _, stdout};
use std::mem::ManuallyDrop;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use crossterm::cursor::Show;
use crossterm::event::{
    DisableBracketedPaste, DisableMouseCapture, EnableBracketedPaste, EnableMouseCapture,
};
use crossterm::execute;
use ratatui::DefaultTerminal;

/// A terminal that is taken over; dropping it gives it back. The library's own way to give it back writes
/// to standard error where that fails, which panics where the terminal is gone: so it is never dropped.
pub(super) struct Terminal(ManuallyDrop<DefaultTerminal>);

impl Terminal {
    /// Takes the terminal over. A panic gives it back before it is told.
    ///
    /// # Errors
    /// When this is no terminal.
    pub(super) fn take() -> std::io::Result<Self> {
        let taken = Self(ManuallyDrop::new(ratatui::try_init()?));
        let before = std::panic::take_hook();
        std::panic::set_hook(Box::new(move |panic| {
            leave();
            before(panic);
        }));
        execute!(stdout(), EnableMouseCapture, EnableBracketedPaste)?;
        Ok(taken)
    }

    /// The screen to draw on.
    pub(super) fn screen(&mut self) -> &mut DefaultTerminal {
        &mut self.0
    }
}

impl Drop for Terminal {
    fn drop(&mut self) {
        leave();
        // A terminal that is gone needs nothing back.
        let _ = ratatui::try_restore();
    }
}

/// Leaves what [`Terminal::take`] entered beyond what the library does.
fn leave() {
    // A terminal that is gone needs nothing back.
    let _ = execute!(stdout(), DisableMouseCapture, DisableBracketedPaste, Show);
}

/// Puts a text into the clipboard of the person's terminal, which may be elsewhere than this process
/// (OSC 52 of xterm's control sequences). Terminals that do not know it ignore it.
pub(super) fn copy(text: &str) {
    let mut out = stdout();
    let encoded = STANDARD.encode(text);
    // Nothing can be done where the terminal is gone.
    let _ = write!(out, "\u{1b}]52;c;{encoded}\u{7}").and_then(|()| out.flush());
}

#[cfg(test)]
mod tests {
    use std::io::Read as _;

    use portable_pty::{CommandBuilder, PtySize, native_pty_system};
    use vt100::{MouseProtocolMode, Parser};

    use super::Terminal;

    /// Set in the process that panics.
    const PANICS: &str = "DOWNCITY_TEST_PANICS";
    const SIZE: PtySize = PtySize { rows: 24, cols: 80, pixel_width: 0, pixel_height: 0 };

    /// Runs itself in a terminal, where it panics with the workspace open.
    #[test]
    fn a_panic_gives_the_terminal_back_and_is_told_there() {
        if std::env::var_os(PANICS).is_some() {
            let _terminal = Terminal::take().unwrap();
            panic!("something went wrong");
        }
        let pair = native_pty_system().openpty(SIZE).unwrap();
        let mut command = CommandBuilder::new(std::env::current_exe().unwrap());
        let name = std::thread::current().name().unwrap().to_owned();
        command.args(["--exact", &name, "--nocapture", "--test-threads=1"]);
        command.env(PANICS, "1");
        let mut child = pair.slave.spawn_command(command).unwrap();
        drop(pair.slave);
        let mut bytes = Vec::new();
        // Linux tells the end of the other side as an error.
        let _ = pair.master.try_clone_reader().unwrap().read_to_end(&mut bytes);
        assert!(!child.wait().unwrap().success());
        let mut parser = Parser::new(SIZE.rows, SIZE.cols, 100);
        parser.process(&bytes);
        let screen = parser.screen();
        let raw = String::from_utf8_lossy(&bytes);
        assert!(raw.contains("\u{1b}[?1049h"), "it never took the terminal over: {raw}");
        let left = (screen.alternate_screen(), screen.hide_cursor(), screen.bracketed_paste());
        assert_eq!(left, (false, false, false), "{raw}");
        assert_eq!(screen.mouse_protocol_mode(), MouseProtocolMode::None);
        assert!(screen.contents().contains("something went wrong"), "{}", screen.contents());
    }
}
