//! The table `ai_models`.

use downcity_core::Result;
use downcity_db::{Row, Tx, sql};
use downcity_types::Timestamp;

/// A row as it stands in the table, whatever it says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct StoredRow {
    pub(crate) id: String,
    pub(crate) definition: String,
    pub(crate) enabled: bool,
    pub(crate) position: i64,
    pub(crate) updated_at: Timestamp,
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
    Ok(StoredRow {
        id: row.get("id")?,
        definition: row.get("definition")?,
        enabled: row.get("enabled")?,
        position: row.get("position")?,
        updated_at: Timestamp::from_millis(row.get("updated_at")?),
    })
}
