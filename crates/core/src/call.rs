//! One call: what hooks and handlers see of a request.

use std::any::Any;
use std::future::Future;
use std::net::IpAddr;
use std::ops::Deref;
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};
use std::time::Instant;

use downcity_db::Tx;
use downcity_types::{City, ErrorCode, Timestamp};
use http::request::Parts;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use crate::action::Action;
use crate::audit::Trail;
use crate::decode::InputSource;
use crate::dialect::Speech;
use crate::env::{CityEnv, CityValues, EnvValues};
use crate::fact::Ending;
use crate::{Body, Dialect, Error, Identity, Result, Runtime, UserIdentity};

/// Where a request comes from: an extension of the request that the transport adds.
///
/// It is the address of the socket or, where that is a configured proxy, what the proxy says. An
/// address of IPv4 is one, also where a socket of IPv6 took the connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ClientAddress(IpAddr);

impl ClientAddress {
    /// This address; one of IPv4 in the clothes of IPv6 (`::ffff:192.0.2.1`) is undressed.
    pub fn new(address: IpAddr) -> Self {
        Self(address.to_canonical())
    }

    /// The address that the transport gave to a request.
    pub(crate) fn of(extensions: &http::Extensions) -> Option<IpAddr> {
        extensions.get::<Self>().map(|address| address.0)
    }

    /// The address.
    pub fn get(self) -> IpAddr {
        self.0
    }
}

/// What a call consumed, for usage facts and prices. Counts are totals of this call.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default)]
pub struct Metering {
    /// The provider that did the work.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub provider_id: Option<String>,
    /// The catalog's model id.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub model_id: Option<String>,
    /// The provider's own name of the model.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub upstream_model: Option<String>,
    /// Input tokens that were not served from a cache.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub input_tokens: Option<u64>,
    /// Output tokens, reasoning included.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub output_tokens: Option<u64>,
    /// Input tokens served from the provider's cache.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub cached_tokens: Option<u64>,
    /// Images produced.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub image_count: Option<u64>,
    /// Seconds of video produced.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub video_seconds: Option<u64>,
    /// Seconds of audio produced or heard.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub audio_seconds: Option<u64>,
    /// Upstream requests, usually 1.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub request_count: Option<u64>,
    /// Milliseconds until the reply was complete.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub duration_ms: Option<u64>,
    /// Milliseconds until the first byte of the answer.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub first_byte_ms: Option<u64>,
    /// The provider's usage object, untouched.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub raw_usage: Option<Value>,
    /// Further facts, such as `mode`.
    #[serde(skip_serializing_if = "Map::is_empty")]
    pub metadata: Map<String, Value>,
}

/// Values that hooks and the handler of one call leave for each other, one per type.
#[derive(Default)]
pub struct Locals(Mutex<http::Extensions>);

impl Locals {
    /// Leaves a value; an earlier one of the same type is replaced.
    pub fn put<T: Clone + Send + Sync + 'static>(&self, value: T) {
        lock(&self.0).insert(value);
    }

    /// A copy of the value of this type.
    pub fn get<T: Clone + Send + Sync + 'static>(&self) -> Option<T> {
        lock(&self.0).get::<T>().cloned()
    }
}

/// A panic while a lock was held leaves plain data behind, which stays usable.
pub(crate) fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// One request on its way through hooks and handler.
pub struct Call {
    pub(crate) runtime: Arc<Runtime>,
    pub(crate) action: Arc<Action>,
    pub(crate) request_id: Arc<str>,
    pub(crate) identity: Identity,
    pub(crate) parts: Parts,
    pub(crate) input: InputSource,
    pub(crate) speech: Speech,
    /// The unread body, for actions that take the raw request.
    pub(crate) raw_body: Mutex<Body>,
    pub(crate) started: Instant,
    pub(crate) started_at: Timestamp,
    pub(crate) locals: Locals,
    pub(crate) metering: Mutex<Metering>,
    pub(crate) ending: Ending,
    /// See [`Call::served_city`].
    pub(crate) served_city: OnceLock<Option<String>>,
    /// What the call's city had of its own when [`Call::city_env`] was first asked.
    pub(crate) own_env: OnceLock<Option<Arc<CityValues>>>,
    /// What [`Call::city_env`] has found.
    pub(crate) city_env: Mutex<Vec<(Box<str>, CityEnv)>>,
}

impl Call {
    /// The running node: database, clock, snapshot, registry.
    pub fn runtime(&self) -> &Arc<Runtime> {
        &self.runtime
    }

    /// The action that is called.
    pub fn action(&self) -> &Action {
        &self.action
    }

    /// The id of this request, as in the `x-request-id` header of its answer.
    pub fn request_id(&self) -> &str {
        &self.request_id
    }

    /// Which generation of clients the call comes from, as far as shapes and amounts hang on it. It
    /// is what the call states, by the path `/compat/{dialect}` or the header `x-downcity-dialect`,
    /// else the dialect of its route. Field names need no care: see [`Call::words`].
    pub fn dialect(&self) -> Dialect {
        self.speech.dialect
    }

    /// Whose words for a city the answer is in: those of the route's family, else of
    /// [`Call::dialect`], else those that the input used. `city_id` is renamed after the `after`
    /// hooks, at the top of JSON answers and in their `items`.
    pub fn words(&self) -> Dialect {
        self.speech.words
    }

    /// The caller.
    pub fn identity(&self) -> &Identity {
        &self.identity
    }

    /// The calling user.
    ///
    /// # Errors
    /// 401 when the caller is not a user, which only an action open to others can meet.
    pub fn user(&self) -> Result<&UserIdentity> {
        self.identity.user().ok_or_else(|| {
            Error::new(ErrorCode::MissingCredential, "This call needs a user_token.")
        })
    }

    /// The calling user's city.
    pub fn city(&self) -> Option<&Arc<City>> {
        self.identity.user().map(|user| &user.city)
    }

    /// Where the call comes from: the address of the socket, or what a trusted proxy says. `None`
    /// for calls that came over no network.
    pub fn client_address(&self) -> Option<IpAddr> {
        ClientAddress::of(&self.parts.extensions)
    }

    /// Method, address and headers of the request.
    pub fn parts(&self) -> &Parts {
        &self.parts
    }

    /// When the request arrived.
    pub fn started_at(&self) -> Timestamp {
        self.started_at
    }

    /// How long the call has been under way.
    pub fn elapsed(&self) -> std::time::Duration {
        self.started.elapsed()
    }

    /// The input as JSON; parsed on first use. `Null` for actions that take the raw request.
    pub fn input(&self) -> &Value {
        self.input.value()
    }

    /// Replaces the input; it is decoded again before the handler runs.
    pub fn set_input(&mut self, input: Value) {
        self.input.replace(input);
    }

    /// What hooks and handler leave for each other.
    pub fn locals(&self) -> &Locals {
        &self.locals
    }

    /// Changes the metering of this call.
    pub fn meter(&self, change: impl FnOnce(&mut Metering)) {
        change(&mut lock(&self.metering));
    }

    /// The metering so far.
    pub fn metering(&self) -> Metering {
        lock(&self.metering).clone()
    }

    /// Runs a write of this call, with the audit trail beside its transaction: on the trusted side
    /// every write says what it changed, with [`Trail::record`] or [`Trail::unchanged`], and its
    /// rows are stored with it or not at all. For users and guests the trail does nothing.
    ///
    /// As for [`Db::write`](downcity_db::Db::write), the closure may run several times.
    ///
    /// # Errors
    /// Those of the closure; 500 when a write of the trusted side recorded nothing: it is undone.
    pub fn write<T, F>(&self, mut write: F) -> impl Future<Output = Result<T>> + Send + use<T, F>
    where
        F: FnMut(&mut Tx<'_>, &mut Trail) -> Result<T> + Send + 'static,
        T: Send + 'static,
    {
        let (runtime, trail) = (self.runtime.clone(), Trail::of(self));
        async move { runtime.db().write(move |tx| trail.run(tx, &mut write)).await }
    }

    /// Like [`Call::write`], for what the snapshot shows: see [`Runtime::change`].
    ///
    /// # Errors
    /// As [`Call::write`]; 503 when the change is stored but could not be loaded yet.
    pub fn change<T, F>(&self, mut write: F) -> impl Future<Output = Result<T>> + Send + use<T, F>
    where
        F: FnMut(&mut Tx<'_>, &mut Trail) -> Result<T> + Send + 'static,
        T: Send + 'static,
    {
        let (runtime, trail) = (self.runtime.clone(), Trail::of(self));
        async move { runtime.change(move |tx| trail.run(tx, &mut write)).await }
    }

    /// A runtime value of the env vault; `None` when it is absent or empty.
    pub fn env(&self, key: &str) -> Option<crate::Secret> {
        self.runtime.snapshot().env().get(key)
    }

    /// Like [`Call::env`], for values the action cannot do without.
    ///
    /// # Errors
    /// 500 `missing_config`; the key is named to the trusted side only.
    pub fn require_env(&self, key: &str) -> Result<crate::Secret> {
        self.env(key).ok_or_else(|| Error::missing_config(key))
    }

    /// The city that the call is made for: the user's, or for the trusted side the one that the input
    /// names as `city_id`, where there is one of that id.
    pub fn served_city(&self) -> Option<&str> {
        if let Some(user) = self.identity.user() {
            return Some(&user.city.city_id);
        }
        let named = || {
            let named = self.input.city_id().ok().flatten()?;
            self.runtime.snapshot().city(&named).map(|city| city.city_id.clone())
        };
        self.served_city.get_or_init(named).as_deref()
    }

    /// A value of the env vault for the city that the call is made for: the city's own, else the
    /// Federation's; `None` when it is absent or empty. For what a city may have keys of its own for:
    /// anything else reads [`Call::env`], which never sees a city's.
    ///
    /// Within one call a key keeps the value that was found first, so that what was sent is what is
    /// masked afterwards. What is the city's own is seen as it stood at the first look, whatever key
    /// that was for: an API key goes with the address that was stored with it.
    pub fn city_env(&self, key: &str) -> Option<CityEnv> {
        if let Some((_, found)) = lock(&self.city_env).iter().find(|(known, _)| **known == *key) {
            return Some(found.clone());
        }
        let snapshot = self.runtime.snapshot();
        let values = snapshot.env();
        let own = self.own_env.get_or_init(|| values.of_city(self.env_city(values)).cloned());
        let found = values.get_beside(own.as_deref(), key)?;
        drop(snapshot);
        let mut kept = lock(&self.city_env);
        if let Some((_, first)) = kept.iter().find(|(known, _)| **known == *key) {
            return Some(first.clone());
        }
        kept.push((key.into(), found.clone()));
        Some(found)
    }

    /// Like [`Call::city_env`], for values the action cannot do without.
    ///
    /// # Errors
    /// 500 `missing_config`; the key is named to the trusted side only.
    pub fn require_city_env(&self, key: &str) -> Result<CityEnv> {
        self.city_env(key).ok_or_else(|| Error::missing_config(key))
    }

    /// What [`Call::city_env`] would give, for what shows the state of values. No read of it.
    pub fn peek_city_env(&self, key: &str) -> Option<CityEnv> {
        let snapshot = self.runtime.snapshot();
        snapshot.env().peek_beside(self.own_env(snapshot.env()), key)
    }

    /// Whether the key has a value for the city that the call is made for. No read of it.
    pub fn has_city_env(&self, key: &str) -> bool {
        let snapshot = self.runtime.snapshot();
        snapshot.env().is_configured_beside(self.own_env(snapshot.env()), key)
    }

    /// Whether the city that the call is made for has an entry of its own for the key.
    pub fn is_city_env(&self, key: &str) -> bool {
        let snapshot = self.runtime.snapshot();
        snapshot.env().is_own(self.own_env(snapshot.env()), key)
    }

    /// What the city has of its own, as the call sees it.
    fn own_env<'a>(&'a self, values: &'a EnvValues) -> Option<&'a CityValues> {
        match self.own_env.get() {
            Some(own) => own.as_deref(),
            None => values.of_city(self.env_city(values)).map(Arc::as_ref),
        }
    }

    /// The city whose values count; not looked for where none has any.
    fn env_city(&self, values: &EnvValues) -> Option<&str> {
        if values.is_same_for_all() { None } else { self.served_city() }
    }
}

impl std::fmt::Debug for Call {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        // Headers and input may hold secrets: neither is shown.
        f.debug_struct("Call")
            .field("request_id", &self.request_id)
            .field("action", &self.action.path())
            .field("identity", &self.identity.kind())
            .finish_non_exhaustive()
    }
}

/// A call as its handler holds it: cheap to clone and to send to a task.
#[derive(Clone, Debug)]
pub struct Cx(pub(crate) Arc<Call>);

impl Deref for Cx {
    type Target = Call;

    fn deref(&self) -> &Call {
        &self.0
    }
}

/// A decoded input on its way from `decode` to `run`, its type known to the handler alone.
pub(crate) type AnyInput = Box<dyn Any + Send>;
