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
use super::{Event, Money, Obstacle, Opened, Prepared, Provider, Refs, Refused, Sale, Terms, What};
use crate::payment::signature::rsa::{PrivateKey, PublicKey};
use crate::payment::signature::{SignatureError, Stamped, check_age, hmac};

const BASE: &str = "https://api.waffo.ai";
const CHECKOUT: &str = "/v1/actions/checkout/create-session";
/// Waffo's own public key of its test mode, and that of production.
const TEST_KEY: &str = include_str!("test_public_key.pem");
const LIVE_KEY: &str = include_str!("prod_public_key.pem");
/// How long a session is open when the answer does not say.
const OPEN_FOR: Duration = Duration::from_mins(45);
/// How Waffo taxes credits.
const TAX_CATEGORY: &str = "digital_goods";

/// Waffo Pancake.
#[derive(Debug)]
pub(crate) struct Waffo;

impl Provider for Waffo {
    fn id(&self) -> &'static str {
        "waffo"
    }

    fn label(&self) -> &'static str {
        "Waffo Pancake"
    }

    fn env(&self) -> &'static [(&'static str, &'static str)] {
        &[
            (
                "WAFFO_MERCHANT_ID",
                "The merchant, MER_ and 22 characters; needed for Waffo Pancake.",
            ),
            (
                "WAFFO_PRIVATE_KEY",
                "The merchant's RSA key, PEM or base64, that signs requests; needed for Waffo Pancake.",
            ),
            (
                "WAFFO_PRODUCT_ID",
                "The product that Waffo Pancake sells, PROD_ and 22 characters; needed for it.",
            ),
            (
                "WAFFO_WEBHOOK_PUBLIC_KEY",
                "Verifies webhooks in place of Waffo's own public key of the mode. Several, separated by commas, while one is replaced.",
            ),
            (
                "WAFFO_ENVIRONMENT",
                "prod or test; where it is set, it has to agree with payment.mode.",
            ),
            ("WAFFO_CURRENCY", "The currency of its checkouts; usd unless set."),
            ("WAFFO_API_BASE_URL", "Where its API is; https://api.waffo.ai unless set."),
        ]
    }

    fn webhook_headers(&self) -> &'static [&'static str] {
        &["x-waffo-signature"]
    }

    fn currency_key(&self) -> &'static str {
        "WAFFO_CURRENCY"
    }

    fn obstacle(&self, terms: &Terms<'_>) -> Option<Obstacle> {
        if !terms.has(&["WAFFO_MERCHANT_ID", "WAFFO_PRIVATE_KEY", "WAFFO_PRODUCT_ID"]) {
            return Some(Obstacle::NotConfigured);
        }
        if !self.can_verify(terms) || PrivateKey::parse(&terms.text("WAFFO_PRIVATE_KEY")).is_err() {
            return Some(Obstacle::NotSupported);
        }
        let environment = match &*terms.text("WAFFO_ENVIRONMENT") {
            "" => terms.is_live(),
            "prod" | "production" | "live" => true,
            "test" => false,
            _ => return Some(Obstacle::NotSupported),
        };
        (environment != terms.is_live()).then_some(Obstacle::WrongMode)
    }

    /// Signed for this second.
    fn checkout(&self, terms: &Terms<'_>, sale: &Sale) -> Result<Prepared, String> {
        let url = format!("{}{CHECKOUT}", terms.base("WAFFO_API_BASE_URL", BASE)?);
        let merchant_id = terms.text("WAFFO_MERCHANT_ID");
        let body = json!({
            "productId": terms.text("WAFFO_PRODUCT_ID"),
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
        let (text, seconds) = (body.to_string(), terms.now.seconds());
        let signature = PrivateKey::parse(&terms.text("WAFFO_PRIVATE_KEY"))
            .and_then(|key| key.sign(&canonical(seconds, &text)))
            .map_err(|error| format!("WAFFO_PRIVATE_KEY: {error}"))?;
        let headers = vec![
            ("x-timestamp", seconds.to_string()),
            ("x-signature", signature),
            ("x-idempotency-key", idempotency_key(&merchant_id, &text, seconds)),
            ("x-merchant-id", merchant_id),
        ];
        Ok(Prepared::json(url, headers, &body))
    }

    fn opened(&self, answer: &Value, now: Timestamp) -> Option<Opened> {
        Some(Opened {
            session_id: owned(answer, &["/data/sessionId"])?,
            provider_payment_id: String::new(),
            checkout_url: owned(answer, &["/data/checkoutUrl"])?,
            expires_at: time(answer, &["/data/expiresAt"]).unwrap_or(now.saturating_add(OPEN_FOR)),
        })
    }

    fn can_verify(&self, terms: &Terms<'_>) -> bool {
        !public_keys(terms).is_empty()
    }

    fn event(&self, terms: &Terms<'_>, headers: &HeaderMap, body: &[u8]) -> Result<Event, Refused> {
        let header = headers.get("x-waffo-signature").ok_or(SignatureError::Missing)?;
        let stamped = Stamped::parse(header.to_str().map_err(|_| SignatureError::Malformed)?)?;
        let is_signed =
            public_keys(terms).iter().any(|key| key.verify_stamped(&stamped, body).is_ok());
        if !is_signed {
            return Err(SignatureError::Wrong.into());
        }
        // The time is in milliseconds.
        check_age(Some(stamped.at), terms.now, terms.tolerance())?;
        let event: Value = serde_json::from_slice(body).map_err(|_| Refused::Unreadable)?;
        read(&event, &|currency| terms.digits(currency)).ok_or(Refused::Unreadable)
    }
}

/// The keys that verify webhooks: those that are set, else Waffo's own of the mode.
fn public_keys(terms: &Terms<'_>) -> Vec<PublicKey> {
    let own = if terms.is_live() { LIVE_KEY } else { TEST_KEY };
    let set = (terms.env)("WAFFO_WEBHOOK_PUBLIC_KEY");
    let text = set.as_ref().map_or(own, |set| set.expose());
    hmac::secrets(text).filter_map(|key| PublicKey::parse(key).ok()).collect()
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
        ("refund.succeeded", _) => match refund_id(event, &refs) {
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

/// The id of a refund: that of the event's object, unless it is the payment's or the order's, which several
/// refunds share; then that of the message, which is the same whenever it is sent again.
fn refund_id(event: &Value, refs: &Refs) -> Option<String> {
    let of_all = [&refs.provider_payment_id, &refs.order_id, &refs.payment_id];
    owned(event, &["/eventId"])
        .filter(|id| of_all.iter().all(|shared| shared.as_ref() != Some(id)))
        .or_else(|| owned(event, &["/id"]))
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
    use crate::payment::providers::tests::{Set, headers, now, refs, sale, usd};
    use crate::payment::signature::rsa::tests::fingerprint;

    fn key() -> PrivateKey {
        PrivateKey::parse(RSA_KEY_OF_NOBODY).unwrap()
    }

    fn signed(at: i64, body: &str) -> HeaderMap {
        let signature = key().sign(format!("{at}.{body}").as_bytes()).unwrap();
        headers(&[("x-waffo-signature", &format!("t={at},v1={signature}"))])
    }

    fn set(keys: Option<&str>) -> Set {
        let mut env = vec![
            ("WAFFO_MERCHANT_ID", "MER_1"),
            ("WAFFO_PRIVATE_KEY", RSA_KEY_OF_NOBODY),
            ("WAFFO_PRODUCT_ID", "PROD_1"),
        ];
        env.extend(keys.map(|keys| ("WAFFO_WEBHOOK_PUBLIC_KEY", keys)));
        Set::new(&env)
    }

    fn verify(keys: Option<&str>, at: i64, body: &str) -> Result<Event, Refused> {
        set(keys).terms(|terms| Waffo.event(terms, &signed(at, body), body.as_bytes()))
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
            assert!(PublicKey::parse(key).is_ok());
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
        let request = set(None).terms(|terms| Waffo.checkout(terms, &sale())).unwrap();
        assert_eq!(request.url, format!("{BASE}{CHECKOUT}"));
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
        let bad = Set::new(&[("WAFFO_PRIVATE_KEY", "no key")]);
        let bad = bad.terms(|terms| Waffo.checkout(terms, &sale())).map(|_| ());
        assert_eq!(bad.unwrap_err(), "WAFFO_PRIVATE_KEY: The key is neither PEM nor base64.");
    }

    #[test]
    fn an_answer_is_a_session_or_nothing() {
        let answer = json!({"data": {"sessionId": "cs_1", "checkoutUrl": "https://pay.waffo.ai/cs_1",
            "expiresAt": "2023-11-14T23:00:00Z"}});
        let session = Waffo.opened(&answer, now()).unwrap();
        assert_eq!(
            (&*session.session_id, &*session.checkout_url),
            ("cs_1", "https://pay.waffo.ai/cs_1")
        );
        assert_eq!(session.expires_at.millis(), 1_700_002_800_000);
        let bare =
            json!({"data": {"sessionId": "cs_1", "checkoutUrl": "https://pay.waffo.ai/cs_1"}});
        assert_eq!(
            Waffo.opened(&bare, now()).unwrap().expires_at.millis() - now().millis(),
            45 * 60_000
        );
        let errors =
            json!({"data": null, "errors": [{"message": "no such product", "layer": "product"}]});
        assert_eq!(Waffo.opened(&errors, now()), None);
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
        // Several refunds of a payment are told apart also where their messages name the payment alone.
        let refunded =
            |id: &str| What::Refunded { refund_id: id.to_owned(), money: Some(usd(2500)) };
        assert_eq!(parse("refund.succeeded", &order).what, refunded("6f1b"));
        let mut other = order.clone();
        other["paymentId"] = json!("PAY_2");
        assert_eq!(parse("refund.succeeded", &other).what, refunded("PAY_1"));
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
        let none = set(None).terms(|terms| Waffo.event(terms, &HeaderMap::new(), b""));
        assert_eq!(none, Err(SignatureError::Missing.into()));
    }

    #[test]
    fn settings_have_to_be_usable_and_of_the_mode() {
        let obstacle = |key: &str, value: &str, live: bool| {
            let mut env = vec![
                ("WAFFO_MERCHANT_ID", "MER_1"),
                ("WAFFO_PRIVATE_KEY", RSA_KEY_OF_NOBODY),
                ("WAFFO_PRODUCT_ID", "PROD_1"),
            ];
            env.retain(|(known, _)| *known != key);
            let key = ["WAFFO_ENVIRONMENT", "WAFFO_PRIVATE_KEY", "WAFFO_WEBHOOK_PUBLIC_KEY"]
                .into_iter()
                .find(|known| *known == key)
                .unwrap();
            env.push((key, value));
            Set::new(&env).live(live).terms(|terms| Waffo.obstacle(terms))
        };
        assert_eq!(obstacle("WAFFO_ENVIRONMENT", "production", true), None);
        assert_eq!(obstacle("WAFFO_ENVIRONMENT", "test", false), None);
        assert_eq!(obstacle("WAFFO_ENVIRONMENT", "prod", false), Some(Obstacle::WrongMode));
        assert_eq!(obstacle("WAFFO_ENVIRONMENT", "dev", false), Some(Obstacle::NotSupported));
        assert_eq!(obstacle("WAFFO_PRIVATE_KEY", "no key", true), Some(Obstacle::NotSupported));
        let bad = obstacle("WAFFO_WEBHOOK_PUBLIC_KEY", "no key", true);
        assert_eq!(bad, Some(Obstacle::NotSupported));
    }
}
