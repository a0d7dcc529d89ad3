//! Payment providers behind one trait: what their requests, answers and events mean.
//!
//! Everything in here is a pure function of settings, bytes and the time; who sends, stores and credits is the
//! rest of the service.

pub(super) mod creem;
pub(super) mod dodo;
pub(super) mod fields;
pub(super) mod stripe;
pub(super) mod waffo;

use std::time::Duration;

use downcity_core::{Secret, Snapshot};
use downcity_types::Timestamp;
use http::HeaderMap;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::config::PaymentConfig;
use super::signature::SignatureError;
use crate::http::base_url;

pub(crate) use creem::Creem;
pub(crate) use dodo::Dodo;
pub(crate) use stripe::Stripe;
pub(crate) use waffo::Waffo;

/// All providers, in the order in which methods are listed.
pub(crate) static PROVIDERS: [&dyn Provider; 4] = [&Stripe, &Creem, &Dodo, &Waffo];

/// The provider of this id.
pub(crate) fn provider(id: &str) -> Option<&'static dyn Provider> {
    PROVIDERS.into_iter().find(|provider| provider.id() == id)
}

/// A payment provider.
pub(crate) trait Provider: Send + Sync {
    /// Its id, and the `method_id` of its payment method.
    fn id(&self) -> &'static str;

    /// The name that people see.
    fn label(&self) -> &'static str;

    /// Its env keys and what they are for.
    fn env(&self) -> &'static [(&'static str, &'static str)];

    /// Headers that only its webhooks have.
    fn webhook_headers(&self) -> &'static [&'static str];

    /// The env key of its currency.
    fn currency_key(&self) -> &'static str;

    /// Why it cannot be used, if it cannot.
    fn obstacle(&self, terms: &Terms<'_>) -> Option<Obstacle>;

    /// The request that opens a checkout.
    ///
    /// # Errors
    /// What is wrong with the settings, for the log.
    fn checkout(&self, terms: &Terms<'_>, sale: &Sale) -> Result<Prepared, String>;

    /// What the answer to a checkout says; `None` when it is none.
    fn opened(&self, answer: &Value, now: Timestamp) -> Option<Opened>;

    /// The request that ends an open checkout, where the provider knows one.
    fn close(&self, terms: &Terms<'_>, session_id: &str) -> Option<Prepared> {
        let _ = (terms, session_id);
        None
    }

    /// Prices that it takes, in the smallest unit of the currency.
    fn prices(&self) -> std::ops::RangeInclusive<i64> {
        1..=99_999_999
    }

    /// Whether webhooks can be verified: without a secret none is believed.
    fn can_verify(&self, terms: &Terms<'_>) -> bool;

    /// Verifies a webhook and reads its event.
    ///
    /// # Errors
    /// [`Refused`].
    fn event(&self, terms: &Terms<'_>, headers: &HeaderMap, body: &[u8]) -> Result<Event, Refused>;
}

/// Why a provider cannot be used.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Obstacle {
    /// A setting is missing.
    NotConfigured,
    /// Settings are there, but something in them cannot be used.
    NotSupported,
    /// Its keys are those of the other mode.
    WrongMode,
}

impl Obstacle {
    /// The `reason` of a payment method.
    pub(crate) const fn as_str(self) -> &'static str {
        match self {
            Self::NotConfigured => "not_configured",
            Self::NotSupported => "not_supported",
            Self::WrongMode => "wrong_mode",
        }
    }
}

/// Under which terms providers are used: settings and the time.
pub(crate) struct Terms<'a> {
    pub(crate) env: &'a dyn Fn(&str) -> Option<Secret>,
    pub(crate) config: &'a PaymentConfig,
    pub(crate) now: Timestamp,
}

/// The settings of a snapshot.
pub(crate) fn env_of(snapshot: &Snapshot) -> impl Fn(&str) -> Option<Secret> {
    |key| snapshot.env().get(key).filter(|value| !value.expose().trim().is_empty())
}

impl Terms<'_> {
    fn is_live(&self) -> bool {
        self.config.is_live()
    }

    fn tolerance(&self) -> Duration {
        self.config.signature_tolerance.get()
    }

    fn has(&self, keys: &[&str]) -> bool {
        keys.iter().all(|key| (self.env)(key).is_some())
    }

    fn text(&self, key: &str) -> String {
        (self.env)(key).map(|value| value.expose().trim().to_owned()).unwrap_or_default()
    }

    /// The address of an API: what is set, else this.
    fn base(&self, key: &str, own: &str) -> Result<String, String> {
        match (self.env)(key) {
            None => Ok(own.to_owned()),
            Some(set) => base_url(set.expose(), self.config.allow_loopback_http)
                .map_err(|wrong| format!("{key} {wrong}")),
        }
    }

    /// The currency that a provider sells in, and what a credit costs in it; `None` for one that is not
    /// configured.
    pub(crate) fn currency(&self, key: &str) -> (String, Option<Tariff>) {
        let code = match self.text(key).to_ascii_lowercase() {
            empty if empty.is_empty() => "usd".to_owned(),
            code => code,
        };
        let tariff = self.tariff(&code);
        (code, tariff)
    }

    fn tariff(&self, code: &str) -> Option<Tariff> {
        if code == "usd" {
            return Some(Tariff { digits: 2, minor_per_credit: 100 });
        }
        let found = self.config.currency.iter().find(|currency| currency.code == code)?;
        Some(Tariff { digits: found.digits, minor_per_credit: i64::from(found.minor_per_credit) })
    }

    /// Digits of a currency behind the point; most have two.
    fn digits(&self, code: &str) -> u32 {
        self.tariff(code).map_or(2, |tariff| tariff.digits)
    }
}

/// What a credit costs in a currency.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Tariff {
    /// Digits behind the point.
    pub(crate) digits: u32,
    /// In the smallest unit.
    pub(crate) minor_per_credit: i64,
}

/// A sum of real money.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Money {
    /// In the smallest unit of the currency: cents of USD.
    pub(crate) minor: i64,
    /// ISO 4217 in lower case.
    pub(crate) currency: String,
}

impl Money {
    fn of(minor: Option<i64>, currency: Option<&str>) -> Option<Self> {
        Some(Self { minor: minor?, currency: currency?.to_ascii_lowercase() })
    }
}

/// A checkout that is to be opened.
#[derive(Clone, Debug)]
pub(crate) struct Sale {
    pub(crate) payment_id: String,
    pub(crate) topup_id: String,
    pub(crate) user_id: String,
    pub(crate) price: Money,
    /// The digits of the currency behind the point: 2 for USD.
    pub(crate) digits: u32,
    pub(crate) success_url: String,
    pub(crate) cancel_url: String,
}

/// A request that is ready to be sent by POST.
pub(crate) struct Prepared {
    pub(crate) url: String,
    pub(crate) headers: Vec<(&'static str, String)>,
    pub(crate) content_type: &'static str,
    pub(crate) body: Vec<u8>,
}

impl Prepared {
    fn json(url: String, headers: Vec<(&'static str, String)>, body: &Value) -> Self {
        Self { url, headers, content_type: "application/json", body: body.to_string().into_bytes() }
    }
}

impl std::fmt::Debug for Prepared {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        // Headers hold keys.
        f.debug_struct("Prepared").field("url", &self.url).finish_non_exhaustive()
    }
}

/// A checkout that the provider has opened.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Opened {
    pub(crate) session_id: String,
    pub(crate) provider_payment_id: String,
    pub(crate) checkout_url: String,
    pub(crate) expires_at: Timestamp,
}

/// A verified event.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Event {
    /// The provider's id of the event.
    pub(crate) event_id: String,
    pub(crate) kind: String,
    /// `None` where the provider does not say; then its secret and base URL alone tell the modes apart.
    pub(crate) is_live: Option<bool>,
    pub(crate) refs: Refs,
    pub(crate) what: What,
}

/// By what an event names its payment.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Refs {
    pub(crate) payment_id: Option<String>,
    pub(crate) topup_id: Option<String>,
    pub(crate) session_id: Option<String>,
    pub(crate) provider_payment_id: Option<String>,
    pub(crate) order_id: Option<String>,
}

/// What an event says.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum What {
    /// Paid. `None`: the event does not say how much.
    Paid(Option<Money>),
    Expired,
    Failed {
        reason: Option<String>,
    },
    Canceled,
    /// An attempt to pay failed; the checkout is open still.
    Declined {
        reason: Option<String>,
    },
    /// Money went back. `None`: all of it.
    Refunded {
        refund_id: String,
        money: Option<Money>,
    },
    /// So much of the payment has gone back by now.
    RefundedInAll {
        money: Money,
    },
    /// The buyer asks for the money back through the bank. `None`: all of it.
    Disputed {
        dispute_id: String,
        money: Option<Money>,
    },
    /// A dispute is over.
    DisputeClosed {
        dispute_id: String,
        is_won: bool,
    },
    /// Nothing that matters here.
    Other,
}

/// Why a webhook is refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum Refused {
    #[error(transparent)]
    Signature(#[from] SignatureError),
    #[error("The event cannot be read.")]
    Unreadable,
}

#[cfg(test)]
mod fuzz;
#[cfg(test)]
pub(super) mod tests;
