//! `users`: the accounts, for the admin.

use std::sync::Arc;

use downcity_core::{Cx, Result};
use downcity_db::Tx;
use downcity_types::{Items, Page, Timestamp};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::listing::Place;
use super::service::Accounts;
use super::store::users::{self, User};

#[derive(Deserialize, JsonSchema)]
pub(super) struct ListIn {
    #[serde(flatten)]
    page: Page,
    /// Only the account with this address.
    #[serde(default)]
    email: Option<String>,
}

/// One account.
#[derive(Serialize, JsonSchema)]
pub(super) struct UserRow {
    /// The user.
    pub(super) user_id: String,
    /// The e-mail address.
    email: String,
    /// The name that was given at registration.
    name: String,
    /// `active` or `disabled`.
    status: &'static str,
    /// When the account was made.
    created_at: Timestamp,
    /// As `email`.
    auth_email: String,
    /// 1 when the address is known to be the user's, else 0.
    email_verified: u8,
    /// As `name`.
    auth_name: String,
    /// The picture that the provider gave.
    auth_image: Option<String>,
    /// As `created_at`.
    auth_created_at: Timestamp,
    /// When the account was changed last.
    auth_updated_at: Timestamp,
    /// As `email`.
    profile_email: String,
    /// The name that others see.
    display_name: String,
    /// The address of a picture; may be empty.
    avatar_url: String,
    /// What the user says of themselves; may be empty.
    bio: String,
    /// When the profile was made.
    profile_created_at: Timestamp,
    /// When the profile was changed last.
    profile_updated_at: Timestamp,
}

impl From<User> for UserRow {
    fn from(user: User) -> Self {
        Self {
            user_id: user.user_id,
            email: user.email.clone(),
            name: user.name.clone(),
            status: if user.disabled { "disabled" } else { "active" },
            created_at: user.created_at,
            auth_email: user.email.clone(),
            email_verified: user.email_verified.into(),
            auth_name: user.name,
            auth_image: user.image,
            auth_created_at: user.created_at,
            auth_updated_at: user.updated_at,
            profile_email: user.email,
            display_name: user.display_name,
            avatar_url: user.avatar_url,
            bio: user.bio,
            profile_created_at: user.created_at,
            profile_updated_at: user.profile_updated_at,
        }
    }
}

impl Accounts {
    pub(super) async fn users(self: Arc<Self>, cx: Cx, input: ListIn) -> Result<Items<UserRow>> {
        let place = Place::of(&input.page)?;
        let limit = place.limit;
        let email = input.email.map(|email| email.trim().replace('\0', ""));
        let list = move |tx: &mut Tx<'_>| match email.as_deref() {
            None | Some("") => users::list_before(tx, place.at, &place.id, limit + 1),
            Some(email) => Ok(find(tx, email)?.into_iter().collect()),
        };
        let rows = cx.runtime().db().scan(list).await?;
        let rows = rows.into_iter().map(UserRow::from).collect();
        Ok(Place::page(limit, rows, |row: &UserRow| (row.created_at.millis(), &row.user_id)))
    }
}

/// The account with this address. Those that stand in for one are as the provider writes its ids.
fn find(tx: &mut Tx<'_>, email: &str) -> Result<Option<User>> {
    match users::find_by_email(tx, email)? {
        None => users::find_by_email(tx, &email.to_ascii_lowercase()),
        user => Ok(user),
    }
}
