//! The section `[accounts]`.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// People and their sessions.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default)]
pub struct AccountsConfig {}

impl AccountsConfig {
    /// What the types alone do not say: each entry is a key of the section and what is wrong.
    pub fn validate(&self) -> Vec<(&'static str, String)> {
        Vec::new()
    }
}
