//! The tables `env`, `city_env` and `env_versions`, and the same changes where the Federation's values
//! are kept in a file: the previous versions are in the database all the same.
//!
//! Writers take [`lock`] first, so that versions follow one another on every engine.

use std::cell::RefCell;
use std::collections::{BTreeMap, HashSet};

use downcity_db::{Row, Tx, sql};
use downcity_types::Timestamp;
use serde_json::{Value, json};
use sha2::{Digest as _, Sha256};

use super::backing::{Mark, Values, unfit};
use super::city::{self, CityRow};
use super::file::Document;
use super::slot::Slot;
use super::vault::{NonceSeed, Unreadable, is_sealed, version_of};
use super::{EnvValues, Vault, normalise_key};
use crate::audit::{Target, Trail};
use crate::{Result, Secret};

const TABLE: &str = "env";
/// How many previous versions of a key are kept.
const KEPT_VERSIONS: i64 = 20;

/// What a transaction that changes values works with; made before it.
pub(crate) struct Writer<'a> {
    pub(crate) vault: &'a Vault,
    pub(crate) seed: &'a NonceSeed,
    pub(crate) now: Timestamp,
    pub(crate) values: &'a Values,
}

impl Writer<'_> {
    /// The text of the file, where this value is kept in one: those of cities never are.
    fn document(&self, slot: &Slot) -> Option<&RefCell<Document>> {
        self.values.document().filter(|_| slot.city_id().is_none())
    }
}

/// What became of a value that was to be stored.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Put {
    /// Under this version.
    Stored(i64),
    /// It is what is stored already, under this version.
    Unchanged(i64),
    /// It is how lists show the stored value, not a value: nothing was stored.
    Mask,
}

/// The keys whose rows were written by hand and have been sealed, with the fingerprints of their
/// values.
#[derive(Debug, Default)]
pub(crate) struct Sealed(BTreeMap<String, String>);

impl Sealed {
    /// The number of rows.
    pub(crate) fn len(&self) -> usize {
        self.0.len()
    }

    /// Records the rows as one change of the whole table: what they were before, and who wrote
    /// them, is not known.
    pub(crate) fn record(&self, trail: &mut Trail) {
        trail.record(Target::new(TABLE, "*"), (), json!({ "sealed": self.0 }));
    }
}

/// A value as it stands in the store.
struct Stored {
    value: Result<Secret, Unreadable>,
    /// Its text in the table, where it is sealed.
    sealed: Option<String>,
    /// Which version it is; `None` for a row that was written by hand or is damaged.
    version: Option<i64>,
    written_at: Option<Timestamp>,
}

/// By what one sees that the table was edited.
pub(super) fn mark(tx: &mut Tx<'_>) -> Result<Mark> {
    Ok(mark_of(&rows(tx)?, &city::rows(tx)?))
}

fn mark_of(rows: &[(String, String)], cities: &[CityRow]) -> Mark {
    let mut digest = Sha256::new();
    let own = rows.iter().flat_map(|(key, value)| [key, value]);
    let of_cities = cities.iter().flat_map(|row| [&row.city_id, &row.key, &row.value]);
    for text in own.chain(of_cities) {
        digest.update(text.len().to_le_bytes());
        digest.update(text);
    }
    digest.update(rows.len().to_le_bytes());
    let mut values = rows.iter().map(|(_, value)| value).chain(cities.iter().map(|row| &row.value));
    let in_the_clear = values.any(|value| !is_sealed(value));
    Mark::Table { digest: digest.finalize().into(), in_the_clear }
}

/// Opens every row; what cannot be opened is noted by its key.
///
/// The CASTs read what was put in as bytes, as SQLite's shell does with files.
pub(crate) fn load(tx: &mut Tx<'_>, vault: &Vault) -> Result<EnvValues> {
    let (rows, cities) = (rows(tx)?, city::rows(tx)?);
    let mut values = EnvValues { mark: mark_of(&rows, &cities), ..EnvValues::default() };
    values.cities = city::open(vault, cities);
    let mut odd = Vec::new();
    for (raw, text) in rows {
        match normalise_key(&raw) {
            None => drop(values.unreadable.insert(raw, Unreadable::BadKey)),
            Some(key) if key == raw => insert(&mut values, vault, key, text),
            Some(key) => odd.push((raw, key, text)),
        }
    }
    for (raw, key, text) in odd {
        if values.entries.contains_key(&key) || values.unreadable.contains_key(&key) {
            values.unreadable.insert(raw, Unreadable::Duplicate);
        } else {
            insert(&mut values, vault, key, text);
        }
    }
    Ok(values)
}

fn insert(values: &mut EnvValues, vault: &Vault, key: String, text: String) {
    match open(vault, &Slot::federation(key.as_str()), text) {
        Ok(value) => drop(values.entries.insert(key, value.into())),
        Err(reason) => drop(values.unreadable.insert(key, reason)),
    }
}

pub(super) fn open(vault: &Vault, slot: &Slot, text: String) -> Result<Secret, Unreadable> {
    if is_sealed(&text) {
        vault.open_text(slot.table(), slot.id(), &text)
    } else {
        Ok(Secret::new(text))
    }
}

fn rows(tx: &mut Tx<'_>) -> Result<Vec<(String, String)>> {
    let rows = tx.query(
        sql!("SELECT CAST(key AS TEXT) AS key, CAST(value AS TEXT) AS value FROM env ORDER BY 1"),
        &[],
    )?;
    rows.iter().map(|row| Ok((row.get("key")?, row.get("value")?))).collect()
}

/// Makes this transaction the only one that changes values until it ends.
pub(crate) fn lock(tx: &mut Tx<'_>) -> Result<()> {
    tx.execute(sql!("UPDATE vault SET fingerprint = fingerprint WHERE id = 1"), &[])?;
    Ok(())
}

/// Stores a value, keeps the one before, and records the change.
pub(crate) fn put(
    tx: &mut Tx<'_>,
    trail: &mut Trail,
    writer: &Writer<'_>,
    slot: &Slot,
    value: &Secret,
) -> Result<Put> {
    let text = value.expose();
    let before = find(tx, writer, slot)?;
    if let Some(Stored { value: Ok(stored), version, .. }) = &before {
        if stored.expose() == text
            && let Some(version) = version
        {
            trail.unchanged();
            return Ok(Put::Unchanged(*version));
        }
        if stored.expose() != text && stored.preview() == text {
            return Ok(Put::Mask);
        }
    }
    let version = match &before {
        Some(before) => keep(tx, writer, slot, before)? + 1,
        None => last_version(tx, slot)? + 1,
    };
    write(tx, writer, slot, version, text)?;
    let before = before.map(|before| recorded(trail, &before));
    let after = json!({ "fingerprint": trail.fingerprint(value) });
    trail.record(target(slot), before, after);
    Ok(Put::Stored(version))
}

/// What a change is recorded of.
fn target(slot: &Slot) -> Target {
    let target = Target::new(TABLE, slot.key());
    match slot.city_id() {
        Some(city_id) => target.in_city(city_id),
        None => target,
    }
}

/// Puts a value into the store.
fn write(
    tx: &mut Tx<'_>,
    writer: &Writer<'_>,
    slot: &Slot,
    version: i64,
    text: &str,
) -> Result<()> {
    let key = slot.key();
    if let Some(document) = writer.document(slot) {
        return document.borrow_mut().set(key, text).map_err(|why| unfit(key, why));
    }
    let sealed = writer.vault.seal(writer.seed, slot.place(version), text)?;
    if let Some(city_id) = slot.city_id() {
        return city::write(tx, writer, city_id, key, &sealed);
    }
    tx.execute(
        sql!(
            "INSERT INTO env (key, value, created_at, updated_at) VALUES ($1, $2, $3, $3)
             ON CONFLICT (key) DO UPDATE SET value = excluded.value, updated_at = excluded.updated_at"
        ),
        &[&key, &sealed, &writer.now.to_string()],
    )?;
    Ok(())
}

/// Removes a value, keeps it among the previous versions, and records the change. Says whether there
/// was one.
pub(crate) fn remove(
    tx: &mut Tx<'_>,
    trail: &mut Trail,
    writer: &Writer<'_>,
    slot: &Slot,
) -> Result<bool> {
    let Some(before) = find(tx, writer, slot)? else {
        trail.unchanged();
        return Ok(false);
    };
    keep(tx, writer, slot, &before)?;
    let key = slot.key();
    match (writer.document(slot), slot.city_id()) {
        (Some(document), _) => document.borrow_mut().remove(key).map_err(|why| unfit(key, why))?,
        (None, Some(city_id)) => city::delete(tx, city_id, key)?,
        (None, None) => drop(tx.execute(sql!("DELETE FROM env WHERE key = $1"), &[&key])?),
    }
    let before = recorded(trail, &before);
    trail.record(target(slot), before, ());
    Ok(true)
}

/// A stored value as the audit trail shows it.
fn recorded(trail: &Trail, stored: &Stored) -> Value {
    match &stored.value {
        Ok(value) => json!({ "fingerprint": trail.fingerprint(value) }),
        Err(reason) => json!({ "unreadable": reason.to_string() }),
    }
}

/// Seals what was written by hand in the clear, each row only while it still says what was read.
/// Returns the keys with the fingerprints of their values.
/// A file is never sealed.
pub(crate) fn seal_clear_rows(tx: &mut Tx<'_>, writer: &Writer<'_>) -> Result<Sealed> {
    let mut sealed = Sealed(city::seal_clear_rows(tx, writer)?.into_iter().collect());
    if writer.values.document().is_some() {
        return Ok(sealed);
    }
    let rows = rows(tx)?;
    let taken: HashSet<String> = rows.iter().map(|(raw, _)| raw.clone()).collect();
    for (raw, text) in rows.iter().filter(|(_, text)| !is_sealed(text)) {
        let Some(key) = normalise_key(raw) else { continue };
        if key != *raw && taken.contains(&key) {
            continue;
        }
        let slot = Slot::federation(key.as_str());
        let version = last_version(tx, &slot)? + 1;
        let value = writer.vault.seal(writer.seed, slot.place(version), text)?;
        let changed = tx.execute(
            sql!(
                "UPDATE env SET key = $3, value = $4, updated_at = $5,
                     created_at = CASE WHEN created_at = '' THEN $5 ELSE created_at END
                 WHERE CAST(key AS TEXT) = $1 AND CAST(value AS TEXT) = $2"
            ),
            &[raw, text, &key, &value, &writer.now.to_string()],
        )?;
        if changed > 0 {
            sealed.0.insert(key, writer.vault.fingerprint(&Secret::new(text.as_str())));
        }
    }
    Ok(sealed)
}

fn find(tx: &mut Tx<'_>, writer: &Writer<'_>, slot: &Slot) -> Result<Option<Stored>> {
    match writer.document(slot) {
        Some(document) => find_in_file(tx, document.borrow().values().remove(slot.key()), slot),
        None => find_in_table(tx, writer.vault, slot),
    }
}

fn find_in_table(tx: &mut Tx<'_>, vault: &Vault, slot: &Slot) -> Result<Option<Stored>> {
    let row = match slot.city_id() {
        Some(city_id) => city::find(tx, city_id, slot.key())?,
        None => tx
            .query_opt(
                sql!("SELECT CAST(value AS TEXT) AS value, updated_at FROM env WHERE key = $1"),
                &[&slot.key()],
            )?
            .map(|row| Ok::<_, crate::Error>((row.get("value")?, row.get("updated_at")?)))
            .transpose()?,
    };
    let Some((text, written_at)) = row else { return Ok(None) };
    let written_at = String::as_str(&written_at).parse().ok();
    let version = version_of(&text);
    let sealed = is_sealed(&text).then(|| text.clone());
    Ok(Some(Stored { value: open(vault, slot, text), sealed, version, written_at }))
}

/// A file knows no versions: its value is the one after the last that was replaced.
fn find_in_file(tx: &mut Tx<'_>, value: Option<Secret>, slot: &Slot) -> Result<Option<Stored>> {
    let Some(value) = value else { return Ok(None) };
    let version = Some(last_version(tx, slot)? + 1);
    Ok(Some(Stored { value: Ok(value), sealed: None, version, written_at: None }))
}

/// One version of a value.
pub(crate) struct Version {
    pub(crate) version: i64,
    pub(crate) value: Result<Secret, Unreadable>,
    /// `None` where nobody noted it.
    pub(crate) written_at: Option<Timestamp>,
    /// `None` for the one that applies.
    pub(crate) replaced_at: Option<Timestamp>,
}

/// The versions of a value, the newest first: the one that applies, then those before. `in_file` is
/// the value of the file, where it is kept in one.
pub(crate) fn history(
    tx: &mut Tx<'_>,
    vault: &Vault,
    slot: &Slot,
    in_file: Option<Option<Secret>>,
) -> Result<Vec<Version>> {
    let rows = tx.query(
        sql!(
            "SELECT version, value, written_at, replaced_at FROM env_versions
             WHERE key = $1 ORDER BY version DESC"
        ),
        &[&slot.id()],
    )?;
    let mut versions =
        rows.iter().map(|row| previous(vault, slot, row)).collect::<Result<Vec<_>>>()?;
    let stored = match in_file {
        Some(value) => find_in_file(tx, value, slot)?,
        None => find_in_table(tx, vault, slot)?,
    };
    if let Some(Stored { value, version, written_at, .. }) = stored {
        let last = versions.first().map_or(0, |newest| newest.version);
        let version = version.unwrap_or(last + 1);
        // One that somebody put back by hand is among the previous ones too.
        versions.retain(|previous| previous.version != version);
        versions.insert(0, Version { version, value, written_at, replaced_at: None });
    }
    Ok(versions)
}

fn previous(vault: &Vault, slot: &Slot, row: &Row) -> Result<Version> {
    let time = |millis: Option<i64>| millis.map(Timestamp::from_millis);
    Ok(Version {
        version: row.get("version")?,
        value: vault.open_text(slot.table(), slot.id(), &row.get::<String>("value")?),
        written_at: time(row.get("written_at")?),
        replaced_at: time(row.get("replaced_at")?),
    })
}

/// The highest version that a value has among the previous ones; 0 for none.
pub(super) fn last_version(tx: &mut Tx<'_>, slot: &Slot) -> Result<i64> {
    let row = tx.query_one(
        sql!(
            "SELECT CAST(COALESCE(MAX(version), 0) AS BIGINT) AS version
             FROM env_versions WHERE key = $1"
        ),
        &[&slot.id()],
    )?;
    Ok(row.get("version")?)
}

/// Puts a value among the previous versions and drops the oldest of too many. Returns the highest
/// version that the value has had.
fn keep(tx: &mut Tx<'_>, writer: &Writer<'_>, slot: &Slot, stored: &Stored) -> Result<i64> {
    let last = last_version(tx, slot)?;
    let version = stored.version.unwrap_or(last + 1);
    let value = match (&stored.sealed, &stored.value) {
        // Damaged text is kept too: it may be mended by hand.
        (Some(sealed), _) => sealed.clone(),
        (None, Ok(value)) => writer.vault.seal(writer.seed, slot.place(version), value.expose())?,
        (None, Err(reason)) => return Err(crate::Error::internal(reason.to_string())),
    };
    let written_at = stored.written_at.map(Timestamp::millis);
    // A version that somebody put back by hand is there already.
    tx.execute(
        sql!(
            "INSERT INTO env_versions (key, version, value, written_at, replaced_at)
             VALUES ($1, $2, $3, $4, $5) ON CONFLICT (key, version) DO NOTHING"
        ),
        &[&slot.id(), &version, &value, &written_at, &writer.now.millis()],
    )?;
    let highest = last.max(version);
    tx.execute(
        sql!("DELETE FROM env_versions WHERE key = $1 AND version <= $2"),
        &[&slot.id(), &highest.saturating_sub(KEPT_VERSIONS)],
    )?;
    Ok(highest)
}
