use std::io::{BufRead as _, BufReader};
use std::process::{Command, Stdio};

use tempfile::TempDir;

use crate::screen::{CTRL_C, Screen};

fn fed(folder: &TempDir, arguments: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_fed"));
    command
        .env_clear()
        .current_dir(folder.path())
        .env("XDG_CONFIG_HOME", folder.path().join("config"))
        .args(arguments);
    command
}

const SERVE: &[&str] = &["serve", "--listen", "127.0.0.1:0"];

/// Serves until the banner is there, and gives everything that was shown.
fn in_a_terminal(folder: &TempDir) -> String {
    let mut screen = Screen::start(&fed(folder, SERVE), 200, 50);
    screen.wait_for("/health");
    screen.key(CTRL_C);
    assert_eq!(screen.exit_code(), 0, "{}", screen.text());
    String::from_utf8_lossy(&screen.raw()).into_owned()
}

fn piped(folder: &TempDir) -> String {
    let mut command = fed(folder, SERVE);
    let mut child = command.stdout(Stdio::piped()).stderr(Stdio::null()).spawn().unwrap();
    let lines = BufReader::new(child.stdout.take().unwrap()).lines().map_while(Result::ok);
    let mut banner = String::new();
    for line in lines {
        banner.push_str(&line);
        if line.contains("/health") {
            break;
        }
    }
    child.kill().unwrap();
    child.wait().unwrap();
    banner
}

fn admin_key(folder: &TempDir) -> String {
    let output = fed(folder, &["key", "show-admin"]).output().unwrap();
    String::from_utf8(output.stdout).unwrap().trim().to_owned()
}

#[test]
fn the_first_start_in_a_terminal_shows_the_admin_key_once() {
    let folder = TempDir::new().unwrap();
    let first = in_a_terminal(&folder);
    let key = admin_key(&folder);
    assert!(key.len() > 20, "{key}");
    assert_eq!(first.matches(&key).count(), 1, "{first}");
    assert!(!in_a_terminal(&folder).contains(&key));
}

#[test]
fn a_pipe_never_gets_the_admin_key() {
    let folder = TempDir::new().unwrap();
    let banner = piped(&folder);
    let key = admin_key(&folder);
    assert!(key.len() > 20 && !banner.contains(&key), "{banner}");
    assert!(banner.contains("fed key show-admin prints it"), "{banner}");
    // The first start has been; a terminal gets it no more.
    assert!(!in_a_terminal(&folder).contains(&key));
}
