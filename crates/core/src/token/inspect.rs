//! What the trusted side is told of a token.

use downcity_types::{ErrorCode, Timestamp, TokenBuffer, TokenStatus};

use super::identify::{admit, open};
use crate::{GuestReason, Snapshot};

/// Judges a token as a call with it is judged, at `now` in seconds since 1970. With `city_id`, a
/// token of another city is told as little of as one that nobody has issued.
pub(crate) fn inspect(
    snapshot: &Snapshot,
    now: i64,
    user_token: &str,
    city_id: Option<&str>,
) -> TokenStatus {
    let unknown =
        TokenStatus { reason: Some(ErrorCode::InvalidCredential), ..TokenStatus::default() };
    let mut buffer = TokenBuffer::new();
    let Ok(token) = open(snapshot, now, user_token.as_bytes(), &mut buffer) else {
        return unknown;
    };
    let claims = &token.claims;
    let reason = match admit(snapshot, now, &token) {
        Ok(_) => None,
        Err(GuestReason::Invalid) => return unknown,
        Err(reason) => Some(reason.code()),
    };
    let own_city = snapshot.stored_city_id(&claims.city_id);
    if city_id.is_some_and(|city_id| city_id != own_city) {
        return unknown;
    }
    TokenStatus {
        active: reason.is_none(),
        reason,
        token_id: Some(token.token_id().to_owned()),
        city_id: Some(own_city.to_owned()),
        user_id: Some(claims.user_id.to_string()),
        metadata: claims.metadata_map().ok(),
        algorithm: Some(token.algorithm),
        issued_at: Some(Timestamp::from_seconds(claims.iat)),
        expires_at: claims.exp.map(Timestamp::from_seconds),
    }
}
