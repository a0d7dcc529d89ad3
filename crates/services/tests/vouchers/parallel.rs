//! Many at once: the money of one.

use downcity_testkit::{Client, both_engines};
use serde_json::json;

use crate::common::{at_once, balance, balance_of, code, ledger, post, times, user};

both_engines! {
    async fn a_thousand_redeems_of_one_code_are_one_credit(app: TestApp = balance) {
        let made = code(&app, 40, json!({})).await;
        let mut users: Vec<Client> = Vec::new();
        for number in 0..100 {
            users.push(user(&app, &format!("user-{number}")).await);
        }
        let replies = at_once(1_000, |number| {
            let (user, code) = (users[number % 100].clone(), made["code"].clone());
            async move { post(&user, "redeem-codes/redeem", json!({"code": code})).await }
        })
        .await;
        assert_eq!((times(&replies, 200), times(&replies, 409)), (1, 999));
        let mut credited = 0;
        for user in &users {
            credited += balance_of(user).await;
        }
        assert_eq!(credited, 40_000_000);
    }

    async fn a_thousand_uses_of_a_code_for_many_are_as_many_as_it_allows(app: TestApp = balance) {
        let made = code(&app, 1, json!({"max_uses": 70, "max_uses_per_user": 2})).await;
        let mut users: Vec<Client> = Vec::new();
        for number in 0..50 {
            users.push(user(&app, &format!("user-{number}")).await);
        }
        let replies = at_once(300, |number| {
            let (user, code) = (users[number % 50].clone(), made["code"].clone());
            async move { post(&user, "redeem-codes/redeem", json!({"code": code})).await }
        })
        .await;
        assert_eq!((times(&replies, 200), times(&replies, 409)), (70, 230));
        let mut credited = 0;
        for user in &users {
            let has = balance_of(user).await;
            assert!(has <= 2_000_000, "{has}");
            credited += has;
        }
        assert_eq!(credited, 70_000_000);
    }

    async fn a_hundred_ends_of_one_topup_are_one_credit(app: TestApp = balance) {
        let ann = user(&app, "ann").await;
        let topup = post(&ann, "topups/create", json!({"amount": 5})).await.expect(200);
        let end = json!({"topup_id": topup["topup_id"]});
        let replies = at_once(100, |number| {
            let (admin, end) = (app.admin(), end.clone());
            let action = if number % 4 == 3 { "topups/cancel" } else { "topups/finish" };
            async move { post(&admin, action, end).await }
        })
        .await;
        assert_eq!((times(&replies, 200), times(&replies, 409)), (1, 99));
        let credited = ledger(&ann).await.len() as i64;
        assert_eq!(balance_of(&ann).await, credited * 5_000_000);
        assert!(credited <= 1);
    }

    async fn a_thousand_charges_are_as_many_as_the_funds_allow(app: TestApp = balance) {
        let ann = user(&app, "ann").await;
        let admin = app.admin();
        let funds = json!({"user_id": "ann", "city_id": "shop", "amount": "0.037"});
        post(&admin, "add", funds).await.expect(200);
        let replies = at_once(1_000, |number| {
            let admin = admin.clone();
            let input = json!({
                "user_id": "ann", "city_id": "shop", "amount_microcredits": 1_000,
                "ref": format!("call {number}"),
            });
            async move { post(&admin, "charge", input).await }
        })
        .await;
        assert_eq!((times(&replies, 200), times(&replies, 402)), (37, 963));
        let refused = replies.iter().find(|reply| reply.status == 402);
        refused.unwrap().expect_error(402, "insufficient_balance");
        assert_eq!(balance_of(&ann).await, 0);
    }
}
