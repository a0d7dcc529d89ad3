//! The tables `audit` and `audit_head`.

use downcity_db::{DbError, DbErrorKind, Row, Tx, sql};
use downcity_types::ErrorCode;

use super::chain::Link;
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
pub(super) fn insert(tx: &mut Tx<'_>, row: &Link, hash: &str) -> Result<()> {
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

/// What a list of rows is narrowed to.
#[derive(Clone, Debug)]
pub(super) struct Filter {
    /// A kind of actor, or the id of a service key.
    pub(super) actor: Option<String>,
    pub(super) action: Option<String>,
    /// What actions begin with: a service's id and a slash.
    pub(super) service: Option<String>,
    pub(super) target_kind: Option<String>,
    pub(super) target_id: Option<String>,
    pub(super) city_id: Option<String>,
    pub(super) request_id: Option<String>,
    /// Not before this time, in milliseconds since 1970.
    pub(super) from: i64,
    /// Before this time.
    pub(super) to: i64,
    /// Before this row.
    pub(super) below: i64,
}

/// At most `limit` rows, the newest first.
pub(super) fn list(tx: &mut Tx<'_>, filter: &Filter, limit: u32) -> Result<Vec<Stored>> {
    let rows = tx.query(
        sql!(
            "SELECT seq, created_at, actor, key_id, key_name, action, target_kind, target_id,
                 city_id, before_json, after_json, request_id, client_address, prev_hash, hash
             FROM audit
             WHERE seq < $1 AND created_at >= $2 AND created_at < $3
               AND (CAST($4 AS TEXT) IS NULL OR actor = $4 OR key_id = $4)
               AND (CAST($5 AS TEXT) IS NULL OR action = $5)
               AND (CAST($6 AS TEXT) IS NULL OR substr(action, 1, length($6)) = $6)
               AND (CAST($7 AS TEXT) IS NULL OR target_kind = $7)
               AND (CAST($8 AS TEXT) IS NULL OR target_id = $8)
               AND (CAST($9 AS TEXT) IS NULL OR city_id = $9)
               AND (CAST($10 AS TEXT) IS NULL OR request_id = $10)
             ORDER BY seq DESC LIMIT $11"
        ),
        &[
            &filter.below,
            &filter.from,
            &filter.to,
            &filter.actor,
            &filter.action,
            &filter.service,
            &filter.target_kind,
            &filter.target_id,
            &filter.city_id,
            &filter.request_id,
            &limit,
        ],
    )?;
    rows.iter().map(|row| stored(row).map_err(Error::from)).collect()
}

/// A row and the hash that stands beside it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Stored {
    pub(super) link: Link,
    pub(super) hash: String,
}

/// At most `limit` rows that follow this number, in their order. A row that somebody gave values of
/// other types is an error of its own.
pub(super) fn after(tx: &mut Tx<'_>, seq: i64, limit: u32) -> Result<Vec<Result<Stored, DbError>>> {
    let rows = tx.query(
        sql!(
            "SELECT seq, created_at, actor, key_id, key_name, action, target_kind, target_id,
                 city_id, before_json, after_json, request_id, client_address, prev_hash, hash
             FROM audit WHERE seq > $1 ORDER BY seq LIMIT $2"
        ),
        &[&seq, &limit],
    )?;
    Ok(rows.iter().map(stored).collect())
}

/// The end of the chain, not locked; `None` when the row is gone or has values of other types.
///
/// # Errors
/// 404 when the database has no such table.
pub(super) fn head(tx: &mut Tx<'_>) -> Result<Option<Head>> {
    let found = tx.query_opt(sql!("SELECT seq, hash FROM audit_head WHERE id = 1"), &[]);
    let row = found.map_err(|error| match error.kind() {
        DbErrorKind::Engine => Error::new(
            ErrorCode::NotFound,
            "The database has no audit trail; a start of fed serve on it makes one.",
        ),
        _ => error.into(),
    })?;
    Ok(row.and_then(|row| Some(Head { seq: row.get("seq").ok()?, hash: row.get("hash").ok()? })))
}

fn stored(row: &Row) -> Result<Stored, DbError> {
    let link = Link {
        seq: row.get("seq")?,
        created_at: row.get("created_at")?,
        actor: row.get("actor")?,
        key_id: row.get("key_id")?,
        key_name: row.get("key_name")?,
        action: row.get("action")?,
        target_kind: row.get("target_kind")?,
        target_id: row.get("target_id")?,
        city_id: row.get("city_id")?,
        before: row.get("before_json")?,
        after: row.get("after_json")?,
        request_id: row.get("request_id")?,
        client_address: row.get("client_address")?,
        prev_hash: row.get("prev_hash")?,
    };
    Ok(Stored { link, hash: row.get("hash")? })
}
