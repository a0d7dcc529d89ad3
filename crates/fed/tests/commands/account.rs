use insta::assert_snapshot;

use crate::world::World;

#[test]
fn accounts_are_shown_disabled_and_signed_out() {
    let world = World::start();
    let sign_up = r#"{"city_id":"city_downcity","email":"ann@example.com","password":"correct horse battery","name":"Ann"}"#;
    let made = world.fed(&["call", "accounts/register", sign_up]);
    assert_eq!(made.code, 0, "{made:?}");
    assert_snapshot!("list", world.fed(&["account", "list"]).ok());
    let page = world.json(&["account", "list"], "GET /v1/accounts/users");
    let id = page["items"][0]["user_id"].as_str().unwrap();
    let shown = world.fed(&["account", "show", "ann@example.com", "--json"]).value();
    assert_eq!(shown["user_id"], id);
    world.fed(&["account", "show", "nobody@example.com"]).fails(3);
    world.json(&["account", "sessions"], "GET /v1/accounts/sessions");
    assert_snapshot!("sessions", world.fed(&["account", "sessions"]).ok());
    world.fed(&["account", "sessions", "--revoke", id]).fails(2);
    world.fed(&["account", "sessions", "--revoke", id, "--yes"]).ok();
    world.fed(&["account", "disable", id]).fails(2);
    world.fed(&["account", "disable", id, "--yes"]).ok();
    assert!(world.fed(&["account", "list"]).ok().contains("disabled"));
    world.fed(&["account", "enable", id]).ok();
    world.fed(&["account", "disable", "user_none", "--yes"]).fails(3);
}
