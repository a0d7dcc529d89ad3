//! What has to hold for any bytes that come to a webhook: targets for fuzzers, run by tests.

use downcity_fuzz::check;
use downcity_testkit::RSA_KEY_OF_NOBODY;
use downcity_types::Timestamp;
use http::{HeaderMap, HeaderValue};

use super::tests::{Set, headers, now};
use super::{Creem, Dodo, Event, Money, PROVIDERS, Provider as _, Refused, Stripe, Waffo, What};
use crate::payment::sign::{self, PrivateKey};
use crate::payment::signature::Stamped;
use crate::payment::signature::rsa::PublicKey;

const SECRET: &str = "whsec_MDEyMzQ1Njc4OWFiY2RlZjAxMjM0NTY3";

fn set() -> Set {
    Set::new(&[
        ("STRIPE_WEBHOOK_SECRET", SECRET),
        ("CREEM_WEBHOOK_SECRET", SECRET),
        ("DODO_WEBHOOK_KEY", SECRET),
    ])
}

const BODIES: &[&str] = &[
    r#"{"id":"evt_1","type":"checkout.session.completed","livemode":false,"data":{"object":{"id":"cs_1","amount_total":2500,"currency":"usd","payment_status":"paid","payment_intent":"pi_1","metadata":{"payment_id":"pay_1"}}}}"#,
    r#"{"id":"evt_1","eventType":"checkout.completed","object":{"id":"ch_1","request_id":"pay_1","mode":"test","order":{"id":"ord_1","amount":2500,"amount_paid":2500,"currency":"USD","status":"paid"},"metadata":{"payment_id":"pay_1"}}}"#,
    r#"{"id":"evt_2","eventType":"refund.created","object":{"id":"ref_1","status":"succeeded","refund_amount":1000,"refund_currency":"USD","order":"ord_1"}}"#,
    r#"{"business_id":"b","type":"payment.succeeded","timestamp":"2023-11-14T22:13:20Z","data":{"payment_id":"p","total_amount":2500,"currency":"USD","metadata":{"payment_id":"pay_1"}}}"#,
    r#"{"type":"refund.succeeded","data":{"refund_id":"r","payment_id":"p","amount":-5,"currency":"USD"}}"#,
    r#"{"id":"6f1b","eventType":"order.completed","eventId":"PAY_1","mode":"prod","data":{"orderId":"ORD_1","amount":"25.00","total":"27.50","currency":"USD"}}"#,
];

/// An event that was read names itself, and sums of money have a currency.
fn is_sound(event: &Event) {
    assert!(!event.event_id.is_empty() && !event.kind.is_empty());
    if let What::Paid(Some(Money { currency, .. })) = &event.what {
        assert!(!currency.is_empty());
        assert_eq!(*currency, currency.to_ascii_lowercase());
    }
}

/// Signed bytes are an event or unreadable; the same bytes with another signature are neither.
fn bodies(body: &[u8]) {
    let sound = |event: Result<Event, Refused>| match event {
        Ok(event) => is_sound(&event),
        Err(refused) => assert_eq!(refused, Refused::Unreadable),
    };
    let forged = |event: Result<Event, Refused>| {
        assert!(matches!(event, Err(Refused::Signature(_))), "{event:?}");
    };
    let stripe = |key: &str| {
        let time = now().seconds().to_string();
        let signature = sign::hex(key, &[time.as_bytes(), b".", body]);
        let headers = headers(&[("stripe-signature", &format!("t={time},v1={signature}"))]);
        set().terms(|terms| Stripe.event(terms, &headers, body))
    };
    sound(stripe(SECRET));
    forged(stripe("other"));
    let creem = |key: &str| {
        let headers = headers(&[("creem-signature", &sign::hex(key, &[body]))]);
        set().terms(|terms| Creem.event(terms, &headers, body))
    };
    sound(creem(SECRET));
    forged(creem("other"));
    let dodo = |key: &str| {
        let signature = sign::standard(key, "msg_1", now().seconds(), body).unwrap();
        let headers = headers(&[
            ("webhook-id", "msg_1"),
            ("webhook-timestamp", &now().seconds().to_string()),
            ("webhook-signature", &signature),
        ]);
        set().terms(|terms| Dodo.event(terms, &headers, body))
    };
    sound(dodo(SECRET));
    forged(dodo("whsec_b3RoZXI="));
}

/// The same for Waffo, whose signatures take longer to make.
fn waffo_bodies(body: &[u8]) {
    let key = PrivateKey::parse(RSA_KEY_OF_NOBODY).unwrap();
    let at = now().millis();
    let signature = key.sign(&[format!("{at}.").as_bytes(), body].concat()).unwrap();
    let headers = headers(&[("x-waffo-signature", &format!("t={at},v1={signature}"))]);
    let verify = |keys: Option<&str>| {
        let env: Vec<_> = keys.map(|keys| ("WAFFO_WEBHOOK_PUBLIC_KEY", keys)).into_iter().collect();
        Set::new(&env).terms(|terms| Waffo.event(terms, &headers, body))
    };
    match verify(Some(&key.public_pem())) {
        Ok(event) => is_sound(&event),
        Err(refused) => assert_eq!(refused, Refused::Unreadable),
    }
    assert!(matches!(verify(None), Err(Refused::Signature(_))));
}

/// Whatever the headers say, bytes that nobody signed are no event.
fn signatures(header: &[u8]) {
    let Ok(value) = HeaderValue::from_bytes(header) else { return };
    let mut headers = HeaderMap::new();
    for name in [
        "creem-signature",
        "x-waffo-signature",
        "webhook-id",
        "webhook-timestamp",
        "webhook-signature",
    ] {
        headers.insert(name, value.clone());
    }
    for provider in PROVIDERS {
        let event = set().terms(|terms| provider.event(terms, &headers, BODIES[0].as_bytes()));
        assert!(matches!(event, Err(Refused::Signature(_))), "{event:?}");
    }
    if let Ok(text) = value.to_str()
        && let Ok(stamped) = Stamped::parse(text)
    {
        assert!(stamped.at >= 0 && !stamped.signatures.is_empty());
        assert!(text.contains(stamped.time));
    }
}

/// Any text is a key or none, also as the setting of a key.
fn keys(text: &[u8]) {
    let text = String::from_utf8_lossy(text);
    let _ = PrivateKey::parse(&text);
    if let Ok(key) = PublicKey::parse(&text) {
        let stamped = Stamped::parse("t=1,v1=AAAA").unwrap();
        assert!(key.verify_stamped(&stamped, b"").is_err());
    }
    let set = Set::new(&[("WAFFO_WEBHOOK_PUBLIC_KEY", &text)]).at(Timestamp::from_millis(0));
    let headers = headers(&[("x-waffo-signature", "t=0,v1=AAAA")]);
    let event = set.terms(|terms| Waffo.event(terms, &headers, b"{}"));
    assert!(matches!(event, Err(Refused::Signature(_))));
}

#[test]
fn bodies_of_webhooks() {
    check(BODIES, bodies);
}

#[test]
fn bodies_of_waffo() {
    check(&BODIES[5..], waffo_bodies);
}

#[test]
fn signatures_of_webhooks() {
    let standard = sign::standard(SECRET, "msg_1", 1, b"{}").unwrap();
    check(
        &["t=1700000000,v1=abcd,v1=ef", "dd2ff5a5", &*standard, "t=1,t=2,v1=", "1700000000"],
        signatures,
    );
}

#[test]
fn keys_of_rsa() {
    let pem = PrivateKey::parse(RSA_KEY_OF_NOBODY).unwrap().public_pem();
    check(
        &[RSA_KEY_OF_NOBODY, &*pem, "-----BEGIN PUBLIC KEY-----\nMIIB\n-----END PUBLIC KEY-----"],
        keys,
    );
}
