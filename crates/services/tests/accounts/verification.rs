//! The modes of `email_verification`.

use std::time::Duration;

use downcity_services::{EmailVerification, MailConfig};
use downcity_testkit::{Engine, TestApp, both_engines};
use serde_json::json;

use crate::common::{
    PASSWORD, is_good, linking, login, mailed_token, mailing, mails, post, register, requiring,
    text, with,
};

#[test]
fn required_needs_mail() {
    downcity_testkit::block_on(async {
        let builder = TestApp::builder(Engine::Sqlite);
        let config = linking(EmailVerification::Required);
        let started = with(builder, config, MailConfig::default()).try_start().await;
        let error = started.err().expect("the start is refused");
        assert!(error.message().contains("mail.mode"), "{error}");
    });
}

both_engines! {
    async fn nobody_signs_in_before_the_address_is_verified(app: TestApp = requiring) {
        app.create_city("shop").await;
        let registered = register(&app, "ann@example.com").await;
        assert_eq!(registered, json!({
            "success": true,
            "verification_required": true,
            "message": "verification email sent",
        }));
        login(&app, "ann@example.com", PASSWORD).await.expect_error(403, "email_unverified");
        let wrong = login(&app, "ann@example.com", "wrong horse battery").await;
        wrong.expect_error(401, "invalid_login");
        let token = mailed_token(&app, "ann@example.com", "Verify").await;
        let input = json!({"token": token, "city_id": "shop"});
        let verified = post(&app, "verify-email", input.clone()).await.expect(200);
        assert!(is_good(&app, text(&verified, "user_token")).await);
        let signed_in = login(&app, "ann@example.com", PASSWORD).await.expect(200);
        assert_eq!(signed_in["user_id"], verified["user_id"]);
        // Once only.
        post(&app, "verify-email", input).await.expect_error(400, "invalid_code");
    }

    async fn a_link_ends_after_an_hour_and_can_be_sent_again(app: TestApp = requiring) {
        app.create_city("shop").await;
        register(&app, "ann@example.com").await;
        let first = mailed_token(&app, "ann@example.com", "Verify").await;
        app.clock().advance(Duration::from_secs(3600));
        let verify = async |token: &str| {
            post(&app, "verify-email", json!({"token": token, "city_id": "shop"})).await
        };
        verify(&first).await.expect_error(400, "invalid_code");
        let again = json!({"email": "ann@example.com", "city_id": "shop"});
        post(&app, "verify-email/resend", again.clone()).await.expect(200);
        let second = mailed_token(&app, "ann@example.com", "Verify").await;
        verify(&second).await.expect(200);
        // Who is verified gets no more of them.
        post(&app, "verify-email/resend", again).await.expect(200);
        assert_eq!(mails(&app, "ann@example.com").await.len(), 2);
    }

    async fn the_city_is_checked_before_a_link_is_used_up(app: TestApp = requiring) {
        app.create_city("shop").await;
        app.create_city("shut").await;
        app.admin().post("/v1/cities/pause", json!({"city_id": "shut"})).await.expect(200);
        let input = json!({"email": "ann@example.com", "password": PASSWORD});
        post(&app, "register", input).await.expect(200);
        let token = mailed_token(&app, "ann@example.com", "Verify").await;
        let verify = async |city_id: Option<&str>| {
            post(&app, "verify-email", json!({"token": token, "city_id": city_id})).await
        };
        verify(None).await.expect_error(400, "invalid_input");
        verify(Some("nowhere")).await.expect_error(404, "city_not_found");
        verify(Some("shut")).await.expect_error(403, "city_paused");
        verify(Some("shop")).await.expect(200);
    }

    async fn optional_asks_and_lets_in(app: TestApp = mailing) {
        app.create_city("shop").await;
        let registered = register(&app, "ann@example.com").await;
        assert_eq!(registered["message"], "verification email sent");
        let user = app.user(text(&registered, "user_token"));
        let me = user.get("/v1/accounts/me").await.expect(200);
        assert_eq!(me["profile"]["email_verified"], false);
        // Without a city in the call, the one of the registration.
        let token = mailed_token(&app, "ann@example.com", "Verify").await;
        let verified = post(&app, "verify-email", json!({"token": token})).await.expect(200);
        assert_eq!(verified["city_id"], "shop");
        let me = user.get("/v1/accounts/me").await.expect(200);
        assert_eq!(me["profile"]["email_verified"], true);
    }
}
