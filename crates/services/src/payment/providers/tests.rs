//! What the tests of the providers share.

use std::collections::BTreeMap;

use http::{HeaderMap, HeaderName, HeaderValue};

use super::*;
use crate::payment::config::PaymentMode;

/// Settings, and terms under them.
pub(in crate::payment) struct Set {
    env: BTreeMap<&'static str, String>,
    pub(in crate::payment) config: PaymentConfig,
    pub(in crate::payment) now: Timestamp,
}

impl Set {
    /// These settings in test mode.
    pub(in crate::payment) fn new(env: &[(&'static str, &str)]) -> Self {
        let env = env.iter().map(|(key, value)| (*key, (*value).to_owned())).collect();
        let config = PaymentConfig { mode: PaymentMode::Test, ..PaymentConfig::default() };
        Self { env, config, now: now() }
    }

    pub(in crate::payment) fn live(mut self, is_live: bool) -> Self {
        self.config.mode = if is_live { PaymentMode::Live } else { PaymentMode::Test };
        self
    }

    pub(in crate::payment) fn at(mut self, now: Timestamp) -> Self {
        self.now = now;
        self
    }

    pub(in crate::payment) fn terms<T>(&self, work: impl FnOnce(&Terms<'_>) -> T) -> T {
        let env = |key: &str| self.env.get(key).map(|value| Secret::new(value.clone()));
        work(&Terms { env: &env, config: &self.config, now: self.now })
    }
}

pub(in crate::payment) fn now() -> Timestamp {
    Timestamp::from_millis(1_700_000_000_000)
}

pub(in crate::payment) fn headers(pairs: &[(&'static str, &str)]) -> HeaderMap {
    let pair = |(name, value): &(&'static str, &str)| {
        (HeaderName::from_static(name), HeaderValue::from_str(value).unwrap())
    };
    pairs.iter().map(pair).collect()
}

pub(in crate::payment) fn usd(minor: i64) -> Money {
    Money { minor, currency: "usd".to_owned() }
}

pub(in crate::payment) fn sale() -> Sale {
    Sale {
        payment_id: "pay_1".to_owned(),
        topup_id: "topup_1".to_owned(),
        user_id: "ann".to_owned(),
        price: usd(2500),
        digits: 2,
        success_url: "https://fed.example.com/done".to_owned(),
        cancel_url: "https://fed.example.com/canceled".to_owned(),
    }
}

/// Payment, top-up, session, the provider's payment and its order; empty ones are absent.
pub(in crate::payment) fn refs(ids: [&str; 5]) -> Refs {
    let [payment_id, topup_id, session_id, provider_payment_id, order_id] =
        ids.map(|id| (!id.is_empty()).then(|| id.to_owned()));
    Refs { payment_id, topup_id, session_id, provider_payment_id, order_id }
}

#[test]
fn ids_are_unique_and_every_provider_has_its_webhook_secret_among_its_settings() {
    let ids: Vec<_> = PROVIDERS.iter().map(|provider| provider.id()).collect();
    assert_eq!(ids, ["stripe", "creem", "dodo", "waffo"]);
    for one in PROVIDERS {
        assert_eq!(provider(one.id()).map(Provider::label), Some(one.label()));
        assert!(one.env().iter().any(|(key, _)| key.contains("WEBHOOK")), "{}", one.id());
        assert!(one.env().iter().any(|(key, _)| *key == one.currency_key()), "{}", one.id());
        let nothing = Set::new(&[]);
        assert_eq!(nothing.terms(|terms| one.obstacle(terms)), Some(Obstacle::NotConfigured));
    }
    assert!(provider("paypal").is_none());
}

#[test]
fn an_address_of_an_api_has_to_be_safe() {
    let url = |base: &str, loose| {
        let mut set = Set::new(&[("STRIPE_API_BASE_URL", base)]);
        set.config.allow_loopback_http = loose;
        set.terms(|terms| Stripe.checkout(terms, &sale())).map(|request| request.url)
    };
    let local = "http://127.0.0.1:4010/v1/";
    assert_eq!(url(local, true).unwrap(), "http://127.0.0.1:4010/v1/checkout/sessions");
    assert!(url(local, false).unwrap_err().contains("STRIPE_API_BASE_URL"));
    assert!(url("http://api.example.com", true).is_err());
}

#[test]
fn a_currency_is_usd_or_configured() {
    let mut set = Set::new(&[("STRIPE_CURRENCY", "JPY")]);
    let of = |set: &Set, key: &str| set.terms(|terms| terms.currency(key));
    assert_eq!(of(&set, "STRIPE_CURRENCY"), ("jpy".to_owned(), None));
    let usd = Tariff { digits: 2, minor_per_credit: 100 };
    assert_eq!(of(&set, "CREEM_CURRENCY"), ("usd".to_owned(), Some(usd)));
    let yen = crate::payment::config::CurrencyConfig {
        code: "jpy".to_owned(),
        digits: 0,
        minor_per_credit: 150,
    };
    set.config.currency.push(yen);
    let yen = Tariff { digits: 0, minor_per_credit: 150 };
    assert_eq!(of(&set, "STRIPE_CURRENCY"), ("jpy".to_owned(), Some(yen)));
}
