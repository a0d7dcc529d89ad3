use insta::assert_snapshot;
use serde_json::json;

use crate::world::World;

const SECRET: &str = "sk-of-the-env-test-0123456789";

#[test]
fn values_are_set_listed_read_and_rolled_back() {
    // Nobody is asked about the key.
    let world = World::configured("[ai]\nstarter = false\n");
    let set = world.fed_with(&["env", "set", "DEEPSEEK_API_KEY", "--from", "-"], SECRET);
    assert_snapshot!("set", set.ok());
    let listed = world.fed(&["env", "list"]);
    assert!(!listed.out.contains(SECRET), "{listed:?}");
    // When a value was last read says the server after a while; it may be empty.
    let listed = listed.ok().replace("(the date) and time", "");
    let rows: Vec<String> =
        listed.lines().map(|line| line.split_whitespace().collect::<Vec<_>>().join(" ")).collect();
    assert_snapshot!("list", rows.join("\n"));
    assert_eq!(world.fed(&["env", "get", "DEEPSEEK_API_KEY"]).out, format!("{SECRET}\n"));
    let list = world.json(&["env", "list"], "GET /v1/env/list");
    assert!(!list.to_string().contains(SECRET));

    std::fs::write(world.folder.path().join("new.key"), "another-of-the-env-test-42").unwrap();
    world.fed(&["env", "set", "DEEPSEEK_API_KEY", "--from", "new.key"]).ok();
    let history = world.fed(&["env", "history", "DEEPSEEK_API_KEY"]);
    assert!(!history.out.contains(SECRET), "{history:?}");
    assert_snapshot!("history", history.ok());
    world.json(&["env", "history", "DEEPSEEK_API_KEY"], "GET /v1/env/history");
    world.fed(&["env", "rollback", "DEEPSEEK_API_KEY", "1", "--yes"]).ok();
    assert_eq!(world.fed(&["env", "get", "DEEPSEEK_API_KEY"]).out, format!("{SECRET}\n"));
    world.fed(&["env", "unset", "DEEPSEEK_API_KEY"]).fails(2);
    assert_snapshot!("unset", world.fed(&["env", "unset", "DEEPSEEK_API_KEY", "--yes"]).ok());
    world.fed(&["env", "get", "DEEPSEEK_API_KEY"]).fails(3);
}

#[test]
fn files_are_imported_and_exported_and_the_catalog_says_what_is_needed() {
    let world = World::start();
    let file = "A_KEY=one\nB_KEY='two words'\nC_KEY=\"line\\nbreak $x\"\n";
    assert_snapshot!("import", world.fed_with(&["env", "import", "-"], file).ok());
    world.fed(&["env", "export"]).fails(2);
    let exported = world.fed(&["env", "export", "--yes"]);
    assert_snapshot!("export", exported.out);
    // What is exported is imported again as it was.
    world.fed(&["env", "unset", "C_KEY", "--yes"]).ok();
    world.fed_with(&["env", "import", "-"], &exported.out).ok();
    assert_eq!(world.fed(&["env", "get", "C_KEY"]).out, "line\nbreak $x\n");
    // A city may have values of its own.
    let of = ["--city", "city_downcity"];
    world.fed_with(&[&["env", "set", "A_KEY"][..], &of].concat(), "of the city").ok();
    assert_eq!(world.fed(&[&["env", "get", "A_KEY"][..], &of].concat()).out, "of the city\n");
    assert_eq!(world.fed(&["env", "get", "A_KEY"]).out, "one\n");
    assert_snapshot!("refresh", world.fed(&["env", "refresh"]).ok());
    assert_snapshot!("catalog", world.fed(&["env", "catalog"]).ok());
    world.json(&["env", "catalog"], "GET /v1/env/catalog");
    // A value never stands in the command itself.
    world.fed(&["env", "set", "A_KEY", "value"]).fails(2);
    world.fed_with(&["env", "set", "no-key", "--from", "-"], "x").fails(1);
    let told = world.fed_with(&["env", "set", "A_KEY", "--dry-run", "--json"], SECRET);
    assert!(!told.out.contains(SECRET) && !told.err.contains(SECRET), "{told:?}");
    // Names are taken in any case, wherever they are given.
    assert_eq!(world.fed(&["env", "get", " a_key "]).out, "one\n");
    let told = world.fed(&["env", "export", "--dry-run"]);
    assert_eq!((told.code, told.out.as_str()), (0, ""), "{told:?}");
}

#[test]
fn providers_are_asked_unless_nobody_wants_that() {
    let world = World::start();
    let sent = |arguments: &[&str]| {
        let told = world.fed_with(&[arguments, &["--dry-run", "--json"]].concat(), SECRET);
        told.value()["input"].clone()
    };
    let set = ["env", "set", "A_KEY", "--from", "-"];
    assert_eq!(sent(&set), json!({ "key": "A_KEY", "value": "…" }));
    let untested = json!({ "key": "A_KEY", "value": "…", "test": false });
    assert_eq!(sent(&[&set[..], &["--no-test"]].concat()), untested);
    assert_eq!(sent(&["env", "import", "-"]), json!({ "raw": "…" }));
    let untested = json!({ "raw": "…", "test": false });
    assert_eq!(sent(&["env", "import", "-", "--no-test"]), untested);
    world.fed_with(&["env", "set", "A_KEY", "--from", "-", "--test"], SECRET).fails(2);
}

#[test]
fn keys_of_the_federation_itself_are_replaced_only_where_somebody_says_so() {
    const KEY: &str = "DOWNCITY_FEDERATION_ADMIN_SECRET_KEY";
    const OTHER: &str = "admin_of_another_product_0123456789";
    let world = World::start();
    // As the file of a product holds it that calls another Federation.
    let file = format!("A_KEY=one\nexport DOWNCITY_CITY_ADMIN_SECRET_KEY='{OTHER}'\n");
    let lower = KEY.to_ascii_lowercase();
    for refused in [
        world.fed_with(&["env", "import", "-"], &file),
        world.fed_with(&["env", "set", &lower, "--from", "-"], OTHER),
    ] {
        let said = refused.fails(2);
        assert!(said.contains(KEY) && said.contains("say --yes"), "{said}");
        assert!(!said.contains(OTHER), "{said}");
    }
    world.fed(&["env", "get", "A_KEY"]).fails(3);
    world.fed(&["city", "list"]).ok();

    world.fed_with(&["env", "import", "-", "--yes"], &file).ok();
    world.fed(&["city", "list"]).fails(4);
    std::fs::write(world.folder.path().join("other.key"), OTHER).unwrap();
    let with_other =
        |arguments: &[&str]| world.fed(&[arguments, &["--admin-key-file", "other.key"]].concat());
    assert_eq!(with_other(&["env", "get", "A_KEY"]).out, "one\n");
    let asked = with_other(&["env", "rollback", KEY, "1"]).fails(2);
    assert!(asked.contains(KEY), "{asked}");
}
