//! `register`.

use std::sync::Arc;

use downcity_core::audit::{Target, Trail};
use downcity_core::{Cx, Error, Result, Secret};
use downcity_db::Tx;
use downcity_types::{ErrorCode, Timestamp};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::json;

use super::email;
use super::password::{ARGON2ID, Password};
use super::service::Accounts;
use super::session::{self, Opening};
use super::store::identities::{self, CREDENTIAL, NewIdentity};
use super::store::users::{self, User};

/// Longest name, in characters.
pub(super) const NAME_CHARS: usize = 200;

#[derive(Deserialize, JsonSchema)]
pub(super) struct RegisterIn {
    /// The e-mail address.
    #[serde(default)]
    #[schemars(required, with = "String")]
    email: Option<String>,
    /// The password: 8 to 128 characters.
    #[serde(default)]
    #[schemars(required, with = "String")]
    password: Option<Secret>,
    /// What people see; without it the part of the address before the `@`.
    #[serde(default)]
    name: Option<String>,
    /// The city to sign in to.
    #[serde(default)]
    city_id: Option<String>,
}

/// What came of a registration.
#[derive(Serialize, JsonSchema)]
pub(super) struct Registered {
    /// Always `true`.
    success: bool,
    /// The new user.
    #[serde(skip_serializing_if = "Option::is_none")]
    user_id: Option<String>,
    /// The address in its normal form.
    #[serde(skip_serializing_if = "Option::is_none")]
    email: Option<String>,
    /// The city that the token is for.
    #[serde(skip_serializing_if = "Option::is_none")]
    city_id: Option<String>,
    /// The credential for the calls of this user, when a city was named.
    #[serde(skip_serializing_if = "Option::is_none")]
    user_token: Option<String>,
    /// When the token ends.
    #[serde(skip_serializing_if = "Option::is_none")]
    expires_at: Option<Timestamp>,
}

impl Accounts {
    pub(super) async fn register(self: Arc<Self>, cx: Cx, input: RegisterIn) -> Result<Registered> {
        if !self.config.registration {
            return Err(Error::new(ErrorCode::Forbidden, "Registration is closed here."));
        }
        let email = email::normalise(input.email.as_deref().unwrap_or_default())?;
        let password = Password::new(&input.password.unwrap_or_default())?;
        let name = given_name(input.name.as_deref(), &email)?;
        let runtime = cx.runtime();
        let city = match input.city_id.as_deref().map(str::trim) {
            None | Some("") => None,
            city_id => Some(session::city_of(runtime, city_id)?),
        };
        let hash = self.hasher.turn().await?.hash(runtime.random(), &password).await?;
        let user = User::new(new_user_id(&cx), email, name, runtime.clock().now());
        let credential = credential(&user, hash);
        let opening = city.map(|city| Opening::new(&cx, self.config.token_ttl, &city, CREDENTIAL));
        let stored = user.clone();
        let issued = cx
            .write(move |tx, trail| {
                insert(tx, trail, &stored, &credential)?;
                let Some(opening) = &opening else { return Ok(None) };
                opening.open(tx, trail, &stored.user_id).map(Some)
            })
            .await?;
        let (user_token, city_id, expires_at) = issued.map_or((None, None, None), |issued| {
            (Some(issued.user_token), Some(issued.city_id), issued.expires_at)
        });
        let (user_id, email) = (Some(user.user_id), Some(user.email));
        Ok(Registered { success: true, user_id, email, city_id, user_token, expires_at })
    }
}

/// An id for a new account.
pub(super) fn new_user_id(cx: &Cx) -> String {
    cx.runtime().ids().secret::<18>("usr_")
}

/// The password of a new account.
pub(super) fn credential(user: &User, hash: String) -> NewIdentity {
    NewIdentity {
        provider: CREDENTIAL.to_owned(),
        subject: user.user_id.clone(),
        user_id: user.user_id.clone(),
        secret: Some((hash, ARGON2ID)),
        email: None,
        now: user.created_at,
    }
}

/// The name of a new account.
pub(super) fn given_name(name: Option<&str>, email: &str) -> Result<String> {
    let name = name.map(str::trim).filter(|name| !name.is_empty());
    let name = name.unwrap_or_else(|| email::local_part(email));
    if name.chars().count() > NAME_CHARS || name.contains('\0') {
        let problem = format!("must have at most {NAME_CHARS} characters, none of them NUL");
        return Err(Error::invalid("name", problem));
    }
    Ok(name.to_owned())
}

fn insert(tx: &mut Tx<'_>, trail: &mut Trail, user: &User, credential: &NewIdentity) -> Result<()> {
    if users::insert(tx, user)? && identities::insert(tx, credential)? {
        trail.record(Target::new("user", &user.user_id), (), json!({"email": user.email}));
        return Ok(());
    }
    Err(Error::new(ErrorCode::EmailTaken, "email already registered")
        .with_fix("Sign in with POST /v1/accounts/login, or ask for a new password."))
}
