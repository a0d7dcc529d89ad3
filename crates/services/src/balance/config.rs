//! The section `[balance]`.

use downcity_types::{Microcredits, Span};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// Whose a wallet is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum WalletScope {
    /// A user has one wallet in all cities.
    #[default]
    Federation,
    /// A user has a wallet per city.
    City,
}

impl WalletScope {
    /// The scope as it stands in the configuration and in the database.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Federation => "federation",
            Self::City => "city",
        }
    }
}

/// Wallets of users.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default)]
pub struct BalanceConfig {
    /// Whether a user has one wallet (`federation`) or one per city (`city`). The first start
    /// decides, for good: two cities whose users have the same ids share money under `federation`.
    pub wallet_scope: WalletScope,
    /// What every new wallet holds, in microcredits (1 credit = 1,000,000).
    pub init_microcredits: Microcredits,
    /// How long a hold lasts when whoever makes it names no deadline.
    pub hold_timeout: Span,
    /// The smallest top-up, in whole credits.
    pub min_topup: u32,
    /// The largest top-up, in whole credits.
    pub max_topup: u32,
}

impl Default for BalanceConfig {
    fn default() -> Self {
        Self {
            wallet_scope: WalletScope::default(),
            init_microcredits: Microcredits::ZERO,
            hold_timeout: Span::seconds(3_600),
            min_topup: 1,
            max_topup: 10_000,
        }
    }
}

impl BalanceConfig {
    /// What the types alone do not say: each entry is a key of the section and what is wrong.
    pub fn validate(&self) -> Vec<(&'static str, String)> {
        let mut wrong = Vec::new();
        if self.init_microcredits < Microcredits::ZERO {
            wrong.push(("init_microcredits", "must not be negative".to_owned()));
        }
        if self.min_topup == 0 {
            wrong.push(("min_topup", "must be at least 1".to_owned()));
        }
        if self.max_topup < self.min_topup {
            wrong.push(("max_topup", "must not be less than min_topup".to_owned()));
        }
        wrong
    }

    /// The smallest and the largest top-up.
    pub(super) fn topup_bounds(&self) -> (Microcredits, Microcredits) {
        let credits = |credits: u32| Microcredits(i64::from(credits) * Microcredits::PER_CREDIT);
        (credits(self.min_topup), credits(self.max_topup))
    }
}
