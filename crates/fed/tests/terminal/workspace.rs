//! The admin workspace on a live server.

use std::net::TcpListener;
use std::process::Command;

use rustix::process::Signal;
use tempfile::TempDir;

use crate::screen::{ENTER, ESC, Screen};
use crate::world::{ADMIN_KEY, World};

const F2: &str = "\x1bOQ";
const TAB: &str = "\t";

/// Plain `fed` of the person whose server this is.
fn open(world: &World, columns: u16, rows: u16) -> Screen {
    let screen = Screen::start(&world.bare(), columns, rows);
    screen.wait_for("Downcity  ● local");
    screen
}

/// Goes to what search finds first.
fn go(screen: &Screen, place: &str, shown: &str) {
    screen.key("/");
    screen.wait_for("Search");
    screen.type_text(place);
    screen.key(ENTER);
    screen.wait_for(shown);
}

/// Closes what stands in front and shows this text. The next key waits for it: one that comes right
/// after Esc is another key to a terminal.
fn close(screen: &Screen, shows: &str) {
    screen.key(ESC);
    screen.wait_until("nothing in front", |screen| !screen.contents().contains(shows));
}

fn ended(mut screen: Screen) {
    screen.key("q");
    assert_eq!(screen.exit_code(), 0, "{}", screen.text());
}

#[test]
fn a_newcomer_goes_from_nothing_to_credits_for_the_first_user() {
    let world = World::at_home(TempDir::new().unwrap());
    let screen = open(&world, 80, 24);
    // The list of first steps leads to the first city.
    screen.wait_for("2 ○ Create a city");
    screen.key("2");
    screen.wait_for("* Name");
    screen.type_text("Notes");
    screen.key(ENTER);
    screen.type_text("city_notes");
    screen.key(ENTER);
    screen.wait_for("Done: Create a city.");
    // A secret is typed, and never shown.
    go(&screen, "values", "BETTER_AUTH_SECRET");
    screen.key("n");
    screen.wait_for("Set a value");
    screen.type_text("MY_SECRET");
    screen.key(ENTER);
    screen.type_text("sk-typed-here-0123456abc");
    screen.key(F2);
    screen.wait_for("Done: Set a value.");
    screen.wait_for("6abc");
    screen.key("R");
    screen.wait_for("Done: Apply what was edited by hand");
    // A token is shown once.
    go(&screen, "overview", "3 ○ Issue a token");
    screen.key("3");
    screen.wait_for("Issue a user_token in Notes (city_notes)");
    screen.type_text("ann");
    screen.key(F2);
    screen.wait_for("user_token, shown once");
    screen.wait_for("ub_");
    screen.key("d");
    screen.wait_for("The debugger calls as this user until you quit.");
    close(&screen, "shown once");
    // With it the first call is made.
    go(&screen, "overview", "3 ✓ Issue a token");
    screen.key("4");
    screen.wait_for("POST ai/text");
    type_into(&screen, "prompt", "Hello, Federation");
    screen.key(F2);
    screen.wait_for("Sure?");
    screen.key("y");
    screen.wait_for("\"text\": ");
    screen.key(ESC);
    screen.wait_for("provider_options");
    close(&screen, "provider_options");
    // Codes for credits.
    go(&screen, "redeem", "There is no code.");
    screen.key("n");
    screen.wait_for("Make redeem codes");
    screen.type_text("2.5");
    screen.key(F2);
    screen.wait_for("Shown once");
    close(&screen, "Shown once");
    screen.wait_for("2.50");
    // All steps but the first are taken: no provider has a key.
    go(&screen, "overview", "Last errors");
    screen.wait_for("1 ○ Add the key of a provider");
    for step in ["2 ✓ Create a city", "3 ✓ Issue a token", "4 ✓ Make a call"] {
        screen.wait_for(step);
    }
    screen.wait_for("Calls: 1");
    for secret in ["sk-typed-here", ADMIN_KEY] {
        assert!(!screen.has_seen(secret), "{secret} was on the screen");
    }
    ended(screen);
    // It is there for everybody.
    assert!(world.fed(&["city", "list"]).ok().contains("city_notes"));
    assert_eq!(world.fed(&["env", "get", "MY_SECRET"]).out, "sk-typed-here-0123456abc\n");
    assert!(world.fed(&["redeem", "list"]).ok().contains("2.50"));
}

/// Types a text into the field of this name, wherever it stands in the form.
fn type_into(screen: &Screen, field: &str, text: &str) {
    let is_label =
        |line: &str| line.contains(&format!("* {field} ")) || line.contains(&format!("  {field} "));
    let shown = screen.text();
    let lines: Vec<&str> = shown.lines().collect();
    let first = lines.iter().position(|line| line.contains("POST ai/text ─")).unwrap() + 1;
    let at = lines.iter().position(|line| is_label(line)).unwrap();
    for _ in first..at {
        screen.key(TAB);
    }
    screen.type_text(text);
    screen.wait_for(text);
}

#[test]
fn it_follows_the_size_of_its_window() {
    let world = World::at_home(TempDir::new().unwrap());
    let screen = open(&world, 80, 24);
    go(&screen, "cities", "city_downcity");
    assert!(!screen.text().contains("│ CHANGED"), "{}", screen.text());
    screen.resize(160, 50);
    // A wide window has room for the whole record.
    screen.wait_for("│ CHANGED");
    screen.resize(50, 12);
    screen.wait_for("The window is too small");
    screen.resize(80, 24);
    screen.wait_for("city_downcity");
    ended(screen);
}

/// `fed admin` of a Federation at this address.
fn at(folder: &TempDir, address: &str) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_fed"));
    command
        .env_clear()
        .current_dir(folder.path())
        .args(["admin", "--url", address])
        .env("XDG_CONFIG_HOME", folder.path())
        .env("DOWNCITY_FEDERATION_ADMIN_SECRET_KEY", ADMIN_KEY);
    command
}

#[test]
fn a_server_that_never_answers_blocks_nothing() {
    let folder = TempDir::new().unwrap();
    // Connections are taken by the system, and nobody answers.
    let silent = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = format!("http://{}", silent.local_addr().unwrap());
    let screen = Screen::start(&at(&folder, &address), 80, 24);
    screen.wait_for("First steps");
    screen.key("?");
    screen.wait_for("Shift-Tab");
    close(&screen, "Shift-Tab");
    screen.key(ESC);
    screen.wait_for("Broken off.");
    go(&screen, "audit", "…");
    ended(screen);
}

#[test]
fn a_server_that_is_gone_is_told_and_found_again() {
    let mut world = World::at_home(TempDir::new().unwrap());
    let screen = open(&world, 80, 24);
    go(&screen, "cities", "city_downcity");
    world.stop();
    screen.key("r");
    screen.wait_for("is not reached");
    screen.wait_for("r tries again.");
    // Everything else goes on.
    go(&screen, "settings", "local");
    ended(screen);
}

#[test]
fn a_key_that_is_not_good_is_told_with_what_to_do() {
    let world = World::start();
    let folder = TempDir::new().unwrap();
    let mut command = at(&folder, &world.url);
    command.env("DOWNCITY_FEDERATION_ADMIN_SECRET_KEY", "some-other-key-0123456789");
    let screen = Screen::start(&command, 80, 24);
    screen.wait_for("● up");
    go(&screen, "audit", "fed login");
    ended(screen);
}

#[test]
fn a_signal_gives_the_terminal_back() {
    let world = World::at_home(TempDir::new().unwrap());
    for signal in [Signal::TERM, Signal::HUP, Signal::INT] {
        let mut screen = open(&world, 80, 24);
        screen.signal(signal);
        assert_eq!(screen.exit_code(), 0, "{signal:?}:\n{}", screen.text());
    }
}

#[test]
fn without_a_federation_it_says_how_to_begin() {
    let folder = TempDir::new().unwrap();
    let mut command = Command::new(env!("CARGO_BIN_EXE_fed"));
    command.env_clear().current_dir(folder.path()).env("XDG_CONFIG_HOME", folder.path());
    let mut screen = Screen::start(&command, 80, 24);
    assert_eq!(screen.exit_code(), 3, "{}", screen.text());
    assert!(screen.text().contains("fed serve"), "{}", screen.text());
}
