use crate::screen::{CTRL_C, ENTER, ESC, Screen};
use crate::world::{ADMIN_KEY, World};

const SECRET: &str = "sk-typed-in-a-terminal-0123456789";

fn run(world: &World, arguments: &[&str]) -> Screen {
    Screen::start(&world.command(arguments), 80, 24)
}

#[test]
fn a_typed_value_is_stored_and_never_shown() {
    let world = World::start();
    let mut screen = run(&world, &["env", "set", "DEEPSEEK_API_KEY"]);
    screen.wait_for("DEEPSEEK_API_KEY:");
    screen.type_text(SECRET);
    // Something shows that the keys arrive.
    screen.wait_for("***");
    screen.key(ENTER);
    assert_eq!(screen.exit_code(), 0, "{}", screen.text());
    assert!(screen.text().contains("DEEPSEEK_API_KEY is stored and applies."));
    assert!(!screen.has_seen(SECRET), "{}", screen.text());
    let stored = world.fed(&["env", "get", "DEEPSEEK_API_KEY"]);
    assert_eq!(stored.out, format!("{SECRET}\n"));
}

#[test]
fn a_typed_admin_key_is_tried_and_stored() {
    let world = World::start();
    let login = |key: &str| {
        let mut command = world.bare();
        command.args(["login", "--url", &world.url]);
        let mut screen = Screen::start(&command, 80, 24);
        screen.wait_for(&format!("Admin key of {}:", world.url));
        screen.type_text(key);
        screen.key(ENTER);
        let code = screen.exit_code();
        assert!(!screen.has_seen(key), "{}", screen.text());
        code
    };
    let stored = world.folder.path().join("config/downcity/servers.toml");
    assert_eq!(login("admin_of_nobody_0123456789"), 4);
    assert!(!stored.exists());
    assert_eq!(login(ADMIN_KEY), 0);
    assert!(std::fs::read_to_string(stored).unwrap().contains(ADMIN_KEY));
}

#[test]
fn a_city_goes_when_its_name_is_typed() {
    let world = World::start();
    world.fed(&["city", "create", "Notes", "--id", "city_notes"]).ok();
    let answer = |typed: &str| {
        let mut screen = run(&world, &["city", "remove", "city_notes"]);
        screen.wait_for("Type city_notes to confirm:");
        screen.type_text(typed);
        screen.key(ENTER);
        (screen.exit_code(), screen.text())
    };
    for wrong in ["y", "city_note", "", "CITY_NOTES"] {
        let (code, text) = answer(wrong);
        assert_eq!(code, 1, "{text}");
        assert!(text.contains("Nothing was changed."), "{text}");
    }
    assert!(world.fed(&["city", "list"]).ok().contains("city_notes"));
    let (code, text) = answer("city_notes");
    assert_eq!(code, 0, "{text}");
    assert!(text.contains("The city city_notes is removed."), "{text}");
    assert!(!world.fed(&["city", "list"]).ok().contains("city_notes"));
}

#[test]
fn yes_does_it_and_everything_else_leaves_it() {
    let world = World::start();
    world.fed(&["city", "create", "Notes", "--id", "city_notes"]).ok();
    let answer = |keys: &[&str]| {
        let mut screen = run(&world, &["city", "pause", "city_notes"]);
        screen.wait_for("Pause the city city_notes: its users are refused?");
        for key in keys {
            screen.key(key);
        }
        (screen.exit_code(), screen.text())
    };
    for no in [&["n", ENTER][..], &[ENTER], &[ESC], &[CTRL_C]] {
        let (code, text) = answer(no);
        assert_eq!(code, 1, "{no:?}: {text}");
        assert!(text.contains("Nothing was changed."), "{no:?}: {text}");
    }
    assert!(!world.fed(&["city", "list"]).ok().contains("paused"));
    let (code, text) = answer(&["y", ENTER]);
    assert_eq!(code, 0, "{text}");
    assert!(world.fed(&["city", "list"]).ok().contains("paused"));
}

#[test]
fn control_c_at_a_secret_ends_the_command_and_leaves_no_trace() {
    let world = World::start();
    let mut screen = run(&world, &["env", "set", "DEEPSEEK_API_KEY"]);
    screen.wait_for("DEEPSEEK_API_KEY:");
    screen.type_text("sk-half");
    screen.wait_for("***");
    screen.key(CTRL_C);
    assert_eq!(screen.exit_code(), 1);
    assert!(screen.text().contains("Nothing was changed."), "{}", screen.text());
    assert!(!screen.has_seen("sk-half"));
    world.fed(&["env", "get", "DEEPSEEK_API_KEY"]).fails(3);
}
