//! From the headers of a request to an identity. Touches no database.

use std::sync::Arc;

use downcity_types::{
    City, CityStatus, ClaimsError, OpenToken, Timestamp, TokenBuffer, TokenError,
};
use http::header::AUTHORIZATION;
use http::{HeaderMap, HeaderName};

use crate::snapshot::Snapshot;
use crate::{GuestReason, Identity, UserIdentity, keys};

/// Where clients of Anthropic put their credential.
static X_API_KEY: HeaderName = HeaderName::from_static("x-api-key");

/// Who sends these headers, at `now` in seconds since 1970.
pub(crate) fn identify(snapshot: &Snapshot, now: i64, headers: &HeaderMap) -> Identity {
    match bearer(headers) {
        Ok(credential) => holder(snapshot, now, credential),
        Err(reason) => Identity::Guest(reason),
    }
}

/// The same where `x-api-key` is taken, too, for `user_token`s alone.
pub(crate) fn identify_with_api_key(
    snapshot: &Snapshot,
    now: i64,
    headers: &HeaderMap,
) -> Identity {
    let mut keys = headers.get_all(&X_API_KEY).iter();
    let key = keys.next().map(|key| key.as_bytes().trim_ascii()).filter(|key| !key.is_empty());
    let Some(key) = key else { return identify(snapshot, now, headers) };
    match bearer(headers) {
        Err(GuestReason::NoCredential) if keys.next().is_none() => {}
        Ok(credential) if credential == key && keys.next().is_none() => {}
        // Two credentials contradict each other: neither is used.
        _ => return Identity::Guest(GuestReason::Invalid),
    }
    match holder(snapshot, now, key) {
        Identity::Admin | Identity::Service(_) => Identity::Guest(GuestReason::TrustedKey),
        other => other,
    }
}

/// Who has this credential.
fn holder(snapshot: &Snapshot, now: i64, credential: &[u8]) -> Identity {
    if snapshot.credentials().is_admin_key(credential) {
        return Identity::Admin;
    }
    if credential.starts_with(keys::PREFIX.as_bytes()) {
        return match snapshot.keys().identify(credential, Timestamp::from_seconds(now)) {
            Ok(key) => Identity::Service(key),
            Err(reason) => Identity::Guest(reason),
        };
    }
    match user(snapshot, now, credential) {
        Ok(user) => Identity::User(user),
        Err(reason) => Identity::Guest(reason),
    }
}

/// The credential of `Authorization: Bearer …`: the scheme in any case, with any number of spaces
/// around the credential. Other schemes count as no credential.
pub(crate) fn bearer(headers: &HeaderMap) -> Result<&[u8], GuestReason> {
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
    let mut buffer = TokenBuffer::new();
    let token = open(snapshot, now, token, &mut buffer).map_err(|_| GuestReason::Invalid)?;
    let city = admit(snapshot, now, &token)?;
    let claims = &token.claims;
    Ok(UserIdentity {
        user_id: claims.user_id.as_ref().into(),
        city: city.clone(),
        token_id: claims.jti.as_deref().map(Into::into),
        issued_at: claims.iat,
        expires_at: claims.exp,
        metadata: claims.metadata.filter(|raw| raw.get() != "{}").map(ToOwned::to_owned),
    })
}

/// A token that this Federation has signed.
pub(super) fn open<'a>(
    snapshot: &Snapshot,
    now: i64,
    token: &'a [u8],
    buffer: &'a mut TokenBuffer,
) -> Result<OpenToken<'a>, TokenError> {
    snapshot.credentials().keys().open(token, now, buffer)
}

/// Judges a token that is signed: the city that its user comes from, or why nobody comes.
pub(super) fn admit<'s>(
    snapshot: &'s Snapshot,
    now: i64,
    token: &OpenToken<'_>,
) -> Result<&'s Arc<City>, GuestReason> {
    let claims = &token.claims;
    claims.check(now).map_err(|error| match error {
        ClaimsError::Expired => GuestReason::Expired,
        _ => GuestReason::Invalid,
    })?;
    let stored = snapshot.stored_city_id(&claims.city_id);
    let city = snapshot.city(stored).ok_or(GuestReason::Invalid)?;
    let revocations = snapshot.revocations();
    // What was revoked under the id of the token stays so when another city answers to it.
    if revocations.is_revoked(claims, token.token_id())
        || (stored != claims.city_id && revocations.is_revoked_in(stored, claims, token.token_id()))
    {
        return Err(GuestReason::Revoked);
    }
    if city.status == CityStatus::Paused {
        return Err(GuestReason::CityPaused);
    }
    Ok(city)
}

#[cfg(test)]
mod tests {
    use std::collections::HashMap;

    use downcity_types::{AUDIENCE, Claims, TokenAlgorithm};
    use http::HeaderValue;
    use serde_json::json;

    use super::*;
    use crate::Secret;
    use crate::env::EnvValues;
    use crate::token::{Credentials, KeyRing, Revocation, Revocations, store::LogEntry};

    const ADMIN: &str = "admin_0123456789";
    const NOW: i64 = 1_000;

    fn city(city_id: &str, status: CityStatus) -> (Box<str>, Arc<City>) {
        let at = Timestamp::from_millis(0);
        let (id, name) = (city_id.to_owned(), city_id.to_owned());
        (
            city_id.into(),
            Arc::new(City { city_id: id, name, status, created_at: at, updated_at: at }),
        )
    }

    fn snapshot(admin: Option<&str>) -> Snapshot {
        Snapshot {
            revision: 1,
            cities: HashMap::from([
                city("open", CityStatus::Active),
                city("shut", CityStatus::Paused),
            ]),
            env: EnvValues::default(),
            credentials: Credentials::of(admin.map(Secret::new), KeyRing::of_hmac("sign_x")),
            keys: keys::ServiceKeys::default(),
            revocations: Arc::new(Revocations::default()),
        }
    }

    fn token(
        snapshot: &Snapshot,
        city_id: &str,
        exp: Option<i64>,
        metadata: serde_json::Value,
    ) -> String {
        let claims = Claims {
            aud: AUDIENCE.into(),
            city_id: city_id.to_owned(),
            user_id: "u".to_owned(),
            metadata: metadata.as_object().cloned().unwrap(),
            iat: NOW - 10,
            exp,
            jti: Some("tok_1".to_owned()),
        };
        snapshot.credentials().keys().write(TokenAlgorithm::Hmac, &claims).unwrap().unwrap()
    }

    fn call(snapshot: &Snapshot, header: impl AsRef<[u8]>) -> Identity {
        let mut headers = HeaderMap::new();
        headers.insert(AUTHORIZATION, HeaderValue::from_bytes(header.as_ref()).unwrap());
        identify(snapshot, NOW, &headers)
    }

    fn reason(identity: &Identity) -> Option<GuestReason> {
        match identity {
            Identity::Guest(reason) => Some(*reason),
            Identity::User(_) | Identity::Service(_) | Identity::Admin => None,
        }
    }

    #[test]
    fn the_scheme_is_read_in_any_case_and_with_any_spaces() {
        let snapshot = snapshot(Some(ADMIN));
        for header in ["Bearer ", "bearer ", "BEARER ", "bEaReR    ", " Bearer ", "Bearer\t"] {
            assert!(call(&snapshot, format!("{header}{ADMIN}")).is_admin(), "{header:?}");
            assert!(call(&snapshot, format!("{header}{ADMIN}  ")).is_admin(), "{header:?}");
        }
        for header in ["", "Bearer", "Bearer  ", "Basic YWRtaW4=", "Bearers x", ADMIN] {
            assert_eq!(
                reason(&call(&snapshot, header)),
                Some(GuestReason::NoCredential),
                "{header:?}"
            );
        }
        assert_eq!(
            reason(&identify(&snapshot, NOW, &HeaderMap::new())),
            Some(GuestReason::NoCredential)
        );
    }

    #[test]
    fn other_credentials_are_invalid() {
        let snapshot = snapshot(Some(ADMIN));
        let wrong = [
            b"Bearer admin_012345678".to_vec(),
            b"Bearer admin_01234567890".to_vec(),
            b"Bearer ADMIN_0123456789".to_vec(),
            b"Bearer admin_0123456789 x".to_vec(),
            "Bearer clé".as_bytes().to_vec(),
            b"Bearer \xff\xfe".to_vec(),
            b"Bearer ub_".to_vec(),
        ];
        for header in wrong {
            assert_eq!(reason(&call(&snapshot, &header)), Some(GuestReason::Invalid), "{header:?}");
        }
        let mut two = HeaderMap::new();
        for _ in 0..2 {
            two.append(AUTHORIZATION, HeaderValue::from_static("Bearer admin_0123456789"));
        }
        assert_eq!(reason(&identify(&snapshot, NOW, &two)), Some(GuestReason::Invalid));
    }

    #[test]
    fn an_api_key_is_a_user_token() {
        let snapshot = snapshot(Some(ADMIN));
        let token = token(&snapshot, "open", None, json!({}));
        let call = |api_key: &[&str], bearer: Option<&str>| {
            let mut headers = HeaderMap::new();
            for key in api_key {
                headers.append(&X_API_KEY, HeaderValue::from_str(key).unwrap());
            }
            if let Some(bearer) = bearer {
                let bearer = HeaderValue::from_str(&format!("Bearer {bearer}")).unwrap();
                headers.insert(AUTHORIZATION, bearer);
            }
            identify_with_api_key(&snapshot, NOW, &headers)
        };
        assert!(call(&[&token], None).user().is_some());
        assert!(call(&[&format!(" {token} ")], None).user().is_some());
        assert!(call(&[], Some(&token)).user().is_some());
        assert!(call(&[""], Some(&token)).user().is_some());
        assert!(call(&[&token], Some(&token)).user().is_some());
        assert!(call(&[], Some(ADMIN)).is_admin());
        for (api_key, bearer, expected) in [
            (&[ADMIN][..], None, GuestReason::TrustedKey),
            (&[ADMIN], Some(ADMIN), GuestReason::TrustedKey),
            (&[ADMIN], Some(&*token), GuestReason::Invalid),
            (&[&*token], Some(ADMIN), GuestReason::Invalid),
            (&[&*token, &*token], None, GuestReason::Invalid),
            (&["sk-ant-x"], None, GuestReason::Invalid),
            (&[""], None, GuestReason::NoCredential),
            (&[], None, GuestReason::NoCredential),
        ] {
            let told = reason(&call(api_key, bearer));
            assert_eq!(told, Some(expected), "{api_key:?} {bearer:?}");
        }
        // Elsewhere the header is not looked at.
        let headers = HeaderMap::from_iter([(X_API_KEY.clone(), token.parse().unwrap())]);
        let elsewhere = identify(&snapshot, NOW, &headers);
        assert_eq!(reason(&elsewhere), Some(GuestReason::NoCredential));
    }

    #[test]
    fn without_keys_nobody_is_known() {
        let mut snapshot = snapshot(None);
        assert_eq!(reason(&call(&snapshot, "Bearer x")), Some(GuestReason::Invalid));
        let token = token(&snapshot, "open", None, json!({}));
        snapshot.credentials = Credentials::of(Some(Secret::new(ADMIN)), KeyRing::default());
        assert_eq!(reason(&call(&snapshot, format!("Bearer {token}"))), Some(GuestReason::Invalid));
    }

    #[test]
    fn an_admin_key_may_look_like_a_token() {
        let snapshot = snapshot(Some("ub_0123456789abcdef"));
        assert!(call(&snapshot, "Bearer ub_0123456789abcdef").is_admin());
        let token = token(&snapshot, "open", None, json!({}));
        assert!(call(&snapshot, format!("Bearer {token}")).user().is_some());
    }

    #[test]
    fn a_token_is_its_user() {
        let snapshot = snapshot(Some(ADMIN));
        let token = token(&snapshot, "open", Some(NOW + 1), json!({"plan": "pro"}));
        let identity = call(&snapshot, format!("bearer  {token}"));
        let user = identity.user().unwrap();
        assert_eq!((&*user.user_id, user.city.city_id.as_str()), ("u", "open"));
        assert_eq!((user.issued_at, user.expires_at), (NOW - 10, Some(NOW + 1)));
        assert_eq!(user.token_id.as_deref(), Some("tok_1"));
        assert_eq!(serde_json::Value::Object(user.metadata()), json!({"plan": "pro"}));
    }

    #[test]
    fn each_fault_has_its_reason() {
        let snapshot = snapshot(Some(ADMIN));
        let reason_of = |token: String| reason(&call(&snapshot, format!("Bearer {token}")));
        let end = Some(NOW + 1);
        let open = token(&snapshot, "open", end, json!({}));
        assert_eq!(reason_of(open.clone()), None);
        assert_eq!(reason_of(format!("{open}x")), Some(GuestReason::Invalid));
        assert_eq!(reason_of(token(&snapshot, "gone", end, json!({}))), Some(GuestReason::Invalid));
        let shut = token(&snapshot, "shut", end, json!({}));
        assert_eq!(reason_of(shut.clone()), Some(GuestReason::CityPaused));
        let expired = token(&snapshot, "open", Some(NOW), json!({}));
        assert_eq!(reason_of(expired), Some(GuestReason::Expired));

        let city_id = None;
        let revocation = Revocation::Token { city_id, token_id: "tok_1".into(), expires_at: None };
        snapshot.revocations().apply(vec![LogEntry { revocation, not_before: 0 }], 2);
        assert_eq!(reason_of(open), Some(GuestReason::Revoked));
        assert_eq!(reason_of(shut), Some(GuestReason::Revoked), "a dead token is not paused");
    }
}
