//! Payments: how they are stored, and what callers see of them.

use downcity_core::{Error, Result};
use downcity_types::{Microcredits, Timestamp};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::json;

/// Where a payment stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum PaymentStatus {
    /// Its checkout is being opened.
    Creating,
    /// Its checkout is open.
    Pending,
    /// It is paid and credited.
    Paid,
    /// Money came that does not fit; an administrator has to look.
    Review,
    /// All of it went back.
    Refunded,
    /// The buyer disputes it.
    Disputed,
    /// Its checkout was left alone for too long.
    Expired,
    /// It failed.
    Failed,
    /// It was given up.
    Canceled,
}

impl PaymentStatus {
    const ALL: [Self; 9] = [
        Self::Creating,
        Self::Pending,
        Self::Paid,
        Self::Review,
        Self::Refunded,
        Self::Disputed,
        Self::Expired,
        Self::Failed,
        Self::Canceled,
    ];

    /// The status as it stands on the wire and in the database.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Creating => "creating",
            Self::Pending => "pending",
            Self::Paid => "paid",
            Self::Review => "review",
            Self::Refunded => "refunded",
            Self::Disputed => "disputed",
            Self::Expired => "expired",
            Self::Failed => "failed",
            Self::Canceled => "canceled",
        }
    }

    /// The status of a text.
    ///
    /// # Errors
    /// 400 for any other text.
    pub(super) fn parse(text: &str) -> Result<Self> {
        Self::ALL.into_iter().find(|status| status.as_str() == text).ok_or_else(|| {
            let known: Vec<_> = Self::ALL.iter().map(|status| status.as_str()).collect();
            Error::invalid("status", format!("must be one of: {}", known.join(", ")))
        })
    }

    /// Whether its checkout is open, or being opened.
    pub(super) const fn is_open(self) -> bool {
        matches!(self, Self::Creating | Self::Pending)
    }
}

/// A payment as it is stored.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Stored {
    pub(super) payment_id: String,
    pub(super) provider: String,
    pub(super) topup_id: String,
    pub(super) city_id: String,
    pub(super) user_id: String,
    pub(super) opening_until: i64,
    pub(super) session_id: String,
    pub(super) provider_payment_id: String,
    pub(super) order_id: String,
    pub(super) amount: i64,
    pub(super) minor: i64,
    pub(super) currency: String,
    pub(super) paid_minor: i64,
    pub(super) paid_currency: String,
    pub(super) refunded_minor: i64,
    pub(super) refunded: i64,
    pub(super) credited_topup_id: String,
    pub(super) status: PaymentStatus,
    pub(super) checkout_url: String,
    pub(super) is_live: bool,
    pub(super) last_error: String,
    pub(super) expires_at: i64,
    pub(super) created_at: i64,
    pub(super) updated_at: i64,
}

impl Stored {
    /// What makes an open payment the only one of its provider and top-up.
    pub(super) fn open_key(&self) -> Option<String> {
        self.status.is_open().then(|| format!("{}:{}", self.provider, self.topup_id))
    }

    /// Whether its credits were given out.
    pub(super) fn is_credited(&self) -> bool {
        !self.credited_topup_id.is_empty()
    }

    pub(super) fn into_checkout(self) -> Checkout {
        Checkout {
            payment_id: self.payment_id,
            provider: self.provider,
            topup_id: self.topup_id,
            provider_session_id: self.session_id,
            provider_payment_id: self.provider_payment_id,
            provider_order_id: self.order_id,
            checkout_url: self.checkout_url,
            status: self.status,
            amount_minor: self.minor,
            currency: self.currency,
            test: !self.is_live,
            expires_at: Timestamp::from_millis(self.expires_at),
        }
    }

    pub(super) fn into_own(self) -> OwnPayment {
        OwnPayment {
            amount: Microcredits(self.amount),
            refunded: Microcredits(self.refunded),
            user_id: self.user_id.clone(),
            created_at: Timestamp::from_millis(self.created_at),
            updated_at: Timestamp::from_millis(self.updated_at),
            checkout: self.into_checkout(),
        }
    }

    pub(super) fn into_record(self) -> Payment {
        let metadata =
            json!({"provider": self.provider, "note": format!("{} topup", self.provider)});
        Payment {
            city_id: self.city_id.clone(),
            paid_minor: self.paid_minor,
            paid_currency: self.paid_currency.clone(),
            refunded_minor: self.refunded_minor,
            credited_topup_id: self.credited_topup_id.clone(),
            last_error: self.last_error.clone(),
            metadata_json: metadata.to_string(),
            own: self.into_own(),
        }
    }
}

/// A checkout: where the user pays.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Checkout {
    /// Unique id.
    pub payment_id: String,
    /// The provider: `stripe`, `creem`, `dodo` or `waffo`.
    pub provider: String,
    /// What is paid for.
    pub topup_id: String,
    /// The provider's id of the checkout; empty while unknown, as the next two.
    pub provider_session_id: String,
    /// The provider's id of the payment.
    pub provider_payment_id: String,
    /// The provider's id of the order.
    pub provider_order_id: String,
    /// The page to send the user to.
    pub checkout_url: String,
    /// Where the payment stands.
    pub status: PaymentStatus,
    /// The price, in the smallest unit of the currency: cents of USD.
    pub amount_minor: i64,
    /// ISO 4217 in lower case.
    pub currency: String,
    /// Whether no real money moves.
    pub test: bool,
    /// When the checkout ends unless it is paid before.
    pub expires_at: Timestamp,
}

/// A payment as its user sees it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct OwnPayment {
    /// The checkout.
    #[serde(flatten)]
    pub checkout: Checkout,
    /// Who pays.
    pub user_id: String,
    /// What is bought, in microcredits (1 credit = 1,000,000).
    pub amount: Microcredits,
    /// What of it was given back, in microcredits.
    pub refunded: Microcredits,
    /// When it was made.
    pub created_at: Timestamp,
    /// When it last changed.
    pub updated_at: Timestamp,
}

/// A payment as the trusted side sees it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub(super) struct Payment {
    /// The payment as its user sees it.
    #[serde(flatten)]
    pub own: OwnPayment,
    /// The city in which it was made.
    pub city_id: String,
    /// What was paid, in the smallest unit; 0 before.
    pub paid_minor: i64,
    /// In which currency; empty before.
    pub paid_currency: String,
    /// What went back, in the smallest unit.
    pub refunded_minor: i64,
    /// The top-up that was credited: another than `topup_id` where that was paid already. Empty before.
    pub credited_topup_id: String,
    /// What went wrong last; empty where nothing did.
    pub last_error: String,
    /// Further facts, as JSON text.
    pub metadata_json: String,
}

/// A way to pay.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, JsonSchema)]
pub struct Method {
    /// Its id, for `method_id`.
    pub id: &'static str,
    /// Always `checkout`.
    #[serde(rename = "type")]
    pub kind: &'static str,
    /// Whether it can be used.
    pub enabled: bool,
    /// What people see.
    pub label: &'static str,
    /// The service that sells.
    pub service: &'static str,
    /// The action that opens a checkout.
    pub action: &'static str,
    /// Always `true`.
    pub requires_user: bool,
    /// ISO 4217 in lower case.
    pub currency: String,
    /// Why it cannot be used: `not_configured`, `not_supported` (a currency or setting that is not
    /// known) or `wrong_mode` (keys of the other mode).
    #[serde(skip_serializing_if = "Option::is_none")]
    pub reason: Option<&'static str>,
    /// Whether no real money moves.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub test: bool,
}
