//! A disk that is full, fails, or loses the database under a running server.

use std::path::Path;

use downcity_db::Engine;
use serde_json::{Value, json};

use crate::faults::{Disk, Fault};
use crate::http::{Client, Reply, Send};
use crate::node::{ADMIN_KEY, Node, Place};

/// A running node on SQLite and a connection to it.
struct Running {
    place: Place,
    node: Node,
    client: Client,
}

impl Running {
    fn start() -> Self {
        let place = Place::new(Engine::Sqlite);
        let mut node = place.spawn();
        let (address, _) = node.ready().expect("the node starts");
        Self { place, node, client: Client::new(&address) }
    }

    /// Kills the node and starts it again on what is left.
    fn restart(self) -> Self {
        self.node.kill();
        let mut node = self.place.spawn();
        let (address, _) = node.ready().expect("the node starts again");
        Self { place: self.place, node, client: Client::new(&address) }
    }

    fn disk(&self) -> &Disk {
        self.place.disk.as_ref().expect("SQLite has a disk of ours")
    }

    fn database(&self) -> std::path::PathBuf {
        self.place.folder().join(".base/downcity.sqlite")
    }

    /// Creates a city; the id is the key of the request as well.
    fn create(&mut self, id: &str) -> Reply {
        let body = json!({"city_id": id, "name": id});
        let send = Send { bearer: ADMIN_KEY, idempotency_key: Some(id), body: Some(&body) };
        self.client.call("/v1/cities/create", send).expect("an answer")
    }

    fn cities(&mut self) -> Vec<String> {
        let send = Send { bearer: ADMIN_KEY, ..Send::default() };
        let reply = self.client.call("/v1/cities/list", send).expect("an answer");
        assert_eq!(reply.status, 200, "{reply:?}");
        let items = reply.body["items"].as_array().expect("items");
        items.iter().map(|city| city["city_id"].as_str().expect("an id").to_owned()).collect()
    }

    fn expect_cities(&mut self, expected: &[&str]) {
        let mut all = vec!["city_downcity"];
        all.extend(expected);
        assert_eq!(self.cities(), all);
    }
}

fn expect(reply: &Reply, status: u16, code: &str) {
    assert_eq!((reply.status, &reply.body["code"]), (status, &Value::from(code)), "{reply:?}");
    let sentence = reply.body["error"].as_str().unwrap_or_default();
    assert!(sentence.contains("database"), "{sentence}");
    // Paths and causes are for the log.
    assert!(!sentence.contains("sqlite") && !sentence.contains('/'), "{sentence}");
}

/// Faults while the node runs: reads go on, changes are refused in clear words, and the first change
/// after the fault is made without a restart.
fn fails_and_recovers(fault: Fault, status: u16, codes: &[&str]) {
    let mut running = Running::start();
    assert_eq!(running.create("before").status, 200);
    running.disk().fail(fault);
    for (number, code) in codes.iter().enumerate() {
        expect(&running.create(&format!("during_{number}")), status, code);
    }
    running.expect_cities(&["before"]);
    running.disk().heal();
    // The same requests again, by the same keys: each has one effect.
    let during: Vec<String> = (0..codes.len()).map(|number| format!("during_{number}")).collect();
    for id in &during {
        assert_eq!(running.create(id).status, 200, "{id}");
    }
    let mut expected = vec!["before"];
    expected.extend(during.iter().map(String::as_str));
    running.expect_cities(&expected);
    let mut running = running.restart();
    running.expect_cities(&expected);
    assert!(!running.place.log().contains("panicked"), "{}", running.place.log());
}

#[test]
fn a_full_disk_is_told_and_recovers() {
    fails_and_recovers(Fault::Full, 507, &["storage_full", "storage_full"]);
}

#[test]
fn a_broken_disk_is_told_and_recovers() {
    fails_and_recovers(Fault::Broken, 503, &["commit_unknown", "commit_unknown"]);
}

/// The log may hold the change after a crash: nobody may be told that nothing happened.
#[test]
fn a_commit_that_is_not_durable_is_unknown() {
    fails_and_recovers(Fault::Unsynced, 503, &["commit_unknown", "commit_unknown"]);
}

/// The first change finds a file that is open for writing and fails; then the file opens read-only.
#[test]
fn a_read_only_disk_is_told_and_recovers() {
    fails_and_recovers(Fault::ReadOnly, 503, &["commit_unknown", "unavailable", "unavailable"]);
}

#[test]
fn a_start_on_a_failing_disk_says_what_to_do() {
    for (fault, code, words) in [
        (Fault::Full, 1, "Free some space"),
        (Fault::ReadOnly, 4, "may write to the file and its folder"),
    ] {
        // Before the first start, and with a database that is there already.
        let empty = Place::new(Engine::Sqlite);
        let used = Running::start();
        used.node.stop();
        for place in [empty, used.place] {
            place.disk.as_ref().expect("SQLite").fail(fault);
            assert_eq!(place.spawn().exit_code(), Some(code), "{fault:?}: {}", place.log());
            assert!(place.log().contains(words), "{fault:?}: {}", place.log());
            place.disk.as_ref().expect("SQLite").heal();
            assert!(place.spawn().ready().is_some(), "{fault:?}: {}", place.log());
        }
    }
}

/// A commit into a removed file would be gone with the process: it is not acknowledged.
#[test]
fn a_removed_database_is_noticed_before_anything_is_acknowledged() {
    let mut running = Running::start();
    assert_eq!(running.create("before").status, 200);
    let (database, away) = (running.database(), running.place.folder().join("away"));
    std::fs::rename(&database, &away).unwrap();
    expect(&running.create("lost"), 503, "commit_unknown");
    expect(&running.create("refused"), 503, "unavailable");
    assert!(running.place.log().contains("was removed or replaced while in use"));
    // Another database in its place is not taken for it.
    std::fs::copy(&away, &database).unwrap();
    expect(&running.create("refused"), 503, "unavailable");
    // Put back, it is used again.
    std::fs::rename(&away, &database).unwrap();
    assert_eq!(running.create("after").status, 200);
    let mut running = running.restart();
    let cities = running.cities();
    assert!(cities.contains(&"before".to_owned()) && cities.contains(&"after".to_owned()));
    assert!(!cities.contains(&"refused".to_owned()), "{cities:?}");
}

/// What was acknowledged is moved out of a log that only the process can see any more.
#[test]
fn a_removed_log_loses_nothing_that_was_acknowledged() {
    let mut running = Running::start();
    for number in 0..5 {
        assert_eq!(running.create(&format!("city_{number}")).status, 200);
    }
    let log = with_end(&running.database(), "-wal");
    std::fs::remove_file(&log).unwrap();
    expect(&running.create("unknown"), 503, "commit_unknown");
    expect(&running.create("refused"), 503, "unavailable");
    let mut running = running.restart();
    let cities = running.cities();
    for number in 0..5 {
        assert!(cities.contains(&format!("city_{number}")), "{cities:?}");
    }
    assert!(!cities.contains(&"refused".to_owned()), "{cities:?}");
}

fn with_end(path: &Path, end: &str) -> std::path::PathBuf {
    let mut path = path.as_os_str().to_owned();
    path.push(end);
    path.into()
}
