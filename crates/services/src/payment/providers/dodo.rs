//! Dodo Payments: checkout sessions of pay-what-you-want products, whose price each session sets.
//!
//! API and events: <https://docs.dodopayments.com/api-reference/checkout-sessions/create>,
//! <https://docs.dodopayments.com/developer-resources/webhooks>.

use std::time::Duration;

use downcity_types::Timestamp;
use http::HeaderMap;
use serde_json::{Value, json};

use super::fields::{owned, text, whole};
use super::{Event, Money, Opened, Prepared, Refs, Refused, Sale, What};
use crate::payment::signature::hmac;

/// Where Dodo is, live and for tests.
pub(crate) const LIVE_BASE: &str = "https://live.dodopayments.com";
/// See [`LIVE_BASE`].
pub(crate) const TEST_BASE: &str = "https://test.dodopayments.com";
/// How long a session is open.
const OPEN_FOR: Duration = Duration::from_hours(24);

/// The request that opens a session.
pub(crate) fn checkout(api_key: &str, product_id: &str, sale: &Sale) -> Prepared {
    let body = json!({
        "product_cart": [{"product_id": product_id, "quantity": 1, "amount": sale.price.minor}],
        "billing_currency": sale.price.currency.to_ascii_uppercase(),
        "return_url": sale.success_url,
        "cancel_url": sale.cancel_url,
        "metadata": {
            "payment_id": sale.payment_id,
            "topup_id": sale.topup_id,
            "user_id": sale.user_id,
        },
    });
    Prepared {
        path: "/checkouts",
        headers: vec![
            ("authorization", format!("Bearer {api_key}")),
            ("idempotency-key", sale.payment_id.clone()),
        ],
        body: body.to_string().into_bytes(),
    }
}

/// What the answer says; `None` when it is no session.
pub(crate) fn opened(answer: &Value, now: Timestamp) -> Option<Opened> {
    Some(Opened {
        session_id: owned(answer, &["/session_id"])?,
        provider_payment_id: owned(answer, &["/payment_id"]).unwrap_or_default(),
        checkout_url: owned(answer, &["/checkout_url"])?,
        expires_at: now.saturating_add(OPEN_FOR),
    })
}

/// Verifies a webhook and reads its event. The id of the event is that of the message: bodies have none.
///
/// # Errors
/// [`Refused`].
pub(crate) fn event(
    secrets: &str,
    headers: &HeaderMap,
    body: &[u8],
    now: Timestamp,
    tolerance: Duration,
) -> Result<Event, Refused> {
    let event_id = hmac::verify_standard(secrets, headers, body, now, tolerance)?;
    let event: Value = serde_json::from_slice(body).map_err(|_| Refused::Unreadable)?;
    let kind = owned(&event, &["/type"]).ok_or(Refused::Unreadable)?;
    let data = event.get("data").unwrap_or(&Value::Null);
    let refs = Refs {
        payment_id: owned(data, &["/metadata/payment_id"]),
        topup_id: owned(data, &["/metadata/topup_id"]),
        session_id: owned(data, &["/checkout_session_id"]),
        provider_payment_id: owned(data, &["/payment_id"]),
        order_id: None,
    };
    let what = what(&kind, data);
    Ok(Event { event_id, kind, is_live: None, refs, what })
}

fn what(kind: &str, data: &Value) -> What {
    let dispute =
        |make: &dyn Fn(String) -> What| owned(data, &["/dispute_id"]).map_or(What::Other, make);
    match kind {
        "payment.succeeded" => {
            What::Paid(Money::of(whole(data, &["/total_amount"]), text(data, &["/currency"])))
        }
        "payment.failed" => {
            What::Failed { reason: owned(data, &["/error_message", "/error_code"]) }
        }
        "payment.cancelled" | "payment.canceled" => What::Canceled,
        "refund.succeeded" => owned(data, &["/refund_id"]).map_or(What::Other, |refund_id| {
            let money = Money::of(whole(data, &["/amount"]), text(data, &["/currency"]));
            What::Refunded { refund_id, money }
        }),
        // The amount of a dispute is a text in a unit that is not documented: all of the payment is meant.
        "dispute.opened" => dispute(&|dispute_id| What::Disputed { dispute_id, money: None }),
        "dispute.won" | "dispute.cancelled" | "dispute.expired" => {
            dispute(&|dispute_id| What::DisputeClosed { dispute_id, is_won: true })
        }
        "dispute.lost" | "dispute.accepted" => {
            dispute(&|dispute_id| What::DisputeClosed { dispute_id, is_won: false })
        }
        _ => What::Other,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::payment::providers::tests::{headers, now, refs, sale, usd};
    use crate::payment::sign;
    use crate::payment::signature::SignatureError;

    const SECRET: &str = "whsec_MDEyMzQ1Njc4OWFiY2RlZjAxMjM0NTY3";
    const TOLERANCE: Duration = Duration::from_secs(300);

    fn parse(kind: &str, data: Value) -> Event {
        let body =
            json!({"business_id": "bus_1", "type": kind, "timestamp": "2023-11-14T22:13:20Z",
            "data": data})
            .to_string();
        event(SECRET, &signed("msg_1", body.as_bytes()), body.as_bytes(), now(), TOLERANCE).unwrap()
    }

    fn signed(id: &str, body: &[u8]) -> HeaderMap {
        let at = now().seconds();
        let signature = sign::standard(SECRET, id, at, body).unwrap();
        headers(&[
            ("webhook-id", id),
            ("webhook-timestamp", &at.to_string()),
            ("webhook-signature", &signature),
        ])
    }

    #[test]
    fn a_session_sets_the_price_of_its_product() {
        let request = checkout("key", "pdt_1", &sale());
        assert_eq!(request.path, "/checkouts");
        assert!(request.headers.contains(&("authorization", "Bearer key".to_owned())));
        let body: Value = serde_json::from_slice(&request.body).unwrap();
        assert_eq!(
            body,
            json!({"product_cart": [{"product_id": "pdt_1", "quantity": 1, "amount": 2500}],
                "billing_currency": "USD", "return_url": "https://fed.example.com/done",
                "cancel_url": "https://fed.example.com/canceled",
                "metadata": {"payment_id": "pay_1", "topup_id": "topup_1", "user_id": "ann"}})
        );
    }

    #[test]
    fn an_answer_is_a_session_or_nothing() {
        let answer = json!({"session_id": "cks_1", "payment_id": null,
            "checkout_url": "https://test.checkout.dodopayments.com/session/cks_1"});
        let session = opened(&answer, now()).unwrap();
        assert_eq!((&*session.session_id, &*session.provider_payment_id), ("cks_1", ""));
        assert_eq!(opened(&json!({"code": "UNAUTHORIZED", "message": "no"}), now()), None);
    }

    #[test]
    fn a_payment_is_known_by_its_metadata_session_and_id() {
        let paid = parse(
            "payment.succeeded",
            json!({"payload_type": "Payment", "payment_id": "pay_d1", "checkout_session_id": "cks_1",
                "total_amount": 2500, "tax": 0, "currency": "USD", "status": "succeeded",
                "metadata": {"payment_id": "pay_1", "topup_id": "topup_1", "user_id": "ann"}}),
        );
        assert_eq!((&*paid.event_id, paid.is_live), ("msg_1", None));
        assert_eq!(paid.what, What::Paid(Some(usd(2500))));
        assert_eq!(paid.refs, refs(["pay_1", "topup_1", "cks_1", "pay_d1", ""]));
    }

    #[test]
    fn every_event_of_a_payment_has_its_meaning() {
        let id = || "dsp_1".to_owned();
        for (kind, what) in [
            ("payment.succeeded", What::Paid(None)),
            ("payment.failed", What::Failed { reason: None }),
            ("payment.cancelled", What::Canceled),
            ("payment.canceled", What::Canceled),
            ("payment.processing", What::Other),
            ("subscription.active", What::Other),
            ("dispute.opened", What::Disputed { dispute_id: id(), money: None }),
            ("dispute.challenged", What::Other),
            ("dispute.won", What::DisputeClosed { dispute_id: id(), is_won: true }),
            ("dispute.cancelled", What::DisputeClosed { dispute_id: id(), is_won: true }),
            ("dispute.lost", What::DisputeClosed { dispute_id: id(), is_won: false }),
            ("dispute.accepted", What::DisputeClosed { dispute_id: id(), is_won: false }),
        ] {
            let event = parse(kind, json!({"payment_id": "pay_d1", "dispute_id": "dsp_1"}));
            assert_eq!(event.what, what, "{kind}");
        }
        let refund = |data: Value| parse("refund.succeeded", data).what;
        assert_eq!(
            refund(
                json!({"refund_id": "ref_1", "payment_id": "pay_d1", "amount": 500, "currency": "USD",
                "is_partial": true})
            ),
            What::Refunded { refund_id: "ref_1".to_owned(), money: Some(usd(500)) }
        );
        assert_eq!(
            refund(json!({"refund_id": "ref_1", "payment_id": "pay_d1", "amount": null})),
            What::Refunded { refund_id: "ref_1".to_owned(), money: None }
        );
    }

    #[test]
    fn an_event_without_the_id_of_its_message_is_refused() {
        let body = br#"{"type":"payment.succeeded","data":{"payment_id":"pay_d1"}}"#;
        let mut headers = signed("msg_1", body);
        headers.remove("webhook-id");
        let refused = event(SECRET, &headers, body, now(), TOLERANCE);
        assert_eq!(refused, Err(SignatureError::Missing.into()));
        for body in [&b"{}"[..], b"5", b"", br#"{"data":{}}"#] {
            let refused = event(SECRET, &signed("msg_1", body), body, now(), TOLERANCE);
            assert_eq!(refused, Err(Refused::Unreadable));
        }
    }
}
