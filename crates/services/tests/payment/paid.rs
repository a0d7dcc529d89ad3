//! Money that comes: once, however often and in whatever order the provider tells of it.

use downcity_services::balance::topups::{self, TopupEnd};
use downcity_services::payment::sandbox::{Moment, Vendor};
use downcity_services::{Balance, BalanceConfig};
use downcity_testkit::{TestApp, both_engines};
use futures_util::future::join_all;
use serde_json::json;

use crate::common::{Shop, text, usd};

/// Runs a test with each vendor.
async fn with_each(app: &TestApp, test: impl AsyncFn(Shop, &str)) {
    for vendor in Vendor::ALL {
        let shop = Shop::open(app, vendor).await;
        test(shop, vendor.id()).await;
    }
}

both_engines! {
    async fn a_payment_is_credited_once(app: TestApp) {
        with_each(&app, async |shop: Shop, ann: &str| {
            let buyer = shop.buyer(ann).await;
            assert_eq!(shop.credits(&buyer.client).await, 0);
            shop.tell("evt_1", &usd(2500), &buyer.sold, "applied").await;
            assert_eq!(shop.credits(&buyer.client).await, 25);
            // The same event again, another one that says the same, and one that came too late.
            shop.tell("evt_1", &usd(2500), &buyer.sold, "applied").await;
            shop.tell("evt_2", &usd(2500), &buyer.sold, "applied").await;
            for moment in [Moment::Expired, Moment::Failed] {
                if shop.vendor.draft("evt_3", &moment, &buyer.sold, shop.now()).is_some() {
                    let event_id = format!("evt_3_{moment:?}");
                    shop.tell(&event_id, &moment, &buyer.sold, "ignored").await;
                }
            }
            assert_eq!(shop.credits(&buyer.client).await, 25);
            let payment = shop.payment(&buyer.sold).await;
            assert_eq!(payment["status"], "paid");
            assert_eq!((&payment["paid_minor"], &payment["paid_currency"]), (&json!(2500), &json!("usd")));
            assert_eq!(payment["credited_topup_id"], *buyer.topup_id);
            let topups = buyer.client.get("/v1/balance/topups/me").await.expect(200);
            assert_eq!(topups["items"][0]["status"], "paid");
            let own = buyer.client.get("/v1/payment/payments/me").await.expect(200);
            assert_eq!(own["items"][0]["status"], "paid");
            assert_eq!(own["items"][0]["metadata_json"], json!(null), "facts of the trusted side");
            let entry = buyer.client.get("/v1/balance/history/me").await.expect(200)["items"][0].clone();
            assert_eq!(entry["kind"], "topup");
            assert!(text(&entry, "metadata_json").contains(&buyer.sold.payment_id), "{entry}");
        })
        .await;
    }

    async fn of_many_deliveries_at_once_one_credits(app: TestApp) {
        with_each(&app, async |shop: Shop, ann: &str| {
            let buyer = shop.buyer(ann).await;
            let event_ids: Vec<String> = (0..12).map(|number| format!("evt_{}", number % 4)).collect();
            let moment = usd(2500);
            let deliveries = event_ids
                .iter()
                .map(|event_id| shop.delivery(event_id, &moment, &buyer.sold).unwrap())
                .collect::<Vec<_>>();
            let acks = join_all(deliveries.iter().map(|delivery| shop.send(delivery))).await;
            for ack in acks {
                // One that another run is handling is told so.
                let status = ack.expect(200)["sync_status"].clone();
                assert!(status == "applied" || status == "pending", "{status}");
            }
            assert_eq!(shop.credits(&buyer.client).await, 25);
            assert_eq!(shop.status(&buyer.sold).await, "paid");
        })
        .await;
    }

    async fn a_late_success_wins(app: TestApp) {
        with_each(&app, async |shop: Shop, ann: &str| {
            for (number, moment) in [Moment::Expired, Moment::Failed].into_iter().enumerate() {
                let buyer = shop.buyer(&format!("{ann}{number}")).await;
                let event_id = format!("evt_over_{number}");
                if shop.delivery(&event_id, &moment, &buyer.sold).is_none() {
                    continue;
                }
                shop.tell(&event_id, &moment, &buyer.sold, "applied").await;
                let expected = if moment == Moment::Expired { "expired" } else { "failed" };
                assert_eq!(shop.status(&buyer.sold).await, expected);
                shop.tell(&format!("evt_paid_{number}"), &usd(2500), &buyer.sold, "applied").await;
                assert_eq!(shop.status(&buyer.sold).await, "paid");
                assert_eq!(shop.credits(&buyer.client).await, 25);
            }
        })
        .await;
    }

    async fn a_payment_counts_also_after_its_topup_and_checkout_have_ended(app: TestApp) {
        let shop = Shop::open(&app, Vendor::Stripe).await;
        let buyer = shop.buyer("ann").await;
        shop.app.clock().advance(std::time::Duration::from_secs(25 * 3600));
        shop.payment.sweep(shop.app.runtime()).await.unwrap();
        assert_eq!(shop.status(&buyer.sold).await, "expired");
        downcity_services::balance::sweep_vouchers(shop.app.runtime()).await.unwrap();
        let topups = buyer.client.get("/v1/balance/topups/me").await.expect(200);
        assert_eq!(topups["items"][0]["status"], "canceled");
        shop.tell("evt_1", &usd(2500), &buyer.sold, "applied").await;
        assert_eq!(shop.status(&buyer.sold).await, "paid");
        assert_eq!(shop.credits(&buyer.client).await, 25);
        let topups = buyer.client.get("/v1/balance/topups/me").await.expect(200);
        assert_eq!(topups["items"][0]["status"], "paid", "{topups}");
    }

    async fn too_little_or_other_money_waits_for_an_administrator(app: TestApp) {
        with_each(&app, async |shop: Shop, ann: &str| {
            let euros = Moment::Paid { minor: 2500, currency: "eur".to_owned() };
            for (number, moment) in [usd(2499), usd(0), euros].into_iter().enumerate() {
                let buyer = shop.buyer(&format!("{ann}{number}")).await;
                let event_id = format!("evt_{number}");
                shop.tell(&event_id, &moment, &buyer.sold, "applied").await;
                // What comes later changes nothing by itself.
                shop.tell(&format!("{event_id}_again"), &usd(2500), &buyer.sold, "applied").await;
                let payment = shop.payment(&buyer.sold).await;
                assert_eq!(payment["status"], "review");
                assert!(text(&payment, "last_error").contains("in place of 2500 usd"), "{payment}");
                assert_eq!(shop.credits(&buyer.client).await, 0);
                let listed = shop.app.admin().get("/v1/payment/payments?status=review").await.expect(200);
                let mut listed = listed["items"].as_array().unwrap().iter();
                assert!(listed.any(|payment| payment["payment_id"] == *buyer.sold.payment_id));
            }
        })
        .await;
    }

    async fn more_money_than_asked_for_is_enough(app: TestApp) {
        with_each(&app, async |shop: Shop, ann: &str| {
            let buyer = shop.buyer(ann).await;
            shop.tell("evt_1", &usd(2975), &buyer.sold, "applied").await;
            assert_eq!(shop.status(&buyer.sold).await, "paid");
            assert_eq!(shop.credits(&buyer.client).await, 25);
        })
        .await;
    }

    async fn an_administrator_decides_on_what_waits(app: TestApp) {
        let shop = Shop::open(&app, Vendor::Stripe).await;
        let resolve = async |payment_id: &str, credit: bool| {
            let input = json!({"payment_id": payment_id, "credit": credit});
            shop.app.admin().post("/v1/payment/payments/resolve", input).await
        };
        let (ann, bob) = (shop.buyer("ann").await, shop.buyer("bob").await);
        shop.tell("evt_1", &usd(2499), &ann.sold, "applied").await;
        shop.tell("evt_2", &usd(2499), &bob.sold, "applied").await;
        let credited = resolve(&ann.sold.payment_id, true).await.expect(200);
        assert_eq!((&credited["status"], &credited["last_error"]), (&json!("paid"), &json!("")));
        assert_eq!(shop.credits(&ann.client).await, 25);
        resolve(&ann.sold.payment_id, true).await.expect_error(409, "conflict");
        let dismissed = resolve(&bob.sold.payment_id, false).await.expect(200);
        assert_eq!(dismissed["status"], "failed");
        assert_eq!(shop.credits(&bob.client).await, 0);
        resolve("pay_none", true).await.expect_error(404, "not_found");
        let audit = shop.app.admin().get("/v1/audit/list?limit=2").await.expect(200);
        assert_eq!(audit["items"][0]["target_kind"], "payment", "{audit}");
    }

    async fn a_topup_that_is_paid_twice_is_credited_twice(app: TestApp) {
        let shop = Shop::open(&app, Vendor::Creem).await;
        let buyer = shop.buyer("ann").await;
        let shop = { shop.sell_through(Vendor::Dodo).await; Shop { vendor: Vendor::Dodo, ..shop } };
        let other = shop.check_out(&buyer.client, &buyer.topup_id).await.expect(200);
        let other = shop.sold(&other, "ann");
        assert_ne!(other.payment_id, buyer.sold.payment_id);
        shop.tell("evt_1", &usd(2500), &other, "applied").await;
        assert_eq!(shop.credits(&buyer.client).await, 25);
        let shop = Shop { vendor: Vendor::Creem, ..shop };
        shop.tell("evt_2", &usd(2500), &buyer.sold, "applied").await;
        assert_eq!(shop.credits(&buyer.client).await, 50);
        let payment = shop.payment(&buyer.sold).await;
        assert_eq!(payment["status"], "paid");
        let further = text(&payment, "credited_topup_id");
        assert_ne!(further, buyer.topup_id);
        let topups = buyer.client.get("/v1/balance/topups/me").await.expect(200);
        let further = topups["items"].as_array().unwrap().iter().find(|topup| topup["topup_id"] == *further);
        assert!(text(further.unwrap(), "metadata_json").contains(&buyer.topup_id), "{topups}");
        shop.tell("evt_3", &usd(2500), &buyer.sold, "applied").await;
        assert_eq!(shop.credits(&buyer.client).await, 50, "once per payment");
    }

    async fn a_topup_that_is_paid_twice_may_wait_for_an_administrator(app: TestApp) {
        let shop = Shop::open_with(&app, Vendor::Creem, json!({"paid_twice": "review"})).await;
        let buyer = shop.buyer("ann").await;
        let finish = json!({"topup_id": buyer.topup_id});
        shop.app.admin().post("/v1/balance/topups/finish", finish).await.expect(200);
        shop.tell("evt_1", &usd(2500), &buyer.sold, "applied").await;
        assert_eq!(shop.status(&buyer.sold).await, "review");
        assert_eq!(shop.credits(&buyer.client).await, 25);
        let input = json!({"payment_id": buyer.sold.payment_id, "credit": true});
        shop.app.admin().post("/v1/payment/payments/resolve", input).await.expect(200);
        assert_eq!(shop.credits(&buyer.client).await, 50);
    }

    async fn a_payment_waits_for_whoever_ends_its_topup(app: TestApp) {
        let shop = Shop::open_for_races(&app, Vendor::Creem).await;
        let buyer = shop.buyer("ann").await;
        let balance = Balance::new(BalanceConfig::default());
        let end = TopupEnd::new(shop.app.runtime(), &buyer.topup_id, "admin");
        let finish = move |tx: &mut downcity_db::Tx<'_>| topups::finish(&balance, tx, &end).map(drop);
        let delivery = shop.delivery("evt_1", &usd(2500), &buyer.sold).unwrap();
        let ack = shop.app.during(finish, shop.send(&delivery)).await;
        assert_eq!(ack.expect(200)["sync_status"], "applied");
        // The money came after the administrator gave the credits away: it buys others.
        let payment = shop.payment(&buyer.sold).await;
        assert_eq!(payment["status"], "paid", "{payment}");
        assert_ne!(payment["credited_topup_id"], *buyer.topup_id);
        assert_eq!(shop.credits(&buyer.client).await, 50);
    }

    async fn what_a_wallet_refuses_waits_and_leaves_no_trace_in_it(app: TestApp) {
        let shop = Shop::open(&app, Vendor::Stripe).await;
        let buyer = shop.buyer("ann").await;
        // No wallet holds more than 2^53 - 1 microcredits.
        let add = json!({"user_id": "ann", "city_id": "shop", "amount": 9_007_199_250_u64});
        shop.app.admin().post("/v1/balance/add", add).await.expect(200);
        let before = shop.credits(&buyer.client).await;
        shop.tell("evt_1", &usd(2500), &buyer.sold, "applied").await;
        assert_eq!(shop.credits(&buyer.client).await, before);
        let payment = shop.payment(&buyer.sold).await;
        assert_eq!((&payment["status"], &payment["credited_topup_id"]), (&json!("review"), &json!("")));
        let topups = buyer.client.get("/v1/balance/topups/me").await.expect(200);
        assert_eq!(topups["items"][0]["status"], "pending", "{topups}");
        let sub = json!({"user_id": "ann", "city_id": "shop", "amount": 9_007_199_250_u64});
        shop.app.admin().post("/v1/balance/sub", sub).await.expect(200);
        let input = json!({"payment_id": buyer.sold.payment_id, "credit": true});
        shop.app.admin().post("/v1/payment/payments/resolve", input).await.expect(200);
        assert_eq!(shop.credits(&buyer.client).await, 25);
    }
}
