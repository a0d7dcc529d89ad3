use crate::screen::{CTRL_C, DOWN, ENTER, ESC, Screen};
use crate::world::World;

/// A person who knows two Federations, of which commands go to `work`.
fn person() -> World {
    let world = World::start();
    for name in ["work", "home"] {
        let url = format!("https://{name}.example.com");
        fed(&world, &["server", "add", name, &url, "--unchecked"]);
    }
    fed(&world, &["server", "use", "work"]);
    world
}

fn fed(world: &World, arguments: &[&str]) -> String {
    let mut command = world.bare();
    command.args(arguments);
    world.run(command, "some-admin-key").ok()
}

fn manage(world: &World) -> Screen {
    let mut command = world.bare();
    command.args(["server", "manage"]);
    let screen = Screen::start(&command, 80, 24);
    screen.wait_for("Which Federation?");
    screen
}

/// Goes so far down in a list that has this choice there, and takes it.
fn take(screen: &Screen, down: usize, choice: &str) {
    screen.wait_for(choice);
    for _ in 0..down {
        screen.key(DOWN);
    }
    screen.wait_for(&format!("> {choice}"));
    screen.key(ENTER);
}

#[test]
fn one_is_chosen_from_the_list_and_used_or_forgotten() {
    let world = person();
    let mut screen = manage(&world);
    take(&screen, 1, "home");
    screen.wait_for("What about it?");
    take(&screen, 0, "let commands go there");
    assert_eq!(screen.exit_code(), 0, "{}", screen.text());
    assert!(screen.text().contains("Commands go to home."), "{}", screen.text());
    assert!(fed(&world, &["server", "list"]).contains("*  home"));

    let mut screen = manage(&world);
    take(&screen, 0, "work");
    screen.wait_for("What about it?");
    take(&screen, 2, "forget it here");
    screen.wait_for("Forget work and its admin key?");
    screen.key("y");
    screen.key(ENTER);
    assert_eq!(screen.exit_code(), 0, "{}", screen.text());
    let listed = fed(&world, &["server", "list"]);
    assert!(listed.contains("home") && !listed.contains("work"), "{listed}");
}

#[test]
fn leaving_the_list_changes_nothing() {
    let world = person();
    let before = fed(&world, &["server", "list"]);
    for key in [ESC, CTRL_C] {
        let mut screen = manage(&world);
        screen.key(key);
        assert_eq!(screen.exit_code(), 1, "{}", screen.text());
        assert!(screen.text().contains("Nothing was changed."), "{}", screen.text());
    }
    let mut screen = manage(&world);
    take(&screen, 0, "work");
    screen.wait_for("What about it?");
    screen.key(ESC);
    assert_eq!(screen.exit_code(), 1, "{}", screen.text());
    assert_eq!(fed(&world, &["server", "list"]), before);
}
