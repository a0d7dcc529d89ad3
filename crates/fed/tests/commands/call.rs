use insta::assert_snapshot;
use serde_json::json;

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
fn actions_of_every_form_are_called() {
    let world = World::start();
    world.check(&world.fed(&["call", "services"]).value(), "GET /v1/services");
    world.check(&world.fed(&["call", "models"]).value(), "GET /v1/models");
    // Parameters of the path stand in the input, and are checked with it.
    let receipt = "usage/requests/{request_id}";
    let lacking = world.fed(&["call", receipt]).fails(2);
    assert!(lacking.contains("The input lacks request_id"), "{lacking}");
    let unknown = world.fed(&["call", receipt, r#"{"request_id": "req_none"}"#]).fails(3);
    assert!(unknown.contains("request id"), "{unknown}");
    // A text is printed as it is, and as a string where JSON is asked for.
    let text = world.fed(&["call", "base/instruction"]).ok();
    assert_eq!(text, world.fed(&["instruction"]).ok());
    let text = world.fed(&["call", "base/instruction", "--json"]).value();
    assert!(text.as_str().is_some_and(|text| text.contains("cities")), "{text}");
    // Files are not.
    let file = world.fed(&["call", "backup/create"]).fails(2);
    assert!(file.contains("fed backup create PATH"), "{file}");
    let sound = world.fed(&["call", "audio/speech", r#"{"input": "Hi"}"#]).fails(2);
    assert!(sound.contains("audio/speech"), "{sound}");
}

#[test]
fn calls_of_users_say_their_city() {
    let world = World::start();
    let issue = ["token", "issue", "--city", "city_downcity", "--user", "ann"];
    let token = world.fed(&issue).out;
    let call = |arguments: &[&str]| {
        let mut command = world.bare();
        command
            .args(arguments)
            .env("DOWNCITY_FEDERATION_URL", &world.url)
            .env("DOWNCITY_USER_TOKEN", token.trim());
        world.run(command, "").value()
    };
    let told = call(&["call", "ai/text", r#"{"prompt": "Hi"}"#, "--dry-run", "--json"]);
    let input = json!({ "prompt": "Hi", "city_id": "city_downcity" });
    assert_eq!(told, json!({ "action": "ai/text", "input": input }));
    assert_eq!(call(&["call", "ai/text", r#"{"prompt": "Hi"}"#])["role"], "assistant");
    assert!(call(&["call", "balance/me"]).is_object());
}

#[test]
fn what_would_be_sent_is_told_without_its_secrets() {
    const SECRET: &str = "sk-of-the-call-test-0123456789";
    let world = World::start();
    let body = json!({ "key": "A_KEY", "value": SECRET }).to_string();
    let password = json!({ "current_password": SECRET, "new_password": SECRET }).to_string();
    for (action, body, seen) in
        [("env/upsert", &body, "A_KEY"), ("accounts/password/change", &password, "new_password")]
    {
        let path = format!("/v1/{action}");
        for call in [&["call", action][..], &["query", "POST", path.as_str()]] {
            let told = world.fed(&[call, &[body.as_str(), "--dry-run"]].concat());
            assert_eq!((told.code, told.out.as_str()), (0, ""), "{told:?}");
            assert!(told.err.contains("Would call") && told.err.contains(seen), "{told:?}");
            assert!(!told.err.contains(SECRET), "{told:?}");
            let told = world.fed(&[call, &[body.as_str(), "--dry-run", "--json"]].concat());
            assert!(!told.out.contains(SECRET) && !told.err.contains(SECRET), "{told:?}");
            let told = told.value();
            assert!(told["action"].as_str().unwrap().ends_with(action), "{told}");
            assert!(told["input"].to_string().contains(seen), "{told}");
        }
    }
    world.fed(&["env", "get", "A_KEY"]).fails(3);
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
