//! The table `accounts_users`.

use downcity_core::Result;
use downcity_db::{Row, Tx, sql};
use downcity_types::Timestamp;

/// A person.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct User {
    pub(crate) user_id: String,
    /// In lower case; a placeholder where a provider gives none.
    pub(crate) email: String,
    pub(crate) email_verified: bool,
    pub(crate) name: String,
    pub(crate) image: Option<String>,
    pub(crate) display_name: String,
    pub(crate) avatar_url: String,
    pub(crate) bio: String,
    pub(crate) disabled: bool,
    pub(crate) created_at: Timestamp,
    pub(crate) updated_at: Timestamp,
    pub(crate) profile_updated_at: Timestamp,
}

impl User {
    /// A new account; its profile shows the name until it is edited.
    pub(crate) fn new(user_id: String, email: String, name: String, now: Timestamp) -> Self {
        Self {
            user_id,
            email,
            email_verified: false,
            display_name: name.clone(),
            name,
            image: None,
            avatar_url: String::new(),
            bio: String::new(),
            disabled: false,
            created_at: now,
            updated_at: now,
            profile_updated_at: now,
        }
    }
}

/// Stores a new account; `false` when the e-mail is taken.
pub(crate) fn insert(tx: &mut Tx<'_>, user: &User) -> Result<bool> {
    let inserted = tx.execute(
        sql!(
            "INSERT INTO accounts_users
                 (user_id, email, email_verified, name, image, display_name, avatar_url, bio, status,
                  created_at, updated_at, profile_updated_at)
             VALUES ($1, $2, $3, $4, $5, $6, $7, $8, 'active', $9, $9, $9)
             ON CONFLICT (email) DO NOTHING"
        ),
        &[
            &user.user_id,
            &user.email,
            &user.email_verified,
            &user.name,
            &user.image,
            &user.display_name,
            &user.avatar_url,
            &user.bio,
            &user.created_at.millis(),
        ],
    )?;
    Ok(inserted == 1)
}

/// The account of this id.
pub(crate) fn find(tx: &mut Tx<'_>, user_id: &str) -> Result<Option<User>> {
    let row = tx.query_opt(
        sql!(
            "SELECT user_id, email, email_verified, name, image, display_name, avatar_url, bio, status,
                    created_at, updated_at, profile_updated_at
             FROM accounts_users WHERE user_id = $1"
        ),
        &[&user_id],
    )?;
    row.as_ref().map(user).transpose()
}

/// The account with this e-mail, in its normal form.
pub(crate) fn find_by_email(tx: &mut Tx<'_>, email: &str) -> Result<Option<User>> {
    let row = tx.query_opt(
        sql!(
            "SELECT user_id, email, email_verified, name, image, display_name, avatar_url, bio, status,
                    created_at, updated_at, profile_updated_at
             FROM accounts_users WHERE email = $1"
        ),
        &[&email],
    )?;
    row.as_ref().map(user).transpose()
}

fn user(row: &Row) -> Result<User> {
    let at = |name: &str| row.get(name).map(Timestamp::from_millis);
    Ok(User {
        user_id: row.get("user_id")?,
        email: row.get("email")?,
        email_verified: row.get("email_verified")?,
        name: row.get("name")?,
        image: row.get("image")?,
        display_name: row.get("display_name")?,
        avatar_url: row.get("avatar_url")?,
        bio: row.get("bio")?,
        disabled: row.get::<String>("status")? == "disabled",
        created_at: at("created_at")?,
        updated_at: at("updated_at")?,
        profile_updated_at: at("profile_updated_at")?,
    })
}
