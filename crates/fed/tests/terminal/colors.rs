use crate::screen::Screen;
use crate::world::World;

/// What a table looks like in a terminal with this in its environment.
fn shown(world: &World, set: &[(&str, &str)]) -> String {
    let mut command = world.command(&["city", "list"]);
    command.envs(set.iter().copied());
    let mut screen = Screen::start(&command, 120, 24);
    assert_eq!(screen.exit_code(), 0, "{}", screen.text());
    assert!(screen.text().contains("active"), "{}", screen.text());
    String::from_utf8(screen.raw()).unwrap()
}

#[test]
fn tables_have_colors_where_they_are_wanted() {
    const COLOR: &str = "\x1b[";
    let world = World::start();
    world.fed(&["city", "create", "Notes"]).ok();
    assert!(shown(&world, &[]).contains(COLOR));
    for set in [("NO_COLOR", "1"), ("CLICOLOR", "0"), ("TERM", "dumb")] {
        let text = shown(&world, &[set]);
        assert!(!text.contains(COLOR), "{set:?}: {text:?}");
    }
    let piped = |set: &[(&str, &str)]| {
        let mut command = world.command(&["city", "list"]);
        command.envs(set.iter().copied());
        world.run(command, "").out
    };
    assert!(!piped(&[("TERM", "xterm-256color")]).contains(COLOR));
    assert!(piped(&[("CLICOLOR_FORCE", "1")]).contains(COLOR));
    assert!(!piped(&[("CLICOLOR_FORCE", "1"), ("NO_COLOR", "1")]).contains(COLOR));
}
