//! Calls of a Federation over its public HTTP API.

use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use downcity::{AdminCity, Backup, City, Error, RetryPolicy, ServiceInfo, UserCity};
use downcity_server::FailureKind;
use secrecy::{ExposeSecret as _, SecretString};
use serde_json::{Map, Value};

use crate::connection::Connection;
use crate::failure::Failure;

/// The longest answer of an action of the trusted side.
const ANSWER_TIME: Duration = Duration::from_secs(60);

/// A Federation as commands reach it.
pub(crate) struct Remote {
    url: String,
    side: Side,
}

/// As whom.
enum Side {
    Admin(AdminCity),
    User(UserCity),
}

/// The same call on whichever side.
macro_rules! on_its_side {
    ($remote:expr, $city:ident => $call:expr) => {
        match &$remote.side {
            Side::Admin($city) => $call,
            Side::User($city) => $call,
        }
    };
}

impl Remote {
    /// The trusted side of a Federation.
    ///
    /// # Errors
    /// When no admin key is known, or the address is none.
    pub(crate) fn admin(connection: Connection) -> Result<Self, Failure> {
        Self::admin_within(connection, ANSWER_TIME)
    }

    /// The same, where an answer may take so long.
    ///
    /// # Errors
    /// As [`Remote::admin`].
    pub(crate) fn admin_within(connection: Connection, limit: Duration) -> Result<Self, Failure> {
        let Some(key) = connection.admin_key.clone() else {
            return Err(Failure::new(
                FailureKind::NotAllowed,
                format!(
                    "No admin key is known for {}. Store it with `fed login`, or give it with \
                     --admin-key-file{}.",
                    connection.url,
                    // The environment's is not taken for a stored server.
                    if connection.name.is_some() {
                        ""
                    } else {
                        " or DOWNCITY_FEDERATION_ADMIN_SECRET_KEY"
                    }
                ),
            ));
        };
        let admin = City::admin(&connection.url)
            .admin_secret_key(key)
            .retry(RetryPolicy::none())
            .timeout(limit)
            .build()
            .map_err(|error| failure(&connection.url, &error))?;
        Ok(Self { url: connection.url, side: Side::Admin(admin) })
    }

    /// The side of a user, with the user_token of the environment.
    ///
    /// # Errors
    /// When there is none, when it does not say its city, or when the address is none.
    pub(crate) fn user(connection: &Connection) -> Result<Self, Failure> {
        let Some(token) = &connection.user_token else {
            return Err(Failure::new(
                FailureKind::NotAllowed,
                "This is for users: put a user_token into DOWNCITY_USER_TOKEN; \
                 `fed token issue` makes one.",
            ));
        };
        let city = City::user(&connection.url).user_token(token.clone());
        let city = match city_of(token) {
            Some(city_id) => city.city_id(city_id),
            None => city,
        };
        let city = city.build().map_err(|error| failure(&connection.url, &error))?;
        Ok(Self { url: connection.url.clone(), side: Side::User(city) })
    }

    /// Reads an action such as `cities/list`; fields that are `null` are left out.
    ///
    /// # Errors
    /// What the server says, or that it is not reached.
    pub(crate) async fn get(&self, path: &str, query: Value) -> Result<Value, Failure> {
        let (service, action) = split(path);
        let answer = on_its_side!(self, city => match city.service(service) {
            Ok(service) => service.get(action, query).await,
            Err(error) => Err(error),
        });
        answer.map_err(|error| self.failed(&error))
    }

    /// Calls an action such as `cities/create`; fields that are `null` are left out.
    ///
    /// # Errors
    /// As [`Remote::get`].
    pub(crate) async fn post(&self, path: &str, input: Value) -> Result<Value, Failure> {
        self.post_once(path, input, None).await
    }

    /// The same, which has one effect for each key, however often it is called.
    ///
    /// # Errors
    /// As [`Remote::get`].
    pub(crate) async fn post_once(
        &self,
        path: &str,
        input: Value,
        key: Option<&str>,
    ) -> Result<Value, Failure> {
        let (service, action) = split(path);
        let input = without_nulls(input);
        let answer = on_its_side!(self, city => match city.service(service) {
            Ok(service) => {
                let action = service.action(action);
                match key {
                    Some(key) => action.idempotency_key(key).invoke(input).await,
                    None => action.invoke(input).await,
                }
            }
            Err(error) => Err(error),
        });
        answer.map_err(|error| self.failed(&error))
    }

    /// The text of any route by its path.
    ///
    /// # Errors
    /// As [`Remote::get`].
    pub(crate) async fn query(
        &self,
        method: http::Method,
        path: &str,
        body: Option<&Value>,
    ) -> Result<String, Failure> {
        let answer = on_its_side!(self, city => city.query(method, path, body).await);
        answer.map_err(|error| self.failed(&error))
    }

    /// Calls any action by its path, such as `usage/requests/req_1`. It has one effect for a key, where
    /// one is given. An answer that is no JSON is a text.
    ///
    /// # Errors
    /// As [`Remote::get`].
    pub(crate) async fn call(
        &self,
        is_get: bool,
        path: &str,
        input: &Value,
        key: Option<&str>,
    ) -> Result<Value, Failure> {
        let path = address(path, is_get.then_some(input))?;
        let text = match key.filter(|_| !is_get) {
            Some(key) => {
                let answer = on_its_side!(self, city => city.query_once(&path, input, key).await);
                answer.map_err(|error| self.failed(&error))?
            }
            None if is_get => self.query(http::Method::GET, &path, None).await?,
            None => self.query(http::Method::POST, &path, Some(input)).await?,
        };
        Ok(serde_json::from_str(&text).unwrap_or(Value::String(text)))
    }

    /// A copy of the database, as it comes.
    ///
    /// # Errors
    /// As [`Remote::get`].
    pub(crate) async fn backup(&self) -> Result<Backup, Failure> {
        let Side::Admin(city) = &self.side else {
            return Err(Failure::new(FailureKind::NotAllowed, "This takes the admin key."));
        };
        city.backup().await.map_err(|error| self.failed(&error))
    }

    /// What the Federation offers.
    ///
    /// # Errors
    /// As [`Remote::get`].
    pub(crate) async fn services(&self) -> Result<Vec<ServiceInfo>, Failure> {
        let services = on_its_side!(self, city => city.list_services().await);
        services.map_err(|error| self.failed(&error))
    }

    /// What a failed call says to the person, and its exit code.
    pub(crate) fn failed(&self, error: &Error) -> Failure {
        failure(&self.url, error)
    }
}

/// The city that a token of ours names in its payload. Whether the token is good, the server says.
pub(crate) fn city_of(token: &SecretString) -> Option<String> {
    let mut parts = token.expose_secret().trim().split('.');
    let payload = match parts.next()?.strip_prefix("ub_") {
        Some(payload) => payload,
        None => parts.next()?,
    };
    let payload: Value = serde_json::from_slice(&URL_SAFE_NO_PAD.decode(payload).ok()?).ok()?;
    let named =
        ["city_id", "studio_id", "product_id"].iter().find_map(|name| payload[name].as_str());
    named.map(str::to_owned)
}

/// The path of an action, with its query; fields that are `null` are left out.
fn address(action: &str, query: Option<&Value>) -> Result<String, Failure> {
    let mut url = reqwest::Url::parse("http://federation/")
        .map_err(|error| Failure::usage(error.to_string()))?;
    url.set_path(&format!("/v1/{action}"));
    let fields = query.and_then(Value::as_object).into_iter().flatten();
    for (name, value) in fields.filter(|(_, value)| !value.is_null()) {
        let text = value.as_str().map_or_else(|| value.to_string(), str::to_owned);
        url.query_pairs_mut().append_pair(name, &text);
    }
    let path = url.path().to_owned();
    Ok(url.query().map_or_else(|| path.clone(), |query| format!("{path}?{query}")))
}

fn split(path: &str) -> (&str, &str) {
    path.split_once('/').unwrap_or((path, ""))
}

/// An object without its fields that are `null`.
pub(crate) fn without_nulls(input: Value) -> Value {
    match input {
        Value::Object(fields) => {
            let set = fields.into_iter().filter(|(_, value)| !value.is_null());
            Value::Object(set.collect::<Map<_, _>>())
        }
        other => other,
    }
}

/// A sentence for a failed call, and the exit code of its class.
pub(crate) fn failure(url: &str, error: &Error) -> Failure {
    let kind = match error {
        Error::Transport { .. } | Error::Timeout { .. } => FailureKind::Unreachable,
        Error::Config { .. } => return Failure::usage(error.to_string()),
        _ => match error.status() {
            Some(401 | 403) => FailureKind::NotAllowed,
            Some(404) => FailureKind::NotFound,
            Some(409) => FailureKind::Conflict,
            _ => FailureKind::Failed,
        },
    };
    let message = match (error, error.message()) {
        (Error::Transport { source, .. }, _) => {
            format!(
                "{url} is not reached: {source}. Is the server running? `fed server list` shows where commands go."
            )
        }
        (Error::Timeout { after, .. }, _) => {
            format!("{url} gave no answer within {} s.", after.as_secs())
        }
        (_, Some(said)) if error.status() == Some(401) => {
            let told = with_fix(said, error.body());
            format!("{told}\nThe key is stored with `fed login`, or given with --admin-key-file.")
        }
        (_, Some(said)) => with_fix(said, error.body()),
        (other, None) => other.to_string(),
    };
    let failure = Failure::new(kind, message);
    if is_open(error) { failure.open() } else { failure }
}

/// Whether the call may have been carried out all the same: its answer never came, or is that of something
/// between.
fn is_open(error: &Error) -> bool {
    match error {
        Error::Transport { .. } | Error::Timeout { .. } | Error::Decode { .. } => true,
        _ if error.code() == Some("commit_unknown") => true,
        _ => error.code().is_none() && error.status().is_some_and(|status| status >= 500),
    }
}

/// The server's sentence with what it says to do next, and the fields it means.
fn with_fix(said: &str, body: Option<&str>) -> String {
    let told: Value = body.and_then(|body| serde_json::from_str(body).ok()).unwrap_or_default();
    let mut text = said.to_owned();
    for detail in told["details"].as_array().into_iter().flatten() {
        if let (Some(field), Some(message)) = (detail["path"].as_str(), detail["message"].as_str())
            && !said.contains(message)
        {
            text.push_str(&format!("\n  {field}: {message}"));
        }
    }
    if let Some(fix) = told["fix"].as_str() {
        text.push('\n');
        text.push_str(fix);
    }
    text
}
