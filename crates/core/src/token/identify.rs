//! From the headers of a request to an identity. Touches no database.

use downcity_types::{CityStatus, ClaimsError};
use http::HeaderMap;
use http::header::AUTHORIZATION;

use super::codec::{self, Buffer, TokenFault};
use crate::snapshot::Snapshot;
use crate::{GuestReason, Identity, UserIdentity};

/// Who sends these headers, at `now` in seconds since 1970.
pub(crate) fn identify(snapshot: &Snapshot, now: i64, headers: &HeaderMap) -> Identity {
    let credential = match bearer(headers) {
        Ok(credential) => credential,
        Err(reason) => return Identity::Guest(reason),
    };
    if snapshot.credentials().is_admin_key(credential) {
        return Identity::Admin;
    }
    match user(snapshot, now, credential) {
        Ok(user) => Identity::User(user),
        Err(reason) => Identity::Guest(reason),
    }
}

/// The credential of `Authorization: Bearer …`: the scheme in any case, with any number of spaces
/// around the credential. Other schemes count as no credential.
fn bearer(headers: &HeaderMap) -> Result<&[u8], GuestReason> {
    let mut values = headers.get_all(AUTHORIZATION).iter();
    let Some(value) = values.next() else { return Err(GuestReason::NoCredential) };
    if values.next().is_some() {
        // Two credentials contradict each other: neither is used.
        return Err(GuestReason::Invalid);
    }
    let value = value.as_bytes().trim_ascii();
    let scheme_end = value.iter().position(u8::is_ascii_whitespace).unwrap_or(value.len());
    let (scheme, credential) = value.split_at(scheme_end);
    let credential = credential.trim_ascii_start();
    if !scheme.eq_ignore_ascii_case(b"bearer") || credential.is_empty() {
        return Err(GuestReason::NoCredential);
    }
    Ok(credential)
}

/// The user that a token stands for.
fn user(snapshot: &Snapshot, now: i64, token: &[u8]) -> Result<UserIdentity, GuestReason> {
    let keys = snapshot.credentials().keys().ok_or(GuestReason::Invalid)?;
    let mut buffer = Buffer::new();
    let token = codec::verify(keys, token, now, &mut buffer).map_err(|fault| match fault {
        TokenFault::Claims(ClaimsError::Expired) => GuestReason::Expired,
        _ => GuestReason::Invalid,
    })?;
    let claims = &token.claims;
    let city = snapshot.city(&claims.city_id).ok_or(GuestReason::Invalid)?;
    if snapshot.revocations().is_revoked(claims, token.token_id()) {
        return Err(GuestReason::Revoked);
    }
    if city.status == CityStatus::Paused {
        return Err(GuestReason::CityPaused);
    }
    Ok(UserIdentity {
        user_id: claims.user_id.as_ref().into(),
        city: city.clone(),
        token_id: claims.jti.as_deref().map(Into::into),
        issued_at: claims.iat,
        expires_at: claims.exp,
        metadata: claims.metadata.filter(|raw| raw.get() != "{}").map(ToOwned::to_owned),
    })
}
