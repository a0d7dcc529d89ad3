use insta::assert_snapshot;

use crate::world::World;

#[test]
fn tokens_are_issued_inspected_and_revoked() {
    let world = World::start();
    let issue = ["token", "issue", "--city", "city_downcity", "--user", "ann"];
    let issued = world.fed(&[&issue[..], &["--ttl", "1h", "--meta", "plan=pro"]].concat());
    assert_eq!(issued.code, 0, "{issued:?}");
    let token = issued.out.trim();
    assert!(token.starts_with("ub_") && issued.err.contains("not shown again"), "{issued:?}");

    let seen = world.fed_with(&["token", "inspect"], token);
    assert!(!seen.out.contains(token), "{seen:?}");
    assert_snapshot!("inspect", seen.ok());
    let file = world.folder.path().join("token.txt");
    std::fs::write(&file, token).unwrap();
    let verify =
        ["token", "verify", "--token-file", "token.txt", "--city", "city_downcity", "--json"];
    let good = world.fed(&verify).value();
    world.check(&good, "POST /v1/cities/tokens/verify");
    assert_eq!((&good["active"], &good["user_id"]), (&true.into(), &"ann".into()));

    let id = good["token_id"].as_str().or(good["jti"].as_str()).unwrap();
    let ended = world.fed(&["token", "revoke", "--token-id", id, "--yes"]).ok();
    assert_snapshot!("revoke", ended);
    // What is not good ends with exit code 1, so that scripts can ask.
    let dead = world.fed(&verify);
    assert_eq!(dead.code, 1, "{dead:?}");
    let dead: serde_json::Value = serde_json::from_str(&dead.out).unwrap();
    assert_eq!(dead["active"], false);

    let answer = world.json(&issue, "POST /v1/cities/tokens/apply");
    let token = answer["user_token"].as_str().unwrap();
    let ran = world.fed(&["token", "revoke", "--city", "city_downcity", "--user", "ann", "-y"]);
    assert_eq!(ran.code, 0, "{ran:?}");
    assert_eq!(world.fed_with(&["token", "verify"], token).code, 1);
}

#[test]
fn tokens_that_cannot_be_are_refused() {
    let world = World::start();
    world.fed(&["token", "issue", "--city", "city_none", "--user", "ann"]).fails(3);
    let issue = ["token", "issue", "--city", "city_downcity", "--user", "ann"];
    world.fed(&[&issue[..], &["--ttl", "soon"]].concat()).fails(1);
    world.fed(&[&issue[..], &["--meta", "novalue"]].concat()).fails(2);
    world.fed(&["token", "revoke"]).fails(2);
    world.fed(&["token", "revoke", "--user", "ann"]).fails(2);
    let empty = world.fed(&["token", "inspect"]).fails(2);
    assert_snapshot!("empty", empty);
    world.fed(&["token", "inspect", "--token-file", "nowhere"]).fails(3);
    let told = world.fed(&[&issue[..], &["--dry-run", "--json"]].concat()).value();
    assert_eq!(told["action"], "cities/tokens/apply");
}
