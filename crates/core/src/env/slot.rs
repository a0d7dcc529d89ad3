//! Whose value of a key is meant: the Federation's, or that of one city.

use super::Place;

/// A normalised key of the Federation or of one city.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Slot {
    city_id: Option<Box<str>>,
    key: String,
    id: String,
}

impl Slot {
    /// The Federation's value of a normalised key.
    pub(crate) fn federation(key: impl Into<String>) -> Self {
        let key = key.into();
        Self { city_id: None, id: key.clone(), key }
    }

    /// A city's value of a normalised key.
    pub(crate) fn city(city_id: &str, key: impl Into<String>) -> Self {
        let key = key.into();
        Self { city_id: Some(city_id.into()), id: format!("{city_id}/{key}"), key }
    }

    /// The city's where one is named, else the Federation's.
    pub(crate) fn of(city_id: Option<&str>, key: impl Into<String>) -> Self {
        match city_id {
            Some(city_id) => Self::city(city_id, key),
            None => Self::federation(key),
        }
    }

    /// The normalised key.
    pub(crate) fn key(&self) -> &str {
        &self.key
    }

    /// The city, where it is a city's.
    pub(crate) fn city_id(&self) -> Option<&str> {
        self.city_id.as_deref()
    }

    /// What previous versions and last reads are stored under. No key holds a slash, so no two slots
    /// have one id.
    pub(crate) fn id(&self) -> &str {
        &self.id
    }

    /// The table of the value that applies; sealed texts belong to it.
    pub(crate) fn table(&self) -> &'static str {
        if self.city_id.is_some() { "city_env" } else { "env" }
    }

    /// Where a version of the value is sealed for.
    pub(crate) fn place(&self, version: i64) -> Place<'_> {
        Place { table: self.table(), key: &self.id, version }
    }
}

/// The city in the id of a slot; `None` for the Federation's.
pub(crate) fn city_of(id: &str) -> Option<&str> {
    id.rsplit_once('/').map(|(city_id, _)| city_id)
}
