//! What happens at the same time in several transactions.

use downcity_core::Result;
use downcity_db::{Tx, sql};
use downcity_testkit::{TestApp, TestAppBuilder, TestReply, both_engines};
use serde_json::{Value, json};

use super::common::{
    PASSWORD, accounts, login, mail_about, mailed_token, mailing, post, register, requiring, text,
};
use crate::oauth::world::{HERE, World, oauth};

fn accounts_once(builder: TestAppBuilder) -> TestAppBuilder {
    accounts(builder).runs_once()
}

fn mailing_once(builder: TestAppBuilder) -> TestAppBuilder {
    mailing(builder).runs_once()
}

fn requiring_once(builder: TestAppBuilder) -> TestAppBuilder {
    requiring(builder).runs_once()
}

fn oauth_once(builder: TestAppBuilder) -> TestAppBuilder {
    oauth(builder).runs_once()
}

/// An operator disables the only account.
fn disabled(tx: &mut Tx<'_>) -> Result<()> {
    tx.execute(sql!("UPDATE accounts_users SET status = 'disabled'"), &[])?;
    Ok(())
}

/// The owner of the only account signs in.
fn signed_in(tx: &mut Tx<'_>) -> Result<()> {
    tx.execute(sql!("UPDATE accounts_users SET updated_at = updated_at"), &[])?;
    tx.execute(
        sql!(
            "INSERT INTO accounts_sessions (session_id, user_id, city_id, method, created_at, expires_at)
             SELECT 'ses_late', user_id, 'mall', 'credential', created_at, created_at + 3600000
             FROM accounts_users"
        ),
        &[],
    )?;
    Ok(())
}

/// Calls while the owner of the only account signs in, which the call ends.
async fn ends_the_late_one(app: &TestApp, call: impl Future<Output = TestReply> + Send) {
    app.during(signed_in, call).await.expect(200);
    let list = app.admin().get("/v1/accounts/sessions?city_id=mall").await.expect(200);
    assert_eq!(list["items"], json!([]), "a session that was being opened is left");
}

async fn two_cities(app: &TestApp) {
    app.create_city("shop").await;
    app.create_city("mall").await;
}

both_engines! {
    async fn a_login_waits_for_whoever_disables_the_account(app: TestApp = accounts_once) {
        app.create_city("shop").await;
        register(&app, "ann@example.com").await;
        let reply = app.during(disabled, login(&app, "ann@example.com", PASSWORD)).await;
        reply.expect_error(403, "account_disabled");
    }

    async fn a_link_waits_for_whoever_disables_the_account(app: TestApp = mailing_once) {
        app.create_city("shop").await;
        register(&app, "ann@example.com").await;
        let token = mailed_token(&app, "ann@example.com", "Verify").await;
        let call = post(&app, "verify-email", json!({"token": token, "city_id": "shop"}));
        app.during(disabled, call).await.expect_error(403, "account_disabled");
    }

    async fn a_sign_in_link_waits_for_whoever_disables_the_account(app: TestApp = mailing_once) {
        app.create_city("shop").await;
        register(&app, "ann@example.com").await;
        let token = mailed_token(&app, "ann@example.com", "Verify").await;
        post(&app, "verify-email", json!({"token": token, "city_id": "shop"})).await.expect(200);
        let input = json!({"email": "ann@example.com", "city_id": "shop"});
        post(&app, "magic-link/start", input).await.expect(200);
        let token = mailed_token(&app, "ann@example.com", "Sign in").await;
        let call = post(&app, "magic-link/verify", json!({"token": token}));
        app.during(disabled, call).await.expect_error(403, "account_disabled");
    }

    async fn a_code_waits_for_whoever_disables_the_account(app: TestApp = mailing_once) {
        app.create_city("shop").await;
        register(&app, "ann@example.com").await;
        let token = mailed_token(&app, "ann@example.com", "Verify").await;
        post(&app, "verify-email", json!({"token": token, "city_id": "shop"})).await.expect(200);
        let input = json!({"email": "ann@example.com", "city_id": "shop"});
        let started = post(&app, "code/start", input).await.expect(200);
        app.run_jobs().await;
        let mailbox = app.admin().get("/v1/accounts/mailbox").await.expect(200);
        let subjects = mailbox["items"].as_array().unwrap().iter().map(|mail| text(mail, "subject"));
        let code = subjects.filter_map(|subject| subject.split_once(" is your code")).next().unwrap().0;
        let call = post(&app, "code/verify", json!({"challenge": started["challenge"], "code": code}));
        app.during(disabled, call).await.expect_error(403, "account_disabled");
    }

    async fn a_provider_waits_for_whoever_disables_the_account(app: TestApp = oauth_once) {
        let world = World::new(&app).await;
        let ann = json!({"sub": "1", "email": "ann@example.com", "email_verified": true});
        world.sign_in("google", ann.clone()).await;
        let started = world.start("google").await;
        world.says("google", ann.clone());
        assert_eq!(world.back(&started, HERE).await.status, 200);
        let reply = app.during(disabled, world.result(&started)).await;
        reply.expect_error(403, "account_disabled");
    }

    async fn whoever_comes_back_waits_for_whoever_disables_the_account(app: TestApp = oauth_once) {
        let world = World::new(&app).await;
        let ann = json!({"sub": "1", "email": "ann@example.com", "email_verified": true});
        world.sign_in("google", ann.clone()).await;
        let started = world.start("google").await;
        world.says("google", ann);
        let reply = app.during(disabled, world.back(&started, HERE)).await;
        assert!(reply.status == 400 && reply.text().contains("disabled"), "{}", reply.text());
    }

    async fn operators_end_a_session_that_is_being_opened(app: TestApp = accounts_once) {
        two_cities(&app).await;
        for action in ["users/sessions/revoke", "users/disable"] {
            let ann = register(&app, &format!("{}@example.com", action.len())).await;
            let path = format!("/v1/accounts/{action}");
            let admin = app.admin();
            ends_the_late_one(&app, admin.post(&path, json!({"user_id": ann["user_id"]}))).await;
            let remove = json!({"user_id": ann["user_id"]});
            ends_the_late_one(&app, admin.post("/v1/accounts/users/remove", remove)).await;
        }
    }

    async fn a_changed_password_ends_a_session_that_is_being_opened(app: TestApp = accounts_once) {
        two_cities(&app).await;
        let ann = register(&app, "ann@example.com").await;
        let user = app.user(text(&ann, "user_token"));
        let input = json!({"current_password": PASSWORD, "new_password": "another horse"});
        ends_the_late_one(&app, user.post("/v1/accounts/password/change", input)).await;
        let input = json!({"password": "another horse"});
        ends_the_late_one(&app, user.post("/v1/accounts/account/delete", input)).await;
    }

    async fn a_new_password_ends_a_session_that_is_being_opened(app: TestApp = requiring_once) {
        two_cities(&app).await;
        register(&app, "ann@example.com").await;
        // Of an address that nobody has proved yet, and of one that is proved.
        for _ in 0..2 {
            post(&app, "password/forgot", json!({"email": "ann@example.com"})).await.expect(200);
            let token = mailed_token(&app, "ann@example.com", "A new password").await;
            let input = json!({"token": token, "password": "another horse"});
            ends_the_late_one(&app, post(&app, "password/reset", input)).await;
        }
    }

    async fn the_owner_of_an_address_ends_a_session_that_is_being_opened(app: TestApp = mailing_once) {
        two_cities(&app).await;
        register(&app, "ann@example.com").await;
        let input = json!({"email": "ann@example.com", "city_id": "shop"});
        post(&app, "magic-link/start", input).await.expect(200);
        let token = mailed_token(&app, "ann@example.com", "Sign in").await;
        ends_the_late_one(&app, post(&app, "magic-link/verify", json!({"token": token}))).await;
    }

    async fn an_address_that_is_just_being_registered_is_taken(app: TestApp = mailing_once) {
        app.create_city("shop").await;
        let ann = register(&app, "ann@example.com").await;
        let user = app.user(text(&ann, "user_token"));
        let input = json!({"new_email": "new@example.com", "password": PASSWORD});
        user.post("/v1/accounts/email/change", input).await.expect(200);
        let mail = mail_about(&app, "new@example.com", "Confirm").await;
        let token = text(&mail, "text").lines().find(|line| line.len() == 43).unwrap().to_owned();
        let confirm = async || -> TestReply {
            user.post("/v1/accounts/email/change/confirm", json!({"token": token})).await
        };
        let register_new = |tx: &mut Tx<'_>| {
            tx.execute(
                sql!(
                    "INSERT INTO accounts_users
                         (user_id, email, email_verified, name, display_name, avatar_url, bio, status,
                          created_at, updated_at, profile_updated_at)
                     SELECT 'other', 'new@example.com', email_verified, name, display_name, avatar_url,
                            bio, status, created_at, updated_at, profile_updated_at FROM accounts_users"
                ),
                &[],
            )?;
            Ok(())
        };
        app.during(register_new, confirm()).await.expect_error(409, "email_taken");
        let me: Value = user.get("/v1/accounts/me").await.expect(200);
        assert_eq!(me["profile"]["email"], "ann@example.com");
        confirm().await.expect_error(409, "email_taken");
    }
}
