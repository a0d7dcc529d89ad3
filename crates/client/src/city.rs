//! The client and its two sides.

use std::fmt;
use std::marker::PhantomData;
use std::sync::Arc;
use std::time::Duration;

use downcity_types::{Items, ServiceInfo};
use reqwest::Url;
use secrecy::{ExposeSecret as _, SecretString};
use serde_json::Value;

use crate::inner::Inner;
use crate::{CityId, Error, HttpTransport, Result, RetryPolicy, Service, Transport};

/// A client of a Federation, for one side: [`Admin`] or [`User`]. Clones share its connections.
pub struct City<R> {
    pub(crate) inner: Arc<Inner>,
    role: PhantomData<fn() -> R>,
}

/// The trusted side: your server, with the admin key.
#[derive(Debug)]
pub enum Admin {}

/// The side of one user, or of a guest who has not signed in.
#[derive(Debug)]
pub enum User {}

/// A client of the trusted side.
pub type AdminCity = City<Admin>;

/// A client of a user.
pub type UserCity = City<User>;

/// The names under which the admin key may stand in the environment; the first one that is set counts.
#[cfg(feature = "env")]
const ADMIN_KEY_NAMES: [&str; 4] = [
    "DOWNCITY_FEDERATION_ADMIN_SECRET_KEY",
    "DOWNCITY_CITY_ADMIN_SECRET_KEY",
    "DOWNCITY_INFRA_ADMIN_SECRET_KEY",
    "VISIBLEBASE_ADMIN_SECRET_KEY",
];

impl City<Admin> {
    /// Begins a client of the trusted side.
    ///
    /// ```
    /// # fn main() -> downcity::Result<()> {
    /// use downcity::City;
    ///
    /// let admin = City::admin("https://fed.example.com")
    ///     .city_id("city_demo")
    ///     .admin_secret_key("a key from the operator")
    ///     .build()?;
    /// assert!(!format!("{admin:?}").contains("a key"));
    /// # Ok(())
    /// # }
    /// ```
    pub fn admin(federation_url: impl AsRef<str>) -> AdminBuilder {
        AdminBuilder(Plan::new(federation_url.as_ref()))
    }
}

impl City<User> {
    /// Begins a client of a user, or of a guest.
    pub fn user(federation_url: impl AsRef<str>) -> UserBuilder {
        UserBuilder(Plan::new(federation_url.as_ref()))
    }

    /// The same client for a user who has signed in. This one stays as it is.
    #[must_use]
    pub fn with_token(&self, token: impl Into<SecretString>) -> Self {
        let mut inner = Inner::clone(&self.inner);
        inner.credential = Some(token.into());
        Self { inner: Arc::new(inner), role: PhantomData }
    }
}

impl<R> City<R> {
    /// The services of the Federation: `GET /v1/services`.
    ///
    /// # Errors
    /// See [`Error`].
    pub async fn list_services(&self) -> Result<Vec<ServiceInfo>> {
        let call = self.inner.get(&["services"], &Value::Null)?;
        let services: Items<ServiceInfo> = self.inner.json(call).await?;
        Ok(services.items)
    }

    /// A service by its id, for actions that have no method of their own here. Nothing is asked of the
    /// server.
    ///
    /// # Errors
    /// [`Error::Config`] for a blank name.
    pub fn service(&self, name: impl Into<String>) -> Result<Service<'_>> {
        Service::new(&self.inner, name.into(), self.injected_city())
    }

    /// Calls any route by its path, such as `/health` or `/v1/usage/summary?group_by=day`, and gives the
    /// text of its answer.
    ///
    /// # Errors
    /// [`Error::Config`] for a path that does not begin with `/`; see [`Error`].
    pub async fn query(
        &self,
        method: reqwest::Method,
        path: &str,
        body: Option<&Value>,
    ) -> Result<String> {
        self.inner.text(self.inner.route(method, path, body)?).await
    }

    /// The same for a POST with an idempotency key: sent again with the same key and body, it gets the
    /// first answer and changes nothing more, where the action supports it.
    ///
    /// # Errors
    /// As [`City::query`], and [`Error::Config`] for a key that no header can hold.
    pub async fn query_once(
        &self,
        path: &str,
        body: &Value,
        key: impl Into<String>,
    ) -> Result<String> {
        let call = self.inner.route(reqwest::Method::POST, path, Some(body))?;
        self.inner.text(call.once(Some(key.into()))?).await
    }

    /// The city that calls of services carry: users' calls do, the trusted side says it where it wants.
    fn injected_city(&self) -> Option<&CityId> {
        let is_user = self.inner.is_user;
        self.inner.city_id.as_ref().filter(|_| is_user)
    }
}

impl<R> Clone for City<R> {
    fn clone(&self) -> Self {
        Self { inner: self.inner.clone(), role: PhantomData }
    }
}

impl<R> fmt::Debug for City<R> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.inner.fmt(f)
    }
}

/// Builds a client of the trusted side: [`City::admin`].
#[must_use]
pub struct AdminBuilder(Plan);

/// Builds a client of a user: [`City::user`].
#[must_use]
pub struct UserBuilder(Plan);

/// What both builders gather.
struct Plan {
    federation_url: String,
    city_id: Option<CityId>,
    credential: Option<SecretString>,
    timeout: Option<Duration>,
    retry: RetryPolicy,
    transport: Option<Arc<dyn Transport>>,
}

macro_rules! settings {
    ($builder:ident) => {
        impl $builder {
            /// The city that calls are for.
            pub fn city_id(mut self, id: impl Into<CityId>) -> Self {
                self.0.city_id = Some(id.into());
                self
            }

            /// How long a call may take, all attempts together. Without it 30 s, and 10 minutes for
            /// calls of models. A stream has to begin within it.
            pub fn timeout(mut self, timeout: Duration) -> Self {
                self.0.timeout = Some(timeout);
                self
            }

            /// When calls are repeated.
            pub fn retry(mut self, policy: RetryPolicy) -> Self {
                self.0.retry = policy;
                self
            }

            /// Carries requests in place of [`HttpTransport`]; tests give their own.
            pub fn transport(mut self, transport: impl Transport) -> Self {
                self.0.transport = Some(Arc::new(transport));
                self
            }
        }

        impl fmt::Debug for $builder {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.debug_struct(stringify!($builder))
                    .field("federation_url", &self.0.federation_url)
                    .field("city_id", &self.0.city_id)
                    .finish_non_exhaustive()
            }
        }
    };
}

settings!(AdminBuilder);
settings!(UserBuilder);

impl AdminBuilder {
    /// The admin key. Without it, the environment is asked (feature `env`):
    /// `DOWNCITY_FEDERATION_ADMIN_SECRET_KEY`, or the names of older generations.
    pub fn admin_secret_key(mut self, key: impl Into<SecretString>) -> Self {
        self.0.credential = Some(key.into());
        self
    }

    /// Builds the client. Nothing is asked of the server.
    ///
    /// # Errors
    /// [`Error::Config`] for an address that is no `http:` or `https:` one, a blank city, and a key that is
    /// blank or nowhere to be found.
    pub fn build(mut self) -> Result<AdminCity> {
        if self.0.credential.is_none() {
            self.0.credential = key_of_environment();
        }
        if self.0.credential.is_none() {
            let reason = "give it to the builder, or set DOWNCITY_FEDERATION_ADMIN_SECRET_KEY";
            return Err(Error::config("admin_secret_key", reason));
        }
        self.0.build("admin_secret_key", false)
    }
}

impl UserBuilder {
    /// The token of a user who has signed in. Without it the client is a guest's.
    pub fn user_token(mut self, token: impl Into<SecretString>) -> Self {
        self.0.credential = Some(token.into());
        self
    }

    /// Builds the client. Nothing is asked of the server.
    ///
    /// # Errors
    /// [`Error::Config`] for an address that is no `http:` or `https:` one, a blank city, and a blank token.
    pub fn build(self) -> Result<UserCity> {
        self.0.build("user_token", true)
    }
}

impl Plan {
    fn new(federation_url: &str) -> Self {
        Self {
            federation_url: federation_url.trim().to_owned(),
            city_id: None,
            credential: None,
            timeout: None,
            retry: RetryPolicy::default(),
            transport: None,
        }
    }

    fn build<R>(self, credential_field: &'static str, is_user: bool) -> Result<City<R>> {
        let base = base_url(&self.federation_url)?;
        if self.city_id.as_ref().is_some_and(|id| id.as_ref().trim().is_empty()) {
            return Err(Error::config("city_id", "must not be blank"));
        }
        if self.credential.as_ref().is_some_and(|text| text.expose_secret().trim().is_empty()) {
            return Err(Error::config(credential_field, "must not be blank"));
        }
        let transport = match self.transport {
            Some(transport) => transport,
            None => Arc::new(HttpTransport::new()?),
        };
        let Self { city_id, credential, timeout, retry, .. } = self;
        let inner = Inner { transport, base, city_id, credential, timeout, retry, is_user };
        Ok(City { inner: Arc::new(inner), role: PhantomData })
    }
}

fn base_url(text: &str) -> Result<Url> {
    let wrong = |reason: &str| Error::config("federation_url", reason);
    let url: Url =
        text.trim_end_matches('/').parse().map_err(|_| wrong("is no address of the web"))?;
    if !matches!(url.scheme(), "http" | "https") {
        return Err(wrong("must begin with https:// or http://"));
    }
    if !url.username().is_empty() || url.password().is_some() {
        return Err(wrong("must not hold a name or password"));
    }
    if url.query().is_some() || url.fragment().is_some() {
        return Err(wrong("must not have a query or fragment"));
    }
    Ok(url)
}

#[cfg(feature = "env")]
fn key_of_environment() -> Option<SecretString> {
    let set = ADMIN_KEY_NAMES.iter().filter_map(|name| std::env::var(name).ok());
    set.map(SecretString::from).find(|key| !key.expose_secret().trim().is_empty())
}

#[cfg(not(feature = "env"))]
fn key_of_environment() -> Option<SecretString> {
    None
}
