use insta::assert_snapshot;

use crate::world::World;

#[test]
fn any_action_can_be_described_and_called() {
    let world = World::start();
    let all = world.fed(&["call"]).ok();
    assert!(all.contains("balance/add") && all.contains("cities/list"), "{all}");
    assert_snapshot!("describe", world.fed(&["call", "cities/create", "--describe"]).ok());
    let answer = world.fed(&["call", "cities/list", r#"{"limit": 1}"#]).value();
    world.check(&answer, "GET /v1/cities/list");
    let made = world.fed_with(&["call", "cities/create", "-"], r#"{"name": "Notes"}"#).value();
    world.check(&made, "POST /v1/cities/create");

    assert_snapshot!("missing", world.fed(&["call", "cities/create"]).fails(2));
    let typo = world.fed(&["call", "cities/lst"]).fails(3);
    assert!(typo.contains("did you mean \"cities/list\""), "{typo}");
    for wrong in ["[1]", "{", "5"] {
        world.fed(&["call", "cities/list", wrong]).fails(2);
    }
    assert_snapshot!("type", world.fed(&["call", "cities/create", r#"{"name": 5}"#]).fails(2));
    for (action, input, said) in [
        ("cities/create", r#"{"nmae": "X", "name": "Y"}"#, "did you mean name?"),
        ("cities/list", r#"{"limit": 0}"#, "limit must be 1 or more"),
        ("cities/list", r#"{"limit": "many"}"#, "limit must be integer"),
        ("cities/list", r#"{"first": 5}"#, "The action takes no first"),
        ("audit/verify", r#"{"expect": {"seq": 1}}"#, "expect"),
    ] {
        let refused = world.fed(&["call", action, input]).fails(2);
        assert!(refused.contains(said), "{action} {input}: {refused}");
    }
    let told = world.fed(&["call", "cities/create", r#"{"name": "X"}"#, "--dry-run"]);
    assert!(told.code == 0 && told.err.contains("Would call"), "{told:?}");
}

#[test]
fn routes_are_queried_by_their_paths() {
    let world = World::start();
    assert_eq!(world.fed(&["query", "GET", "/health"]).code, 0);
    let listed = world.fed(&["query", "get", "/v1/cities/list?limit=1"]).value();
    world.check(&listed, "GET /v1/cities/list");
    let made = world.fed(&["query", "POST", "/v1/cities/create", r#"{"name":"Notes"}"#]).value();
    world.check(&made, "POST /v1/cities/create");
    world.fed(&["query", "GET", "/nowhere"]).fails(3);
    world.fed(&["query", "GET", "https://elsewhere.example.com/"]).fails(2);
    world.fed(&["query", "GET", "/health", "{}"]).fails(2);
    world.fed(&["query", "PATCH", "/health"]).fails(2);
    assert_snapshot!("services", world.fed(&["service", "list"]).ok());
    let text = world.fed(&["instruction"]).ok();
    assert!(text.contains("cities"), "{text}");
}

#[test]
fn fields_that_are_passed_on_to_providers_are_not_refused() {
    let world = World::start();
    let input = r#"{"messages": [{"role": "user", "content": "Hi"}], "temperature": 0.2}"#;
    let answer = world.fed(&["call", "chat/completions", input]).value();
    assert_eq!(answer["object"], "chat.completion");
    let told = world.fed(&["call", "balance/add", r#"{"user_id": "ann", "amout": 5}"#]).fails(2);
    assert!(told.contains("amout"), "{told}");
}
