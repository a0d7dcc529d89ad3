//! The section `[usage]`.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// Which calls are recorded, and for how long.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default)]
pub struct UsageConfig {}

impl UsageConfig {
    /// What the types alone do not say: each entry is a key of the section and what is wrong.
    pub fn validate(&self) -> Vec<(&'static str, String)> {
        Vec::new()
    }
}
