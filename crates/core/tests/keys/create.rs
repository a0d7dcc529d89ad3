//! `/v1/keys/create`: what it answers and what it refuses.

use downcity_core::keys::is_well_formed;
use downcity_testkit::both_engines;
use serde_json::{Value, json};

use crate::common::{ask, cities, create};

both_engines! {
    async fn a_key_is_made_with_trimmed_fields(app: TestApp) {
        cities(&app, &["a", "b"]).await;
        let input = json!({
            "name": "  Shop 店 ", "actions": [" cities/tokens/apply ", "cities/tokens/apply", "env/*"],
            "cities": [" b ", "a", "b"], "ttl": "7d", "studio": "ignored",
        });
        let mut issued = create(&app, input).await;
        let fields: Vec<String> = issued.as_object().unwrap().keys().cloned().collect();
        assert_eq!(fields, ["key", "key_id", "name", "prefix", "actions", "cities", "expires_at", "created_at", "revoked_at", "amount_per_call", "amount_per_day", "last_used_at"]);
        let key = issued["key"].take();
        let key = key.as_str().unwrap();
        assert!(is_well_formed(key.as_bytes()) && key.len() == 41, "{key}");
        assert!(issued["key_id"].as_str().unwrap().starts_with("key_"));
        issued["key_id"] = Value::Null;
        assert_eq!(issued, json!({
            "key": null,
            "key_id": null,
            "name": "Shop 店",
            "prefix": &key[..10],
            "actions": ["cities/tokens/apply", "env/*"],
            "cities": ["b", "a"],
            "expires_at": "2026-01-09T03:04:05.000Z",
            "created_at": "2026-01-02T03:04:05.678Z",
            "revoked_at": null,
            "amount_per_call": null,
            "amount_per_day": null,
            "last_used_at": null,
        }));
        for open in [json!({"name": "K", "actions": ["*"]}), json!({"name": "K", "actions": ["*"], "cities": null, "ttl": null}), json!({"name": "K", "actions": ["*"], "cities": []})] {
            let issued = create(&app, open).await;
            assert_eq!((&issued["cities"], &issued["expires_at"]), (&json!([]), &Value::Null));
        }
    }

    async fn bad_fields_are_named(app: TestApp) {
        let with = |field: &str, value: Value| {
            let mut input = json!({"name": "K", "actions": ["cities/*"], "cities": ["city_downcity"]});
            input[field] = value;
            input
        };
        for (input, field) in [
            (json!({"actions": ["*"]}), "name"),
            (with("name", json!(" ")), "name"),
            (with("name", json!("a\0b")), "name"),
            (with("name", json!("y".repeat(201))), "name"),
            (json!({"name": "K"}), "actions"),
            (with("actions", json!([])), "actions"),
            (with("actions", json!("*")), "actions"),
            (with("actions", json!(vec!["*"; 101])), "actions"),
            (with("actions", json!(["*", 7])), "actions[1]"),
            (with("actions", json!(["*", ""])), "actions[1]"),
            (with("actions", json!(["cities/*", "cities/list", "keys/list"])), "actions[2]"),
            (with("actions", json!(["keys/*"])), "actions[0]"),
            (with("actions", json!(["cities"])), "actions[0]"),
            (with("actions", json!(["*/list"])), "actions[0]"),
            (with("amount_per_call", json!(-1)), "amount_per_call"),
            (with("amount_per_call", json!("1")), "amount_per_call"),
            (with("amount_per_day", json!(-1)), "amount_per_day"),
            (with("amount_per_day", json!(1.5)), "amount_per_day"),
            (with("amount_per_day", json!(9_007_199_254_740_992_i64)), "amount_per_day"),
            (json!({"name": "K", "actions": ["*"], "amount_per_call": 2, "amount_per_day": 1}), "amount_per_call"),
            (with("cities", json!(["city_downcity", " "])), "cities[1]"),
            (with("cities", json!("city_downcity")), "cities"),
            (with("cities", json!(vec!["city_downcity"; 101])), "cities"),
        ] {
            let error = ask(&app, input.clone()).await.expect_error(400, "invalid_input");
            assert_eq!(error["details"][0]["path"], field, "{input}");
        }
        for ttl in [json!(0), json!("1w"), json!(""), json!(-1), json!(true)] {
            let error = ask(&app, with("ttl", ttl)).await.expect_error(400, "invalid_ttl");
            assert_eq!(error["details"][0]["path"], "ttl");
        }
        for city in ["nowhere", "a\0b"] {
            let error = ask(&app, with("cities", json!(["city_downcity", city]))).await.expect_error(404, "city_not_found");
            assert_eq!(error["details"][0]["path"], "cities[1]", "{error}");
        }
        let list = app.admin().get("/v1/keys/list").await.expect(200);
        assert_eq!(list, json!({"items": []}), "nothing was made");
    }

    async fn the_nearest_action_is_named(app: TestApp) {
        let input = json!({"name": "K", "actions": ["cities/list", "cites/token/apply"]});
        let error = ask(&app, input).await.expect_error(400, "invalid_input");
        assert_eq!(error["error"], r#"actions[1]: "cites/token/apply" is no known action; did you mean "cities/tokens/apply"?"#);
    }

    async fn only_the_admin_manages_keys(app: TestApp) {
        let user = app.user(&app.token("city_downcity", "u").await);
        for path in ["/v1/keys/create", "/v1/keys/revoke"] {
            app.guest().post(path, json!({})).await.expect_error(401, "missing_credential");
            user.post(path, json!({})).await.expect_error(403, "forbidden");
        }
        app.guest().get("/v1/keys/list").await.expect_error(401, "missing_credential");
        user.get("/v1/keys/list").await.expect_error(403, "forbidden");
    }
}
