//! Lists of payments, the pages after a checkout, and the alias `payment.stripe`.

use downcity_services::payment::sandbox::Vendor;
use downcity_testkit::both_engines;
use serde_json::{Value, json};

use crate::common::{Shop, text, usd};

fn ids(list: &Value) -> Vec<String> {
    list["items"]
        .as_array()
        .unwrap()
        .iter()
        .map(|item| text(item, "payment_id").to_owned())
        .collect()
}

both_engines! {
    async fn users_list_their_own_payments_page_by_page(app: TestApp) {
        let shop = Shop::open(&app, Vendor::Stripe).await;
        let (ann, bob) = (shop.buyer("ann").await, shop.buyer("bob").await);
        shop.app.clock().advance(std::time::Duration::from_secs(1));
        let topup_id = shop.topup(&ann.client, 10).await;
        let later = shop.check_out(&ann.client, &topup_id).await.expect(200);
        let path = "/v1/payment/payments/me?limit=1";
        let first = ann.client.get(path).await.expect(200);
        assert_eq!(ids(&first), [text(&later, "payment_id")]);
        let cursor = text(&first, "next_cursor");
        let second = ann.client.get(&format!("{path}&cursor={cursor}")).await.expect(200);
        assert_eq!(ids(&second), [ann.sold.payment_id.as_str()]);
        assert_eq!(second["next_cursor"], Value::Null);
        let own = &second["items"][0];
        assert_eq!((&own["amount"], &own["user_id"]), (&json!(25_000_000), &json!("ann")));
        for field in ["metadata_json", "city_id", "last_error", "paid_minor"] {
            assert_eq!(own.get(field), None, "{field}");
        }
        assert_eq!(ids(&bob.client.get("/v1/payment/payments/me").await.expect(200)), [bob.sold.payment_id]);
    }

    async fn the_trusted_side_lists_by_user_status_and_provider(app: TestApp) {
        let shop = Shop::open(&app, Vendor::Stripe).await;
        let (ann, bob) = (shop.buyer("ann").await, shop.buyer("bob").await);
        shop.tell("evt_1", &usd(2500), &ann.sold, "applied").await;
        shop.configure(Vendor::Creem).await;
        let list = async |query: &str| {
            let path = format!("/v1/payment/payments?{query}");
            let mut found = ids(&shop.app.admin().get(&path).await.expect(200));
            found.sort();
            found
        };
        let (ann_id, bob_id) = (ann.sold.payment_id.clone(), bob.sold.payment_id.clone());
        let mut both = vec![ann_id.clone(), bob_id.clone()];
        both.sort();
        assert_eq!(list("").await, both);
        assert_eq!(list("provider=stripe&city_id=shop").await, both);
        assert_eq!(list("user_id=ann").await, [ann_id.as_str()]);
        assert_eq!(list("status=paid").await, [ann_id.as_str()]);
        assert_eq!(list("status=pending&user_id=bob").await, [bob_id.as_str()]);
        for none in ["provider=creem", "user_id=cleo", "city_id=other", "status=failed"] {
            assert!(list(none).await.is_empty(), "{none}");
        }
        let wrong = shop.app.admin().get("/v1/payment/payments?status=gone").await;
        wrong.expect_error(400, "invalid_input");
        let whole = shop.payment(&ann.sold).await;
        assert_eq!((&whole["city_id"], &whole["paid_minor"]), (&json!("shop"), &json!(2500)));
        assert!(text(&whole, "metadata_json").contains("stripe"));
    }

    async fn pages_after_a_checkout_promise_nothing(app: TestApp) {
        let shop = Shop::open(&app, Vendor::Dodo).await;
        for service in ["payment", "payment.stripe"] {
            for (page, shown) in [
                ("success", "Payment completed"),
                ("success?status=succeeded", "being confirmed"),
                ("success?status=failed", "not completed"),
                ("success?status=%3Cscript%3E", "not completed"),
                ("cancel", "Payment canceled"),
            ] {
                let reply = shop.app.guest().get(&format!("/v1/{service}/redirect/{page}")).await;
                assert_eq!(reply.status.as_u16(), 200);
                assert!(reply.text().contains(shown), "{page}: {}", reply.text());
                assert!(!reply.text().contains("<script"), "{page}");
                assert_eq!(reply.header("content-type"), Some("text/html; charset=utf-8"));
                assert_eq!(reply.header("cache-control"), Some("no-store"));
                let policy = reply.header("content-security-policy").unwrap();
                assert!(policy.contains("default-src 'none'"), "{policy}");
            }
        }
    }

    async fn earlier_clients_find_stripe_under_its_own_name(app: TestApp) {
        let redirect = json!({"redirect": [{"city_id": "shop", "origins": ["https://app.example.com"]}]});
        let shop = Shop::open_with(&app, Vendor::Stripe, redirect).await;
        shop.configure(Vendor::Creem).await;
        let ann = shop.user("ann").await;
        let topup_id = shop.topup(&ann, 25).await;
        let path = "/v1/payment.stripe/checkout/create";
        let elsewhere = json!({"topup_id": topup_id, "success_url": "https://evil.example/"});
        ann.post(path, elsewhere).await.expect_error(400, "invalid_input");
        let input = json!({"topup_id": topup_id, "success_url": "https://app.example.com/ok",
            "cancel_url": "https://app.example.com/no"});
        let checkout = ann.post(path, input.clone()).await.expect(200);
        let sent = String::from_utf8(shop.upstream.request().body.to_vec()).unwrap();
        assert!(sent.contains("app.example.com%2Fok") && sent.contains("app.example.com%2Fno"), "{sent}");
        assert_eq!(checkout["provider"], "stripe");
        assert_eq!(checkout["stripe_checkout_session_id"], checkout["provider_session_id"]);
        assert_eq!(checkout["stripe_payment_intent_id"], "");
        // It is the same payment under both names, and nobody else's.
        assert_eq!(shop.check_out(&ann, &topup_id).await.expect(200)["payment_id"], checkout["payment_id"]);
        let bob = shop.user("bob").await;
        bob.post(path, input).await.expect_error(404, "not_found");

        let sold = shop.sold(&checkout, "ann");
        let delivery = shop.delivery("evt_1", &usd(2500), &sold).unwrap();
        let ack = shop.send_to("/v1/payment.stripe/webhook", &delivery).await.expect(200);
        assert_eq!((&ack["sync_status"], &ack["event_id"]), (&json!("applied"), &json!("stripe:evt_1")));
        assert_eq!(shop.send(&delivery).await.expect(200), ack);
        assert_eq!(shop.credits(&ann).await, 25);

        let own = ann.get("/v1/payment.stripe/payments/me").await.expect(200);
        assert_eq!(own["items"][0]["status"], "paid");
        assert_eq!(own["items"][0]["stripe_checkout_session_id"], checkout["provider_session_id"]);
        assert_eq!(own["items"][0].get("metadata_json"), None);
        let all = shop.app.admin().get("/v1/payment.stripe/payments").await.expect(200);
        assert_eq!(ids(&all), [text(&checkout, "payment_id")]);
        assert_eq!(all["items"][0]["stripe_payment_intent_id"], all["items"][0]["provider_payment_id"]);
        let asked = shop.app.admin().get("/v1/payment.stripe/payments?provider=creem").await.expect(200);
        assert_eq!(ids(&asked), [text(&checkout, "payment_id")], "the provider is fixed");
        let events = shop.app.admin().get("/v1/payment.stripe/events").await.expect(200);
        assert_eq!(events["items"][0]["event_id"], "stripe:evt_1");
        let services = shop.app.admin().get("/v1/services").await.expect(200);
        assert!(services.to_string().contains("payment.stripe"), "{services}");
    }
}
