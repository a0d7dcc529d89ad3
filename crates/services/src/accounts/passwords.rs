//! `password/forgot`, `password/reset` and `password/change`.

use std::sync::Arc;

use downcity_core::audit::Target;
use downcity_core::{Cx, Error, Result, Secret, jobs};
use downcity_types::ErrorCode;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::json;

use super::letters::{Letter, Order, stored_secret};
use super::login::keep_password;
use super::password::{ARGON2ID, Password};
use super::proof::{self, invalid_code};
use super::records::{DONE, Done};
use super::service::Accounts;
use super::session;
use super::store::{codes, identities, users};
use super::throttle::{Attempt, Counted};
use super::verify::{MailIn, Mailed};

const KIND: &str = "reset";

#[derive(Deserialize, JsonSchema)]
pub(super) struct ResetIn {
    /// What was mailed.
    #[schemars(with = "String")]
    token: Secret,
    /// The new password: 8 to 128 characters.
    #[schemars(with = "String")]
    password: Secret,
}

#[derive(Deserialize, JsonSchema)]
pub(super) struct ChangeIn {
    /// The password so far.
    #[schemars(with = "String")]
    current_password: Secret,
    /// The new one: 8 to 128 characters.
    #[schemars(with = "String")]
    new_password: Secret,
}

/// A password was changed.
#[derive(Serialize, JsonSchema)]
pub(super) struct Changed {
    /// Always `true`.
    success: bool,
    /// How many other sessions were ended.
    ended_sessions: usize,
}

impl Accounts {
    pub(super) async fn password_forgot(self: Arc<Self>, cx: Cx, input: MailIn) -> Result<Mailed> {
        if !self.config.password_login {
            return Err(Error::new(ErrorCode::Forbidden, "Signing in by password is off here."));
        }
        self.mail_link(&cx, Letter::Reset, &input).await
    }

    pub(super) async fn password_reset(self: Arc<Self>, cx: Cx, input: ResetIn) -> Result<Done> {
        let password = Password::new(&input.password)?;
        let secret = stored_secret(Letter::Reset, "", input.token.expose());
        let (wanted, now) = (secret.clone(), cx.runtime().clock().now());
        // Before the work of a hash: a token cannot be guessed, but a server can be kept busy.
        let code = cx.runtime().db().read(move |tx| codes::find_by_secret(tx, KIND, &wanted, now));
        let code = code.await?.ok_or_else(invalid_code)?;
        let hash = self.hasher.turn().await?.hash(cx.runtime().random(), &password).await?;
        let notice = Order::new(Letter::PasswordChanged, &code.email, code.city_id.as_deref());
        let attempt = Attempt::new(&cx, Counted::Failures, &code.email);
        let (notice, email) = (notice.job(cx.runtime())?, code.email);
        cx.change(move |tx, trail| {
            let user = users::lock_by_email(tx, &email)?;
            let code = codes::take_by_secret(tx, KIND, &secret, now)?.ok_or_else(invalid_code)?;
            let user = user
                .filter(|user| Some(&user.user_id) == code.user_id.as_ref())
                .ok_or_else(invalid_code)?;
            proof::take_over(tx, &user, now)?;
            identities::set_password(tx, &user.user_id, &hash, ARGON2ID, now)?;
            session::end_others(tx, &user.user_id, None, now)?;
            // Whoever guesses must not keep the owner from using the new one.
            attempt.forgive_owner(tx, &user.user_id)?;
            codes::delete_of(tx, &user.email)?;
            trail.record(Target::new("user", &user.user_id), (), json!({"password": "reset"}));
            jobs::enqueue(tx, &notice)
        })
        .await?;
        cx.runtime().wake_workers();
        Ok(DONE)
    }

    pub(super) async fn password_change(
        self: Arc<Self>,
        cx: Cx,
        input: ChangeIn,
    ) -> Result<Changed> {
        let new = Password::new(&input.new_password)
            .map_err(|error| Error::invalid("new_password", error.message().to_owned()))?;
        let caller = cx.user()?;
        let user_id = caller.user_id.to_string();
        let user = cx.runtime().db().read(move |tx| users::find(tx, &user_id)).await?;
        let user = user.ok_or_else(no_account)?;
        let current = Password::attempt(&input.current_password);
        let proven = self.prove(&cx, &user.email, &current).await.map_err(wrong_password)?;
        let hash = self.hasher.turn().await?.hash(cx.runtime().random(), &new).await?;
        let keep = caller.token_id.as_deref().map(str::to_owned);
        let now = cx.runtime().clock().now();
        let mails = self.mailer.config().is_on();
        let city_id = Some(caller.city.city_id.as_str());
        let notice = Order::new(Letter::PasswordChanged, &user.email, city_id);
        let notice = notice.job(cx.runtime())?;
        let ended_sessions = cx
            .change(move |tx, _| {
                keep_password(tx, &proven, now)?;
                let user_id = &proven.user.user_id;
                identities::set_password(tx, user_id, &hash, ARGON2ID, now)?;
                codes::delete_of(tx, &proven.user.email)?;
                if mails {
                    jobs::enqueue(tx, &notice)?;
                }
                session::end_others(tx, user_id, keep.as_deref(), now)
            })
            .await?;
        cx.runtime().wake_workers();
        Ok(Changed { success: true, ended_sessions })
    }
}

/// A 404 for users whose tokens come from elsewhere.
pub(super) fn no_account() -> Error {
    Error::new(ErrorCode::NotFound, "This user has no account here.")
        .with_fix("POST /v1/accounts/register makes one.")
}

/// A wrong password of somebody who is signed in: not a 401, which would say that the token is bad.
pub(super) fn wrong_password(error: Error) -> Error {
    if error.code() != ErrorCode::InvalidLogin {
        return error;
    }
    Error::new(ErrorCode::Forbidden, "The current password is not right.")
        .with_fix("Without one, ask for a new password with POST /v1/accounts/password/forgot.")
}
