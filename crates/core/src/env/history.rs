//! `/v1/env/history` and `/v1/env/rollback`.

use std::sync::Arc;

use downcity_types::{ErrorCode, Items, Timestamp};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::input::{self, At};
use super::service::{EnvService, change, check_caller, check_city, slot_of, yes};
use super::store::{self, Put, Version};
use super::{Slot, is_system_key};
use crate::{Cx, Error, Result, Runtime, Secret};

#[derive(Deserialize, JsonSchema)]
pub(super) struct HistoryInput {
    /// The key, in any case.
    key: String,
    /// Show values in the clear: with the admin key, and never those of system keys.
    #[serde(default)]
    reveal: bool,
    /// The versions of the value that this city has of its own.
    #[serde(default)]
    city_id: Option<String>,
}

/// One version of an env value.
#[derive(Serialize, JsonSchema)]
pub(super) struct EnvVersion {
    /// Counted from 1 for each key.
    version: i64,
    /// The value, or its mask when `masked`.
    value: String,
    /// Whether `value` is a mask.
    masked: bool,
    /// When it was stored; null where nobody noted it.
    written_at: Option<Timestamp>,
    /// When another value or a removal ended it; null for the value that applies.
    replaced_at: Option<Timestamp>,
    /// Why the version cannot be opened; `value` is empty then.
    #[serde(skip_serializing_if = "Option::is_none")]
    error: Option<String>,
}

#[derive(Deserialize, JsonSchema)]
pub(super) struct RollbackInput {
    /// The key, in any case.
    key: String,
    /// The version whose value is to apply again.
    version: i64,
    /// Whether to try the value before it applies, where a service knows how.
    #[serde(default = "yes")]
    test: bool,
    /// The city whose own value it is.
    #[serde(default)]
    city_id: Option<String>,
}

#[derive(Serialize, JsonSchema)]
pub(super) struct RolledBack {
    /// Always true.
    success: bool,
    /// The normalised key.
    key: String,
    /// The version that applies now: a new one, unless it had this value already.
    version: i64,
    /// Why the value could not be tested; it applies.
    #[serde(skip_serializing_if = "Option::is_none")]
    warning: Option<String>,
    /// The city whose own value it is.
    #[serde(skip_serializing_if = "Option::is_none")]
    city_id: Option<String>,
}

impl EnvService {
    pub(super) async fn history(
        self: Arc<Self>,
        cx: Cx,
        input: HistoryInput,
    ) -> Result<Items<EnvVersion>> {
        let slot = slot_of(&cx, &input.key, input.city_id.as_deref())?;
        check_caller(&cx, slot.key())?;
        let reveal = input.reveal && cx.identity().is_admin() && !is_system_key(slot.key());
        let versions = versions(cx.runtime(), &slot).await?;
        Ok(Items::all(versions.into_iter().map(|version| shown(version, reveal)).collect()))
    }

    pub(super) async fn rollback(
        self: Arc<Self>,
        cx: Cx,
        input: RollbackInput,
    ) -> Result<RolledBack> {
        let slot = slot_of(&cx, &input.key, input.city_id.as_deref())?;
        let key = slot.key().to_owned();
        check_caller(&cx, &key)?;
        let value = find(cx.runtime(), &slot, input.version).await?;
        input::check_value(&key, value.expose(), At::Field)?;
        let warning = if input.test { self.try_value(&cx, &slot, &value).await? } else { None };
        let city_id = slot.city_id().map(str::to_owned);
        let version = change(&cx, move |tx, trail, writer| {
            check_city(tx, &slot)?;
            match store::put(tx, trail, writer, &slot, &value)? {
                Put::Mask => Err(input::masked(slot.key(), At::Field)),
                Put::Stored(version) | Put::Unchanged(version) => Ok(version),
            }
        })
        .await?;
        tracing::info!(key, city_id, from = input.version, version, "an env value was rolled back");
        Ok(RolledBack { success: true, key, version, warning, city_id })
    }
}

/// The versions of a value, the newest first.
async fn versions(runtime: &Arc<Runtime>, slot: &Slot) -> Result<Vec<Version>> {
    let (backing, vault) = (runtime.state().backing().clone(), runtime.state().vault().clone());
    let slot = slot.clone();
    let read = runtime.db().scan(move |tx| {
        let file = backing.file().filter(|_| slot.city_id().is_none());
        let in_file = file.map(|file| file.load().values.get(slot.key()).cloned());
        store::history(tx, &vault, &slot, in_file)
    });
    read.await
}

fn shown(version: Version, reveal: bool) -> EnvVersion {
    let (value, error) = match version.value {
        Ok(value) if reveal => (value.expose().to_owned(), None),
        Ok(value) => (value.preview(), None),
        Err(reason) => (String::new(), Some(reason.to_string())),
    };
    EnvVersion {
        version: version.version,
        value,
        masked: !reveal || error.is_some(),
        written_at: version.written_at,
        replaced_at: version.replaced_at,
        error,
    }
}

/// The value of a version that is among the previous ones, or that applies now.
async fn find(runtime: &Arc<Runtime>, slot: &Slot, version: i64) -> Result<Secret> {
    let key = slot.key();
    let found = versions(runtime, slot).await?.into_iter().find(|known| known.version == version);
    let Some(found) = found else {
        return Err(Error::new(
            ErrorCode::NotFound,
            format!("version: {key} has no version {version}, or it is no longer kept."),
        )
        .with_field("version", "is not kept")
        .with_fix(format!("GET /v1/env/history?key={key} lists the versions.")));
    };
    found.value.map_err(|reason| {
        Error::new(ErrorCode::Unprocessable, format!("version {version} of {key}: {reason}"))
    })
}
