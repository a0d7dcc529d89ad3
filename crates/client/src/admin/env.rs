//! The env of a Federation.

use downcity_types::{EnvEntry, EnvScope, Items, Timestamp};
use secrecy::{ExposeSecret as _, SecretString};
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value, json};

use crate::inner::Inner;
use crate::{CityId, Result};

/// The env of a Federation: [`City::env`](crate::City::env); or what one city has of its own:
/// [`Env::of_city`].
#[derive(Clone, Copy, Debug)]
pub struct Env<'a> {
    inner: &'a Inner,
    city_id: Option<&'a CityId>,
}

/// A value that was stored.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct EnvUpserted {
    /// Its key, in capitals.
    pub key: String,
    /// Why it could not be tested; it is stored.
    #[serde(default)]
    pub warning: Option<String>,
    /// The city whose own it is; `None` for the Federation's.
    #[serde(default)]
    pub city_id: Option<CityId>,
    /// Further fields.
    #[serde(flatten)]
    pub extra: Map<String, Value>,
}

/// A value that was removed.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct EnvRemoved {
    /// Its key, in capitals.
    pub key: String,
    /// Whether there was one.
    #[serde(default)]
    pub removed: bool,
    /// The city whose own it was; `None` for the Federation's.
    #[serde(default)]
    pub city_id: Option<CityId>,
    /// Further fields.
    #[serde(flatten)]
    pub extra: Map<String, Value>,
}

/// Values that were stored.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct EnvImported {
    /// How many assignments there were.
    pub count: u64,
    /// Their keys in the order of the text, in capitals.
    pub keys: Vec<String>,
    /// The city whose own they are; `None` for the Federation's.
    #[serde(default)]
    pub city_id: Option<CityId>,
    /// Further fields.
    #[serde(flatten)]
    pub extra: Map<String, Value>,
}

/// Values that were read again.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct EnvRefreshed {
    /// How many values apply now.
    pub count: u64,
    /// Further fields.
    #[serde(flatten)]
    pub extra: Map<String, Value>,
}

/// One version of a value.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct EnvVersion {
    /// Counted from 1 for each key.
    pub version: i64,
    /// The value, masked.
    pub value: String,
    /// When it was stored; `None` where nobody noted it.
    #[serde(default)]
    pub written_at: Option<Timestamp>,
    /// When it ended; `None` for the value that applies.
    #[serde(default)]
    pub replaced_at: Option<Timestamp>,
    /// Further fields.
    #[serde(flatten)]
    pub extra: Map<String, Value>,
}

/// An earlier value that applies again.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct EnvRolledBack {
    /// Its key, in capitals.
    pub key: String,
    /// The version that applies now: a new one, unless it had this value already.
    pub version: i64,
    /// Why it could not be tested; it applies.
    #[serde(default)]
    pub warning: Option<String>,
    /// The city whose own it is; `None` for the Federation's.
    #[serde(default)]
    pub city_id: Option<CityId>,
    /// Further fields.
    #[serde(flatten)]
    pub extra: Map<String, Value>,
}

impl<'a> Env<'a> {
    pub(super) fn new(inner: &'a Inner) -> Self {
        Self { inner, city_id: None }
    }

    /// What this city has of its own, such as the keys of its own accounts at providers: AI calls of
    /// the city use them before the Federation's. [`Env::catalog`] and [`Env::refresh`] are the same
    /// for all.
    #[must_use]
    pub fn of_city(self, city_id: &'a CityId) -> Self {
        Self { city_id: Some(city_id), ..self }
    }

    /// The values that are stored: `GET /v1/env/list`. Those of the system and of cities are masked.
    ///
    /// # Errors
    /// See [`Error`](crate::Error).
    pub async fn list(&self) -> Result<Vec<EnvEntry>> {
        self.items("list", &self.within(json!({}))).await
    }

    /// The keys that services and models need, and which of them are set: `GET /v1/env/catalog`.
    ///
    /// # Errors
    /// See [`Error`](crate::Error).
    pub async fn catalog(&self) -> Result<Vec<EnvScope>> {
        self.items("catalog", &json!({})).await
    }

    /// Stores a value, which applies at once: `POST /v1/env/upsert`.
    ///
    /// # Errors
    /// See [`Error`](crate::Error); 400 for a key that is none, or a value that its provider refuses.
    pub async fn upsert(
        &self,
        key: impl Into<String>,
        value: impl Into<SecretString>,
    ) -> Result<EnvUpserted> {
        let value = value.into();
        let body = json!({ "key": key.into(), "value": value.expose_secret() });
        self.write("upsert", &self.within(body)).await
    }

    /// Removes a value: `POST /v1/env/remove`.
    ///
    /// # Errors
    /// See [`Error`](crate::Error); 400 for a key of the system.
    pub async fn remove(&self, key: impl Into<String>) -> Result<EnvRemoved> {
        self.write("remove", &self.within(json!({ "key": key.into() }))).await
    }

    /// Stores all values of a `.env` file, or none where one is wrong: `POST /v1/env/import`.
    ///
    /// # Errors
    /// See [`Error`](crate::Error); 400 with the line that is wrong.
    pub async fn import(&self, raw: impl Into<SecretString>) -> Result<EnvImported> {
        let raw = raw.into();
        self.write("import", &self.within(json!({ "raw": raw.expose_secret() }))).await
    }

    /// Reads values again that were changed in the database by hand: `POST /v1/env/refresh`.
    ///
    /// # Errors
    /// See [`Error`](crate::Error).
    pub async fn refresh(&self) -> Result<EnvRefreshed> {
        self.write("refresh", &json!({})).await
    }

    /// The versions of a value, the newest first, masked: `GET /v1/env/history`.
    ///
    /// # Errors
    /// See [`Error`](crate::Error).
    pub async fn history(&self, key: &str) -> Result<Vec<EnvVersion>> {
        self.items("history", &self.within(json!({ "key": key }))).await
    }

    /// Lets the value of an earlier version apply again: `POST /v1/env/rollback`.
    ///
    /// # Errors
    /// See [`Error`](crate::Error); 404 for a version that is not there.
    pub async fn rollback(&self, key: impl Into<String>, version: i64) -> Result<EnvRolledBack> {
        let body = json!({ "key": key.into(), "version": version });
        self.write("rollback", &self.within(body)).await
    }

    /// An input that names the city whose values are meant.
    fn within(&self, mut input: Value) -> Value {
        if let Some(city_id) = self.city_id {
            input["city_id"] = json!(city_id);
        }
        input
    }

    async fn items<T: DeserializeOwned>(&self, list: &str, query: &Value) -> Result<Vec<T>> {
        let call = self.inner.get(&["env", list], query)?;
        let list: Items<T> = self.inner.json(call).await?;
        Ok(list.items)
    }

    async fn write<T: DeserializeOwned>(&self, action: &str, body: &Value) -> Result<T> {
        // Each of them done twice comes to the same.
        let call = self.inner.post(&["env", action], body)?;
        self.inner.json(call.once(None)?).await
    }
}
