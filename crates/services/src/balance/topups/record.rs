//! What callers see of a top-up.

use downcity_core::{Error, Result};
use downcity_types::{Microcredits, Timestamp};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::balance::amount::credits_text;

/// Microcredits in a US cent: one credit is one US dollar.
pub const PER_CENT: i64 = Microcredits::PER_CREDIT / 100;

/// Where a top-up stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum TopupStatus {
    /// Nothing is paid yet.
    Pending,
    /// It is paid and credited, for good.
    Paid,
    /// It is given up, or was not paid in time.
    Canceled,
}

impl TopupStatus {
    /// The status as it stands on the wire and in the database.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Pending => "pending",
            Self::Paid => "paid",
            Self::Canceled => "canceled",
        }
    }

    /// The status of a text.
    ///
    /// # Errors
    /// 400 for any other text.
    pub fn parse(text: &str) -> Result<Self> {
        [Self::Pending, Self::Paid, Self::Canceled]
            .into_iter()
            .find(|status| status.as_str() == text)
            .ok_or_else(|| Error::invalid("status", "must be one of: pending, paid, canceled"))
    }
}

/// A purchase of credits: pending until it is paid or given up.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Topup {
    /// Unique id.
    pub topup_id: String,
    /// Whose wallet it is for.
    pub user_id: String,
    /// The city in which it was made.
    pub city_id: String,
    /// How much, in microcredits.
    pub amount: Microcredits,
    /// The unit of `amount`: always `microcredits`.
    pub unit: String,
    /// The same amount in credits.
    pub amount_credits: String,
    /// The same amount in US cents, which is what is paid.
    pub amount_usd_cents: i64,
    /// Where it stands.
    pub status: TopupStatus,
    /// A remark.
    pub note: String,
    /// A reference to something outside, such as a payment.
    #[serde(rename = "ref")]
    pub reference: String,
    /// Further facts, as JSON text. What the user gave stands under `user`.
    pub metadata_json: String,
    /// When it is canceled unless it is paid before.
    pub expires_at: Timestamp,
    /// When it was made.
    pub created_at: Timestamp,
    /// When it last changed.
    pub updated_at: Timestamp,
}

/// A top-up as it is stored.
#[derive(Clone, Debug)]
pub(super) struct Stored {
    pub(super) topup_id: String,
    pub(super) scope: String,
    pub(super) user_id: String,
    pub(super) city_id: String,
    pub(super) amount: i64,
    pub(super) status: TopupStatus,
    pub(super) note: String,
    pub(super) reference: String,
    pub(super) metadata: String,
    pub(super) is_expired: bool,
    pub(super) expires_at: i64,
    pub(super) created_at: i64,
    pub(super) updated_at: i64,
}

impl Stored {
    /// The record that callers see.
    pub(super) fn into_record(self) -> Topup {
        let amount = Microcredits(self.amount);
        Topup {
            topup_id: self.topup_id,
            user_id: self.user_id,
            city_id: self.city_id,
            amount,
            unit: "microcredits".to_owned(),
            amount_credits: credits_text(amount),
            amount_usd_cents: self.amount / PER_CENT,
            status: self.status,
            note: self.note,
            reference: self.reference,
            metadata_json: self.metadata,
            expires_at: Timestamp::from_millis(self.expires_at),
            created_at: Timestamp::from_millis(self.created_at),
            updated_at: Timestamp::from_millis(self.updated_at),
        }
    }
}
