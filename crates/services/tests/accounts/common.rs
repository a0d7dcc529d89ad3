//! The service under test, and what most tests do with it.

use downcity_services::{Accounts, AccountsConfig, MailConfig};
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
