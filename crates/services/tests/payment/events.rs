//! Events as administrators see them, and those that have to be handled again.

use std::time::Duration;

use downcity_services::payment::sandbox::{Moment, Sold, Vendor};
use downcity_testkit::both_engines;
use serde_json::{Value, json};

use crate::common::{Shop, text, usd};

/// A payment that nobody here has made.
fn foreign() -> Sold {
    Sold {
        payment_id: "pay_foreign".to_owned(),
        topup_id: "topup_foreign".to_owned(),
        user_id: "somebody".to_owned(),
        session_id: "cs_foreign".to_owned(),
        minor: 2500,
        currency: "usd".to_owned(),
        is_live: false,
    }
}

async fn replay(shop: &Shop, event_id: &str) -> Value {
    let input = json!({"event_id": format!("{}:{event_id}", shop.vendor.id())});
    shop.app.admin().post("/v1/payment/events/replay", input).await.expect(200)
}

both_engines! {
    async fn events_of_other_payments_are_kept_and_answered_kindly(app: TestApp) {
        for vendor in Vendor::ALL {
            let shop = Shop::open(&app, vendor).await;
            shop.tell("evt_foreign", &usd(2500), &foreign(), "ignored").await;
            shop.tell("evt_other", &Moment::Unrelated, &foreign(), "ignored").await;
            let event = shop.event("evt_foreign").await.unwrap();
            assert_eq!(event["sync_status"], "unmatched");
            assert_eq!(shop.event("evt_other").await.unwrap()["sync_status"], "ignored");
            // After three days it is given up.
            for _ in 0..40 {
                shop.app.clock().advance(Duration::from_secs(6 * 3600 + 60));
                shop.payment.sweep(shop.app.runtime()).await.unwrap();
            }
            let event = shop.event("evt_foreign").await.unwrap();
            assert_eq!(event["sync_status"], "ignored", "{event}");
            assert!(event["attempts"].as_i64().unwrap() < 30, "{event}");
        }
    }

    async fn an_event_that_comes_before_its_payment_is_known_finds_it_later(app: TestApp) {
        // Vendors that hand back the top-up.
        for vendor in Vendor::ALL {
            let shop = Shop::open(&app, vendor).await;
            let ann = shop.user(vendor.id()).await;
            let topup_id = shop.topup(&ann, 25).await;
            let sold = Sold { topup_id: topup_id.clone(), ..foreign() };
            shop.tell("evt_early", &usd(2500), &sold, "ignored").await;
            assert_eq!(shop.credits(&ann).await, 0);
            let checkout = shop.check_out(&ann, &topup_id).await.expect(200);
            shop.app.clock().advance(Duration::from_secs(120));
            shop.payment.sweep(shop.app.runtime()).await.unwrap();
            assert_eq!(shop.credits(&ann).await, 25, "{vendor:?}");
            let event = shop.event("evt_early").await.unwrap();
            assert_eq!((&event["sync_status"], &event["payment_id"]), (&json!("applied"), &checkout["payment_id"]));
        }
    }

    async fn what_could_not_be_handled_is_handled_when_it_is_told_again(app: TestApp) {
        for (number, vendor) in Vendor::ALL.into_iter().enumerate() {
            let shop = Shop::open(&app, vendor).await;
            let buyer = shop.buyer(vendor.id()).await;
            let delivery = shop.delivery("evt_1", &usd(2500), &buyer.sold).unwrap();
            let database = shop.app.database();
            database.execute("ALTER TABLE payment_payments RENAME TO payment_hidden").unwrap();
            shop.send(&delivery).await.expect(500);
            database.execute("ALTER TABLE payment_hidden RENAME TO payment_payments").unwrap();
            let event = shop.event("evt_1").await.unwrap();
            assert_eq!(event["sync_status"], "failed");
            assert!(!text(&event, "sync_error").is_empty());
            assert_eq!(shop.credits(&buyer.client).await, 0);
            match number {
                // The vendor repeats it, an administrator does, or nobody does.
                0 | 1 => shop.tell("evt_1", &usd(2500), &buyer.sold, "applied").await,
                2 => assert_eq!(replay(&shop, "evt_1").await["sync_status"], "applied"),
                _ => {
                    shop.app.clock().advance(Duration::from_secs(120));
                    shop.payment.sweep(shop.app.runtime()).await.unwrap();
                }
            }
            assert_eq!(shop.event("evt_1").await.unwrap()["sync_status"], "applied");
            assert_eq!(shop.credits(&buyer.client).await, 25);
        }
    }

    async fn an_event_whose_handling_broke_off_is_handled_after_its_lease(app: TestApp) {
        let shop = Shop::open(&app, Vendor::Stripe).await;
        let buyer = shop.buyer("ann").await;
        shop.tell("evt_1", &usd(2500), &buyer.sold, "applied").await;
        // As a node leaves it that went away in between.
        let lease = shop.now().saturating_add(Duration::from_secs(300)).millis();
        let sql = format!(
            "UPDATE payment_events SET sync_status = 'pending', due_at = {lease};
             UPDATE payment_payments SET last_error = 'seen'"
        );
        shop.app.database().execute(&sql).unwrap();
        shop.tell("evt_1", &usd(2500), &buyer.sold, "pending").await;
        shop.payment.sweep(shop.app.runtime()).await.unwrap();
        assert_eq!(shop.event("evt_1").await.unwrap()["sync_status"], "pending", "leased");
        shop.app.clock().advance(Duration::from_secs(301));
        shop.payment.sweep(shop.app.runtime()).await.unwrap();
        assert_eq!(shop.event("evt_1").await.unwrap()["sync_status"], "applied");
        assert_eq!(shop.credits(&buyer.client).await, 25);
    }

    async fn a_replay_credits_nothing_twice(app: TestApp) {
        let shop = Shop::open(&app, Vendor::Dodo).await;
        let buyer = shop.buyer("ann").await;
        shop.tell("evt_1", &usd(2500), &buyer.sold, "applied").await;
        assert_eq!(replay(&shop, "evt_1").await["sync_status"], "applied");
        assert_eq!(shop.credits(&buyer.client).await, 25);
        let input = json!({"event_id": "dodo:none"});
        shop.app.admin().post("/v1/payment/events/replay", input).await.expect_error(404, "not_found");
    }

    async fn an_event_that_is_processed_first_does_not_hide_the_success(app: TestApp) {
        // Dodo tells of a payment under way before it tells of its end: other ids, the same payment.
        let shop = Shop::open(&app, Vendor::Dodo).await;
        let buyer = shop.buyer("ann").await;
        let draft = Vendor::Dodo.draft("msg_1", &usd(2500), &buyer.sold, shop.now()).unwrap();
        let mut processing = draft.clone();
        let text = String::from_utf8(draft.body.clone()).unwrap();
        processing.body = text.replace("payment.succeeded", "payment.processing").into_bytes();
        let processing = processing.signed(&shop.signer(), shop.now()).unwrap();
        assert_eq!(shop.send(&processing).await.expect(200)["sync_status"], "ignored");
        shop.tell("msg_2", &usd(2500), &buyer.sold, "applied").await;
        assert_eq!(shop.credits(&buyer.client).await, 25);
    }

    async fn bodies_are_shown_on_request_and_forgotten(app: TestApp) {
        let shop = Shop::open_with(&app, Vendor::Waffo, json!({"keep_payloads": "30d"})).await;
        let buyer = shop.buyer("ann").await;
        shop.tell("evt_1", &usd(2500), &buyer.sold, "applied").await;
        assert_eq!(shop.event("evt_1").await.unwrap()["payload_json"], json!(null));
        let path = format!("/v1/payment/events?include=payload&payment_id={}", buyer.sold.payment_id);
        let payload = async || {
            let list = shop.app.admin().get(&path).await.expect(200);
            assert_eq!(list["items"].as_array().unwrap().len(), 1);
            text(&list["items"][0], "payload_json").to_owned()
        };
        assert!(payload().await.contains("buyer@example.com"));
        shop.app.clock().advance(Duration::from_secs(31 * 86_400));
        shop.payment.sweep(shop.app.runtime()).await.unwrap();
        assert_eq!(payload().await, "");
        let bad = shop.app.admin().get("/v1/payment/events?include=all").await;
        bad.expect_error(400, "invalid_input");
    }

    async fn events_are_listed_newest_first_in_pages(app: TestApp) {
        let shop = Shop::open(&app, Vendor::Stripe).await;
        for number in 0..5 {
            shop.tell(&format!("evt_{number}"), &Moment::Unrelated, &foreign(), "ignored").await;
            shop.app.clock().advance(Duration::from_millis(1));
        }
        let mut seen = Vec::new();
        let mut path = "/v1/payment/events?limit=2&status=ignored&provider=stripe".to_owned();
        loop {
            let page = shop.app.admin().get(&path).await.expect(200);
            let items = page["items"].as_array().unwrap();
            seen.extend(items.iter().map(|event| text(event, "event_id").to_owned()));
            let Some(cursor) = page["next_cursor"].as_str() else { break };
            path = format!("/v1/payment/events?limit=2&status=ignored&provider=stripe&cursor={cursor}");
        }
        let expected: Vec<_> = (0..5).rev().map(|number| format!("stripe:evt_{number}")).collect();
        assert_eq!(seen, expected);
        let bad = shop.app.admin().get("/v1/payment/events?status=lost").await;
        bad.expect_error(400, "invalid_input");
    }

    async fn a_declined_card_leaves_the_checkout_open(app: TestApp) {
        let shop = Shop::open(&app, Vendor::Stripe).await;
        let buyer = shop.buyer("ann").await;
        let declined = json!({"id": "evt_1", "type": "payment_intent.payment_failed", "livemode": false,
            "data": {"object": {"id": "pi_1", "metadata": {"payment_id": buyer.sold.payment_id},
                "last_payment_error": {"message": "Your card was declined."}}}});
        let mut draft = Vendor::Stripe.draft("evt_1", &Moment::Failed, &buyer.sold, shop.now()).unwrap();
        draft.body = declined.to_string().into_bytes();
        let delivery = draft.signed(&shop.signer(), shop.now()).unwrap();
        assert_eq!(shop.send(&delivery).await.expect(200)["sync_status"], "applied");
        let payment = shop.payment(&buyer.sold).await;
        assert_eq!((&payment["status"], &payment["last_error"]),
            (&json!("pending"), &json!("Your card was declined.")));
        shop.tell("evt_2", &usd(2500), &buyer.sold, "applied").await;
        assert_eq!(shop.credits(&buyer.client).await, 25);
    }
}
