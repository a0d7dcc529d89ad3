//! Creem: checkouts of one-time products whose price each checkout sets.
//!
//! API and events: <https://docs.creem.io/api-reference/endpoint/create-checkout>,
//! <https://docs.creem.io/code/webhooks>.

use std::time::Duration;

use downcity_types::Timestamp;
use http::HeaderMap;
use serde_json::{Value, json};

use super::fields::{owned, text, whole};
use super::{Event, Money, Obstacle, Opened, Prepared, Provider, Refs, Refused, Sale, Terms, What};
use crate::payment::signature::{SignatureError, hmac};

const LIVE_BASE: &str = "https://api.creem.io/v1";
const TEST_BASE: &str = "https://test-api.creem.io/v1";
/// What keys of the test mode begin with.
const TEST_KEY: &str = "creem_test_";
/// How long a checkout is taken to be open; Creem does not say.
const OPEN_FOR: Duration = Duration::from_hours(24);

/// Creem.
#[derive(Debug)]
pub(crate) struct Creem;

impl Provider for Creem {
    fn id(&self) -> &'static str {
        "creem"
    }

    fn label(&self) -> &'static str {
        "Creem"
    }

    fn env(&self) -> &'static [(&'static str, &'static str)] {
        &[
            ("CREEM_API_KEY", "Opens checkouts at Creem; needed for Creem."),
            ("CREEM_PRODUCT_ID", "The one-time product that Creem sells; needed for Creem."),
            (
                "CREEM_WEBHOOK_SECRET",
                "Verifies Creem's webhooks; needed for Creem. Several, separated by commas, while one is replaced.",
            ),
            ("CREEM_CURRENCY", "The currency of the product; usd unless set."),
            ("CREEM_API_BASE_URL", "Where Creem's API is; that of the mode unless set."),
        ]
    }

    fn webhook_headers(&self) -> &'static [&'static str] {
        &["creem-signature"]
    }

    fn currency_key(&self) -> &'static str {
        "CREEM_CURRENCY"
    }

    fn obstacle(&self, terms: &Terms<'_>) -> Option<Obstacle> {
        if !terms.has(&["CREEM_API_KEY", "CREEM_PRODUCT_ID", "CREEM_WEBHOOK_SECRET"]) {
            return Some(Obstacle::NotConfigured);
        }
        let is_test = terms.text("CREEM_API_KEY").starts_with(TEST_KEY);
        let base = terms.text("CREEM_API_BASE_URL");
        let other = if terms.is_live() { TEST_BASE } else { LIVE_BASE };
        let is_other = base.trim_end_matches('/') == other;
        (terms.is_live() && is_test || is_other).then_some(Obstacle::WrongMode)
    }

    fn checkout(&self, terms: &Terms<'_>, sale: &Sale) -> Result<Prepared, String> {
        let own = if terms.is_live() { LIVE_BASE } else { TEST_BASE };
        let url = format!("{}/checkouts", terms.base("CREEM_API_BASE_URL", own)?);
        let body = json!({
            "product_id": terms.text("CREEM_PRODUCT_ID"),
            "custom_price": sale.price.minor,
            "request_id": sale.payment_id,
            "success_url": sale.success_url,
            "metadata": {
                "payment_id": sale.payment_id,
                "topup_id": sale.topup_id,
                "user_id": sale.user_id,
            },
        });
        let headers = vec![
            ("x-api-key", terms.text("CREEM_API_KEY")),
            ("idempotency-key", sale.payment_id.clone()),
        ];
        Ok(Prepared::json(url, headers, &body))
    }

    fn opened(&self, answer: &Value, now: Timestamp) -> Option<Opened> {
        Some(Opened {
            session_id: owned(answer, &["/id", "/checkout_id"])?,
            provider_payment_id: String::new(),
            checkout_url: owned(answer, &["/checkout_url", "/url"])?,
            expires_at: now.saturating_add(OPEN_FOR),
        })
    }

    fn prices(&self) -> std::ops::RangeInclusive<i64> {
        100..=99_999_999
    }

    fn can_verify(&self, terms: &Terms<'_>) -> bool {
        terms.has(&["CREEM_WEBHOOK_SECRET"])
    }

    /// Creem signs the body alone (`creem-signature`), without a time; where it sends the headers of Standard
    /// Webhooks, those are verified, and their age with them.
    fn event(&self, terms: &Terms<'_>, headers: &HeaderMap, body: &[u8]) -> Result<Event, Refused> {
        let secrets = terms.text("CREEM_WEBHOOK_SECRET");
        if headers.contains_key("webhook-signature") {
            hmac::verify_standard(&secrets, headers, body, terms.now, terms.tolerance())?;
        } else {
            let header = headers.get("creem-signature").ok_or(SignatureError::Missing)?;
            let signature = header.to_str().map_err(|_| SignatureError::Malformed)?;
            hmac::verify_hex(&secrets, &[body], &[signature.trim()])?;
        }
        let event: Value = serde_json::from_slice(body).map_err(|_| Refused::Unreadable)?;
        read(&event).ok_or(Refused::Unreadable)
    }
}

fn read(event: &Value) -> Option<Event> {
    let kind = owned(event, &["/eventType", "/type"])?;
    let object =
        event.get("object").or_else(|| event.pointer("/data/object")).unwrap_or(&Value::Null);
    let is_live = text(object, &["/mode"]).map(|mode| mode == "prod");
    let what = what(&kind, object);
    Some(Event {
        event_id: owned(event, &["/id"])?,
        refs: refs(&what, object),
        kind,
        is_live,
        what,
    })
}

fn what(kind: &str, object: &Value) -> What {
    let id = || owned(object, &["/id"]);
    match kind {
        // An order of a checkout that is not paid for yet is followed by another event.
        "checkout.completed" => match text(object, &["/order/status"]) {
            Some("paid") | None => What::Paid(Money::of(
                whole(object, &["/order/amount_paid", "/order/amount"]),
                text(object, &["/order/currency"]),
            )),
            Some(_) => What::Other,
        },
        "checkout.expired" => What::Expired,
        "checkout.failed" | "payment.failed" => What::Failed { reason: None },
        // No event tells that a pending refund has gone through.
        "refund.created" => match (text(object, &["/status"]), id()) {
            (Some("failed" | "canceled"), _) | (_, None) => What::Other,
            (_, Some(refund_id)) => What::Refunded {
                refund_id,
                money: Money::of(
                    whole(object, &["/refund_amount"]),
                    text(object, &["/refund_currency"]),
                ),
            },
        },
        "dispute.created" => id().map_or(What::Other, |dispute_id| What::Disputed {
            dispute_id,
            money: Money::of(whole(object, &["/amount"]), text(object, &["/currency"])),
        }),
        _ => What::Other,
    }
}

/// The object is a checkout, except in refunds and disputes, which name theirs by its id or in full.
fn refs(what: &What, object: &Value) -> Refs {
    let (checkout, session_id) = match what {
        What::Refunded { .. } | What::Disputed { .. } => (
            object.get("checkout").unwrap_or(&Value::Null),
            owned(object, &["/checkout/id", "/checkout"]),
        ),
        _ => (object, owned(object, &["/id"])),
    };
    Refs {
        payment_id: owned(checkout, &["/metadata/payment_id", "/request_id"]),
        topup_id: owned(checkout, &["/metadata/topup_id"]),
        session_id,
        provider_payment_id: None,
        order_id: owned(object, &["/order/id", "/order_id", "/order"]),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::payment::providers::tests::{Set, headers, now, refs, sale, usd};
    use crate::payment::sign;

    const SECRET: &str = "creem_demo";

    fn set() -> Set {
        Set::new(&[
            ("CREEM_API_KEY", "creem_test_key"),
            ("CREEM_PRODUCT_ID", "prod_1"),
            ("CREEM_WEBHOOK_SECRET", SECRET),
        ])
    }

    fn event(headers: &HeaderMap, body: &[u8]) -> Result<Event, Refused> {
        set().terms(|terms| Creem.event(terms, headers, body))
    }

    fn parse(body: &Value) -> Event {
        let body = body.to_string();
        let headers = headers(&[("creem-signature", &sign::hex(SECRET, &[body.as_bytes()]))]);
        event(&headers, body.as_bytes()).unwrap()
    }

    fn completed(order: Value) -> Value {
        json!({"id": "evt_1", "eventType": "checkout.completed", "created_at": 1_700_000_000_000_i64, "object": {
            "id": "ch_1", "object": "checkout", "request_id": "pay_1", "status": "completed", "mode": "test",
            "order": order, "metadata": {"payment_id": "pay_1", "topup_id": "topup_1"}}})
    }

    #[test]
    fn a_checkout_sets_the_price() {
        let request = set().terms(|terms| Creem.checkout(terms, &sale())).unwrap();
        assert_eq!(request.url, "https://test-api.creem.io/v1/checkouts");
        assert!(request.headers.contains(&("x-api-key", "creem_test_key".to_owned())));
        let body: Value = serde_json::from_slice(&request.body).unwrap();
        assert_eq!(
            body,
            json!({"product_id": "prod_1", "custom_price": 2500, "request_id": "pay_1",
                "success_url": "https://fed.example.com/done",
                "metadata": {"payment_id": "pay_1", "topup_id": "topup_1", "user_id": "ann"}})
        );
    }

    #[test]
    fn an_answer_is_a_checkout_or_nothing() {
        let answer = json!({"id": "ch_1", "object": "checkout", "status": "pending", "mode": "test",
            "product": "prod_1", "checkout_url": "https://checkout.creem.io/ch_1"});
        let opened_now = Creem.opened(&answer, now()).unwrap();
        assert_eq!(opened_now.session_id, "ch_1");
        assert_eq!(opened_now.checkout_url, "https://checkout.creem.io/ch_1");
        assert_eq!(opened_now.expires_at.millis() - now().millis(), 24 * 3_600_000);
        assert_eq!(
            Creem.opened(&json!({"trace_id": "x", "status": 403, "error": "Forbidden"}), now()),
            None
        );
    }

    #[test]
    fn a_completed_checkout_is_paid_with_what_its_order_says() {
        let order = json!({"id": "ord_1", "amount": 2500, "amount_paid": 2999, "tax_amount": 499,
            "currency": "USD", "status": "paid"});
        let event = parse(&completed(order));
        assert_eq!((&*event.event_id, &*event.kind), ("evt_1", "checkout.completed"));
        assert_eq!(event.is_live, Some(false));
        assert_eq!(event.what, What::Paid(Some(usd(2999))));
        assert_eq!(event.refs, refs(["pay_1", "topup_1", "ch_1", "", "ord_1"]));
        let bare = parse(&completed(json!({"id": "ord_1", "amount": 2500, "currency": "USD"})));
        assert_eq!(bare.what, What::Paid(Some(usd(2500))));
        let open = json!({"id": "ord_1", "amount": 2500, "currency": "USD", "status": "pending"});
        assert_eq!(parse(&completed(open)).what, What::Other);
        assert_eq!(parse(&completed(Value::Null)).what, What::Paid(None));
    }

    #[test]
    fn other_events_of_checkouts() {
        for (kind, what) in [
            ("checkout.expired", What::Expired),
            ("checkout.failed", What::Failed { reason: None }),
            ("payment.failed", What::Failed { reason: None }),
            ("subscription.active", What::Other),
        ] {
            let event = parse(&json!({"id": "evt_2", "type": kind,
                "data": {"object": {"id": "ch_1", "mode": "prod", "request_id": "pay_1"}}}));
            assert_eq!((event.what, event.is_live), (what, Some(true)), "{kind}");
            assert_eq!(event.refs, refs(["pay_1", "", "ch_1", "", ""]));
        }
    }

    #[test]
    fn refunds_and_disputes_name_their_payment_by_order_and_checkout() {
        let refund = |status: &str| {
            parse(&json!({"id": "evt_3", "eventType": "refund.created", "object": {
                "id": "ref_1", "object": "refund", "status": status, "refund_amount": 1000,
                "refund_currency": "USD", "mode": "test", "order": {"id": "ord_1"},
                "checkout": {"id": "ch_1", "request_id": "pay_1"}}}))
        };
        let succeeded = refund("succeeded");
        let refunded = What::Refunded { refund_id: "ref_1".to_owned(), money: Some(usd(1000)) };
        assert_eq!(succeeded.what, refunded);
        assert_eq!(succeeded.refs, refs(["pay_1", "", "ch_1", "", "ord_1"]));
        assert_eq!(refund("pending").what, refunded);
        assert_eq!(refund("failed").what, What::Other);
        let dispute = parse(&json!({"id": "evt_4", "eventType": "dispute.created", "object": {
            "id": "disp_1", "amount": 2500, "currency": "USD", "mode": "test", "order": "ord_1",
            "checkout": "ch_1"}}));
        assert_eq!(
            dispute.what,
            What::Disputed { dispute_id: "disp_1".to_owned(), money: Some(usd(2500)) }
        );
        assert_eq!(dispute.refs, refs(["", "", "ch_1", "", "ord_1"]));
    }

    #[test]
    fn only_signed_events_count() {
        let body = br#"{"id":"evt_1","eventType":"checkout.completed","object":{}}"#;
        let verify = |pairs: &[(&'static str, &str)]| event(&headers(pairs), body).map(|_| ());
        let right = sign::hex(SECRET, &[body]);
        assert_eq!(verify(&[("creem-signature", &right)]), Ok(()));
        assert_eq!(verify(&[]), Err(SignatureError::Missing.into()));
        let forged = sign::hex("other", &[body]);
        assert_eq!(verify(&[("creem-signature", &forged)]), Err(SignatureError::Wrong.into()));
        // A stranger's header does not lead around the other signature.
        let both = [("creem-signature", &*right), ("webhook-signature", "v1,AAAA")];
        assert_eq!(verify(&both), Err(SignatureError::Missing.into()));
        let no_event = |body: &[u8]| {
            let headers = headers(&[("creem-signature", &sign::hex(SECRET, &[body]))]);
            event(&headers, body).map(|_| ())
        };
        for body in [&b"{}"[..], b"[]", b"", b"nothing", br#"{"id":"evt_1"}"#] {
            assert_eq!(no_event(body), Err(Refused::Unreadable));
        }
    }

    #[test]
    fn keys_and_addresses_of_the_other_mode_are_an_obstacle() {
        let obstacle = |key: &str, base: &str, live: bool| {
            let set = Set::new(&[
                ("CREEM_API_KEY", key),
                ("CREEM_PRODUCT_ID", "prod_1"),
                ("CREEM_WEBHOOK_SECRET", SECRET),
                ("CREEM_API_BASE_URL", base),
            ]);
            set.live(live).terms(|terms| Creem.obstacle(terms))
        };
        assert_eq!(obstacle("creem_1", LIVE_BASE, true), None);
        assert_eq!(obstacle("creem_test_1", TEST_BASE, false), None);
        let wrong = Some(Obstacle::WrongMode);
        assert_eq!(obstacle("creem_test_1", LIVE_BASE, true), wrong);
        assert_eq!(obstacle("creem_1", TEST_BASE, true), wrong);
        assert_eq!(obstacle("creem_1", "https://api.creem.io/v1/", false), wrong);
    }
}
