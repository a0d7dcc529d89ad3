//! Any action of any service.

use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::{Map, Value, json};

use crate::inner::Inner;
use crate::{CityId, Error, Result};

/// A service of the Federation, by its id: [`City::service`](crate::City::service).
#[derive(Clone, Debug)]
pub struct Service<'a> {
    inner: &'a Inner,
    name: String,
    city_id: Option<&'a CityId>,
}

/// An action of a [`Service`]: [`Service::action`].
#[derive(Clone, Debug)]
#[must_use = "an action does nothing until it is invoked"]
pub struct Action<'a> {
    service: Service<'a>,
    name: String,
    key: Option<String>,
}

impl<'a> Service<'a> {
    pub(crate) fn new(inner: &'a Inner, name: String, city_id: Option<&'a CityId>) -> Result<Self> {
        let name = name.trim().to_owned();
        if name.is_empty() {
            return Err(Error::config("service", "a service has an id that is not blank"));
        }
        Ok(Self { inner, name, city_id })
    }

    /// Reads: `GET /v1/<service>/<action>`. The action may have several segments, such as
    /// `oauth/result`. Fields of `query` that are `null` are left out.
    ///
    /// # Errors
    /// [`Error::Config`] for a query that is no object, or a path with blank, `.` or `..` segments; see
    /// [`Error`].
    pub async fn get<T: DeserializeOwned>(&self, action: &str, query: impl Serialize) -> Result<T> {
        let query = Value::Object(object(query, "query")?);
        let call = self.inner.get(&self.path(action), &query)?;
        self.inner.json(call).await
    }

    /// An action by its path, such as `checkout/create`. Nothing is asked of the server.
    pub fn action(&self, name: &str) -> Action<'a> {
        Action { service: self.clone(), name: name.to_owned(), key: None }
    }

    fn path<'b>(&'b self, action: &'b str) -> Vec<&'b str> {
        let action = action.trim().trim_start_matches('/');
        [self.name.as_str()].into_iter().chain(action.split('/')).collect()
    }
}

impl Action<'_> {
    /// Names this call: sent again with the same key and input, it gets the first answer and changes
    /// nothing more, where the action supports it. Only a call with a key is repeated after a connection
    /// that broke.
    pub fn idempotency_key(mut self, key: impl Into<String>) -> Self {
        self.key = Some(key.into());
        self
    }

    /// Calls the action with a JSON object: `POST /v1/<service>/<action>`. A user's client adds its
    /// `city_id`; `()` is an empty input.
    ///
    /// # Errors
    /// [`Error::Config`] for an input that is no object, or a path with blank, `.` or `..` segments; see
    /// [`Error`].
    pub async fn invoke<T: DeserializeOwned>(&self, input: impl Serialize) -> Result<T> {
        let Service { inner, city_id, .. } = &self.service;
        let mut body = object(input, "input")?;
        if let Some(city_id) = city_id {
            body.insert("city_id".to_owned(), json!(city_id));
        }
        let mut call = inner.post(&self.service.path(&self.name), &Value::Object(body))?;
        if self.key.is_some() {
            call = call.once(self.key.clone())?;
        }
        inner.json(call).await
    }
}

/// A value as the JSON object it is; nothing is an empty one.
///
/// # Errors
/// [`Error::Config`] for anything else.
pub(crate) fn object(value: impl Serialize, field: &'static str) -> Result<Map<String, Value>> {
    match serde_json::to_value(value) {
        Ok(Value::Object(fields)) => Ok(fields),
        Ok(Value::Null) => Ok(Map::new()),
        Ok(_) => Err(Error::config(field, "must be a JSON object")),
        Err(error) => Err(Error::config(field, error.to_string())),
    }
}
