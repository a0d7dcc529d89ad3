//! Waffo Pancake: checkout sessions of one-time products, with a price of their own and requests that are signed.
//!
//! The two public keys beside this file are those that Waffo signs its webhooks with, as its own library
//! (`@waffo/pancake-ts` 0.16.1) ships them: one for tests, one for production.

use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use downcity_types::Timestamp;
use http::HeaderMap;
use serde_json::{Value, json};
use sha2::{Digest as _, Sha256};

use super::fields::{display, minor, owned, text, time};
use super::{Event, Money, Opened, Prepared, Refs, Refused, Sale, What};
use crate::payment::signature::rsa::{KeyError, PrivateKey, PublicKey};
use crate::payment::signature::{SignatureError, Stamped, check_age, hmac};

/// Where Waffo is, in both modes.
pub(crate) const BASE: &str = "https://api.waffo.ai";
const CHECKOUT: &str = "/v1/actions/checkout/create-session";
/// Waffo's own public key of its test mode, and that of production.
const TEST_KEY: &str = include_str!("test_public_key.pem");
const LIVE_KEY: &str = include_str!("prod_public_key.pem");
/// How long a session is open when the answer does not say.
const OPEN_FOR: Duration = Duration::from_mins(45);
/// How Waffo taxes credits.
const TAX_CATEGORY: &str = "digital_goods";

/// The request that opens a session, signed for this second.
///
/// # Errors
/// [`KeyError`] when the private key cannot be used.
pub(crate) fn checkout(
    merchant_id: &str,
    private_key: &str,
    product_id: &str,
    sale: &Sale,
    now: Timestamp,
) -> Result<Prepared, KeyError> {
    let body = json!({
        "productId": product_id,
        "currency": sale.price.currency.to_ascii_uppercase(),
        "priceSnapshot": {
            "amount": display(sale.price.minor, sale.digits),
            "taxCategory": TAX_CATEGORY,
        },
        "successUrl": sale.success_url,
        "orderMerchantExternalId": sale.payment_id,
        "metadata": {
            "payment_id": sale.payment_id,
            "topup_id": sale.topup_id,
            "user_id": sale.user_id,
        },
    });
    let (body, seconds) = (body.to_string(), now.seconds());
    let signature = PrivateKey::parse(private_key)?.sign(&canonical(seconds, &body))?;
    let headers = vec![
        ("x-merchant-id", merchant_id.to_owned()),
        ("x-timestamp", seconds.to_string()),
        ("x-signature", signature),
        ("x-idempotency-key", idempotency_key(merchant_id, &body, seconds)),
    ];
    Ok(Prepared { path: CHECKOUT, headers, body: body.into_bytes() })
}

/// What a request's signature covers.
fn canonical(seconds: i64, body: &str) -> Vec<u8> {
    let hash = STANDARD.encode(Sha256::digest(body));
    format!("POST\n{CHECKOUT}\n{seconds}\n{hash}").into_bytes()
}

/// The same for equal requests of one minute.
fn idempotency_key(merchant_id: &str, body: &str, seconds: i64) -> String {
    use std::fmt::Write as _;
    let minute = seconds.div_euclid(60);
    let digest = Sha256::digest(format!("{merchant_id}:{CHECKOUT}:{body}:{minute}"));
    digest.iter().fold(String::new(), |mut text, byte| {
        let _ = write!(text, "{byte:02x}");
        text
    })
}

/// What the answer says; `None` when it is no session.
pub(crate) fn opened(answer: &Value, now: Timestamp) -> Option<Opened> {
    Some(Opened {
        session_id: owned(answer, &["/data/sessionId"])?,
        provider_payment_id: String::new(),
        checkout_url: owned(answer, &["/data/checkoutUrl"])?,
        expires_at: time(answer, &["/data/expiresAt"]).unwrap_or(now.saturating_add(OPEN_FOR)),
    })
}

/// Verifies a webhook and reads its event. `keys` are public keys separated by commas; without any, Waffo's own
/// key of the mode counts. `digits` says how many digits a currency (lower case) has behind the point.
///
/// # Errors
/// [`Refused`].
pub(crate) fn event(
    keys: Option<&str>,
    is_live: bool,
    headers: &HeaderMap,
    body: &[u8],
    now: Timestamp,
    tolerance: Duration,
    digits: &dyn Fn(&str) -> u32,
) -> Result<Event, Refused> {
    let header = headers.get("x-waffo-signature").ok_or(SignatureError::Missing)?;
    let stamped = Stamped::parse(header.to_str().map_err(|_| SignatureError::Malformed)?)?;
    let own = if is_live { LIVE_KEY } else { TEST_KEY };
    let is_signed = hmac::secrets(keys.unwrap_or(own))
        .filter_map(|key| PublicKey::parse(key).ok())
        .any(|key| key.verify_stamped(&stamped, body).is_ok());
    if !is_signed {
        return Err(SignatureError::Wrong.into());
    }
    // The time is in milliseconds.
    check_age(Some(stamped.at), now, tolerance)?;
    let event: Value = serde_json::from_slice(body).map_err(|_| Refused::Unreadable)?;
    read(&event, digits).ok_or(Refused::Unreadable)
}

/// Whether a public key can be read.
pub(crate) fn is_public_key(text: &str) -> bool {
    PublicKey::parse(text).is_ok()
}

fn read(event: &Value, digits: &dyn Fn(&str) -> u32) -> Option<Event> {
    let kind = owned(event, &["/eventType"])?;
    let data = event.get("data").unwrap_or(&Value::Null);
    let refs = Refs {
        payment_id: owned(data, &["/orderMerchantExternalId", "/orderMetadata/payment_id"]),
        topup_id: owned(data, &["/orderMetadata/topup_id"]),
        session_id: None,
        provider_payment_id: owned(data, &["/paymentId"]),
        order_id: owned(data, &["/orderId"]),
    };
    let what = match (&*kind, text(data, &["/paymentStatus"])) {
        // Some of Waffo's taxes come on top: the total is what was paid.
        ("order.completed", Some("succeeded") | None) => {
            What::Paid(money(data, &["/total", "/amount"], digits))
        }
        // The order's amounts stand beside the refund's, which is `amount`.
        ("refund.succeeded", _) => match owned(event, &["/eventId", "/id"]) {
            Some(refund_id) => {
                What::Refunded { refund_id, money: money(data, &["/amount"], digits) }
            }
            None => What::Other,
        },
        _ => What::Other,
    };
    Some(Event {
        event_id: owned(event, &["/id", "/eventId"])?,
        is_live: text(event, &["/mode"]).map(|mode| mode == "prod"),
        kind,
        refs,
        what,
    })
}

fn money(data: &Value, amounts: &[&str], digits: &dyn Fn(&str) -> u32) -> Option<Money> {
    let currency = text(data, &["/currency"])?.to_ascii_lowercase();
    let minor = minor(text(data, amounts)?, digits(&currency))?;
    Some(Money { minor, currency })
}

#[cfg(test)]
mod tests {
    use downcity_testkit::RSA_KEY_OF_NOBODY;

    use super::*;
    use crate::payment::providers::tests::{headers, now, refs, sale, usd};
    use crate::payment::signature::rsa::tests::fingerprint;

    const TOLERANCE: Duration = Duration::from_secs(300);

    fn key() -> PrivateKey {
        PrivateKey::parse(RSA_KEY_OF_NOBODY).unwrap()
    }

    fn signed(at: i64, body: &str) -> HeaderMap {
        let signature = key().sign(format!("{at}.{body}").as_bytes()).unwrap();
        headers(&[("x-waffo-signature", &format!("t={at},v1={signature}"))])
    }

    fn verify(keys: Option<&str>, at: i64, body: &str) -> Result<Event, Refused> {
        event(keys, true, &signed(at, body), body.as_bytes(), now(), TOLERANCE, &|_| 2)
    }

    fn parse(kind: &str, data: &Value) -> Event {
        let body = json!({"id": "6f1b", "timestamp": "2023-11-14T22:13:20Z", "eventType": kind,
            "eventId": "PAY_1", "storeId": "STO_1", "mode": "test", "data": data})
        .to_string();
        verify(Some(&key().public_pem()), now().millis(), &body).unwrap()
    }

    #[test]
    fn the_keys_of_waffo_are_its_own() {
        for (key, expected) in [
            (TEST_KEY, "e39c3c78806dfc0f56b6debfb1fad650fa341fc671a4fb4900e8e263bbdf914b"),
            (LIVE_KEY, "24c177484bca4ab317da97af17b41276123f11950582d3639ad5868ce3d591ee"),
        ] {
            assert_eq!(fingerprint(key), expected);
            assert!(is_public_key(key));
        }
    }

    #[test]
    fn a_request_is_signed_and_keyed_as_waffo_does_it() {
        let body = r#"{"productId":"PROD_x"}"#;
        let canonical = String::from_utf8(canonical(1_700_000_000, body)).unwrap();
        assert_eq!(
            canonical,
            "POST\n/v1/actions/checkout/create-session\n1700000000\nZ40psMQrdsS8IKtmdJJHDLQ0y8fpwSUf+u3Ni2wRCfA="
        );
        assert_eq!(
            idempotency_key("MER_x", body, 1_700_000_000),
            "8978f499fddb661e7f9260650110c6c30fa39d91b2b034d70dba4230bdeebad2"
        );
    }

    #[test]
    fn a_session_sets_its_price() {
        let request = checkout("MER_1", RSA_KEY_OF_NOBODY, "PROD_1", &sale(), now()).unwrap();
        assert_eq!(request.path, CHECKOUT);
        let text = std::str::from_utf8(&request.body).unwrap();
        let body: Value = serde_json::from_str(text).unwrap();
        assert_eq!(
            body,
            json!({"productId": "PROD_1", "currency": "USD",
                "priceSnapshot": {"amount": "25.00", "taxCategory": "digital_goods"},
                "successUrl": "https://fed.example.com/done", "orderMerchantExternalId": "pay_1",
                "metadata": {"payment_id": "pay_1", "topup_id": "topup_1", "user_id": "ann"}})
        );
        let signature = key().sign(&canonical(1_700_000_000, text)).unwrap();
        for pair in [
            ("x-merchant-id", "MER_1"),
            ("x-timestamp", "1700000000"),
            ("x-signature", &*signature),
        ] {
            assert!(request.headers.contains(&(pair.0, pair.1.to_owned())), "{pair:?}");
        }
        let bad = checkout("MER_1", "no key", "PROD_1", &sale(), now()).map(|_| ());
        assert_eq!(bad, Err(KeyError::Encoding));
    }

    #[test]
    fn an_answer_is_a_session_or_nothing() {
        let answer = json!({"data": {"sessionId": "cs_1", "checkoutUrl": "https://pay.waffo.ai/cs_1",
            "expiresAt": "2023-11-14T23:00:00Z"}});
        let session = opened(&answer, now()).unwrap();
        assert_eq!(
            (&*session.session_id, &*session.checkout_url),
            ("cs_1", "https://pay.waffo.ai/cs_1")
        );
        assert_eq!(session.expires_at.millis(), 1_700_002_800_000);
        let bare =
            json!({"data": {"sessionId": "cs_1", "checkoutUrl": "https://pay.waffo.ai/cs_1"}});
        assert_eq!(opened(&bare, now()).unwrap().expires_at.millis() - now().millis(), 45 * 60_000);
        let errors =
            json!({"data": null, "errors": [{"message": "no such product", "layer": "product"}]});
        assert_eq!(opened(&errors, now()), None);
    }

    #[test]
    fn an_order_is_paid_with_its_total() {
        let order = json!({"orderId": "ORD_1", "orderStatus": "completed", "currency": "USD",
            "buyerEmail": "ann@example.com", "orderMerchantExternalId": "pay_1", "amount": "25.00",
            "taxAmount": "2.50", "total": "27.50", "subtotal": "25.00", "paymentId": "PAY_1",
            "paymentStatus": "succeeded", "orderMetadata": {"topup_id": "topup_1"}});
        let paid = parse("order.completed", &order);
        assert_eq!((&*paid.event_id, paid.is_live), ("6f1b", Some(false)));
        assert_eq!(paid.what, What::Paid(Some(usd(2750))));
        assert_eq!(paid.refs, refs(["pay_1", "topup_1", "", "PAY_1", "ORD_1"]));
        let mut bare = order.clone();
        bare.as_object_mut().unwrap().retain(|name, _| name != "total" && name != "paymentStatus");
        assert_eq!(parse("order.completed", &bare).what, What::Paid(Some(usd(2500))));
        let mut failed = order.clone();
        failed["paymentStatus"] = json!("failed");
        assert_eq!(parse("order.completed", &failed).what, What::Other);
        let refunded = What::Refunded { refund_id: "PAY_1".to_owned(), money: Some(usd(2500)) };
        assert_eq!(parse("refund.succeeded", &order).what, refunded);
        for kind in ["refund.failed", "subscription.activated", "order.created"] {
            assert_eq!(parse(kind, &order).what, What::Other);
        }
    }

    #[test]
    fn only_what_the_right_key_signed_just_now_counts() {
        let body = r#"{"id":"1","eventType":"order.completed","data":{}}"#;
        let own = key().public_pem();
        let at = now().millis();
        let wrong = Err(SignatureError::Wrong.into());
        assert!(verify(Some(&own), at, body).is_ok());
        assert!(verify(Some(&format!("{LIVE_KEY},{own}")), at, body).is_ok(), "one of two keys");
        assert_eq!(verify(Some(LIVE_KEY), at, body), wrong);
        assert_eq!(verify(None, at, body), wrong, "not signed by Waffo");
        assert_eq!(verify(Some("no key"), at, body), wrong);
        let stale = Err(SignatureError::Stale.into());
        assert_eq!(verify(Some(&own), at - 300_001, body), stale);
        assert_eq!(verify(Some(&own), at + 300_001, body), stale);
        assert_eq!(verify(Some(&own), now().seconds(), body), stale, "seconds are no milliseconds");
        assert_eq!(verify(Some(&own), at, "{}"), Err(Refused::Unreadable));
        let none = event(None, true, &HeaderMap::new(), b"", now(), TOLERANCE, &|_| 2);
        assert_eq!(none, Err(SignatureError::Missing.into()));
    }
}
