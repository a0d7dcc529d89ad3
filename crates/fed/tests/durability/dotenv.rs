//! Env values in a `.env` file: processes that are killed while they write it, and two that write it
//! at the same time.

use std::collections::BTreeMap;
use std::fs;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{Sender, channel};
use std::time::Duration;

use downcity_db::Engine;
use serde_json::json;

use crate::http::{Client, Send};
use crate::node::{ADMIN_KEY, Node, Place};
use crate::random::{Random, is_long_run};

const ROUNDS: u64 = 20;
const LONG_RUN: u64 = 200;
const WRITERS: usize = 3;
/// A node is killed after at most this many answers.
const MOST_ANSWERS: u64 = 25;
/// So long that half of a file would show.
const PADDING: usize = 8_000;
/// What people wrote before the first start.
const HEAD: &str = "# written by hand\r\n\r\nexport SHOP = 'a shop' # stays\r\n";

/// What a writer knows of its key.
#[derive(Default)]
struct Known {
    stored: Option<String>,
    /// Sent, and not answered.
    pending: Option<String>,
}

#[test]
fn a_killed_process_leaves_the_old_file_or_the_new_one() {
    let seed = Random::seed();
    println!("DOWNCITY_TEST_SEED={seed}");
    let mut random = Random::new(seed);
    let place = Place::new(Engine::Sqlite);
    let path = place.folder().join("values.env");
    fs::write(&path, HEAD).unwrap();
    let mut known: Vec<Known> = (0..WRITERS).map(|_| Known::default()).collect();
    for round in 0..if is_long_run() { LONG_RUN } else { ROUNDS } {
        let (node, address) = start(&place);
        check(&fs::read_to_string(&path).unwrap(), &address, &mut known);
        let dying = AtomicBool::new(false);
        let (answers, counted) = channel();
        std::thread::scope(|scope| {
            for (number, known) in known.iter_mut().enumerate() {
                let (address, answers, dying) = (&address, answers.clone(), &dying);
                std::thread::Builder::new()
                    .spawn_scoped(scope, move || {
                        write(number, round, known, address, &answers, dying)
                    })
                    .unwrap();
            }
            drop(answers);
            for _ in 0..random.below(MOST_ANSWERS) {
                counted.recv_timeout(Duration::from_secs(30)).expect("the node answers");
            }
            // Not always right after an answer.
            std::thread::sleep(Duration::from_micros(random.below(8_000)));
            dying.store(true, Ordering::SeqCst);
            node.kill();
        });
    }
    let (_node, address) = start(&place);
    check(&fs::read_to_string(&path).unwrap(), &address, &mut known);
    assert!(known.iter().all(|known| known.stored.is_some()));
    place.verify_audit(None);
    let log = place.log();
    assert!(!log.contains("panicked"), "{log}");
}

#[test]
fn two_processes_lose_nothing() {
    let place = Place::new(Engine::Sqlite);
    let path = place.folder().join("values.env");
    fs::write(&path, HEAD).unwrap();
    let nodes = [start(&place), start(&place)];
    std::thread::scope(|scope| {
        for number in 0..50 {
            let (_, address) = &nodes[number % 2];
            let store = move || {
                let value = format!("value_{number}");
                let reply = upsert(&mut Client::new(address), &format!("KEY_{number}"), &value);
                assert_eq!(reply, Some(200));
            };
            std::thread::Builder::new().spawn_scoped(scope, store).unwrap();
        }
    });
    let text = fs::read_to_string(&path).unwrap();
    assert!(text.starts_with(HEAD), "{text}");
    for number in 0..50 {
        assert!(text.contains(&format!("\r\nKEY_{number}=value_{number}\r\n")), "{text}");
    }
    for (node, _) in nodes {
        node.stop();
    }
}

fn start(place: &Place) -> (Node, String) {
    let mut node = place.spawn_with(&[("DOWNCITY_FEDERATION__ENV__STORE", "dotenv:values.env")]);
    let (address, _) = node.ready().expect("the node starts");
    (node, address)
}

fn upsert(client: &mut Client, key: &str, value: &str) -> Option<u16> {
    let body = json!({"key": key, "value": value});
    let send = Send { bearer: ADMIN_KEY, body: Some(&body), ..Send::default() };
    client.call("/v1/env/upsert", send).map(|reply| reply.status)
}

/// Stores one value after the other until the node is gone.
fn write(
    number: usize,
    round: u64,
    known: &mut Known,
    address: &str,
    answers: &Sender<()>,
    dying: &AtomicBool,
) {
    let mut client = Client::new(address);
    for step in 0.. {
        let value = format!("{round}_{step}_{}_end", "x".repeat(PADDING));
        known.pending = Some(value.clone());
        match upsert(&mut client, &format!("KEY_{number}"), &value) {
            Some(200) => {
                known.stored = known.pending.take();
                let _ = answers.send(());
            }
            answer => {
                assert!(dying.load(Ordering::SeqCst), "{answer:?}");
                return;
            }
        }
    }
}

/// The file is whole, says what was answered or what was about to be, and is what the node shows.
fn check(text: &str, address: &str, known: &mut [Known]) {
    let rest = text.strip_prefix(HEAD).expect("what people wrote is there");
    let mut values = BTreeMap::new();
    for line in rest.split_inclusive('\n') {
        let line = line.strip_suffix("\r\n").expect("every line is whole");
        let (key, value) = line.split_once('=').expect("every line is an assignment");
        assert!(values.insert(key, value).is_none(), "{key} is there once");
    }
    let send = Send { bearer: ADMIN_KEY, ..Send::default() };
    let list = Client::new(address).call("/v1/env/list", send).expect("the list").body;
    for (number, known) in known.iter_mut().enumerate() {
        let key = format!("KEY_{number}");
        let found = values.get(key.as_str()).map(|value| (*value).to_owned());
        let pending = known.pending.take();
        assert!(
            found == known.stored || (found.is_some() && found == pending),
            "{key} is neither what was stored nor what was being stored"
        );
        let shown = list["items"].as_array().unwrap().iter().find(|entry| entry["key"] == key);
        assert_eq!(shown.and_then(|entry| entry["value"].as_str()), found.as_deref());
        known.stored = found;
    }
}
