//! What callers see of wallets, entries, charges and holds.

use downcity_types::{Microcredits, Timestamp};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::Number;

use super::amount::{credits_number, credits_text};
use super::charges;
use super::holds;

pub(super) const MICROCREDITS: &str = "microcredits";
pub(super) const CREDITS: &str = "credits";

/// A wallet as its user sees it: amounts are credits.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
pub struct OwnWallet {
    /// Whose it is.
    pub user_id: String,
    /// What it holds, in credits, reserved amounts included.
    #[schemars(with = "f64")]
    pub balance: Number,
    /// The unit of `balance`: always `credits`.
    pub unit: String,
    /// What it holds, in microcredits.
    pub microcredits: Microcredits,
    /// What of it is reserved for calls under way, in microcredits.
    pub held_microcredits: Microcredits,
    /// What can be spent, in microcredits.
    pub available_microcredits: Microcredits,
    /// How the units relate.
    pub conversion: Conversion,
    /// The balance as people read it, such as `53.4998`.
    pub display: String,
    /// When it was made; of a wallet before its first use, now.
    pub created_at: Timestamp,
    /// When it was last changed.
    pub updated_at: Timestamp,
}

/// How credits and microcredits relate.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
pub struct Conversion {
    /// Microcredits in one credit.
    pub microcredits_per_credit: i64,
    /// Decimals of a credit.
    pub credit_decimals: u8,
}

impl OwnWallet {
    pub(super) fn new(
        user_id: String,
        balance: Microcredits,
        held: Microcredits,
        created_at: Timestamp,
        updated_at: Timestamp,
    ) -> Self {
        Self {
            user_id,
            balance: credits_number(balance),
            unit: CREDITS.to_owned(),
            microcredits: balance,
            held_microcredits: held,
            available_microcredits: Microcredits(balance.get() - held.get()),
            conversion: Conversion {
                microcredits_per_credit: Microcredits::PER_CREDIT,
                credit_decimals: 6,
            },
            display: credits_text(balance),
            created_at,
            updated_at,
        }
    }
}

/// One change of a balance.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
pub struct LedgerEntry {
    /// Unique id.
    pub entry_id: String,
    /// Its number in its wallet, from 1.
    pub seq: i64,
    /// Whose wallet it is in.
    pub user_id: String,
    /// Where it happened; empty where no city was named.
    pub city_id: String,
    /// init, add, sub, topup, redeem, charge, refund or expire.
    pub kind: String,
    /// By how much, in microcredits; negative for what was taken.
    pub amount: Microcredits,
    /// What the wallet held then, in microcredits.
    pub balance_after: Microcredits,
    /// The unit of both amounts: always `microcredits`.
    pub unit: String,
    /// The amount in credits, as a decimal text.
    pub amount_credits: String,
    /// A remark.
    pub note: String,
    /// A reference to something outside.
    pub r#ref: String,
    /// Further facts, as the text of a JSON object.
    pub metadata_json: String,
    /// Who did it: admin, service:…, user, system or payment:….
    pub actor: String,
    /// When.
    pub created_at: Timestamp,
}

/// What a user was charged for something.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
pub struct ChargeRecord {
    /// Unique id.
    pub charge_id: String,
    /// Who was charged.
    pub user_id: String,
    /// Where; empty where no city was named.
    pub city_id: String,
    /// How much, in credits.
    #[schemars(with = "f64")]
    pub amount: Number,
    /// The unit of `amount`: always `credits`.
    pub unit: String,
    /// How much, in microcredits.
    pub amount_microcredits: Microcredits,
    /// What of it the wallet could not pay, in microcredits.
    pub unpaid_microcredits: Microcredits,
    /// What of it was given back, in microcredits.
    pub refunded_microcredits: Microcredits,
    /// settled, unpaid or refunded.
    pub status: String,
    /// The hold that it settled; empty where there was none.
    pub hold_id: String,
    /// A remark.
    pub note: String,
    /// A reference to something outside; the charge's own id where none was given.
    pub r#ref: String,
    /// Further facts, as the text of a JSON object.
    pub metadata_json: String,
    /// When.
    pub created_at: Timestamp,
}

impl From<charges::Charge> for ChargeRecord {
    fn from(charge: charges::Charge) -> Self {
        Self {
            charge_id: charge.charge_id,
            user_id: charge.user_id,
            city_id: charge.city_id,
            amount: credits_number(charge.amount),
            unit: CREDITS.to_owned(),
            amount_microcredits: charge.amount,
            unpaid_microcredits: charge.unpaid,
            refunded_microcredits: charge.refunded,
            status: charge.status,
            hold_id: charge.hold_id,
            note: charge.note,
            r#ref: charge.reference,
            metadata_json: charge.metadata,
            created_at: charge.created_at,
        }
    }
}

/// An amount that is, or was, reserved.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
pub struct HoldRecord {
    /// Unique id.
    pub hold_id: String,
    /// Whose money it is.
    pub user_id: String,
    /// Where; empty where no city was named.
    pub city_id: String,
    /// How much is reserved, in microcredits.
    pub amount: Microcredits,
    /// The unit of `amount`: always `microcredits`.
    pub unit: String,
    /// The amount in credits, as a decimal text.
    pub amount_credits: String,
    /// open, settled, released or expired.
    pub status: String,
    /// The charge that settled it; empty where there is none.
    pub charge_id: String,
    /// A remark.
    pub note: String,
    /// A reference to something outside.
    pub r#ref: String,
    /// Further facts, as the text of a JSON object.
    pub metadata_json: String,
    /// When it ends by itself.
    pub deadline: Timestamp,
    /// When it was made.
    pub created_at: Timestamp,
    /// When it was last changed.
    pub updated_at: Timestamp,
}

impl From<holds::Hold> for HoldRecord {
    fn from(hold: holds::Hold) -> Self {
        Self {
            hold_id: hold.hold_id,
            user_id: hold.user_id,
            city_id: hold.city_id,
            amount: hold.amount,
            unit: MICROCREDITS.to_owned(),
            amount_credits: credits_text(hold.amount),
            status: hold.status,
            charge_id: hold.charge_id,
            note: hold.note,
            r#ref: hold.reference,
            metadata_json: hold.metadata,
            deadline: hold.deadline,
            created_at: hold.created_at,
            updated_at: hold.updated_at,
        }
    }
}

/// Reads an entry.
pub(super) fn entry_of(row: &downcity_db::Row) -> downcity_core::Result<LedgerEntry> {
    let amount = Microcredits(row.get("amount")?);
    Ok(LedgerEntry {
        entry_id: row.get("entry_id")?,
        seq: row.get("seq")?,
        user_id: row.get("user_id")?,
        city_id: row.get("city_id")?,
        kind: row.get("kind")?,
        amount,
        balance_after: Microcredits(row.get("balance_after")?),
        unit: MICROCREDITS.to_owned(),
        amount_credits: credits_text(amount),
        note: row.get("note")?,
        r#ref: row.get("ref")?,
        metadata_json: row.get("metadata")?,
        actor: row.get("actor")?,
        created_at: Timestamp::from_millis(row.get("created_at")?),
    })
}
