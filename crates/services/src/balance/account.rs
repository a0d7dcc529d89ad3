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
    /// The city that it is for, in lists where a user has a wallet per city.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub city_id: Option<String>,
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
            city_id: None,
        }
    }

    /// The same with the city of the wallet; empty where wallets are of the whole Federation.
    pub(super) fn in_city(self, city_id: String) -> Self {
        Self { city_id: Some(city_id).filter(|city_id| !city_id.is_empty()), ..self }
    }
}
