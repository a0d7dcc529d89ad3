//! Sign-in links and codes.

use std::time::Duration;

use downcity_testkit::{TestApp, both_engines};
use serde_json::{Value, json};

use crate::common::{
    PASSWORD, accounts, is_good, login, mailed_token, mailing, mails, post, register, text,
};

const CITY: &str = "shop";

async fn start_code(app: &TestApp, email: &str) -> (String, String) {
    let input = json!({"email": email, "city_id": CITY});
    let started = post(app, "code/start", input).await.expect(200);
    assert_eq!(started["expires_in"], 600);
    let mails = mails(app, email).await;
    let is_code = |word: &&str| word.len() == 6 && word.bytes().all(|c| c.is_ascii_digit());
    let mut codes = mails.iter().filter_map(|mail| text(mail, "subject").split(' ').next());
    let code = codes.find(is_code).expect("a code").to_owned();
    (text(&started, "challenge").to_owned(), code)
}

fn attempt(challenge: &str, code: &str) -> Value {
    json!({"challenge": challenge, "code": code})
}

both_engines! {
    async fn a_link_signs_in_once(app: TestApp = mailing) {
        app.create_city(CITY).await;
        register(&app, "ann@example.com").await;
        let token = mailed_token(&app, "ann@example.com", "Verify").await;
        let verified = post(&app, "verify-email", json!({"token": token})).await.expect(200);
        let input = json!({"email": "ann@example.com", "city_id": CITY});
        post(&app, "magic-link/start", input).await.expect(200);
        let token = mailed_token(&app, "ann@example.com", "Sign in").await;
        let signed_in = post(&app, "magic-link/verify", json!({"token": token})).await.expect(200);
        assert_eq!(signed_in["user_id"], verified["user_id"]);
        assert!(is_good(&app, text(&signed_in, "user_token")).await);
        let again = post(&app, "magic-link/verify", json!({"token": token})).await;
        again.expect_error(400, "invalid_code");
        login(&app, "ann@example.com", PASSWORD).await.expect(200);
    }

    async fn who_has_the_address_has_the_account(app: TestApp = mailing) {
        app.create_city(CITY).await;
        // A stranger registers with the address of somebody else, and is signed in.
        let stranger = register(&app, "ann@example.com").await;
        let (challenge, code) = start_code(&app, "ann@example.com").await;
        let owner = post(&app, "code/verify", attempt(&challenge, &code)).await.expect(200);
        assert_eq!(owner["user_id"], stranger["user_id"]);
        assert!(!is_good(&app, text(&stranger, "user_token")).await);
        login(&app, "ann@example.com", PASSWORD).await.expect_error(401, "invalid_login");
        assert!(is_good(&app, text(&owner, "user_token")).await);
    }

    async fn a_link_makes_an_account_where_there_is_none(app: TestApp = mailing) {
        app.create_city(CITY).await;
        let (challenge, code) = start_code(&app, "new@example.com").await;
        let signed_in = post(&app, "code/verify", attempt(&challenge, &code)).await.expect(200);
        let me = app.user(text(&signed_in, "user_token")).get("/v1/accounts/me").await.expect(200);
        assert_eq!(me["profile"]["email"], "new@example.com");
        assert_eq!(me["profile"]["email_verified"], true);
        assert_eq!(me["profile"]["display_name"], "new");
    }

    async fn a_code_is_tried_five_times(app: TestApp = mailing) {
        app.create_city(CITY).await;
        let (challenge, code) = start_code(&app, "ann@example.com").await;
        let wrong = if code == "000000" { "000001" } else { "000000" };
        for _ in 0..4 {
            let refused = post(&app, "code/verify", attempt(&challenge, wrong)).await;
            refused.expect_error(400, "invalid_code");
        }
        post(&app, "code/verify", attempt("cod_unknown", &code)).await.expect_error(400, "invalid_code");
        // The fifth try may be right.
        let right = post(&app, "code/verify", attempt(&challenge, &code)).await;
        right.expect(200);
        post(&app, "code/verify", attempt(&challenge, &code)).await.expect_error(400, "invalid_code");

        let (challenge, code) = start_code(&app, "bob@example.com").await;
        let wrong = if code == "000000" { "000001" } else { "000000" };
        for _ in 0..5 {
            let refused = post(&app, "code/verify", attempt(&challenge, wrong)).await;
            refused.expect_error(400, "invalid_code");
        }
        let late = post(&app, "code/verify", attempt(&challenge, &code)).await;
        late.expect_error(400, "invalid_code");
    }

    async fn a_code_ends_after_ten_minutes(app: TestApp = mailing) {
        app.create_city(CITY).await;
        let (challenge, code) = start_code(&app, "ann@example.com").await;
        app.clock().advance(Duration::from_secs(600));
        let late = post(&app, "code/verify", attempt(&challenge, &code)).await;
        late.expect_error(400, "invalid_code");
    }

    async fn without_mail_there_are_neither(app: TestApp = accounts) {
        app.create_city(CITY).await;
        let input = json!({"email": "ann@example.com", "city_id": CITY});
        for action in ["magic-link/start", "code/start", "password/forgot", "verify-email/resend"] {
            post(&app, action, input.clone()).await.expect_error(422, "unprocessable");
        }
    }
}
