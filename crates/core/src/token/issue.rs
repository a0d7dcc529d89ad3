//! Issuing of tokens. Touches no database.

use std::borrow::Cow;
use std::sync::Arc;

use downcity_types::{
    AUDIENCE, City, CityStatus, Claims, ClaimsError, ErrorCode, IssuedToken, MAX_TOKEN_BYTES,
    Timestamp, Ttl, TtlError,
};
use serde_json::{Map, Value};

use super::codec::{self, Buffer, TokenFault};
use super::store::Revocation;
use crate::{Error, Result, Runtime, Settings, Snapshot};

/// Longest id of a user or token, in bytes: what every database can index.
const OPAQUE_ID_MAX_LEN: usize = 512;

/// What a token is issued for.
#[derive(Clone, Debug, Default)]
pub struct IssueRequest {
    /// The city; it has to exist and be active.
    pub city_id: String,
    /// The user; opaque, not blank, at most 512 bytes.
    pub user_id: String,
    /// What every call of the user carries.
    pub metadata: Map<String, Value>,
    /// How long the token lives; `None` = as the settings say.
    pub ttl: Option<Ttl>,
}

/// Issues a token from what the node knows.
///
/// # Errors
/// In this order: 404 `city_not_found`, 403 `city_paused`, 400 for the user id, 400 `invalid_ttl`,
/// 500 `missing_config` without a signing key, 400 for metadata that makes the token too long.
pub fn issue(runtime: &Runtime, request: IssueRequest) -> Result<IssuedToken> {
    let snapshot = runtime.snapshot();
    check_subject(&snapshot, &request.city_id, &request.user_id)?;
    let ttl = effective_ttl(request.ttl, runtime.settings())?;
    let keys = snapshot
        .credentials()
        .keys()
        .ok_or_else(|| Error::missing_config(crate::env::SIGNING_KEY))?;
    // Not below the bound of a revocation, which would kill the new token with the old ones.
    let bound = snapshot.revocations().not_before(&request.city_id, &request.user_id);
    let iat = runtime.clock().now_seconds().max(bound);
    let exp = ttl.map(|ttl| ttl.expires_at(iat));
    let claims = Claims {
        aud: Cow::Borrowed(AUDIENCE),
        city_id: request.city_id,
        user_id: request.user_id,
        metadata: request.metadata,
        iat,
        exp,
        jti: Some(runtime.ids().secret::<12>("tok_")),
    };
    let user_token = codec::encode(keys, &claims).map_err(Error::internal)?.ok_or_else(|| {
        Error::invalid(
            "metadata",
            format!("makes the token longer than {MAX_TOKEN_BYTES} bytes; send less"),
        )
    })?;
    Ok(IssuedToken {
        user_token,
        city_id: claims.city_id,
        user_id: claims.user_id,
        expires_at: exp.map(Timestamp::from_seconds),
    })
}

/// Checks city, then user.
pub(crate) fn check_subject<'a>(
    snapshot: &'a Snapshot,
    city_id: &str,
    user_id: &str,
) -> Result<&'a Arc<City>> {
    let city = snapshot.city(city_id).ok_or_else(crate::cities::unknown_city)?;
    if city.status == CityStatus::Paused {
        return Err(Error::new(ErrorCode::CityPaused, "The city is paused.")
            .with_fix("Activate it with POST /v1/cities/activate."));
    }
    check_user_id(user_id)?;
    Ok(city)
}

/// Checks the id of a user.
pub(crate) fn check_user_id(user_id: &str) -> Result<()> {
    check_id("user_id", user_id)
}

/// Checks the id of a token.
pub(crate) fn check_token_id(token_id: &str) -> Result<()> {
    check_id("jti", token_id)
}

fn check_id(field: &str, id: &str) -> Result<()> {
    let problem = if id.trim().is_empty() {
        "must not be empty".to_owned()
    } else if id.len() > OPAQUE_ID_MAX_LEN {
        format!("must have at most {OPAQUE_ID_MAX_LEN} bytes")
    } else if id.contains('\0') {
        "must not have NUL characters".to_owned()
    } else {
        return Ok(());
    };
    Err(Error::invalid(field, problem))
}

/// What ends this one token; `None` when it has ended by itself.
///
/// # Errors
/// 400 when it is no token of this Federation.
pub(crate) fn revocation_of(runtime: &Runtime, user_token: &str) -> Result<Option<Revocation>> {
    let snapshot = runtime.snapshot();
    let keys = snapshot
        .credentials()
        .keys()
        .ok_or_else(|| Error::missing_config(crate::env::SIGNING_KEY))?;
    let now = runtime.clock().now_seconds();
    let mut buffer = Buffer::new();
    match codec::verify(keys, user_token.as_bytes(), now, &mut buffer) {
        Ok(token) => Ok(Some(Revocation::Token {
            city_id: Some(token.claims.city_id.to_string()),
            token_id: token.token_id().to_owned(),
            expires_at: token.claims.exp,
        })),
        Err(TokenFault::Claims(ClaimsError::Expired)) => Ok(None),
        Err(_) => Err(Error::invalid("user_token", "is not a token of this Federation")),
    }
}

/// A 400 for a `ttl` outside the grammar.
pub(crate) fn invalid_ttl(error: TtlError) -> Error {
    bad_ttl(error.to_string())
}

fn bad_ttl(sentence: String) -> Error {
    Error::new(ErrorCode::InvalidTtl, sentence.clone()).with_field("ttl", sentence)
}

/// How long a token lives: as asked for, else the default, else the maximum, else for ever.
fn effective_ttl(asked: Option<Ttl>, settings: &Settings) -> Result<Option<Ttl>> {
    let max = settings.token_max_ttl;
    match (asked, max) {
        (Some(ttl), Some(max)) if ttl > max => {
            Err(bad_ttl(format!("ttl must be at most {max} on this Federation")))
        }
        (Some(ttl), _) => Ok(Some(ttl)),
        (None, _) => {
            let default = settings.token_default_ttl;
            Ok(match (default, max) {
                (Some(default), Some(max)) => Some(default.min(max)),
                (default, max) => default.or(max),
            })
        }
    }
}
