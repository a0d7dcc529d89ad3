//! Whoever guesses codes has to wait.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::time::Duration;

use downcity_services::balance::sweep_vouchers;
use downcity_testkit::{Client, TestAppBuilder, TestReply, both_engines};
use serde_json::json;

use crate::common::{at_once, balance, code, post, text, times, user};

const HOME: IpAddr = IpAddr::V4(Ipv4Addr::new(192, 0, 2, 7));
const ELSEWHERE: IpAddr = IpAddr::V4(Ipv4Addr::new(192, 0, 2, 8));

async fn guess(client: &Client, number: usize) -> TestReply {
    post(client, "redeem-codes/redeem", json!({"code": format!("AAAA-BBBB-CCCC-{number:04}")}))
        .await
}

fn with_own_server(builder: TestAppBuilder) -> TestAppBuilder {
    balance(builder).settings(|settings| {
        settings.limits.exempt = vec!["192.0.2.7/32".parse().unwrap()];
    })
}

both_engines! {
    async fn ten_unknown_codes_are_enough_for_one_user(app: TestApp = balance) {
        let (ann, bob) = (user(&app, "ann").await, user(&app, "bob").await);
        let good = code(&app, 5, json!({})).await;
        for number in 0..10 {
            let error = guess(&ann, number).await.expect_error(404, "not_found");
            assert!(text(&error, "error").contains("redeem_code not found"), "{error}");
        }
        app.clock().advance(Duration::from_secs(30));
        let refused = guess(&ann, 10).await;
        refused.expect_error(429, "rate_limited");
        assert_eq!(refused.header("retry-after"), Some("570"));
        // Not even a code that exists, or the refusals would tell which do.
        post(&ann, "redeem-codes/redeem", json!({"code": good["code"]})).await.expect_error(429, "rate_limited");
        guess(&bob, 0).await.expect_error(404, "not_found");

        app.clock().advance(Duration::from_secs(570));
        guess(&ann, 11).await.expect_error(404, "not_found");
        post(&ann, "redeem-codes/redeem", json!({"code": good["code"]})).await.expect(200);
        for number in 0..9 {
            guess(&ann, number).await.expect_error(404, "not_found");
        }
        guess(&ann, 10).await.expect_error(429, "rate_limited");
        app.clock().advance(Duration::from_mins(11));
        assert_eq!(sweep_vouchers(app.runtime()).await.unwrap(), 2, "counts that are over are forgotten");
    }

    async fn what_was_answered_already_is_no_guess(app: TestApp = balance) {
        let ann = user(&app, "ann").await;
        let good = code(&app, 5, json!({})).await;
        let redeem = json!({"code": good["code"], "idempotency_key": "k1"});
        let first = post(&ann, "redeem-codes/redeem", redeem.clone()).await.expect(200);
        for number in 0..10 {
            guess(&ann, number).await.expect_error(404, "not_found");
        }
        guess(&ann, 10).await.expect_error(429, "rate_limited");
        assert_eq!(post(&ann, "redeem-codes/redeem", redeem).await.expect(200), first);
        // Another code under the same key is one, and so is the same code under another key.
        let other = json!({"code": "AAAA-BBBB-CCCC-0011", "idempotency_key": "k1"});
        post(&ann, "redeem-codes/redeem", other).await.expect_error(429, "rate_limited");
        let again = json!({"code": good["code"], "idempotency_key": "k2"});
        post(&ann, "redeem-codes/redeem", again).await.expect_error(429, "rate_limited");
    }

    async fn ten_unknown_codes_are_enough_from_one_address(app: TestApp = balance) {
        let (ann, bob) = (user(&app, "ann").await, user(&app, "bob").await);
        for number in 0..5 {
            guess(&ann.clone().at(HOME), number).await.expect_error(404, "not_found");
            guess(&bob.clone().at(HOME), number).await.expect_error(404, "not_found");
        }
        let cleo = user(&app, "cleo").await;
        guess(&cleo.clone().at(HOME), 0).await.expect_error(429, "rate_limited");
        guess(&ann.clone().at(ELSEWHERE), 5).await.expect_error(404, "not_found");
        let of_block = |last| IpAddr::V6(Ipv6Addr::new(0x2001, 0xdb8, 0, 7, 0, 0, 0, last));
        for number in 0..10 {
            let dan = user(&app, &format!("dan{number}")).await;
            guess(&dan.at(of_block(number)), 0).await.expect_error(404, "not_found");
        }
        guess(&cleo.at(of_block(77)), 0).await.expect_error(429, "rate_limited");
    }

    async fn a_products_own_server_is_not_one_guesser(app: TestApp = with_own_server) {
        for number in 0..12 {
            let user = user(&app, &format!("u{number}")).await;
            guess(&user.at(HOME), number).await.expect_error(404, "not_found");
        }
    }

    async fn guesses_at_once_are_counted_one_after_the_other(app: TestApp = balance) {
        let ann = user(&app, "ann").await;
        guess(&ann, 0).await.expect_error(404, "not_found");
        let replies = at_once(59, |number| {
            let ann = ann.clone();
            async move { guess(&ann, number + 1).await }
        })
        .await;
        assert_eq!((times(&replies, 404), times(&replies, 429)), (9, 50));
    }
}
