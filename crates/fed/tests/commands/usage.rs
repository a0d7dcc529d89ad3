use insta::assert_snapshot;
use serde_json::json;

use crate::world::World;

#[test]
fn calls_are_listed_added_up_and_explained() {
    let world = World::start();
    world.fed(&["chat", "Hello"]).ok();
    let until = std::time::Instant::now() + std::time::Duration::from_secs(10);
    let request = loop {
        let page = world.json(&["usage", "events", "--service", "ai"], "GET /v1/usage/events");
        if let Some(id) = page["items"][0]["request_id"].as_str() {
            break id.to_owned();
        }
        assert!(std::time::Instant::now() < until, "the call is not recorded");
    };
    let summary = ["usage", "summary", "--by", "city_id,model_id,status", "--service", "ai"];
    let text = world.fed(&summary).ok();
    let durations = regex::Regex::new(r"(?m) *[\d.]+$").unwrap();
    assert_snapshot!("summary", durations.replace_all(&text, "  (ms)"));
    world.json(&summary, "GET /v1/usage/summary");
    let receipt = world.fed(&["usage", "explain", &request]).ok();
    assert!(receipt.contains("ai") && receipt.contains("success"), "{receipt}");
    let input = json!({ "request_id": request }).to_string();
    let called = world.fed(&["call", "usage/requests/{request_id}", &input]).value();
    assert_eq!(called["request_id"], request);
    world.fed(&["usage", "explain", "req_none"]).fails(3);
    world.fed(&["usage", "summary", "--by", "colour"]).fails(1);
    world.fed(&["usage", "events", "--from", "yesterday"]).fails(2);
}

#[test]
fn what_the_trusted_side_changed_is_listed() {
    let world = World::start();
    world.fed(&["city", "create", "Mail", "--id", "city_mail"]).ok();
    assert_snapshot!("audit", world.fed(&["audit", "list", "--action", "cities/create"]).ok());
    world.json(&["audit", "list", "--limit", "2"], "GET /v1/audit/list");
    world.fed(&["audit", "list", "--from", "never"]).fails(2);
}

#[test]
fn a_day_is_a_time() {
    let world = World::start();
    let audit = |times: &[&str]| world.fed(&[&["audit", "list"], times].concat());
    world.fed(&["city", "create", "Notes"]).ok();
    assert!(audit(&["--from", "2026-01-01"]).ok().contains("cities/create"));
    assert!(
        audit(&["--from", "2026-01-01T10:00:00Z", "--to", "2999-01-01"])
            .ok()
            .contains("cities/create")
    );
    assert_eq!(audit(&["--to", "2026-01-01"]).ok(), "");
    world.fed(&["usage", "summary", "--by", "day", "--from", "2026-03-01"]).ok();
    for wrong in ["yesterday", "2026-02-30", "2026-03", "12:00"] {
        assert!(audit(&["--from", wrong]).fails(2).contains("such as 2026-03-01"), "{wrong}");
    }
}
