//! What the providers' requests, answers and events mean. Everything in here is a pure function; who sends, stores
//! and credits is the rest of the service.

pub(super) mod creem;
pub(super) mod dodo;
pub(super) mod fields;
pub(super) mod waffo;

use downcity_types::Timestamp;

use super::signature::SignatureError;

/// A sum of real money.
#[derive(Clone, Debug, PartialEq, Eq)]
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

/// A request that is ready to be sent. `path` begins with `/` and joins the base URL of the provider.
#[derive(Debug)]
pub(crate) struct Prepared {
    pub(crate) path: &'static str,
    pub(crate) headers: Vec<(&'static str, String)>,
    pub(crate) body: Vec<u8>,
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
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Event {
    pub(crate) event_id: String,
    pub(crate) kind: String,
    /// `None` where the provider does not say; then its secret and base URL alone tell the modes apart.
    pub(crate) is_live: Option<bool>,
    pub(crate) refs: Refs,
    pub(crate) what: What,
}

/// By what an event names its payment.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Refs {
    pub(crate) payment_id: Option<String>,
    pub(crate) topup_id: Option<String>,
    pub(crate) session_id: Option<String>,
    pub(crate) provider_payment_id: Option<String>,
    pub(crate) order_id: Option<String>,
}

/// What an event says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum What {
    /// Paid. `None`: the event does not say how much.
    Paid(Option<Money>),
    Expired,
    Failed {
        reason: Option<String>,
    },
    Canceled,
    /// Money went back. `None`: all of it.
    Refunded {
        refund_id: String,
        money: Option<Money>,
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
pub(super) mod tests {
    use http::{HeaderMap, HeaderName, HeaderValue};

    use super::*;

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
}
