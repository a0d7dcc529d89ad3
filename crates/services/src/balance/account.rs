//! What callers see of a wallet.

use downcity_types::{Microcredits, Timestamp};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::amount::credits_text;
use super::wallet::Wallet;

/// A wallet, its amounts in microcredits.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Account {
    /// Whose it is.
    pub user_id: String,
    /// What it holds, reserved amounts included.
    pub balance: Microcredits,
    /// The unit of the amounts: always `microcredits`.
    pub unit: String,
    /// The balance in credits.
    pub balance_credits: String,
    /// What of it is reserved.
    pub held: Microcredits,
    /// What can be spent.
    pub available: Microcredits,
    /// When it was made.
    pub created_at: Timestamp,
    /// When it last changed.
    pub updated_at: Timestamp,
}

impl Account {
    /// The record of a wallet.
    pub(super) fn of(wallet: Wallet) -> Self {
        Self {
            balance: wallet.balance,
            unit: "microcredits".to_owned(),
            balance_credits: credits_text(wallet.balance),
            held: wallet.held,
            available: wallet.available(),
            created_at: wallet.created_at,
            updated_at: wallet.updated_at,
            user_id: wallet.user_id,
        }
    }
}
