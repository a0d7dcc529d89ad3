//! What callers see of a redeem code.

use downcity_core::{Error, Result};
use downcity_types::{Microcredits, Timestamp};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize, Serializer};

use crate::balance::amount::credits_text;

/// Where a redeem code stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum CodeStatus {
    /// It can be redeemed, unless `expires_at` has passed.
    Active,
    /// All of its uses are used up.
    Redeemed,
    /// It was taken back.
    Disabled,
}

impl CodeStatus {
    /// The status as it stands on the wire and in the database.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Active => "active",
            Self::Redeemed => "redeemed",
            Self::Disabled => "disabled",
        }
    }

    /// The status of a text.
    ///
    /// # Errors
    /// 400 for any other text.
    pub fn parse(text: &str) -> Result<Self> {
        [Self::Active, Self::Redeemed, Self::Disabled]
            .into_iter()
            .find(|status| status.as_str() == text)
            .ok_or_else(|| Error::invalid("status", "must be one of: active, redeemed, disabled"))
    }
}

/// A code that credits whoever redeems it. The code itself is not part of it: it is shown once, by
/// the answer that made it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct RedeemCode {
    /// Unique id.
    pub redeem_code_id: String,
    /// How much each use credits, in microcredits.
    pub amount: Microcredits,
    /// The unit of `amount`: always `microcredits`.
    pub unit: String,
    /// The same amount in credits.
    pub amount_credits: String,
    /// Where it stands.
    pub status: CodeStatus,
    /// Its ends, by which people tell codes apart.
    pub code_mask: String,
    /// A remark.
    pub note: String,
    /// A reference to something outside.
    #[serde(rename = "ref")]
    pub reference: String,
    /// Further facts, as JSON text. What the one who redeemed it gave stands under `user`.
    pub metadata_json: String,
    /// The city whose users may redeem it; empty for users of every city.
    pub city_id: String,
    /// Shared by codes that were made together; empty for one that was made alone.
    pub batch_id: String,
    /// How often it was redeemed.
    pub uses: i64,
    /// How often it can be redeemed.
    pub max_uses: i64,
    /// How often one user can redeem it.
    pub max_uses_per_user: i64,
    /// When it can be redeemed no more.
    pub expires_at: Option<Timestamp>,
    /// When the credits end that it gives.
    pub credits_expire_at: Option<Timestamp>,
    /// How many seconds after it was redeemed the credits end.
    pub credits_expire_after: Option<i64>,
    /// The last user who redeemed it; empty while nobody has.
    pub redeemed_by_user_id: String,
    /// When it was redeemed last; an empty text while it was not.
    #[serde(serialize_with = "time_or_empty", deserialize_with = "empty_or_time")]
    #[schemars(with = "String")]
    pub redeemed_at: Option<Timestamp>,
    /// When it was made.
    pub created_at: Timestamp,
    /// When it last changed.
    pub updated_at: Timestamp,
}

fn time_or_empty<S: Serializer>(time: &Option<Timestamp>, to: S) -> Result<S::Ok, S::Error> {
    match time {
        Some(time) => time.serialize(to),
        None => to.serialize_str(""),
    }
}

fn empty_or_time<'de, D: serde::Deserializer<'de>>(from: D) -> Result<Option<Timestamp>, D::Error> {
    let text = String::deserialize(from)?;
    if text.is_empty() {
        return Ok(None);
    }
    text.parse().map(Some).map_err(serde::de::Error::custom)
}

/// A redeem code as it is stored.
#[derive(Clone, Debug)]
pub(super) struct Stored {
    pub(super) redeem_code_id: String,
    pub(super) code_hash: String,
    pub(super) code_mask: String,
    pub(super) amount: i64,
    pub(super) status: CodeStatus,
    pub(super) note: String,
    pub(super) reference: String,
    pub(super) metadata: String,
    pub(super) city_id: String,
    pub(super) batch_id: String,
    pub(super) uses: i64,
    pub(super) max_uses: i64,
    pub(super) max_uses_per_user: i64,
    pub(super) expires_at: Option<i64>,
    pub(super) credits_expire_at: Option<i64>,
    pub(super) credits_expire_ms: Option<i64>,
    pub(super) redeemed_by_user_id: String,
    pub(super) redeemed_at: Option<i64>,
    pub(super) created_at: i64,
    pub(super) updated_at: i64,
}

impl Stored {
    /// The record that callers see.
    pub(super) fn into_record(self) -> RedeemCode {
        let amount = Microcredits(self.amount);
        RedeemCode {
            redeem_code_id: self.redeem_code_id,
            amount,
            unit: "microcredits".to_owned(),
            amount_credits: credits_text(amount),
            status: self.status,
            code_mask: self.code_mask,
            note: self.note,
            reference: self.reference,
            metadata_json: self.metadata,
            city_id: self.city_id,
            batch_id: self.batch_id,
            uses: self.uses,
            max_uses: self.max_uses,
            max_uses_per_user: self.max_uses_per_user,
            expires_at: self.expires_at.map(Timestamp::from_millis),
            credits_expire_at: self.credits_expire_at.map(Timestamp::from_millis),
            credits_expire_after: self.credits_expire_ms.map(|millis| millis / 1_000),
            redeemed_by_user_id: self.redeemed_by_user_id,
            redeemed_at: self.redeemed_at.map(Timestamp::from_millis),
            created_at: Timestamp::from_millis(self.created_at),
            updated_at: Timestamp::from_millis(self.updated_at),
        }
    }
}
