//! The tables `env` and `env_versions`.
//!
//! Writers take [`lock`] first, so that versions follow one another on every engine.

use std::collections::{BTreeMap, HashSet};

use downcity_db::{Row, Tx, sql};
use downcity_types::Timestamp;
use serde_json::{Value, json};

use super::vault::{NonceSeed, Place, Unreadable, is_sealed, version_of};
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

/// A row as it stands in the table.
struct Stored {
    value: String,
    updated_at: String,
}

/// Opens every row; what cannot be opened is noted by its key.
///
/// The CASTs read what was put in as bytes, as SQLite's shell does with files.
pub(crate) fn load(tx: &mut Tx<'_>, vault: &Vault) -> Result<EnvValues> {
    let mut values = EnvValues::default();
    let mut odd = Vec::new();
    for (raw, text) in rows(tx)? {
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
    match open(vault, &key, text) {
        Ok(value) => drop(values.entries.insert(key, value.into())),
        Err(reason) => drop(values.unreadable.insert(key, reason)),
    }
}

fn open(vault: &Vault, key: &str, text: String) -> Result<Secret, Unreadable> {
    if is_sealed(&text) { vault.open_text(TABLE, key, &text) } else { Ok(Secret::new(text)) }
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

/// Stores a value under a normalised key, keeps the one before, and records the change.
pub(crate) fn put(
    tx: &mut Tx<'_>,
    trail: &mut Trail,
    writer: &Writer<'_>,
    key: &str,
    value: &Secret,
) -> Result<Put> {
    let text = value.expose();
    let before = find(tx, key)?;
    if let Some(before) = &before
        && let Ok(stored) = open(writer.vault, key, before.value.clone())
    {
        if stored.expose() == text
            && let Some(version) = version_of(&before.value)
        {
            trail.unchanged();
            return Ok(Put::Unchanged(version));
        }
        if stored.expose() != text && stored.preview() == text {
            return Ok(Put::Mask);
        }
    }
    let version = match &before {
        Some(before) => keep(tx, writer, key, before)? + 1,
        None => last_version(tx, key)? + 1,
    };
    let sealed = writer.vault.seal(writer.seed, Place { table: TABLE, key, version }, text)?;
    tx.execute(
        sql!(
            "INSERT INTO env (key, value, created_at, updated_at) VALUES ($1, $2, $3, $3)
             ON CONFLICT (key) DO UPDATE SET value = excluded.value, updated_at = excluded.updated_at"
        ),
        &[&key, &sealed, &writer.now.to_string()],
    )?;
    let before = before.map(|before| recorded(trail, writer, key, before.value));
    let after = json!({ "fingerprint": trail.fingerprint(value) });
    trail.record(Target::new(TABLE, key), before, after);
    Ok(Put::Stored(version))
}

/// Removes a normalised key, keeps its value among the previous versions, and records the change.
/// Says whether there was one.
pub(crate) fn remove(
    tx: &mut Tx<'_>,
    trail: &mut Trail,
    writer: &Writer<'_>,
    key: &str,
) -> Result<bool> {
    let Some(before) = find(tx, key)? else {
        trail.unchanged();
        return Ok(false);
    };
    keep(tx, writer, key, &before)?;
    tx.execute(sql!("DELETE FROM env WHERE key = $1"), &[&key])?;
    let before = recorded(trail, writer, key, before.value);
    trail.record(Target::new(TABLE, key), before, ());
    Ok(true)
}

/// A stored value as the audit trail shows it.
fn recorded(trail: &Trail, writer: &Writer<'_>, key: &str, text: String) -> Value {
    match open(writer.vault, key, text) {
        Ok(value) => json!({ "fingerprint": trail.fingerprint(&value) }),
        Err(reason) => json!({ "unreadable": reason.to_string() }),
    }
}

/// Seals what was written by hand in the clear, each row only while it still says what was read.
/// Returns the keys with the fingerprints of their values.
pub(crate) fn seal_clear_rows(tx: &mut Tx<'_>, writer: &Writer<'_>) -> Result<Sealed> {
    let rows = rows(tx)?;
    let taken: HashSet<String> = rows.iter().map(|(raw, _)| raw.clone()).collect();
    let mut sealed = Sealed::default();
    for (raw, text) in rows.iter().filter(|(_, text)| !is_sealed(text)) {
        let Some(key) = normalise_key(raw) else { continue };
        if key != *raw && taken.contains(&key) {
            continue;
        }
        let version = last_version(tx, &key)? + 1;
        let place = Place { table: TABLE, key: &key, version };
        let value = writer.vault.seal(writer.seed, place, text)?;
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

fn find(tx: &mut Tx<'_>, key: &str) -> Result<Option<Stored>> {
    let row = tx.query_opt(
        sql!("SELECT CAST(value AS TEXT) AS value, updated_at FROM env WHERE key = $1"),
        &[&key],
    )?;
    row.map(|row: Row| Ok(Stored { value: row.get("value")?, updated_at: row.get("updated_at")? }))
        .transpose()
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

/// The versions of a normalised key, the newest first: the one that applies, then those before.
pub(crate) fn history(tx: &mut Tx<'_>, vault: &Vault, key: &str) -> Result<Vec<Version>> {
    let rows = tx.query(
        sql!(
            "SELECT version, value, written_at, replaced_at FROM env_versions
             WHERE key = $1 ORDER BY version DESC"
        ),
        &[&key],
    )?;
    let mut versions =
        rows.iter().map(|row| previous(vault, key, row)).collect::<Result<Vec<_>>>()?;
    if let Some(row) = find(tx, key)? {
        let last = versions.first().map_or(0, |newest| newest.version);
        let version = version_of(&row.value).unwrap_or(last + 1);
        // One that somebody put back by hand is among the previous ones too.
        versions.retain(|previous| previous.version != version);
        let written_at = row.updated_at.parse().ok();
        let value = open(vault, key, row.value);
        versions.insert(0, Version { version, value, written_at, replaced_at: None });
    }
    Ok(versions)
}

fn previous(vault: &Vault, key: &str, row: &Row) -> Result<Version> {
    let time = |millis: Option<i64>| millis.map(Timestamp::from_millis);
    Ok(Version {
        version: row.get("version")?,
        value: vault.open_text(TABLE, key, &row.get::<String>("value")?),
        written_at: time(row.get("written_at")?),
        replaced_at: time(row.get("replaced_at")?),
    })
}

/// The highest version that a key has among the previous ones; 0 for none.
fn last_version(tx: &mut Tx<'_>, key: &str) -> Result<i64> {
    let row = tx.query_one(
        sql!(
            "SELECT CAST(COALESCE(MAX(version), 0) AS BIGINT) AS version
             FROM env_versions WHERE key = $1"
        ),
        &[&key],
    )?;
    Ok(row.get("version")?)
}

/// Puts a row among the previous versions and drops the oldest of too many. Returns the highest
/// version that the key has had.
fn keep(tx: &mut Tx<'_>, writer: &Writer<'_>, key: &str, row: &Stored) -> Result<i64> {
    let last = last_version(tx, key)?;
    let (version, value) = match version_of(&row.value) {
        Some(version) => (version, row.value.clone()),
        // Damaged text is kept too: it may be mended by hand.
        None if is_sealed(&row.value) => (last + 1, row.value.clone()),
        None => {
            let place = Place { table: TABLE, key, version: last + 1 };
            (last + 1, writer.vault.seal(writer.seed, place, &row.value)?)
        }
    };
    let written_at = row.updated_at.parse::<Timestamp>().ok().map(Timestamp::millis);
    // A version that somebody put back by hand is there already.
    tx.execute(
        sql!(
            "INSERT INTO env_versions (key, version, value, written_at, replaced_at)
             VALUES ($1, $2, $3, $4, $5) ON CONFLICT (key, version) DO NOTHING"
        ),
        &[&key, &version, &value, &written_at, &writer.now.millis()],
    )?;
    let highest = last.max(version);
    tx.execute(
        sql!("DELETE FROM env_versions WHERE key = $1 AND version <= $2"),
        &[&key, &highest.saturating_sub(KEPT_VERSIONS)],
    )?;
    Ok(highest)
}
