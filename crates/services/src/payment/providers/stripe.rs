//! Stripe: Checkout Sessions.
//!
//! API and events: <https://docs.stripe.com/api/checkout/sessions>, <https://docs.stripe.com/webhooks>.

use std::time::Duration;

use downcity_types::Timestamp;
use http::HeaderMap;
use serde_json::Value;

use super::fields::{owned, text, whole};
use super::{Event, Money, Obstacle, Opened, Prepared, Provider, Refs, Refused, Sale, Terms, What};
use crate::payment::signature::{SignatureError, hmac};

const BASE: &str = "https://api.stripe.com/v1";
const ITEM: &str = "Downcity Topup";
/// How long a session is open when the answer does not say.
const OPEN_FOR: Duration = Duration::from_hours(24);

/// Stripe.
#[derive(Debug)]
pub(crate) struct Stripe;

impl Provider for Stripe {
    fn id(&self) -> &'static str {
        "stripe"
    }

    fn label(&self) -> &'static str {
        "Stripe"
    }

    fn env(&self) -> &'static [(&'static str, &'static str)] {
        &[
            ("STRIPE_SECRET_KEY", "Opens checkouts at Stripe; needed for Stripe."),
            (
                "STRIPE_WEBHOOK_SECRET",
                "Verifies Stripe's webhooks; needed for Stripe. Several, separated by commas, while one is replaced.",
            ),
            ("STRIPE_CURRENCY", "The currency of Stripe's checkouts; usd unless set."),
            ("STRIPE_ITEM_NAME", "What buyers see on Stripe's page; Downcity Topup unless set."),
            ("STRIPE_API_BASE_URL", "Where Stripe's API is; https://api.stripe.com/v1 unless set."),
        ]
    }

    fn webhook_headers(&self) -> &'static [&'static str] {
        &["stripe-signature"]
    }

    fn currency_key(&self) -> &'static str {
        "STRIPE_CURRENCY"
    }

    fn obstacle(&self, terms: &Terms<'_>) -> Option<Obstacle> {
        if !terms.has(&["STRIPE_SECRET_KEY", "STRIPE_WEBHOOK_SECRET"]) {
            return Some(Obstacle::NotConfigured);
        }
        let key = terms.text("STRIPE_SECRET_KEY");
        let is_of = |mode: &str| {
            ["sk", "rk"].iter().any(|kind| key.starts_with(&format!("{kind}_{mode}_")))
        };
        match (terms.is_live(), is_of("live"), is_of("test")) {
            (true, _, true) | (false, true, _) => Some(Obstacle::WrongMode),
            _ => None,
        }
    }

    fn checkout(&self, terms: &Terms<'_>, sale: &Sale) -> Result<Prepared, String> {
        let url = format!("{}/checkout/sessions", terms.base("STRIPE_API_BASE_URL", BASE)?);
        let item = match terms.text("STRIPE_ITEM_NAME") {
            empty if empty.is_empty() => ITEM.to_owned(),
            item => item,
        };
        let minor = sale.price.minor.to_string();
        let mut form = form_urlencoded::Serializer::new(String::new());
        form.append_pair("mode", "payment")
            .append_pair("success_url", &sale.success_url)
            .append_pair("cancel_url", &sale.cancel_url)
            .append_pair("client_reference_id", &sale.topup_id)
            .append_pair("line_items[0][quantity]", "1")
            .append_pair("line_items[0][price_data][currency]", &sale.price.currency)
            .append_pair("line_items[0][price_data][unit_amount]", &minor)
            .append_pair("line_items[0][price_data][product_data][name]", &item);
        let ids = [
            ("payment_id", &sale.payment_id),
            ("topup_id", &sale.topup_id),
            ("user_id", &sale.user_id),
        ];
        for (name, id) in ids {
            form.append_pair(&format!("metadata[{name}]"), id)
                .append_pair(&format!("payment_intent_data[metadata][{name}]"), id);
        }
        Ok(posted(terms, url, Some(&sale.payment_id), form.finish()))
    }

    fn opened(&self, answer: &Value, now: Timestamp) -> Option<Opened> {
        let expires_at = whole(answer, &["/expires_at"]).and_then(|at| at.checked_mul(1000));
        Some(Opened {
            session_id: owned(answer, &["/id"])?,
            provider_payment_id: owned(answer, &["/payment_intent", "/payment_intent/id"])
                .unwrap_or_default(),
            checkout_url: owned(answer, &["/url"])?,
            expires_at: expires_at.map_or(now.saturating_add(OPEN_FOR), Timestamp::from_millis),
        })
    }

    fn close(&self, terms: &Terms<'_>, session_id: &str) -> Option<Prepared> {
        let base = terms.base("STRIPE_API_BASE_URL", BASE).ok()?;
        // Ids of sessions are letters, digits and underscores: nothing else becomes part of a path.
        let is_id = session_id.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'_');
        let url = format!("{base}/checkout/sessions/{session_id}/expire");
        (is_id && !session_id.is_empty()).then(|| posted(terms, url, None, String::new()))
    }

    fn prices(&self) -> std::ops::RangeInclusive<i64> {
        50..=99_999_999
    }

    fn can_verify(&self, terms: &Terms<'_>) -> bool {
        terms.has(&["STRIPE_WEBHOOK_SECRET"])
    }

    fn event(&self, terms: &Terms<'_>, headers: &HeaderMap, body: &[u8]) -> Result<Event, Refused> {
        let header = headers.get("stripe-signature").ok_or(SignatureError::Missing)?;
        let header = header.to_str().map_err(|_| SignatureError::Malformed)?;
        let secrets = terms.text("STRIPE_WEBHOOK_SECRET");
        hmac::verify_stamped(&secrets, header, body, terms.now, terms.tolerance())?;
        let event: Value = serde_json::from_slice(body).map_err(|_| Refused::Unreadable)?;
        read(&event).ok_or(Refused::Unreadable)
    }
}

fn posted(terms: &Terms<'_>, url: String, once: Option<&str>, body: String) -> Prepared {
    let mut headers =
        vec![("authorization", format!("Bearer {}", terms.text("STRIPE_SECRET_KEY")))];
    headers.extend(once.map(|key| ("idempotency-key", key.to_owned())));
    let content_type = "application/x-www-form-urlencoded";
    Prepared { url, headers, content_type, body: body.into_bytes() }
}

fn read(event: &Value) -> Option<Event> {
    let kind = owned(event, &["/type"])?;
    let object = event.pointer("/data/object").unwrap_or(&Value::Null);
    let is_live = event.get("livemode").or_else(|| object.get("livemode")).and_then(Value::as_bool);
    let what = what(&kind, object);
    Some(Event {
        event_id: owned(event, &["/id"])?,
        is_live,
        refs: refs(&kind, object),
        what,
        kind,
    })
}

fn what(kind: &str, object: &Value) -> What {
    let currency = text(object, &["/currency"]);
    let reason = || owned(object, &["/last_payment_error/message", "/last_payment_error/code"]);
    let dispute = |make: &dyn Fn(String) -> What| owned(object, &["/id"]).map_or(What::Other, make);
    match kind {
        "checkout.session.completed" | "checkout.session.async_payment_succeeded" => {
            match text(object, &["/payment_status"]) {
                Some("paid") => What::Paid(Money::of(whole(object, &["/amount_total"]), currency)),
                // A debit that the bank has not confirmed: another event follows.
                _ => What::Other,
            }
        }
        "checkout.session.async_payment_failed" => What::Failed { reason: reason() },
        "checkout.session.expired" => What::Expired,
        "payment_intent.payment_failed" => What::Declined { reason: reason() },
        "charge.refunded" => Money::of(whole(object, &["/amount_refunded"]), currency)
            .map_or(What::Other, |money| What::RefundedInAll { money }),
        "charge.dispute.created" => dispute(&|dispute_id| What::Disputed {
            dispute_id,
            money: Money::of(whole(object, &["/amount"]), currency),
        }),
        "charge.dispute.closed" => match text(object, &["/status"]) {
            Some("won" | "warning_closed") => {
                dispute(&|dispute_id| What::DisputeClosed { dispute_id, is_won: true })
            }
            Some("lost") => {
                dispute(&|dispute_id| What::DisputeClosed { dispute_id, is_won: false })
            }
            _ => What::Other,
        },
        _ => What::Other,
    }
}

/// Sessions are ours by their id; intents, charges and disputes by their intent.
fn refs(kind: &str, object: &Value) -> Refs {
    let is_session = kind.starts_with("checkout.session.");
    let intent: &[&str] = match kind {
        _ if kind.starts_with("payment_intent.") => &["/id"],
        _ => &["/payment_intent", "/payment_intent/id"],
    };
    Refs {
        payment_id: owned(object, &["/metadata/payment_id"]),
        topup_id: owned(object, &["/metadata/topup_id", "/client_reference_id"]),
        session_id: owned(object, &["/id"]).filter(|_| is_session),
        provider_payment_id: owned(object, intent),
        order_id: None,
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::payment::providers::tests::{Set, headers, now, refs, sale, usd};
    use crate::payment::sign;

    const SECRET: &str = "whsec_demo";

    fn set() -> Set {
        Set::new(&[("STRIPE_SECRET_KEY", "sk_test_1"), ("STRIPE_WEBHOOK_SECRET", SECRET)])
    }

    fn header(secret: &str, at: i64, body: &str) -> String {
        let time = at.to_string();
        let signature = sign::hex(secret, &[time.as_bytes(), b".", body.as_bytes()]);
        format!("t={time},v1={signature}")
    }

    fn event(kind: &str, object: Value) -> Event {
        let body =
            json!({"id": "evt_1", "type": kind, "livemode": false, "data": {"object": object}})
                .to_string();
        let headers = headers(&[("stripe-signature", &header(SECRET, now().seconds(), &body))]);
        set().terms(|terms| Stripe.event(terms, &headers, body.as_bytes())).unwrap()
    }

    fn session(payment_status: &str) -> Value {
        json!({"id": "cs_1", "object": "checkout.session", "amount_total": 2500, "currency": "usd",
            "client_reference_id": "topup_1", "metadata": {"payment_id": "pay_1"},
            "payment_intent": "pi_1", "payment_status": payment_status})
    }

    #[test]
    fn a_session_is_a_form_with_the_price_and_our_ids() {
        let request = set().terms(|terms| Stripe.checkout(terms, &sale())).unwrap();
        assert_eq!(request.url, "https://api.stripe.com/v1/checkout/sessions");
        for pair in [("authorization", "Bearer sk_test_1"), ("idempotency-key", "pay_1")] {
            assert!(request.headers.contains(&(pair.0, pair.1.to_owned())), "{pair:?}");
        }
        let form: Vec<(String, String)> =
            form_urlencoded::parse(&request.body).into_owned().collect();
        for (name, value) in [
            ("mode", "payment"),
            ("success_url", "https://fed.example.com/done"),
            ("cancel_url", "https://fed.example.com/canceled"),
            ("client_reference_id", "topup_1"),
            ("metadata[payment_id]", "pay_1"),
            ("metadata[topup_id]", "topup_1"),
            ("metadata[user_id]", "ann"),
            ("payment_intent_data[metadata][payment_id]", "pay_1"),
            ("line_items[0][quantity]", "1"),
            ("line_items[0][price_data][currency]", "usd"),
            ("line_items[0][price_data][unit_amount]", "2500"),
            ("line_items[0][price_data][product_data][name]", "Downcity Topup"),
        ] {
            assert!(form.contains(&(name.to_owned(), value.to_owned())), "{name}");
        }
    }

    #[test]
    fn an_answer_is_a_session_or_nothing() {
        let answer = json!({"id": "cs_1", "url": "https://checkout.stripe.com/c/pay/cs_1",
            "payment_intent": null, "expires_at": 1_700_086_400});
        let opened = Stripe.opened(&answer, now()).unwrap();
        assert_eq!((&*opened.session_id, &*opened.provider_payment_id), ("cs_1", ""));
        assert_eq!(opened.expires_at.millis(), 1_700_086_400_000);
        assert_eq!(Stripe.opened(&json!({"error": {"message": "no"}}), now()), None);
    }

    #[test]
    fn a_session_can_be_ended() {
        let close =
            |id: &str| set().terms(|terms| Stripe.close(terms, id)).map(|request| request.url);
        let url = "https://api.stripe.com/v1/checkout/sessions/cs_1/expire";
        assert_eq!(close("cs_1").as_deref(), Some(url));
        assert_eq!(close("../charges"), None);
        assert_eq!(close(""), None);
    }

    #[test]
    fn a_session_is_paid_when_stripe_says_so() {
        for kind in ["checkout.session.completed", "checkout.session.async_payment_succeeded"] {
            let paid = event(kind, session("paid"));
            assert_eq!(paid.what, What::Paid(Some(usd(2500))));
            assert_eq!(paid.refs, refs(["pay_1", "topup_1", "cs_1", "pi_1", ""]));
            assert_eq!(paid.is_live, Some(false));
            assert_eq!(event(kind, session("unpaid")).what, What::Other);
        }
    }

    #[test]
    fn every_event_of_a_payment_has_its_meaning() {
        let failed = event("checkout.session.async_payment_failed", session("unpaid"));
        assert_eq!(failed.what, What::Failed { reason: None });
        assert_eq!(event("checkout.session.expired", session("unpaid")).what, What::Expired);
        let declined = event(
            "payment_intent.payment_failed",
            json!({"id": "pi_1", "metadata": {"payment_id": "pay_1"},
                "last_payment_error": {"message": "Your card was declined."}}),
        );
        assert_eq!(
            declined.what,
            What::Declined { reason: Some("Your card was declined.".to_owned()) }
        );
        assert_eq!(declined.refs, refs(["pay_1", "", "", "pi_1", ""]));
        let refunded = event(
            "charge.refunded",
            json!({"id": "ch_1", "payment_intent": "pi_1", "amount_refunded": 500, "currency": "usd"}),
        );
        assert_eq!(refunded.what, What::RefundedInAll { money: usd(500) });
        assert_eq!(refunded.refs, refs(["", "", "", "pi_1", ""]));
        let dispute = |kind: &str, status: &str| {
            event(
                kind,
                json!({"id": "dp_1", "payment_intent": "pi_1", "amount": 2500, "currency": "usd",
                    "status": status}),
            )
            .what
        };
        let dispute_id = || "dp_1".to_owned();
        assert_eq!(
            dispute("charge.dispute.created", "needs_response"),
            What::Disputed { dispute_id: dispute_id(), money: Some(usd(2500)) }
        );
        for (status, what) in [
            ("won", What::DisputeClosed { dispute_id: dispute_id(), is_won: true }),
            ("lost", What::DisputeClosed { dispute_id: dispute_id(), is_won: false }),
            ("under_review", What::Other),
        ] {
            assert_eq!(dispute("charge.dispute.closed", status), what);
        }
        assert_eq!(event("customer.created", json!({"id": "cus_1"})).what, What::Other);
    }

    #[test]
    fn only_signed_events_of_now_count() {
        let body = r#"{"id":"evt_1","type":"ping"}"#;
        let verify = |set: &Set, header: &str| {
            let headers = headers(&[("stripe-signature", header)]);
            set.terms(|terms| Stripe.event(terms, &headers, body.as_bytes())).map(|_| ())
        };
        let at = now().seconds();
        assert_eq!(verify(&set(), &header(SECRET, at, body)), Ok(()));
        let wrong = Err(SignatureError::Wrong.into());
        assert_eq!(verify(&set(), &header("other", at, body)), wrong);
        assert_eq!(verify(&Set::new(&[]), &header("", at, body)), wrong, "no secret, no event");
        let stale = Err(SignatureError::Stale.into());
        assert_eq!(verify(&set(), &header(SECRET, at - 301, body)), stale);
        let two = Set::new(&[("STRIPE_WEBHOOK_SECRET", "whsec_new,whsec_demo")]);
        assert_eq!(verify(&two, &header(SECRET, at, body)), Ok(()));
    }

    #[test]
    fn keys_of_the_other_mode_are_an_obstacle() {
        let obstacle = |key: &str, live: bool| {
            let set = Set::new(&[("STRIPE_SECRET_KEY", key), ("STRIPE_WEBHOOK_SECRET", SECRET)]);
            set.live(live).terms(|terms| Stripe.obstacle(terms))
        };
        assert_eq!([obstacle("sk_live_1", true), obstacle("sk_test_1", false)], [None, None]);
        let wrong = Some(Obstacle::WrongMode);
        assert_eq!([obstacle("rk_test_1", true), obstacle("sk_live_1", false)], [wrong, wrong]);
        let missing = Set::new(&[("STRIPE_SECRET_KEY", "sk_live_1")]);
        let obstacle = missing.live(true).terms(|terms| Stripe.obstacle(terms));
        assert_eq!(obstacle, Some(Obstacle::NotConfigured));
    }
}
