//! A connection to PostgreSQL that breaks at any byte: nobody is told what is not so, and the same
//! request again, by the same key, has one effect.

use std::time::{Duration, Instant};

use downcity_db::Engine;
use serde_json::json;

use crate::http::{Client, Reply, Send};
use crate::node::{ADMIN_KEY, Node, Place};
use crate::proxy::{Cut, Proxy};
use crate::random::{Random, is_long_run};

/// A database that answers again is used again within this time.
const LONGEST_RECOVERY: Duration = Duration::from_secs(5);

struct Running {
    proxy: Proxy,
    client: Client,
    place: Place,
    _node: Node,
}

impl Running {
    fn start() -> Self {
        let mut place = Place::new(Engine::Postgres);
        let direct = place.database_url().expect("PostgreSQL");
        let proxy = Proxy::to(&direct);
        place.through(proxy.url(&direct));
        let mut node = place.spawn();
        let (address, _) = node.ready().expect("the node starts");
        Self { proxy, client: Client::new(&address), place, _node: node }
    }

    /// Creates a city whose id the server makes; its name is the key of the request.
    fn create(&mut self, key: &str) -> Reply {
        let body = json!({ "name": key });
        let send = Send { bearer: ADMIN_KEY, idempotency_key: Some(key), body: Some(&body) };
        self.client.call("/v1/cities/create", send).expect("an answer")
    }

    /// Calls until the node has its database again: after a connection that failed it refuses for a
    /// moment before it tries the next.
    fn back(&mut self, mut call: impl FnMut(&mut Self) -> Reply) -> Reply {
        let started = Instant::now();
        loop {
            let reply = call(self);
            if reply.status == 200 {
                return reply;
            }
            // Unknown also where the change is stored and the node could not load it yet.
            let known = ["unavailable", "commit_unknown"];
            assert!(reply.status == 503 && known.contains(&&*reply.text("code")), "{reply:?}");
            assert!(started.elapsed() < LONGEST_RECOVERY, "{reply:?}");
            std::thread::sleep(Duration::from_millis(5));
        }
    }

    /// The ids of the cities of this name.
    fn stored(&mut self, name: &str) -> Vec<String> {
        let send = Send { bearer: ADMIN_KEY, ..Send::default() };
        let reply = self.back(|this| this.client.call("/v1/cities/list", send).expect("an answer"));
        let items = reply.body["items"].as_array().expect("items").iter();
        items
            .filter(|city| city["name"] == name)
            .map(|city| city["city_id"].as_str().expect("an id").to_owned())
            .collect()
    }

    /// The request again, on a connection that holds: one effect, whatever came before.
    fn once(&mut self, key: &str, first: &Reply) {
        self.proxy.cut(Cut::Nowhere);
        let again = self.back(|this| this.create(key));
        let id = again.text("city_id");
        assert_eq!(self.stored(key), [id.as_str()], "{key}: {first:?}");
        if first.status == 200 {
            assert_eq!(first.text("city_id"), id, "{key}");
        }
    }
}

#[test]
fn a_commit_without_an_answer_is_unknown_and_its_repetition_has_one_effect() {
    let mut running = Running::start();
    for (number, cut) in [Cut::AfterCommit, Cut::BeforeCommit].iter().cycle().take(6).enumerate() {
        let key = format!("{number} {cut:?}");
        running.proxy.mark(&key);
        running.proxy.cut(*cut);
        let reply = running.create(&key);
        assert!(running.proxy.has_cut());
        assert_eq!((reply.status, reply.text("code").as_str()), (503, "commit_unknown"), "{cut:?}");
        assert!(reply.text("error").contains("Idempotency-Key"), "{reply:?}");
        if *cut == Cut::AfterCommit {
            // The database ends a session only after it has carried out what it got.
            running.place.wait_for("SELECT 1 FROM cities WHERE name", &key);
            assert_eq!(running.stored(&key).len(), 1, "it was made");
        } else {
            assert_eq!(running.stored(&key).len(), 0, "it was not made");
        }
        running.once(&key, &reply);
    }
}

#[test]
fn a_connection_may_break_at_any_byte() {
    let seed = Random::seed();
    println!("DOWNCITY_TEST_SEED={seed}");
    let mut random = Random::new(seed);
    let mut running = Running::start();
    let (mut made, mut unknown, mut refused, mut cuts) = (0, 0, 0, 0);
    let rounds = if is_long_run() { 4_000 } else { 120 };
    for number in 0..rounds {
        // A request is about a thousand bytes each way, more on a connection that has just been made.
        let at = random.index(1_500);
        let cut = if random.one_in(2) { Cut::AfterSent(at) } else { Cut::AfterReceived(at) };
        let key = format!("{number} {cut:?}");
        running.proxy.cut(cut);
        let reply = running.create(&key);
        match (reply.status, reply.body["code"].as_str()) {
            (200, _) => made += 1,
            (503, Some("commit_unknown")) => unknown += 1,
            (503, Some("unavailable")) => refused += 1,
            _ => panic!("{key}: {reply:?}"),
        }
        cuts += usize::from(running.proxy.has_cut());
        running.once(&key, &reply);
    }
    println!("{cuts} cuts: {made} made, {unknown} unknown, {refused} refused");
    assert!(cuts > rounds / 2, "{cuts} of {rounds} connections broke");
    assert!(!running.place.log().contains("panicked"), "{}", running.place.log());
}
