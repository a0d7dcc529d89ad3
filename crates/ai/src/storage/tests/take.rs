//! Downloads that are stored.

use downcity_testkit::{Answer, MockUpstream, block_on};
use serde_json::{Value, json};

use super::World;

/// A world that may fetch from this machine.
async fn open() -> World {
    let download = json!({"allow_private": true, "timeout_ms": 20_000});
    World::with(json!({"download": download, "max_bytes": 10}), |builder| builder).await
}

async fn take(world: &World, input: Value) -> downcity_testkit::TestReply {
    world.app.guest().post("/v1/maker/take", input).await
}

#[test]
fn what_is_fetched_is_stored_and_served() {
    block_on(async {
        let (world, upstream) = (open().await, MockUpstream::start().await);
        upstream.then(Answer::text(200, "image/png", "abc"));
        let input = json!({"url": upstream.url(), "media_type": "image/webp", "name": "cat.png"});
        let answer = take(&world, input).await.expect(200);
        let (same, _) = world.put("abc", "image/png", Some("cat.png")).await;
        assert_eq!(answer["stored"], same);
        let url = answer["url"].as_str().unwrap();
        assert_eq!(world.app.guest().get(url).await.text(), "abc");
        assert_eq!(world.files().len(), 1);
    });
}

#[test]
fn the_type_that_is_told_counts_where_the_server_tells_none() {
    block_on(async {
        let (world, upstream) = (open().await, MockUpstream::start().await);
        upstream.always(Answer::text(200, "application/octet-stream", "abc"));
        for (told, name, expected) in [
            (Some("video/mp4"), Some("x.png"), "video/mp4"),
            (None, Some("x.png"), "image/png"),
            (None, None, "application/octet-stream"),
        ] {
            let input = json!({"url": upstream.url(), "media_type": told, "name": name});
            let answer = take(&world, input).await.expect(200);
            assert_eq!(answer["stored"]["media_type"], expected);
        }
    });
}

#[test]
fn what_does_not_arrive_whole_leaves_nothing() {
    block_on(async {
        let (world, upstream) = (open().await, MockUpstream::start().await);
        for (answer, status, code) in [
            (Answer::pieces("image/png").write("abc").cut(), 502, "upstream_error"),
            (Answer::pieces("image/png").write("0123456789").write("a"), 502, "upstream_invalid"),
            (Answer::text(200, "text/html", "<html>"), 502, "upstream_invalid"),
            (Answer::text(404, "image/png", "abc"), 502, "upstream_invalid"),
        ] {
            upstream.then(answer);
            take(&world, json!({"url": upstream.url()})).await.expect_error(status, code);
        }
        assert!(world.files().is_empty(), "{:?}", world.files());
    });
}

#[test]
fn by_default_nothing_is_fetched_from_this_machine() {
    block_on(async {
        let (world, upstream) = (World::new().await, MockUpstream::start().await);
        upstream.always(Answer::text(200, "image/png", "abc"));
        let refused = take(&world, json!({"url": upstream.url()})).await;
        let refused = refused.expect_error(502, "upstream_invalid");
        assert!(!refused.to_string().contains("127.0.0.1"), "{refused}");
        assert!(upstream.requests().is_empty());
    });
}
