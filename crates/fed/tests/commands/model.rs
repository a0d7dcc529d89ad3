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
    assert_snapshot!("catalog", world.fed(&["model", "catalog"]).ok());
    world.json(&["model", "catalog"], "GET /v1/ai/models");
    assert_snapshot!("prices", world.fed(&["model", "prices"]).ok());
    let tested = world.json(&["model", "test", "echo"], "POST /v1/ai/test");
    assert_eq!(tested["items"][0]["ok"], true, "{tested}");
    // One that cannot be called ends with exit code 1, and the table is printed all the same.
    let failed = world.fed(&["model", "test", "deepseek", "echo"]);
    assert_eq!(failed.code, 1, "{failed:?}");
    assert!(failed.out.contains("DEEPSEEK_API_KEY"), "{failed:?}");
    assert!(failed.err.contains("1 model does not answer"), "{failed:?}");
}

#[test]
fn models_of_the_table_are_in_the_catalog_at_once() {
    let world = World::configured(CONFIG);
    let definition = r#"{"name":"Second","provider":"mirror"}"#;
    world.fed(&["model", "set", "second", definition]).ok();
    assert_snapshot!("table", world.fed(&["model", "list"]).ok());
    let until = std::time::Instant::now() + std::time::Duration::from_secs(10);
    while !world.fed(&["model", "catalog"]).ok().contains("second") {
        assert!(std::time::Instant::now() < until, "the model is not in the catalog");
    }
    world.fed(&["model", "remove", "second"]).ok();
    world.fed(&["model", "remove", "second"]).fails(3);
}
