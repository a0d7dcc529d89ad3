//! `login`, `logout` and `me`.

use std::sync::Arc;

use downcity_core::token::{self, Revocation};
use downcity_core::{Cx, Error, NoInput, Result, Secret};
use downcity_db::Tx;
use downcity_types::{ErrorCode, Timestamp};
use schemars::JsonSchema;
use serde::Deserialize;

use super::config::EmailVerification;
use super::password::{ARGON2ID, Password};
use super::prove::Proven;
use super::records::{DONE, Done, Me, MeUser, SignedIn};
use super::service::Accounts;
use super::session::{self, Opening};
use super::store::identities::{self, CREDENTIAL};
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
        let proven = self.prove(&cx, &email, &Password::attempt(&password)).await?;
        if self.config.email_verification == EmailVerification::Required
            && !proven.user.email_verified
        {
            return Err(unverified());
        }
        let opening = Opening::new(&cx, self.config.token_ttl, &city, CREDENTIAL);
        let (email, now) = (proven.user.email.clone(), cx.runtime().clock().now());
        let issued = cx
            .write(move |tx, trail| {
                keep_password(tx, &proven, now)?;
                opening.open(tx, trail, &proven.user.user_id)
            })
            .await?;
        Ok(SignedIn::new(email, issued))
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

/// Holds the account, makes sure that the password which was compared is still the user's, stores its
/// new hash where there is one, and forgives earlier failures.
pub(super) fn keep_password(tx: &mut Tx<'_>, proven: &Proven, now: Timestamp) -> Result<()> {
    let (user_id, stored) = (&proven.user.user_id, &proven.stored);
    users::lock(tx, user_id)?.ok_or_else(refused)?;
    let is_current = match &proven.rehashed {
        Some(hash) => identities::rehash(tx, user_id, stored, hash, ARGON2ID, now)?,
        None => identities::find_password(tx, user_id)?.as_ref() == Some(stored),
    };
    if !is_current {
        return Err(refused());
    }
    proven.attempt.as_ref().map_or(Ok(()), |attempt| attempt.forgive(tx))
}

/// A 401 that does not say what was wrong.
pub(super) fn refused() -> Error {
    Error::new(ErrorCode::InvalidLogin, "Invalid email or password")
}

/// A 403 for those who have not proved that their address is theirs.
fn unverified() -> Error {
    Error::new(ErrorCode::EmailUnverified, "Verify your e-mail address first; a mail says how.")
        .with_fix("POST /v1/accounts/verify-email/resend sends the mail again.")
}
