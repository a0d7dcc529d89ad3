//! Issuing of tokens. Touches no database.

use std::borrow::Cow;
use std::sync::Arc;

use downcity_types::{
    AUDIENCE, City, CityStatus, Claims, ErrorCode, IssuedToken, MAX_TOKEN_BYTES, Timestamp, Ttl,
    TtlError,
};
use serde_json::{Map, Value};

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
    /// The token's id (`jti`), by which it can be revoked alone; `None` = a new one.
    pub token_id: Option<String>,
}

/// Issues a token from what the node knows.
///
/// # Errors
/// In this order: 404 `city_not_found`, 403 `city_paused`, 400 for the user id, 400 `invalid_ttl`,
/// 500 `missing_config` without a key of the algorithm in use, 400 for metadata that makes the token too long.
pub fn issue(runtime: &Runtime, request: IssueRequest) -> Result<IssuedToken> {
    let snapshot = runtime.snapshot();
    check_subject(&snapshot, &request.city_id, &request.user_id)?;
    let ttl = effective_ttl(request.ttl, runtime.settings())?;
    // Not below the bound of a revocation, which would kill the new token with the old ones.
    let bound = snapshot.revocations().not_before(&request.city_id, &request.user_id);
    let now = runtime.clock().now_seconds();
    let iat = now.max(bound);
    // Counted from now: a date that a revocation has moved on makes no token live longer.
    let exp = ttl.map(|ttl| ttl.expires_at(now));
    let claims = Claims {
        aud: Cow::Borrowed(AUDIENCE),
        city_id: request.city_id,
        user_id: request.user_id,
        metadata: request.metadata,
        iat,
        exp,
        jti: Some(request.token_id.unwrap_or_else(|| runtime.ids().secret::<12>("tok_"))),
    };
    let keys = snapshot.credentials().keys();
    let written = keys.write(runtime.settings().token_algorithm, &claims)?;
    let user_token = written.ok_or_else(|| {
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

/// The city for which tokens are to be issued.
///
/// # Errors
/// 404 `city_not_found`, 403 `city_paused`.
pub fn active_city(snapshot: &Snapshot, city_id: &str) -> Result<Arc<City>> {
    let city = snapshot.city(city_id).ok_or_else(crate::cities::unknown_city)?;
    if city.status == CityStatus::Paused {
        return Err(Error::new(ErrorCode::CityPaused, "The city is paused.")
            .with_fix("Activate it with POST /v1/cities/activate."));
    }
    Ok(city.clone())
}

/// Checks city, then user.
pub(crate) fn check_subject(snapshot: &Snapshot, city_id: &str, user_id: &str) -> Result<()> {
    active_city(snapshot, city_id)?;
    check_user_id(user_id)
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

#[cfg(test)]
mod tests {
    use super::*;

    fn ttl(seconds: i64) -> Option<Ttl> {
        Some(Ttl::from_seconds(seconds).unwrap())
    }

    fn effective(
        asked: Option<Ttl>,
        default: Option<Ttl>,
        max: Option<Ttl>,
    ) -> Result<Option<Ttl>> {
        let settings =
            Settings { token_default_ttl: default, token_max_ttl: max, ..Settings::default() };
        effective_ttl(asked, &settings)
    }

    #[test]
    fn the_ttl_is_asked_for_else_the_default_else_the_maximum() {
        for (asked, default, max, expected) in [
            (None, None, None, None),
            (ttl(60), None, None, ttl(60)),
            (None, ttl(30), None, ttl(30)),
            (ttl(60), ttl(30), None, ttl(60)),
            (None, None, ttl(90), ttl(90)),
            (None, ttl(30), ttl(90), ttl(30)),
            (None, ttl(100), ttl(90), ttl(90)),
            (ttl(90), ttl(30), ttl(90), ttl(90)),
        ] {
            assert_eq!(effective(asked, default, max).unwrap(), expected, "{asked:?}");
        }
        let error = effective(ttl(91), None, ttl(90)).unwrap_err();
        assert_eq!(
            (error.code(), error.details()[0].path.as_str()),
            (ErrorCode::InvalidTtl, "ttl")
        );
    }

    #[test]
    fn ids_are_not_blank_not_huge_and_storable() {
        for good in ["u", " u ", "用户", &"x".repeat(512)] {
            assert!(check_user_id(good).is_ok(), "{good}");
        }
        for bad in ["", "  \n", "a\0b", &"x".repeat(513), &"用".repeat(171)] {
            assert_eq!(check_user_id(bad).unwrap_err().details()[0].path, "user_id", "{bad:?}");
            assert_eq!(check_token_id(bad).unwrap_err().details()[0].path, "jti", "{bad:?}");
        }
    }
}
