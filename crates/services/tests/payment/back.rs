//! Money that goes back: refunds and disputes.

use std::time::Duration;

use downcity_services::balance::verify;
use downcity_services::payment::sandbox::{Moment, Sold, Vendor};
use downcity_testkit::{TestReply, both_engines};
use futures_util::future::join_all;
use serde_json::json;

use crate::common::{Buyer, Shop, text, usd};

async fn paid(shop: &Shop, user_id: &str) -> Buyer {
    let buyer = shop.buyer(user_id).await;
    shop.tell(&format!("paid_{user_id}"), &usd(2500), &buyer.sold, "applied").await;
    assert_eq!(shop.credits(&buyer.client).await, 25);
    buyer
}

fn refund(id: &str, minor: i64) -> Moment {
    Moment::Refunded { refund_id: id.to_owned(), minor }
}

fn disputed() -> Moment {
    Moment::Disputed { dispute_id: "dp_1".to_owned() }
}

fn closed(is_won: bool) -> Moment {
    Moment::DisputeClosed { dispute_id: "dp_1".to_owned(), is_won }
}

async fn spend(shop: &Shop, user_id: &str, credits: u32) {
    let sub = json!({"user_id": user_id, "city_id": "shop", "amount": credits});
    shop.app.admin().post("/v1/balance/sub", sub).await.expect(200);
}

/// Waits until what was told too early is handled again.
async fn sweep(shop: &Shop) {
    shop.app.clock().advance(Duration::from_secs(120));
    shop.payment.sweep(shop.app.runtime()).await.unwrap();
}

/// An administrator decides on a payment in review.
async fn resolve(shop: &Shop, sold: &Sold, credit: bool) -> TestReply {
    let input = json!({"payment_id": sold.payment_id, "credit": credit});
    shop.app.admin().post("/v1/payment/payments/resolve", input).await
}

async fn is_whole(shop: &Shop) {
    let found = verify(shop.app.runtime().db(), |_| ()).await.unwrap();
    assert!(found.is_whole(), "{found:?}");
}

both_engines! {
    async fn refunds_take_their_share_of_the_credits_once(app: TestApp) {
        for vendor in Vendor::ALL {
            let shop = Shop::open(&app, vendor).await;
            let buyer = paid(&shop, vendor.id()).await;
            shop.tell("evt_1", &refund("re_1", 1000), &buyer.sold, "applied").await;
            assert_eq!(shop.credits(&buyer.client).await, 15, "{vendor:?}");
            assert_eq!(shop.status(&buyer.sold).await, "paid");
            // The same event, and another event of the same refund.
            shop.tell("evt_1", &refund("re_1", 1000), &buyer.sold, "applied").await;
            shop.tell("evt_2", &refund("re_1", 1000), &buyer.sold, "applied").await;
            assert_eq!(shop.credits(&buyer.client).await, 15, "{vendor:?}");
            // Stripe tells the sum of all refunds.
            let rest = if vendor == Vendor::Stripe { 2500 } else { 1500 };
            shop.tell("evt_3", &refund("re_2", rest), &buyer.sold, "applied").await;
            assert_eq!(shop.credits(&buyer.client).await, 0, "{vendor:?}");
            let payment = shop.payment(&buyer.sold).await;
            assert_eq!((&payment["status"], &payment["refunded_minor"]), (&json!("refunded"), &json!(2500)));
            assert_eq!(payment["refunded"], 25_000_000);
            // More than all cannot go back.
            shop.tell("evt_4", &refund("re_3", 2500), &buyer.sold, "applied").await;
            assert_eq!(shop.credits(&buyer.client).await, 0);
        }
    }

    async fn what_is_spent_already_is_not_taken_from_elsewhere(app: TestApp) {
        for vendor in Vendor::ALL {
            let shop = Shop::open(&app, vendor).await;
            let buyer = paid(&shop, vendor.id()).await;
            spend(&shop, &buyer.user_id, 20).await;
            shop.tell("evt_1", &refund("re_1", 2500), &buyer.sold, "applied").await;
            assert_eq!(shop.credits(&buyer.client).await, 0, "{vendor:?}");
            assert_eq!(shop.status(&buyer.sold).await, "refunded");
        }
    }

    async fn a_refund_that_is_told_before_the_payment_waits_for_it(app: TestApp) {
        // Vendors whose refunds name the payment by an id that the checkout told already.
        for vendor in [Vendor::Creem, Vendor::Waffo] {
            let shop = Shop::open(&app, vendor).await;
            let buyer = shop.buyer(vendor.id()).await;
            shop.tell("evt_1", &refund("re_1", 2500), &buyer.sold, "ignored").await;
            shop.tell("evt_2", &usd(2500), &buyer.sold, "applied").await;
            assert_eq!(shop.credits(&buyer.client).await, 25);
            shop.app.clock().advance(Duration::from_secs(120));
            assert!(shop.payment.sweep(shop.app.runtime()).await.unwrap() >= 1);
            assert_eq!(shop.credits(&buyer.client).await, 0, "{vendor:?}");
            assert_eq!(shop.status(&buyer.sold).await, "refunded");
            assert_eq!(shop.event("evt_1").await.unwrap()["sync_status"], "applied");
        }
    }

    async fn money_that_waits_in_review_and_goes_back_is_over(app: TestApp) {
        let shop = Shop::open(&app, Vendor::Creem).await;
        let buyer = shop.buyer("ann").await;
        shop.tell("evt_1", &usd(2000), &buyer.sold, "applied").await;
        assert_eq!(shop.status(&buyer.sold).await, "review");
        shop.tell("evt_2", &refund("re_1", 2000), &buyer.sold, "applied").await;
        assert_eq!(shop.status(&buyer.sold).await, "refunded");
        assert_eq!(shop.credits(&buyer.client).await, 0);
    }

    async fn a_dispute_takes_what_is_left_and_gives_it_back_when_it_is_won(app: TestApp) {
        for vendor in [Vendor::Stripe, Vendor::Dodo] {
            let shop = Shop::open(&app, vendor).await;
            let buyer = paid(&shop, vendor.id()).await;
            spend(&shop, &buyer.user_id, 5).await;
            shop.tell("evt_1", &disputed(), &buyer.sold, "applied").await;
            shop.tell("evt_2", &disputed(), &buyer.sold, "applied").await;
            assert_eq!(shop.credits(&buyer.client).await, 0, "{vendor:?}");
            assert_eq!(shop.status(&buyer.sold).await, "disputed");
            shop.tell("evt_3", &closed(true), &buyer.sold, "applied").await;
            shop.tell("evt_4", &closed(true), &buyer.sold, "applied").await;
            assert_eq!(shop.credits(&buyer.client).await, 20, "{vendor:?}");
            assert_eq!(shop.status(&buyer.sold).await, "paid");
        }
    }

    async fn a_dispute_that_is_lost_takes_the_credits_even_if_its_beginning_was_not_told(app: TestApp) {
        for vendor in [Vendor::Stripe, Vendor::Dodo] {
            let shop = Shop::open(&app, vendor).await;
            let buyer = paid(&shop, vendor.id()).await;
            shop.tell("evt_1", &closed(false), &buyer.sold, "applied").await;
            shop.tell("evt_2", &disputed(), &buyer.sold, "applied").await;
            assert_eq!(shop.credits(&buyer.client).await, 0, "{vendor:?}");
            assert_eq!(shop.status(&buyer.sold).await, "disputed");
        }
    }

    async fn a_won_dispute_does_not_undo_a_refund(app: TestApp) {
        let shop = Shop::open(&app, Vendor::Stripe).await;
        let buyer = paid(&shop, "ann").await;
        shop.tell("evt_1", &refund("re_1", 2500), &buyer.sold, "applied").await;
        shop.tell("evt_2", &disputed(), &buyer.sold, "applied").await;
        shop.tell("evt_3", &closed(true), &buyer.sold, "applied").await;
        assert_eq!(shop.status(&buyer.sold).await, "refunded");
        assert_eq!(shop.credits(&buyer.client).await, 0);
    }

    async fn a_dispute_at_creem_takes_all(app: TestApp) {
        let shop = Shop::open(&app, Vendor::Creem).await;
        let buyer = paid(&shop, "ann").await;
        shop.tell("evt_1", &disputed(), &buyer.sold, "applied").await;
        assert_eq!(shop.credits(&buyer.client).await, 0);
        assert_eq!(shop.status(&buyer.sold).await, "disputed");
    }

    async fn no_more_goes_back_than_came(app: TestApp) {
        for vendor in Vendor::ALL {
            let shop = Shop::open(&app, vendor).await;
            let buyer = paid(&shop, vendor.id()).await;
            shop.tell("evt_1", &refund("re_1", 1_000_000_000_000), &buyer.sold, "applied").await;
            let payment = shop.payment(&buyer.sold).await;
            assert_eq!((&payment["status"], &payment["refunded_minor"]), (&json!("refunded"), &json!(2500)));
            assert_eq!(shop.credits(&buyer.client).await, 0, "{vendor:?}");
            is_whole(&shop).await;
        }
    }

    async fn money_of_another_currency_is_for_an_administrator(app: TestApp) {
        for vendor in Vendor::ALL {
            let shop = Shop::open(&app, vendor).await;
            let buyer = paid(&shop, vendor.id()).await;
            let euros = Sold { currency: "eur".to_owned(), ..buyer.sold.clone() };
            shop.tell("evt_1", &refund("re_1", 2500), &euros, "applied").await;
            let payment = shop.payment(&buyer.sold).await;
            assert!(text(&payment, "last_error").contains("by hand"), "{payment}");
            assert_eq!((&payment["status"], shop.credits(&buyer.client).await), (&json!("paid"), 25));
        }
    }

    async fn refunds_that_are_told_many_times_at_once_count_once(app: TestApp) {
        let shop = Shop::open_for_races(&app, Vendor::Creem).await;
        let buyer = paid(&shop, "ann").await;
        let ids: Vec<String> = (0..12).map(|number| format!("evt_{number}")).collect();
        let moments = [refund("re_1", 500), refund("re_2", 700)];
        let deliveries: Vec<_> = ids
            .iter()
            .enumerate()
            .map(|(number, id)| shop.delivery(id, &moments[number % 2], &buyer.sold).unwrap())
            .collect();
        for ack in join_all(deliveries.iter().map(|delivery| shop.send(delivery))).await {
            assert_eq!(ack.expect(200)["sync_status"], "applied");
        }
        assert_eq!(shop.credits(&buyer.client).await, 13);
        assert_eq!(shop.payment(&buyer.sold).await["refunded_minor"], 1200);
        is_whole(&shop).await;
    }

    async fn partial_refunds_that_are_told_before_the_payment_wait_for_it(app: TestApp) {
        let shop = Shop::open(&app, Vendor::Creem).await;
        let buyer = shop.buyer("ann").await;
        for (event_id, moment) in [("evt_2", refund("re_2", 700)), ("evt_1", refund("re_1", 500))] {
            shop.tell(event_id, &moment, &buyer.sold, "ignored").await;
        }
        shop.tell("evt_3", &usd(2500), &buyer.sold, "applied").await;
        sweep(&shop).await;
        assert_eq!((shop.credits(&buyer.client).await, &*shop.status(&buyer.sold).await), (13, "paid"));
    }

    async fn sums_of_refunds_may_be_told_in_any_order(app: TestApp) {
        let shop = Shop::open(&app, Vendor::Stripe).await;
        let buyer = paid(&shop, "ann").await;
        for (event_id, sum, left) in [("evt_1", 1500, 10), ("evt_2", 500, 10), ("evt_3", 1700, 8)] {
            shop.tell(event_id, &refund("re", sum), &buyer.sold, "applied").await;
            assert_eq!(shop.credits(&buyer.client).await, left, "{sum}");
        }
    }

    async fn a_refund_during_a_dispute_outlives_it(app: TestApp) {
        for vendor in [Vendor::Stripe, Vendor::Dodo] {
            let shop = Shop::open(&app, vendor).await;
            let buyer = paid(&shop, vendor.id()).await;
            spend(&shop, &buyer.user_id, 5).await;
            shop.tell("evt_1", &disputed(), &buyer.sold, "applied").await;
            shop.tell("evt_2", &refund("re_1", 1000), &buyer.sold, "applied").await;
            assert_eq!((shop.credits(&buyer.client).await, &*shop.status(&buyer.sold).await), (0, "disputed"));
            shop.tell("evt_3", &closed(true), &buyer.sold, "applied").await;
            // 25 were bought, 5 spent and 10 refunded.
            assert_eq!(shop.credits(&buyer.client).await, 10, "{vendor:?}");
            let payment = shop.payment(&buyer.sold).await;
            assert_eq!((&payment["status"], &payment["refunded_minor"]), (&json!("paid"), &json!(1000)));
            assert_eq!(payment["refunded"], 10_000_000);
            is_whole(&shop).await;
        }
    }

    async fn the_end_of_a_dispute_that_was_won_stays(app: TestApp) {
        for vendor in [Vendor::Stripe, Vendor::Dodo] {
            let shop = Shop::open(&app, vendor).await;
            let buyer = paid(&shop, vendor.id()).await;
            shop.tell("evt_1", &disputed(), &buyer.sold, "applied").await;
            shop.tell("evt_2", &closed(false), &buyer.sold, "applied").await;
            assert_eq!((shop.credits(&buyer.client).await, &*shop.status(&buyer.sold).await), (0, "disputed"));
            for (event_id, is_won) in [("evt_3", true), ("evt_4", false), ("evt_5", true)] {
                shop.tell(event_id, &closed(is_won), &buyer.sold, "applied").await;
                assert_eq!(shop.credits(&buyer.client).await, 25, "{vendor:?} {event_id}");
                assert_eq!(shop.status(&buyer.sold).await, "paid");
            }
        }
    }

    async fn the_end_of_a_dispute_may_be_told_before_its_beginning(app: TestApp) {
        for vendor in [Vendor::Stripe, Vendor::Dodo] {
            let shop = Shop::open(&app, vendor).await;
            let buyer = paid(&shop, vendor.id()).await;
            shop.tell("evt_1", &closed(true), &buyer.sold, "ignored").await;
            shop.tell("evt_2", &disputed(), &buyer.sold, "applied").await;
            assert_eq!(shop.credits(&buyer.client).await, 0);
            sweep(&shop).await;
            assert_eq!((shop.credits(&buyer.client).await, &*shop.status(&buyer.sold).await), (25, "paid"));
        }
    }

    async fn money_that_waits_in_review_may_go_back_in_part(app: TestApp) {
        for vendor in Vendor::ALL {
            let shop = Shop::open(&app, vendor).await;
            let buyer = shop.buyer(vendor.id()).await;
            shop.tell("evt_1", &usd(2000), &buyer.sold, "applied").await;
            shop.tell("evt_2", &refund("re_1", 500), &buyer.sold, "applied").await;
            let payment = shop.payment(&buyer.sold).await;
            assert_eq!((&payment["status"], &payment["refunded_minor"]), (&json!("review"), &json!(500)));
            let resolved = resolve(&shop, &buyer.sold, true).await.expect(200);
            // A quarter of what came is gone, and so is a quarter of the credits.
            assert_eq!((&resolved["refunded"], &resolved["status"]), (&json!(6_250_000), &json!("paid")));
            assert_eq!(shop.credits(&buyer.client).await, 18);
            is_whole(&shop).await;
        }
    }

    async fn money_that_is_over_buys_nothing_when_it_is_told_of_again(app: TestApp) {
        for vendor in Vendor::ALL {
            let shop = Shop::open(&app, vendor).await;
            let (refunded, dismissed) =
                (shop.buyer(&format!("{}1", vendor.id())).await, shop.buyer(&format!("{}2", vendor.id())).await);
            shop.tell("evt_1", &usd(2000), &refunded.sold, "applied").await;
            shop.tell("evt_2", &refund("re_1", 2000), &refunded.sold, "applied").await;
            shop.tell("evt_3", &usd(2000), &dismissed.sold, "applied").await;
            resolve(&shop, &dismissed.sold, false).await.expect(200);
            for (buyer, event_id, status) in [(&refunded, "evt_4", "refunded"), (&dismissed, "evt_5", "failed")] {
                shop.tell(event_id, &usd(2500), &buyer.sold, "applied").await;
                assert_eq!(shop.status(&buyer.sold).await, status, "{vendor:?}");
                assert_eq!(shop.credits(&buyer.client).await, 0, "{vendor:?}");
            }
            // What was dismissed and then sent back is known to be.
            shop.tell("evt_6", &refund("re_2", 2000), &dismissed.sold, "applied").await;
            assert_eq!(shop.status(&dismissed.sold).await, "refunded");
        }
    }

    async fn a_dispute_in_review_leads_back_there_when_it_is_won(app: TestApp) {
        for vendor in [Vendor::Stripe, Vendor::Dodo] {
            let shop = Shop::open(&app, vendor).await;
            let buyer = shop.buyer(vendor.id()).await;
            shop.tell("evt_1", &usd(2000), &buyer.sold, "applied").await;
            shop.tell("evt_2", &disputed(), &buyer.sold, "applied").await;
            assert_eq!(shop.status(&buyer.sold).await, "disputed");
            resolve(&shop, &buyer.sold, true).await.expect_error(409, "conflict");
            shop.tell("evt_3", &closed(true), &buyer.sold, "applied").await;
            assert_eq!(shop.status(&buyer.sold).await, "review");
            resolve(&shop, &buyer.sold, true).await.expect(200);
            assert_eq!(shop.credits(&buyer.client).await, 25, "{vendor:?}");
        }
    }

    async fn a_part_of_a_sum_that_was_not_told_is_a_part(app: TestApp) {
        let shop = Shop::open(&app, Vendor::Creem).await;
        let buyer = shop.buyer("ann").await;
        shop.tell("evt_1", &usd(0), &buyer.sold, "applied").await;
        resolve(&shop, &buyer.sold, true).await.expect(200);
        shop.tell("evt_2", &refund("re_1", 100), &buyer.sold, "applied").await;
        assert_eq!((shop.credits(&buyer.client).await, &*shop.status(&buyer.sold).await), (24, "paid"));
    }
}
