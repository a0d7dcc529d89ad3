//! Guessing and flooding.

use std::net::IpAddr;
use std::time::Duration;

use downcity_testkit::{TestApp, TestReply, both_engines};
use serde_json::json;

use crate::common::{PASSWORD, accounts, mailed_token, mailing, register, requiring};

fn address(text: &str) -> IpAddr {
    text.parse().unwrap()
}

async fn login_at(app: &TestApp, from: &str, email: &str, password: &str) -> TestReply {
    let input = json!({"email": email, "password": password, "city_id": "shop"});
    app.guest().at(address(from)).post("/v1/accounts/login", input).await
}

#[track_caller]
fn expect_throttled(reply: &TestReply) -> u64 {
    reply.expect_error(429, "rate_limited");
    reply.header("retry-after").expect("says when").parse().unwrap()
}

both_engines! {
    async fn guessing_from_one_address_is_slowed_down(app: TestApp = accounts) {
        app.create_city("shop").await;
        register(&app, "ann@example.com").await;
        for _ in 0..10 {
            let wrong = login_at(&app, "192.0.2.1", "ann@example.com", "wrong horse").await;
            wrong.expect_error(401, "invalid_login");
        }
        // The right password too: whoever guesses learns nothing.
        let wait = expect_throttled(&login_at(&app, "192.0.2.1", "ann@example.com", PASSWORD).await);
        assert!((890..=900).contains(&wait), "{wait}");
        // The owner elsewhere, and others here, are not concerned.
        login_at(&app, "192.0.2.2", "ann@example.com", PASSWORD).await.expect(200);
        login_at(&app, "192.0.2.1", "bob@example.com", "wrong horse").await.expect_error(401, "invalid_login");
        app.clock().advance(Duration::from_secs(wait));
        login_at(&app, "192.0.2.1", "ann@example.com", PASSWORD).await.expect(200);
    }

    async fn trying_many_accounts_from_one_address_is_slowed_down(app: TestApp = accounts) {
        app.create_city("shop").await;
        for number in 0..30 {
            // All of one /64, which one customer has.
            let from = format!("2001:db8:0:1::{number:x}");
            let wrong = login_at(&app, &from, &format!("u{number}@example.com"), "wrong horse").await;
            wrong.expect_error(401, "invalid_login");
        }
        expect_throttled(&login_at(&app, "2001:db8:0:1::ffff", "x@example.com", "wrong horse").await);
        let other = login_at(&app, "2001:db8:0:2::1", "x@example.com", "wrong horse").await;
        other.expect_error(401, "invalid_login");
    }

    async fn strangers_cannot_lock_the_owner_out(app: TestApp = accounts) {
        app.create_city("shop").await;
        register(&app, "ann@example.com").await;
        login_at(&app, "192.0.2.1", "ann@example.com", PASSWORD).await.expect(200);
        for number in 0..100 {
            let from = format!("198.51.100.{number}");
            let wrong = login_at(&app, &from, "ann@example.com", "wrong horse").await;
            wrong.expect_error(401, "invalid_login");
        }
        // From addresses that the owner has never used it is enough, and goes on where they are known.
        let stranger = login_at(&app, "198.51.100.200", "ann@example.com", PASSWORD).await;
        let wait = expect_throttled(&stranger);
        login_at(&app, "192.0.2.1", "ann@example.com", PASSWORD).await.expect(200);
        app.clock().advance(Duration::from_secs(wait));
        login_at(&app, "198.51.100.200", "ann@example.com", PASSWORD).await.expect(200);
    }

    async fn a_new_password_lets_the_owner_in_whatever_strangers_do(app: TestApp = mailing) {
        app.create_city("shop").await;
        register(&app, "ann@example.com").await;
        let guess = async || {
            for number in 0..100 {
                login_at(&app, &format!("198.51.100.{number}"), "ann@example.com", "wrong horse").await;
            }
        };
        guess().await;
        expect_throttled(&login_at(&app, "192.0.2.7", "ann@example.com", PASSWORD).await);
        let here = app.guest().at(address("192.0.2.7"));
        here.post("/v1/accounts/password/forgot", json!({"email": "ann@example.com"})).await.expect(200);
        let token = mailed_token(&app, "ann@example.com", "A new password").await;
        let input = json!({"token": token, "password": "another horse"});
        here.post("/v1/accounts/password/reset", input).await.expect(200);
        // Also elsewhere, until strangers go on; here also then.
        login_at(&app, "192.0.2.8", "ann@example.com", "another horse").await.expect(200);
        guess().await;
        expect_throttled(&login_at(&app, "192.0.2.9", "ann@example.com", "another horse").await);
        login_at(&app, "192.0.2.7", "ann@example.com", "another horse").await.expect(200);
    }

    async fn who_registered_with_the_address_of_somebody_else_is_a_stranger(app: TestApp = mailing) {
        app.create_city("shop").await;
        let input = json!({"email": "ann@example.com", "password": PASSWORD, "city_id": "shop"});
        let elsewhere = app.guest().at(address("203.0.113.5"));
        elsewhere.post("/v1/accounts/register", input).await.expect(200);
        let here = app.guest().at(address("192.0.2.7"));
        here.post("/v1/accounts/password/forgot", json!({"email": "ann@example.com"})).await.expect(200);
        let token = mailed_token(&app, "ann@example.com", "A new password").await;
        let input = json!({"token": token, "password": "another horse"});
        here.post("/v1/accounts/password/reset", input).await.expect(200);
        for number in 0..100 {
            login_at(&app, &format!("198.51.100.{number}"), "ann@example.com", "wrong horse").await;
        }
        expect_throttled(&login_at(&app, "203.0.113.5", "ann@example.com", "wrong horse").await);
        login_at(&app, "192.0.2.7", "ann@example.com", "another horse").await.expect(200);
    }

    async fn a_success_forgives_what_was_typed_wrong(app: TestApp = accounts) {
        app.create_city("shop").await;
        register(&app, "ann@example.com").await;
        for _ in 0..2 {
            for _ in 0..9 {
                let wrong = login_at(&app, "192.0.2.1", "ann@example.com", "wrong horse").await;
                wrong.expect_error(401, "invalid_login");
            }
            login_at(&app, "192.0.2.1", "ann@example.com", PASSWORD).await.expect(200);
        }
    }

    async fn nodes_count_together(app: TestApp = accounts) {
        app.create_city("shop").await;
        let engine = app.database_url().engine();
        let other = accounts(TestApp::builder(engine)).on_database_of(&app).start().await;
        for number in 0..10 {
            let node = if number % 2 == 0 { &app } else { &other };
            let wrong = login_at(node, "192.0.2.1", "ann@example.com", "wrong horse").await;
            wrong.expect_error(401, "invalid_login");
        }
        expect_throttled(&login_at(&app, "192.0.2.1", "ann@example.com", "wrong horse").await);
        expect_throttled(&login_at(&other, "192.0.2.1", "ann@example.com", "wrong horse").await);
    }

    async fn mails_are_not_for_flooding(app: TestApp = mailing) {
        app.create_city("shop").await;
        let start = async |from: &str, email: &str| {
            let input = json!({"email": email, "city_id": "shop"});
            app.guest().at(address(from)).post("/v1/accounts/code/start", input).await
        };
        for _ in 0..5 {
            start("192.0.2.1", "ann@example.com").await.expect(200);
        }
        expect_throttled(&start("192.0.2.1", "ann@example.com").await);
        for number in 0..15 {
            start(&format!("198.51.100.{number}"), "ann@example.com").await.expect(200);
        }
        expect_throttled(&start("203.0.113.1", "ann@example.com").await);
        start("203.0.113.1", "bob@example.com").await.expect(200);
    }

    async fn registrations_that_send_mails_are_not_for_flooding(app: TestApp = requiring) {
        app.create_city("shop").await;
        let register = async |from: &str, email: &str| {
            let input = json!({"email": email, "password": PASSWORD});
            app.guest().at(address(from)).post("/v1/accounts/register", input).await
        };
        for _ in 0..5 {
            register("192.0.2.1", "ann@example.com").await.expect(200);
        }
        expect_throttled(&register("192.0.2.1", "ann@example.com").await);
        // They count together with mails that are asked for otherwise.
        let input = json!({"email": "ann@example.com"});
        let here = app.guest().at(address("192.0.2.1"));
        expect_throttled(&here.post("/v1/accounts/verify-email/resend", input).await);
        for number in 0..15 {
            register(&format!("198.51.100.{number}"), "ann@example.com").await.expect(200);
        }
        expect_throttled(&register("203.0.113.1", "ann@example.com").await);
        register("203.0.113.1", "bob@example.com").await.expect(200);
    }

    async fn a_server_of_the_product_signs_people_in_for_them(app: TestApp = accounts) {
        app.create_city("shop").await;
        register(&app, "ann@example.com").await;
        let admin = app.admin().at(address("192.0.2.9"));
        for number in 0..40 {
            let password = if number == 39 { PASSWORD } else { "wrong horse" };
            let input = json!({"email": "ann@example.com", "password": password, "city_id": "shop"});
            let reply = admin.post("/v1/accounts/login", input).await;
            assert_eq!(reply.status, if number == 39 { 200 } else { 401 });
        }
    }
}
