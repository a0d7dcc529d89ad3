//! The tables `audit` and `audit_head`.

use downcity_db::{Tx, sql};

use super::chain::Row;
use crate::{Error, Result};

/// The end of the chain.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Head {
    pub(super) seq: i64,
    pub(super) hash: String,
}

/// Locks the end of the chain until the commit: whoever appends next waits for it. The last lock of
/// a transaction.
///
/// # Errors
/// When the head is gone: nothing can be recorded then, and so nothing be written.
pub(super) fn lock_head(tx: &mut Tx<'_>) -> Result<Head> {
    let row = tx
        .query_opt(sql!("UPDATE audit_head SET seq = seq WHERE id = 1 RETURNING seq, hash"), &[])?;
    let row = row.ok_or_else(|| Error::internal("the head of the audit trail is gone"))?;
    Ok(Head { seq: row.get("seq")?, hash: row.get("hash")? })
}

/// Moves the end of the chain, which must be locked.
pub(super) fn move_head(tx: &mut Tx<'_>, head: &Head) -> Result<()> {
    tx.execute(
        sql!("UPDATE audit_head SET seq = $1, hash = $2 WHERE id = 1"),
        &[&head.seq, &head.hash],
    )?;
    Ok(())
}

/// Adds a row.
pub(super) fn insert(tx: &mut Tx<'_>, row: &Row, hash: &str) -> Result<()> {
    tx.execute(
        sql!(
            "INSERT INTO audit
                 (seq, created_at, actor, key_id, key_name, action, target_kind, target_id, city_id,
                  before_json, after_json, request_id, client_address, prev_hash, hash)
             VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15)"
        ),
        &[
            &row.seq,
            &row.created_at,
            &row.actor,
            &row.key_id,
            &row.key_name,
            &row.action,
            &row.target_kind,
            &row.target_id,
            &row.city_id,
            &row.before,
            &row.after,
            &row.request_id,
            &row.client_address,
            &row.prev_hash,
            &hash,
        ],
    )?;
    Ok(())
}
