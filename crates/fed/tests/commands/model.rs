use insta::assert_snapshot;

use crate::world::World;

const CONFIG: &str = r#"
[[ai.provider]]
id = "deepseek"
protocol = "openai-chat"
base_url = "https://api.deepseek.com/v1"
env_key = "DEEPSEEK_API_KEY"

[[ai.provider]]
id = "mirror"
protocol = "echo"

[[ai.model]]
id = "deepseek"
name = "DeepSeek"
provider = "deepseek"
upstream_model = "deepseek-chat"
price = { input_per_m = 140000, output_per_m = 280000 }

[[ai.model]]
id = "echo"
name = "Echo"
provider = "mirror"
default = true
"#;

#[test]
fn models_are_listed_priced_and_tried() {
    let world = World::configured(CONFIG);
    assert_snapshot!("list", world.fed(&["model", "list"]).ok());
    world.json(&["model", "list"], "GET /v1/ai/models");
    assert_snapshot!("prices", world.fed(&["model", "prices"]).ok());
    let tested = world.json(&["model", "test", "echo"], "POST /v1/ai/test");
    assert_eq!(tested["items"][0]["ok"], true, "{tested}");
    // One that cannot be called ends with exit code 1, and the table is printed all the same.
    let failed = world.fed(&["model", "test", "deepseek", "echo"]);
    assert_eq!(failed.code, 1, "{failed:?}");
    assert!(failed.out.contains("DEEPSEEK_API_KEY"), "{failed:?}");
    assert!(failed.err.contains("1 model does not answer"), "{failed:?}");
    let told = world.fed(&["model", "test", "deepseek", "--dry-run"]);
    assert_eq!((told.code, told.out.as_str()), (0, ""), "{told:?}");
    assert!(told.err.contains("Would call ai/test") && told.err.contains("deepseek"), "{told:?}");
}

#[test]
fn models_of_the_table_are_in_the_catalog_at_once() {
    let world = World::configured(CONFIG);
    let definition = r#"{"name":"Second","provider":"mirror"}"#;
    let set = world.fed(&["model", "set", "second", definition]).ok();
    let listed = world.fed(&["model", "stored"]).ok();
    assert_eq!(set, listed);
    assert_snapshot!("stored", listed);
    assert!(world.fed(&["model", "list"]).ok().contains("Second"));
    world.json(&["model", "stored"], "GET /v1/ai/models/stored");
    let shown = world.fed(&["model", "show", "second"]).value();
    assert_eq!(shown["definition"]["provider"], "mirror");

    let moved = ["model", "set", "second", "--disable", "--position", "-3"];
    let moved = world.json(&moved, "POST /v1/ai/models/set");
    let moved = &moved["items"][0];
    assert_eq!((&moved["enabled"], &moved["position"]), (&false.into(), &(-3).into()));
    assert_eq!(moved["definition"], shown["definition"], "what is not said stays");
    assert!(!world.fed(&["model", "list"]).ok().contains("Second"));

    world.fed(&["model", "remove", "second"]).fails(2);
    world.json(&["model", "remove", "second", "--yes"], "POST /v1/ai/models/remove");
    world.fed(&["model", "remove", "second", "--yes"]).fails(3);
    world.fed(&["model", "show", "second"]).fails(3);
}

#[test]
fn what_cannot_be_used_is_not_stored() {
    let world = World::configured(CONFIG);
    let refused = world.fed(&["model", "set", "odd", r#"{"name":"Odd","provider":"nobody"}"#]);
    assert!(refused.fails(1).contains("nobody"));
    world.fed(&["model", "set", "odd"]).fails(2);
    world.fed(&["model", "set", "odd", "no json"]).fails(1);
    world.fed(&["model", "set", "odd", "--enable"]).fails(3);
    world.fed(&["model", "set", "odd", "--file", "nowhere.json"]).fails(3);
    let tried = ["model", "set", "odd", r#"{"name":"Odd","provider":"mirror"}"#, "--dry-run"];
    assert!(world.fed(&tried).err.contains("ai/models/set"));
    assert_eq!(world.fed(&["model", "stored", "--json"]).value()["items"], serde_json::json!([]));
}

#[test]
fn a_file_of_models_is_imported_whole_or_not_at_all() {
    let world = World::configured(CONFIG);
    let file = |name: &str, text: &str| std::fs::write(world.folder.path().join(name), text);
    let good = r#"{"id":"a","name":"A","provider":"mirror"}"#;
    file("bad.json", &format!(r#"[{good}, {{"id":"b","name":"B","provider":"nobody"}}]"#)).unwrap();
    world.fed(&["model", "import", "bad.json"]).fails(1);
    assert_eq!(world.fed(&["model", "stored", "--json"]).value()["items"], serde_json::json!([]));
    let toml = "[[ai.model]]\nid = \"b\"\nname = \"B\"\nprovider = \"mirror\"\n";
    file("more.toml", toml).unwrap();
    world.fed(&["model", "import", "more.toml"]).ok();
    world.fed_with(&["model", "import", "-"], &format!("[{good}]")).ok();
    let stored = world.fed(&["model", "stored", "--json"]).value();
    let ids: Vec<&str> =
        stored["items"].as_array().unwrap().iter().map(|it| it["id"].as_str().unwrap()).collect();
    assert_eq!(ids, ["b", "a"]);
}
