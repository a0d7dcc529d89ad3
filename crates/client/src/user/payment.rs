//! Ways to pay.

use std::sync::OnceLock;

use downcity_types::Items;
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value, json};

use crate::service::object;
use crate::{City, Error, Result, User};

/// Buying credits, for a user: [`City::payment`].
#[derive(Clone, Copy, Debug)]
pub struct Payment<'a> {
    city: &'a City<User>,
}

/// A way to pay, as the server lists it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct PaymentMethod {
    /// Its id, such as `stripe`.
    pub id: String,
    /// How it works: `checkout`.
    #[serde(rename = "type")]
    pub kind: String,
    /// Whether it can be used.
    pub enabled: bool,
    /// What people see.
    pub label: String,
    /// The service that sells.
    pub service: String,
    /// The action that is called to pay.
    pub action: String,
    /// Whether only a signed-in user can pay.
    pub requires_user: bool,
    /// ISO 4217 in lower case.
    pub currency: String,
    /// Why it cannot be used, such as `not_configured`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
    /// Whether no real money moves.
    #[serde(default)]
    pub test: bool,
    /// Further fields.
    #[serde(flatten)]
    pub extra: Map<String, Value>,
}

impl<'a> Payment<'a> {
    pub(super) fn new(city: &'a City<User>) -> Self {
        Self { city }
    }

    /// All ways to pay, also those that cannot be used now: `GET /v1/payment/methods`. Guests may ask.
    ///
    /// # Errors
    /// See [`Error`].
    pub async fn methods(&self) -> Result<Vec<PaymentMethod>> {
        let call = self.city.inner.get(&["payment", "methods"], &Value::Null)?;
        let methods: Items<PaymentMethod> = self.city.inner.json(call).await?;
        Ok(methods.items)
    }

    /// A handle of one way to pay. Nothing is asked of the server.
    ///
    /// # Errors
    /// [`Error::Config`] for a blank id.
    pub fn method(&self, id: impl Into<String>) -> Result<PaymentMethodHandle> {
        let id = id.into().trim().to_owned();
        if id.is_empty() {
            return Err(Error::config("method_id", "a payment method has an id that is not blank"));
        }
        Ok(PaymentMethodHandle { city: self.city.clone(), id, known: OnceLock::new() })
    }

    /// Pays: looks the method up and calls its action with `input` and the field `method_id`.
    ///
    /// # Errors
    /// Those of [`PaymentMethodHandle::invoke`], and [`Error::Config`] for a blank id.
    pub async fn invoke<T: DeserializeOwned>(
        &self,
        id: impl Into<String>,
        input: impl Serialize,
    ) -> Result<T> {
        self.method(id)?.invoke(input).await
    }
}

/// One way to pay: [`Payment::method`].
#[derive(Debug)]
pub struct PaymentMethodHandle {
    city: City<User>,
    id: String,
    known: OnceLock<PaymentMethod>,
}

impl PaymentMethodHandle {
    /// Id of the method.
    #[must_use]
    pub fn id(&self) -> &str {
        &self.id
    }

    /// What the server says of the method. It is asked once; what failed is asked again.
    ///
    /// # Errors
    /// [`Error::PaymentUnavailable`] for a method that the server does not list; see [`Error`].
    pub async fn describe(&self) -> Result<&PaymentMethod> {
        if let Some(method) = self.known.get() {
            return Ok(method);
        }
        let methods = self.city.payment().methods().await?;
        let method = methods
            .into_iter()
            .find(|method| method.id == self.id)
            .ok_or_else(|| Error::PaymentUnavailable { id: self.id.clone() })?;
        Ok(self.known.get_or_init(|| method))
    }

    /// Calls the action of the method with `input`, a JSON object, and the field `method_id`.
    ///
    /// # Errors
    /// [`Error::PaymentUnavailable`] for a method that the server does not list,
    /// [`Error::PaymentDisabled`] for one that cannot be used, [`Error::MissingUserToken`] for guests,
    /// [`Error::Config`] for an input that is no object; see [`Error`].
    pub async fn invoke<T: DeserializeOwned>(&self, input: impl Serialize) -> Result<T> {
        let method = self.describe().await?;
        if !method.enabled {
            let reason = method.reason.clone();
            return Err(Error::PaymentDisabled { id: self.id.clone(), reason });
        }
        if method.requires_user && self.city.inner.credential.is_none() {
            return Err(Error::MissingUserToken);
        }
        let mut body = object(input, "input")?;
        body.insert("method_id".to_owned(), json!(self.id));
        let path: Vec<&str> = ["payment"].into_iter().chain(method.action.split('/')).collect();
        let call = self.city.inner.post(&path, &Value::Object(body))?;
        self.city.inner.json(call).await
    }
}
