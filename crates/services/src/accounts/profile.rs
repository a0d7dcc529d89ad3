//! `profile/update`, `email/change`, `email/change/confirm` and `account/delete`.

use std::sync::Arc;

use downcity_core::{Cx, Error, Result, Secret, jobs};
use downcity_db::Tx;
use downcity_types::{ErrorCode, Timestamp};
use schemars::JsonSchema;
use serde::Deserialize;

use super::email;
use super::letters::{LINK_LIFE, Letter, Order, stored_secret};
use super::login::keep_password;
use super::password::Password;
use super::passwords::{no_account, wrong_password};
use super::proof::invalid_code;
use super::records::{DONE, Done, Profile};
use super::register::{NAME_CHARS, email_taken};
use super::service::Accounts;
use super::session;
use super::store::users::{self, User};
use super::store::{codes, identities};
use super::verify::Mailed;

/// Longest text that users write about themselves, and longest address of a picture, in characters.
const BIO_CHARS: usize = 2_000;
const URL_CHARS: usize = 2_000;

/// How long after signing in somebody without a password may delete the account.
const FRESH_SECONDS: i64 = 15 * 60;

const KIND: &str = "email_change";

#[derive(Deserialize, JsonSchema)]
pub(super) struct ProfileIn {
    /// The name that others see; at most 200 characters.
    #[serde(default)]
    display_name: Option<String>,
    /// The address of a picture (`https://…`); empty for none.
    #[serde(default)]
    avatar_url: Option<String>,
    /// What others may know; at most 2,000 characters.
    #[serde(default)]
    bio: Option<String>,
}

#[derive(Deserialize, JsonSchema)]
pub(super) struct EmailChangeIn {
    /// The new address.
    new_email: String,
    /// The password of the account.
    #[schemars(with = "String")]
    password: Secret,
}

#[derive(Deserialize, JsonSchema)]
pub(super) struct ConfirmIn {
    /// What was mailed to the new address.
    #[schemars(with = "String")]
    token: Secret,
}

#[derive(Deserialize, JsonSchema)]
pub(super) struct DeleteIn {
    /// The password; without one the session has to be younger than 15 minutes.
    #[serde(default)]
    #[schemars(with = "Option<String>")]
    password: Option<Secret>,
}

/// Whether a text is an address of the web, and not one that does something else in the browsers of
/// those to whom it is shown.
pub(super) fn is_web(url: &str) -> bool {
    (url.starts_with("https://") || url.starts_with("http://")) && !url.contains(char::is_control)
}

impl ProfileIn {
    /// Checks what was sent, and puts it into an account.
    fn apply(self, user: &mut User) -> Result<()> {
        let checked = |field: &str, text: String, most: usize| {
            let text = text.trim().to_owned();
            if text.chars().count() > most || text.contains('\0') {
                return Err(Error::invalid(
                    field,
                    format!("must have at most {most} characters, none of them NUL"),
                ));
            }
            Ok(text)
        };
        if let Some(name) = self.display_name {
            user.display_name = checked("display_name", name, NAME_CHARS)?;
        }
        if let Some(url) = self.avatar_url {
            user.avatar_url = checked("avatar_url", url, URL_CHARS)?;
            if !user.avatar_url.is_empty() && !is_web(&user.avatar_url) {
                return Err(Error::invalid("avatar_url", "must be a web address"));
            }
        }
        if let Some(bio) = self.bio {
            user.bio = checked("bio", bio, BIO_CHARS)?;
        }
        Ok(())
    }
}

impl Accounts {
    pub(super) async fn profile_update(
        self: Arc<Self>,
        cx: Cx,
        input: ProfileIn,
    ) -> Result<Profile> {
        // Checked before the transaction, so that a mistake costs none.
        let mut edits = User::new(String::new(), String::new(), String::new(), cx.started_at());
        let fields = [&input.display_name, &input.avatar_url, &input.bio].map(Option::is_some);
        input.apply(&mut edits)?;
        let (user_id, now) = (cx.user()?.user_id.clone(), cx.runtime().clock().now());
        let user = cx.write(move |tx, _| {
            let mut user = users::find(tx, &user_id)?.ok_or_else(no_account)?;
            let [name, avatar, bio] = fields;
            if name {
                user.display_name.clone_from(&edits.display_name);
            }
            if avatar {
                user.avatar_url.clone_from(&edits.avatar_url);
            }
            if bio {
                user.bio.clone_from(&edits.bio);
            }
            user.profile_updated_at = now;
            users::update_profile(tx, &user)?;
            Ok(user)
        });
        Ok(user.await?.into())
    }

    pub(super) async fn email_change(
        self: Arc<Self>,
        cx: Cx,
        input: EmailChangeIn,
    ) -> Result<Mailed> {
        self.require_mail()?;
        let new_email = email::normalise(&input.new_email)
            .map_err(|error| Error::invalid("new_email", error.message().to_owned()))?;
        let caller = cx.user()?;
        let user = account(&cx).await?;
        let password = Password::attempt(&input.password);
        self.prove(&cx, &user.email, &password).await.map_err(wrong_password)?;
        let city_id = Some(caller.city.city_id.as_str());
        let mut order = Order::new(Letter::EmailChange, &new_email, city_id);
        order.user_id = Some(user.user_id);
        self.order(&cx, order).await?;
        Ok(Mailed::new(LINK_LIFE))
    }

    pub(super) async fn email_change_confirm(
        self: Arc<Self>,
        cx: Cx,
        input: ConfirmIn,
    ) -> Result<Done> {
        let secret = stored_secret(Letter::EmailChange, "", input.token.expose());
        let now = cx.runtime().clock().now();
        let user_id = cx.user()?.user_id.clone();
        let (old, city_id) = (account(&cx).await?.email, cx.user()?.city.city_id.clone());
        let notice = Order::new(Letter::EmailChanged, &old, Some(&city_id)).job(cx.runtime())?;
        cx.write(move |tx, _| {
            users::lock(tx, &user_id)?;
            let code = codes::take_by_secret(tx, KIND, &secret, now)?
                .filter(|code| code.user_id.as_deref() == Some(&*user_id))
                .ok_or_else(invalid_code)?;
            if !users::set_email(tx, &user_id, &code.email, now)? {
                return Err(email_taken());
            }
            // What was mailed to the old address is of no use any more.
            codes::delete_of(tx, &old)?;
            jobs::enqueue(tx, &notice)
        })
        .await?;
        cx.runtime().wake_workers();
        Ok(DONE)
    }

    pub(super) async fn account_delete(self: Arc<Self>, cx: Cx, input: DeleteIn) -> Result<Done> {
        let user = account(&cx).await?;
        session::signed_in(&cx).await?;
        let caller = cx.user()?;
        let user_id = user.user_id.clone();
        let has_password =
            cx.runtime().db().read(move |tx| identities::find_password(tx, &user_id));
        let mut proven = None;
        if has_password.await?.is_some() {
            let password = Password::attempt(&input.password.unwrap_or_default());
            let known = self.prove(&cx, &user.email, &password).await;
            proven = Some(known.map_err(wrong_password)?);
        } else if cx.runtime().clock().now_seconds() - caller.issued_at > FRESH_SECONDS {
            return Err(Error::new(
                ErrorCode::Forbidden,
                "Sign in again before you delete the account.",
            ));
        }
        let city_id = caller.city.city_id.clone();
        let now = cx.runtime().clock().now();
        cx.change(move |tx, _| {
            if let Some(proven) = &proven {
                keep_password(tx, proven, now).map_err(wrong_password)?;
            }
            delete(tx, &user, &city_id, now)
        })
        .await?;
        Ok(DONE)
    }
}

/// Deletes an account and ends every token of it.
pub(super) fn delete(tx: &mut Tx<'_>, user: &User, city_id: &str, now: Timestamp) -> Result<()> {
    session::end_all(tx, &user.user_id, Some(city_id), now)?;
    users::delete(tx, user)
}

/// The caller's account.
async fn account(cx: &Cx) -> Result<User> {
    let user_id = cx.user()?.user_id.clone();
    let user = cx.runtime().db().read(move |tx| users::find(tx, &user_id)).await?;
    user.ok_or_else(no_account)
}
