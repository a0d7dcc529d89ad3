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

/// Stores a new account; `false` when the e-mail, or the id, is taken.
pub(crate) fn insert(tx: &mut Tx<'_>, user: &User) -> Result<bool> {
    let inserted = tx.execute(
        sql!(
            "INSERT INTO accounts_users
                 (user_id, email, email_verified, name, image, display_name, avatar_url, bio, status,
                  created_at, updated_at, profile_updated_at)
             VALUES ($1, $2, $3, $4, $5, $6, $7, $8, 'active', $9, $9, $9)
             ON CONFLICT DO NOTHING"
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

/// The account of this id, held until the end of the transaction. Who opens a session and who ends
/// them takes it first, so that neither misses what the other has not committed yet.
pub(crate) fn lock(tx: &mut Tx<'_>, user_id: &str) -> Result<Option<User>> {
    let row = tx.query_opt(
        sql!(
            "UPDATE accounts_users SET updated_at = updated_at WHERE user_id = $1
             RETURNING user_id, email, email_verified, name, image, display_name, avatar_url, bio,
                       status, created_at, updated_at, profile_updated_at"
        ),
        &[&user_id],
    )?;
    row.as_ref().map(user).transpose()
}

/// The account with this e-mail, held as by [`lock`].
pub(crate) fn lock_by_email(tx: &mut Tx<'_>, email: &str) -> Result<Option<User>> {
    let row = tx.query_opt(
        sql!(
            "UPDATE accounts_users SET updated_at = updated_at WHERE email = $1
             RETURNING user_id, email, email_verified, name, image, display_name, avatar_url, bio,
                       status, created_at, updated_at, profile_updated_at"
        ),
        &[&email],
    )?;
    row.as_ref().map(user).transpose()
}

/// The newest accounts before a place in the list: created then, with this id.
pub(crate) fn list_before(
    tx: &mut Tx<'_>,
    created_at: i64,
    user_id: &str,
    limit: u32,
) -> Result<Vec<User>> {
    tx.query(
        sql!(
            "SELECT user_id, email, email_verified, name, image, display_name, avatar_url, bio, status,
                    created_at, updated_at, profile_updated_at
             FROM accounts_users WHERE (created_at, user_id) < ($1, $2)
             ORDER BY created_at DESC, user_id DESC LIMIT $3"
        ),
        &[&created_at, &user_id, &limit],
    )?
    .iter()
    .map(user)
    .collect()
}

/// Notes that the address is known to be the user's.
pub(crate) fn set_verified(tx: &mut Tx<'_>, user_id: &str, now: Timestamp) -> Result<()> {
    tx.execute(
        sql!(
            "UPDATE accounts_users SET email_verified = TRUE, updated_at = $2
             WHERE user_id = $1 AND NOT email_verified"
        ),
        &[&user_id, &now.millis()],
    )?;
    Ok(())
}

/// Gives the account another, verified address; `false` when that is taken: the transaction is then to
/// be given up.
pub(crate) fn set_email(
    tx: &mut Tx<'_>,
    user_id: &str,
    email: &str,
    now: Timestamp,
) -> Result<bool> {
    if find_by_email(tx, email)?.is_some_and(|other| other.user_id != user_id) {
        return Ok(false);
    }
    let changed = tx.execute(
        sql!(
            "UPDATE accounts_users SET email = $2, email_verified = TRUE, updated_at = $3
             WHERE user_id = $1"
        ),
        &[&user_id, &email, &now.millis()],
    );
    match changed {
        // Somebody took it between the look and the change. The transaction has failed then.
        Err(error) if error.is_unique_violation() => Ok(false),
        changed => Ok(changed? == 1),
    }
}

/// Stores what the user edits.
pub(crate) fn update_profile(tx: &mut Tx<'_>, user: &User) -> Result<()> {
    tx.execute(
        sql!(
            "UPDATE accounts_users SET display_name = $2, avatar_url = $3, bio = $4,
                 profile_updated_at = $5
             WHERE user_id = $1"
        ),
        &[
            &user.user_id,
            &user.display_name,
            &user.avatar_url,
            &user.bio,
            &user.profile_updated_at.millis(),
        ],
    )?;
    Ok(())
}

/// Deletes an account with everything that is kept of it here, but its sessions.
pub(crate) fn delete(tx: &mut Tx<'_>, user: &User) -> Result<()> {
    super::codes::delete_of(tx, &user.email)?;
    super::identities::delete_all(tx, &user.user_id)?;
    super::addresses::delete_of(tx, &user.user_id)?;
    tx.execute(sql!("DELETE FROM accounts_users WHERE user_id = $1"), &[&user.user_id])?;
    Ok(())
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
