//! `/v1/env/*`.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use downcity_db::Tx;
use downcity_types::{EnvEntry, EnvScope, EnvSource, ErrorCode, Items};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::json;

use super::city::CityValues;
use super::input::{self, At, Scalar};
use super::probe::{Probes, not_read};
use super::store::{self, Put, Writer};
use super::values::{Entry, EnvValues};
use super::{NonceSeed, Slot, dotenv, erase_clear_text, is_system_key};
use crate::audit::{Target, Trail};
use crate::cities::{self, unknown_city};
use crate::{ADMIN, Cx, Error, NoInput, Result, Secret, Service, ServiceDef, views};

/// The most assignments of one import: they are one transaction.
const IMPORT_MAX_ENTRIES: usize = 1_000;

/// The service `env`.
#[derive(Default)]
pub struct EnvService {
    pub(super) probes: Probes,
}

impl Service for EnvService {
    fn id(&self) -> &'static str {
        "env"
    }

    fn name(&self) -> &'static str {
        "Env"
    }

    fn define(self: Arc<Self>, service: &mut ServiceDef) {
        service.instruction(include_str!("instruction.md"));
        service
            .get("list", ADMIN, &self, Self::list)
            .summary("List the stored env values.")
            .description("System keys are masked unless the admin key asks with `reveal=true`. A row that cannot be opened has an `error` in place of its value. Values edited in the database or the env file by hand show after a refresh, or by themselves with `env.auto_refresh`. With `city_id` the values are listed that this city has of its own, all of them masked unless the admin key asks with `reveal=true`.");
        service
            .get("history", ADMIN, &self, Self::history)
            .summary("List the versions of an env value, the newest first.")
            .description("The value that applies and the twenty before it, also of a key that was removed. Values are masked; `reveal=true` with the admin key shows those of keys that are no system keys. Service keys do not see system keys.");
        service
            .post("upsert", ADMIN, &self, Self::upsert)
            .summary("Store an env value; it applies at once.")
            .description("The key is trimmed and upper-cased, the value is stored as sent. The value before is kept. System keys need at least 16 characters, and a mask is never stored. Where a service knows how to test the key, as for the keys of AI providers, a value that is refused there is not stored; one that could not be tested is, with a `warning`. With `city_id` it is that city's own value, which AI calls of the city use in place of the Federation's; nothing else reads it.");
        service
            .post("rollback", ADMIN, &self, Self::rollback)
            .summary("Let the value of an earlier version apply again, as a new version.")
            .description("A key that was removed comes back. The rules are those of `upsert`.");
        service
            .post("remove", ADMIN, &self, Self::remove)
            .summary("Remove an env value; one that is absent is no error.");
        service
            .post("import", ADMIN, &self, Self::import)
            .summary("Store every assignment of a .env text, or none.")
            .description("Comments, `export`, quotes, escapes in double quotes and quoted values of several lines are read; later duplicates win. An error names its line, and then nothing is stored. Values are tested as those of `upsert` are.");
        service
            .post("test", ADMIN, &self, Self::test)
            .summary("Try a stored value where it is used.")
            .description("For keys that a service knows how to test, such as the keys of AI providers. The answer shows nothing of the value.")
            .cancel_on_disconnect();
        service
            .post("refresh", ADMIN, &self, Self::refresh)
            .summary("Apply what was edited by hand in the database or the env file, and seal what stands in the database in the clear.");
        service
            .get("catalog", ADMIN, &self, Self::catalog)
            .summary("List the env keys that services and models need, and which of them are set.");
    }
}

#[derive(Deserialize, JsonSchema)]
struct ListInput {
    /// Show system keys in the clear; with `city_id`, the values of that city.
    #[serde(default)]
    reveal: bool,
    /// List what this city has of its own.
    #[serde(default)]
    city_id: Option<String>,
}

#[derive(Deserialize, JsonSchema)]
struct UpsertInput {
    /// The key, in any case.
    key: String,
    #[serde(default)]
    value: Scalar,
    /// Whether to try the value before it is stored, where a service knows how.
    #[serde(default = "yes")]
    test: bool,
    /// The city whose own value it is, where it is not the Federation's.
    #[serde(default)]
    city_id: Option<String>,
}

pub(super) fn yes() -> bool {
    true
}

#[derive(Serialize, JsonSchema)]
struct Upserted {
    /// Always true.
    success: bool,
    /// The normalised key.
    key: String,
    /// Why the value could not be tested, or has no effect yet; it is stored.
    #[serde(skip_serializing_if = "Option::is_none")]
    warning: Option<String>,
    /// The city whose own value it is.
    #[serde(skip_serializing_if = "Option::is_none")]
    city_id: Option<String>,
}

#[derive(Deserialize, JsonSchema)]
struct RemoveInput {
    /// The key, in any case.
    key: String,
    /// The city whose own value it is, where it is not the Federation's.
    #[serde(default)]
    city_id: Option<String>,
}

#[derive(Serialize, JsonSchema)]
struct Removed {
    /// Always true.
    success: bool,
    /// The normalised key.
    key: String,
    /// Whether there was a value.
    removed: bool,
    /// The city whose own value it is.
    #[serde(skip_serializing_if = "Option::is_none")]
    city_id: Option<String>,
}

#[derive(Deserialize, JsonSchema)]
struct ImportInput {
    /// The text of a .env file.
    #[serde(default)]
    raw: Secret,
    /// Whether to try values before they are stored, where a service knows how.
    #[serde(default = "yes")]
    test: bool,
    /// The city whose own values they are, where they are not the Federation's.
    #[serde(default)]
    city_id: Option<String>,
}

#[derive(Serialize, JsonSchema)]
struct Imported {
    /// Always true.
    success: bool,
    /// The number of assignments, duplicates included.
    count: usize,
    /// Their normalised keys in the order of the text.
    keys: Vec<String>,
    /// The keys whose values could not be tested or have no effect yet, each with the reason; they are
    /// stored.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    warnings: Vec<ImportWarning>,
    /// The city whose own values they are.
    #[serde(skip_serializing_if = "Option::is_none")]
    city_id: Option<String>,
}

/// A value that could not be tested.
#[derive(Serialize, JsonSchema)]
struct ImportWarning {
    /// The normalised key.
    key: String,
    /// Why the value could not be tested, or has no effect yet.
    warning: String,
}

#[derive(Serialize, JsonSchema)]
struct Refreshed {
    /// Always true.
    success: bool,
    /// The number of values that now apply.
    count: usize,
}

impl EnvService {
    async fn list(self: Arc<Self>, cx: Cx, input: ListInput) -> Result<Items<EnvEntry>> {
        let snapshot = cx.runtime().snapshot();
        let values = snapshot.env();
        let reveal = input.reveal && cx.identity().is_admin();
        let city_id = city_named(&cx, input.city_id.as_deref())?;
        let none = CityValues::default();
        let (entries, unreadable, source) = match city_id {
            None => (&values.entries, &values.unreadable, values.source),
            Some(city_id) => {
                let own = values.of_city(Some(city_id)).map_or(&none, Arc::as_ref);
                (&own.entries, &own.unreadable, EnvSource::Database)
            }
        };
        let last_uses = &cx.runtime().state().last_uses().env;
        let entry = |key: &String, value, masked, error| EnvEntry {
            key: key.clone(),
            value,
            source,
            masked,
            last_read_at: last_uses.last(Slot::of(city_id, key.as_str()).id()),
            error,
            city_id: city_id.map(str::to_owned),
        };
        let readable = entries.iter().map(|(key, Entry { value, .. })| {
            // What a city has of its own belongs to somebody else than the operator, often.
            let masked = (is_system_key(key) || city_id.is_some()) && !reveal;
            let value = if masked { value.preview() } else { value.expose().to_owned() };
            entry(key, value, masked, None)
        });
        let unreadable = unreadable
            .iter()
            .map(|(key, reason)| entry(key, String::new(), true, Some(reason.to_string())));
        let mut items: Vec<EnvEntry> = readable.chain(unreadable).collect();
        items.sort_by(|a, b| a.key.cmp(&b.key));
        Ok(Items::all(items))
    }

    async fn upsert(self: Arc<Self>, cx: Cx, input: UpsertInput) -> Result<Upserted> {
        let slot = slot_of(&cx, &input.key, input.city_id.as_deref())?;
        let key = slot.key().to_owned();
        check_caller(&cx, &key)?;
        input::check_value(&key, input.value.0.expose(), At::Field)?;
        let value = input.value.0;
        let warning = if input.test { self.try_value(&cx, &slot, &value).await? } else { None };
        let warning = warning.or_else(|| not_read(&cx, &slot));
        let city_id = slot.city_id().map(str::to_owned);
        change(&cx, move |tx, trail, writer| {
            check_city(tx, &slot)?;
            match store::put(tx, trail, writer, &slot, &value)? {
                Put::Mask => Err(input::masked(slot.key(), At::Field)),
                Put::Stored(_) | Put::Unchanged(_) => Ok(()),
            }
        })
        .await?;
        tracing::info!(key, city_id, "an env value was set");
        Ok(Upserted { success: true, key, warning, city_id })
    }

    async fn remove(self: Arc<Self>, cx: Cx, input: RemoveInput) -> Result<Removed> {
        let slot = slot_of(&cx, &input.key, input.city_id.as_deref())?;
        let key = slot.key().to_owned();
        if is_system_key(&key) {
            return Err(Error::new(ErrorCode::SystemKey, format!("key: {key} cannot be removed."))
                .with_field("key", "is a system key")
                .with_fix(format!(
                    "Without it nobody could call or sign in. Replace its value with POST /v1/env/upsert {{\"key\":\"{key}\",\"value\":\"…\"}}."
                )));
        }
        let city_id = slot.city_id().map(str::to_owned);
        let remove = move |tx: &mut Tx<'_>, trail: &mut Trail, writer: &Writer<'_>| {
            store::remove(tx, trail, writer, &slot)
        };
        let removed = change(&cx, remove).await?;
        if removed {
            tracing::info!(key, city_id, "an env value was removed");
        }
        Ok(Removed { success: true, key, removed, city_id })
    }

    async fn import(self: Arc<Self>, cx: Cx, input: ImportInput) -> Result<Imported> {
        let mut entries = read_import(input.raw.expose())?;
        for entry in &mut entries {
            entry.key = super::meant(std::mem::take(&mut entry.key));
        }
        check_entries(&entries)?;
        entries.iter().try_for_each(|entry| check_caller(&cx, &entry.key))?;
        let city_id = city_named(&cx, input.city_id.as_deref())?.map(str::to_owned);
        for entry in &entries {
            check_key(&entry.key, city_id.as_deref(), At::Line(entry.line, &entry.key))?;
        }
        let keys: Vec<String> = entries.iter().map(|entry| entry.key.clone()).collect();
        let mut warnings = Vec::new();
        if !entries.is_empty() {
            let mut latest = BTreeMap::new();
            for entry in entries {
                latest.insert(entry.key, (entry.value, entry.line));
            }
            if input.test {
                let values = latest.iter().map(|(key, (value, line))| {
                    (key.clone(), (value.clone(), At::Line(*line, key)))
                });
                let city_id = city_id.as_deref();
                warnings = self.try_values(&cx, city_id, &values.collect()).await?;
            }
            let slots =
                latest.into_iter().map(|(key, stored)| (Slot::of(city_id.as_deref(), key), stored));
            let slots: Vec<(Slot, (Secret, usize))> = slots.collect();
            warnings.extend(slots.iter().filter_map(|(slot, _)| {
                not_read(&cx, slot).map(|warning| (slot.key().to_owned(), warning))
            }));
            change(&cx, move |tx, trail, writer| {
                for (slot, (value, line)) in &slots {
                    check_city(tx, slot)?;
                    if store::put(tx, trail, writer, slot, value)? == Put::Mask {
                        return Err(input::masked(slot.key(), At::Line(*line, slot.key())));
                    }
                }
                Ok(())
            })
            .await?;
            tracing::info!(?keys, city_id, "env values were imported");
        }
        let warnings = warnings.into_iter();
        let warnings = warnings.map(|(key, warning)| ImportWarning { key, warning }).collect();
        Ok(Imported { success: true, count: keys.len(), keys, warnings, city_id })
    }

    async fn refresh(self: Arc<Self>, cx: Cx, _: NoInput) -> Result<Refreshed> {
        let shown = cx.runtime().snapshot().clone();
        // Other nodes load the edits too, whatever table they are in: a change counts for all.
        let sealed = change(&cx, move |tx, trail, writer| {
            if writer.values.document().is_some() {
                let now = writer.values.load(tx, writer.vault)?;
                let edited = edited(trail, shown.env(), &now);
                trail.record(Target::new("env", "*"), (), json!({ "edited": edited }));
            }
            let sealed = store::seal_clear_rows(tx, writer)?;
            if writer.values.document().is_none() || sealed.len() > 0 {
                sealed.record(trail);
            }
            Ok(sealed.len())
        })
        .await?;
        let runtime = cx.runtime();
        if sealed > 0 {
            tracing::info!(rows = sealed, "env values written by hand were sealed");
            erase_clear_text(runtime.db()).await;
        }
        runtime.state().refresh().await?;
        Ok(Refreshed { success: true, count: runtime.snapshot().env().entries.len() })
    }

    async fn catalog(self: Arc<Self>, cx: Cx, _: NoInput) -> Result<Items<EnvScope>> {
        let runtime = cx.runtime();
        Ok(Items::all(views::env_catalog(runtime.registry(), &runtime.snapshot())))
    }
}

/// The keys whose values a file holds otherwise than this node has shown them, with the fingerprints
/// of their values; null for those that are gone.
fn edited(
    trail: &Trail,
    before: &EnvValues,
    after: &EnvValues,
) -> BTreeMap<String, Option<String>> {
    let text = |values: &EnvValues, key: &String| {
        values.entries.get(key).map(|entry| entry.value.expose().to_owned())
    };
    let keys: BTreeSet<&String> = before.entries.keys().chain(after.entries.keys()).collect();
    let changed = keys.into_iter().filter(|key| text(before, key) != text(after, key));
    let shown = |key: &String| {
        (key.clone(), after.entries.get(key).map(|entry| trail.fingerprint(&entry.value)))
    };
    changed.map(shown).collect()
}

/// System keys make admins: a service key may neither set one nor see its history, or it would
/// outgrow its scope.
pub(super) fn check_caller(cx: &Cx, key: &str) -> Result<()> {
    if !is_system_key(key) || cx.identity().is_admin() {
        return Ok(());
    }
    Err(Error::new(ErrorCode::Forbidden, format!("A service key may not touch {key}."))
        .with_fix("Use the admin key."))
}

/// The key that an input names, of the Federation or of the city that it names.
///
/// # Errors
/// 400 `invalid_key`; 400 `system_key` for one of a city; 404 for a city that does not exist.
pub(super) fn slot_of(cx: &Cx, key: &str, city_id: Option<&str>) -> Result<Slot> {
    let key = super::meant(input::key(key)?);
    let city_id = city_named(cx, city_id)?;
    check_key(&key, city_id, At::Key)?;
    Ok(Slot::of(city_id, key))
}

/// The city that an input names.
///
/// # Errors
/// 400 when it is blank: what was meant for a city must not become everybody's. 404 when there is
/// none of this id.
fn city_named<'a>(cx: &Cx, city_id: Option<&'a str>) -> Result<Option<&'a str>> {
    let Some(city_id) = city_id.map(str::trim) else { return Ok(None) };
    if city_id.is_empty() {
        let fix = "Name a city, or leave city_id out for the Federation's own values.";
        return Err(Error::invalid("city_id", "must not be empty").with_fix(fix));
    }
    match cx.runtime().snapshot().city(city_id) {
        Some(_) => Ok(Some(city_id)),
        None => Err(unknown_city()),
    }
}

/// A city has no system keys.
fn check_key(key: &str, city_id: Option<&str>, at: At<'_>) -> Result<()> {
    if city_id.is_none() || !is_system_key(key) {
        return Ok(());
    }
    Err(at
        .refuse(ErrorCode::SystemKey, "is a system key, which no city has of its own.")
        .with_fix("Leave city_id out to work on the Federation's own value."))
}

/// Whether the city of a slot is still there.
///
/// # Errors
/// 404 when it was removed meanwhile: its values went with it.
pub(super) fn check_city(tx: &mut Tx<'_>, slot: &Slot) -> Result<()> {
    match slot.city_id() {
        Some(city_id) if !cities::exists(tx, city_id)? => Err(unknown_city()),
        _ => Ok(()),
    }
}

/// Runs a change of values as the only one at its time, and publishes it.
pub(crate) async fn change<T, F>(cx: &Cx, mut work: F) -> Result<T>
where
    F: FnMut(&mut Tx<'_>, &mut Trail, &Writer<'_>) -> Result<T> + Send + 'static,
    T: Send + 'static,
{
    let runtime = cx.runtime();
    let (vault, seed) = (runtime.state().vault().clone(), NonceSeed::draw(runtime.random()));
    let now = runtime.clock().now();
    let turn = runtime.state().backing().turn().await?;
    let held = turn.clone();
    let changed = cx.change(move |tx, trail| {
        store::lock(tx)?;
        held.run(|values| work(tx, trail, &Writer { vault: &vault, seed: &seed, now, values }))
    });
    turn.end(changed.await)
}

/// Reads the text of an import.
fn read_import(raw: &str) -> Result<Vec<dotenv::Entry>> {
    let entries = dotenv::parse(raw).map_err(|error| {
        Error::new(ErrorCode::InvalidKey, format!("raw: {error}."))
            .with_field("raw", error.to_string())
    })?;
    if entries.len() > IMPORT_MAX_ENTRIES {
        return Err(Error::invalid(
            "raw",
            format!("holds more than {IMPORT_MAX_ENTRIES} assignments; import them in parts"),
        ));
    }
    Ok(entries)
}

fn check_entries(entries: &[dotenv::Entry]) -> Result<()> {
    entries.iter().try_for_each(|entry| {
        let at = At::Line(entry.line, &entry.key);
        input::check_value(&entry.key, entry.value.expose(), at)
    })
}
