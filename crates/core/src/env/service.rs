//! `/v1/env/*`.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use downcity_db::Tx;
use downcity_types::{EnvEntry, EnvScope, ErrorCode, Items};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::json;

use super::input::{self, At, Scalar};
use super::probe::Probes;
use super::store::{self, Put, Writer};
use super::values::{Entry, EnvValues};
use super::{NonceSeed, dotenv, erase_clear_text, is_system_key};
use crate::audit::{Target, Trail};
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
            .description("System keys are masked unless the admin key asks with `reveal=true`. A row that cannot be opened has an `error` in place of its value. Values edited in the database or the env file by hand show after a refresh, or by themselves with `env.auto_refresh`.");
        service
            .get("history", ADMIN, &self, Self::history)
            .summary("List the versions of an env value, the newest first.")
            .description("The value that applies and the twenty before it, also of a key that was removed. Values are masked; `reveal=true` with the admin key shows those of keys that are no system keys. Service keys do not see system keys.");
        service
            .post("upsert", ADMIN, &self, Self::upsert)
            .summary("Store an env value; it applies at once.")
            .description("The key is trimmed and upper-cased, the value is stored as sent. The value before is kept. System keys need at least 16 characters, and a mask is never stored. Where a service knows how to test the key, as for the keys of AI providers, a value that is refused there is not stored; one that could not be tested is, with a `warning`.");
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
    /// Show system keys in the clear.
    #[serde(default)]
    reveal: bool,
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
    /// Why the value could not be tested; it is stored.
    #[serde(skip_serializing_if = "Option::is_none")]
    warning: Option<String>,
}

#[derive(Deserialize, JsonSchema)]
struct RemoveInput {
    /// The key, in any case.
    key: String,
}

#[derive(Serialize, JsonSchema)]
struct Removed {
    /// Always true.
    success: bool,
    /// The normalised key.
    key: String,
    /// Whether there was a value.
    removed: bool,
}

#[derive(Deserialize, JsonSchema)]
struct ImportInput {
    /// The text of a .env file.
    #[serde(default)]
    raw: Secret,
    /// Whether to try values before they are stored, where a service knows how.
    #[serde(default = "yes")]
    test: bool,
}

#[derive(Serialize, JsonSchema)]
struct Imported {
    /// Always true.
    success: bool,
    /// The number of assignments, duplicates included.
    count: usize,
    /// Their normalised keys in the order of the text.
    keys: Vec<String>,
    /// The keys whose values could not be tested, each with the reason; they are stored.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    warnings: Vec<ImportWarning>,
}

/// A value that could not be tested.
#[derive(Serialize, JsonSchema)]
struct ImportWarning {
    /// The normalised key.
    key: String,
    /// Why the value could not be tested.
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
        let entry = |key: &String, value, masked, error| EnvEntry {
            key: key.clone(),
            value,
            source: values.source,
            masked,
            last_read_at: cx.runtime().state().last_uses().env.last(key),
            error,
        };
        let readable = values.entries.iter().map(|(key, Entry { value, .. })| {
            let masked = is_system_key(key) && !reveal;
            let value = if masked { value.preview() } else { value.expose().to_owned() };
            entry(key, value, masked, None)
        });
        let unreadable = values
            .unreadable
            .iter()
            .map(|(key, reason)| entry(key, String::new(), true, Some(reason.to_string())));
        let mut items: Vec<EnvEntry> = readable.chain(unreadable).collect();
        items.sort_by(|a, b| a.key.cmp(&b.key));
        Ok(Items::all(items))
    }

    async fn upsert(self: Arc<Self>, cx: Cx, input: UpsertInput) -> Result<Upserted> {
        let key = key_of(&input.key)?;
        check_caller(&cx, &key)?;
        input::check_value(&key, input.value.0.expose(), At::Field)?;
        let (stored_key, value) = (key.clone(), input.value.0);
        let warning = if input.test { self.try_value(&cx, &key, &value).await? } else { None };
        change(&cx, move |tx, trail, writer| {
            match store::put(tx, trail, writer, &stored_key, &value)? {
                Put::Mask => Err(input::masked(&stored_key, At::Field)),
                Put::Stored(_) | Put::Unchanged(_) => Ok(()),
            }
        })
        .await?;
        tracing::info!(key, "an env value was set");
        Ok(Upserted { success: true, key, warning })
    }

    async fn remove(self: Arc<Self>, cx: Cx, input: RemoveInput) -> Result<Removed> {
        let key = key_of(&input.key)?;
        if is_system_key(&key) {
            return Err(Error::new(ErrorCode::SystemKey, format!("key: {key} cannot be removed."))
                .with_field("key", "is a system key")
                .with_fix(format!(
                    "Without it nobody could call or sign in. Replace its value with POST /v1/env/upsert {{\"key\":\"{key}\",\"value\":\"…\"}}."
                )));
        }
        let stored_key = key.clone();
        let remove = move |tx: &mut Tx<'_>, trail: &mut Trail, writer: &Writer<'_>| {
            store::remove(tx, trail, writer, &stored_key)
        };
        let removed = change(&cx, remove).await?;
        if removed {
            tracing::info!(key, "an env value was removed");
        }
        Ok(Removed { success: true, key, removed })
    }

    async fn import(self: Arc<Self>, cx: Cx, input: ImportInput) -> Result<Imported> {
        let mut entries = read_import(input.raw.expose())?;
        for entry in &mut entries {
            entry.key = super::meant(std::mem::take(&mut entry.key));
        }
        check_entries(&entries)?;
        entries.iter().try_for_each(|entry| check_caller(&cx, &entry.key))?;
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
                warnings = self.try_values(&cx, &values.collect()).await?;
            }
            change(&cx, move |tx, trail, writer| {
                for (key, (value, line)) in &latest {
                    if store::put(tx, trail, writer, key, value)? == Put::Mask {
                        return Err(input::masked(key, At::Line(*line, key)));
                    }
                }
                Ok(())
            })
            .await?;
            tracing::info!(?keys, "env values were imported");
        }
        let warnings = warnings.into_iter();
        let warnings = warnings.map(|(key, warning)| ImportWarning { key, warning }).collect();
        Ok(Imported { success: true, count: keys.len(), keys, warnings })
    }

    async fn refresh(self: Arc<Self>, cx: Cx, _: NoInput) -> Result<Refreshed> {
        let shown = cx.runtime().snapshot().clone();
        // Other nodes load the edits too, whatever table they are in: a change counts for all.
        let sealed = change(&cx, move |tx, trail, writer| {
            if writer.values.document().is_some() {
                let now = writer.values.load(tx, writer.vault)?;
                let edited = edited(trail, shown.env(), &now);
                trail.record(Target::new("env", "*"), (), json!({ "edited": edited }));
                return Ok(0);
            }
            let sealed = store::seal_clear_rows(tx, writer)?;
            sealed.record(trail);
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

/// The normalised key of a call.
///
/// # Errors
/// 400 `invalid_key`.
pub(super) fn key_of(text: &str) -> Result<String> {
    Ok(super::meant(input::key(text)?))
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
