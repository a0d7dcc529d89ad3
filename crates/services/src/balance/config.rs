//! The section `[balance]`.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// Wallets of users.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default)]
pub struct BalanceConfig {}

impl BalanceConfig {
    /// What the types alone do not say: each entry is a key of the section and what is wrong.
    pub fn validate(&self) -> Vec<(&'static str, String)> {
        Vec::new()
    }
}
