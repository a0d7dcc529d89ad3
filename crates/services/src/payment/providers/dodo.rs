//! Dodo Payments: checkout sessions of pay-what-you-want products, whose price each session sets.
//!
//! API and events: <https://docs.dodopayments.com/api-reference/checkout-sessions/create>,
//! <https://docs.dodopayments.com/developer-resources/webhooks>.

use std::time::Duration;

use downcity_types::Timestamp;
use http::HeaderMap;
use serde_json::{Value, json};

use super::fields::{owned, text, whole};
use super::{Event, Money, Obstacle, Opened, Prepared, Provider, Refs, Refused, Sale, Terms, What};
use crate::payment::signature::hmac;

const LIVE_BASE: &str = "https://live.dodopayments.com";
const TEST_BASE: &str = "https://test.dodopayments.com";
/// How long a session is open.
const OPEN_FOR: Duration = Duration::from_hours(24);

/// Dodo Payments.
#[derive(Debug)]
pub(crate) struct Dodo;

impl Provider for Dodo {
    fn id(&self) -> &'static str {
        "dodo"
    }

    fn label(&self) -> &'static str {
        "Dodo Payments"
    }

    fn env(&self) -> &'static [(&'static str, &'static str)] {
        &[
            ("DODO_PAYMENTS_API_KEY", "Opens checkouts at Dodo Payments; needed for it."),
            (
                "DODO_PRODUCT_ID",
                "The pay-what-you-want product that Dodo Payments sells; needed for it.",
            ),
            (
                "DODO_WEBHOOK_KEY",
                "Verifies webhooks of Dodo Payments; needed for it. Several, separated by commas, while one is replaced.",
            ),
            (
                "DODO_ENVIRONMENT",
                "live_mode or test_mode; where it is set, it has to agree with payment.mode.",
            ),
            ("DODO_CURRENCY", "The currency of its checkouts; usd unless set."),
            ("DODO_API_BASE_URL", "Where its API is; that of the mode unless set."),
        ]
    }

    fn webhook_headers(&self) -> &'static [&'static str] {
        &["webhook-signature"]
    }

    fn currency_key(&self) -> &'static str {
        "DODO_CURRENCY"
    }

    fn obstacle(&self, terms: &Terms<'_>) -> Option<Obstacle> {
        if !terms.has(&["DODO_PAYMENTS_API_KEY", "DODO_PRODUCT_ID", "DODO_WEBHOOK_KEY"]) {
            return Some(Obstacle::NotConfigured);
        }
        let environment = match &*terms.text("DODO_ENVIRONMENT") {
            "" => terms.is_live(),
            "live" | "live_mode" => true,
            "test" | "test_mode" => false,
            _ => return Some(Obstacle::NotSupported),
        };
        let base = terms.text("DODO_API_BASE_URL");
        let other = if terms.is_live() { TEST_BASE } else { LIVE_BASE };
        let is_other = base.trim_end_matches('/') == other;
        (environment != terms.is_live() || is_other).then_some(Obstacle::WrongMode)
    }

    fn checkout(&self, terms: &Terms<'_>, sale: &Sale) -> Result<Prepared, String> {
        let own = if terms.is_live() { LIVE_BASE } else { TEST_BASE };
        let url = format!("{}/checkouts", terms.base("DODO_API_BASE_URL", own)?);
        let product_id = terms.text("DODO_PRODUCT_ID");
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
        let headers = vec![
            ("authorization", format!("Bearer {}", terms.text("DODO_PAYMENTS_API_KEY"))),
            ("idempotency-key", sale.payment_id.clone()),
        ];
        Ok(Prepared::json(url, headers, &body))
    }

    fn opened(&self, answer: &Value, now: Timestamp) -> Option<Opened> {
        Some(Opened {
            session_id: owned(answer, &["/session_id"])?,
            provider_payment_id: owned(answer, &["/payment_id"]).unwrap_or_default(),
            checkout_url: owned(answer, &["/checkout_url"])?,
            expires_at: now.saturating_add(OPEN_FOR),
        })
    }

    fn can_verify(&self, terms: &Terms<'_>) -> bool {
        terms.has(&["DODO_WEBHOOK_KEY"])
    }

    /// The id of the event is that of the message: bodies have none.
    fn event(&self, terms: &Terms<'_>, headers: &HeaderMap, body: &[u8]) -> Result<Event, Refused> {
        let secrets = terms.text("DODO_WEBHOOK_KEY");
        let event_id =
            hmac::verify_standard(&secrets, headers, body, terms.now, terms.tolerance())?;
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
    use crate::payment::providers::tests::{Set, headers, now, refs, sale, usd};
    use crate::payment::sign;
    use crate::payment::signature::SignatureError;

    const SECRET: &str = "whsec_MDEyMzQ1Njc4OWFiY2RlZjAxMjM0NTY3";

    fn set() -> Set {
        Set::new(&[
            ("DODO_PAYMENTS_API_KEY", "key"),
            ("DODO_PRODUCT_ID", "pdt_1"),
            ("DODO_WEBHOOK_KEY", SECRET),
        ])
    }

    fn event(headers: &HeaderMap, body: &[u8]) -> Result<Event, Refused> {
        set().terms(|terms| Dodo.event(terms, headers, body))
    }

    fn parse(kind: &str, data: Value) -> Event {
        let body =
            json!({"business_id": "bus_1", "type": kind, "timestamp": "2023-11-14T22:13:20Z",
            "data": data})
            .to_string();
        event(&signed("msg_1", body.as_bytes()), body.as_bytes()).unwrap()
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
        let request = set().terms(|terms| Dodo.checkout(terms, &sale())).unwrap();
        assert_eq!(request.url, "https://test.dodopayments.com/checkouts");
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
        let session = Dodo.opened(&answer, now()).unwrap();
        assert_eq!((&*session.session_id, &*session.provider_payment_id), ("cks_1", ""));
        assert_eq!(Dodo.opened(&json!({"code": "UNAUTHORIZED", "message": "no"}), now()), None);
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
        let refused = event(&headers, body);
        assert_eq!(refused, Err(SignatureError::Missing.into()));
        for body in [&b"{}"[..], b"5", b"", br#"{"data":{}}"#] {
            let refused = event(&signed("msg_1", body), body);
            assert_eq!(refused, Err(Refused::Unreadable));
        }
    }

    #[test]
    fn an_environment_has_to_agree_with_the_mode() {
        let obstacle = |environment: &str, base: &str, live: bool| {
            let set = Set::new(&[
                ("DODO_PAYMENTS_API_KEY", "key"),
                ("DODO_PRODUCT_ID", "pdt_1"),
                ("DODO_WEBHOOK_KEY", SECRET),
                ("DODO_ENVIRONMENT", environment),
                ("DODO_API_BASE_URL", base),
            ]);
            set.live(live).terms(|terms| Dodo.obstacle(terms))
        };
        for (environment, live) in
            [("", true), ("", false), ("live", true), ("live_mode", true), ("test_mode", false)]
        {
            assert_eq!(obstacle(environment, "", live), None, "{environment} {live}");
        }
        let wrong = Some(Obstacle::WrongMode);
        assert_eq!([obstacle("live", "", false), obstacle("test", "", true)], [wrong, wrong]);
        assert_eq!(obstacle("", TEST_BASE, true), wrong);
        assert_eq!(obstacle("staging", "", false), Some(Obstacle::NotSupported));
    }
}
