//! `/v1/keys/*`: credentials for the programs of the trusted side.

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use downcity_db::Tx;
use downcity_types::{
    ErrorCode, ID_BYTES, IssuedServiceKey, Items, Microcredits, Page, ServiceKeyRecord,
    SigningKeyRecord, Timestamp, TokenAlgorithm, Ttl,
};
use schemars::JsonSchema;
use serde::Deserialize;
use serde_json::Value;

use super::{SERVICE_ID, scope, secret, store};
use crate::audit::{Target, Trail};
use crate::input::{Place, new_name, page_of};
use crate::token::{Dropped, Rotated};
use crate::{ADMIN, Cx, Error, NoInput, Result, Runtime, Service, ServiceDef, cities, token};

const ID_PREFIX: &str = "key_";
/// What the audit trail calls a service key.
const TARGET: &str = "service_key";

/// For how long the record of a key outlives it.
const KEPT: Duration = Duration::from_secs(365 * 24 * 3600);

/// How often keys that ended long ago are looked for.
const DELETE_EVERY: Duration = Duration::from_secs(3600);

/// Keys per transaction.
const CHUNK: i64 = 500;

/// The service `keys`.
pub struct KeysService;

#[async_trait]
impl Service for KeysService {
    fn id(&self) -> &'static str {
        SERVICE_ID
    }

    fn name(&self) -> &'static str {
        "Service keys"
    }

    fn define(self: Arc<Self>, service: &mut ServiceDef) {
        service.instruction(include_str!("instruction.md"));
        service
            .get("list", ADMIN, &self, Self::list)
            .summary("List the service keys, oldest first, without their secrets.")
            .description(
                "Without limit all keys are listed, up to 1,000; next_cursor is there when more \
                 follow. A key that has ended stays in the list for a year.",
            );
        service
            .post("create", ADMIN, &self, Self::create)
            .summary("Create a service key; the answer is the only one that shows it.")
            .description(
                "An Idempotency-Key has no effect here: nobody keeps the key, so that it cannot be \
                 shown again.",
            );
        service
            .post("revoke", ADMIN, &self, Self::revoke)
            .summary("End a service key at once; one that has ended stays as it is.");
        service
            .get("signing", ADMIN, &self, Self::signing)
            .summary("List the keys that sign and verify user tokens, without their secrets.");
        service
            .post("rotate", ADMIN, &self, Self::rotate)
            .summary("Make a new active signing key and retire the one before.")
            .description(
                "The retired key verifies until tokens.rotation_grace has passed. Without algorithm \
                 the one that signs new tokens is rotated.",
            );
        service
            .post("retired/drop", ADMIN, &self, Self::drop_retired)
            .summary("End retired signing keys at once: one, or all.")
            .description("Tokens that only a dropped key verifies are refused from then on.");
    }

    async fn start(&self, runtime: &Arc<Runtime>) -> Result<()> {
        runtime.tasks().spawn_until_stopped(delete_regularly(runtime.clone()));
        Ok(())
    }
}

#[derive(Deserialize, JsonSchema)]
struct NewServiceKey {
    /// What people see; trimmed, at most 200 characters.
    name: String,
    /// What the key may call: `service/action`, `service/*`, or `*` for all but `env` and `backup`.
    actions: Vec<String>,
    /// The cities that the key may name; empty = all, and calls that are not about one city.
    #[serde(default)]
    cities: Option<Vec<String>>,
    /// How long the key lives; without it, until it is revoked.
    #[serde(default)]
    #[schemars(with = "Option<Ttl>")]
    ttl: Value,
    /// The most that one call may move, on actions that move money; without it, any amount.
    #[serde(default)]
    amount_per_call: Option<Microcredits>,
    /// The most that all calls of one day (UTC) may move; without it, any amount.
    #[serde(default)]
    amount_per_day: Option<Microcredits>,
}

#[derive(Deserialize, JsonSchema)]
struct ServiceKeyIn {
    /// The key's id.
    key_id: String,
}

#[derive(Deserialize, JsonSchema)]
struct RotateIn {
    /// Which key is rotated; without it, the one that signs new tokens.
    #[serde(default)]
    algorithm: Option<TokenAlgorithm>,
}

#[derive(Deserialize, JsonSchema)]
struct DropIn {
    /// The retired key; without it, all of them.
    #[serde(default)]
    key_id: Option<String>,
}

impl KeysService {
    async fn list(self: Arc<Self>, cx: Cx, page: Page) -> Result<Items<ServiceKeyRecord>> {
        let place = Place::of(&page)?;
        let limit = place.limit;
        let runtime = cx.runtime();
        let list = move |tx: &mut Tx<'_>| {
            store::list_after(tx, place.created_at, &place.id, place.wanted())
        };
        let mut items = runtime.db().scan(list).await?;
        for key in &mut items {
            add_last_use(runtime, key);
        }
        Ok(page_of(limit, items, |key| (key.created_at.millis(), &key.key_id)))
    }

    async fn create(self: Arc<Self>, cx: Cx, input: NewServiceKey) -> Result<IssuedServiceKey> {
        let runtime = cx.runtime();
        let name = new_name(&input.name)?;
        let actions = scope::check_actions(runtime.registry(), &input.actions)?;
        let asked = scope::check_cities(&input.cities.unwrap_or_default())?;
        let ttl = Ttl::parse_json(&input.ttl).map_err(token::invalid_ttl)?;
        check_amounts(input.amount_per_call, input.amount_per_day)?;
        let key = secret::generate(runtime.ids());
        let digest = token::digest(key.expose().as_bytes());
        let now = runtime.clock().now();
        let record = ServiceKeyRecord {
            key_id: runtime.ids().secret::<ID_BYTES>(ID_PREFIX),
            name,
            prefix: secret::shown(&key),
            actions,
            cities: asked,
            // In whole seconds, as for tokens.
            expires_at: ttl.map(|ttl| Timestamp::from_seconds(ttl.expires_at(now.seconds()))),
            created_at: now,
            revoked_at: None,
            amount_per_call: input.amount_per_call,
            amount_per_day: input.amount_per_day,
            last_used_at: None,
        };
        let insert = move |tx: &mut Tx<'_>, trail: &mut Trail| {
            for (index, city_id) in record.cities.iter().enumerate() {
                if !cities::exists(tx, city_id)? {
                    return Err(scope::unknown_city(index, city_id));
                }
            }
            store::insert(tx, &record, &digest)?;
            trail.record(Target::new(TARGET, &record.key_id), (), &record);
            Ok(record.clone())
        };
        let record = cx.change(insert).await?;
        tracing::info!(key_id = record.key_id, actions = ?record.actions, "a service key was created");
        Ok(IssuedServiceKey { key: key.expose().to_owned(), record })
    }

    async fn revoke(self: Arc<Self>, cx: Cx, input: ServiceKeyIn) -> Result<ServiceKeyRecord> {
        let key_id = match input.key_id.trim() {
            "" => return Err(Error::invalid("key_id", "must not be empty")),
            // No stored text has one, and the database takes none as a parameter.
            id if id.contains('\0') => return Err(unknown_key()),
            id => id.to_owned(),
        };
        let now = cx.runtime().clock().now();
        let revoke = move |tx: &mut Tx<'_>, trail: &mut Trail| {
            let before = store::find(tx, &key_id)?.ok_or_else(unknown_key)?;
            if before.revoked_at.is_some() {
                trail.unchanged();
                return Ok(before);
            }
            let after = store::revoke(tx, &key_id, now)?.ok_or_else(unknown_key)?;
            trail.record(Target::new(TARGET, &key_id), &before, &after);
            Ok(after)
        };
        let mut record = cx.change(revoke).await?;
        add_last_use(cx.runtime(), &mut record);
        tracing::info!(key_id = record.key_id, "a service key was revoked");
        Ok(record)
    }

    async fn signing(self: Arc<Self>, cx: Cx, _: NoInput) -> Result<Items<SigningKeyRecord>> {
        Ok(Items::all(token::list(cx.runtime())))
    }

    async fn rotate(self: Arc<Self>, cx: Cx, input: RotateIn) -> Result<Rotated> {
        token::rotate(&cx, input.algorithm).await
    }

    async fn drop_retired(self: Arc<Self>, cx: Cx, input: DropIn) -> Result<Dropped> {
        token::drop_retired(&cx, input.key_id).await
    }
}

/// What this node knows is newer than what was written.
fn add_last_use(runtime: &Runtime, key: &mut ServiceKeyRecord) {
    key.last_used_at = key.last_used_at.max(runtime.state.last_uses().keys.last(&key.key_id));
}

/// Amounts are not negative; 0 keeps a key from moving anything.
fn check_amounts(per_call: Option<Microcredits>, per_day: Option<Microcredits>) -> Result<()> {
    for (field, amount) in [("amount_per_call", per_call), ("amount_per_day", per_day)] {
        if amount.is_some_and(|amount| amount < Microcredits::ZERO) {
            return Err(Error::invalid(field, "must not be negative"));
        }
    }
    match (per_call, per_day) {
        (Some(call), Some(day)) if call > day => {
            Err(Error::invalid("amount_per_call", "must not be more than amount_per_day"))
        }
        _ => Ok(()),
    }
}

async fn delete_regularly(runtime: Arc<Runtime>) {
    loop {
        tokio::time::sleep(DELETE_EVERY).await;
        if let Err(error) = delete_ended(&runtime).await {
            tracing::warn!(%error, "could not delete service keys that ended long ago");
        }
    }
}

/// Deletes keys that ended more than a year ago: from then on they count as unknown.
///
/// # Errors
/// Those of the database.
pub async fn delete_ended(runtime: &Arc<Runtime>) -> Result<()> {
    let before = runtime.clock().now().saturating_sub(KEPT);
    // What the snapshot does not show, the database does not hold: an idle node writes nothing.
    while runtime.snapshot().keys().any_ended_before(before) {
        let delete = move |tx: &mut Tx<'_>| store::delete_ended(tx, before, CHUNK);
        if runtime.change(delete).await? == 0 {
            break;
        }
    }
    Ok(())
}

fn unknown_key() -> Error {
    Error::new(ErrorCode::NotFound, "No service key has this key_id.")
        .with_fix("GET /v1/keys/list lists the keys.")
}
