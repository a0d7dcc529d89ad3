//! The guide of the Rust client, `docs/clients-rust.md`, run against the real binary on both engines.

#![cfg(test)]

mod guide;
#[path = "../behaviour/server.rs"]
mod server;

use downcity_db::Engine;

use crate::server::{ADMIN_KEY, Server};

#[tokio::test]
async fn sqlite() {
    run(Engine::Sqlite).await;
}

#[tokio::test]
async fn postgres() {
    run(Engine::Postgres).await;
}

async fn run(engine: Engine) {
    let server = Server::start(engine);
    guide::everything(&server.url, ADMIN_KEY).await.unwrap_or_else(|error| panic!("{error}"));
}

/// Every block of Rust in the guide stands in `guide.rs`, where it is compiled and run. Only its
/// white space may differ.
#[test]
fn the_guide_says_what_is_run() {
    let plain = |text: &str| text.split_whitespace().collect::<String>();
    let code = plain(include_str!("guide.rs"));
    let guide = include_str!("../../../../docs/clients-rust.md");
    let blocks: Vec<&str> =
        guide.split("```rust\n").skip(1).map(|rest| rest.split("```").next().unwrap()).collect();
    assert!(blocks.len() >= 10, "the blocks of the guide are found: {}", blocks.len());
    for block in blocks {
        assert!(code.contains(&plain(block)), "guide.rs does not have this block:\n{block}");
    }
}
