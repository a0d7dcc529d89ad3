//! `register`.

use std::sync::Arc;

use downcity_core::audit::{Target, Trail};
use downcity_core::{Cx, Error, Result, Secret, jobs};
use downcity_db::Tx;
use downcity_types::{City, ErrorCode, Timestamp};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::json;

use super::config::EmailVerification;
use super::email;
use super::letters::{Letter, Order};
use super::password::{ARGON2ID, Password};
use super::service::Accounts;
use super::session::{self, Opening};
use super::store::identities::{self, CREDENTIAL, NewIdentity};
use super::store::users::{self, User};
use super::throttle::{Attempt, Counted};

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
    /// `true` where nobody signs in before the address is verified.
    #[serde(skip_serializing_if = "Option::is_none")]
    verification_required: Option<bool>,
    /// That a mail was sent, where one was.
    #[serde(skip_serializing_if = "Option::is_none")]
    message: Option<&'static str>,
}

/// What is said where a mail goes out.
const MAILED: &str = "verification email sent";

impl Registered {
    /// Success, and nothing else.
    fn nothing_said() -> Self {
        Self {
            success: true,
            user_id: None,
            email: None,
            city_id: None,
            user_token: None,
            expires_at: None,
            verification_required: None,
            message: None,
        }
    }
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
        let attempts = self.attempts(&cx, &email);
        let take =
            move |tx: &mut Tx<'_>| attempts.iter().try_for_each(|attempt| attempt.take(tx, None));
        runtime.db().write(take).await?;
        let hash = self.hasher.turn().await?.hash(runtime.random(), &password).await?;
        let user = User::new(new_user_id(&cx), email, name, runtime.clock().now());
        let new = NewAccount { credential: credential(&user, hash), user };
        match self.config.email_verification {
            EmailVerification::Required => self.register_silently(&cx, new, city).await,
            _ => self.register_openly(&cx, new, city).await,
        }
    }

    /// What a registration counts as: where every one sends a mail, also as that.
    fn attempts(&self, cx: &Cx, email: &str) -> Vec<Attempt> {
        let mut counted = vec![Counted::Registrations];
        if self.config.email_verification == EmailVerification::Required {
            counted.push(Counted::Mails);
        }
        counted.into_iter().map(|counted| Attempt::new(cx, counted, email)).collect()
    }

    /// Says whether the address is free, and signs in where a city is named.
    async fn register_openly(
        &self,
        cx: &Cx,
        new: NewAccount,
        city: Option<Arc<City>>,
    ) -> Result<Registered> {
        let asks = self.config.email_verification == EmailVerification::Optional
            && self.mailer.config().is_on();
        let city_id = city.as_ref().map(|city| city.city_id.as_str());
        let letter = Order::new(Letter::Verify, &new.user.email, city_id).job(cx.runtime())?;
        let ttl = self.config.token_ttl;
        let opening = city.map(|city| Opening::new(cx, ttl, &city, CREDENTIAL));
        let (user_id, email) = (new.user.user_id.clone(), new.user.email.clone());
        let issued = cx
            .write(move |tx, trail| {
                if !new.insert(tx, trail)? {
                    return Err(email_taken());
                }
                if asks {
                    jobs::enqueue(tx, &letter)?;
                }
                let Some(opening) = &opening else { return Ok(None) };
                opening.open(tx, trail, &new.user.user_id).map(Some)
            })
            .await?;
        cx.runtime().wake_workers();
        let (user_token, city_id, expires_at) = issued.map_or((None, None, None), |issued| {
            (Some(issued.user_token), Some(issued.city_id), issued.expires_at)
        });
        Ok(Registered {
            message: asks.then_some(MAILED),
            user_id: Some(user_id),
            email: Some(email),
            city_id,
            user_token,
            expires_at,
            ..Registered::nothing_said()
        })
    }

    /// Says nothing: a mail tells the owner of the address what happened. Both ways run the same
    /// statements.
    async fn register_silently(
        &self,
        cx: &Cx,
        new: NewAccount,
        city: Option<Arc<City>>,
    ) -> Result<Registered> {
        let city_id = city.as_ref().map(|city| city.city_id.as_str());
        let order = |letter| Order::new(letter, &new.user.email, city_id).job(cx.runtime());
        let (verify, exists) = (order(Letter::Verify)?, order(Letter::Exists)?);
        cx.write(move |tx, trail| {
            let letter = if new.insert(tx, trail)? { &verify } else { &exists };
            jobs::enqueue(tx, letter)
        })
        .await?;
        cx.runtime().wake_workers();
        Ok(Registered {
            message: Some(MAILED),
            verification_required: Some(true),
            ..Registered::nothing_said()
        })
    }
}

/// An account that is about to be stored.
struct NewAccount {
    user: User,
    credential: NewIdentity,
}

impl NewAccount {
    /// Stores the account; `false` when the address is taken.
    fn insert(&self, tx: &mut Tx<'_>, trail: &mut Trail) -> Result<bool> {
        let is_new = users::insert(tx, &self.user)?;
        identities::insert(tx, &self.credential)?;
        if is_new {
            record_new(trail, &self.user);
        } else {
            trail.unchanged();
        }
        Ok(is_new)
    }
}

/// Records an account that the trusted side has made.
pub(super) fn record_new(trail: &mut Trail, user: &User) {
    trail.record(Target::new("user", &user.user_id), (), json!({"email": user.email}));
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

/// A 409 for an address that another account has.
pub(super) fn email_taken() -> Error {
    Error::new(ErrorCode::EmailTaken, "email already registered")
        .with_fix("Sign in with POST /v1/accounts/login, or ask for a new password.")
}
