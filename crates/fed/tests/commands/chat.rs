use insta::assert_snapshot;

use crate::world::World;

#[test]
fn a_conversation_goes_on_until_its_input_ends() {
    let world = World::start();
    let once = world.fed(&["chat", "Hello there"]);
    assert_eq!(once.code, 0, "{once:?}");
    assert!(once.out.contains("Hello there"), "{once:?}");
    let both = world.fed_with(&["chat", "--city", "city_downcity"], "First\nSecond\n");
    assert_snapshot!("conversation", both.ok());
    world.fed(&["chat", "--city", "city_none", "Hello"]).fails(3);
    world.fed(&["chat", "--model", "none", "Hello"]).fails(1);

    // With the token of a user no admin key is needed.
    let token = world.fed(&["token", "issue", "--city", "city_downcity", "--user", "ann"]).out;
    let mut command = world.bare();
    command
        .args(["chat", "As a user"])
        .env("DOWNCITY_FEDERATION_URL", &world.url)
        .env("DOWNCITY_USER_TOKEN", token.trim());
    let answer = world.run(command, "");
    assert!(answer.code == 0 && answer.out.contains("As a user"), "{answer:?}");
}
