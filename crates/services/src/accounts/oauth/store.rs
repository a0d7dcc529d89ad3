//! The table `accounts_oauth_states`, and what providers add to `accounts_identities`.

use downcity_core::{Error, Result};
use downcity_db::{Row, Tx, sql};
use downcity_types::Timestamp;

use super::flow::{Flow, Stage};
use super::person::Person;
use super::provider::Provider;

/// Stores a flow; `state` and `poll` are hashes.
pub(super) fn insert(tx: &mut Tx<'_>, flow: &Flow, state: &str, poll: &str) -> Result<()> {
    tx.execute(
        sql!(
            "INSERT INTO accounts_oauth_states
                 (flow_id, state, poll, stage, provider, city_id, user_code, redirect_uri, return_url,
                  nonce, address, link_user_id, created_at, expires_at)
             VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14)"
        ),
        &[
            &flow.flow_id,
            &state,
            &poll,
            &flow.stage.as_str(),
            &flow.provider.id(),
            &flow.city_id,
            &flow.user_code,
            &flow.redirect_uri,
            &flow.return_url,
            &flow.nonce,
            &flow.address,
            &flow.link_user_id,
            &flow.created_at.millis(),
            &flow.expires_at.millis(),
        ],
    )?;
    Ok(())
}

/// Takes the flow with this state, once.
pub(super) fn take_started(tx: &mut Tx<'_>, state: &str, now: Timestamp) -> Result<Option<Flow>> {
    tx.query_opt(
        sql!(
            "UPDATE accounts_oauth_states SET stage = 'called'
             WHERE state = $1 AND stage = 'started' AND expires_at > $2
             RETURNING flow_id, stage, provider, city_id, user_code, redirect_uri, return_url, nonce,
                       address, link_user_id, person, user_id, session_id, created_at, expires_at"
        ),
        &[&state, &now.millis()],
    )?
    .as_ref()
    .map(flow)
    .transpose()
}

/// Lets the flow wait for a confirmation; `confirmation` is a hash. `false` when the flow has gone.
pub(super) fn ask(
    tx: &mut Tx<'_>,
    flow_id: &str,
    confirmation: &str,
    person: &str,
) -> Result<bool> {
    let changed = tx.execute(
        sql!(
            "UPDATE accounts_oauth_states SET stage = 'asked', confirmation = $2, person = $3
             WHERE flow_id = $1 AND stage = 'called'"
        ),
        &[&flow_id, &confirmation, &person],
    )?;
    Ok(changed == 1)
}

/// Takes the flow that waits for this confirmation, once.
pub(super) fn take_asked(
    tx: &mut Tx<'_>,
    confirmation: &str,
    now: Timestamp,
) -> Result<Option<Flow>> {
    tx.query_opt(
        sql!(
            "UPDATE accounts_oauth_states SET stage = 'called', confirmation = NULL
             WHERE confirmation = $1 AND stage = 'asked' AND expires_at > $2
             RETURNING flow_id, stage, provider, city_id, user_code, redirect_uri, return_url, nonce,
                       address, link_user_id, person, user_id, session_id, created_at, expires_at"
        ),
        &[&confirmation, &now.millis()],
    )?
    .as_ref()
    .map(flow)
    .transpose()
}

/// Notes who has signed in; `false` when the flow has gone.
pub(super) fn finish(tx: &mut Tx<'_>, flow_id: &str, user_id: &str) -> Result<bool> {
    let changed = tx.execute(
        sql!(
            "UPDATE accounts_oauth_states SET stage = 'done', user_id = $2, person = NULL
             WHERE flow_id = $1 AND stage = 'called'"
        ),
        &[&flow_id, &user_id],
    )?;
    Ok(changed == 1)
}

/// The flow whose result is asked for with this handle; `poll` is a hash.
pub(super) fn find_by_poll(tx: &mut Tx<'_>, poll: &str, now: Timestamp) -> Result<Option<Flow>> {
    tx.query_opt(
        sql!(
            "SELECT flow_id, stage, provider, city_id, user_code, redirect_uri, return_url, nonce,
                    address, link_user_id, person, user_id, session_id, created_at, expires_at
             FROM accounts_oauth_states WHERE poll = $1 AND expires_at > $2"
        ),
        &[&poll, &now.millis()],
    )?
    .as_ref()
    .map(flow)
    .transpose()
}

/// Notes that the result was given, with this session; `false` when that was done before.
pub(super) fn deliver(
    tx: &mut Tx<'_>,
    flow_id: &str,
    session_id: Option<&str>,
    until: Timestamp,
) -> Result<bool> {
    let changed = tx.execute(
        sql!(
            "UPDATE accounts_oauth_states SET stage = 'delivered', session_id = $2, expires_at = $3
             WHERE flow_id = $1 AND stage = 'done'"
        ),
        &[&flow_id, &session_id, &until.millis()],
    )?;
    Ok(changed == 1)
}

/// Ends a flow.
pub(super) fn delete(tx: &mut Tx<'_>, flow_id: &str) -> Result<()> {
    tx.execute(sql!("DELETE FROM accounts_oauth_states WHERE flow_id = $1"), &[&flow_id])?;
    Ok(())
}

/// Ends the flows that would sign this user in, or add a way to sign in to the account. Whoever ends a
/// user's sessions because of somebody else ends these too.
pub(crate) fn delete_of_user(tx: &mut Tx<'_>, user_id: &str) -> Result<()> {
    tx.execute(sql!("DELETE FROM accounts_oauth_states WHERE user_id = $1"), &[&user_id])?;
    tx.execute(sql!("DELETE FROM accounts_oauth_states WHERE link_user_id = $1"), &[&user_id])?;
    Ok(())
}

/// Deletes at most `limit` flows that have ended.
pub(crate) fn delete_ended(tx: &mut Tx<'_>, now: Timestamp, limit: u32) -> Result<()> {
    tx.execute(
        sql!(
            "DELETE FROM accounts_oauth_states WHERE flow_id IN
                 (SELECT flow_id FROM accounts_oauth_states WHERE expires_at <= $1
                  ORDER BY expires_at LIMIT $2)"
        ),
        &[&now.millis(), &limit],
    )?;
    Ok(())
}

/// Who signs in as this person: by subject, then by the other name, whichever of the two was stored
/// as which. The row then holds both names as they are now.
pub(super) fn find_user_id(
    tx: &mut Tx<'_>,
    person: &Person,
    now: Timestamp,
) -> Result<Option<String>> {
    let provider = person.provider.id();
    let names = std::iter::once(person.subject.as_str()).chain(person.alias.as_deref());
    for name in names {
        let row = tx.query_opt(
            sql!(
                "SELECT subject, alias, user_id FROM accounts_identities
                 WHERE provider = $1 AND (subject = $2 OR alias = $2)
                 ORDER BY CASE WHEN subject = $2 THEN 0 ELSE 1 END LIMIT 1"
            ),
            &[&provider, &name],
        )?;
        let Some(row) = row else { continue };
        let subject: String = row.get("subject")?;
        let alias: Option<String> = row.get("alias")?;
        if person.alias.is_some() && (subject != person.subject || alias != person.alias) {
            rename(tx, person, &subject, now)?;
        }
        return Ok(Some(row.get("user_id")?));
    }
    Ok(None)
}

/// Stores both names of a person in the row of this subject, unless another row has one of them.
fn rename(tx: &mut Tx<'_>, person: &Person, subject: &str, now: Timestamp) -> Result<()> {
    let provider = person.provider.id();
    tx.execute(
        sql!(
            "UPDATE accounts_identities SET subject = $3, alias = $4, updated_at = $5
             WHERE provider = $1 AND subject = $2 AND NOT EXISTS
                 (SELECT other.subject FROM accounts_identities other
                  WHERE other.provider = $1 AND other.subject <> $2
                    AND (other.subject = $3 OR other.subject = $4 OR other.alias = $4))"
        ),
        &[&provider, &subject, &person.subject, &person.alias, &now.millis()],
    )?;
    Ok(())
}

/// Lets a person sign in to an account; `false` when they do to another one already.
pub(super) fn link(
    tx: &mut Tx<'_>,
    person: &Person,
    user_id: &str,
    now: Timestamp,
) -> Result<bool> {
    let inserted = tx.execute(
        sql!(
            "INSERT INTO accounts_identities
                 (provider, subject, alias, user_id, email, created_at, updated_at)
             SELECT $1, $2, $3, user_id, $5, $6, $6 FROM accounts_users WHERE user_id = $4
             ON CONFLICT DO NOTHING"
        ),
        &[
            &person.provider.id(),
            &person.subject,
            &person.alias,
            &user_id,
            &person.email,
            &now.millis(),
        ],
    )?;
    Ok(inserted == 1)
}

/// A way to sign in, as its owner sees it.
pub(super) struct Linked {
    pub(super) provider: String,
    pub(super) subject: String,
    pub(super) email: Option<String>,
    pub(super) created_at: Timestamp,
}

/// The ways in which a user can sign in, oldest first: at most `limit`.
pub(super) fn list_of_user(tx: &mut Tx<'_>, user_id: &str, limit: u32) -> Result<Vec<Linked>> {
    tx.query(
        sql!(
            "SELECT provider, subject, email, created_at FROM accounts_identities
             WHERE user_id = $1 ORDER BY created_at, provider, subject LIMIT $2"
        ),
        &[&user_id, &limit],
    )?
    .iter()
    .map(|row| {
        Ok(Linked {
            provider: row.get("provider")?,
            subject: row.get("subject")?,
            email: row.get("email")?,
            created_at: Timestamp::from_millis(row.get("created_at")?),
        })
    })
    .collect()
}

/// Takes a way to sign in away.
pub(super) fn unlink(tx: &mut Tx<'_>, user_id: &str, provider: &str, subject: &str) -> Result<()> {
    tx.execute(
        sql!(
            "DELETE FROM accounts_identities WHERE provider = $1 AND subject = $2 AND user_id = $3"
        ),
        &[&provider, &subject, &user_id],
    )?;
    Ok(())
}

/// Fills what is still empty of a profile.
pub(super) fn fill_profile(
    tx: &mut Tx<'_>,
    user_id: &str,
    name: &str,
    picture: &str,
    now: Timestamp,
) -> Result<()> {
    tx.execute(
        sql!(
            "UPDATE accounts_users SET
                 display_name = CASE WHEN display_name = '' THEN $2 ELSE display_name END,
                 avatar_url = CASE WHEN avatar_url = '' THEN $3 ELSE avatar_url END,
                 profile_updated_at = $4
             WHERE user_id = $1
               AND ((display_name = '' AND $2 <> '') OR (avatar_url = '' AND $3 <> ''))"
        ),
        &[&user_id, &name, &picture, &now.millis()],
    )?;
    Ok(())
}

fn flow(row: &Row) -> Result<Flow> {
    let text = |name: &str| row.get::<String>(name);
    let stage = Stage::parse(&text("stage")?).ok_or_else(unreadable)?;
    let provider = Provider::parse(&text("provider")?).ok_or_else(unreadable)?;
    Ok(Flow {
        flow_id: text("flow_id")?,
        stage,
        provider,
        city_id: text("city_id")?,
        user_code: text("user_code")?,
        redirect_uri: text("redirect_uri")?,
        return_url: row.get("return_url")?,
        nonce: text("nonce")?,
        address: row.get("address")?,
        link_user_id: row.get("link_user_id")?,
        person: row.get("person")?,
        user_id: row.get("user_id")?,
        session_id: row.get("session_id")?,
        created_at: Timestamp::from_millis(row.get("created_at")?),
        expires_at: Timestamp::from_millis(row.get("expires_at")?),
    })
}

fn unreadable() -> Error {
    Error::internal("a flow of an unknown kind")
}
