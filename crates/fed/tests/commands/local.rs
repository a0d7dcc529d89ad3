//! Commands that work on the database, beside a server.

use downcity_db::sql;
use insta::assert_snapshot;
use serde_json::Value;

use crate::verify::by_hand;
use crate::world::{ADMIN_KEY, World, steady};

#[test]
fn a_copy_is_tried_and_put_in_the_place_of_the_database() {
    let mut world = World::start();
    world.fed(&["balance", "add", "ann", "5"]).ok();
    let made = world.fed(&["backup", "create", "copy.sqlite"]);
    assert!(made.err.contains("The master key is not in it"), "{made:?}");
    assert_eq!(made.ok(), "copy.sqlite\n");
    world.fed(&["backup", "create", "copy.sqlite"]).fails(5);
    assert_snapshot!("verified", world.fed(&["backup", "verify", "copy.sqlite"]).ok());
    let report = world.fed(&["backup", "verify", "copy.sqlite", "--json"]).value();
    assert_eq!((&report["ok"], &report["opens"]), (&true.into(), &true.into()));
    world.fed(&["backup", "verify", "nowhere.sqlite"]).fails(3);

    world.fed(&["balance", "add", "ann", "7"]).ok();
    world.fed(&["backup", "restore", "copy.sqlite"]).fails(5);
    world.fed(&["backup", "restore", "copy.sqlite", "--replace"]).fails(2);
    let replace = ["backup", "restore", "copy.sqlite", "--replace", "--yes"];
    let busy = world.fed(&replace).fails(5);
    assert!(busy.contains("Stop the servers"), "{busy}");
    world.stop();
    let restored = world.fed(&[&replace[..], &["--json"]].concat()).value();
    let kept = world.folder.path().join(restored["kept"].as_str().unwrap());
    assert!(kept.is_file(), "{restored}");
    let wallets = |arguments: &[&str]| {
        let found = world.fed(&[&["ledger", "verify", "--json"], arguments].concat()).value();
        found["balance_microcredits"].clone()
    };
    assert_eq!(wallets(&["--database"]), "5000000");
    let before = format!("sqlite:{}", kept.display());
    assert_eq!(wallets(&["--database", &before]), "12000000");

    // A log that is left of a database that is gone would be played into the copy.
    let database = world.folder.path().join(".base/downcity.sqlite");
    std::fs::remove_file(&database).unwrap();
    let log = world.folder.path().join(".base/downcity.sqlite-wal");
    std::fs::write(&log, "what was not taken over").unwrap();
    let refused = world.fed(&replace);
    assert_ne!(refused.code, 0, "{refused:?}");
    assert!(refused.err.contains("downcity.sqlite-wal"), "{refused:?}");
    std::fs::remove_file(&log).unwrap();
    world.fed(&replace).ok();
    assert_eq!(wallets(&["--config", "federation.toml"]), "5000000");
    world.fed(&["vault", "rekey", "--dry-run"]).fails(2);

    // Another key does not open it, and what is no database is refused.
    let key = world.folder.path().join(".base/master.key");
    std::fs::write(&key, "a".repeat(64)).unwrap();
    let locked = world.fed(&["backup", "verify", "copy.sqlite"]).fails(1);
    assert!(locked.contains("sealed with another master key"), "{locked}");
    std::fs::remove_file(&key).unwrap();
    let untried = world.fed(&["backup", "verify", "copy.sqlite"]).ok();
    assert!(untried.contains("No master key is at hand"), "{untried}");
    std::fs::write(world.folder.path().join("noise.sqlite"), "no database at all").unwrap();
    assert_eq!(world.fed(&["backup", "verify", "noise.sqlite"]).code, 1);
}

#[test]
fn the_admin_key_is_replaced_while_the_server_runs() {
    let world = World::start();
    world.fed(&["key", "reset-admin"]).fails(2);
    let reset = world.fed(&["key", "reset-admin", "--yes"]);
    let key = reset.out.trim();
    assert!(reset.code == 0 && key.starts_with("admin_") && key.len() == 49, "{}", reset.err);
    let until = std::time::Instant::now() + std::time::Duration::from_secs(10);
    while world.fed(&["city", "list"]).code != 4 {
        assert!(std::time::Instant::now() < until, "the key before is still taken");
    }
    std::fs::write(world.folder.path().join("admin.key"), key).unwrap();
    world.fed(&["city", "list", "--admin-key-file", "admin.key"]).ok();
    let trail = world.fed(&["audit", "list", "--admin-key-file", "admin.key"]).ok();
    assert!(trail.contains("env/upsert"), "{trail}");
}

#[test]
fn flags_that_name_a_server_are_refused_where_none_is_asked() {
    let world = World::start();
    let url = world.url.as_str();
    for arguments in [
        &["key", "reset-admin", "--yes", "--server", "work"][..],
        &["key", "show-admin", "--url", url],
        &["vault", "rekey", "--url", url],
        &["ledger", "verify", "--database", "--url", url],
        &["audit", "verify", "--config", "federation.toml", "--server", "work"],
        &["backup", "verify", "copy.sqlite", "--admin-key-file", "admin.key"],
        &["config", "check", "--server", "work"],
        &["payment", "simulate", "--provider", "stripe", "--server", "work"],
        &["payment", "webhooks", "--url", url, "--admin-key-file", "admin.key"],
        &["server", "list", "--server", "work"],
    ] {
        let refused = world.fed(arguments).fails(2);
        assert!(refused.contains("nothing to it. Leave it out."), "{arguments:?}: {refused}");
    }
    let both = world.fed(&["key", "show-admin", "--url", url, "--admin-key-file", "admin.key"]);
    assert!(both.fails(2).contains("--url and --admin-key-file mean nothing"));
    // The key is the same: nothing was replaced.
    world.fed(&["city", "list"]).ok();
}

#[test]
fn the_doctor_says_what_is_wrong() {
    let world = World::start();
    let found = world.fed(&["doctor"]);
    let folder = world.folder.path().display().to_string();
    let text = steady(&found.out).replace(&folder, "(folder)");
    assert_snapshot!("doctor", text);
    assert_eq!(found.code, 0, "{found:?}");
    let typo = world.fed(&["doctor", "--json", "--server", "typo"]);
    assert_eq!(typo.code, 1, "{typo:?}");
    assert!(typo.out.contains("No server is called"), "{typo:?}");
    std::fs::write(world.folder.path().join("federation.toml"), "[serverr]\n").unwrap();
    let wrong = world.fed(&["doctor", "--json", "--url", "http://127.0.0.1:1"]);
    assert_eq!(wrong.code, 1, "{wrong:?}");
    let report: Value = serde_json::from_str(&wrong.out).unwrap();
    let failed: Vec<&Value> = report["items"]
        .as_array()
        .unwrap()
        .iter()
        .filter(|item| item["status"] == "failed")
        .map(|item| &item["check"])
        .collect();
    assert_eq!(
        (&report["ok"], failed),
        (&false.into(), vec![&"configuration".into(), &"server".into()])
    );
}

#[test]
fn the_doctor_changes_nothing_in_a_database_of_an_older_version() {
    let mut world = World::start();
    world.stop();
    by_hand(
        &world,
        [
            sql!("DELETE FROM schema_history_balance WHERE version = 3"),
            sql!("DELETE FROM schema_history_balance WHERE version = 2"),
        ],
    );
    // It says the same again: what was pending still is.
    for _ in 0..2 {
        let mut command = world.bare();
        command.args(["doctor", "--json"]);
        let report = world.run(command, "").value();
        let database = report["items"].as_array().unwrap().iter();
        let told = database.filter(|item| item["check"] == "database").collect::<Vec<_>>();
        assert_eq!(told.len(), 1, "{report}");
        assert_eq!(
            (&told[0]["status"], &told[0]["what"]),
            (&"warning".into(), &"2 migrations are pending; fed serve applies them".into())
        );
    }
}

#[test]
fn the_first_server_of_a_machine_is_where_commands_go() {
    let folder = tempfile::TempDir::new().unwrap();
    let world = World::at_home(folder);
    let file = world.folder.path().join("config/downcity/servers.toml");
    let text = std::fs::read_to_string(&file).unwrap();
    assert!(text.contains("[servers.local]") && text.contains(&world.url), "{text}");
    assert!(world.banner.contains("Commands   go here; the key is in"), "{}", world.banner);
    assert!(!world.banner.contains(ADMIN_KEY), "{}", world.banner);
    let mut command = world.bare();
    command.args(["city", "list"]);
    let listed = world.run(command, "").ok();
    assert!(listed.contains("city_downcity"), "{listed}");
}

#[test]
fn what_is_generated_covers_every_command() {
    let world = World::start();
    let reference = world.fed(&["commands"]).ok();
    for command in ["fed city create", "fed backup restore", "fed key reset-admin", "fed query"] {
        assert!(reference.contains(&format!("# {command}\n")), "{command}");
    }
    world.fed(&["man", "pages"]).ok();
    let page = std::fs::read_to_string(world.folder.path().join("pages/fed-city-create.1"));
    assert!(page.unwrap().contains("fed city create"));
    // Nothing of the environment of whoever makes them stands in them; `World` looks at what is printed.
    for page in std::fs::read_dir(world.folder.path().join("pages")).unwrap() {
        let text = std::fs::read_to_string(page.unwrap().path()).unwrap();
        assert!(!text.contains(ADMIN_KEY) && !text.contains(&world.url), "{text}");
    }
    for shell in ["bash", "zsh", "fish", "elvish", "powershell"] {
        let script = world.fed(&["completions", shell]).ok();
        assert!(script.contains("reset-admin"), "{shell}");
    }
}

#[test]
fn who_reads_no_further_is_not_told_of_it() {
    let world = World::start();
    let mut command = world.bare();
    command.args(["completions", "zsh"]);
    command.stdout(std::process::Stdio::piped()).stderr(std::process::Stdio::piped());
    let mut child = command.spawn().unwrap();
    // The pipe is closed before anything is read.
    drop(child.stdout.take());
    let output = child.wait_with_output().unwrap();
    assert_eq!((output.status.code(), output.stderr.as_slice()), (Some(0), &b""[..]));
}
