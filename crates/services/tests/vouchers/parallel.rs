//! Many at once: the money of one.

use std::time::Duration;

use downcity_services::balance::topups::{self, TopupEnd};
use downcity_services::balance::verify;
use downcity_services::{Balance, BalanceConfig};
use downcity_testkit::tokio::task::JoinSet;
use downcity_testkit::{Client, TestAppBuilder, both_engines};
use serde_json::json;

use crate::common::{at_once, balance, balance_of, code, get, ledger, post, text, times, user};

fn balance_once(builder: TestAppBuilder) -> TestAppBuilder {
    balance(builder).runs_once()
}

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

    async fn a_lost_race_credits_nothing_though_its_transaction_goes_on(app: TestApp = balance_once) {
        let ann = user(&app, "ann").await;
        let service = Balance::new(BalanceConfig::default());
        for round in 0..4 {
            let topup = post(&ann, "topups/create", json!({"amount": 5})).await.expect(200);
            let mut ends: JoinSet<(bool, bool)> = JoinSet::new();
            for number in 0..24 {
                let mut end = TopupEnd::new(app.runtime(), &text(&topup, "topup_id"), "payment:p");
                // As several payments of one top-up, and as one that is told several times.
                let payment_id = format!("{round}.{}", number % 5);
                end.effect = Some(format!("payment:{payment_id}"));
                end.noted.meta.insert("payment_id".to_owned(), payment_id.into());
                let (db, service) = (app.runtime().db().clone(), service.clone());
                ends.spawn(async move {
                    let is_cancel = number % 4 == 3;
                    let write = move |tx: &mut downcity_db::Tx<'_>| {
                        let ended = match is_cancel {
                            true => topups::cancel(tx, &end),
                            false => topups::finish(&service, tx, &end),
                        };
                        Ok::<_, downcity_core::Error>(ended.is_ok())
                    };
                    (is_cancel, db.write(write).await.unwrap())
                });
            }
            let won: Vec<_> = ends.join_all().await.into_iter().filter(|(_, won)| *won).collect();
            let status = get(&app.admin(), "topups?limit=1").await["items"][0]["status"].clone();
            let [(is_cancel, _)] = *won else { panic!("{won:?}") };
            assert_eq!(status, if is_cancel { "canceled" } else { "paid" });
            app.clock().advance(Duration::from_secs(1));
        }
        let paid = get(&app.admin(), "topups?status=paid").await["items"].as_array().unwrap().len();
        assert_eq!(ledger(&ann).await.len(), paid);
        assert_eq!(balance_of(&ann).await, paid as i64 * 5_000_000);
        let found = verify(app.runtime().db(), |_| ()).await.unwrap();
        assert!(found.is_whole(), "{found:?}");
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
        // A busy machine may not get to all of them in time; those charge nothing.
        let refused = times(&replies, 402) + times(&replies, 503);
        assert_eq!((times(&replies, 200), refused), (37, 963));
        let refused = replies.iter().find(|reply| reply.status == 402);
        refused.unwrap().expect_error(402, "insufficient_balance");
        assert_eq!(balance_of(&ann).await, 0);
    }
}
