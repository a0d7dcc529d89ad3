//! The section `[payment]`.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// How users buy credits.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default)]
pub struct PaymentConfig {}

impl PaymentConfig {
    /// What the types alone do not say: each entry is a key of the section and what is wrong.
    pub fn validate(&self) -> Vec<(&'static str, String)> {
        Vec::new()
    }
}
