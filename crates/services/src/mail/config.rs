//! The section `[mail]`.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// How mail is sent.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default)]
pub struct MailConfig {}

impl MailConfig {
    /// What the types alone do not say: each entry is a key of the section and what is wrong.
    pub fn validate(&self) -> Vec<(&'static str, String)> {
        Vec::new()
    }
}
