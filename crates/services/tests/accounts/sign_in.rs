//! Registration and login with a password.

use downcity_testkit::both_engines;
use downcity_testkit::tokio::task::JoinSet;
use serde_json::{Value, json};

use crate::common::{PASSWORD, accounts, login, register, text};

both_engines! {
    async fn who_registers_can_sign_in(app: TestApp = accounts) {
        app.create_city("shop").await;
        let registered = register(&app, " USER@example.com ").await;
        assert_eq!(registered["email"], "user@example.com");
        assert_eq!((&registered["success"], &registered["city_id"]), (&json!(true), &json!("shop")));
        assert_eq!(registered["expires_at"], "2026-01-09T03:04:05.000Z");
        let signed_in = login(&app, "user@example.com", PASSWORD).await.expect(200);
        assert_eq!(signed_in["user_id"], registered["user_id"]);
        assert_eq!(signed_in["city_id"], "shop");
        for answer in [&registered, &signed_in] {
            assert!(text(answer, "user_token").starts_with("ub_"));
            let me = app.user(text(answer, "user_token")).get("/v1/accounts/me").await.expect(200);
            assert_eq!(me["user"], json!({"user_id": registered["user_id"], "metadata": {}}));
            assert_eq!(me["profile"]["email"], "user@example.com");
            assert_eq!(me["profile"]["display_name"], "user");
        }
    }

    async fn an_email_is_registered_once(app: TestApp = accounts) {
        app.create_city("shop").await;
        let input = json!({"email": "ann@example.com", "password": PASSWORD, "city_id": "shop"});
        let mut attempts = JoinSet::new();
        for _ in 0..50 {
            let (client, input) = (app.guest(), input.clone());
            attempts.spawn(async move { client.post("/v1/accounts/register", input).await });
        }
        let mut registered = 0;
        for reply in attempts.join_all().await {
            if reply.status == 200 {
                registered += 1;
            } else {
                let refused = reply.expect_error(409, "email_taken");
                assert_eq!(refused["error"], "email already registered");
            }
        }
        assert_eq!(registered, 1);
    }

    async fn the_city_is_checked_before_anything_is_written(app: TestApp = accounts) {
        app.create_city("shop").await;
        app.admin().post("/v1/cities/pause", json!({"city_id": "shop"})).await.expect(200);
        let call = async |action: &str, city_id: Option<&str>| {
            let mut input = json!({"email": "ann@example.com", "password": PASSWORD});
            if let Some(city_id) = city_id {
                input["city_id"] = city_id.into();
            }
            app.guest().post(&format!("/v1/accounts/{action}"), input).await
        };
        for action in ["register", "login"] {
            call(action, Some("nowhere")).await.expect_error(404, "city_not_found");
            call(action, Some("shop")).await.expect_error(403, "city_paused");
        }
        for city_id in [None, Some(""), Some("  ")] {
            call("login", city_id).await.expect_error(400, "invalid_input");
        }
        app.admin().post("/v1/cities/activate", json!({"city_id": "shop"})).await.expect(200);
        // Nobody was registered before; without a city nobody is signed in either.
        let registered = call("register", None).await.expect(200);
        assert_eq!(registered.get("user_token"), None);
        call("login", Some("shop")).await.expect(200);
    }

    async fn what_is_no_login_is_refused(app: TestApp = accounts) {
        app.create_city("shop").await;
        register(&app, "ann@example.com").await;
        for (email, password) in [
            ("ann@example.com", "wrong horse battery"),
            ("ann@example.com", "Correct horse battery"),
            ("bob@example.com", PASSWORD),
            ("no address", PASSWORD),
        ] {
            let refused = login(&app, email, password).await.expect_error(401, "invalid_login");
            assert_eq!(refused["error"], "Invalid email or password");
        }
        for (email, password) in [("", PASSWORD), ("ann@example.com", "")] {
            let refused = login(&app, email, password).await.expect_error(400, "invalid_input");
            assert_eq!(refused["error"], "email and password required");
        }
    }

    async fn what_cannot_be_registered_says_why(app: TestApp = accounts) {
        let call = async |email: Value, password: Value| {
            let input = json!({"email": email, "password": password});
            app.guest().post("/v1/accounts/register", input).await.expect_error(400, "invalid_input")
        };
        for email in [json!(null), json!("ann"), json!("ann@localhost"), json!("x@wechat.user")] {
            assert_eq!(call(email, PASSWORD.into()).await["error"], "valid email required");
        }
        for password in [json!(null), json!("1234567")] {
            let refused = call(json!("ann@example.com"), password).await;
            assert_eq!(refused["error"], "password must be at least 8 characters");
        }
        let long = call(json!("ann@example.com"), "x".repeat(129).into()).await;
        assert_eq!(long["error"], "password must be at most 128 characters");
    }
}
