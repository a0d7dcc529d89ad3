//! `/v1/keys/*`: credentials for the programs of the trusted side.

use std::sync::Arc;

use downcity_db::Tx;
use downcity_types::{
    ErrorCode, ID_BYTES, IssuedServiceKey, Items, Page, ServiceKeyRecord, Timestamp, Ttl,
};
use schemars::JsonSchema;
use serde::Deserialize;
use serde_json::Value;

use super::{SERVICE_ID, scope, secret, store};
use crate::audit::{Target, Trail};
use crate::input::{Place, new_name, page_of};
use crate::{ADMIN, Cx, Error, Result, Service, ServiceDef, cities, token};

const ID_PREFIX: &str = "key_";
/// What the audit trail calls a service key.
const TARGET: &str = "service_key";

/// The service `keys`.
pub struct KeysService;

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
                 follow. Keys that have ended stay in the list.",
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
    }
}

#[derive(Deserialize, JsonSchema)]
struct NewServiceKey {
    /// What people see; trimmed, at most 200 characters.
    name: String,
    /// What the key may call: `service/action`, `service/*`, or `*` for all but `env`.
    actions: Vec<String>,
    /// The cities that the key may name; empty = all, and calls that are not about one city.
    #[serde(default)]
    cities: Option<Vec<String>>,
    /// How long the key lives; without it, until it is revoked.
    #[serde(default)]
    #[schemars(with = "Option<Ttl>")]
    ttl: Value,
}

#[derive(Deserialize, JsonSchema)]
struct ServiceKeyIn {
    /// The key's id.
    key_id: String,
}

impl KeysService {
    async fn list(self: Arc<Self>, cx: Cx, page: Page) -> Result<Items<ServiceKeyRecord>> {
        let place = Place::of(&page)?;
        let limit = place.limit;
        let list = move |tx: &mut Tx<'_>| {
            store::list_after(tx, place.created_at, &place.id, place.wanted())
        };
        let items = cx.runtime().db().scan(list).await?;
        Ok(page_of(limit, items, |key| (key.created_at.millis(), &key.key_id)))
    }

    async fn create(self: Arc<Self>, cx: Cx, input: NewServiceKey) -> Result<IssuedServiceKey> {
        let runtime = cx.runtime();
        let name = new_name(&input.name)?;
        let actions = scope::check_actions(runtime.registry(), &input.actions)?;
        let asked = scope::check_cities(&input.cities.unwrap_or_default())?;
        let ttl = Ttl::parse_json(&input.ttl).map_err(token::invalid_ttl)?;
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
        let record = cx.change(revoke).await?;
        tracing::info!(key_id = record.key_id, "a service key was revoked");
        Ok(record)
    }
}

fn unknown_key() -> Error {
    Error::new(ErrorCode::NotFound, "No service key has this key_id.")
        .with_fix("GET /v1/keys/list lists the keys.")
}
