//! The actions of `env`, over HTTP.

use downcity_core::env::{ADMIN_KEY, SIGNING_KEY, SYSTEM_KEYS};
use downcity_testkit::{TestApp, both_engines};
use serde_json::{Value, json};

use crate::common::{applied, listed, stored_keys, upsert, versions};

const GETS: [&str; 2] = ["/v1/env/list", "/v1/env/catalog"];
const POSTS: [&str; 4] = ["upsert", "remove", "import", "refresh"];

async fn post(app: &TestApp, action: &str, input: Value) -> downcity_testkit::TestReply {
    app.admin().post(&format!("/v1/env/{action}"), input).await
}

both_engines! {
    async fn only_the_trusted_side_may_call(app: TestApp) {
        app.create_city("c").await;
        let token = app.token("c", "u").await;
        for path in GETS {
            app.guest().get(path).await.expect(401);
            app.user("admin_wrong").get(path).await.expect(401);
            app.user(&token).get(path).await.expect_error(403, "forbidden");
        }
        for action in POSTS {
            let path = format!("/v1/env/{action}");
            app.guest().post(&path, json!({})).await.expect(401);
            app.user(&token).post(&path, json!({})).await.expect_error(403, "forbidden");
        }
        assert_eq!(stored_keys(&app).await.len(), SYSTEM_KEYS.len());
    }

    async fn an_upsert_normalises_the_key_and_keeps_the_value_as_sent(app: TestApp) {
        let reply = post(&app, "upsert", json!({"key": " my_key ", "value": " v "})).await;
        assert_eq!(reply.expect(200), json!({"success": true, "key": "MY_KEY"}));
        assert_eq!(applied(&app, "MY_KEY").as_deref(), Some(" v "));
        assert_eq!(applied(&app, " my_key").as_deref(), Some(" v "), "reads normalise too");
        let entry = listed(&app, "MY_KEY").await.unwrap();
        let expected =
            json!({"key": "MY_KEY", "value": " v ", "source": "database", "masked": false, "last_read_at": "2026-01-02T03:04:05.000Z"});
        assert_eq!(entry, expected);
    }

    async fn scalars_are_stored_as_text_and_nothing_as_empty_text(app: TestApp) {
        for (value, text) in
            [(json!(7), "7"), (json!(1.5), "1.5"), (json!(false), "false"), (json!(null), "")]
        {
            post(&app, "upsert", json!({"key": "K", "value": value})).await.expect(200);
            assert_eq!(listed(&app, "K").await.unwrap()["value"], text);
        }
        post(&app, "upsert", json!({"key": "L"})).await.expect(200);
        assert_eq!(listed(&app, "L").await.unwrap()["value"], "");
        assert_eq!(applied(&app, "L"), None, "empty counts as not configured");
    }

    async fn bad_input_is_a_400_that_names_the_field(app: TestApp) {
        for (input, code, path) in [
            (json!({"value": "v"}), "invalid_input", "key"),
            (json!({"key": 7, "value": "v"}), "invalid_input", "key"),
            (json!({"key": "", "value": "v"}), "invalid_key", "key"),
            (json!({"key": "a-b"}), "invalid_key", "key"),
            (json!({"key": "1A"}), "invalid_key", "key"),
            (json!({"key": "K".repeat(129)}), "invalid_key", "key"),
            (json!({"key": "K\u{0}"}), "invalid_key", "key"),
            (json!({"key": "K", "value": {"a": 1}}), "invalid_input", "value"),
            (json!({"key": "K", "value": ["a"]}), "invalid_input", "value"),
            (json!({"key": "K", "value": "x".repeat(64 * 1024 + 1)}), "invalid_input", "value"),
        ] {
            let reply = post(&app, "upsert", input).await.expect_error(400, code);
            assert_eq!(reply["details"][0]["path"], path, "{reply}");
        }
        post(&app, "remove", json!({"key": "a b"})).await.expect_error(400, "invalid_key");
        post(&app, "remove", json!({})).await.expect_error(400, "invalid_input");
        post(&app, "import", json!({"raw": 7})).await.expect_error(400, "invalid_input");
        let reveal = app.admin().get("/v1/env/list?reveal=perhaps").await;
        assert_eq!(reveal.expect_error(400, "invalid_input")["details"][0]["path"], "reveal");
        assert_eq!(stored_keys(&app).await.len(), SYSTEM_KEYS.len());
    }

    async fn odd_values_survive(app: TestApp) {
        for value in ["nul\0nul", "\u{feff}\r\n", "🙂 ключ", "sealed:v1:1:AAAA", "********"] {
            upsert(&app, "K", value).await;
            assert_eq!(applied(&app, "K").as_deref(), Some(value), "{value:?}");
        }
    }

    async fn remove_says_what_it_did(app: TestApp) {
        upsert(&app, "K", "v").await;
        for removed in [true, false] {
            let reply = post(&app, "remove", json!({"key": " k "})).await.expect(200);
            assert_eq!(reply, json!({"success": true, "key": "K", "removed": removed}));
            assert_eq!((applied(&app, "K"), listed(&app, "K").await), (None, None));
        }
    }

    async fn system_keys_are_masked_unless_revealed(app: TestApp) {
        upsert(&app, "PLAIN", "readable").await;
        let list = app.admin().get("/v1/env/list").await.expect(200);
        assert_eq!(list["items"].as_array().unwrap().len(), 4);
        for key in SYSTEM_KEYS {
            let value = applied(&app, key).unwrap();
            let entry = listed(&app, key).await.unwrap();
            let mask = format!("********{}", &value[value.len() - 4..]);
            assert_eq!((&entry["value"], &entry["masked"]), (&json!(mask), &json!(true)));
            assert!(!list.to_string().contains(&value[..value.len() - 4]));
        }
        let revealed = app.admin().get("/v1/env/list?reveal=true").await.expect(200);
        for entry in revealed["items"].as_array().unwrap() {
            let key = entry["key"].as_str().unwrap();
            assert_eq!(entry["value"].as_str(), applied(&app, key).as_deref());
            assert_eq!(entry["masked"], false);
        }
    }

    async fn a_mask_is_never_written_back(app: TestApp) {
        let before = applied(&app, SIGNING_KEY);
        upsert(&app, "LONG", "a value of some length").await;
        upsert(&app, "SHORT", "short").await;
        for (key, value) in [
            ("DOWNCITY_FEDERATION_TOKEN_SIGNING_KEY", "********abcd"),
            ("LONG", "********ngth"),
            ("SHORT", "********"),
        ] {
            let input = json!({"key": key, "value": value});
            let error = post(&app, "upsert", input).await;
            let error = error.expect_error(400, "masked_value");
            assert!(error.to_string().contains(key), "{error}");
            let raw = format!("# copied\n{key}={value}\n");
            let error = post(&app, "import", json!({"raw": raw})).await;
            let error = error.expect_error(400, "masked_value");
            assert!(error["error"].as_str().unwrap().contains("line 2"), "{error}");
        }
        assert_eq!(applied(&app, SIGNING_KEY), before);
        assert_eq!(applied(&app, "SHORT").as_deref(), Some("short"));
        // A mask of something else is a value like any other.
        upsert(&app, "LONG", "********other").await;
    }

    async fn system_keys_cannot_be_blank_removed_or_short(app: TestApp) {
        for key in SYSTEM_KEYS {
            let before = applied(&app, key);
            for value in ["", "   ", "fifteen_letters"] {
                let input = json!({"key": key.to_lowercase(), "value": value});
                post(&app, "upsert", input).await.expect_error(400, "system_key");
                let raw = format!("OTHER=1\n{key}='{value}'");
                let error = post(&app, "import", json!({"raw": raw})).await;
                let error = error.expect_error(400, "system_key");
                assert!(error["error"].as_str().unwrap().contains("line 2"), "{error}");
            }
            let error = post(&app, "remove", json!({"key": key})).await;
            assert!(error.expect_error(400, "system_key")["fix"].is_string());
            assert_eq!(applied(&app, key), before);
        }
        assert_eq!(applied(&app, "OTHER"), None);
    }

    async fn a_new_admin_key_counts_from_the_next_request(app: TestApp) {
        upsert(&app, ADMIN_KEY, "another_admin_key_0123456789").await;
        app.admin().get("/v1/env/list").await.expect(401);
        app.user("another_admin_key_0123456789").get("/v1/env/list").await.expect(200);
    }

    async fn a_new_signing_key_ends_old_tokens_at_once(app: TestApp) {
        app.create_city("c").await;
        let old = app.token("c", "u").await;
        let answer = |token: String| {
            let user = app.user(&token);
            async move { user.get("/v1/env/list").await.status.as_u16() }
        };
        assert_eq!(answer(old.clone()).await, 403, "known as a user, who may not list");
        upsert(&app, SIGNING_KEY, "sign_another_key_of_some_length").await;
        assert_eq!(answer(old).await, 401);
        assert_eq!(answer(app.token("c", "u").await).await, 403);
    }

    async fn an_import_is_read_in_file_order_and_later_duplicates_win(app: TestApp) {
        let raw = "\u{feff}# keys\r\nexport b=1 # one\r\nA=\"x\\ny\"\r\nb='two'\r\nP=\"-----BEGIN\r\nkey=\r\n-----END\"\r\nno assignment\r\n";
        let reply = post(&app, "import", json!({"raw": raw})).await.expect(200);
        assert_eq!(reply, json!({"success": true, "count": 4, "keys": ["B", "A", "B", "P"]}));
        assert_eq!(applied(&app, "A").as_deref(), Some("x\ny"));
        assert_eq!(applied(&app, "B").as_deref(), Some("two"));
        assert_eq!(applied(&app, "P").as_deref(), Some("-----BEGIN\nkey=\n-----END"));
        assert!(versions(&app, "B").await.is_empty(), "a duplicate makes no version");
        for input in [json!({}), json!({"raw": ""}), json!({"raw": "# nothing\n"})] {
            let reply = post(&app, "import", input).await.expect(200);
            assert_eq!(reply, json!({"success": true, "count": 0, "keys": []}));
        }
    }

    async fn an_import_is_stored_whole_or_not_at_all(app: TestApp) {
        upsert(&app, "A", "before").await;
        let many = "K=1\n".repeat(1_001);
        for (raw, code, line) in [
            ("A=after\nB=1\n\nbad key=2\nC=3", "invalid_key", "line 4"),
            ("A=after\nsk-live/secret=\n", "invalid_key", "line 2"),
            (many.as_str(), "invalid_input", "1000"),
        ] {
            let error = post(&app, "import", json!({"raw": raw})).await.expect_error(400, code);
            let text = error["error"].as_str().unwrap();
            assert!(text.contains(line) && !text.contains("sk-live"), "{text}");
            assert_eq!(error["details"][0]["path"], "raw");
        }
        assert_eq!(applied(&app, "A").as_deref(), Some("before"));
        assert_eq!(stored_keys(&app).await.len(), SYSTEM_KEYS.len() + 1);
    }

    async fn system_keys_are_known_by_their_older_names(app: TestApp) {
        let remove = json!({"key": "downcity_city_admin_secret_key"});
        post(&app, "remove", remove).await.expect_error(400, "system_key");
        let input = json!({"key": "VISIBLEBASE_ADMIN_SECRET_KEY", "value": "admin_test_key_another"});
        let reply = post(&app, "upsert", input).await.expect(200);
        assert_eq!(reply, json!({"success": true, "key": ADMIN_KEY}));
        assert_eq!(stored_keys(&app).await.len(), SYSTEM_KEYS.len());
        post(&app, "refresh", json!({})).await.expect_error(401, "invalid_credential");
        let anew = app.user("admin_test_key_another");
        let raw = json!({"raw": "DOWNCITY_INFRA_ADMIN_SECRET_KEY=admin_test_key_imported"});
        let reply = anew.post("/v1/env/import", raw).await.expect(200);
        assert_eq!(reply["keys"], json!([ADMIN_KEY]));
        app.user("admin_test_key_imported").get("/v1/env/list").await.expect(200);
    }
}
