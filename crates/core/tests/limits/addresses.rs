//! What is counted by address: calls, and credentials that are not valid.

use downcity_core::Body;
use http::Method;
use serde_json::json;

use crate::common::{at, expect_limited, statuses, told, with};

const OPEN: &str = "/v1/probe/open";
const MINE: &str = "/v1/probe/mine";
const HERE: &str = "192.0.2.1";

#[test]
fn an_address_has_so_many_calls_and_others_have_theirs() {
    with(
        |limits| limits.address = 3,
        async |app| {
            let here = at(app.guest(), HERE);
            assert_eq!(told(&here.get(OPEN).await), (3, 2));
            assert_eq!(here.get("/nowhere").await.status, 404, "errors count as well");
            assert_eq!(told(&here.get(MINE).await), (3, 0), "and tell how the limit stands");
            let wait = expect_limited(&here.get(OPEN).await, 3);
            expect_limited(&here.get("/nowhere").await, 3);
            expect_limited(&here.post(OPEN, json!({})).await, 3);

            assert_eq!(at(app.guest(), "192.0.2.2").get(OPEN).await.status, 200);
            assert_eq!(statuses(&app.guest(), OPEN, 9).await, [200; 9], "without an address");
            expect_limited(&at(app.admin(), HERE).get(OPEN).await, 3);

            app.clock().advance(wait);
            assert_eq!(here.get(OPEN).await.status, 200);
        },
    );
}

#[test]
fn probes_are_never_refused() {
    with(
        |limits| limits.address = 1,
        async |app| {
            let here = at(app.user("nonsense"), HERE);
            for path in ["/livez", "/readyz", "/health"] {
                assert_eq!(statuses(&here, path, 5).await, [200; 5], "{path}");
                assert!(here.get(path).await.header("x-ratelimit-limit").is_none());
            }
            assert_eq!(here.get("/").await.status, 200);
            expect_limited(&here.get("/").await, 1);
            assert_eq!(here.get("/readyz").await.status, 200);
        },
    );
}

#[test]
fn a_block_of_ipv6_is_one_subscriber() {
    with(
        |limits| limits.address = 2,
        async |app| {
            for address in ["2001:db8:0:1::1", "2001:db8:0:1:ffff::2"] {
                assert_eq!(at(app.guest(), address).get(OPEN).await.status, 200);
            }
            expect_limited(&at(app.guest(), "2001:db8:0:1::3").get(OPEN).await, 2);
            assert_eq!(at(app.guest(), "2001:db8:0:2::1").get(OPEN).await.status, 200);
            // An address of IPv4 in a socket of IPv6 is itself, not one of a block of all of them.
            for address in ["::ffff:192.0.2.1", "::ffff:192.0.2.2", "::ffff:192.0.2.3"] {
                assert_eq!(at(app.guest(), address).get(OPEN).await.status, 200);
            }
        },
    );
}

#[test]
fn exempt_blocks_have_no_limit_at_all() {
    with(
        |limits| {
            (limits.address, limits.user, limits.failed_auth) = (1, 1, 1);
            limits.exempt = ["10.0.0.0/8", "2001:db8::/32"].map(|it| it.parse().unwrap()).into();
        },
        async |app| {
            let token = app.token("a", "u").await;
            for address in ["10.1.2.3", "::ffff:10.1.2.4", "2001:db8::7"] {
                let user = at(app.user(&token), address);
                assert_eq!(statuses(&user, MINE, 3).await, [200; 3], "{address}");
                assert!(user.get(MINE).await.header("x-ratelimit-limit").is_none());
                assert_eq!(statuses(&at(app.user("bad"), address), MINE, 3).await, [401; 3]);
            }
            assert_eq!(statuses(&at(app.user(&token), "11.0.0.1"), MINE, 2).await, [200, 429]);
        },
    );
}

#[test]
fn invalid_credentials_lock_out_those_who_send_them_and_nobody_else() {
    with(
        |limits| limits.failed_auth = 3,
        async |app| {
            let token = app.token("a", "u").await;
            let key = json!({"name": "K", "actions": ["probe/*"]});
            let key = app.admin().post("/v1/keys/create", key).await.expect(200);
            let key = key["key"].as_str().unwrap();

            let guesses = ["admin_guess", "ub_guess", "fk_guess", "ub_a.b", "x"];
            for (number, guess) in guesses.into_iter().enumerate() {
                let reply = at(app.user(guess), HERE).get(MINE).await;
                if number < 3 {
                    reply.expect_error(401, "invalid_credential");
                } else {
                    expect_limited(&reply, 3);
                }
            }
            // An action open to guests would tell as well whether a guess was right.
            expect_limited(&at(app.user("guess"), HERE).get(OPEN).await, 3);

            for client in [app.user(&token), app.user(key), app.admin()] {
                assert_eq!(statuses(&at(client, HERE), MINE, 5).await, [200; 5]);
            }
            assert_eq!(at(app.guest(), HERE).get(OPEN).await.status, 200);
            at(app.guest(), HERE).get(MINE).await.expect_error(401, "missing_credential");
            assert_eq!(at(app.user("guess"), "192.0.2.2").get(MINE).await.status, 401);
            assert_eq!(statuses(&app.user("guess"), MINE, 9).await, [401; 9], "no address");

            let wait = expect_limited(&at(app.user("guess"), HERE).get(MINE).await, 3);
            app.clock().advance(wait);
            assert_eq!(at(app.user("guess"), HERE).get(MINE).await.status, 401);
        },
    );
}

#[test]
fn a_token_that_was_good_is_no_guess() {
    with(
        |limits| limits.failed_auth = 1,
        async |app| {
            let ttl = json!({"city_id": "a", "user_id": "u", "ttl": "1s"});
            let expired = app.token_with(ttl).await;
            app.clock().advance(std::time::Duration::from_secs(2));
            let revoked = app.token("b", "v").await;
            let input = json!({"city_id": "b", "user_id": "v"});
            app.admin().post("/v1/cities/tokens/revoke", input).await.expect(200);
            app.clock().advance(std::time::Duration::from_secs(2));

            assert_eq!(statuses(&at(app.user("guess"), HERE), MINE, 2).await, [401, 429]);
            for (token, code) in [(&expired, "token_expired"), (&revoked, "token_revoked")] {
                for _ in 0..3 {
                    at(app.user(token), HERE).get(MINE).await.expect_error(401, code);
                }
            }
        },
    );
}

#[test]
fn a_refusal_comes_before_the_body_is_read() {
    with(
        |limits| (limits.address, limits.user) = (4, 1),
        async |app| {
            let user = at(app.user(&app.token("a", "u").await), HERE);
            let large = || Body::from("x".repeat(100));
            let send = async || user.send(Method::POST, "/v1/probe/text", large()).await;
            send().await.expect_error(413, "payload_too_large");
            expect_limited(&send().await, 1);
        },
    );
}
