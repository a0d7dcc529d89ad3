//! `/v1/cities/*`: tenants, and the tokens of their users.

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use downcity_db::Tx;
use downcity_types::{
    City, CityStatus, ErrorCode, ID_BYTES, IssuedToken, Items, Page, TokenStatus, Ttl,
    check_new_city_id,
};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value, json};

use super::{store, unknown_city};
use crate::audit::{Target, Trail};
use crate::env;
use crate::idempotency::{self, IdempotentRequest};
use crate::input::{Place, new_name, page_of};
use crate::token::{self, IssueRequest, Revocation};
use crate::{ADMIN, Cx, Error, Result, Runtime, Secret, Service, ServiceDef};

/// How often revocations of ended tokens and overdue signing keys are looked for.
const PRUNE_INTERVAL: Duration = Duration::from_secs(60);

/// The service `cities`.
pub struct CitiesService;

#[async_trait]
impl Service for CitiesService {
    fn id(&self) -> &'static str {
        "cities"
    }

    fn name(&self) -> &'static str {
        "Cities"
    }

    fn define(self: Arc<Self>, service: &mut ServiceDef) {
        service.instruction(include_str!("instruction.md"));
        service
            .get("list", ADMIN, &self, Self::list)
            .summary("List the cities, oldest first.")
            .description(
                "Without limit all cities are listed, up to 1,000; next_cursor is there when more \
                 follow.",
            );
        service
            .post("create", ADMIN, &self, Self::create)
            .makes_city()
            .summary("Create a city.")
            .description(
                "Without city_id an id is made. An id that is taken answers 409. A repeated \
                 request with the same Idempotency-Key gets the first one's answer.",
            );
        service
            .post("pause", ADMIN, &self, Self::pause)
            .summary("Pause a city: its tokens answer 403 and no new ones are issued.");
        service
            .post("activate", ADMIN, &self, Self::activate)
            .summary("Activate a paused city: its tokens work again.");
        service
            .post("remove", ADMIN, &self, Self::remove)
            .summary("Remove a city and end its tokens.")
            .description("Its tokens stay dead, and its own env values are gone, also when a city of the same id is created again.");
        service
            .post("tokens/apply", ADMIN, &self, Self::apply)
            .summary("Issue a user_token for a user of an active city.")
            .description(
                "ttl is a number of seconds, or a text such as \"30m\", \"1h\" or \"7d\". \
                 expires_at is null for a token without end.",
            )
            .cancel_on_disconnect();
        service
            .post("tokens/verify", ADMIN, &self, Self::verify)
            .summary("Say whether a user_token is good, and what it says.")
            .description(
                "Judged as a call with it would be. A token that is not good is no error: active is \
                 false, and reason is the code that a call would get. With city_id, tokens of other \
                 cities are as unknown as forged ones.",
            )
            .cancel_on_disconnect();
        service
            .post("tokens/revoke", ADMIN, &self, Self::revoke)
            .summary("End one token, all of a user in a city, or all of a city.")
            .description(
                "Send user_token; or jti, with or without city_id; or city_id and user_id; or \
                 city_id alone. Tokens issued afterwards are not affected.",
            );
    }

    async fn start(&self, runtime: &Arc<Runtime>) -> Result<()> {
        runtime.tasks().spawn_until_stopped(prune_tokens(runtime.clone()));
        Ok(())
    }
}

/// An input that names a city.
#[derive(Deserialize, JsonSchema)]
struct CityIn {
    /// The city.
    city_id: String,
}

#[derive(Deserialize, JsonSchema)]
struct CreateIn {
    /// What people see; trimmed, at most 200 characters.
    name: String,
    /// The id; made when absent or blank. Letters, digits, `_`, `.` and `-`, at most 128.
    #[serde(default)]
    city_id: Option<String>,
}

#[derive(Serialize, JsonSchema)]
struct Removed {
    /// Always `true`.
    success: bool,
}

#[derive(Deserialize, JsonSchema)]
struct ApplyIn {
    /// The city; it has to be active.
    city_id: String,
    /// The user; opaque to the Federation. Checked after the city.
    #[schemars(required)]
    user_id: Option<String>,
    /// What every call of the user carries.
    #[serde(default)]
    metadata: Option<Map<String, Value>>,
    /// How long the token lives; without it, as the Federation is configured.
    #[serde(default)]
    #[schemars(with = "Option<Ttl>")]
    ttl: Value,
}

#[derive(Deserialize, JsonSchema)]
struct VerifyIn {
    /// The token.
    user_token: String,
    /// The city that the token has to be of.
    #[serde(default)]
    city_id: Option<String>,
}

#[derive(Deserialize, JsonSchema)]
struct RevokeIn {
    /// The token itself.
    #[serde(default)]
    user_token: Option<String>,
    /// The id of a token.
    #[serde(default)]
    jti: Option<String>,
    /// The city of the user or token; alone, all of its tokens end.
    #[serde(default)]
    city_id: Option<String>,
    /// The user whose tokens end.
    #[serde(default)]
    user_id: Option<String>,
}

#[derive(Serialize, JsonSchema)]
struct Revoked {
    /// Always `true`.
    revoked: bool,
}

impl CitiesService {
    async fn list(self: Arc<Self>, cx: Cx, page: Page) -> Result<Items<City>> {
        let place = Place::of(&page)?;
        let limit = place.limit;
        let list = move |tx: &mut Tx<'_>| {
            store::list_after(tx, place.created_at, &place.id, place.wanted())
        };
        let items = cx.runtime().db().scan(list).await?;
        Ok(page_of(limit, items, |city| (city.created_at.millis(), &city.city_id)))
    }

    async fn create(self: Arc<Self>, cx: Cx, input: CreateIn) -> Result<City> {
        let runtime = cx.runtime();
        let name = new_name(&input.name)?;
        let city_id = match input.city_id.as_deref().map(str::trim) {
            None | Some("") => runtime.ids().secret::<ID_BYTES>(cx.words().id_prefix()),
            Some(id) => {
                check_new_city_id(id).map_err(|error| {
                    Error::new(ErrorCode::InvalidInput, error.to_string())
                        .with_field("city_id", error.to_string())
                })?;
                id.to_owned()
            }
        };
        let request = IdempotentRequest::of(&cx)?;
        let now = runtime.clock().now();
        let status = CityStatus::Active;
        let city = City { city_id, name, status, created_at: now, updated_at: now };
        let insert = move |tx: &mut Tx<'_>, trail: &mut Trail| {
            idempotency::once(tx, trail, request.as_ref(), |tx, trail| {
                if store::insert(tx, &city)? {
                    // A row that was deleted by hand may have left them.
                    env::forget_city(tx, &city.city_id)?;
                    trail.record(Target::new("city", &city.city_id), (), &city);
                    return Ok(city.clone());
                }
                Err(Error::new(ErrorCode::CityExists, "A city with this city_id exists already.")
                    .with_fix("Choose another city_id, or leave it out to have one made."))
            })
        };
        cx.change(insert).await
    }

    async fn pause(self: Arc<Self>, cx: Cx, input: CityIn) -> Result<City> {
        set_status(&cx, &input, CityStatus::Paused).await
    }

    async fn activate(self: Arc<Self>, cx: Cx, input: CityIn) -> Result<City> {
        set_status(&cx, &input, CityStatus::Active).await
    }

    async fn remove(self: Arc<Self>, cx: Cx, input: CityIn) -> Result<Removed> {
        let city_id = known_id(&input.city_id)?;
        let now = cx.runtime().clock().now();
        let remove = move |tx: &mut Tx<'_>, trail: &mut Trail| {
            let city = store::delete(tx, &city_id)?.ok_or_else(unknown_city)?;
            env::forget_city(tx, &city_id)?;
            trail.record(Target::new("city", &city_id), &city, ());
            token::revoke(tx, &Revocation::City { city_id: city_id.clone() }, now)
        };
        cx.change(remove).await?;
        Ok(Removed { success: true })
    }

    async fn apply(self: Arc<Self>, cx: Cx, input: ApplyIn) -> Result<IssuedToken> {
        let runtime = cx.runtime();
        let city_id = known_id(&input.city_id)?;
        // City and user are judged before the ttl, whatever it looks like.
        let user_id = input.user_id.unwrap_or_default();
        token::check_subject(&runtime.snapshot(), &city_id, &user_id)?;
        let ttl = Ttl::parse_json(&input.ttl).map_err(token::invalid_ttl)?;
        let metadata = input.metadata.unwrap_or_default();
        token::issue(runtime, IssueRequest { city_id, user_id, metadata, ttl, token_id: None })
    }

    async fn verify(self: Arc<Self>, cx: Cx, input: VerifyIn) -> Result<TokenStatus> {
        let runtime = cx.runtime();
        let city_id = input.city_id.as_deref().map(known_id).transpose()?;
        let now = runtime.clock().now_seconds();
        Ok(token::inspect(&runtime.snapshot(), now, &input.user_token, city_id.as_deref()))
    }

    async fn revoke(self: Arc<Self>, cx: Cx, input: RevokeIn) -> Result<Revoked> {
        let runtime = cx.runtime();
        let now = runtime.clock().now();
        let Some(revocation) = what_to_revoke(runtime, input)? else {
            return Ok(Revoked { revoked: true });
        };
        let revoke = move |tx: &mut Tx<'_>, trail: &mut Trail| {
            if let Some(city_id) = city_to_exist(&revocation)
                && !store::exists(tx, city_id)?
            {
                return Err(unknown_city());
            }
            trail.record(revoked(&revocation, trail), (), json!({ "revoked_at": now }));
            token::revoke(tx, &revocation, now)
        };
        cx.change(revoke).await?;
        Ok(Revoked { revoked: true })
    }
}

async fn set_status(cx: &Cx, input: &CityIn, status: CityStatus) -> Result<City> {
    let city_id = known_id(&input.city_id)?;
    let now = cx.runtime().clock().now();
    let update = move |tx: &mut Tx<'_>, trail: &mut Trail| {
        let before = store::find(tx, &city_id)?.ok_or_else(unknown_city)?;
        if before.status == status {
            trail.unchanged();
            return Ok(before);
        }
        let after = store::update_status(tx, &city_id, status, now)?.ok_or_else(unknown_city)?;
        trail.record(Target::new("city", &city_id), &before, &after);
        Ok(after)
    };
    cx.change(update).await
}

/// What a revocation is recorded of.
fn revoked(revocation: &Revocation, trail: &Trail) -> Target {
    match revocation {
        Revocation::City { city_id } => Target::new("city", city_id),
        Revocation::User { city_id, user_id } => Target::new("user", user_id).in_city(city_id),
        Revocation::Token { city_id, token_id, .. } => {
            // A token without an id is known by its signature, which is half of a credential.
            let id = if token::is_signature(token_id) {
                trail.fingerprint(&Secret::new(token_id))
            } else {
                token_id.clone()
            };
            let target = Target::new("token", id);
            match city_id {
                Some(city_id) => target.in_city(city_id),
                None => target,
            }
        }
    }
}

/// The id of a city that should exist, trimmed.
fn known_id(city_id: &str) -> Result<String> {
    match city_id.trim() {
        "" => Err(Error::invalid("city_id", "must not be empty")),
        // No stored text has one, and the database takes none as a parameter.
        id if id.contains('\0') => Err(unknown_city()),
        id => Ok(id.to_owned()),
    }
}

/// What an input of `tokens/revoke` asks for; `None` for a token that has ended by itself.
fn what_to_revoke(runtime: &Runtime, input: RevokeIn) -> Result<Option<Revocation>> {
    let city_id = input.city_id.as_deref().map(known_id).transpose()?;
    match (input.user_token, input.jti, input.user_id) {
        (Some(user_token), None, None) => {
            let revocation = token::revocation_of(runtime, &user_token)?;
            let own_city = revocation.as_ref().and_then(Revocation::city_id);
            match (own_city, &city_id) {
                (Some(own), Some(named)) if own != named => {
                    Err(Error::new(ErrorCode::ConflictingFields, "The token is of another city.")
                        .with_field("city_id", "is not the city of user_token"))
                }
                _ => Ok(revocation),
            }
        }
        (None, Some(token_id), None) => {
            token::check_token_id(&token_id)?;
            Ok(Some(Revocation::Token { city_id, token_id, expires_at: None }))
        }
        (None, None, user_id) => {
            let Some(city_id) = city_id else {
                return Err(Error::invalid("city_id", "is required without user_token and jti"));
            };
            Ok(Some(match user_id {
                None => Revocation::City { city_id },
                Some(user_id) => {
                    token::check_user_id(&user_id)?;
                    Revocation::User { city_id, user_id }
                }
            }))
        }
        _ => Err(Error::new(
            ErrorCode::ConflictingFields,
            "Send one of user_token, jti, or city_id with or without user_id.",
        )),
    }
}

/// The city that a revocation needs; a token may outlive its city.
fn city_to_exist(revocation: &Revocation) -> Option<&str> {
    match revocation {
        Revocation::City { city_id } | Revocation::User { city_id, .. } => Some(city_id),
        Revocation::Token { .. } => None,
    }
}

async fn prune_tokens(runtime: Arc<Runtime>) {
    loop {
        tokio::time::sleep(PRUNE_INTERVAL).await;
        if let Err(error) = token::prune_revocations(&runtime).await {
            tracing::warn!(%error, "could not delete revocations of ended tokens");
        }
        if let Err(error) = token::prune_signing_keys(&runtime).await {
            tracing::warn!(%error, "could not delete overdue signing keys");
        }
    }
}

#[cfg(test)]
mod tests {
    use schemars::schema_for;
    use serde_json::json;

    use super::*;

    /// Fields that are checked in an order of their own are required all the same.
    #[test]
    fn documents_say_what_a_token_needs() {
        let schema = schema_for!(ApplyIn).to_value();
        assert_eq!(schema["required"], json!(["city_id", "user_id"]));
        assert_eq!(schema["properties"]["user_id"]["type"], "string");
        let ttl = schema["properties"]["ttl"].to_string();
        assert!(ttl.contains("Ttl") && ttl.contains("null"), "{ttl}");
    }
}
