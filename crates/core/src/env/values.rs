//! The opened values, as a snapshot holds them.

use std::collections::{BTreeMap, HashMap};
use std::fmt;
use std::sync::Arc;

use downcity_types::EnvSource;
use serde::Serialize;

use super::Mark;
use super::city::CityValues;
use super::vault::Unreadable;
use crate::Secret;
use crate::last_use::{LastUse, Uses};

/// Runtime values by key.
pub struct EnvValues {
    pub(crate) entries: BTreeMap<String, Entry>,
    pub(crate) unreadable: BTreeMap<String, Unreadable>,
    /// What single cities have of their own.
    pub(crate) cities: HashMap<Box<str>, Arc<CityValues>>,
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
            cities: HashMap::new(),
            fallback: Arc::default(),
            mark: Mark::default(),
            source: EnvSource::Database,
            reads: None,
        }
    }
}

/// Whose a value is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum EnvOf {
    /// One city's own.
    City,
    /// The Federation's.
    Federation,
}

impl EnvOf {
    /// `city` or `federation`.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::City => "city",
            Self::Federation => "federation",
        }
    }
}

/// A value that was looked up for a city.
#[derive(Clone, Debug)]
pub struct CityEnv {
    /// The value.
    pub value: Secret,
    /// Whose it is.
    pub of: EnvOf,
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
        self.read(self.find(key)?)
    }

    /// A value for a city: the city's own, else the Federation's. One that is there hides the
    /// Federation's also when it is empty or cannot be opened. The time of the read is noted.
    ///
    /// Only what serves a city with keys of its own may ask this way, as AI calls do; everything else
    /// reads [`EnvValues::get`].
    pub fn get_for(&self, city_id: Option<&str>, key: &str) -> Option<CityEnv> {
        self.get_beside(self.of_city(city_id).map(Arc::as_ref), key)
    }

    /// Like [`EnvValues::get_for`], for a city with these values of its own.
    pub(crate) fn get_beside(&self, own: Option<&CityValues>, key: &str) -> Option<CityEnv> {
        let (entry, of) = self.find_beside(own, key)?;
        Some(CityEnv { value: self.read(entry?)?, of })
    }

    /// Like [`EnvValues::get_beside`], for what shows the state of values. No read of it.
    pub(crate) fn peek_beside(&self, own: Option<&CityValues>, key: &str) -> Option<CityEnv> {
        let (entry, of) = self.find_beside(own, key)?;
        let value = &entry?.value;
        (!value.expose().is_empty()).then(|| CityEnv { value: value.clone(), of })
    }

    /// Whether [`EnvValues::get_beside`] gives a value. No read of it.
    pub(crate) fn is_configured_beside(&self, own: Option<&CityValues>, key: &str) -> bool {
        let found = self.find_beside(own, key).and_then(|(entry, _)| entry);
        found.is_some_and(|entry| !entry.value.expose().is_empty())
    }

    /// Whether a city with these values of its own has an entry for this key, of whatever value.
    pub(crate) fn is_own(&self, own: Option<&CityValues>, key: &str) -> bool {
        matches!(self.find_beside(own, key), Some((_, EnvOf::City)))
    }

    /// What a city has of its own, where it has anything.
    pub(crate) fn of_city(&self, city_id: Option<&str>) -> Option<&Arc<CityValues>> {
        self.cities.get(city_id?)
    }

    /// Whether no city has values of its own.
    pub(crate) fn is_same_for_all(&self) -> bool {
        self.cities.is_empty()
    }

    fn read(&self, entry: &Entry) -> Option<Secret> {
        if entry.value.expose().is_empty() {
            return None;
        }
        if let (Some(reads), Some(read)) = (&self.reads, &entry.read) {
            reads.note(read);
        }
        Some(entry.value.clone())
    }

    /// The entry that counts for a city, and whose it is; no entry where that cannot be opened.
    fn find_beside<'a>(
        &'a self,
        own: Option<&'a CityValues>,
        key: &str,
    ) -> Option<(Option<&'a Entry>, EnvOf)> {
        if let Some(city) = own {
            let normal = super::normalise_key(key)?;
            if let Some(entry) = city.entries.get(&normal) {
                return Some((Some(entry), EnvOf::City));
            }
            if city.unreadable.contains_key(&normal) {
                return Some((None, EnvOf::City));
            }
        }
        self.find(key).map(|entry| (Some(entry), EnvOf::Federation))
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

    /// The same for the rows of cities: city, key, and what is wrong.
    pub(crate) fn unreadable_of_cities(&self) -> impl Iterator<Item = (&str, &str, String)> {
        self.cities.iter().flat_map(|(city_id, city)| {
            let rows = city.unreadable.iter();
            rows.map(move |(key, reason)| (&**city_id, key.as_str(), reason.to_string()))
        })
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
    /// Shows the keys of the Federation alone.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("EnvValues")
            .field("keys", &self.entries.keys())
            .field("unreadable", &self.unreadable)
            .finish()
    }
}
