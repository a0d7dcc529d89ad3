use insta::assert_snapshot;

use crate::world::World;

#[test]
fn credits_are_given_taken_and_explained() {
    let world = World::start();
    let add = ["balance", "add", "ann", "5.25", "--note", "welcome", "--ref", "order-1"];
    assert_snapshot!("add", world.fed(&add).ok());
    let told = world.fed(&["balance", "sub", "ann", "0.5"]).fails(2);
    assert!(told.contains("Take 0.50 credits from ann"), "{told}");
    world.json(&["balance", "sub", "ann", "--micro", "500000", "--yes"], "POST /v1/balance/sub");
    assert_snapshot!("show", world.fed(&["balance", "show", "ann"]).ok());
    assert_snapshot!("history", world.fed(&["balance", "history", "ann"]).ok());
    world.json(&["balance", "show"], "GET /v1/balance/users");
    world.json(&["balance", "history", "--kind", "charge"], "GET /v1/balance/history");
    // More than is there, and what is no amount.
    let refused = world.fed(&["balance", "sub", "ann", "100", "--yes"]);
    assert!(refused.code == 1 || refused.code == 5, "{refused:?}");
    for wrong in ["0", "-1", "1.2345678", "much", ""] {
        assert_eq!(world.fed(&["balance", "add", "ann", "--", wrong]).code, 2, "{wrong}");
    }
    world.fed(&["balance", "add", "ann"]).fails(2);
    world.fed(&["balance", "add", "ann", "1", "--micro", "1"]).fails(2);
    // A script that tries again with the same key has one effect.
    for _ in 0..2 {
        world.fed(&["balance", "add", "ann", "1", "--once", "job-7"]).ok();
    }
    let wallet = world.json(&["balance", "show", "ann"], "GET /v1/balance/users");
    assert_eq!(wallet["items"][0]["balance"], 5_750_000);
}

#[test]
fn topups_are_finished_and_cancelled() {
    let world = World::start();
    let issue = ["token", "issue", "--city", "city_downcity", "--user", "ann"];
    let token = world.fed(&issue).out;
    let topup = || {
        let mut command = world.bare();
        command
            .args(["call", "balance/topups/create", r#"{"amount":3}"#])
            .env("DOWNCITY_FEDERATION_URL", &world.url)
            .env("DOWNCITY_USER_TOKEN", token.trim());
        world.run(command, "").value()["topup_id"].as_str().unwrap().to_owned()
    };
    let (first, second) = (topup(), topup());
    assert_snapshot!("topups", world.fed(&["balance", "topups", "ann"]).ok());
    world.fed(&["balance", "finish", &first]).fails(2);
    world.json(&["balance", "finish", &first, "--yes"], "POST /v1/balance/topups/finish");
    world.json(&["balance", "cancel", &second, "--yes"], "POST /v1/balance/topups/cancel");
    world.fed(&["balance", "cancel", &first, "--yes"]).fails(5);
    world.fed(&["balance", "finish", "top_none", "--yes"]).fails(3);
    let wallet = world.json(&["balance", "show", "ann"], "GET /v1/balance/users");
    assert_eq!(wallet["items"][0]["balance"], 3_000_000);
}
