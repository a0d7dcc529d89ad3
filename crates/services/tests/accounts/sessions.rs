//! Sessions: their list and their end.

use std::time::Duration;

use downcity_testkit::{TestApp, both_engines, tokio};
use serde_json::json;

use crate::common::{PASSWORD, accounts, login, register, text};

both_engines! {
    async fn logout_ends_the_token_and_no_other(app: TestApp = accounts) {
        app.create_city("shop").await;
        let first = register(&app, "ann@example.com").await;
        let second = login(&app, "ann@example.com", PASSWORD).await.expect(200);
        let first = app.user(text(&first, "user_token"));
        first.post("/v1/accounts/logout", json!({})).await.expect(200);
        first.get("/v1/accounts/me").await.expect_error(401, "token_revoked");
        app.user(text(&second, "user_token")).get("/v1/accounts/me").await.expect(200);
    }

    async fn users_end_their_own_sessions(app: TestApp = accounts) {
        app.create_city("shop").await;
        let first = register(&app, "ann@example.com").await;
        app.clock().advance(Duration::from_secs(1));
        let second = login(&app, "ann@example.com", PASSWORD).await.expect(200);
        let bob = register(&app, "bob@example.com").await;
        let [first, second, bob] =
            [&first, &second, &bob].map(|answer| app.user(text(answer, "user_token")));
        let list = second.get("/v1/accounts/sessions/me").await.expect(200);
        let items = list["items"].as_array().unwrap();
        assert_eq!(items.len(), 2);
        let current = |at: usize| (&items[at]["current"], &items[at]["method"], &items[at]["city_id"]);
        assert_eq!(current(0), (&json!(true), &json!("credential"), &json!("shop")));
        assert_eq!(items[1]["current"], false);
        let older = json!({"session_id": items[1]["session_id"]});
        let revoke = "/v1/accounts/sessions/revoke";
        bob.post(revoke, older.clone()).await.expect_error(404, "not_found");
        first.get("/v1/accounts/me").await.expect(200);
        second.post(revoke, older.clone()).await.expect(200);
        first.get("/v1/accounts/me").await.expect_error(401, "token_revoked");
        second.post(revoke, older).await.expect_error(404, "not_found");
        second.get("/v1/accounts/me").await.expect(200);
    }

    async fn operators_list_and_end_sessions(app: TestApp = accounts) {
        app.create_city("shop").await;
        app.create_city("cafe").await;
        let mut tokens = Vec::new();
        for number in 0..5 {
            app.clock().advance(Duration::from_secs(1));
            let registered = register(&app, &format!("u{number}@example.com")).await;
            tokens.push(text(&registered, "user_token").to_owned());
        }
        let admin = app.admin();
        let mut path = "/v1/accounts/sessions?limit=2".to_owned();
        let mut seen = Vec::new();
        loop {
            let page = admin.get(&path).await.expect(200);
            seen.extend(page["items"].as_array().unwrap().clone());
            let Some(cursor) = page["next_cursor"].as_str() else { break };
            path = format!("/v1/accounts/sessions?limit=2&cursor={cursor}");
        }
        assert_eq!(seen.len(), 5);
        assert!(seen.is_sorted_by(|a, b| a["expires_at"].as_str() >= b["expires_at"].as_str()));
        assert!(seen.iter().all(|row| row["status"] == "active" && row.get("token").is_none()));
        let of_cafe = admin.get("/v1/accounts/sessions?city_id=cafe").await.expect(200);
        assert_eq!(of_cafe["items"], json!([]));
        // Who names a city ends only sessions of it.
        let mut input = json!({"session_id": seen[0]["session_id"], "city_id": "cafe"});
        let revoke = "/v1/accounts/sessions/revoke";
        admin.post(revoke, input.clone()).await.expect_error(404, "not_found");
        input["city_id"] = "shop".into();
        admin.post(revoke, input).await.expect(200);
        app.user(&tokens[4]).get("/v1/accounts/me").await.expect_error(401, "token_revoked");
        app.clock().advance(Duration::from_secs(7 * 86_400));
        let ended = admin.get("/v1/accounts/sessions").await.expect(200);
        assert!(ended["items"].as_array().unwrap().iter().all(|row| row["status"] == "expired"));
        app.clock().advance(Duration::from_secs(8 * 86_400));
        downcity_services::accounts::sweep(app.runtime()).await.unwrap();
        assert_eq!(admin.get("/v1/accounts/sessions").await.expect(200)["items"], json!([]));
    }

    async fn logout_reaches_every_node(app: TestApp = accounts) {
        app.create_city("shop").await;
        let engine = app.database_url().engine();
        let other = accounts(TestApp::builder(engine)).on_database_of(&app).start().await;
        let registered = register(&app, "ann@example.com").await;
        let token = text(&registered, "user_token").to_owned();
        other.user(&token).get("/v1/accounts/me").await.expect(200);
        let mut revisions = other.runtime().db().watch();
        app.user(&token).post("/v1/accounts/logout", json!({})).await.expect(200);
        let refused = async {
            while other.user(&token).get("/v1/accounts/me").await.status == 200 {
                let _ = tokio::time::timeout(Duration::from_millis(50), revisions.changed()).await;
            }
        };
        tokio::time::timeout(Duration::from_secs(5), refused).await.expect("the other node hears of it");
        other.user(&token).get("/v1/accounts/me").await.expect_error(401, "token_revoked");
    }
}
