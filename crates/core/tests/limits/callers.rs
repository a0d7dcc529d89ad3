//! What is counted by who calls.

use serde_json::{Value, json};

use crate::common::{at, expect_limited, statuses, told, with};

const MINE: &str = "/v1/probe/mine";

#[test]
fn a_user_has_so_many_calls_wherever_they_come_from() {
    with(
        |limits| limits.user = 2,
        async |app| {
            let (one, two) = (app.token("a", "u").await, app.token("a", "u").await);
            assert_eq!(told(&at(app.user(&one), "192.0.2.1").get(MINE).await), (2, 1));
            assert_eq!(told(&at(app.user(&two), "192.0.2.2").get(MINE).await), (2, 0));
            let refused = app.user(&one).get(MINE).await;
            let wait = expect_limited(&refused, 2);
            assert!(refused.text().contains("This user"), "{}", refused.text());

            let other = app.user(&app.token("b", "u").await).get(MINE).await;
            assert_eq!(told(&other), (2, 1), "a user of another city is another user");
            app.clock().advance(wait);
            assert_eq!(app.user(&one).get(MINE).await.status, 200);
        },
    );
}

#[test]
fn a_city_has_so_many_calls_and_a_users_excess_is_not_its_own() {
    with(
        |limits| (limits.user, limits.city) = (3, 5),
        async |app| {
            let (u, v) =
                (app.user(&app.token("a", "u").await), app.user(&app.token("a", "v").await));
            assert_eq!(statuses(&u, MINE, 9).await, [200, 200, 200, 429, 429, 429, 429, 429, 429]);
            assert_eq!(told(&v.get(MINE).await), (5, 1), "the tightest limit is told");
            assert_eq!(statuses(&v, MINE, 2).await, [200, 429]);
            expect_limited(&v.get(MINE).await, 5);
            let other = app.user(&app.token("b", "u").await);
            assert_eq!(other.get(MINE).await.status, 200);
        },
    );
}

#[test]
fn a_service_key_has_so_many_calls_and_the_admin_key_any() {
    with(
        |limits| (limits.credential, limits.federation) = (2, 7),
        async |app| {
            let create = async || {
                let input = json!({"name": "K", "actions": ["probe/*"]});
                let made = app.admin().post("/v1/keys/create", input).await.expect(200);
                made["key"].as_str().unwrap().to_owned()
            };
            let (one, two) = (app.user(&create().await), app.user(&create().await));
            assert_eq!(statuses(&one, MINE, 3).await, [200, 200, 429]);
            assert_eq!(told(&two.get(MINE).await), (2, 1));
            assert_eq!(statuses(&app.admin(), MINE, 20).await, [200; 20]);
            assert!(app.admin().get(MINE).await.header("x-ratelimit-limit").is_none());

            // Four calls are left to everybody else, with or without a credential.
            let user = app.user(&app.token("a", "u").await);
            assert_eq!(statuses(&user, MINE, 2).await, [200; 2]);
            assert_eq!(statuses(&app.guest(), "/v1/probe/open", 3).await, [200, 200, 429]);
            expect_limited(&user.get(MINE).await, 7);
            assert_eq!(app.admin().get(MINE).await.status, 200, "an operator always gets in");
        },
    );
}

#[test]
fn refusals_have_the_shape_of_their_route() {
    with(
        |limits| limits.user = 1,
        async |app| {
            let user = app.user(&app.token("a", "u").await);
            assert_eq!(user.get("/v1/probe/chat").await.status, 200);
            let refused = user.get("/v1/probe/chat").await;
            let body = refused.expect(429);
            assert_eq!(body["error"]["type"], "rate_limit_error");
            assert_eq!(body["error"]["code"], "rate_limited");
            assert_eq!(body["error"]["param"], Value::Null);
            assert!(refused.header("retry-after").is_some());
            assert_eq!(told(&refused), (1, 0));
        },
    );
}

#[test]
fn without_limits_nothing_is_told() {
    with(
        |_| (),
        async |app| {
            let user = at(app.user(&app.token("a", "u").await), "192.0.2.1");
            let reply = user.get(MINE).await;
            assert_eq!(reply.status, 200);
            assert!(!reply.headers.keys().any(|name| name.as_str().starts_with("x-ratelimit")));
        },
    );
}

#[test]
fn a_clock_that_jumps_a_day_locks_nobody_out() {
    with(
        |limits| limits.user = 1,
        async |app| {
            let user = app.user(&app.token("a", "u").await);
            let day = std::time::Duration::from_hours(24);
            let now = downcity_core::Clock::now(app.clock());
            for time in [now, now.saturating_add(day), now.saturating_sub(day), now] {
                app.clock().set(time);
                let seen = statuses(&user, MINE, 2).await;
                assert_eq!(seen[1], 429);
                // A token from the future is not valid; what is left is that nobody is refused.
                assert!(seen[0] == 200, "{seen:?} at {time}");
            }
        },
    );
}
