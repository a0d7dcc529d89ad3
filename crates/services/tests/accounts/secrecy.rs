//! What a stranger cannot find out: whether somebody has an account.

use std::sync::Arc;
use std::time::Duration;

use downcity_services::{Accounts, EmailVerification, MailConfig, MailMode};
use downcity_testkit::{Engine, TestApp};
use serde_json::{Value, json};

use crate::common::{PASSWORD, linking, mail_about, mailed_token, post};

/// An app and its service, whose hashes can be counted.
async fn app(engine: Engine, mode: EmailVerification) -> (TestApp, Arc<Accounts>) {
    let mail = MailConfig { mode: MailMode::Development, ..MailConfig::default() };
    let accounts = Accounts::new(linking(mode), mail);
    let app = TestApp::builder(engine).builtin(accounts.clone()).start().await;
    app.create_city("shop").await;
    (app, accounts)
}

/// Status, body without the request's id, and the number of hashes of a call.
async fn seen(app: &TestApp, accounts: &Accounts, action: &str, input: Value) -> (u16, Value, u64) {
    let before = accounts.hashes();
    let reply = post(app, action, input).await;
    let mut body = reply.json();
    for varying in ["request_id", "challenge"] {
        body.as_object_mut().unwrap().remove(varying);
    }
    (reply.status.as_u16(), body, accounts.hashes() - before)
}

/// The same call about somebody who has an account and somebody who has none looks the same.
async fn alike(engine: Engine) {
    let (app, accounts) = app(engine, EmailVerification::Required).await;
    let ann = json!({"email": "ann@example.com", "password": PASSWORD, "city_id": "shop"});
    let first = seen(&app, &accounts, "register", ann.clone()).await;
    let again = seen(&app, &accounts, "register", ann).await;
    assert_eq!(first, again, "a taken address looks like a new one");
    assert_eq!(first.2, 1);
    mail_about(&app, "ann@example.com", "You already have an account").await;
    mail_about(&app, "ann@example.com", "Verify").await;
    // The mails of the two registrations count no more.
    app.clock().advance(Duration::from_secs(15 * 60));

    for (action, more) in [
        ("login", json!({"password": "wrong horse battery"})),
        ("password/forgot", json!({})),
        ("magic-link/start", json!({})),
        ("code/start", json!({})),
        ("verify-email/resend", json!({})),
    ] {
        let of = async |email: &str| {
            let mut input = json!({"email": email, "city_id": "shop"});
            let fields = more.as_object().unwrap().clone();
            input.as_object_mut().unwrap().extend(fields);
            let waiting = app.run_jobs().await;
            let seen = seen(&app, &accounts, action, input).await;
            // Jobs are rows: so many are there, whoever it is about.
            (seen, waiting)
        };
        let (somebody, _) = of("ann@example.com").await;
        let ran_for_somebody = app.run_jobs().await;
        let (nobody, _) = of("nobody@example.com").await;
        let ran_for_nobody = app.run_jobs().await;
        assert_eq!(somebody, nobody, "{action}");
        assert_eq!(ran_for_somebody, ran_for_nobody, "{action}");
    }
}

#[test]
fn accounts_cannot_be_told_from_none_on_sqlite() {
    downcity_testkit::block_on(alike(Engine::Sqlite));
}

#[test]
fn accounts_cannot_be_told_from_none_on_postgres() {
    downcity_testkit::block_on(alike(Engine::Postgres));
}

/// With a hash of the earlier kind in the table, every comparison costs both kinds.
#[test]
fn imported_hashes_cannot_be_told_from_others() {
    downcity_testkit::block_on(async {
        let (app, accounts) = app(Engine::Sqlite, EmailVerification::Off).await;
        let ann = json!({"email": "ann@example.com", "password": PASSWORD});
        post(&app, "register", ann).await.expect(200);
        let key = "0".repeat(128);
        let users = json!([{"user_id": "bob", "email": "bob@example.com", "password_hash": format!("salt:{key}")}]);
        app.admin().post("/v1/accounts/users/import", json!({"users": users})).await.expect(200);
        for email in ["ann@example.com", "bob@example.com", "nobody@example.com"] {
            let input =
                json!({"email": email, "password": "wrong horse battery", "city_id": "shop"});
            let (status, _, hashes) = seen(&app, &accounts, "login", input).await;
            assert_eq!((status, hashes), (401, 2), "{email}");
        }
    });
}

/// What is stored and queued holds no secret that could be used.
#[test]
fn no_table_holds_a_secret_in_the_clear() {
    downcity_testkit::block_on(async {
        let (app, _) = app(Engine::Sqlite, EmailVerification::Required).await;
        let ann = json!({"email": "ann@example.com", "password": PASSWORD, "city_id": "shop"});
        post(&app, "register", ann).await.expect(200);
        let code = json!({"email": "ann@example.com", "city_id": "shop"});
        post(&app, "code/start", code).await.expect(200);
        let token = mailed_token(&app, "ann@example.com", "Verify").await;
        let dump = app.database().dump().unwrap();
        let holds = |text: &str| dump.windows(text.len()).any(|window| window == text.as_bytes());
        assert!(holds("ann@example.com"), "the dump can be searched");
        assert!(!holds(&token) && !holds(PASSWORD));
    });
}
