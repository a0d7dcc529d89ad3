//! A wallet from its beginning to the last code, step by step, with the amounts that clients see.

use std::time::Duration;

use downcity_services::{Balance, BalanceConfig};
use downcity_testkit::{TestAppBuilder, both_engines};
use downcity_types::Microcredits;
use serde_json::json;

use crate::common::{code, each, get, post, text, user};

fn with_a_hundred(builder: TestAppBuilder) -> TestAppBuilder {
    let init_microcredits = Microcredits(100_000_000);
    builder.builtin(Balance::new(BalanceConfig { init_microcredits, ..BalanceConfig::default() }))
}

both_engines! {
    async fn amounts_go_on_from_step_to_step(app: TestApp = with_a_hundred) {
        let (ann, admin) = (user(&app, "ann").await, app.admin());
        assert_eq!(get(&ann, "me").await["microcredits"], 100_000_000);
        let input = json!({"user_id": "ann", "amount": 20});
        let account = post(&admin, "sub", input).await.expect(200);
        assert_eq!(account["balance"], 80_000_000);
        let me = get(&ann, "me").await;
        for (field, value) in [
            ("balance", json!(80)), ("unit", json!("credits")), ("microcredits", json!(80_000_000)),
            ("display", json!("80")),
            ("conversion", json!({"microcredits_per_credit": 1_000_000, "credit_decimals": 6})),
        ] {
            assert_eq!(me[field], value, "{field}");
        }
        app.clock().advance(Duration::from_secs(1));

        let topup = post(&ann, "topups/create", json!({"amount": 50})).await.expect(200);
        assert_eq!((&topup["amount"], &topup["amount_usd_cents"]), (&json!(50_000_000), &json!(5_000)));
        let end = json!({"topup_id": topup["topup_id"]});
        assert_eq!(post(&admin, "topups/finish", end).await.expect(200)["status"], "paid");
        app.clock().advance(Duration::from_secs(1));

        let first = code(&app, 40, json!({})).await;
        let redeem = json!({"code": first["code"]});
        let redeemed = post(&ann, "redeem-codes/redeem", redeem.clone()).await.expect(200);
        assert_eq!(redeemed["account"]["balance"], 170_000_000);
        assert_eq!(redeemed["redeem_code"]["redeemed_by_user_id"], "ann");
        post(&ann, "redeem-codes/redeem", redeem).await.expect_error(409, "conflict");
        app.clock().advance(Duration::from_secs(1));

        let second = code(&app, 300, json!({})).await;
        let disable = json!({"redeem_code_id": second["redeem_code_id"]});
        let disabled = post(&admin, "redeem-codes/disable", disable).await.expect(200);
        assert_eq!(disabled["status"], "disabled");
        let history = get(&ann, "history/me?limit=10").await;
        assert_eq!(each(&history, "kind"), ["redeem", "topup", "sub", "init"]);
        let users = get(&admin, "users").await;
        assert_eq!(users["items"][0]["balance"], 170_000_000);
        let codes = get(&admin, "redeem-codes").await;
        assert_eq!(each(&codes, "status"), ["disabled", "redeemed"]);
        assert_eq!(text(&codes["items"][1], "redeemed_by_user_id"), "ann");
    }
}
