use insta::assert_snapshot;

use crate::world::{ADMIN_KEY, World};

#[test]
fn federations_are_added_chosen_and_forgotten() {
    let world = World::start();
    let run = |arguments: &[&str], input: &str| {
        let mut command = world.bare();
        command.args(arguments);
        world.run(command, input)
    };
    let nowhere = run(&["city", "list"], "");
    assert_snapshot!("none", nowhere.fails(3));
    let wrong = run(&["server", "add", "work", &world.url], "admin_of_nobody_0123456789").fails(4);
    assert!(wrong.contains("fed login"), "{wrong}");
    let added = run(&["server", "add", "work", &world.url], ADMIN_KEY);
    assert_eq!(added.code, 0, "{added:?}");
    run(&["city", "list"], "").ok();
    run(&["server", "add", "home", "https://home.example.com", "--unchecked"], "some-key").ok();
    assert_snapshot!("list", run(&["server", "list"], "").ok());
    // What stands in the environment belongs to an address that stands there, too.
    let mut command = world.bare();
    command.args(["city", "list"]).env("DOWNCITY_FEDERATION_ADMIN_SECRET_KEY", "another-s");
    world.run(command, "").ok();
    run(&["server", "use", "home", "--dry-run"], "").fails(2);
    run(&["server", "use", "home"], "").ok();
    run(&["city", "list", "--server", "work"], "").ok();
    run(&["server", "manage"], "").fails(2);
    run(&["server", "use", "away"], "").fails(3);
    run(&["city", "list", "--server", "away"], "").fails(3);
    run(&["server", "add", "no name", &world.url], "key").fails(2);
    run(&["server", "add", "bad", "nowhere"], "key").fails(2);
    run(&["server", "remove", "work"], "").fails(2);
    // Nobody is sent to another one that is left, unless it is the only one.
    run(&["server", "add", "third", "https://third.example.com", "--unchecked"], "key").ok();
    run(&["server", "use", "third"], "").ok();
    run(&["server", "remove", "third", "--yes"], "").ok();
    run(&["city", "list"], "").fails(3);
    run(&["server", "use", "home"], "").ok();
    run(&["server", "remove", "work", "--yes"], "").ok();
    let listed = run(&["server", "list", "--json"], "").value();
    assert_eq!(listed["items"].as_array().unwrap().len(), 1);
    assert!(!listed.to_string().contains("some-key"));
}

#[test]
fn a_key_is_tried_before_it_is_stored() {
    let world = World::start();
    let run = |arguments: &[&str], input: &str| {
        let mut command = world.bare();
        command.args(arguments).env("DOWNCITY_FEDERATION_URL", &world.url);
        world.run(command, input)
    };
    let refused = run(&["city", "list"], "").fails(4);
    assert!(refused.contains("No admin key is known"), "{refused}");
    run(&["login"], "admin_of_nobody_0123456789").fails(4);
    let file = world.folder.path().join("config/downcity/servers.toml");
    assert!(!file.exists());
    run(&["login"], ADMIN_KEY).ok();
    let text = std::fs::read_to_string(&file).unwrap();
    assert!(text.contains(ADMIN_KEY) && text.contains(&world.url), "{text}");
    #[cfg(unix)]
    {
        use std::os::unix::fs::PermissionsExt as _;
        assert_eq!(file.metadata().unwrap().permissions().mode() & 0o777, 0o600);
    }
    // The key that is stored for an address goes there, however the address is given.
    run(&["city", "list"], "").ok();
    run(&["city", "list", "--url", &format!("{}/", world.url)], "").ok();
    // The key of a Federation is never sent to another one, and its name not taken by another.
    let other = World::start();
    let mut login = world.bare();
    login.arg("login").env("DOWNCITY_FEDERATION_URL", &other.url);
    let taken = world.run(login, ADMIN_KEY).fails(5);
    assert!(taken.contains("fed server add"), "{taken}");
    let mut command = world.bare();
    command.args(["city", "list", "--url", &other.url]);
    world.run(command, "").fails(4);
    // What is advised for a stored server without a key is what helps there.
    std::fs::write(&file, format!("[servers.bare]\nurl = \"{}\"\n", world.url)).unwrap();
    let bare = run(&["city", "list", "--server", "bare"], "").fails(4);
    assert!(bare.contains("fed login") && !bare.contains("DOWNCITY_FEDERATION_ADMIN"), "{bare}");
    // A file that cannot be used stands in nobody's way who gives the key.
    std::fs::write(&file, "no TOML").unwrap();
    run(&["city", "list"], "").fails(4);
    world.fed(&["city", "list"]).ok();
}

#[test]
fn a_server_that_is_not_there_is_exit_code_6() {
    let world = World::start();
    let mut command = world.bare();
    command
        .args(["city", "list", "--url", "http://127.0.0.1:1"])
        .env("DOWNCITY_FEDERATION_ADMIN_SECRET_KEY", ADMIN_KEY);
    let gone = world.run(command, "").fails(6);
    assert!(gone.contains("is not reached"), "{gone}");
}
