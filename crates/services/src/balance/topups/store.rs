//! The table `balance_topups`.

use downcity_core::Result;
use downcity_db::{Row, Tx, sql};
use downcity_types::Timestamp;

use super::record::{Stored, TopupStatus};
use crate::balance::listing::{Filter, Stretch, wanted_text};
use crate::balance::wallet::Owner;

/// A statement that gives whole rows: what stands before the columns, and behind them.
macro_rules! rows_sql {
    ($before:literal, $($behind:tt)*) => {
        sql!(concat!(
            $before,
            " topup_id, scope, user_id, city_id, amount, status, note, ref, metadata, is_expired,
              expires_at, created_at, updated_at ",
            $($behind)*
        ))
    };
}

/// A page of the list of the trusted side, by the index that this condition on `$6` names.
macro_rules! list_sql {
    ($condition:literal) => {
        rows_sql!(
            "SELECT",
            concat!(
                "FROM balance_topups
                 WHERE (created_at, topup_id) < ($1, $2) AND created_at >= $3 AND created_at < $4
                   AND ",
                $condition,
                " AND ($7 = '' OR status = $7) AND ($8 = '' OR ref = $8)
                  AND ($9 = '' OR city_id = $9)
                 ORDER BY created_at DESC, topup_id DESC LIMIT $5"
            )
        )
    };
}

fn stored(row: &Row) -> Result<Stored> {
    let status: String = row.get("status")?;
    Ok(Stored {
        topup_id: row.get("topup_id")?,
        scope: row.get("scope")?,
        user_id: row.get("user_id")?,
        city_id: row.get("city_id")?,
        amount: row.get("amount")?,
        status: TopupStatus::parse(&status)?,
        note: row.get("note")?,
        reference: row.get("ref")?,
        metadata: row.get("metadata")?,
        is_expired: row.get("is_expired")?,
        expires_at: row.get("expires_at")?,
        created_at: row.get("created_at")?,
        updated_at: row.get("updated_at")?,
    })
}

/// Adds a pending top-up in this place of its user; `false` when the place is taken.
pub(super) fn insert(tx: &mut Tx<'_>, topup: &Stored, slot: i64) -> Result<bool> {
    let added = tx.execute(
        sql!(
            "INSERT INTO balance_topups
                 (topup_id, scope, user_id, city_id, amount, status, note, ref, metadata,
                  pending_slot, is_expired, expires_at, created_at, updated_at)
             VALUES ($1, $2, $3, $4, $5, 'pending', $6, $7, $8, $9, FALSE, $10, $11, $11)
             ON CONFLICT (scope, user_id, pending_slot) DO NOTHING"
        ),
        &[
            &topup.topup_id,
            &topup.scope,
            &topup.user_id,
            &topup.city_id,
            &topup.amount,
            &topup.note,
            &topup.reference,
            &topup.metadata,
            &slot,
            &topup.expires_at,
            &topup.created_at,
        ],
    )?;
    Ok(added == 1)
}

/// The places of a user that pending top-ups take.
pub(super) fn taken_slots(tx: &mut Tx<'_>, scope: &str, user_id: &str) -> Result<Vec<i64>> {
    tx.query(
        sql!(
            "SELECT pending_slot FROM balance_topups
             WHERE scope = $1 AND user_id = $2 AND pending_slot IS NOT NULL
             ORDER BY pending_slot LIMIT 1000"
        ),
        &[&scope, &user_id],
    )?
    .iter()
    .map(|row| Ok(row.get("pending_slot")?))
    .collect()
}

/// A top-up by its id.
pub(super) fn find(tx: &mut Tx<'_>, topup_id: &str) -> Result<Option<Stored>> {
    tx.query_opt(rows_sql!("SELECT", "FROM balance_topups WHERE topup_id = $1"), &[&topup_id])?
        .as_ref()
        .map(stored)
        .transpose()
}

/// A top-up by its id, locked until the commit.
pub(super) fn lock(tx: &mut Tx<'_>, topup_id: &str) -> Result<Option<Stored>> {
    tx.query_opt(
        rows_sql!(
            "UPDATE balance_topups SET updated_at = updated_at WHERE topup_id = $1 RETURNING",
            ""
        ),
        &[&topup_id],
    )?
    .as_ref()
    .map(stored)
    .transpose()
}

/// Whether an entry of the ledger has this effect.
pub(super) fn has_happened(tx: &mut Tx<'_>, effect: &str) -> Result<bool> {
    let entry =
        tx.query_opt(sql!("SELECT seq FROM balance_ledger WHERE effect = $1"), &[&effect])?;
    Ok(entry.is_some())
}

/// Ends a top-up that stands as it was read; `None` when it does not any more.
pub(super) fn end(
    tx: &mut Tx<'_>,
    before: &Stored,
    status: TopupStatus,
    after: &Stored,
) -> Result<Option<Stored>> {
    tx.query_opt(
        rows_sql!(
            "UPDATE balance_topups
             SET status = $4, pending_slot = NULL, note = $5, ref = $6, metadata = $7,
                 is_expired = FALSE, updated_at = $8
             WHERE topup_id = $1 AND status = $2 AND is_expired = $3
             RETURNING",
            ""
        ),
        &[
            &before.topup_id,
            &before.status.as_str(),
            &before.is_expired,
            &status.as_str(),
            &after.note,
            &after.reference,
            &after.metadata,
            &after.updated_at,
        ],
    )?
    .as_ref()
    .map(stored)
    .transpose()
}

/// Cancels the overdue top-ups of a user, or at most `chunk` of everybody; says how many.
pub(super) fn expire_of(
    tx: &mut Tx<'_>,
    scope: &str,
    user_id: &str,
    now: Timestamp,
) -> Result<u64> {
    Ok(tx.execute(
        sql!(
            "UPDATE balance_topups
             SET status = 'canceled', pending_slot = NULL, is_expired = TRUE, updated_at = $3
             WHERE scope = $1 AND user_id = $2 AND pending_slot IS NOT NULL AND expires_at <= $3"
        ),
        &[&scope, &user_id, &now.millis()],
    )?)
}

/// Cancels at most `chunk` overdue top-ups, whoever made them; says how many.
pub(super) fn expire(tx: &mut Tx<'_>, now: Timestamp, chunk: i64) -> Result<u64> {
    Ok(tx.execute(
        sql!(
            "UPDATE balance_topups
             SET status = 'canceled', pending_slot = NULL, is_expired = TRUE, updated_at = $1
             WHERE status = 'pending' AND topup_id IN
                 (SELECT topup_id FROM balance_topups
                  WHERE status = 'pending' AND expires_at <= $1 ORDER BY expires_at LIMIT $2)"
        ),
        &[&now.millis(), &chunk],
    )?)
}

/// A stretch of a user's own top-ups, newest first.
pub(super) fn list_of(tx: &mut Tx<'_>, stretch: &Stretch, owner: &Owner) -> Result<Vec<Stored>> {
    let (at, id) = &stretch.before;
    tx.query(
        rows_sql!(
            "SELECT",
            "FROM balance_topups
             WHERE scope = $6 AND user_id = $7
               AND (created_at, topup_id) < ($1, $2) AND created_at >= $3 AND created_at < $4
             ORDER BY created_at DESC, topup_id DESC LIMIT $5"
        ),
        &[at, id, &stretch.from, &stretch.to, &stretch.wanted(), &owner.scope, &owner.user_id],
    )?
    .iter()
    .map(stored)
    .collect()
}

/// A stretch of all top-ups, newest first, by the index of the narrowest filter.
pub(super) fn list(tx: &mut Tx<'_>, stretch: &Stretch, filter: &Filter) -> Result<Vec<Stored>> {
    let user_id = wanted_text(filter.user_id.as_ref());
    let reference = wanted_text(filter.reference.as_ref());
    let city_id = wanted_text(filter.city_id.as_ref());
    let status = wanted_text(filter.status.as_ref());
    let (statement, narrowest) = if !user_id.is_empty() {
        (list_sql!("user_id = $6"), user_id)
    } else if !reference.is_empty() {
        (list_sql!("ref = $6"), reference)
    } else if !city_id.is_empty() {
        (list_sql!("city_id = $6"), city_id)
    } else if !status.is_empty() {
        (list_sql!("status = $6"), status)
    } else {
        (list_sql!("$6 = ''"), "")
    };
    let (at, id) = &stretch.before;
    tx.query(
        statement,
        &[
            at,
            id,
            &stretch.from,
            &stretch.to,
            &stretch.wanted(),
            &narrowest,
            &status,
            &reference,
            &city_id,
        ],
    )?
    .iter()
    .map(stored)
    .collect()
}
