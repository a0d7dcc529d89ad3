//! The table `accounts_identities`.

use downcity_core::Result;
use downcity_db::{Row, Tx, sql};
use downcity_types::Timestamp;

/// The provider of passwords; the subject is the user's id.
pub(crate) const CREDENTIAL: &str = "credential";

/// A way to sign in.
#[derive(Clone)]
pub(crate) struct NewIdentity {
    pub(crate) provider: String,
    pub(crate) subject: String,
    pub(crate) user_id: String,
    /// The hash of a password and its kind.
    pub(crate) secret: Option<(String, &'static str)>,
    /// What the provider said of the address.
    pub(crate) email: Option<String>,
    pub(crate) now: Timestamp,
}

/// Stores a way to sign in; `false` when the provider's subject belongs to an account already.
pub(crate) fn insert(tx: &mut Tx<'_>, identity: &NewIdentity) -> Result<bool> {
    let (secret, scheme) = identity.secret.clone().unzip();
    let inserted = tx.execute(
        sql!(
            "INSERT INTO accounts_identities
                 (provider, subject, user_id, secret, scheme, email, created_at, updated_at)
             SELECT $1, $2, user_id, $4, $5, $6, $7, $7 FROM accounts_users WHERE user_id = $3
             ON CONFLICT (provider, subject) DO NOTHING"
        ),
        &[
            &identity.provider,
            &identity.subject,
            &identity.user_id,
            &secret,
            &scheme,
            &identity.email,
            &identity.now.millis(),
        ],
    )?;
    Ok(inserted == 1)
}

/// The hash of a user's password.
pub(crate) fn find_password(tx: &mut Tx<'_>, user_id: &str) -> Result<Option<String>> {
    let row = tx.query_opt(
        sql!(
            "SELECT secret FROM accounts_identities WHERE provider = 'credential' AND subject = $1"
        ),
        &[&user_id],
    )?;
    Ok(row.map(|row| row.get::<Option<String>>("secret")).transpose()?.flatten())
}

/// Whether a password is stored as the earlier generations stored it.
pub(crate) fn any_scrypt(tx: &mut Tx<'_>) -> Result<bool> {
    let rows = tx.query(
        sql!("SELECT user_id FROM accounts_identities WHERE scheme = 'scrypt' LIMIT 1"),
        &[],
    )?;
    Ok(!rows.is_empty())
}

/// Sets a user's password, whether there is one or not.
pub(crate) fn set_password(
    tx: &mut Tx<'_>,
    user_id: &str,
    hash: &str,
    scheme: &str,
    now: Timestamp,
) -> Result<()> {
    tx.execute(
        sql!(
            "INSERT INTO accounts_identities
                 (provider, subject, user_id, secret, scheme, email, created_at, updated_at)
             VALUES ('credential', $1, $1, $2, $3, NULL, $4, $4)
             ON CONFLICT (provider, subject) DO UPDATE SET
                 secret = excluded.secret, scheme = excluded.scheme, updated_at = excluded.updated_at"
        ),
        &[&user_id, &hash, &scheme, &now.millis()],
    )?;
    Ok(())
}

/// Replaces the hash of a password by another one of the same password; `false` when the password
/// was changed in the meantime.
pub(crate) fn rehash(
    tx: &mut Tx<'_>,
    user_id: &str,
    old: &str,
    new: &str,
    scheme: &str,
    now: Timestamp,
) -> Result<bool> {
    let changed = tx.execute(
        sql!(
            "UPDATE accounts_identities SET secret = $3, scheme = $4, updated_at = $5
             WHERE provider = 'credential' AND subject = $1 AND secret = $2"
        ),
        &[&user_id, &old, &new, &scheme, &now.millis()],
    )?;
    Ok(changed == 1)
}

/// Takes every provider from a user; a password stays.
pub(crate) fn delete_linked(tx: &mut Tx<'_>, user_id: &str) -> Result<()> {
    tx.execute(
        sql!("DELETE FROM accounts_identities WHERE user_id = $1 AND provider <> $2"),
        &[&user_id, &CREDENTIAL],
    )?;
    Ok(())
}

/// Takes every way to sign in from a user.
pub(crate) fn delete_all(tx: &mut Tx<'_>, user_id: &str) -> Result<()> {
    tx.execute(sql!("DELETE FROM accounts_identities WHERE user_id = $1"), &[&user_id])?;
    Ok(())
}

/// Who signs in with this subject of a provider.
pub(crate) fn find_user_id(
    tx: &mut Tx<'_>,
    provider: &str,
    subject: &str,
) -> Result<Option<String>> {
    let row = tx.query_opt(
        sql!("SELECT user_id FROM accounts_identities WHERE provider = $1 AND subject = $2"),
        &[&provider, &subject],
    )?;
    Ok(row.map(|row: Row| row.get("user_id")).transpose()?)
}
