//! A conversation with a model.

use tempfile::TempDir;

use crate::screen::{ENTER, Screen};
use crate::world::World;

#[test]
fn a_conversation_goes_on_until_its_person_ends_it() {
    let world = World::at_home(TempDir::new().unwrap());
    let mut command = world.bare();
    command.arg("chat");
    let mut screen = Screen::start(&command, 80, 24);
    screen.wait_for("Talking as the user fed-chat of city_downcity.");
    screen.wait_for("/exit ends.");
    for said in ["Hello, Federation", "And again"] {
        screen.wait_until("a prompt", |screen| {
            let shown = screen.contents();
            shown.trim_end().ends_with('>')
        });
        screen.type_text(said);
        screen.key(ENTER);
        // Once as it was typed, once as the answer.
        screen.wait_until("an answer", |screen| screen.contents().matches(said).count() >= 2);
    }
    screen.wait_until("a prompt", |screen| screen.contents().trim_end().ends_with('>'));
    screen.type_text("/exit");
    screen.key(ENTER);
    assert_eq!(screen.exit_code(), 0, "{}", screen.text());
}

#[test]
fn what_is_not_answered_is_told_and_the_conversation_goes_on() {
    let world = World::at_home(TempDir::new().unwrap());
    let mut command = world.bare();
    command.args(["chat", "--model", "nothing-of-this-name"]);
    let mut screen = Screen::start(&command, 80, 24);
    screen.wait_for("> ");
    screen.type_text("Hello");
    screen.key(ENTER);
    screen.wait_for("nothing-of-this-name");
    screen.wait_until("a prompt", |screen| screen.contents().trim_end().ends_with('>'));
    screen.type_text("/quit");
    screen.key(ENTER);
    assert_eq!(screen.exit_code(), 0, "{}", screen.text());
}
