//! The opened values of the vault, as a snapshot holds them.

use std::collections::BTreeMap;
use std::fmt;

use super::vault::Unreadable;
use crate::Secret;

/// Runtime values by key.
#[derive(Default)]
pub struct EnvValues {
    pub(crate) entries: BTreeMap<String, Secret>,
    pub(crate) unreadable: BTreeMap<String, Unreadable>,
}

impl EnvValues {
    /// A value; `None` when it is absent or empty. Keys are found in any case, with white space
    /// around them or without.
    pub fn get(&self, key: &str) -> Option<Secret> {
        self.find(key).filter(|value| !value.expose().is_empty()).cloned()
    }

    /// Whether the key has a value that is not empty.
    pub fn is_configured(&self, key: &str) -> bool {
        self.find(key).is_some_and(|value| !value.expose().is_empty())
    }

    /// The rows that are skipped, by key, each with a sentence on what is wrong with it.
    pub fn unreadable(&self) -> impl Iterator<Item = (&str, String)> {
        self.unreadable.iter().map(|(key, reason)| (key.as_str(), reason.to_string()))
    }

    /// Whether the row of this key is skipped.
    pub fn is_unreadable(&self, key: &str) -> bool {
        self.unreadable.contains_key(key)
    }

    fn find(&self, key: &str) -> Option<&Secret> {
        self.entries.get(key).or_else(|| {
            let normal = super::normalise_key(key)?;
            if normal == key { None } else { self.entries.get(&normal) }
        })
    }
}

impl fmt::Debug for EnvValues {
    /// Shows the keys alone.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("EnvValues")
            .field("keys", &self.entries.keys())
            .field("unreadable", &self.unreadable)
            .finish()
    }
}
