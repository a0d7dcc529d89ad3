//! The tables `balance_redeem_codes` and `balance_redemptions`.

use downcity_core::Result;
use downcity_db::{Row, Tx, sql};
use downcity_types::Timestamp;

use super::record::{CodeStatus, Stored};
use crate::balance::listing::{Stretch, wanted_text};
use crate::balance::wallet::Owner;

/// A statement that gives whole rows: what stands before the columns, and behind them.
macro_rules! rows_sql {
    ($before:literal, $($behind:tt)*) => {
        sql!(concat!(
            $before,
            " redeem_code_id, code_hash, code_mask, amount, status, note, ref, metadata, city_id,
              batch_id, uses, max_uses, max_uses_per_user, expires_at, credits_expire_at,
              credits_expire_ms, redeemed_by_user_id, redeemed_at, created_at, updated_at ",
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
                "FROM balance_redeem_codes
                 WHERE (created_at, redeem_code_id) < ($1, $2)
                   AND created_at >= $3 AND created_at < $4
                   AND ",
                $condition,
                " AND ($7 = '' OR status = $7) AND ($8 = '' OR ref = $8)
                  AND ($9 = '' OR city_id = $9) AND ($10 = '' OR batch_id = $10)
                 ORDER BY created_at DESC, redeem_code_id DESC LIMIT $5"
            )
        )
    };
}

fn stored(row: &Row) -> Result<Stored> {
    let status: String = row.get("status")?;
    Ok(Stored {
        redeem_code_id: row.get("redeem_code_id")?,
        code_hash: row.get("code_hash")?,
        code_mask: row.get("code_mask")?,
        amount: row.get("amount")?,
        status: CodeStatus::parse(&status)?,
        note: row.get("note")?,
        reference: row.get("ref")?,
        metadata: row.get("metadata")?,
        city_id: row.get("city_id")?,
        batch_id: row.get("batch_id")?,
        uses: row.get("uses")?,
        max_uses: row.get("max_uses")?,
        max_uses_per_user: row.get("max_uses_per_user")?,
        expires_at: row.get("expires_at")?,
        credits_expire_at: row.get("credits_expire_at")?,
        credits_expire_ms: row.get("credits_expire_ms")?,
        redeemed_by_user_id: row.get("redeemed_by_user_id")?,
        redeemed_at: row.get("redeemed_at")?,
        created_at: row.get("created_at")?,
        updated_at: row.get("updated_at")?,
    })
}

/// Adds an active code; `false` when there is a code of the same symbols already.
pub(super) fn insert(tx: &mut Tx<'_>, code: &Stored) -> Result<bool> {
    let added = tx.execute(
        sql!(
            "INSERT INTO balance_redeem_codes
                 (redeem_code_id, code_hash, code_mask, amount, status, note, ref, metadata,
                  city_id, batch_id, uses, max_uses, max_uses_per_user, expires_at,
                  credits_expire_at, credits_expire_ms, redeemed_by_user_id, created_at, updated_at)
             VALUES ($1, $2, $3, $4, 'active', $5, $6, $7, $8, $9, 0, $10, $11, $12, $13, $14, '',
                 $15, $15)
             ON CONFLICT (code_hash) DO NOTHING"
        ),
        &[
            &code.redeem_code_id,
            &code.code_hash,
            &code.code_mask,
            &code.amount,
            &code.note,
            &code.reference,
            &code.metadata,
            &code.city_id,
            &code.batch_id,
            &code.max_uses,
            &code.max_uses_per_user,
            &code.expires_at,
            &code.credits_expire_at,
            &code.credits_expire_ms,
            &code.created_at,
        ],
    )?;
    Ok(added == 1)
}

/// A code by its id.
pub(super) fn find(tx: &mut Tx<'_>, redeem_code_id: &str) -> Result<Option<Stored>> {
    tx.query_opt(
        rows_sql!("SELECT", "FROM balance_redeem_codes WHERE redeem_code_id = $1"),
        &[&redeem_code_id],
    )?
    .as_ref()
    .map(stored)
    .transpose()
}

/// A code by the hash of its symbols.
pub(super) fn find_by_hash(tx: &mut Tx<'_>, code_hash: &str) -> Result<Option<Stored>> {
    tx.query_opt(
        rows_sql!("SELECT", "FROM balance_redeem_codes WHERE code_hash = $1"),
        &[&code_hash],
    )?
    .as_ref()
    .map(stored)
    .transpose()
}

/// Takes one use of an active code, which stays locked until the commit; `None` when none is left.
pub(super) fn take_use(
    tx: &mut Tx<'_>,
    redeem_code_id: &str,
    user_id: &str,
    now: Timestamp,
) -> Result<Option<Stored>> {
    tx.query_opt(
        rows_sql!(
            "UPDATE balance_redeem_codes
             SET uses = uses + 1,
                 status = CASE WHEN uses + 1 >= max_uses THEN 'redeemed' ELSE 'active' END,
                 redeemed_by_user_id = $2, redeemed_at = $3, updated_at = $3
             WHERE redeem_code_id = $1 AND status = 'active' AND uses < max_uses
                 AND (expires_at IS NULL OR expires_at > $3)
             RETURNING",
            ""
        ),
        &[&redeem_code_id, &user_id, &now.millis()],
    )?
    .as_ref()
    .map(stored)
    .transpose()
}

/// Writes the facts of a code.
pub(super) fn set_metadata(tx: &mut Tx<'_>, redeem_code_id: &str, metadata: &str) -> Result<()> {
    tx.execute(
        sql!("UPDATE balance_redeem_codes SET metadata = $2 WHERE redeem_code_id = $1"),
        &[&redeem_code_id, &metadata],
    )?;
    Ok(())
}

/// How often a user has redeemed a code.
pub(super) fn count_uses(tx: &mut Tx<'_>, redeem_code_id: &str, owner: &Owner) -> Result<i64> {
    let row = tx.query_one(
        sql!(
            "SELECT COUNT(*) FROM balance_redemptions
             WHERE redeem_code_id = $1 AND scope = $2 AND user_id = $3"
        ),
        &[&redeem_code_id, &owner.scope, &owner.user_id],
    )?;
    Ok(row.at(0)?)
}

/// One use of a code.
pub(super) struct Redemption<'a> {
    pub(super) redeem_code_id: &'a str,
    pub(super) owner: &'a Owner,
    pub(super) use_number: i64,
    pub(super) now: Timestamp,
}

/// Keeps who redeemed a code.
pub(super) fn insert_redemption(tx: &mut Tx<'_>, redemption: &Redemption<'_>) -> Result<()> {
    tx.execute(
        sql!(
            "INSERT INTO balance_redemptions
                 (redeem_code_id, scope, user_id, use_number, city_id, redeemed_at)
             VALUES ($1, $2, $3, $4, $5, $6)"
        ),
        &[
            &redemption.redeem_code_id,
            &redemption.owner.scope,
            &redemption.owner.user_id,
            &redemption.use_number,
            &redemption.owner.city_id,
            &redemption.now.millis(),
        ],
    )?;
    Ok(())
}

/// Takes back a code that is active; `None` when it is not any more.
pub(super) fn disable(tx: &mut Tx<'_>, after: &Stored) -> Result<Option<Stored>> {
    tx.query_opt(
        rows_sql!(
            "UPDATE balance_redeem_codes
             SET status = 'disabled', note = $2, ref = $3, metadata = $4, updated_at = $5
             WHERE redeem_code_id = $1 AND status = 'active'
             RETURNING",
            ""
        ),
        &[&after.redeem_code_id, &after.note, &after.reference, &after.metadata, &after.updated_at],
    )?
    .as_ref()
    .map(stored)
    .transpose()
}

/// What the list of codes is narrowed to.
pub(super) struct Wanted {
    pub(super) stretch: Stretch,
    pub(super) user_id: Option<String>,
    pub(super) batch_id: Option<String>,
    pub(super) reference: Option<String>,
    pub(super) city_id: Option<String>,
    pub(super) status: Option<String>,
}

/// A stretch of all codes, newest first, by the index of the narrowest filter.
pub(super) fn list(tx: &mut Tx<'_>, wanted: &Wanted) -> Result<Vec<Stored>> {
    let user_id = wanted_text(wanted.user_id.as_ref());
    let batch_id = wanted_text(wanted.batch_id.as_ref());
    let reference = wanted_text(wanted.reference.as_ref());
    let city_id = wanted_text(wanted.city_id.as_ref());
    let status = wanted_text(wanted.status.as_ref());
    let (statement, narrowest) = if !user_id.is_empty() {
        // One user redeems few codes: found by user, then put in order.
        (
            list_sql!(
                "redeem_code_id IN
                     (SELECT redeem_code_id FROM balance_redemptions WHERE user_id = $6)"
            ),
            user_id,
        )
    } else if !batch_id.is_empty() {
        (list_sql!("batch_id = $6"), batch_id)
    } else if !reference.is_empty() {
        (list_sql!("ref = $6"), reference)
    } else if !city_id.is_empty() {
        (list_sql!("city_id = $6"), city_id)
    } else if !status.is_empty() {
        (list_sql!("status = $6"), status)
    } else {
        (list_sql!("$6 = ''"), "")
    };
    let (at, id) = &wanted.stretch.before;
    tx.query(
        statement,
        &[
            at,
            id,
            &wanted.stretch.from,
            &wanted.stretch.to,
            &wanted.stretch.wanted(),
            &narrowest,
            &status,
            &reference,
            &city_id,
            &batch_id,
        ],
    )?
    .iter()
    .map(stored)
    .collect()
}
