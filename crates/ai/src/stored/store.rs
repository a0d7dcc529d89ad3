//! The table `ai_models`.

use downcity_core::Result;
use downcity_db::{DbError, DbErrorKind, Row, Tx, sql};
use downcity_types::Timestamp;

/// A row as it stands in the table, whatever it says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct StoredRow {
    pub(crate) id: String,
    pub(crate) definition: String,
    pub(crate) enabled: bool,
    pub(crate) position: i64,
    pub(crate) updated_at: Timestamp,
    /// What could not be read of it, where it was edited by hand: SQLite takes values of any type.
    pub(crate) damage: Option<String>,
}

/// Every row, in the order of the catalog.
pub(crate) fn list(tx: &mut Tx<'_>) -> Result<Vec<StoredRow>> {
    let rows = tx.query(
        sql!(
            "SELECT CAST(id AS TEXT) AS id, CAST(definition AS TEXT) AS definition, enabled,
                 position, updated_at
             FROM ai_models ORDER BY position, id"
        ),
        &[],
    )?;
    rows.iter().map(row).collect()
}

/// The row of a model.
pub(crate) fn find(tx: &mut Tx<'_>, id: &str) -> Result<Option<StoredRow>> {
    tx.query_opt(
        sql!(
            "SELECT CAST(id AS TEXT) AS id, CAST(definition AS TEXT) AS definition, enabled,
                 position, updated_at
             FROM ai_models WHERE id = $1"
        ),
        &[&id],
    )?
    .as_ref()
    .map(row)
    .transpose()
}

/// The position after the last row.
pub(crate) fn next_position(tx: &mut Tx<'_>) -> Result<i64> {
    let last = tx.query_one(
        sql!("SELECT CAST(COALESCE(MAX(position), 0) AS BIGINT) AS position FROM ai_models"),
        &[],
    )?;
    Ok(last.get::<i64>("position")?.saturating_add(1))
}

/// Stores a row in place of the one of this id.
pub(crate) fn put(tx: &mut Tx<'_>, row: &StoredRow) -> Result<()> {
    tx.execute(
        sql!(
            "INSERT INTO ai_models (id, definition, enabled, position, updated_at)
             VALUES ($1, $2, $3, $4, $5)
             ON CONFLICT (id) DO UPDATE SET definition = excluded.definition,
                 enabled = excluded.enabled, position = excluded.position,
                 updated_at = excluded.updated_at"
        ),
        &[&row.id, &row.definition, &row.enabled, &row.position, &row.updated_at.millis()],
    )?;
    Ok(())
}

/// Deletes the row of a model.
pub(crate) fn delete(tx: &mut Tx<'_>, id: &str) -> Result<()> {
    tx.execute(sql!("DELETE FROM ai_models WHERE id = $1"), &[&id])?;
    Ok(())
}

fn row(row: &Row) -> Result<StoredRow> {
    let mut damage = None;
    // In place of what cannot be read stands a value with which the row is shown as left out.
    let enabled = or(row.get("enabled"), true, &mut damage)?;
    let position = or(row.get("position"), 0, &mut damage)?;
    let updated_at = Timestamp::from_millis(or(row.get("updated_at"), 0, &mut damage)?);
    let (id, definition) = (row.get("id")?, row.get("definition")?);
    Ok(StoredRow { id, definition, enabled, position, updated_at, damage })
}

/// A value, or another one where it has a wrong type, which is noted.
fn or<T>(read: Result<T, DbError>, instead: T, damage: &mut Option<String>) -> Result<T> {
    match read {
        Err(error) if error.kind() == DbErrorKind::Decode => {
            damage.get_or_insert(error.to_string());
            Ok(instead)
        }
        read => Ok(read?),
    }
}
