//! Sessions: their list and their end.

use downcity_testkit::both_engines;
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
}
