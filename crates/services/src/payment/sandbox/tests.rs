//! What is played is what the service understands.

use std::time::Duration;

use downcity_core::Secret;
use downcity_testkit::RSA_KEY_OF_NOBODY;
use http::{HeaderMap, HeaderName, HeaderValue};
use serde_json::{Value, json};

use super::*;
use crate::payment::providers::tests::{Set, now, refs, sale, usd};
use crate::payment::providers::{Event, Prepared, Refused, Sale, What, provider};

const SECRET: &str = "whsec_MDEyMzQ1Njc4OWFiY2RlZjAxMjM0NTY3";

fn key() -> PrivateKey {
    PrivateKey::parse(RSA_KEY_OF_NOBODY).unwrap()
}

fn signer(vendor: Vendor) -> Signer {
    match vendor {
        Vendor::Waffo => Signer::Key(Box::new(key())),
        _ => Signer::secret(SECRET),
    }
}

fn sold() -> Sold {
    Sold {
        payment_id: "pay_1".to_owned(),
        topup_id: "topup_1".to_owned(),
        user_id: "ann".to_owned(),
        session_id: "cs_pay_1".to_owned(),
        minor: 2500,
        currency: "usd".to_owned(),
        is_live: true,
    }
}

fn headers(pairs: &[(&'static str, String)]) -> HeaderMap {
    let pair = |(name, value): &(&'static str, String)| {
        (HeaderName::from_static(name), HeaderValue::from_str(value).unwrap())
    };
    pairs.iter().map(pair).collect()
}

fn understood(vendor: Vendor, delivery: &Delivery) -> Result<Event, Refused> {
    let headers = headers(&delivery.headers);
    let provider = provider(vendor.id()).unwrap();
    set().terms(|terms| provider.event(terms, &headers, &delivery.body))
}

fn set() -> Set {
    let public = key().public_pem();
    Set::new(&[
        ("STRIPE_SECRET_KEY", "key"),
        ("CREEM_API_KEY", "key"),
        ("CREEM_PRODUCT_ID", "prod_1"),
        ("DODO_PAYMENTS_API_KEY", "key"),
        ("DODO_PRODUCT_ID", "pdt_1"),
        ("WAFFO_MERCHANT_ID", "MER_1"),
        ("WAFFO_PRIVATE_KEY", RSA_KEY_OF_NOBODY),
        ("WAFFO_PRODUCT_ID", "PROD_1"),
        ("STRIPE_WEBHOOK_SECRET", SECRET),
        ("CREEM_WEBHOOK_SECRET", SECRET),
        ("DODO_WEBHOOK_KEY", SECRET),
        ("WAFFO_WEBHOOK_PUBLIC_KEY", &public),
    ])
}

#[test]
fn events_are_understood() {
    let money = Some(usd(2500));
    let refund = What::Refunded { refund_id: "re_1".to_owned(), money: Some(usd(500)) };
    let closed = |is_won| What::DisputeClosed { dispute_id: "dp_1".to_owned(), is_won };
    let disputed = |money| What::Disputed { dispute_id: "dp_1".to_owned(), money };
    let failed = What::Failed { reason: None };
    let absent = || None;
    for (moment, stripe, creem, dodo, waffo) in [
        (
            Moment::Paid { minor: 2500, currency: "usd".to_owned() },
            Some(What::Paid(money.clone())),
            Some(What::Paid(money.clone())),
            Some(What::Paid(money.clone())),
            Some(What::Paid(money.clone())),
        ),
        (Moment::Expired, Some(What::Expired), Some(What::Expired), absent(), absent()),
        (Moment::Failed, Some(failed.clone()), Some(failed.clone()), Some(failed), absent()),
        (
            Moment::Refunded { refund_id: "re_1".to_owned(), minor: 500 },
            Some(What::RefundedInAll { money: usd(500) }),
            Some(refund.clone()),
            Some(refund.clone()),
            Some(refund),
        ),
        (
            Moment::Disputed { dispute_id: "dp_1".to_owned() },
            Some(disputed(money.clone())),
            Some(disputed(money)),
            Some(disputed(None)),
            absent(),
        ),
        (
            Moment::DisputeClosed { dispute_id: "dp_1".to_owned(), is_won: true },
            Some(closed(true)),
            absent(),
            Some(closed(true)),
            absent(),
        ),
        (
            Moment::DisputeClosed { dispute_id: "dp_1".to_owned(), is_won: false },
            Some(closed(false)),
            absent(),
            Some(closed(false)),
            absent(),
        ),
        (
            Moment::Unrelated,
            Some(What::Other),
            Some(What::Other),
            Some(What::Other),
            Some(What::Other),
        ),
    ] {
        for (vendor, expected) in Vendor::ALL.into_iter().zip([stripe, creem, dodo, waffo]) {
            let draft = vendor.draft("evt_1", &moment, &sold(), now());
            let event = draft.map(|draft| {
                let delivery = draft.signed(&signer(vendor), now()).unwrap();
                understood(vendor, &delivery).unwrap()
            });
            assert_eq!(
                event.as_ref().map(|event| &event.what),
                expected.as_ref(),
                "{vendor:?} {moment:?}"
            );
            assert!(event.is_none_or(|event| event.event_id == "evt_1"));
        }
    }
}

#[test]
fn payments_are_named_as_the_providers_name_them() {
    let paid = Moment::Paid { minor: 2500, currency: "usd".to_owned() };
    for (vendor, expected) in [
        (Vendor::Stripe, ["pay_1", "topup_1", "cs_pay_1", "pi_cs_pay_1", ""]),
        (Vendor::Creem, ["pay_1", "topup_1", "cs_pay_1", "", "ord_cs_pay_1"]),
        (Vendor::Dodo, ["pay_1", "topup_1", "cs_pay_1", "pi_cs_pay_1", ""]),
        (Vendor::Waffo, ["pay_1", "topup_1", "", "pi_cs_pay_1", "ord_cs_pay_1"]),
    ] {
        let draft = vendor.draft("evt_1", &paid, &sold(), now()).unwrap();
        let delivery = draft.signed(&signer(vendor), now()).unwrap();
        let event = understood(vendor, &delivery).unwrap();
        assert_eq!(event.refs, refs(expected), "{vendor:?}");
    }
}

#[test]
fn a_signer_of_another_kind_signs_nothing() {
    for vendor in Vendor::ALL {
        let draft = vendor.draft("evt_1", &Moment::Unrelated, &sold(), now()).unwrap();
        let other = match vendor {
            Vendor::Waffo => Signer::secret(SECRET),
            _ => Signer::Key(Box::new(key())),
        };
        assert_eq!(draft.signed(&other, now()).map(|_| ()), Err(KeyError::Kind));
        assert_eq!(Vendor::of(vendor.id()), Some(vendor));
    }
}

fn request(vendor: Vendor, sale: &Sale) -> Prepared {
    set().terms(|terms| provider(vendor.id()).unwrap().checkout(terms, sale)).unwrap()
}

fn ask(account: &Account, request: &Prepared) -> Answered {
    let mut pairs = request.headers.clone();
    pairs.push(("content-type", request.content_type.to_owned()));
    let path = request.url.split_once("//").and_then(|(_, rest)| rest.split_once('/')).unwrap().1;
    account.answer(&format!("POST /base/{path}"), &headers(&pairs), &request.body, now())
}

#[test]
fn checkouts_are_opened_for_those_who_ask_rightly() {
    let cheap = Sale { price: usd(49), ..sale() };
    for (vendor, other_key) in
        [(Vendor::Stripe, 401), (Vendor::Creem, 403), (Vendor::Dodo, 401), (Vendor::Waffo, 401)]
    {
        let credential = match vendor {
            Vendor::Waffo => key().public_pem(),
            _ => "key".to_owned(),
        };
        let account = Account::new(vendor, Secret::new(credential), false);
        let (status, answer) = ask(&account, &request(vendor, &sale()));
        assert_eq!(status, 200, "{vendor:?} {answer}");
        let opened = provider(vendor.id()).unwrap().opened(&answer, now()).unwrap();
        assert_eq!(opened.session_id, "cs_pay_1", "{vendor:?}");
        let stranger = Account::new(vendor, Secret::new("other"), false);
        assert_eq!(ask(&stranger, &request(vendor, &sale())).0, other_key, "{vendor:?}");
        if matches!(vendor, Vendor::Stripe | Vendor::Creem) {
            assert_eq!(ask(&account, &request(vendor, &cheap)).0, 400, "{vendor:?}");
        }
    }
}

#[test]
fn waffo_opens_checkouts_for_what_was_signed_just_now() {
    let account = Account::new(Vendor::Waffo, Secret::new(key().public_pem()), false);
    let stale = set().at(now().saturating_sub(Duration::from_secs(301)));
    let waffo = provider("waffo").unwrap();
    let stale = stale.terms(|terms| waffo.checkout(terms, &sale())).unwrap();
    assert_eq!(ask(&account, &stale).0, 401);
    let mut changed = request(Vendor::Waffo, &sale());
    changed.body.push(b' ');
    assert_eq!(ask(&account, &changed).0, 401);
}

#[test]
fn stripe_opens_finds_and_ends_checkouts() {
    let account = Account::new(Vendor::Stripe, Secret::new("sk_test_1"), false);
    let ask = |credential: &str, target: &str, form: &[(&str, &str)]| {
        let body = form_urlencoded::Serializer::new(String::new()).extend_pairs(form).finish();
        let headers = headers(&[
            ("authorization", format!("Bearer {credential}")),
            ("content-type", "application/x-www-form-urlencoded".to_owned()),
        ]);
        account.answer(target, &headers, body.as_bytes(), now())
    };
    let form = |minor| {
        [
            ("mode", "payment"),
            ("success_url", "https://fed.example.com/done"),
            ("cancel_url", "https://fed.example.com/canceled"),
            ("metadata[payment_id]", "pay_1"),
            ("line_items[0][quantity]", "1"),
            ("line_items[0][price_data][currency]", "usd"),
            ("line_items[0][price_data][unit_amount]", minor),
            ("line_items[0][price_data][product_data][name]", "Credits"),
        ]
    };
    let open = "POST /v1/checkout/sessions";
    let (status, session) = ask("sk_test_1", open, &form("2500"));
    assert_eq!(
        (status, &session["id"], &session["amount_total"]),
        (200, &json!("cs_pay_1"), &json!(2500))
    );
    assert_eq!(ask("sk_test_2", open, &form("2500")).0, 401);
    assert_eq!(ask("sk_test_1", open, &form("49")).0, 400);
    assert_eq!(ask("sk_test_1", open, &form("25.00")).0, 400);
    assert_eq!(ask("sk_test_1", open, &form("2500")[..5]).0, 400);
    let state = |target: &str| -> Value { ask("sk_test_1", target, &[]).1["status"].clone() };
    assert_eq!(state("GET /v1/checkout/sessions/cs_pay_1"), "open");
    assert_eq!(state("POST /v1/checkout/sessions/cs_pay_1/expire"), "expired");
    assert_eq!(ask("sk_test_1", "GET /v1/charges", &[]).0, 404);
}
