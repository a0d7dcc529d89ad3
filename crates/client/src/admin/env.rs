//! The env of a Federation.

use downcity_types::{EnvEntry, EnvScope, Items, Timestamp};
use secrecy::{ExposeSecret as _, SecretString};
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value, json};

use crate::Result;
use crate::inner::Inner;

/// The env of a Federation: [`City::env`](crate::City::env).
#[derive(Clone, Copy, Debug)]
pub struct Env<'a> {
    inner: &'a Inner,
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
    /// Further fields.
    #[serde(flatten)]
    pub extra: Map<String, Value>,
}

impl<'a> Env<'a> {
    pub(super) fn new(inner: &'a Inner) -> Self {
        Self { inner }
    }

    /// The values that are stored: `GET /v1/env/list`. Those of the system are masked.
    ///
    /// # Errors
    /// See [`Error`](crate::Error).
    pub async fn list(&self) -> Result<Vec<EnvEntry>> {
        self.items("list").await
    }

    /// The keys that services and models need, and which of them are set: `GET /v1/env/catalog`.
    ///
    /// # Errors
    /// See [`Error`](crate::Error).
    pub async fn catalog(&self) -> Result<Vec<EnvScope>> {
        self.items("catalog").await
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
        self.write("upsert", &json!({ "key": key.into(), "value": value.expose_secret() })).await
    }

    /// Removes a value: `POST /v1/env/remove`.
    ///
    /// # Errors
    /// See [`Error`](crate::Error); 400 for a key of the system.
    pub async fn remove(&self, key: impl Into<String>) -> Result<EnvRemoved> {
        self.write("remove", &json!({ "key": key.into() })).await
    }

    /// Stores all values of a `.env` file, or none where one is wrong: `POST /v1/env/import`.
    ///
    /// # Errors
    /// See [`Error`](crate::Error); 400 with the line that is wrong.
    pub async fn import(&self, raw: impl Into<SecretString>) -> Result<EnvImported> {
        let raw = raw.into();
        self.write("import", &json!({ "raw": raw.expose_secret() })).await
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
        let call = self.inner.get(&["env", "history"], &json!({ "key": key }))?;
        let versions: Items<EnvVersion> = self.inner.json(call).await?;
        Ok(versions.items)
    }

    /// Lets the value of an earlier version apply again: `POST /v1/env/rollback`.
    ///
    /// # Errors
    /// See [`Error`](crate::Error); 404 for a version that is not there.
    pub async fn rollback(&self, key: impl Into<String>, version: i64) -> Result<EnvRolledBack> {
        self.write("rollback", &json!({ "key": key.into(), "version": version })).await
    }

    async fn items<T: DeserializeOwned>(&self, list: &str) -> Result<Vec<T>> {
        let call = self.inner.get(&["env", list], &Value::Null)?;
        let list: Items<T> = self.inner.json(call).await?;
        Ok(list.items)
    }

    async fn write<T: DeserializeOwned>(&self, action: &str, body: &Value) -> Result<T> {
        // Each of them done twice comes to the same.
        let call = self.inner.post(&["env", action], body)?;
        self.inner.json(call.once(None)?).await
    }
}
