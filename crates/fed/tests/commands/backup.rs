//! Copies over the network, and copies that break off.

use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::TcpListener;
use std::process::{Command, Stdio};

use downcity_db::testing::{TestDatabase, names_in};
use downcity_db::{DbOptions, DbUrl, Engine};
use downcity_server::{CopyWatch, Federation};
use rustix::process::{Pid, Signal};

use crate::world::{ADMIN_KEY, World};

#[test]
fn a_copy_comes_from_the_server_and_is_its_owner_s_alone() {
    let world = World::start();
    let made = world.fed(&["backup", "create", "copy.sqlite"]);
    assert_eq!((made.code, &*made.out), (0, "copy.sqlite\n"), "{made:?}");
    let copy = world.folder.path().join("copy.sqlite");
    let size = copy.metadata().unwrap().len();
    let said =
        format!("{size} bytes\nThe master key is not in it: keep that too, and elsewhere.\n");
    assert_eq!(made.err, said);
    #[cfg(unix)]
    {
        use std::os::unix::fs::PermissionsExt as _;
        assert_eq!(copy.metadata().unwrap().permissions().mode() & 0o777, 0o600);
    }
    let before = std::fs::read(&copy).unwrap();
    world.fed(&["backup", "create", "copy.sqlite"]).fails(5);
    assert_eq!(std::fs::read(&copy).unwrap(), before, "it is left as it is");
    world.fed(&["backup", "create", "no/such/folder/copy.sqlite"]).fails(4);
    let report = world.fed(&["backup", "create", "other.sqlite", "--json"]).value();
    assert_eq!(report["path"], "other.sqlite");
    let trail = world.fed(&["audit", "list", "--json"]).value();
    assert!(trail.to_string().contains("backup/create"), "{trail}");
    // Opened by the command itself, the server does not know of it.
    world.fed(&["backup", "create", "third.sqlite", "--database"]).ok();
    let url = format!("sqlite:{}", world.folder.path().join(".base/downcity.sqlite").display());
    world.fed(&["backup", "create", "fourth.sqlite", "--database", &url]).ok();
    world.fed(&["backup", "create", "fifth.sqlite", "--config", "federation.toml"]).ok();
    for copy in ["other", "third", "fourth", "fifth"] {
        world.fed(&["backup", "verify", &format!("{copy}.sqlite")]).ok();
    }
    assert!(names_in(world.folder.path()).unwrap().iter().all(|name| !name.ends_with(".part")));
}

#[test]
fn what_breaks_off_leaves_no_file() {
    let world = World::start();
    let before = names_in(world.folder.path()).unwrap();
    let answers: [&[u8]; 4] = [
        b"HTTP/1.1 200 OK\r\ncontent-length: 5000\r\n\r\nSQLite format 3\0 and no more",
        b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n5\r\nSQLit",
        b"HTTP/1.1 200 OK\r\ncontent-length: 25\r\n\r\n<html>a captive portal...",
        b"HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n",
    ];
    for answer in answers {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let server = std::thread::Builder::new().spawn(move || {
            let (mut client, _) = listener.accept().unwrap();
            let mut head = [0; 4096];
            let _ = client.read(&mut head).unwrap();
            client.write_all(answer).unwrap();
        });
        let broken = world.fed(&["backup", "create", "copy.sqlite", "--url", &url]);
        server.unwrap().join().unwrap();
        assert!(broken.code != 0 && broken.out.is_empty(), "{broken:?}");
        assert_eq!(names_in(world.folder.path()).unwrap(), before);
    }
    world.fed(&["backup", "create", "copy.sqlite", "--url", "http://127.0.0.1:1"]).fails(6);
    assert_eq!(names_in(world.folder.path()).unwrap(), before);
    interrupted(&world);
    assert_eq!(names_in(world.folder.path()).unwrap(), before);
    interrupted_twice(&world);
}

/// Interrupts a command that waits for a database that does not answer, and does not wait with it.
fn interrupted_twice(world: &World) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("postgres://nobody@{}/none", listener.local_addr().unwrap());
    let mut command = world.bare();
    command
        .args(["backup", "create", "copy.sqlite", "--database", &url])
        .stdout(Stdio::null())
        .stderr(Stdio::piped());
    let mut child = command.spawn().unwrap();
    let _connection = listener.accept().unwrap();
    let pid = Pid::from_child(&child);
    rustix::process::kill_process(pid, Signal::INT).unwrap();
    let mut lines = BufReader::new(child.stderr.take().unwrap()).lines().map_while(Result::ok);
    assert!(lines.by_ref().any(|line| line.starts_with("Stopping.")));
    // The command may not listen again at once.
    while child.try_wait().unwrap().is_none() {
        let _ = rustix::process::kill_process(pid, Signal::INT);
        std::thread::yield_now();
    }
    assert!(lines.any(|line| line.contains("Interrupted twice")));
    assert_eq!(child.wait().unwrap().code(), Some(1));
}

#[test]
fn a_restore_is_stopped_by_who_watches_it() {
    let mut world = World::start();
    world.fed(&["backup", "create", "copy.sqlite"]).ok();
    world.stop();
    let place = world.folder.path().join(".base/downcity.sqlite");
    let before = std::fs::read(&place).unwrap();
    let watch = CopyWatch::default();
    watch.stop().stop();
    let builder = Federation::builder().database(DbOptions::new(DbUrl::sqlite(&place)));
    let copy = world.folder.path().join("copy.sqlite");
    let runtime = tokio::runtime::Runtime::new().unwrap();
    runtime.block_on(builder.restore(&copy, true, watch)).unwrap_err();
    assert!(std::fs::read(&place).unwrap() == before, "it is as it was");

    // Its trial, too.
    let watch = CopyWatch::default();
    watch.stop().stop();
    let builder = Federation::builder().database(DbOptions::new(DbUrl::sqlite(&place)));
    let stopped = runtime.block_on(builder.verify_backup(&copy, watch)).unwrap_err();
    assert!(stopped.to_string().contains("was not checked"), "{stopped}");
}

#[test]
fn a_trial_that_is_interrupted_leaves_no_copy() {
    let world = World::start();
    world.fed(&["backup", "create", "copy.sqlite"]).ok();
    let copy = world.folder.path().join("copy.sqlite");
    // Enough rows to be at it for a while.
    downcity_db::testing::run_on(&copy, MANY).unwrap();
    let scratch = world.folder.path().join("scratch");
    std::fs::create_dir(&scratch).unwrap();
    let mut command = world.command(&["backup", "verify", "copy.sqlite"]);
    command.env("TMPDIR", &scratch).stdout(Stdio::null()).stderr(Stdio::null());
    let mut child = command.spawn().unwrap();
    let mut has_ended = false;
    while names_in(&scratch).unwrap().is_empty() && !has_ended {
        has_ended = child.try_wait().unwrap().is_some();
    }
    if !has_ended {
        rustix::process::kill_process(Pid::from_child(&child), Signal::INT).unwrap();
    }
    child.wait().unwrap();
    assert_eq!(names_in(&scratch).unwrap(), [] as [String; 0]);
}

#[test]
fn what_keeps_a_federation_from_starting_on_a_copy_is_named() {
    let world = World::start();
    world.fed(&["backup", "create", "copy.sqlite"]).ok();
    let required = "[accounts]\nemail_verification = \"required\"\n";
    std::fs::write(world.folder.path().join("required.toml"), required).unwrap();
    let verify = ["backup", "verify", "copy.sqlite"];
    let refused = world.fed(&[&verify[..], &["--config", "required.toml"]].concat()).fails(1);
    assert!(refused.contains("set up mail"), "{refused}");
    assert!(!refused.contains("another master key"), "{refused}");

    // No server answers there, and none is asked.
    let far = ["--database", "postgres://nobody@127.0.0.1:1/none"];
    let untried = world.fed(&[&verify[..], &far].concat()).ok();
    assert!(untried.contains("No master key is at hand"), "{untried}");
    let mut command = world.command(&[&verify[..], &far].concat());
    command.env("DOWNCITY_FEDERATION_MASTER_KEY", "short");
    let refused = world.run(command, "").fails(4);
    assert!(refused.contains("too short"), "{refused}");
    let create = |path: &str| world.fed(&[&["backup", "create", path][..], &far].concat());
    create("far.sqlite").fails(6);
    create("no/such/folder/far.sqlite").fails(4);
}

/// What the balance service has made with its second and third step.
const OLDER: &str = "
    DROP TABLE balance_topups; DROP TABLE balance_redeem_codes; DROP TABLE balance_redemptions;
    DROP TABLE balance_redeem_failures; DROP INDEX balance_holds_by_city;
    DROP INDEX balance_holds_by_ref; DELETE FROM schema_history_balance WHERE version > 1;";
const NEWER: &str = "UPDATE schema_history_balance SET version = 999 WHERE version = 1";

#[test]
fn copies_of_older_programs_are_good_and_those_of_newer_ones_are_left_to_them() {
    let mut world = World::start();
    world.fed(&["balance", "add", "ann", "5"]).ok();
    world.fed(&["backup", "create", "copy.sqlite"]).ok();
    let copy = world.folder.path().join("copy.sqlite");
    downcity_db::testing::run_on(&copy, OLDER).unwrap();
    world.fed(&["backup", "verify", "copy.sqlite"]).ok();
    world.stop();
    world.fed(&["backup", "restore", "copy.sqlite", "--replace", "--yes"]).ok();
    downcity_db::testing::run_on(&copy, NEWER).unwrap();
    let refused = world.fed(&["backup", "verify", "copy.sqlite"]).fails(5);
    assert!(refused.contains("start the newer binary"), "{refused}");
}

#[test]
fn a_damaged_database_is_replaced_once_nobody_has_it_open() {
    let mut world = World::start();
    world.fed(&["backup", "create", "copy.sqlite"]).ok();
    let place = world.folder.path().join(".base/downcity.sqlite");
    let damage = || {
        let mut file = std::fs::File::options().write(true).open(&place).unwrap();
        file.write_all(&[0xa5; 200]).unwrap();
    };
    damage();
    let replace = ["backup", "restore", "copy.sqlite", "--replace", "--yes", "--json"];
    let busy = world.fed(&replace).fails(5);
    assert!(busy.contains("Stop the servers"), "{busy}");
    world.stop();
    damage();
    let damaged = std::fs::read(&place).unwrap();
    let restored = world.fed(&replace).value();
    let kept = world.folder.path().join(restored["kept"].as_str().unwrap());
    assert!(std::fs::read(kept).unwrap() == damaged, "it is kept as it was");
    world.fed(&["ledger", "verify", "--database"]).ok();
}

#[test]
fn values_outside_the_database_are_named() {
    let world = World::start();
    let config = "[env]\nstore = \"dotenv:kept/.env\"\n";
    std::fs::write(world.folder.path().join("file.toml"), config).unwrap();
    let note = "Nor are the env values in it: keep kept/.env too.";
    let made = world.fed(&["backup", "create", "copy.sqlite", "--config", "file.toml"]);
    assert!(made.code == 0 && made.err.contains(note), "{made:?}");
    let tried = world.fed(&["backup", "verify", "copy.sqlite", "--config", "file.toml"]);
    assert!(tried.code == 0 && tried.err.contains(note), "{tried:?}");
}

/// Interrupts a command while it waits for the rest of a copy.
fn interrupted(world: &World) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let mut command = world.bare();
    command
        .args(["backup", "create", "copy.sqlite"])
        .env("DOWNCITY_FEDERATION_URL", format!("http://{}", listener.local_addr().unwrap()))
        .env("DOWNCITY_FEDERATION_ADMIN_SECRET_KEY", ADMIN_KEY)
        .stdout(Stdio::null())
        .stderr(Stdio::null());
    let mut child = command.spawn().unwrap();
    let (mut client, _) = listener.accept().unwrap();
    let _ = client.read(&mut [0; 4096]).unwrap();
    client.write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 50\r\n\r\nSQLite format 3\0").unwrap();
    let is_draft = |name: &String| name.ends_with(".part");
    assert!(names_in(world.folder.path()).unwrap().iter().any(is_draft));
    rustix::process::kill_process(Pid::from_child(&child), Signal::INT).unwrap();
    assert_eq!(child.wait().unwrap().code(), Some(1));
}

/// Rows for several pieces of each kind of progress.
const MANY: &str = "
    WITH RECURSIVE numbers (n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM numbers WHERE n < 25000)
    INSERT INTO usage_of_users (user_id, city_id, id) SELECT 'u', 'c', n FROM numbers;
    WITH RECURSIVE numbers (n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM numbers WHERE n < 25000)
    INSERT INTO accounts_addresses (user_id, address, used_at) SELECT 'u', n, n FROM numbers;";

#[test]
fn a_restore_that_is_killed_has_changed_nothing() {
    let mut world = World::start();
    world.fed(&["balance", "add", "ann", "5"]).ok();
    world.stop();
    let place = world.folder.path().join(".base/downcity.sqlite");
    downcity_db::testing::run_on(&place, MANY).unwrap();
    let server = TestDatabase::new(Engine::Postgres).unwrap_or_else(|why| panic!("{why}"));
    let url = server.connection_string();
    world.fed(&["backup", "create", "copy.sqlite", "--database"]).ok();
    // Killed at each word in turn, until there are no more.
    let mut words = 0;
    loop {
        let mut command: Command = world.bare();
        command
            .args(["backup", "restore", "copy.sqlite", "--database", &url])
            .stdout(Stdio::null())
            .stderr(Stdio::piped());
        let mut child = command.spawn().unwrap();
        let mut lines = BufReader::new(child.stderr.take().unwrap()).lines().map_while(Result::ok);
        let told = lines.by_ref().filter(|line| line.starts_with("table ")).nth(words);
        if told.is_none() {
            assert!(child.wait().unwrap().success(), "nothing was in its way");
            break;
        }
        child.kill().unwrap();
        child.wait().unwrap();
        words += 1;
        // The last word may have come a moment before all of it was there.
        let dump = server.dump().unwrap();
        if !dump.is_empty() {
            let whole = TestDatabase::new(Engine::Postgres).unwrap_or_else(|why| panic!("{why}"));
            let to = whole.connection_string();
            world.fed(&["backup", "restore", "copy.sqlite", "--database", &to]).ok();
            assert!(dump == whole.dump().unwrap(), "a part of it is there");
            break;
        }
    }
    assert!(words >= 5, "{words}");
    let found = world.fed(&["ledger", "verify", "--json", "--database", &url]).value();
    assert_eq!(found["balance_microcredits"], "5000000");
    world.fed(&["audit", "verify", "--database", &url]).ok();

    let again = ["backup", "restore", "copy.sqlite", "--database", &url];
    let refused = world.fed(&again).fails(5);
    assert!(refused.contains("--replace"), "{refused}");
    let replaced = world.fed(&[&again[..], &["--replace", "--yes", "--json"]].concat()).value();
    assert!(replaced["path"].is_null() && replaced["database"].is_string(), "{replaced}");
    let back = ["backup", "create", "back.sqlite", "--database", &url];
    world.fed(&back).ok();
    let report = world.fed(&["backup", "verify", "back.sqlite", "--json"]).value();
    assert_eq!((&report["ok"], &report["from"]), (&true.into(), &"postgres".into()));
}
