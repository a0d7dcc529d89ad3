use insta::assert_snapshot;

use crate::world::World;

#[test]
fn codes_are_made_listed_and_taken_back() {
    let world = World::start();
    let one = world.fed(&["redeem", "create", "5"]);
    assert_eq!((one.code, one.out.lines().count()), (0, 1), "{one:?}");
    let csv = world.fed(&["redeem", "create", "2.5", "--count", "3", "--csv"]);
    let lines: Vec<&str> = csv.out.lines().collect();
    assert_eq!(lines[0], "code,redeem_code_id,amount_microcredits,expires_at");
    assert_eq!(lines.len(), 4, "{csv:?}");
    assert!(lines[1..].iter().all(|line| line.split(',').nth(2) == Some("2500000")), "{csv:?}");
    let listed = world.fed(&["redeem", "list"]);
    assert!(!listed.out.contains(one.out.trim()), "{listed:?}");
    let codes = regex::Regex::new(r"\S*\*+\S*|\S*…\S*|\S*•+\S*").unwrap();
    assert_snapshot!("list", codes.replace_all(&listed.ok(), "(masked)"));
    let page = world.json(&["redeem", "list"], "GET /v1/balance/redeem-codes");
    let id = page["items"][0]["redeem_code_id"].as_str().unwrap();
    world.fed(&["redeem", "disable", id]).fails(2);
    let ended =
        world.json(&["redeem", "disable", id, "--yes"], "POST /v1/balance/redeem-codes/disable");
    assert_eq!(ended["status"], "disabled");
    let create = ["redeem", "create", "1", "--max-uses", "2"];
    world.json(&create, "POST /v1/balance/redeem-codes/create");
    for wrong in [&["0"][..], &["1", "--count", "501"], &["1", "--csv", "--json"], &[]] {
        world.fed(&[&["redeem", "create"][..], wrong].concat()).fails(2);
    }
    world.fed(&["redeem", "disable", "code_none", "--yes"]).fails(3);
}
