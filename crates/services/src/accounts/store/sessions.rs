//! The table `accounts_sessions`.

use downcity_core::Result;
use downcity_db::{Row, Tx, sql};
use downcity_types::Timestamp;

/// A session: a token that was issued for an account.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Session {
    /// The `jti` of the token.
    pub(crate) session_id: String,
    pub(crate) user_id: String,
    pub(crate) city_id: String,
    /// How it began: `credential`, `magic_link`, `code`, or a provider.
    pub(crate) method: String,
    pub(crate) address: Option<String>,
    pub(crate) user_agent: Option<String>,
    pub(crate) created_at: Timestamp,
    pub(crate) expires_at: Timestamp,
}

/// Stores a session of an account that is there and not disabled; `false` when it is not.
pub(crate) fn insert(tx: &mut Tx<'_>, session: &Session) -> Result<bool> {
    let inserted = tx.execute(
        sql!(
            "INSERT INTO accounts_sessions
                 (session_id, user_id, city_id, method, address, user_agent, created_at, expires_at)
             SELECT $1, user_id, $3, $4, $5, $6, $7, $8 FROM accounts_users
             WHERE user_id = $2 AND status = 'active'"
        ),
        &[
            &session.session_id,
            &session.user_id,
            &session.city_id,
            &session.method,
            &session.address,
            &session.user_agent,
            &session.created_at.millis(),
            &session.expires_at.millis(),
        ],
    )?;
    Ok(inserted == 1)
}

/// The session of this id.
pub(crate) fn find(tx: &mut Tx<'_>, session_id: &str) -> Result<Option<Session>> {
    let row = tx.query_opt(
        sql!(
            "SELECT session_id, user_id, city_id, method, address, user_agent, created_at, expires_at
             FROM accounts_sessions WHERE session_id = $1"
        ),
        &[&session_id],
    )?;
    row.as_ref().map(session).transpose()
}

/// A user's sessions, newest first: at most `limit`, without the first `skip`.
pub(crate) fn list_of_user(
    tx: &mut Tx<'_>,
    user_id: &str,
    skip: u32,
    limit: u32,
) -> Result<Vec<Session>> {
    tx.query(
        sql!(
            "SELECT session_id, user_id, city_id, method, address, user_agent, created_at, expires_at
             FROM accounts_sessions WHERE user_id = $1
             ORDER BY created_at DESC, session_id DESC LIMIT $2 OFFSET $3"
        ),
        &[&user_id, &limit, &skip],
    )?
    .iter()
    .map(session)
    .collect()
}

/// Sessions before a place in the list of those that end last: those of one city where one is named.
pub(crate) fn list_before(
    tx: &mut Tx<'_>,
    city_id: Option<&str>,
    expires_at: i64,
    session_id: &str,
    limit: u32,
) -> Result<Vec<Session>> {
    let rows = match city_id {
        None => tx.query(
            sql!(
                "SELECT session_id, user_id, city_id, method, address, user_agent, created_at,
                        expires_at
                 FROM accounts_sessions WHERE (expires_at, session_id) < ($1, $2)
                 ORDER BY expires_at DESC, session_id DESC LIMIT $3"
            ),
            &[&expires_at, &session_id, &limit],
        )?,
        Some(city_id) => tx.query(
            sql!(
                "SELECT session_id, user_id, city_id, method, address, user_agent, created_at,
                        expires_at
                 FROM accounts_sessions
                 WHERE city_id = $4 AND (expires_at, session_id) < ($1, $2)
                 ORDER BY expires_at DESC, session_id DESC LIMIT $3"
            ),
            &[&expires_at, &session_id, &limit, &city_id],
        )?,
    };
    rows.iter().map(session).collect()
}

/// Deletes sessions that had ended at `before`, at most `chunk`; says how many.
pub(crate) fn delete_ended(tx: &mut Tx<'_>, before: Timestamp, chunk: u32) -> Result<u64> {
    Ok(tx.execute(
        sql!(
            "DELETE FROM accounts_sessions WHERE session_id IN
             (SELECT session_id FROM accounts_sessions WHERE expires_at < $1 LIMIT $2)"
        ),
        &[&before.millis(), &chunk],
    )?)
}

/// Deletes a session.
pub(crate) fn delete(tx: &mut Tx<'_>, session_id: &str) -> Result<()> {
    tx.execute(sql!("DELETE FROM accounts_sessions WHERE session_id = $1"), &[&session_id])?;
    Ok(())
}

fn session(row: &Row) -> Result<Session> {
    Ok(Session {
        session_id: row.get("session_id")?,
        user_id: row.get("user_id")?,
        city_id: row.get("city_id")?,
        method: row.get("method")?,
        address: row.get("address")?,
        user_agent: row.get("user_agent")?,
        created_at: Timestamp::from_millis(row.get("created_at")?),
        expires_at: Timestamp::from_millis(row.get("expires_at")?),
    })
}
