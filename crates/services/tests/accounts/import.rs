//! Accounts of an earlier deployment.

use downcity_testkit::both_engines;
use serde_json::{Value, json};

use crate::common::{accounts, login, register};

/// `password123`, as an earlier generation has stored it.
const HASH: &str = "000102030405060708090a0b0c0d0e0f:eedf8cd62212c4ef27d18a5f1f23f875e2571a8d6bc3cea577255d2cfe8729d8d4646badd72958bccbc96ef736af3a9cc0a4735cee8541bee27d392aeafffc3c";

both_engines! {
    async fn imported_users_sign_in_with_their_passwords(app: TestApp = accounts) {
        app.create_city("shop").await;
        register(&app, "taken@example.com").await;
        let users = json!({"users": [
            {"user_id": "a1", "email": "Ann@Example.com", "name": "Ann", "email_verified": 1,
             "password_hash": HASH, "created_at": "1795195109639.0"},
            {"user_id": "b2", "email": "wechat_x@wechat.user", "email_verified": true,
             "identities": [{"provider": "wechat", "subject": "x"}], "created_at": "2026-01-01T00:00:00.000Z"},
            {"user_id": "c3", "email": "taken@example.com"},
            {"user_id": "d4", "email": "no address"},
            {"user_id": "e5", "email": "e5@example.com", "password_hash": "$2b$12$abc"},
            {"user_id": "f6", "email": "f6@example.com", "created_at": "yesterday"},
            {"user_id": "g7", "email": "g7@example.com", "identities": [{"provider": "wechat", "subject": "x"}]},
        ]});
        let import = async || {
            let reply = app.admin().post("/v1/accounts/users/import", users.clone()).await.expect(200);
            let rows = reply["items"].as_array().unwrap().clone();
            assert!(rows.iter().all(|row| (row["status"] == "refused") == row["reason"].is_string()));
            rows.iter().map(|row| row["status"].as_str().unwrap().to_owned()).collect::<Vec<_>>()
        };
        let refused = ["refused"; 5];
        assert_eq!(import().await, [&["created", "created"][..], &refused].concat());
        assert_eq!(import().await, [&["unchanged", "unchanged"][..], &refused].concat());
        login(&app, "ann@example.com", "password124").await.expect_error(401, "invalid_login");
        // The first time with the hash that came, then with a new one.
        for _ in 0..2 {
            let signed_in = login(&app, "ann@example.com", "password123").await.expect(200);
            assert_eq!(signed_in["user_id"], "a1");
        }
        let dump = app.database().dump().unwrap();
        let holds = |text: &str| dump.windows(text.len()).any(|window| window == text.as_bytes());
        let row = app.admin().get("/v1/accounts/users?email=ann@example.com").await.expect(200);
        let row = &row["items"][0];
        assert_eq!((&row["email_verified"], &row["name"]), (&json!(1), &json!("Ann")));
        assert_eq!(row["created_at"], "2026-11-20T17:18:29.639Z");
        assert!(holds("argon2id"));
        let placeholder = app.admin().get("/v1/accounts/users?email=wechat_x@wechat.user").await;
        assert_eq!(placeholder.expect(200)["items"][0]["email_verified"], 0, "nobody reads it");
    }

    async fn an_import_has_at_most_500_rows(app: TestApp = accounts) {
        let row = json!({"user_id": "a", "email": "a@example.com"});
        let users: Vec<Value> = std::iter::repeat_n(row, 501).collect();
        let reply = app.admin().post("/v1/accounts/users/import", json!({"users": users})).await;
        reply.expect_error(400, "invalid_input");
    }

    async fn a_row_that_cannot_be_stored_is_refused_alone(app: TestApp = accounts) {
        app.create_city("shop").await;
        let of = |subject: &str| json!([{"provider": "github", "subject": subject}]);
        let huge = "$argon2id$v=19$m=64,t=1,p=4294967295$c2FsdHNhbHQ$AQEBAQEBAQEBAQEBAQEBAQ";
        let long = format!("wechat_{}@wechat.user", "x".repeat(5_000));
        let users = json!({"users": [
            {"user_id": "a1", "email": "a1@example.com", "password_hash": HASH.replacen('0', "\0", 1)},
            {"user_id": "b2", "email": "b2@example.com", "password_hash": huge},
            {"user_id": "c3", "email": "c3@example.com", "identities": of(&"7".repeat(5_000))},
            {"user_id": "d4", "email": "d4@example.com", "identities": of("7\u{e9}")},
            {"user_id": "e5", "email": "e5@example.com", "image": "javascript:alert(1)"},
            {"user_id": "f6", "email": "f6@example.com", "image": "https://x.test/\n"},
            {"user_id": "g7", "email": long},
            {"user_id": "h8", "email": "h8@example.com", "image": "https://x.test/h8.png", "identities": of("8")},
            {"user_id": "i9", "email": "i9@example.com", "image": ""},
        ]});
        let reply = app.admin().post("/v1/accounts/users/import", users).await.expect(200);
        let rows = reply["items"].as_array().unwrap();
        for (row, reason) in rows.iter().zip([
            "password_hash", "password_hash", "subject", "subject", "image", "image", "email",
        ]) {
            assert_eq!(row["status"], "refused", "{row}");
            assert!(row["reason"].as_str().unwrap().contains(reason), "{row}");
        }
        assert_eq!((&rows[7]["status"], &rows[8]["status"]), (&json!("created"), &json!("created")));
        let row = app.admin().get("/v1/accounts/users?email=h8@example.com").await.expect(200);
        assert_eq!(row["items"][0]["avatar_url"], "https://x.test/h8.png");
    }
}
