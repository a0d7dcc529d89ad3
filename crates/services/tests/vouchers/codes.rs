//! `/v1/balance/redeem-codes/*`.

use std::time::Duration;

use downcity_testkit::both_engines;
use serde_json::{Value, json};

use crate::common::{balance, balance_of, code, each, get, ledger, post, text, user};

async fn redeem(client: &downcity_testkit::Client, code: &Value) -> downcity_testkit::TestReply {
    post(client, "redeem-codes/redeem", json!({"code": code["code"]})).await
}

both_engines! {
    async fn a_code_is_redeemed_once(app: TestApp = balance) {
        let (ann, bob) = (user(&app, "ann").await, user(&app, "bob").await);
        let made = code(&app, 40, json!({"note": "welcome", "meta": {"campaign": "x"}})).await;
        let shown = text(&made, "code");
        assert_eq!(shown.split('-').map(str::len).collect::<Vec<_>>(), [4; 4]);
        assert!(shown.bytes().all(|b| b"ABCDEFGHJKLMNPQRSTUVWXYZ23456789-".contains(&b)), "{shown}");
        assert_eq!(text(&made, "code_mask"), format!("{}-********-{}", &shown[..4], &shown[15..]));
        for (field, value) in [
            ("amount", json!(40_000_000)), ("unit", json!("microcredits")),
            ("amount_credits", json!("40")), ("status", json!("active")), ("ref", json!("")),
            ("redeemed_by_user_id", json!("")), ("redeemed_at", json!("")),
        ] {
            assert_eq!(made[field], value, "{field}");
        }

        let typed = shown.to_lowercase().replace('-', " ");
        let input = json!({"code": typed, "note": "thanks", "meta": {"campaign": "y"}});
        let done = post(&ann, "redeem-codes/redeem", input).await.expect(200);
        assert_eq!(done["account"]["balance"], 40_000_000);
        assert_eq!(done["account"]["user_id"], "ann");
        let record = &done["redeem_code"];
        assert_eq!((&record["status"], &record["redeemed_by_user_id"]), (&json!("redeemed"), &json!("ann")));
        assert_eq!((&record["redeemed_at"], &record["note"]), (&json!("2026-01-02T03:04:05.678Z"), &json!("welcome")));
        assert_eq!(
            record["metadata_json"],
            r#"{"campaign":"x","user":{"note":"thanks","meta":{"campaign":"y"}}}"#
        );
        assert_eq!(record.get("code"), None);

        for client in [&ann, &bob] {
            let error = redeem(client, &made).await.expect_error(409, "conflict");
            assert!(text(&error, "error").contains("redeem_code is already redeemed"), "{error}");
        }
        assert_eq!((balance_of(&ann).await, balance_of(&bob).await), (40_000_000, 0));
        let history = get(&ann, "history/me").await;
        let entry = &history["items"][0];
        assert_eq!((&entry["kind"], &entry["note"]), (&json!("redeem"), &json!("welcome")));
        assert_eq!(entry["ref"], made["redeem_code_id"]);
        let metadata: Value = serde_json::from_str(&text(entry, "metadata_json")).unwrap();
        assert_eq!(metadata["redeem_code_id"], made["redeem_code_id"]);
        assert_eq!(metadata["code_mask"], made["code_mask"]);
        assert_eq!((&metadata["campaign"], &metadata["user"]["note"]), (&json!("x"), &json!("thanks")));
    }

    async fn a_disabled_code_credits_nothing(app: TestApp = balance) {
        let ann = user(&app, "ann").await;
        let made = code(&app, 5, json!({})).await;
        let input = json!({"redeem_code_id": made["redeem_code_id"], "note": "a mistake"});
        let disabled = post(&app.admin(), "redeem-codes/disable", input.clone()).await.expect(200);
        assert_eq!((&disabled["status"], &disabled["note"]), (&json!("disabled"), &json!("a mistake")));
        let error = redeem(&ann, &made).await.expect_error(409, "conflict");
        assert!(text(&error, "error").contains("already disabled"), "{error}");
        let error = post(&app.admin(), "redeem-codes/disable", input).await.expect_error(409, "conflict");
        assert!(text(&error, "error").contains("already disabled"), "{error}");
        let unknown = json!({"redeem_code_id": "rc_x"});
        post(&app.admin(), "redeem-codes/disable", unknown).await.expect_error(404, "not_found");
        assert_eq!(balance_of(&ann).await, 0);
    }

    async fn codes_of_ones_own_are_long_and_unique(app: TestApp = balance) {
        let ann = user(&app, "ann").await;
        let own = code(&app, 5, json!({"code": " spring-2026 sale "})).await;
        assert_eq!(own["code"], "SPRING2026SALE");
        assert_eq!(own["code_mask"], "SPR-********-ALE");
        let again = json!({"amount": 5, "code": "Spring 2026 SALE"});
        let error = post(&app.admin(), "redeem-codes/create", again).await.expect_error(409, "conflict");
        assert!(text(&error, "error").contains("redeem_code already exists"), "{error}");
        for bad in ["AB", "ABCD-EFGH-JKL", "ABCD_EFGH_JKLM", "ÄÖÜÄÖÜÄÖÜÄÖÜ", &"A".repeat(65)] {
            let input = json!({"amount": 5, "code": bad});
            post(&app.admin(), "redeem-codes/create", input).await.expect_error(400, "invalid_input");
        }
        for bad in ["", " - ", "AB_CD"] {
            let input = json!({"code": bad});
            let error = post(&ann, "redeem-codes/redeem", input).await.expect_error(400, "invalid_input");
            assert_eq!(error["details"][0]["path"], "code");
        }
        redeem(&ann, &json!({"code": "spring2026sale"})).await.expect(200);
    }

    async fn a_repeated_create_shows_the_same_code_and_stores_none(app: TestApp = balance) {
        let input = json!({"amount": 5, "idempotency_key": "gift 1"});
        let first = post(&app.admin(), "redeem-codes/create", input.clone()).await.expect(200);
        assert_eq!(post(&app.admin(), "redeem-codes/create", input).await.expect(200), first);
        let batch = json!({"amount": 5, "count": 3, "idempotency_key": "gift 1"});
        let codes = post(&app.admin(), "redeem-codes/batch", batch.clone()).await.expect(200);
        assert_eq!(post(&app.admin(), "redeem-codes/batch", batch).await.expect(200), codes);
        let own = json!({"amount": 5, "code": "MYOWNCODE2026", "idempotency_key": "own"});
        let third = post(&app.admin(), "redeem-codes/create", own.clone()).await.expect(200);
        assert_eq!(post(&app.admin(), "redeem-codes/create", own).await.expect(200), third);

        let list = get(&app.admin(), "redeem-codes").await;
        assert_eq!(list["items"].as_array().unwrap().len(), 5);
        let mut shown = each(&codes, "code");
        shown.extend([text(&first, "code"), text(&third, "code")]);
        let unique: std::collections::BTreeSet<_> = shown.iter().collect();
        assert_eq!(unique.len(), 5);
        let audit = app.admin().get("/v1/audit/list").await.expect(200);
        let kept = app.runtime().db().scan(|tx| {
            tx.query(downcity_db::sql!("SELECT reply FROM idempotency ORDER BY key LIMIT 100"), &[])?
                .iter().map(|row| row.get::<String>("reply")).collect::<Result<Vec<_>, _>>()
        }).await.unwrap();
        assert_eq!(kept.len(), 3);
        for code in shown {
            for text in [audit.to_string(), list.to_string(), kept.concat()] {
                assert!(!text.contains(&code) && !text.contains(&code.replace('-', "")), "{text}");
            }
        }
    }

    async fn batches_have_equal_terms(app: TestApp = balance) {
        let ann = user(&app, "ann").await;
        let batch = json!({"amount": 5, "count": 500, "note": "fair", "expires_at": "2026-02-01T00:00:00Z"});
        let made = post(&app.admin(), "redeem-codes/batch", batch).await.expect(200);
        let codes: std::collections::BTreeSet<_> = each(&made, "code").into_iter().collect();
        assert_eq!(codes.len(), 500);
        let batch_id = text(&made, "batch_id");
        assert!(made["items"].as_array().unwrap().iter().all(|code| code["batch_id"] == *batch_id));
        redeem(&ann, &made["items"][499]).await.expect(200);
        let list = get(&app.admin(), &format!("redeem-codes?batch_id={batch_id}&status=redeemed")).await;
        assert_eq!(each(&list, "redeemed_by_user_id"), ["ann"]);
        for count in [json!(0), json!(501), json!(-1), json!("x")] {
            let input = json!({"amount": 5, "count": count});
            post(&app.admin(), "redeem-codes/batch", input).await.expect_error(400, "invalid_input");
        }
    }

    async fn a_code_for_many_is_redeemed_as_often_as_it_says(app: TestApp = balance) {
        let made = code(&app, 5, json!({"max_uses": 3, "max_uses_per_user": 2})).await;
        let (ann, bob) = (user(&app, "ann").await, user(&app, "bob").await);
        redeem(&ann, &made).await.expect(200);
        let second = redeem(&ann, &made).await.expect(200);
        assert_eq!((&second["redeem_code"]["uses"], &second["redeem_code"]["status"]), (&json!(2), &json!("active")));
        let error = redeem(&ann, &made).await.expect_error(409, "conflict");
        assert!(text(&error, "error").contains("by this user"), "{error}");
        let last = redeem(&bob, &made).await.expect(200);
        assert_eq!(last["redeem_code"]["status"], "redeemed");
        redeem(&bob, &made).await.expect_error(409, "conflict");
        assert_eq!((balance_of(&ann).await, balance_of(&bob).await), (10_000_000, 5_000_000));
        for bad in [json!({"max_uses": 0}), json!({"max_uses_per_user": 0}), json!({"max_uses": 1_000_001})] {
            let mut input = json!({"amount": 5});
            input.as_object_mut().unwrap().extend(bad.as_object().unwrap().clone());
            post(&app.admin(), "redeem-codes/create", input).await.expect_error(400, "invalid_input");
        }
    }

    async fn codes_and_what_they_give_have_an_end(app: TestApp = balance) {
        let ann = user(&app, "ann").await;
        let made = code(&app, 5, json!({"expires_at": "2026-01-02T03:05:00Z", "max_uses": 2, "max_uses_per_user": 2})).await;
        redeem(&ann, &made).await.expect(200);
        app.clock().advance(Duration::from_secs(60));
        let error = redeem(&ann, &made).await.expect_error(409, "conflict");
        assert!(text(&error, "error").contains("redeem_code is expired"), "{error}");
        assert_eq!(balance_of(&ann).await, 5_000_000);

        let for_a_day = code(&app, 7, json!({"credits_expire_after": "1d"})).await;
        assert_eq!(for_a_day["credits_expire_after"], 86_400);
        let done = redeem(&ann, &for_a_day).await.expect(200);
        assert_eq!(done["account"]["balance"], 12_000_000);
        for past in ["expires_at", "credits_expire_at"] {
            let mut input = json!({"amount": 5});
            input[past] = json!("2026-01-01T00:00:00Z");
            let error = post(&app.admin(), "redeem-codes/create", input).await.expect_error(400, "invalid_input");
            assert_eq!(error["details"][0]["path"], past);
        }
    }

    async fn a_code_of_a_city_is_unknown_elsewhere(app: TestApp = balance) {
        let ann = user(&app, "ann").await;
        app.create_city("other").await;
        let stranger = app.user(&app.token("other", "ann").await);
        let made = code(&app, 5, json!({"city_id": "shop"})).await;
        redeem(&stranger, &made).await.expect_error(404, "not_found");
        let input = json!({"redeem_code_id": made["redeem_code_id"], "city_id": "other"});
        post(&app.admin(), "redeem-codes/disable", input).await.expect_error(404, "not_found");
        let blank = json!({"redeem_code_id": "rc_none", "city_id": " "});
        post(&app.admin(), "redeem-codes/disable", blank).await.expect_error(400, "invalid_input");
        redeem(&ann, &made).await.expect(200);
    }

    async fn lists_show_masks_and_have_filters(app: TestApp = balance) {
        let (ann, admin) = (user(&app, "ann").await, app.admin());
        let mut made = Vec::new();
        for number in 1..=4 {
            made.insert(0, code(&app, number, json!({"ref": format!("r{}", number % 2)})).await);
            app.clock().advance(Duration::from_secs(60));
        }
        let ids: Vec<_> = made.iter().map(|code| text(code, "redeem_code_id")).collect();
        redeem(&ann, &made[1]).await.expect(200);
        post(&admin, "redeem-codes/disable", json!({"redeem_code_id": ids[0]})).await.expect(200);
        let all = get(&admin, "redeem-codes").await;
        assert_eq!(each(&all, "redeem_code_id"), ids);
        assert_eq!(each(&all, "status"), ["disabled", "redeemed", "active", "active"]);
        let first = get(&admin, "redeem-codes?limit=3").await;
        let rest = get(&admin, &format!("redeem-codes?limit=3&cursor={}", text(&first, "next_cursor"))).await;
        assert_eq!(each(&rest, "redeem_code_id"), ids[3..]);
        for (query, expected) in [
            ("user_id=ann", vec![1]),
            ("user_id=bob", vec![]),
            ("status=active", vec![2, 3]),
            ("ref=r0", vec![0, 2]),
            ("ref=r0&status=disabled", vec![0]),
            ("city_id=shop", vec![]),
            ("to=2026-01-02T03:06:00Z", vec![2, 3]),
        ] {
            let expected: Vec<_> = expected.into_iter().map(|index: usize| ids[index].clone()).collect();
            assert_eq!(each(&get(&admin, &format!("redeem-codes?{query}")).await, "redeem_code_id"), expected, "{query}");
        }
        let bad = admin.get("/v1/balance/redeem-codes?status=new").await;
        let error = bad.expect_error(400, "invalid_input");
        assert!(text(&error, "error").contains("active, redeemed, disabled"), "{error}");
    }

    async fn a_repeated_redeem_is_one_credit(app: TestApp = balance) {
        let ann = user(&app, "ann").await;
        let made = code(&app, 5, json!({})).await;
        let input = json!({"code": made["code"], "idempotency_key": "k"});
        let first = post(&ann, "redeem-codes/redeem", input.clone()).await.expect(200);
        assert_eq!(post(&ann, "redeem-codes/redeem", input).await.expect(200), first);
        assert_eq!(ledger(&ann).await, [("redeem".to_owned(), 5_000_000)]);
    }

    async fn the_city_of_a_code_is_an_id(app: TestApp = balance) {
        // Too long for an index of PostgreSQL, also where it compresses texts.
        let long: String = (0..20_000_u32).map(|i| format!("{:x}", i.wrapping_mul(2_654_435_761))).collect();
        for city_id in ["x".repeat(513), long, "a\0b".to_owned()] {
            let input = json!({"amount": 5, "city_id": city_id});
            post(&app.admin(), "redeem-codes/create", input).await.expect_error(400, "invalid_input");
        }
        assert_eq!(code(&app, 5, json!({"city_id": " "})).await["city_id"], "");
    }

    async fn a_service_key_gives_away_what_it_may(app: TestApp = balance) {
        let key = app.admin().post("/v1/keys/create", json!({
            "name": "gifts", "amount_per_call": 10_000_000,
            "actions": ["balance/redeem-codes/create", "balance/redeem-codes/batch"],
        })).await.expect(200);
        let gifts = app.user(&text(&key, "key"));
        let many = json!({"amount": 5, "max_uses": 3});
        post(&gifts, "redeem-codes/create", many).await.expect_error(403, "amount_exceeded");
        let many = json!({"amount": 5, "count": 3});
        post(&gifts, "redeem-codes/batch", many).await.expect_error(403, "amount_exceeded");
        post(&gifts, "redeem-codes/batch", json!({"amount": 5, "count": 2})).await.expect(200);
        let huge = json!({"amount": 9_000_000_000_u64, "count": 2});
        post(&app.admin(), "redeem-codes/batch", huge).await.expect_error(400, "invalid_input");
    }
}
