//! The opened values of the vault, as a snapshot holds them.

use std::collections::BTreeMap;

use crate::Secret;

/// Runtime values by key.
#[derive(Default)]
pub struct EnvValues {
    pub(crate) entries: BTreeMap<String, Secret>,
}

impl EnvValues {
    /// A value; `None` when it is absent or empty.
    pub fn get(&self, key: &str) -> Option<Secret> {
        self.entries.get(key).filter(|value| !value.expose().is_empty()).cloned()
    }

    /// Whether the key has a value that is not empty.
    pub fn is_configured(&self, key: &str) -> bool {
        self.entries.get(key).is_some_and(|value| !value.expose().is_empty())
    }
}
