//! Cities: the tenants of a Federation.

use downcity_types::{Items, Timestamp};
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value, json};

use super::tokens::apply;
use crate::inner::Inner;
use crate::{CityId, IssuedToken, Result, TokenRequest};

/// The cities of a Federation: [`City::cities`](crate::City::cities).
#[derive(Clone, Copy, Debug)]
pub struct Cities<'a> {
    inner: &'a Inner,
}

/// Tokens for users of any city: [`Cities::tokens`].
#[derive(Clone, Copy, Debug)]
pub struct CityTokens<'a> {
    inner: &'a Inner,
}

/// A tenant of the Federation.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct CityRecord {
    /// Its id.
    pub city_id: CityId,
    /// The name that people see.
    pub name: String,
    /// Whether its tokens work.
    pub status: CityStatus,
    /// When it was created.
    pub created_at: Timestamp,
    /// When name or status last changed.
    pub updated_at: Timestamp,
    /// Further fields.
    #[serde(flatten)]
    pub extra: Map<String, Value>,
}

/// Whether the tokens of a city work.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum CityStatus {
    /// They work.
    Active,
    /// They answer 403, and none are issued.
    Paused,
    /// A word that this version of the client does not know.
    #[serde(other)]
    Unknown,
}

/// A city to create.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[must_use]
pub struct CityCreate {
    name: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    city_id: Option<CityId>,
    #[serde(skip)]
    key: Option<String>,
}

impl CityCreate {
    /// A city by the name that people see; at most 200 characters.
    pub fn new(name: impl Into<String>) -> Self {
        Self { name: name.into(), city_id: None, key: None }
    }

    /// Its id: letters, digits, `_`, `.` and `-`, at most 128. Made by the server without it.
    pub fn city_id(mut self, id: impl Into<CityId>) -> Self {
        self.city_id = Some(id.into());
        self
    }

    /// Names this creation: sent again with the same key, it gets the first answer.
    pub fn idempotency_key(mut self, key: impl Into<String>) -> Self {
        self.key = Some(key.into());
        self
    }
}

impl<'a> Cities<'a> {
    pub(super) fn new(inner: &'a Inner) -> Self {
        Self { inner }
    }

    /// All cities, page by page: `GET /v1/cities/list`.
    ///
    /// # Errors
    /// See [`Error`](crate::Error).
    pub async fn list(&self) -> Result<Vec<CityRecord>> {
        let mut cities = Vec::new();
        let mut cursor = None;
        loop {
            let call = self.inner.get(&["cities", "list"], &json!({ "cursor": cursor }))?;
            let page: Items<CityRecord> = self.inner.json(call).await?;
            cities.extend(page.items);
            // A server that gives one cursor again and again would keep us here for ever.
            if page.next_cursor.is_none() || page.next_cursor == cursor {
                return Ok(cities);
            }
            cursor = page.next_cursor;
        }
    }

    /// Creates a city: `POST /v1/cities/create`.
    ///
    /// # Errors
    /// See [`Error`](crate::Error); 409 where the id is taken.
    pub async fn create(&self, city: CityCreate) -> Result<CityRecord> {
        let call = self.inner.post(&["cities", "create"], &json!(city))?;
        self.inner.json(call.once(city.key)?).await
    }

    /// Pauses a city: its tokens do not work until it is activated.
    ///
    /// # Errors
    /// See [`Error`](crate::Error); 404 for an unknown city.
    pub async fn pause(&self, id: &CityId) -> Result<CityRecord> {
        let call = self.inner.post(&["cities", "pause"], &json!({ "city_id": id }))?;
        self.inner.json(call.once(None)?).await
    }

    /// Activates a city that was paused.
    ///
    /// # Errors
    /// See [`Error`](crate::Error); 404 for an unknown city.
    pub async fn activate(&self, id: &CityId) -> Result<CityRecord> {
        let call = self.inner.post(&["cities", "activate"], &json!({ "city_id": id }))?;
        self.inner.json(call.once(None)?).await
    }

    /// Removes a city, and ends its tokens for good.
    ///
    /// # Errors
    /// See [`Error`](crate::Error); 404 for an unknown city.
    pub async fn remove(&self, id: &CityId) -> Result<()> {
        // Not repeated after a broken connection: what was removed is not found the second time.
        let call = self.inner.post(&["cities", "remove"], &json!({ "city_id": id }))?;
        self.inner.json::<Value>(call).await.map(drop)
    }

    /// Tokens for users of any city.
    #[must_use]
    pub fn tokens(&self) -> CityTokens<'a> {
        CityTokens { inner: self.inner }
    }
}

impl CityTokens<'_> {
    /// Issues a token for a user of a city: `POST /v1/cities/tokens/apply`.
    ///
    /// # Errors
    /// See [`Error`](crate::Error); 404 for an unknown city, 403 for one that is paused.
    pub async fn apply(&self, city: &CityId, request: TokenRequest) -> Result<IssuedToken> {
        apply(self.inner, city, request).await
    }
}
