//! `/v1/balance/topups/*`.

use std::time::Duration;

use downcity_core::Error;
use downcity_services::balance::topups::{self, TopupEnd};
use downcity_services::balance::{sweep_vouchers, verify};
use downcity_services::{Balance, BalanceConfig};
use downcity_testkit::both_engines;
use serde_json::{Value, json};

use crate::common::{at_once, balance, balance_of, each, get, ledger, post, text, times, user};

both_engines! {
    async fn a_topup_is_credited_when_it_is_paid(app: TestApp = balance) {
        let ann = user(&app, "ann").await;
        let topup = post(&ann, "topups/create", json!({"amount": 50})).await.expect(200);
        assert!(text(&topup, "topup_id").starts_with("topup_"));
        let topup_id = topup["topup_id"].clone();
        assert_eq!(topup, json!({
            "topup_id": topup_id, "user_id": "ann", "city_id": "shop", "amount": 50_000_000,
            "unit": "microcredits", "amount_credits": "50", "amount_usd_cents": 5_000,
            "status": "pending", "note": "", "ref": "", "metadata_json": "{}",
            "expires_at": "2026-01-03T03:04:05.678Z",
            "created_at": "2026-01-02T03:04:05.678Z", "updated_at": "2026-01-02T03:04:05.678Z",
        }));
        assert_eq!(balance_of(&ann).await, 0, "nothing is credited yet");

        let input = json!({"topup_id": topup_id, "note": " paid by hand ", "meta": {"till": 3}});
        let paid = post(&app.admin(), "topups/finish", input).await.expect(200);
        assert_eq!((&paid["status"], &paid["note"]), (&json!("paid"), &json!("paid by hand")));
        assert_eq!(paid["metadata_json"], r#"{"till":3}"#);
        assert_eq!(balance_of(&ann).await, 50_000_000);
        let history = get(&ann, "history/me").await;
        let entry = &history["items"][0];
        assert_eq!((&entry["kind"], &entry["amount"]), (&json!("topup"), &json!(50_000_000)));
        assert_eq!((&entry["note"], &entry["ref"]), (&json!("paid by hand"), &topup_id));
        let metadata: Value = serde_json::from_str(&text(entry, "metadata_json")).unwrap();
        assert_eq!(metadata, json!({"till": 3, "topup_id": topup_id}));

        let end = json!({"topup_id": topup_id});
        for action in ["topups/finish", "topups/cancel"] {
            let error = post(&app.admin(), action, end.clone()).await.expect_error(409, "conflict");
            assert!(text(&error, "error").contains("topup is already paid"), "{error}");
        }
        assert_eq!(balance_of(&ann).await, 50_000_000);
    }

    async fn a_canceled_topup_is_never_credited(app: TestApp = balance) {
        let ann = user(&app, "ann").await;
        let topup = post(&ann, "topups/create", json!({"amount": "2.50"})).await.expect(200);
        let end = json!({"topup_id": topup["topup_id"], "ref": "order 7"});
        let canceled = post(&app.admin(), "topups/cancel", end.clone()).await.expect(200);
        assert_eq!((&canceled["status"], &canceled["ref"]), (&json!("canceled"), &json!("order 7")));
        post(&app.admin(), "topups/finish", end).await.expect_error(409, "conflict");
        assert_eq!(balance_of(&ann).await, 0);
        assert!(ledger(&ann).await.is_empty());
        for action in ["topups/finish", "topups/cancel"] {
            let unknown = json!({"topup_id": "topup_x"});
            post(&app.admin(), action, unknown).await.expect_error(404, "not_found");
            post(&app.admin(), action, json!({})).await.expect_error(400, "invalid_input");
        }
    }

    async fn amounts_are_whole_cents_within_bounds(app: TestApp = balance) {
        let ann = user(&app, "ann").await;
        for bad in [
            json!({"amount": 1.004_999}), json!({"amount": "0.99"}), json!({"amount": 10_000.01}),
            json!({"amount": 0}), json!({"amount": -5}), json!({"amount": true}),
            json!({"amount": "0x10"}), json!({"amount": [5]}), json!({}),
            json!({"amount": 5, "amount_microcredits": 5_000_000}),
            json!({"amount_microcredits": 5_000_001}), json!({"amount_microcredits": 5.5}),
        ] {
            post(&ann, "topups/create", bad).await.expect_error(400, "invalid_input");
        }
        for (good, cents) in [
            (json!({"amount": 1}), 100), (json!({"amount": 10_000}), 1_000_000),
            (json!({"amount": 12.34}), 1_234), (json!({"amount": "12.34"}), 1_234),
            (json!({"amount_microcredits": 12_340_000}), 1_234),
        ] {
            let topup = post(&ann, "topups/create", good).await.expect(200);
            assert_eq!(topup["amount_usd_cents"], cents);
        }
    }

    async fn a_user_says_little_and_never_in_the_operators_place(app: TestApp = balance) {
        let ann = user(&app, "ann").await;
        let extra = json!({"amount": 5, "note": "mine", "ref": "r", "meta": {"topup_id": "x"}});
        let topup = post(&ann, "topups/create", extra).await.expect(200);
        assert_eq!((&topup["note"], &topup["ref"]), (&json!(""), &json!("")));
        assert_eq!(
            topup["metadata_json"],
            r#"{"user":{"note":"mine","ref":"r","meta":{"topup_id":"x"}}}"#
        );
        for (field, value) in [
            ("note", json!("x".repeat(501))),
            ("ref", json!("x".repeat(201))),
            ("meta", json!({"x": "y".repeat(8_200)})),
        ] {
            let mut input = json!({"amount": 5});
            input[field] = value;
            let error = post(&ann, "topups/create", input).await.expect_error(400, "invalid_input");
            assert_eq!(error["details"][0]["path"], field);
        }
    }

    async fn twenty_topups_wait_at_most_and_a_day_at_most(app: TestApp = balance) {
        let (ann, bob) = (user(&app, "ann").await, user(&app, "bob").await);
        let replies = at_once(40, |_| {
            let ann = ann.clone();
            async move { post(&ann, "topups/create", json!({"amount": 5})).await }
        })
        .await;
        assert_eq!(times(&replies, 409), 20);
        let made = replies.iter().filter(|reply| reply.status == 200);
        let made: Vec<_> = made.map(|reply| reply.json()).collect();
        assert_eq!(made.len(), 20, "of many at once exactly as many as there are places");
        post(&bob, "topups/create", json!({"amount": 5})).await.expect(200);

        // One place is free again, and taken again.
        let end = json!({"topup_id": made[7]["topup_id"]});
        post(&app.admin(), "topups/cancel", end).await.expect(200);
        post(&ann, "topups/create", json!({"amount": 6})).await.expect(200);
        post(&ann, "topups/create", json!({"amount": 6})).await.expect_error(409, "conflict");

        app.clock().advance(Duration::from_hours(24));
        // Those of the user who asks are looked at then, the others by the sweeper.
        post(&ann, "topups/create", json!({"amount": 7})).await.expect(200);
        let pending = get(&app.admin(), "topups?status=pending&limit=200").await;
        assert_eq!(each(&pending, "user_id"), ["ann", "bob"]);
        assert_eq!(sweep_vouchers(app.runtime()).await.unwrap(), 1);
        let end = json!({"topup_id": made[0]["topup_id"]});
        let error = post(&app.admin(), "topups/finish", end).await.expect_error(409, "conflict");
        assert!(text(&error, "error").contains("already canceled"), "{error}");
        assert_eq!(sweep_vouchers(app.runtime()).await.unwrap(), 0);
        assert_eq!(each(&get(&app.admin(), "topups?status=pending").await, "amount_credits"), ["7"]);
    }

    async fn a_repeated_create_is_one_topup(app: TestApp = balance) {
        let (ann, bob) = (user(&app, "ann").await, user(&app, "bob").await);
        let input = json!({"amount": 5, "idempotency_key": "k1"});
        let first = post(&ann, "topups/create", input.clone()).await.expect(200);
        assert_eq!(post(&ann, "topups/create", input.clone()).await.expect(200), first);
        let other = json!({"amount": 6, "idempotency_key": "k1"});
        post(&ann, "topups/create", other).await.expect_error(409, "idempotency_mismatch");
        let of_bob = post(&bob, "topups/create", input).await.expect(200);
        assert_ne!(of_bob["topup_id"], first["topup_id"], "a key is its sender's own");

        let end = json!({"topup_id": first["topup_id"], "idempotency_key": "k2"});
        let paid = post(&app.admin(), "topups/finish", end.clone()).await.expect(200);
        assert_eq!(post(&app.admin(), "topups/finish", end).await.expect(200), paid);
        assert_eq!(ledger(&ann).await, [("topup".to_owned(), 5_000_000)]);
    }

    async fn lists_have_pages_and_filters(app: TestApp = balance) {
        let (ann, bob) = (user(&app, "ann").await, user(&app, "bob").await);
        let mut ids = Vec::new();
        for (number, client) in [&ann, &bob, &ann, &ann, &bob].into_iter().enumerate() {
            let topup = post(client, "topups/create", json!({"amount": number + 1})).await.expect(200);
            ids.insert(0, text(&topup, "topup_id"));
            app.clock().advance(Duration::from_secs(60));
        }
        let end = json!({"topup_id": ids[2], "ref": "order 3"});
        post(&app.admin(), "topups/finish", end).await.expect(200);

        let admin = app.admin();
        assert_eq!(each(&get(&admin, "topups").await, "topup_id"), ids);
        let first = get(&admin, "topups?limit=3").await;
        assert_eq!(each(&first, "topup_id"), ids[..3]);
        let cursor = text(&first, "next_cursor");
        let rest = get(&admin, &format!("topups?limit=3&cursor={cursor}")).await;
        assert_eq!(each(&rest, "topup_id"), ids[3..]);
        assert_eq!(rest.get("next_cursor"), None);
        for (query, expected) in [
            ("user_id=bob", vec![0, 3]),
            ("user_id=bob&status=paid", vec![]),
            ("user_id=ann&ref=order%203", vec![2]),
            ("ref=order%203", vec![2]),
            ("status=pending", vec![0, 1, 3, 4]),
            ("city_id=shop", vec![0, 1, 2, 3, 4]),
            ("city_id=elsewhere", vec![]),
            ("from=2026-01-02T03:06:05.678Z", vec![0, 1, 2]),
            ("to=2026-01-02T03:06:05.678Z", vec![3, 4]),
            ("from=2026-01-02T03:05:00Z&to=2026-01-02T03:06:06Z&user_id=ann", vec![2]),
        ] {
            let expected: Vec<_> = expected.into_iter().map(|index: usize| ids[index].clone()).collect();
            assert_eq!(each(&get(&admin, &format!("topups?{query}")).await, "topup_id"), expected, "{query}");
        }
        assert_eq!(each(&get(&bob, "topups/me").await, "topup_id"), [&*ids[0], &*ids[3]]);
        assert_eq!(each(&get(&ann, "topups/me?limit=1").await, "topup_id"), [&*ids[1]]);
        for bad in ["topups?status=open", "topups?cursor=x", "topups?from=yesterday"] {
            admin.get(&format!("/v1/balance/{bad}")).await.expect_error(400, "invalid_input");
        }
    }

    async fn a_key_of_a_city_ends_topups_of_that_city_alone(app: TestApp = balance) {
        let ann = user(&app, "ann").await;
        app.create_city("other").await;
        let topup = post(&ann, "topups/create", json!({"amount": 5})).await.expect(200);
        for action in ["topups/finish", "topups/cancel"] {
            let input = json!({"topup_id": topup["topup_id"], "city_id": "other"});
            post(&app.admin(), action, input).await.expect_error(404, "not_found");
        }
        // An empty id is a mistake of whoever meant a city.
        for action in ["topups/finish", "topups/cancel"] {
            for city_id in ["", " "] {
                let input = json!({"topup_id": topup["topup_id"], "city_id": city_id});
                let error = post(&app.admin(), action, input).await.expect_error(400, "invalid_input");
                assert!(text(&error, "error").contains("city_id"), "{error}");
            }
        }
        let input = json!({"topup_id": topup["topup_id"], "city_id": " shop "});
        post(&app.admin(), "topups/finish", input).await.expect(200);
    }

    async fn a_refused_end_leaves_nothing_in_a_transaction_that_goes_on(app: TestApp = balance) {
        let ann = user(&app, "ann").await;
        let first = post(&ann, "topups/create", json!({"amount": 5})).await.expect(200);
        let second = post(&ann, "topups/create", json!({"amount": 6})).await.expect(200);
        app.clock().advance(Duration::from_secs(1));
        let third = post(&ann, "topups/create", json!({"amount": 7})).await.expect(200);
        let service = Balance::new(BalanceConfig::default());
        let finish = async |topup: &Value, payment_id: &str| {
            let mut end = TopupEnd::new(app.runtime(), &text(topup, "topup_id"), "payment:p1");
            end.effect = Some(format!("payment:{payment_id}"));
            end.noted.meta = json!({"payment_id": payment_id}).as_object().unwrap().clone();
            let service = service.clone();
            let write = move |tx: &mut downcity_db::Tx<'_>| {
                let refused = topups::finish(&service, tx, &end).map(drop);
                Ok::<_, Error>(refused.map_err(|error| error.status().as_u16()))
            };
            app.runtime().db().write(write).await.unwrap()
        };
        assert_eq!(finish(&first, "p1").await, Ok(()));
        // The same payment credits nothing else, and leaves the other top-up as it was.
        assert_eq!(finish(&second, "p1").await, Err(409));
        assert_eq!(balance_of(&ann).await, 5_000_000);
        // A wallet that is full takes no more.
        let full = json!({"user_id": "ann", "city_id": "shop", "amount_microcredits": 9_007_199_249_740_991_i64});
        post(&app.admin(), "add", full).await.expect(200);
        assert_eq!(finish(&third, "p3").await, Err(400));
        let pending = get(&app.admin(), "topups?status=pending").await;
        assert_eq!(each(&pending, "amount_credits"), ["7", "6"]);
        let found = verify(app.runtime().db(), |_| ()).await.unwrap();
        assert!(found.is_whole(), "{found:?}");
    }

    async fn a_service_key_finishes_within_its_amounts(app: TestApp = balance) {
        let ann = user(&app, "ann").await;
        let key = app.admin().post("/v1/keys/create", json!({
            "name": "till", "actions": ["balance/topups/finish"], "amount_per_call": 5_000_000,
        })).await.expect(200);
        let till = app.user(&text(&key, "key"));
        for (amount, status) in [(5, 200), (6, 403)] {
            let topup = post(&ann, "topups/create", json!({"amount": amount})).await.expect(200);
            let end = json!({"topup_id": topup["topup_id"]});
            assert_eq!(post(&till, "topups/finish", end).await.status, status, "{amount}");
        }
        assert_eq!(balance_of(&ann).await, 5_000_000);
    }

    async fn ends_of_topups_are_in_the_audit_trail(app: TestApp = balance) {
        let ann = user(&app, "ann").await;
        let topup = post(&ann, "topups/create", json!({"amount": 5})).await.expect(200);
        let end = json!({"topup_id": topup["topup_id"]});
        post(&app.admin(), "topups/finish", end).await.expect(200);
        let rows = app.admin().get("/v1/audit/list?limit=1").await.expect(200);
        let row = &rows["items"][0];
        assert_eq!(row["action"], "balance/topups/finish");
        assert_eq!(row["target_id"], topup["topup_id"]);
        assert_eq!((&row["before"]["status"], &row["after"]["status"]), (&json!("pending"), &json!("paid")));
    }
}
