//! The opened values, as a snapshot holds them.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;

use downcity_types::EnvSource;

use super::Mark;
use super::vault::Unreadable;
use crate::Secret;
use crate::last_use::{LastUse, Uses};

/// Runtime values by key.
pub struct EnvValues {
    pub(crate) entries: BTreeMap<String, Entry>,
    pub(crate) unreadable: BTreeMap<String, Unreadable>,
    /// What stands in for keys that are not there.
    pub(crate) fallback: Arc<BTreeMap<String, Entry>>,
    /// By what one sees that the values were edited since.
    pub(crate) mark: Mark,
    /// Where the values come from.
    pub(crate) source: EnvSource,
    /// Where reads are noted; absent while the values are being loaded.
    pub(crate) reads: Option<Arc<Uses>>,
}

impl Default for EnvValues {
    fn default() -> Self {
        Self {
            entries: BTreeMap::new(),
            unreadable: BTreeMap::new(),
            fallback: Arc::default(),
            mark: Mark::default(),
            source: EnvSource::Database,
            reads: None,
        }
    }
}

/// One value.
pub(crate) struct Entry {
    pub(crate) value: Secret,
    pub(crate) read: Option<Arc<LastUse>>,
}

impl From<Secret> for Entry {
    fn from(value: Secret) -> Self {
        Self { value, read: None }
    }
}

impl EnvValues {
    /// A value; `None` when it is absent or empty. Keys are found in any case, with white space
    /// around them or without. The time of the read is noted.
    pub fn get(&self, key: &str) -> Option<Secret> {
        let entry = self.find(key).filter(|entry| !entry.value.expose().is_empty())?;
        if let (Some(reads), Some(read)) = (&self.reads, &entry.read) {
            reads.note(read);
        }
        Some(entry.value.clone())
    }

    /// Whether the key has a value that is not empty. No read of it.
    pub fn is_configured(&self, key: &str) -> bool {
        self.find(key).is_some_and(|entry| !entry.value.expose().is_empty())
    }

    /// The rows that are skipped, by key, each with a sentence on what is wrong with it.
    pub fn unreadable(&self) -> impl Iterator<Item = (&str, String)> {
        self.unreadable.iter().map(|(key, reason)| (key.as_str(), reason.to_string()))
    }

    /// Whether the row of this key is skipped.
    pub fn is_unreadable(&self, key: &str) -> bool {
        self.unreadable.contains_key(key)
    }

    /// Whether the store itself has a value for a normalised key that is not empty.
    pub(crate) fn holds(&self, key: &str) -> bool {
        self.entries.get(key).is_some_and(|entry| !entry.value.expose().is_empty())
    }

    fn find(&self, key: &str) -> Option<&Entry> {
        self.find_normal(key).or_else(|| {
            let normal = super::normalise_key(key)?;
            if normal == key { None } else { self.find_normal(&normal) }
        })
    }

    /// What is there hides what would stand in for it, also when it is empty or cannot be opened.
    fn find_normal(&self, key: &str) -> Option<&Entry> {
        let stands_in = || self.fallback.get(key).filter(|_| !self.unreadable.contains_key(key));
        self.entries.get(key).or_else(stands_in)
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
