//! The table `accounts_codes`: single-use secrets that were mailed, by their hashes.

use downcity_core::Result;
use downcity_db::{Row, Tx, sql};
use downcity_types::Timestamp;

/// How often a code may be tried.
pub(crate) const MAX_TRIES: i64 = 5;

/// A single-use secret.
#[derive(Clone, Debug)]
pub(crate) struct Code {
    pub(crate) code_id: String,
    /// What it is good for.
    pub(crate) kind: &'static str,
    /// The address that it is mailed to.
    pub(crate) email: String,
    pub(crate) city_id: Option<String>,
    /// The account, where it is for one alone.
    pub(crate) user_id: Option<String>,
    /// Its hash; nothing while the mail is not written.
    pub(crate) secret: Option<String>,
    pub(crate) created_at: Timestamp,
    pub(crate) expires_at: Timestamp,
}

/// A code as it was found.
#[derive(Clone, Debug)]
pub(crate) struct Taken {
    pub(crate) email: String,
    pub(crate) city_id: Option<String>,
    pub(crate) user_id: Option<String>,
    pub(crate) secret: Option<String>,
}

/// Stores a code; the secret of one that is there already is replaced, so that only the last mail
/// counts.
pub(crate) fn put(tx: &mut Tx<'_>, code: &Code) -> Result<()> {
    tx.execute(
        sql!(
            "INSERT INTO accounts_codes
                 (code_id, kind, email, city_id, user_id, secret, tries, created_at, expires_at)
             VALUES ($1, $2, $3, $4, $5, $6, 0, $7, $8)
             ON CONFLICT (code_id) DO UPDATE SET
                 secret = excluded.secret, expires_at = excluded.expires_at"
        ),
        &[
            &code.code_id,
            &code.kind,
            &code.email,
            &code.city_id,
            &code.user_id,
            &code.secret,
            &code.created_at.millis(),
            &code.expires_at.millis(),
        ],
    )?;
    Ok(())
}

/// The code with this secret, without using it.
pub(crate) fn find_by_secret(
    tx: &mut Tx<'_>,
    kind: &str,
    secret: &str,
    now: Timestamp,
) -> Result<Option<Taken>> {
    let row = tx.query_opt(
        sql!(
            "SELECT email, city_id, user_id, secret FROM accounts_codes
             WHERE secret = $2 AND kind = $1 AND expires_at > $3"
        ),
        &[&kind, &secret, &now.millis()],
    )?;
    row.as_ref().map(taken).transpose()
}

/// Uses the code with this secret up. Of several at once one gets it.
pub(crate) fn take_by_secret(
    tx: &mut Tx<'_>,
    kind: &str,
    secret: &str,
    now: Timestamp,
) -> Result<Option<Taken>> {
    let row = tx.query_opt(
        sql!(
            "DELETE FROM accounts_codes WHERE secret = $2 AND kind = $1 AND expires_at > $3
             RETURNING email, city_id, user_id, secret"
        ),
        &[&kind, &secret, &now.millis()],
    )?;
    row.as_ref().map(taken).transpose()
}

/// The code of this id, without a try; `None` when it is not there or has ended.
pub(crate) fn find(
    tx: &mut Tx<'_>,
    kind: &str,
    code_id: &str,
    now: Timestamp,
) -> Result<Option<Taken>> {
    let row = tx.query_opt(
        sql!(
            "SELECT email, city_id, user_id, secret FROM accounts_codes
             WHERE code_id = $2 AND kind = $1 AND expires_at > $3"
        ),
        &[&kind, &code_id, &now.millis()],
    )?;
    row.as_ref().map(taken).transpose()
}

/// Counts one try of a code; `None` when it is not there, has ended, or was tried too often.
pub(crate) fn try_once(
    tx: &mut Tx<'_>,
    kind: &str,
    code_id: &str,
    now: Timestamp,
) -> Result<Option<Taken>> {
    let row = tx.query_opt(
        sql!(
            "UPDATE accounts_codes SET tries = tries + 1
             WHERE code_id = $2 AND kind = $1 AND expires_at > $3 AND tries < $4
             RETURNING email, city_id, user_id, secret"
        ),
        &[&kind, &code_id, &now.millis(), &MAX_TRIES],
    )?;
    row.as_ref().map(taken).transpose()
}

/// Deletes a code.
pub(crate) fn delete(tx: &mut Tx<'_>, code_id: &str) -> Result<()> {
    tx.execute(sql!("DELETE FROM accounts_codes WHERE code_id = $1"), &[&code_id])?;
    Ok(())
}

/// Deletes everything that was mailed to an address.
pub(crate) fn delete_of(tx: &mut Tx<'_>, email: &str) -> Result<()> {
    tx.execute(sql!("DELETE FROM accounts_codes WHERE email = $1"), &[&email])?;
    Ok(())
}

/// Deletes codes that have ended, at most `chunk`; says how many.
pub(crate) fn delete_ended(tx: &mut Tx<'_>, now: Timestamp, chunk: u32) -> Result<u64> {
    Ok(tx.execute(
        sql!(
            "DELETE FROM accounts_codes WHERE code_id IN
             (SELECT code_id FROM accounts_codes WHERE expires_at <= $1 LIMIT $2)"
        ),
        &[&now.millis(), &chunk],
    )?)
}

fn taken(row: &Row) -> Result<Taken> {
    Ok(Taken {
        email: row.get("email")?,
        city_id: row.get("city_id")?,
        user_id: row.get("user_id")?,
        secret: row.get("secret")?,
    })
}
