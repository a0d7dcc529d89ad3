//! Money that goes back: refunds and disputes.

use downcity_services::payment::sandbox::{Moment, Vendor};
use downcity_testkit::both_engines;
use serde_json::json;

use crate::common::{Buyer, Shop, usd};

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
            shop.app.clock().advance(std::time::Duration::from_secs(120));
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
}
