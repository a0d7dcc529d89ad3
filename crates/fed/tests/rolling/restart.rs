//! The restart of all nodes, one after the other.

use std::collections::HashSet;
use std::thread;
use std::time::{Duration, Instant};

use downcity_db::Engine;
use downcity_db::testing::TestDatabase;
use serde_json::{Value, json};
use tempfile::TempDir;

use crate::balancer::Balancer;
use crate::http::{Client, Send};
use crate::load::Load;
use crate::node::{ADMIN_KEY, Node};
use crate::upstream;

const NODES: usize = 3;

/// The whole test, also on a machine that does other things.
const AT_MOST: Duration = Duration::from_secs(60);

fn wait_until(what: &str, holds: impl Fn() -> bool) {
    let began = Instant::now();
    while !holds() {
        assert!(began.elapsed() < AT_MOST, "{what}");
        thread::sleep(Duration::from_millis(10));
    }
}

fn configuration(upstream: &str) -> String {
    format!(
        r#"
[server]
drain = "1s"

[limits]
exempt = ["127.0.0.1"]

[[ai.provider]]
id = "slow"
protocol = "openai-chat"
base_url = "{upstream}"

[[ai.model]]
id = "slow"
name = "Slow"
provider = "slow"
upstream_model = "slow"
default = true
"#
    )
}

fn as_admin(body: &Value) -> Send<'_> {
    Send { bearer: ADMIN_KEY, body: Some(body), ..Send::default() }
}

/// The ids of all cities, as the database has them.
fn stored_cities(client: &mut Client) -> HashSet<String> {
    let mut found = HashSet::new();
    let mut path = "/v1/cities/list?limit=100".to_owned();
    loop {
        let send = Send { bearer: ADMIN_KEY, ..Send::default() };
        let page = client.call(&path, send).unwrap();
        assert_eq!(page.status, 200, "{page:?}");
        let items = page.body["items"].as_array().unwrap();
        found.extend(items.iter().map(|city| city["city_id"].as_str().unwrap().to_owned()));
        match page.body["next_cursor"].as_str() {
            Some(cursor) => path = format!("/v1/cities/list?limit=100&cursor={cursor}"),
            None => return found,
        }
    }
}

#[test]
fn a_rolling_restart_under_load_fails_no_request() {
    let began = Instant::now();
    let database = TestDatabase::new(Engine::Postgres).unwrap_or_else(|why| panic!("{why}"));
    let url = database.connection_string();
    let folder = TempDir::new().unwrap();
    let config = configuration(&upstream::start());
    std::fs::write(folder.path().join("federation.toml"), config).unwrap();
    let log = || std::fs::read_to_string(folder.path().join("fed.log")).unwrap_or_default();

    let balancer = Balancer::start(NODES);
    // All at once, on an empty database.
    let mut nodes: Vec<Node> = (0..NODES).map(|_| Node::spawn(folder.path(), &url)).collect();
    for (index, node) in nodes.iter_mut().enumerate() {
        balancer.set(index, node.address());
    }
    wait_until("all are ready", || (0..NODES).all(|index| balancer.is_ready(index)));
    let mut client = Client::new(&balancer.address);
    let input = json!({"city_id": "city_downcity", "user_id": "u"});
    let token = client.call("/v1/cities/tokens/apply", as_admin(&input)).unwrap().body;
    let token = token["user_token"].as_str().unwrap().to_owned();

    let load = Load::start(&balancer.address, &token, 4, 2);
    for index in 0..NODES {
        let leaving = nodes.remove(0);
        leaving.terminate();
        leaving.ended();
        let mut started = Node::spawn(folder.path(), &url);
        balancer.set(index, started.address());
        nodes.push(started);
        wait_until("it is ready again", || balancer.is_ready(index));
    }
    let outcome = load.end();
    println!(
        "{} calls, {} cities, {} streams in {:?}",
        outcome.calls,
        outcome.cities.len(),
        outcome.streams,
        began.elapsed()
    );
    assert!(outcome.failures.is_empty(), "{:#?}\n{}", outcome.failures, log());
    assert!(outcome.cities.len() > 10 && outcome.streams > 2, "there was a load");
    let stored = stored_cities(&mut client);
    for city_id in &outcome.cities {
        assert!(stored.contains(city_id), "{city_id} was acknowledged");
    }
    for node in nodes {
        node.terminate();
        node.ended();
    }
    assert!(began.elapsed() < AT_MOST, "{:?}", began.elapsed());
    assert!(!log().contains("panicked"), "{}", log());
}
