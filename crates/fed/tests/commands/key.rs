use insta::assert_snapshot;

use crate::world::{World, steady};

#[test]
fn service_keys_are_created_listed_and_revoked() {
    let world = World::start();
    let create = ["key", "create", "billing", "--action", "balance/add", "--per-day", "50000000"];
    let created = world.fed(&create);
    assert_eq!(created.code, 0, "{created:?}");
    assert!(created.out.starts_with("fk_") && created.err.contains("not shown again"));
    let listed = world.fed(&["key", "list"]);
    assert!(!listed.out.contains(created.out.trim()), "{listed:?}");
    let prefix = regex::Regex::new("fk_[A-Za-z0-9_-]+…?").unwrap();
    assert_snapshot!("list", prefix.replace_all(&listed.ok(), "fk_(begins)"));
    let page = world.json(&["key", "list"], "GET /v1/keys/list");
    let id = page["items"][0]["key_id"].as_str().unwrap();

    let add = |key: &str, actions: &[&str]| {
        let file = world.folder.path().join("service.key");
        std::fs::write(file, key).unwrap();
        world.fed(&[actions, &["--admin-key-file", "service.key"]].concat())
    };
    let within = add(created.out.trim(), &["balance", "add", "ann", "5"]);
    assert_eq!(within.code, 0, "{within:?}");
    add(created.out.trim(), &["balance", "add", "ann", "50"]).fails(4);
    add(created.out.trim(), &["city", "list"]).fails(4);
    world.json(&["key", "revoke", id, "--yes"], "POST /v1/keys/revoke");
    let ended = add(created.out.trim(), &["balance", "add", "ann", "5"]).fails(4);
    assert_snapshot!("ended", ended);
}

#[test]
fn signing_keys_are_rotated() {
    let world = World::start();
    let before = world.json(&["key", "list", "--signing"], "GET /v1/keys/signing");
    assert_eq!(before["items"].as_array().unwrap().len(), 1);
    world.fed(&["key", "rotate"]).fails(2);
    let rotated = world.fed(&["key", "rotate", "--yes"]);
    assert_eq!(rotated.code, 0, "{rotated:?}");
    assert!(rotated.err.contains("fed key list --signing"), "{rotated:?}");
    let ids = regex::Regex::new(r"(?m)^(ID +)\S+").unwrap();
    assert_snapshot!("rotated", ids.replace_all(&steady(&rotated.out), "${1}(id)"));
    let after = world.json(&["key", "list", "--signing"], "GET /v1/keys/signing");
    assert_eq!(after["items"].as_array().unwrap().len(), 2);
    world.fed(&["key", "rotate", "--algorithm", "rot13", "--yes"]).fails(1);
    world.fed(&["key", "create", "none"]).fails(2);
    world.fed(&["key", "create", "none", "--action", "no/such"]).fails(1);
    world.fed(&["key", "revoke", "key_none", "--yes"]).fails(3);
}
