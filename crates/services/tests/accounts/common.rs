//! The service under test, and what most tests do with it.

use downcity_services::{Accounts, AccountsConfig, EmailVerification, MailConfig, MailMode};
use downcity_testkit::{TestApp, TestAppBuilder, TestReply};
use serde_json::{Value, json};

pub(crate) const PASSWORD: &str = "correct horse battery";

/// The service as an unconfigured Federation has it.
pub(crate) fn accounts(builder: TestAppBuilder) -> TestAppBuilder {
    with(builder, AccountsConfig::default(), MailConfig::default())
}

pub(crate) fn with(
    builder: TestAppBuilder,
    config: AccountsConfig,
    mail: MailConfig,
) -> TestAppBuilder {
    builder.builtin(Accounts::new(config, mail))
}

/// Registers in the city `shop`, which has to be there.
pub(crate) async fn register(app: &TestApp, email: &str) -> Value {
    let input = json!({"email": email, "password": PASSWORD, "city_id": "shop"});
    app.guest().post("/v1/accounts/register", input).await.expect(200)
}

pub(crate) async fn login(app: &TestApp, email: &str, password: &str) -> TestReply {
    let input = json!({"email": email, "password": password, "city_id": "shop"});
    app.guest().post("/v1/accounts/login", input).await
}

/// A text of an answer.
#[track_caller]
pub(crate) fn text<'a>(value: &'a Value, field: &str) -> &'a str {
    value[field].as_str().unwrap_or_else(|| panic!("no text {field} in {value}"))
}

/// Mail goes into the development mailbox, and links lead to a product's pages.
pub(crate) fn mailing(builder: TestAppBuilder) -> TestAppBuilder {
    let mail = MailConfig { mode: MailMode::Development, ..MailConfig::default() };
    with(builder, linking(EmailVerification::Optional), mail)
}

/// As [`mailing`], and nobody signs in before the address is verified.
pub(crate) fn requiring(builder: TestAppBuilder) -> TestAppBuilder {
    let mail = MailConfig { mode: MailMode::Development, ..MailConfig::default() };
    with(builder, linking(EmailVerification::Required), mail)
}

pub(crate) fn linking(email_verification: EmailVerification) -> AccountsConfig {
    let page = |name: &str| Some(format!("https://app.example.com/{name}?token={{token}}"));
    AccountsConfig {
        email_verification,
        verify_url: page("verify"),
        reset_url: page("reset"),
        magic_link_url: page("enter"),
        ..AccountsConfig::default()
    }
}

/// Sends what is to be sent; the mails to an address, newest first.
pub(crate) async fn mails(app: &TestApp, email: &str) -> Vec<Value> {
    app.run_jobs().await;
    let mailbox = app.admin().get("/v1/accounts/mailbox").await.expect(200);
    let items = mailbox["items"].as_array().unwrap().clone();
    items.into_iter().filter(|mail| mail["to"] == email).collect()
}

/// The newest mail to an address whose subject begins so. Mails that are due together go out in any
/// order.
pub(crate) async fn mail_about(app: &TestApp, email: &str, subject: &str) -> Value {
    let mails = mails(app, email).await;
    let found = mails.iter().find(|mail| text(mail, "subject").starts_with(subject));
    found.unwrap_or_else(|| panic!("no mail {subject:?} among {mails:?}")).clone()
}

/// The token of the link in such a mail.
pub(crate) async fn mailed_token(app: &TestApp, email: &str, subject: &str) -> String {
    token_of(&mail_about(app, email, subject).await)
}

pub(crate) fn token_of(mail: &Value) -> String {
    let (_, token) = text(mail, "text").split_once("?token=").expect("a link");
    token.split_whitespace().next().unwrap().to_owned()
}

/// POST as a guest.
pub(crate) async fn post(app: &TestApp, action: &str, input: Value) -> TestReply {
    app.guest().post(&format!("/v1/accounts/{action}"), input).await
}

/// Whether a token is still good.
pub(crate) async fn is_good(app: &TestApp, user_token: &str) -> bool {
    app.user(user_token).get("/v1/accounts/me").await.status == 200
}
