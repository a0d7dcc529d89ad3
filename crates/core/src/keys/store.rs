//! The `service_keys` table.

use std::collections::HashMap;
use std::sync::Arc;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use downcity_db::{Row, Tx, sql};
use downcity_types::{Microcredits, ServiceKeyRecord, Timestamp};

use super::secret::Digest;
use super::{ServiceKey, ServiceKeys};
use crate::last_use::Uses;
use crate::{Clock, Error, Result};

/// The last uses of the keys of a node.
pub(crate) fn uses(clock: Arc<dyn Clock>) -> Uses {
    Uses::new(
        clock,
        sql!(
            "UPDATE service_keys SET last_used_at = $2
             WHERE key_id = $1 AND (last_used_at IS NULL OR last_used_at < $2)"
        ),
        sql!("SELECT key_id, last_used_at FROM service_keys WHERE last_used_at IS NOT NULL"),
    )
}

/// Every key, for the snapshot.
pub(crate) fn load(tx: &mut Tx<'_>, uses: &Uses) -> Result<ServiceKeys> {
    let rows = tx.query(
        sql!(
            "SELECT digest, key_id, name, prefix, actions, cities, expires_at, created_at,
                 revoked_at, amount_per_call, amount_per_day, last_used_at
             FROM service_keys"
        ),
        &[],
    )?;
    let entry = |row: &Row| {
        let text: String = row.get("digest")?;
        let bytes = URL_SAFE_NO_PAD.decode(text).map_err(Error::internal)?;
        let digest = Digest::try_from(bytes.as_slice()).map_err(Error::internal)?;
        let record = record(row)?;
        let last_use = uses.of(&record.key_id);
        Ok((digest, Arc::new(ServiceKey::new(record, last_use))))
    };
    let keys: Result<HashMap<_, _>> = rows.iter().map(entry).collect();
    Ok(ServiceKeys::new(keys?))
}

/// At most `limit` keys that follow this place in the order of creation, then id.
pub(super) fn list_after(
    tx: &mut Tx<'_>,
    created_at: i64,
    key_id: &str,
    limit: u32,
) -> Result<Vec<ServiceKeyRecord>> {
    tx.query(
        sql!(
            "SELECT key_id, name, prefix, actions, cities, expires_at, created_at, revoked_at,
                 amount_per_call, amount_per_day, last_used_at
             FROM service_keys WHERE (created_at, key_id) > ($1, $2)
             ORDER BY created_at, key_id LIMIT $3"
        ),
        &[&created_at, &key_id, &limit],
    )?
    .iter()
    .map(record)
    .collect()
}

/// A key by its id.
pub(super) fn find(tx: &mut Tx<'_>, key_id: &str) -> Result<Option<ServiceKeyRecord>> {
    tx.query_opt(
        sql!(
            "SELECT key_id, name, prefix, actions, cities, expires_at, created_at, revoked_at,
                 amount_per_call, amount_per_day, last_used_at
             FROM service_keys WHERE key_id = $1"
        ),
        &[&key_id],
    )?
    .as_ref()
    .map(record)
    .transpose()
}

/// Adds a key.
pub(super) fn insert(tx: &mut Tx<'_>, key: &ServiceKeyRecord, digest: &Digest) -> Result<()> {
    tx.execute(
        sql!(
            "INSERT INTO service_keys
                 (key_id, name, digest, prefix, actions, cities, expires_at, created_at,
                  amount_per_call, amount_per_day)
             VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10)"
        ),
        &[
            &key.key_id,
            &key.name,
            &URL_SAFE_NO_PAD.encode(digest),
            &key.prefix,
            &json(&key.actions)?,
            &json(&key.cities)?,
            &key.expires_at.map(Timestamp::millis),
            &key.created_at.millis(),
            &key.amount_per_call.map(Microcredits::get),
            &key.amount_per_day.map(Microcredits::get),
        ],
    )?;
    Ok(())
}

/// Ends a key; one that was ended before keeps the time of that. `None` when there is no such key.
pub(super) fn revoke(
    tx: &mut Tx<'_>,
    key_id: &str,
    now: Timestamp,
) -> Result<Option<ServiceKeyRecord>> {
    tx.query_opt(
        sql!(
            "UPDATE service_keys SET revoked_at = COALESCE(revoked_at, $2) WHERE key_id = $1
             RETURNING key_id, name, prefix, actions, cities, expires_at, created_at, revoked_at,
                 amount_per_call, amount_per_day, last_used_at"
        ),
        &[&key_id, &now.millis()],
    )?
    .as_ref()
    .map(record)
    .transpose()
}

/// Deletes keys that ended before this time, and what is counted for them, at most `chunk` keys;
/// says how many.
pub(super) fn delete_ended(tx: &mut Tx<'_>, before: Timestamp, chunk: i64) -> Result<u64> {
    let deleted = tx.execute(
        sql!(
            "DELETE FROM service_keys WHERE key_id IN
             (SELECT key_id FROM service_keys WHERE revoked_at < $1 OR expires_at < $1 LIMIT $2)"
        ),
        &[&before.millis(), &chunk],
    )?;
    if deleted > 0 {
        tx.execute(
            sql!(
                "DELETE FROM service_key_spending
                 WHERE key_id NOT IN (SELECT key_id FROM service_keys)"
            ),
            &[],
        )?;
    }
    Ok(deleted)
}

fn json(texts: &[String]) -> Result<String> {
    serde_json::to_string(texts).map_err(Error::internal)
}

fn record(row: &Row) -> Result<ServiceKeyRecord> {
    let texts = |column| -> Result<Vec<String>> {
        let json: String = row.get(column)?;
        serde_json::from_str(&json).map_err(Error::internal)
    };
    let time = |column| -> Result<Option<Timestamp>> {
        let millis: Option<i64> = row.get(column)?;
        Ok(millis.map(Timestamp::from_millis))
    };
    let amount = |column| -> Result<Option<Microcredits>> {
        let amount: Option<i64> = row.get(column)?;
        Ok(amount.map(Microcredits))
    };
    Ok(ServiceKeyRecord {
        key_id: row.get("key_id")?,
        name: row.get("name")?,
        prefix: row.get("prefix")?,
        actions: texts("actions")?,
        cities: texts("cities")?,
        expires_at: time("expires_at")?,
        created_at: Timestamp::from_millis(row.get("created_at")?),
        revoked_at: time("revoked_at")?,
        amount_per_call: amount("amount_per_call")?,
        amount_per_day: amount("amount_per_day")?,
        last_used_at: time("last_used_at")?,
    })
}
