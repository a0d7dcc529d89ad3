use insta::assert_snapshot;

use crate::world::World;

#[test]
fn cities_are_created_paused_activated_and_removed() {
    let world = World::start();
    assert_snapshot!(
        "create",
        world.fed(&["city", "create", "Mail helper", "--id", "city_mail"]).ok()
    );
    assert_snapshot!("list", world.fed(&["city", "list"]).ok());
    let page = world.json(&["city", "list", "--limit", "1"], "GET /v1/cities/list");
    let cursor = page["next_cursor"].as_str().unwrap();
    assert_eq!(page["items"].as_array().unwrap().len(), 1);
    let rest = world.json(&["city", "list", "--cursor", cursor], "GET /v1/cities/list");
    assert_eq!(rest["items"][0]["city_id"], "city_mail");
    let made = world.json(&["city", "create", "Notes"], "POST /v1/cities/create");
    assert_eq!((&made["name"], &made["status"]), (&"Notes".into(), &"active".into()));

    // Nobody can be asked here, so nothing happens without --yes.
    let asked = world.fed(&["city", "pause", "city_mail"]).fails(2);
    assert!(asked.contains("say --yes"), "{asked}");
    let told = world.fed(&["city", "remove", "city_mail", "--dry-run"]);
    assert_eq!((told.code, told.out.as_str()), (0, ""));
    assert!(told.err.contains("Would call cities/remove"), "{told:?}");
    let paused = world.json(&["city", "pause", "city_mail", "--yes"], "POST /v1/cities/pause");
    assert_eq!(paused["status"], "paused");
    let active = world.json(&["city", "activate", "city_mail"], "POST /v1/cities/activate");
    assert_eq!(active["status"], "active");
    assert_snapshot!("remove", world.fed(&["city", "remove", "city_mail", "-y"]).ok());
    assert!(!world.fed(&["city", "list"]).ok().contains("city_mail"));
}

#[test]
fn what_cannot_be_is_refused_with_its_exit_code() {
    let world = World::start();
    let gone = world.fed(&["city", "pause", "city_none", "--yes"]).fails(3);
    assert_snapshot!("unknown", gone);
    world.fed(&["city", "create", "Downcity", "--id", "city_downcity"]).fails(5);
    world.fed(&["city", "create", "X", "--id", "no city"]).fails(1);
    for wrong in [
        &["city"][..],
        &["city", "create"],
        &["city", "list", "--limit", "0"],
        &["city", "list", "--limit", "many"],
        &["city", "remove"],
    ] {
        assert_eq!(world.fed(wrong).code, 2, "{wrong:?}");
    }
    let typo = world.fed(&["city", "creat", "X"]).fails(2);
    assert!(typo.contains("'create'"), "{typo}");
    let typo = world.fed(&["citty", "list"]).fails(2);
    assert!(typo.contains("'city'"), "{typo}");
}
