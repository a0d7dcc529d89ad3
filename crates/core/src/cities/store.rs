//! The `cities` table.

use std::collections::HashMap;
use std::sync::Arc;

use downcity_db::{Row, Tx, sql};
use downcity_types::{City, CityStatus, Timestamp};

use crate::{Error, Result};

/// Every city, for the snapshot.
pub(crate) fn load(tx: &mut Tx<'_>) -> Result<HashMap<Box<str>, Arc<City>>> {
    let rows =
        tx.query(sql!("SELECT city_id, name, status, created_at, updated_at FROM cities"), &[])?;
    let entry = |row: &Row| city(row).map(|city| (city.city_id.as_str().into(), Arc::new(city)));
    rows.iter().map(entry).collect()
}

/// At most `limit` cities that follow this place in the order of creation, then id.
pub(crate) fn list_after(
    tx: &mut Tx<'_>,
    created_at: i64,
    city_id: &str,
    limit: u32,
) -> Result<Vec<City>> {
    tx.query(
        sql!(
            "SELECT city_id, name, status, created_at, updated_at FROM cities
             WHERE (created_at, city_id) > ($1, $2)
             ORDER BY created_at, city_id LIMIT $3"
        ),
        &[&created_at, &city_id, &limit],
    )?
    .iter()
    .map(city)
    .collect()
}

/// Adds a city. Says `false`, and changes nothing, when the id is taken.
pub(crate) fn insert(tx: &mut Tx<'_>, city: &City) -> Result<bool> {
    let inserted = tx.execute(
        sql!(
            "INSERT INTO cities (city_id, name, status, created_at, updated_at)
             VALUES ($1, $2, $3, $4, $5) ON CONFLICT (city_id) DO NOTHING"
        ),
        &[
            &city.city_id,
            &city.name,
            &city.status.as_str(),
            &city.created_at.millis(),
            &city.updated_at.millis(),
        ],
    )?;
    Ok(inserted == 1)
}

/// Sets the status of a city; its `updated_at` moves only when the status does.
pub(crate) fn update_status(
    tx: &mut Tx<'_>,
    city_id: &str,
    status: CityStatus,
    now: Timestamp,
) -> Result<Option<City>> {
    tx.query_opt(
        sql!(
            "UPDATE cities SET
                 updated_at = CASE WHEN status = $2 THEN updated_at ELSE $3 END, status = $2
             WHERE city_id = $1
             RETURNING city_id, name, status, created_at, updated_at"
        ),
        &[&city_id, &status.as_str(), &now.millis()],
    )?
    .as_ref()
    .map(city)
    .transpose()
}

/// Removes a city and gives what it was; `None` when there is none.
pub(crate) fn delete(tx: &mut Tx<'_>, city_id: &str) -> Result<Option<City>> {
    tx.query_opt(
        sql!(
            "DELETE FROM cities WHERE city_id = $1
             RETURNING city_id, name, status, created_at, updated_at"
        ),
        &[&city_id],
    )?
    .as_ref()
    .map(city)
    .transpose()
}

/// A city.
pub(crate) fn find(tx: &mut Tx<'_>, city_id: &str) -> Result<Option<City>> {
    tx.query_opt(
        sql!("SELECT city_id, name, status, created_at, updated_at FROM cities WHERE city_id = $1"),
        &[&city_id],
    )?
    .as_ref()
    .map(city)
    .transpose()
}

/// Whether a city has this id.
pub(crate) fn exists(tx: &mut Tx<'_>, city_id: &str) -> Result<bool> {
    let row = tx.query_opt(sql!("SELECT city_id FROM cities WHERE city_id = $1"), &[&city_id])?;
    Ok(row.is_some())
}

fn city(row: &Row) -> Result<City> {
    let status: String = row.get("status")?;
    Ok(City {
        city_id: row.get("city_id")?,
        name: row.get("name")?,
        status: CityStatus::parse(&status)
            .ok_or_else(|| Error::internal("a city of an unknown status"))?,
        created_at: Timestamp::from_millis(row.get("created_at")?),
        updated_at: Timestamp::from_millis(row.get("updated_at")?),
    })
}
