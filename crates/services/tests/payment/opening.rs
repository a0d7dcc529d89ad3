//! Opening checkouts at each vendor, and what comes of its errors and silences.

use downcity_services::payment::sandbox::Vendor;
use downcity_testkit::{Answer, both_engines};
use serde_json::{Value, json};

use crate::common::{Shop, text};

both_engines! {
    async fn a_checkout_is_what_the_vendor_opened(app: TestApp) {
        for vendor in Vendor::ALL {
            let shop = Shop::open(&app, vendor).await;
            let buyer = shop.buyer(vendor.id()).await;
            let request = shop.upstream.request();
            let payment_id = text(&buyer.checkout, "payment_id");
            assert!(payment_id.starts_with("pay_"));
            assert_eq!(buyer.checkout["provider"], vendor.id());
            assert_eq!(buyer.checkout["status"], "pending");
            assert_eq!((&buyer.checkout["amount_minor"], &buyer.checkout["test"]), (&json!(2500), &json!(true)));
            assert_eq!(text(&buyer.checkout, "provider_session_id"), format!("cs_{payment_id}"));
            assert!(text(&buyer.checkout, "checkout_url").starts_with("https://checkout."));
            let sent = String::from_utf8(request.body.to_vec()).unwrap();
            let page = "https://fed.example.com/v1/payment/redirect/success";
            let page = if vendor == Vendor::Stripe { page.replace(':', "%3A").replace('/', "%2F") } else { page.to_owned() };
            assert!(sent.contains(&page) && sent.contains(payment_id), "{sent}");
            // The same again, without a second request.
            let again = shop.check_out(&buyer.client, &buyer.topup_id).await.expect(200);
            assert_eq!(again, buyer.checkout);
            assert_eq!(shop.upstream.requests().len(), 1);
        }
    }

    async fn a_refusal_of_the_vendor_is_502_and_the_next_attempt_is_a_new_payment(app: TestApp) {
        for vendor in Vendor::ALL {
            let shop = Shop::open(&app, vendor).await;
            let ann = shop.user(vendor.id()).await;
            let topup_id = shop.topup(&ann, 25).await;
            let refusal = json!({"error": {"message": "secret detail sk_live_x"}, "message": "secret detail"});
            shop.upstream.then(Answer::json(400, &refusal));
            let refused = shop.check_out(&ann, &topup_id).await;
            let body = refused.expect_error(502, "upstream_error");
            assert!(!body.to_string().contains("secret detail"), "{body}");
            let own = ann.get("/v1/payment/payments/me").await.expect(200);
            assert_eq!(own["items"][0]["status"], "failed");
            let opened = shop.check_out(&ann, &topup_id).await.expect(200);
            assert_ne!(opened["payment_id"], own["items"][0]["payment_id"]);
        }
    }

    async fn an_unknown_outcome_is_repeated_as_the_same_payment(app: TestApp) {
        for vendor in Vendor::ALL {
            let further = json!({"request_timeout": "300ms"});
            let shop = Shop::open_with(&app, vendor, further).await;
            let ann = shop.user(vendor.id()).await;
            let topup_id = shop.topup(&ann, 25).await;
            for (answer, status, code) in [
                (Answer::json(200, &json!({})).silent(), 504, "upstream_timeout"),
                (Answer::json(200, &json!({})).cut(), 502, "upstream_error"),
                (Answer::json(500, &json!({"message": "oops"})), 502, "upstream_invalid"),
                (Answer::text(200, "text/html", "<html>"), 502, "upstream_invalid"),
                (Answer::json(200, &json!({"id": 5})), 502, "upstream_invalid"),
            ] {
                shop.upstream.then(answer);
                shop.check_out(&ann, &topup_id).await.expect_error(status, code);
            }
            let opened = shop.check_out(&ann, &topup_id).await.expect(200);
            let own = ann.get("/v1/payment/payments/me").await.expect(200);
            assert_eq!(own["items"].as_array().unwrap().len(), 1, "{own}");
            assert_eq!(own["items"][0]["payment_id"], opened["payment_id"]);
            let named = |request: &downcity_testkit::Recorded| {
                String::from_utf8(request.body.to_vec()).unwrap().contains(text(&opened, "payment_id"))
            };
            assert!(shop.upstream.requests().iter().all(named), "each names the same payment");
        }
    }

    async fn a_vendor_that_is_not_there_is_502(app: TestApp) {
        let shop = Shop::open(&app, Vendor::Creem).await;
        shop.set("CREEM_API_BASE_URL", "http://127.0.0.1:9").await;
        let ann = shop.user("ann").await;
        let topup_id = shop.topup(&ann, 25).await;
        shop.check_out(&ann, &topup_id).await.expect_error(502, "upstream_error");
    }

    async fn http_to_this_machine_needs_leave(app: TestApp) {
        let shop = Shop::open_with(&app, Vendor::Stripe, json!({"allow_loopback_http": false})).await;
        let ann = shop.user("ann").await;
        let topup_id = shop.topup(&ann, 25).await;
        shop.check_out(&ann, &topup_id).await.expect_error(502, "upstream_error");
        assert_eq!(shop.upstream.requests().len(), 0);
    }

    async fn an_ended_checkout_makes_place_for_a_new_one(app: TestApp) {
        for vendor in Vendor::ALL {
            let shop = Shop::open(&app, vendor).await;
            let buyer = shop.buyer(vendor.id()).await;
            // Sessions of Waffo end after 45 minutes, those of the others after a day: then the top-up
            // has ended as well.
            if vendor != Vendor::Waffo {
                continue;
            }
            shop.app.clock().advance(std::time::Duration::from_secs(46 * 60));
            let next = shop.check_out(&buyer.client, &buyer.topup_id).await.expect(200);
            assert_ne!(next["payment_id"], buyer.checkout["payment_id"]);
            assert_eq!(shop.status(&buyer.sold).await, "expired");
        }
    }

    async fn another_method_ends_the_open_checkout_where_the_vendor_can(app: TestApp) {
        let shop = Shop::open(&app, Vendor::Stripe).await;
        let buyer = shop.buyer("ann").await;
        shop.configure(Vendor::Creem).await;
        let opened = json!({"id": "ch_1", "checkout_url": "https://checkout.creem.io/ch_1"});
        shop.upstream.then(Answer::json(200, &opened));
        let input = json!({"method_id": "creem", "topup_id": buyer.topup_id});
        buyer.client.post("/v1/payment/checkout/create", input).await.expect(200);
        let ended = shop.upstream.requests().into_iter().next_back().unwrap();
        assert_eq!(ended.target, format!("POST /v1/checkout/sessions/{}/expire", buyer.sold.session_id));
        assert_eq!(shop.status(&buyer.sold).await, "canceled");
    }

    async fn a_topup_has_to_be_ones_own_and_pending(app: TestApp) {
        let shop = Shop::open(&app, Vendor::Dodo).await;
        let buyer = shop.buyer("ann").await;
        let bob = shop.user("bob").await;
        shop.check_out(&bob, &buyer.topup_id).await.expect_error(404, "not_found");
        shop.check_out(&bob, "topup_none").await.expect_error(404, "not_found");
        let cancel = json!({"topup_id": buyer.topup_id});
        shop.app.admin().post("/v1/balance/topups/cancel", cancel).await.expect(200);
        let refused = shop.check_out(&buyer.client, &buyer.topup_id).await;
        refused.expect_error(409, "conflict");
        let path = format!("/v1/payment/payments/get?payment_id={}", buyer.sold.payment_id);
        bob.get(&path).await.expect_error(404, "not_found");
        buyer.client.get(&path).await.expect(200);
        let give_up = json!({"payment_id": buyer.sold.payment_id});
        bob.post("/v1/payment/payments/cancel", give_up).await.expect_error(404, "not_found");
    }

    async fn an_open_checkout_can_be_given_up(app: TestApp) {
        let shop = Shop::open(&app, Vendor::Stripe).await;
        let buyer = shop.buyer("ann").await;
        let input = json!({"payment_id": buyer.sold.payment_id});
        let path = "/v1/payment/payments/cancel";
        let given_up = buyer.client.post(path, input.clone()).await.expect(200);
        assert_eq!(given_up["status"], "canceled");
        assert_eq!(buyer.client.post(path, input.clone()).await.expect(200)["status"], "canceled");
        let ended = shop.upstream.requests().into_iter().next_back().unwrap();
        assert!(ended.target.ends_with("/expire"), "{}", ended.target);
        // What is paid there all the same is not swallowed.
        shop.tell("evt_1", &crate::common::usd(2500), &buyer.sold, "applied").await;
        assert_eq!(shop.credits(&buyer.client).await, 25);
        buyer.client.post(path, input).await.expect_error(409, "conflict");
    }

    async fn other_currencies_need_a_price(app: TestApp) {
        let yen = json!({"currency": [{"code": "jpy", "digits": 0, "minor_per_credit": 150}]});
        let shop = Shop::open_with(&app, Vendor::Waffo, yen).await;
        let ann = shop.user("ann").await;
        let topup_id = shop.topup(&ann, 25).await;
        shop.set("WAFFO_CURRENCY", "JPY").await;
        let checkout = shop.check_out(&ann, &topup_id).await.expect(200);
        assert_eq!((&checkout["amount_minor"], &checkout["currency"]), (&json!(3750), &json!("jpy")));
        assert_eq!(shop.upstream.request().json()["priceSnapshot"]["amount"], "3750");
        shop.set("WAFFO_CURRENCY", "EUR").await;
        let methods = shop.app.guest().get("/v1/payment/methods").await.expect(200);
        let waffo: &Value = &methods["items"][3];
        assert_eq!((&waffo["reason"], &waffo["currency"]), (&json!("not_supported"), &json!("eur")));
        let other = shop.topup(&ann, 25).await;
        shop.check_out(&ann, &other).await.expect_error(400, "invalid_input");
    }
}
