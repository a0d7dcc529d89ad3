//! What users may ask of checkouts: the method, the way back, one at a time.

use downcity_services::payment::sandbox::Vendor;
use downcity_testkit::{Answer, Gate, both_engines};
use serde_json::json;

use crate::common::{Shop, text};

const CREATE: &str = "/v1/payment/checkout/create";

both_engines! {
    async fn methods_say_what_can_be_used(app: TestApp) {
        let shop = Shop::open(&app, Vendor::Dodo).await;
        let methods = shop.app.guest().get("/v1/payment/methods").await.expect(200);
        let method = |id: &str, label: &str| json!({
            "id": id, "type": "checkout", "enabled": false, "label": label, "service": "payment",
            "action": "checkout/create", "requires_user": true, "currency": "usd",
            "reason": "not_configured", "test": true,
        });
        let dodo = json!({
            "id": "dodo", "type": "checkout", "enabled": true, "label": "Dodo Payments",
            "service": "payment", "action": "checkout/create", "requires_user": true,
            "currency": "usd", "test": true,
        });
        let (stripe, creem) = (method("stripe", "Stripe"), method("creem", "Creem"));
        let waffo = method("waffo", "Waffo Pancake");
        assert_eq!(methods, json!({"items": [stripe, creem, dodo, waffo]}));
    }

    async fn a_key_of_the_other_mode_disables_the_method(app: TestApp) {
        let shop = Shop::open(&app, Vendor::Stripe).await;
        shop.set("STRIPE_SECRET_KEY", "sk_live_1").await;
        let methods = shop.app.guest().get("/v1/payment/methods").await.expect(200);
        assert_eq!(methods["items"][0]["reason"], "wrong_mode");
        let ann = shop.user("ann").await;
        let topup_id = shop.topup(&ann, 25).await;
        let refused = shop.check_out(&ann, &topup_id).await.expect_error(400, "invalid_input");
        assert!(text(&refused, "error").contains("wrong_mode"), "{refused}");
        assert_eq!(shop.upstream.requests().len(), 0);
    }

    async fn the_method_is_named_or_the_only_one(app: TestApp) {
        let shop = Shop::open(&app, Vendor::Stripe).await;
        let ann = shop.user("ann").await;
        let topup_id = shop.topup(&ann, 25).await;
        let unknown = json!({"method_id": "paypal", "topup_id": topup_id});
        ann.post(CREATE, unknown).await.expect_error(404, "not_found");
        let disabled = json!({"method_id": "creem", "topup_id": topup_id});
        let refused = ann.post(CREATE, disabled).await.expect_error(400, "invalid_input");
        assert_eq!(refused["error"].as_str().map(|text| text.contains("creem is disabled: not_configured")), Some(true));
        let two = json!({"method_id": "stripe", "provider": "creem", "topup_id": topup_id});
        ann.post(CREATE, two).await.expect_error(400, "conflicting_fields");
        assert_eq!(shop.upstream.requests().len(), 0);

        let only = ann.post(CREATE, json!({"topup_id": topup_id})).await.expect(200);
        assert_eq!(only["provider"], "stripe");
        let named = json!({"provider": "stripe", "topup_id": topup_id});
        assert_eq!(ann.post(CREATE, named).await.expect(200), only);
        shop.configure(Vendor::Creem).await;
        ann.post(CREATE, json!({"topup_id": topup_id})).await.expect_error(400, "invalid_input");
        shop.unset("CREEM_WEBHOOK_SECRET").await;
        assert_eq!(ann.post(CREATE, json!({"topup_id": topup_id})).await.expect(200), only);
    }

    async fn a_checkout_leads_back_where_the_city_allows(app: TestApp) {
        let redirect = json!({"redirect": [
            {"city_id": "shop", "origins": ["https://app.example.com"]},
            {"city_id": "other", "origins": ["https://other.example.com"]},
        ]});
        let shop = Shop::open_with(&app, Vendor::Creem, redirect).await;
        let ann = shop.user("ann").await;
        let topup_id = shop.topup(&ann, 25).await;
        for (field, url) in [
            ("success_url", "https://other.example.com/done"),
            ("success_url", "http://app.example.com/done"),
            ("cancel_url", "https://app.example.com@evil.example/"),
            ("cancel_url", "javascript:alert(1)"),
        ] {
            let input = json!({"topup_id": topup_id, field: url});
            let refused = ann.post(CREATE, input).await.expect_error(400, "invalid_input");
            assert!(text(&refused, "error").contains(field), "{refused}");
        }
        assert_eq!(shop.upstream.requests().len(), 0);
        let page = "https://app.example.com/done?order=1";
        ann.post(CREATE, json!({"topup_id": topup_id, "success_url": page})).await.expect(200);
        assert_eq!(shop.upstream.request().json()["success_url"], page);
    }

    async fn a_checkout_is_opened_by_one_request_at_a_time(app: TestApp) {
        let shop = Shop::open(&app, Vendor::Stripe).await;
        let ann = shop.user("ann").await;
        let topup_id = shop.topup(&ann, 25).await;
        let gate = Gate::default();
        let session = json!({"id": "cs_1", "url": "https://checkout.stripe.com/cs_1", "payment_intent": null});
        let slow = Answer::pieces("application/json").wait(&gate).write(&session.to_string());
        shop.upstream.then(slow);
        let second = async {
            let request = shop.upstream.arrived(0).await;
            let refused = shop.check_out(&ann, &topup_id).await;
            gate.open();
            refused.expect_error(409, "conflict");
            assert!(refused.header("retry-after").is_some());
            request
        };
        let (first, request) = tokio::join!(shop.check_out(&ann, &topup_id), second);
        let first = first.expect(200);
        assert_eq!(request.headers["idempotency-key"], text(&first, "payment_id"));
        assert_eq!(shop.check_out(&ann, &topup_id).await.expect(200), first);
        assert_eq!(shop.upstream.requests().len(), 1);
    }

    async fn requests_at_once_open_one_checkout(app: TestApp) {
        let shop = Shop::open(&app, Vendor::Waffo).await;
        let ann = shop.user("ann").await;
        let topup_id = shop.topup(&ann, 25).await;
        let all = (0..12).map(|_| shop.check_out(&ann, &topup_id));
        let answers = futures_util::future::join_all(all).await;
        let opened: Vec<_> = answers.iter().filter(|answer| answer.status.is_success()).collect();
        assert!(!opened.is_empty());
        assert!(opened.iter().all(|answer| answer.json() == opened[0].json()));
        for refused in answers.iter().filter(|answer| !answer.status.is_success()) {
            refused.expect_error(409, "conflict");
        }
        assert_eq!(shop.upstream.requests().len(), 1);
        let own = ann.get("/v1/payment/payments/me").await.expect(200);
        assert_eq!(own["items"].as_array().unwrap().len(), 1, "{own}");
    }
}
