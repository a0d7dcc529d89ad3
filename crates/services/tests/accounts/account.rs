//! What users do with their account, and what operators see of it.

use std::time::Duration;

use downcity_testkit::both_engines;
use serde_json::{Value, json};

use crate::common::{
    PASSWORD, accounts, is_good, login, mail_about, mailing, mails, post, register, text,
};

both_engines! {
    async fn a_profile_is_edited_in_part(app: TestApp = accounts) {
        app.create_city("shop").await;
        let registered = register(&app, "ann@example.com").await;
        let user = app.user(text(&registered, "user_token"));
        let update = async |input: Value| user.post("/v1/accounts/profile/update", input).await;
        app.clock().advance(Duration::from_secs(1));
        let input = json!({"display_name": " Ann ", "avatar_url": "https://example.com/a.png"});
        let profile = update(input).await.expect(200);
        assert_eq!(profile["display_name"], "Ann");
        update(json!({"bio": "I am Ann."})).await.expect(200);
        let me = user.get("/v1/accounts/me").await.expect(200);
        assert_eq!(me["profile"], json!({
            "user_id": registered["user_id"],
            "email": "ann@example.com",
            "email_verified": false,
            "display_name": "Ann",
            "avatar_url": "https://example.com/a.png",
            "bio": "I am Ann.",
            "created_at": "2026-01-02T03:04:05.678Z",
            "updated_at": "2026-01-02T03:04:06.678Z",
        }));
        for bad in [
            json!({"display_name": "x".repeat(201)}),
            json!({"avatar_url": "javascript:alert(1)"}),
            json!({"bio": "a\u{0}b"}),
        ] {
            update(bad).await.expect_error(400, "invalid_input");
        }
        let elsewhere = app.user(&app.token("shop", "not_registered").await);
        assert_eq!(elsewhere.get("/v1/accounts/me").await.expect(200)["profile"], Value::Null);
        let none = elsewhere.post("/v1/accounts/profile/update", json!({"bio": "x"})).await;
        none.expect_error(404, "not_found");
    }

    async fn a_token_of_a_citys_own_server_is_no_sign_in_to_the_account(app: TestApp = accounts) {
        app.create_city("shop").await;
        let registered = register(&app, "ann@example.com").await;
        let issued = app.user(&app.token("shop", text(&registered, "user_id")).await);
        for (action, input) in [
            ("identities/unlink", json!({"provider": "email"})),
            ("account/delete", json!({"password": PASSWORD})),
            ("sessions/revoke", json!({"session_id": "ses_x"})),
            ("oauth/start", json!({"provider": "github", "link": true})),
        ] {
            let answer = issued.post(&format!("/v1/accounts/{action}"), input).await;
            assert!([400, 403].contains(&answer.status.as_u16()), "{action}: {}", answer.status);
        }
        issued.get("/v1/accounts/sessions/me").await.expect_error(403, "forbidden");
        assert!(is_good(&app, text(&registered, "user_token")).await);
    }

    async fn an_address_is_changed_once_it_is_proved(app: TestApp = mailing) {
        app.create_city("shop").await;
        register(&app, "bob@example.com").await;
        let registered = register(&app, "ann@example.com").await;
        let user = app.user(text(&registered, "user_token"));
        let change = async |email: &str, password: &str| {
            let input = json!({"new_email": email, "password": password});
            user.post("/v1/accounts/email/change", input).await
        };
        change("new@example.com", "wrong horse").await.expect_error(403, "forbidden");
        change("bob@example.com", PASSWORD).await.expect(200);
        let to_bob = mails(&app, "bob@example.com").await;
        assert!(to_bob.iter().all(|mail| !text(mail, "subject").contains("Confirm")));
        change("new@example.com", PASSWORD).await.expect(200);
        let mail = mail_about(&app, "new@example.com", "Confirm").await;
        let token = text(&mail, "text").lines().find(|line| line.len() == 43).unwrap().to_owned();
        let confirm = json!({"token": token});
        let bob = login(&app, "bob@example.com", PASSWORD).await.expect(200);
        let bob = app.user(text(&bob, "user_token"));
        let path = "/v1/accounts/email/change/confirm";
        bob.post(path, confirm.clone()).await.expect_error(400, "invalid_code");
        user.post(path, confirm).await.expect(200);
        login(&app, "ann@example.com", PASSWORD).await.expect_error(401, "invalid_login");
        login(&app, "new@example.com", PASSWORD).await.expect(200);
        mail_about(&app, "ann@example.com", "Your e-mail address for shop was changed").await;
    }

    async fn a_deleted_account_is_gone(app: TestApp = accounts) {
        app.create_city("shop").await;
        let registered = register(&app, "ann@example.com").await;
        let token = text(&registered, "user_token");
        let user = app.user(token);
        let delete = async |password: &str| {
            user.post("/v1/accounts/account/delete", json!({"password": password})).await
        };
        delete("wrong horse").await.expect_error(403, "forbidden");
        delete(PASSWORD).await.expect(200);
        assert!(!is_good(&app, token).await);
        login(&app, "ann@example.com", PASSWORD).await.expect_error(401, "invalid_login");
        let again = register(&app, "ann@example.com").await;
        assert_ne!(again["user_id"], registered["user_id"]);
    }

    async fn operators_see_the_accounts(app: TestApp = accounts) {
        app.create_city("shop").await;
        for number in 0..5 {
            app.clock().advance(Duration::from_secs(1));
            register(&app, &format!("u{number}@example.com")).await;
        }
        let admin = app.admin();
        let first = admin.get("/v1/accounts/users?limit=3").await.expect(200);
        let path = format!("/v1/accounts/users?limit=3&cursor={}", text(&first, "next_cursor"));
        let second = admin.get(&path).await.expect(200);
        let emails: Vec<&Value> = [&first, &second]
            .iter()
            .flat_map(|page| page["items"].as_array().unwrap())
            .map(|row| &row["email"])
            .collect();
        let expected: Vec<Value> =
            (0..5).rev().map(|number| json!(format!("u{number}@example.com"))).collect();
        assert_eq!(emails, expected.iter().collect::<Vec<_>>());
        assert!(second.get("next_cursor").is_none_or(Value::is_null));
        let row = &admin.get("/v1/accounts/users?email=U3@example.com").await.expect(200)["items"];
        assert_eq!(row.as_array().unwrap().len(), 1);
        let row = &row[0];
        assert_eq!((&row["auth_email"], &row["profile_email"]), (&row["email"], &row["email"]));
        assert_eq!((&row["auth_name"], &row["display_name"]), (&json!("u3"), &json!("u3")));
        assert_eq!((&row["email_verified"], &row["status"]), (&json!(0), &json!("active")));
        assert!(!row.to_string().contains("argon2"));
        admin.get("/v1/accounts/users?cursor=nonsense").await.expect_error(400, "invalid_input");
    }

    async fn ways_to_sign_in_are_listed(app: TestApp = accounts) {
        let list = app.guest().get("/v1/accounts/providers").await.expect(200);
        let off = |id: &str| json!({"id": id, "type": "oauth", "enabled": false, "reason": "not_configured"});
        assert_eq!(list["items"], json!([
            {"id": "email", "type": "password", "enabled": true, "login_enabled": true, "register_enabled": true},
            off("github"),
            off("google"),
            off("wechat"),
        ]));
        for key in ["GITHUB_CLIENT_ID", "GITHUB_CLIENT_SECRET"] {
            let input = json!({"key": key, "value": "x", "test": false});
            app.admin().post("/v1/env/upsert", input).await.expect(200);
        }
        let list = app.guest().get("/v1/accounts/providers").await.expect(200);
        assert_eq!(list["items"][1], json!({"id": "github", "type": "oauth", "enabled": true}));
        let _ = post(&app, "login", json!({})).await.expect_error(400, "invalid_input");
    }
}
