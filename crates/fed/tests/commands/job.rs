use insta::assert_snapshot;

use crate::world::World;

#[test]
fn jobs_are_listed_and_those_that_are_not_there_are_not_found() {
    let world = World::start();
    world.json(&["job", "list"], "GET /v1/jobs/list");
    world.json(&["job", "list", "--status", "dead", "--limit", "5"], "GET /v1/jobs/list");
    let none = world.fed(&["job", "list", "--kind", "no.such"]);
    assert_eq!((none.out.as_str(), none.err.as_str()), ("", "Nothing is there.\n"));
    world.fed(&["job", "list", "--status", "sleeping"]).fails(2);
    assert_snapshot!("unknown", world.fed(&["job", "retry", "job_none"]).fails(3));
    world.fed(&["job", "cancel", "job_none"]).fails(2);
    world.fed(&["job", "cancel", "job_none", "--yes"]).fails(3);
}
