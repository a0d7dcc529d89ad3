//! Forgotten and changed passwords.

use std::time::Duration;

use downcity_testkit::both_engines;
use serde_json::json;

use crate::common::{
    PASSWORD, accounts, is_good, login, mail_about, mailed_token, mailing, post, register, text,
};

const NEW: &str = "another horse battery";

both_engines! {
    async fn a_forgotten_password_is_replaced(app: TestApp = mailing) {
        app.create_city("shop").await;
        let before = register(&app, "ann@example.com").await;
        let forgot = json!({"email": " ANN@example.com", "city_id": "shop"});
        let answer = post(&app, "password/forgot", forgot).await.expect(200);
        assert_eq!(answer, json!({"success": true, "expires_in": 3600}));
        let token = mailed_token(&app, "ann@example.com", "A new password").await;
        let weak = post(&app, "password/reset", json!({"token": token, "password": "short"})).await;
        weak.expect_error(400, "invalid_input");
        let reset = json!({"token": token, "password": NEW});
        post(&app, "password/reset", reset.clone()).await.expect(200);
        post(&app, "password/reset", reset).await.expect_error(400, "invalid_code");
        assert!(!is_good(&app, text(&before, "user_token")).await, "sessions have ended");
        login(&app, "ann@example.com", PASSWORD).await.expect_error(401, "invalid_login");
        let after = login(&app, "ann@example.com", NEW).await.expect(200);
        assert!(is_good(&app, text(&after, "user_token")).await);
        mail_about(&app, "ann@example.com", "Your password for shop was changed").await;
    }

    async fn a_reset_link_is_one_of_its_kind(app: TestApp = mailing) {
        app.create_city("shop").await;
        register(&app, "ann@example.com").await;
        // The link of one purpose is of no use for another.
        let verify = mailed_token(&app, "ann@example.com", "Verify").await;
        let reset = async |token: &str| {
            post(&app, "password/reset", json!({"token": token, "password": NEW})).await
        };
        reset(&verify).await.expect_error(400, "invalid_code");
        post(&app, "password/forgot", json!({"email": "ann@example.com"})).await.expect(200);
        let token = mailed_token(&app, "ann@example.com", "A new password").await;
        app.clock().advance(Duration::from_secs(3600));
        reset(&token).await.expect_error(400, "invalid_code");
        login(&app, "ann@example.com", PASSWORD).await.expect(200);
    }

    async fn a_changed_password_ends_the_other_sessions(app: TestApp = accounts) {
        app.create_city("shop").await;
        let other = register(&app, "ann@example.com").await;
        let own = login(&app, "ann@example.com", PASSWORD).await.expect(200);
        let user = app.user(text(&own, "user_token"));
        let change = async |current: &str, new: &str| {
            let input = json!({"current_password": current, "new_password": new});
            user.post("/v1/accounts/password/change", input).await
        };
        change("wrong horse battery", NEW).await.expect_error(403, "forbidden");
        change(PASSWORD, "short").await.expect_error(400, "invalid_input");
        let changed = change(PASSWORD, NEW).await.expect(200);
        assert_eq!(changed, json!({"success": true, "ended_sessions": 1}));
        assert!(is_good(&app, text(&own, "user_token")).await);
        assert!(!is_good(&app, text(&other, "user_token")).await);
        login(&app, "ann@example.com", PASSWORD).await.expect_error(401, "invalid_login");
        login(&app, "ann@example.com", NEW).await.expect(200);
    }
}
