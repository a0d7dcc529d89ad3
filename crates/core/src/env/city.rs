//! The table `city_env`: env values that single cities have of their own.
//!
//! They stand in the database also where the Federation's own values are kept in a file.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

use downcity_db::{Tx, sql};

use super::normalise_key;
use super::slot::{Slot, city_of};
use super::store::{self, Writer, last_version};
use super::values::Entry;
use super::vault::{Unreadable, Vault, is_sealed};
use crate::{Result, Secret};

/// A row as it stands in the table.
pub(super) struct CityRow {
    pub(super) city_id: String,
    pub(super) key: String,
    pub(super) value: String,
}

/// The opened values of one city.
#[derive(Default)]
pub(crate) struct CityValues {
    pub(crate) entries: BTreeMap<String, Entry>,
    pub(crate) unreadable: BTreeMap<String, Unreadable>,
}

/// Every row, in an order that does not change by itself.
pub(super) fn rows(tx: &mut Tx<'_>) -> Result<Vec<CityRow>> {
    let rows = tx.query(
        sql!(
            "SELECT CAST(city_id AS TEXT) AS city_id, CAST(key AS TEXT) AS key,
                 CAST(value AS TEXT) AS value FROM city_env ORDER BY 1, 2"
        ),
        &[],
    )?;
    let row = |row: &downcity_db::Row| {
        Ok(CityRow { city_id: row.get("city_id")?, key: row.get("key")?, value: row.get("value")? })
    };
    rows.iter().map(row).collect()
}

/// Opens every row; what cannot be opened is noted by its key.
pub(super) fn open(vault: &Vault, rows: Vec<CityRow>) -> HashMap<Box<str>, Arc<CityValues>> {
    let mut cities: HashMap<Box<str>, CityValues> = HashMap::new();
    for CityRow { city_id, key: raw, value } in rows {
        let slot = Slot::city(&city_id, raw.as_str());
        let city = cities.entry(city_id.into()).or_default();
        // Rows of other spellings are mended by the sealing that follows an edit by hand.
        let opened = match normalise_key(&raw) {
            Some(key) if key == raw => store::open(vault, &slot, value),
            _ => Err(Unreadable::BadKey),
        };
        match opened {
            Ok(value) => drop(city.entries.insert(raw, value.into())),
            Err(reason) => drop(city.unreadable.insert(raw, reason)),
        }
    }
    cities.into_iter().map(|(city_id, values)| (city_id, Arc::new(values))).collect()
}

/// The stored text of a value and when it was written.
pub(super) fn find(tx: &mut Tx<'_>, city_id: &str, key: &str) -> Result<Option<(String, String)>> {
    let row = tx.query_opt(
        sql!(
            "SELECT CAST(value AS TEXT) AS value, updated_at FROM city_env
             WHERE city_id = $1 AND key = $2"
        ),
        &[&city_id, &key],
    )?;
    row.map(|row| Ok((row.get("value")?, row.get("updated_at")?))).transpose()
}

pub(super) fn write(
    tx: &mut Tx<'_>,
    writer: &Writer<'_>,
    city_id: &str,
    key: &str,
    sealed: &str,
) -> Result<()> {
    tx.execute(
        sql!(
            "INSERT INTO city_env (city_id, key, value, created_at, updated_at)
             VALUES ($1, $2, $3, $4, $4)
             ON CONFLICT (city_id, key)
             DO UPDATE SET value = excluded.value, updated_at = excluded.updated_at"
        ),
        &[&city_id, &key, &sealed, &writer.now.to_string()],
    )?;
    Ok(())
}

pub(super) fn delete(tx: &mut Tx<'_>, city_id: &str, key: &str) -> Result<()> {
    tx.execute(sql!("DELETE FROM city_env WHERE city_id = $1 AND key = $2"), &[&city_id, &key])?;
    Ok(())
}

/// Seals the rows that were written by hand in the clear, each only while it still says what was
/// read. Gives the ids of their slots with the fingerprints of the values.
pub(super) fn seal_clear_rows(
    tx: &mut Tx<'_>,
    writer: &Writer<'_>,
) -> Result<Vec<(String, String)>> {
    let mut sealed = Vec::new();
    let rows = rows(tx)?;
    for CityRow { city_id, key: raw, value } in rows.iter().filter(|row| !is_sealed(&row.value)) {
        let Some(key) = normalise_key(raw) else { continue };
        let is_taken = |row: &CityRow| row.city_id == *city_id && row.key == key;
        if key != *raw && rows.iter().any(is_taken) {
            continue;
        }
        let slot = Slot::city(city_id, key);
        let version = last_version(tx, &slot)? + 1;
        let text = writer.vault.seal(writer.seed, slot.place(version), value)?;
        let changed = tx.execute(
            sql!(
                "UPDATE city_env SET key = $4, value = $5, updated_at = $6,
                     created_at = CASE WHEN created_at = '' THEN $6 ELSE created_at END
                 WHERE city_id = $1 AND CAST(key AS TEXT) = $2 AND CAST(value AS TEXT) = $3"
            ),
            &[city_id, raw, value, &slot.key(), &text, &writer.now.to_string()],
        )?;
        if changed > 0 {
            let fingerprint = writer.vault.fingerprint(&Secret::new(value.as_str()));
            sealed.push((slot.id().to_owned(), fingerprint));
        }
    }
    Ok(sealed)
}

/// Forgets all values of a city, the previous ones too: for a city that is removed, and for one that
/// is made, whose id may be that of a city removed by hand.
pub(crate) fn forget(tx: &mut Tx<'_>, city_id: &str) -> Result<()> {
    tx.execute(sql!("DELETE FROM city_env WHERE city_id = $1"), &[&city_id])?;
    // No pattern: ids of cities may hold what patterns read as signs.
    for slot in slots_of(tx.query(sql!("SELECT DISTINCT key FROM env_versions"), &[])?, city_id)? {
        tx.execute(sql!("DELETE FROM env_versions WHERE key = $1"), &[&slot])?;
    }
    for slot in slots_of(tx.query(sql!("SELECT key FROM env_reads"), &[])?, city_id)? {
        tx.execute(sql!("DELETE FROM env_reads WHERE key = $1"), &[&slot])?;
    }
    Ok(())
}

fn slots_of(rows: Vec<downcity_db::Row>, city_id: &str) -> Result<Vec<String>> {
    let ids = rows.iter().map(|row| row.get("key")).collect::<Result<Vec<String>, _>>()?;
    Ok(ids.into_iter().filter(|id| city_of(id) == Some(city_id)).collect())
}
