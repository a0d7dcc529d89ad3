//! The sale.

use downcity_db::Engine;
use downcity_services::payment::sandbox::{Moment, Vendor};
use downcity_testkit::Answer;
use serde_json::json;

use crate::buyer::{Market, text};

/// Turns each vendor into a test on SQLite and one on PostgreSQL.
macro_rules! with_each_vendor {
    ($($name:ident $vendor:ident)*) => {$(
        mod $name {
            use super::*;

            #[test]
            fn sqlite() {
                downcity_testkit::block_on(sale(Engine::Sqlite, Vendor::$vendor));
            }

            #[test]
            fn postgres() {
                downcity_testkit::block_on(sale(Engine::Postgres, Vendor::$vendor));
            }
        }
    )*};
}

with_each_vendor! { stripe Stripe creem Creem dodo Dodo waffo Waffo }

async fn sale(engine: Engine, vendor: Vendor) {
    let market = Market::open(engine, vendor).await;
    let account = json!({"email": "ann@example.com", "password": "correct horse battery",
        "city_id": "city_downcity"});
    let registered = market.post("", "/v1/accounts/register", account).await.expect(200);
    let ann = text(&registered, "user_token");

    // Without credits nothing is sold.
    let prompt = json!({"prompt": "Hello"});
    let refused = market.post(&ann, "/v1/ai/text", prompt.clone()).await.expect(402);
    assert_eq!(refused["code"], "insufficient_balance");
    assert_eq!(market.models.requests().len(), 0);

    let topup = market.post(&ann, "/v1/balance/topups/create", json!({"amount": 5})).await;
    let topup_id = text(&topup.expect(200), "topup_id");
    let input = json!({"method_id": vendor.id(), "topup_id": topup_id});
    let checkout = market.post(&ann, "/v1/payment/checkout/create", input).await.expect(200);
    assert_eq!((&checkout["status"], &checkout["amount_minor"]), (&json!("pending"), &json!(500)));

    let paid = Moment::Paid { minor: 500, currency: "usd".to_owned() };
    for _ in 0..2 {
        let ack = market.tell("evt_1", &paid, &checkout).await.expect(200);
        assert_eq!(ack["sync_status"], "applied");
    }
    let wallet = market.get(&ann, "/v1/balance/me").await.expect(200);
    assert_eq!(wallet["microcredits"], 5_000_000);

    market.models.always(Answer::json(
        200,
        &json!({"choices": [{"message": {"role": "assistant", "content": "Hello, Ann."},
            "finish_reason": "stop"}], "usage": {"prompt_tokens": 100, "completion_tokens": 20}}),
    ));
    let called = market.post(&ann, "/v1/ai/text", prompt).await;
    let request_id = called.request_id.clone();
    called.expect(200);

    // 100 input tokens at 1 and 20 output tokens at 10 microcredits.
    market.charge().await;
    let wallet = market.get(&ann, "/v1/balance/me").await.expect(200);
    assert_eq!(wallet["microcredits"], 5_000_000 - 300, "{wallet}");
    assert_eq!(wallet["held_microcredits"], 0, "{wallet}");
    let receipt = market.get(&ann, &format!("/v1/usage/requests/{request_id}")).await.expect(200);
    assert_eq!(receipt["request_id"], *request_id, "{receipt}");
    assert!(receipt.to_string().contains("300"), "{receipt}");
    let history = market.get(&ann, "/v1/balance/history/me").await.expect(200);
    let kinds: Vec<_> =
        history["items"].as_array().unwrap().iter().map(|entry| entry["kind"].clone()).collect();
    assert_eq!(kinds, [json!("charge"), json!("topup")]);

    // What is left goes back with the money; the rest was spent.
    let refund = Moment::Refunded { refund_id: "re_1".to_owned(), minor: 500 };
    market.tell("evt_2", &refund, &checkout).await.expect(200);
    let wallet = market.get(&ann, "/v1/balance/me").await.expect(200);
    assert_eq!(wallet["microcredits"], 0, "{wallet}");
    let payments = market.admin("/v1/payment/payments?status=refunded").await;
    assert_eq!(payments["items"][0]["payment_id"], checkout["payment_id"]);
    market.federation.shutdown().await;
}
