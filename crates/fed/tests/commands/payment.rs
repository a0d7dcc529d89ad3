use insta::assert_snapshot;

use crate::world::World;

#[test]
fn payments_methods_and_events_are_listed() {
    let world = World::start();
    assert_snapshot!("methods", world.fed(&["payment", "methods"]).ok());
    world.json(&["payment", "methods"], "GET /v1/payment/methods");
    world.json(&["payment", "list", "--status", "review"], "GET /v1/payment/payments");
    world.json(&["payment", "events", "--provider", "stripe"], "GET /v1/payment/events");
    world.fed(&["payment", "replay", "pev_none"]).fails(3);
    world.fed(&["payment", "resolve", "pay_none", "--yes"]).fails(2);
    world.fed(&["payment", "resolve", "pay_none", "--credit", "--yes"]).fails(3);
    let told = world.fed(&["payment", "webhooks", "--url", "https://fed.example.com"]).ok();
    assert!(told.contains("https://fed.example.com/v1/payment/webhook?provider=stripe"), "{told}");
}
