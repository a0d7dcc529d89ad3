//! Tokens of users.

use std::time::Duration;

use downcity_types::{Timestamp, TokenStatus};
use secrecy::{ExposeSecret as _, SecretString};
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value, json};

use crate::inner::Inner;
use crate::{CityId, Error, Result, UserId};

/// Tokens for users of the client's city: [`City::tokens`](crate::City::tokens).
#[derive(Clone, Copy, Debug)]
pub struct Tokens<'a> {
    inner: &'a Inner,
}

/// A token to issue.
///
/// ```
/// use downcity::TokenRequest;
/// use serde_json::json;
///
/// let request = TokenRequest::new("user_1").ttl("7d").metadata([("plan", json!("pro"))]);
/// ```
#[derive(Clone, Debug, PartialEq, Serialize)]
#[must_use]
pub struct TokenRequest {
    user_id: UserId,
    #[serde(skip_serializing_if = "Map::is_empty")]
    metadata: Map<String, Value>,
    #[serde(skip_serializing_if = "Option::is_none")]
    ttl: Option<Ttl>,
}

/// How long a token lives.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(untagged)]
#[non_exhaustive]
pub enum Ttl {
    /// So many seconds; 1 at least.
    Seconds(u64),
    /// A text such as `"90s"`, `"30m"`, `"12h"` or `"7d"`.
    Text(String),
}

/// A token of a user, and what it says.
#[derive(Clone, Debug, Deserialize)]
#[non_exhaustive]
pub struct IssuedToken {
    /// Hand it to the client of the user: whoever has it is the user.
    pub user_token: SecretString,
    /// The city it is for.
    pub city_id: CityId,
    /// The user it is for.
    pub user_id: UserId,
    /// When it ends; `None` where it does not.
    #[serde(default)]
    pub expires_at: Option<Timestamp>,
    /// Further fields.
    #[serde(flatten)]
    pub extra: Map<String, Value>,
}

impl TokenRequest {
    /// A token for a user, by the id that your product knows them by.
    pub fn new(user_id: impl Into<UserId>) -> Self {
        Self { user_id: user_id.into(), metadata: Map::new(), ttl: None }
    }

    /// What travels inside the token, for services and hooks. The user can read it: no secrets.
    pub fn metadata<K: Into<String>>(mut self, data: impl IntoIterator<Item = (K, Value)>) -> Self {
        self.metadata = data.into_iter().map(|(key, value)| (key.into(), value)).collect();
        self
    }

    /// How long it lives; for ever without it, unless the operator says otherwise.
    pub fn ttl(mut self, ttl: impl Into<Ttl>) -> Self {
        self.ttl = Some(ttl.into());
        self
    }
}

impl From<&str> for Ttl {
    fn from(text: &str) -> Self {
        Self::Text(text.to_owned())
    }
}

impl From<String> for Ttl {
    fn from(text: String) -> Self {
        Self::Text(text)
    }
}

impl From<Duration> for Ttl {
    /// Parts of a second are left out.
    fn from(time: Duration) -> Self {
        Self::Seconds(time.as_secs())
    }
}

impl Ttl {
    /// What a text says is for the server to judge.
    fn check(&self) -> Result<()> {
        match self {
            Self::Seconds(0) => Err(Error::config("ttl", "must be at least one second")),
            _ => Ok(()),
        }
    }
}

impl<'a> Tokens<'a> {
    pub(super) fn new(inner: &'a Inner) -> Self {
        Self { inner }
    }

    /// Issues a token for a user of the client's city: `POST /v1/cities/tokens/apply`.
    ///
    /// # Errors
    /// [`Error::MissingCityId`] where the client was built without one, [`Error::Config`] for a ttl of
    /// nothing; see [`Error`]; 404 for an unknown city, 403 for one that is paused.
    pub async fn apply(&self, request: TokenRequest) -> Result<IssuedToken> {
        let city = self.inner.city_id.as_ref().ok_or(Error::MissingCityId)?;
        apply(self.inner, city, request).await
    }

    /// Whether a token is good, of whichever city, and what it says: `POST /v1/cities/tokens/verify`. One
    /// that is not good is no error.
    ///
    /// # Errors
    /// See [`Error`].
    pub async fn verify(&self, user_token: &SecretString) -> Result<TokenStatus> {
        let body = json!({ "user_token": user_token.expose_secret() });
        let call = self.inner.post(&["cities", "tokens", "verify"], &body)?;
        self.inner.json(call.once(None)?).await
    }

    /// Ends a token before its time: `POST /v1/cities/tokens/revoke`.
    ///
    /// # Errors
    /// See [`Error`].
    pub async fn revoke(&self, user_token: &SecretString) -> Result<()> {
        self.end(&json!({ "user_token": user_token.expose_secret() })).await
    }

    /// Ends all tokens that a user of the client's city has by now: `POST /v1/cities/tokens/revoke`.
    ///
    /// # Errors
    /// [`Error::MissingCityId`] where the client was built without a city; see [`Error`].
    pub async fn revoke_user(&self, user_id: &UserId) -> Result<()> {
        let city = self.inner.city_id.as_ref().ok_or(Error::MissingCityId)?;
        self.end(&json!({ "city_id": city, "user_id": user_id })).await
    }

    async fn end(&self, which: &Value) -> Result<()> {
        // What has ended can be ended again.
        let call = self.inner.post(&["cities", "tokens", "revoke"], which)?.once(None)?;
        self.inner.json::<Value>(call).await.map(drop)
    }
}

pub(super) async fn apply(
    inner: &Inner,
    city: &CityId,
    request: TokenRequest,
) -> Result<IssuedToken> {
    request.ttl.as_ref().map_or(Ok(()), Ttl::check)?;
    let mut body = json!(request);
    body["city_id"] = json!(city);
    let call = inner.post(&["cities", "tokens", "apply"], &body)?;
    // A token that nobody received harms nobody.
    inner.json(call.once(None)?).await
}
