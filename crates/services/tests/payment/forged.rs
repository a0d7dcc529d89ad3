//! What is not believed: other signatures, none, old ones, changed bytes, the other mode.

use std::time::Duration;

use downcity_services::payment::sandbox::{Delivery, Signer, Sold, Vendor};
use downcity_testkit::both_engines;

use crate::common::{Buyer, SECRET, Shop, usd};

/// A delivery has to be refused and to leave nothing.
async fn is_refused(shop: &Shop, buyer: &Buyer, delivery: &Delivery, why: &str) {
    shop.send(delivery).await.expect_error(400, "invalid_input");
    assert_eq!(shop.event("evt_1").await, None, "{:?} {why}", shop.vendor);
    assert_eq!(shop.credits(&buyer.client).await, 0, "{:?} {why}", shop.vendor);
    assert_eq!(shop.status(&buyer.sold).await, "pending", "{:?} {why}", shop.vendor);
}

/// The delivery with one byte of its body changed.
fn changed(delivery: &Delivery) -> Delivery {
    let text = String::from_utf8(delivery.body.clone()).unwrap();
    let body = text.replacen("2500", "2501", 1).replacen("25.00", "25.01", 1);
    assert_ne!(body, text);
    Delivery { body: body.into_bytes(), headers: delivery.headers.clone() }
}

fn stranger(vendor: Vendor) -> Signer {
    match vendor {
        // The public key is replaced by Waffo's own, whose private half nobody has here.
        Vendor::Waffo => Signer::key(downcity_testkit::RSA_KEY_OF_NOBODY).unwrap(),
        _ => Signer::secret("whsec_b3RoZXIgc2VjcmV0"),
    }
}

both_engines! {
    async fn only_what_the_vendor_signed_just_now_counts(app: TestApp) {
        for vendor in Vendor::ALL {
            let shop = Shop::open(&app, vendor).await;
            let buyer = shop.buyer(vendor.id()).await;
            let draft = vendor.draft("evt_1", &usd(2500), &buyer.sold, shop.now()).unwrap();
            let good = draft.signed(&shop.signer(), shop.now()).unwrap();
            let bare = Delivery {
                headers: vec![("content-type", "application/json".to_owned())],
                body: good.body.clone(),
            };
            is_refused(&shop, &buyer, &bare, "unsigned").await;
            is_refused(&shop, &buyer, &changed(&good), "changed").await;
            let tolerance = Duration::from_secs(301);
            for at in [shop.now().saturating_sub(tolerance), shop.now().saturating_add(tolerance)] {
                let stale = draft.signed(&shop.signer(), at).unwrap();
                if vendor != Vendor::Creem {
                    is_refused(&shop, &buyer, &stale, "stale").await;
                }
            }
            if vendor == Vendor::Waffo {
                shop.unset("WAFFO_WEBHOOK_PUBLIC_KEY").await;
            }
            let forged = draft.signed(&stranger(vendor), shop.now()).unwrap();
            is_refused(&shop, &buyer, &forged, "forged").await;
        }
    }

    async fn a_signature_of_another_vendor_does_not_help(app: TestApp) {
        let shop = Shop::open(&app, Vendor::Stripe).await;
        let buyer = shop.buyer("ann").await;
        // A vendor without a secret is no way around that of the others.
        let creem = Vendor::Creem.draft("evt_1", &usd(2500), &buyer.sold, shop.now()).unwrap();
        let creem = creem.signed(&Signer::secret(SECRET), shop.now()).unwrap();
        shop.send_to("/v1/payment/webhook", &creem).await.expect_error(503, "unavailable");
        shop.send_to("/v1/payment/webhook?provider=creem", &creem).await.expect_error(503, "unavailable");
        shop.send_to("/v1/payment/webhook?provider=stripe", &creem).await.expect_error(400, "invalid_input");
        shop.send_to("/v1/payment/webhook?provider=paypal", &creem).await.expect_error(404, "not_found");
        assert_eq!(shop.credits(&buyer.client).await, 0);
    }

    async fn without_its_secret_a_vendor_is_off(app: TestApp) {
        for vendor in [Vendor::Stripe, Vendor::Creem, Vendor::Dodo] {
            let shop = Shop::open(&app, vendor).await;
            let buyer = shop.buyer(vendor.id()).await;
            shop.unset(vendor.webhook_key()).await;
            let empty = vendor.draft("evt_1", &usd(2500), &buyer.sold, shop.now()).unwrap();
            let empty = match vendor {
                Vendor::Dodo => shop.delivery("evt_1", &usd(2500), &buyer.sold).unwrap(),
                _ => empty.signed(&Signer::secret(""), shop.now()).unwrap(),
            };
            shop.send(&empty).await.expect_error(503, "unavailable");
            let methods = shop.app.guest().get("/v1/payment/methods").await.expect(200);
            let methods = methods["items"].as_array().unwrap();
            let method = methods.iter().find(|method| method["id"] == vendor.id()).unwrap();
            assert_eq!((&method["enabled"], &method["reason"]), (&false.into(), &"not_configured".into()));
            let topup_id = shop.topup(&buyer.client, 25).await;
            shop.check_out(&buyer.client, &topup_id).await.expect_error(400, "invalid_input");
            assert_eq!(shop.credits(&buyer.client).await, 0);
        }
    }

    async fn a_secret_is_replaced_while_both_count(app: TestApp) {
        for vendor in [Vendor::Stripe, Vendor::Creem, Vendor::Dodo] {
            let shop = Shop::open(&app, vendor).await;
            let buyer = shop.buyer(vendor.id()).await;
            shop.set(vendor.webhook_key(), &format!("whsec_bmV3IHNlY3JldA==, {SECRET}")).await;
            shop.tell("evt_1", &usd(2500), &buyer.sold, "applied").await;
            shop.set(vendor.webhook_key(), "whsec_bmV3IHNlY3JldA==").await;
            let old = shop.delivery("evt_2", &usd(2500), &buyer.sold).unwrap();
            shop.send(&old).await.expect_error(400, "invalid_input");
        }
    }

    async fn events_of_the_other_mode_are_rejected(app: TestApp) {
        for vendor in [Vendor::Stripe, Vendor::Creem, Vendor::Waffo] {
            let shop = Shop::open(&app, vendor).await;
            let buyer = shop.buyer(vendor.id()).await;
            let live = Sold { is_live: true, ..buyer.sold.clone() };
            let delivery = shop.delivery("evt_live", &usd(2500), &live).unwrap();
            // Again: a rejected event stays rejected.
            for _ in 0..2 {
                shop.send(&delivery).await.expect_error(400, "invalid_input");
            }
            let event = shop.event("evt_live").await.expect("it is kept to be seen");
            assert_eq!(event["sync_status"], "rejected");
            assert_eq!(shop.credits(&buyer.client).await, 0);
            assert_eq!(shop.status(&buyer.sold).await, "pending");
            let replay = serde_json::json!({"event_id": event["event_id"]});
            let replayed = shop.app.admin().post("/v1/payment/events/replay", replay).await;
            replayed.expect_error(409, "conflict");
        }
    }

    async fn a_test_event_credits_nothing_in_live_mode(app: TestApp) {
        let shop = Shop::open_with(&app, Vendor::Stripe, serde_json::json!({"mode": "live"})).await;
        shop.set("STRIPE_SECRET_KEY", "sk_live_1").await;
        shop.upstream.always(downcity_testkit::Answer::json(200, &serde_json::json!({
            "id": "cs_live_1", "url": "https://checkout.stripe.com/c/pay/cs_live_1"})));
        let ann = shop.user("ann").await;
        let topup_id = shop.topup(&ann, 25).await;
        let checkout = shop.check_out(&ann, &topup_id).await;
        // The played account knows the test key alone.
        checkout.expect_error(502, "upstream_error");
        let sold = Sold {
            payment_id: "pay_unknown".to_owned(),
            topup_id,
            user_id: "ann".to_owned(),
            session_id: "cs_1".to_owned(),
            minor: 2500,
            currency: "usd".to_owned(),
            is_live: false,
        };
        let test = shop.delivery("evt_test", &usd(2500), &sold).unwrap();
        shop.send(&test).await.expect_error(400, "invalid_input");
        assert_eq!(shop.credits(&ann).await, 0);
        shop.set("STRIPE_SECRET_KEY", "sk_test_1").await;
        let methods = shop.app.guest().get("/v1/payment/methods").await.expect(200);
        assert_eq!(methods["items"][0]["reason"], "wrong_mode");
    }
}
