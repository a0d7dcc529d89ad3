//! `login`, `logout` and `me`.

use std::sync::Arc;

use downcity_core::token::{self, Revocation};
use downcity_core::{Cx, Error, NoInput, Result, Secret};
use downcity_db::Tx;
use downcity_types::{ErrorCode, Timestamp};
use schemars::JsonSchema;
use serde::Deserialize;

use super::hasher::Compared;
use super::password::{ARGON2ID, Password};
use super::records::{DONE, Done, Me, MeUser, SignedIn};
use super::service::Accounts;
use super::session::{self, Opening};
use super::store::identities::{self, CREDENTIAL};
use super::store::users::User;
use super::store::{sessions, users};

#[derive(Deserialize, JsonSchema)]
pub(super) struct LoginIn {
    /// The e-mail address.
    #[serde(default)]
    #[schemars(required, with = "String")]
    email: Option<String>,
    /// The password.
    #[serde(default)]
    #[schemars(required, with = "String")]
    password: Option<Secret>,
    /// The city to sign in to.
    #[serde(default)]
    #[schemars(required, with = "String")]
    city_id: Option<String>,
}

/// What is known of somebody who signs in with a password.
pub(super) struct Found {
    pub(super) user: Option<User>,
    /// The stored hash.
    pub(super) stored: Option<String>,
    any_scrypt: bool,
}

impl Accounts {
    pub(super) async fn login(self: Arc<Self>, cx: Cx, input: LoginIn) -> Result<SignedIn> {
        let email = input.email.unwrap_or_default().trim().to_ascii_lowercase();
        let password = input.password.unwrap_or_default();
        if email.is_empty() || password.expose().is_empty() {
            let field = if email.is_empty() { "email" } else { "password" };
            return Err(Error::new(ErrorCode::InvalidInput, "email and password required")
                .with_field(field, "is required"));
        }
        let city = session::city_of(cx.runtime(), input.city_id.as_deref())?;
        if !self.config.password_login {
            return Err(Error::new(ErrorCode::Forbidden, "Signing in by password is off here."));
        }
        let found = find(&cx, &email).await?;
        let compared = self.compare(&cx, &found, &Password::attempt(&password)).await?;
        let (Some(user), Some(stored)) = (found.user, found.stored) else { return Err(refused()) };
        if !compared.matches {
            return Err(refused());
        }
        let opening = Opening::new(&cx, self.config.token_ttl, &city, CREDENTIAL);
        let (user_id, now) = (user.user_id.clone(), cx.runtime().clock().now());
        let issued = cx
            .write(move |tx, trail| {
                keep_password(tx, &user_id, &stored, compared.rehashed.as_deref(), now)?;
                opening.open(tx, trail, &user_id)
            })
            .await?;
        Ok(SignedIn::new(user.email, issued))
    }

    /// Compares a password; the same work for everybody.
    pub(super) async fn compare(
        &self,
        cx: &Cx,
        found: &Found,
        password: &Password,
    ) -> Result<Compared> {
        let turn = self.hasher.turn().await?;
        let random = cx.runtime().random();
        turn.compare(random, password, found.stored.as_deref(), found.any_scrypt).await
    }

    pub(super) async fn logout(self: Arc<Self>, cx: Cx, _: NoInput) -> Result<Done> {
        let user = cx.user()?;
        // Tokens of other issuers have no session here; they end all the same.
        let Some(token_id) = user.token_id.as_deref().map(str::to_owned) else {
            return Err(Error::new(
                ErrorCode::Unprocessable,
                "This token has no id and cannot be ended alone.",
            )
            .with_fix("Its issuer ends it with POST /v1/cities/tokens/revoke."));
        };
        let revocation = Revocation::Token {
            city_id: Some(user.city.city_id.clone()),
            token_id: token_id.clone(),
            expires_at: user.expires_at,
        };
        let now = cx.runtime().clock().now();
        cx.change(move |tx, _| {
            token::revoke(tx, &revocation, now)?;
            sessions::delete(tx, &token_id)
        })
        .await?;
        Ok(DONE)
    }

    pub(super) async fn me(self: Arc<Self>, cx: Cx, _: NoInput) -> Result<Me> {
        let user = cx.user()?;
        let (user_id, metadata) = (user.user_id.to_string(), user.metadata());
        let wanted = user_id.clone();
        let account = cx.runtime().db().read(move |tx| users::find(tx, &wanted)).await?;
        Ok(Me { user: MeUser { user_id, metadata }, profile: account.map(Into::into) })
    }
}

/// What is known of the owner of an address.
async fn find(cx: &Cx, email: &str) -> Result<Found> {
    let email = email.to_owned();
    let find = move |tx: &mut Tx<'_>| {
        let user = users::find_by_email(tx, &email)?;
        // Asked for nobody too, so that the statements are the same.
        let user_id = user.as_ref().map_or("", |user| &user.user_id);
        let stored = identities::find_password(tx, user_id)?;
        Ok::<_, Error>(Found { stored, user, any_scrypt: identities::any_scrypt(tx)? })
    };
    cx.runtime().db().read(find).await
}

/// Makes sure that the password which was compared is still the user's, and stores its new hash where
/// there is one.
pub(super) fn keep_password(
    tx: &mut Tx<'_>,
    user_id: &str,
    compared: &str,
    rehashed: Option<&str>,
    now: Timestamp,
) -> Result<()> {
    let is_current = match rehashed {
        Some(hash) => identities::rehash(tx, user_id, compared, hash, ARGON2ID, now)?,
        None => identities::find_password(tx, user_id)?.as_deref() == Some(compared),
    };
    if is_current { Ok(()) } else { Err(refused()) }
}

/// A 401 that does not say what was wrong.
pub(super) fn refused() -> Error {
    Error::new(ErrorCode::InvalidLogin, "Invalid email or password")
}
