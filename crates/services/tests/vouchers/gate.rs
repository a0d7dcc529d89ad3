//! Amounts of clients of the generation gate, which count in units of their own.

use downcity_services::{Balance, BalanceConfig, GateUnit};
use downcity_testkit::{Client, TestApp, TestAppBuilder, both_engines};
use serde_json::{Value, json};

use crate::common::{balance, balance_of, code, get, post, user};

fn of_credits(builder: TestAppBuilder) -> TestAppBuilder {
    builder.builtin(Balance::with_gate_unit(BalanceConfig::default(), GateUnit::Credit))
}

fn speaking_gate(client: Client) -> Client {
    client.with_header("x-downcity-dialect", "gate")
}

/// Gives a user 300 of the older unit in each way there is, and says what arrived in microcredits.
async fn three_hundred(app: &TestApp) -> [i64; 3] {
    let admin = speaking_gate(app.admin());
    let ann = user(app, "ann").await;
    let made = post(&admin, "redeem-codes/create", json!({"amount": 300})).await.expect(200);
    assert_eq!((&made["amount"], &made["unit"]), (&json!(300), &json!("credits")));
    let spoken = speaking_gate(ann.clone());
    let redeemed = post(&spoken, "redeem-codes/redeem", json!({"code": made["code"]})).await;
    let redeemed = redeemed.expect(200);
    assert_eq!(redeemed["account"]["balance"], json!(300));
    assert_eq!(redeemed["redeem_code"]["amount"], json!(300));
    let by_code = balance_of(&ann).await;

    let bob = user(app, "bob").await;
    let added = post(&admin, "add", json!({"user_id": "bob", "amount": "300"})).await.expect(200);
    assert_eq!(added["balance"], json!(300));
    let by_add = balance_of(&bob).await;

    let eve = user(app, "eve").await;
    let topup = post(&speaking_gate(eve.clone()), "topups/create", json!({"amount": 300})).await;
    let topup = topup.expect(200);
    assert_eq!(topup["amount"], json!(300));
    post(&admin, "topups/finish", json!({"topup_id": topup["topup_id"]})).await.expect(200);
    [by_code, by_add, balance_of(&eve).await]
}

both_engines! {
    async fn three_hundred_cents_stay_three_credits(app: TestApp = balance) {
        assert_eq!(three_hundred(&app).await, [3_000_000; 3]);
    }

    async fn three_hundred_credits_stay_three_hundred(app: TestApp = of_credits) {
        assert_eq!(three_hundred(&app).await, [300_000_000; 3]);
    }

    async fn what_is_read_is_what_was_written(app: TestApp = balance) {
        let ann = user(&app, "ann").await;
        let admin = speaking_gate(app.admin());
        post(&app.admin(), "add", json!({"user_id": "ann", "amount_microcredits": 3_000_100})).await.expect(200);
        post(&admin, "sub", json!({"user_id": "ann", "amount": 50})).await.expect(200);
        let own = get(&speaking_gate(ann.clone()), "me").await;
        assert_eq!(own["balance"], json!(250.01));
        assert_eq!(own["balance_microcredits"], json!(2_500_100));
        let history = get(&admin, "history?user_id=ann").await;
        assert_eq!(history["items"][0]["amount"], json!(-50));
        assert_eq!(history["items"][0]["amount_microcredits"], json!(-500_000));
        assert_eq!(history["items"][0]["balance_after"], json!(250.01));
        // Everybody else reads what they read before.
        let history: Value = get(&app.admin(), "history?user_id=ann").await;
        assert_eq!(history["items"][0]["amount"], json!(-500_000));
        assert_eq!(history["items"][0]["unit"], json!("microcredits"));
    }

    async fn an_exact_amount_is_no_unit(app: TestApp = balance) {
        let ann = user(&app, "ann").await;
        let admin = speaking_gate(app.admin());
        let exact = json!({"user_id": "ann", "amount_microcredits": 7});
        post(&admin, "add", exact).await.expect(200);
        assert_eq!(balance_of(&ann).await, 7);
        for amount in [json!(0.000_01), json!("x"), json!(-1), json!(true), Value::Null] {
            let refused = post(&admin, "add", json!({"user_id": "ann", "amount": amount})).await;
            refused.expect_error(400, "invalid_input");
        }
        let both = json!({"user_id": "ann", "amount": 1, "amount_microcredits": 10_000});
        post(&admin, "add", both).await.expect_error(400, "invalid_input");
        assert_eq!(balance_of(&ann).await, 7);
    }

    async fn a_repeated_request_is_answered_in_the_same_unit(app: TestApp = balance) {
        let ann = user(&app, "ann").await;
        let admin = speaking_gate(app.admin()).with_header("idempotency-key", "once");
        let input = json!({"user_id": "ann", "amount": 300});
        let first = post(&admin, "add", input.clone()).await.expect(200);
        let again = post(&admin, "add", input).await.expect(200);
        assert_eq!((&first, &first["balance"]), (&again, &json!(300)));
        assert_eq!(balance_of(&ann).await, 3_000_000);
    }

    async fn a_code_of_another_generation_keeps_its_worth(app: TestApp = balance) {
        let made = code(&app, 3, json!({})).await;
        let ann = speaking_gate(user(&app, "ann").await);
        let redeemed = post(&ann, "redeem-codes/redeem", json!({"code": made["code"]})).await;
        assert_eq!(redeemed.expect(200)["account"]["balance"], json!(300));
    }
}
