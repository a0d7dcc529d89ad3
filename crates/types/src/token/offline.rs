//! Verification without a Federation at hand.

use super::{
    Claims, Ed25519Key, HmacKey, JwksError, Signed, TokenBuffer, TokenError, jwks, open_token,
};

/// Keys that a program holds to verify tokens by itself.
#[derive(Clone, Debug)]
pub struct VerifyingKeys(Keys);

#[derive(Clone, Debug)]
enum Keys {
    Hmac(HmacKey),
    Ed25519(Vec<Ed25519Key>),
}

impl VerifyingKeys {
    /// The signing key of a Federation: whoever holds it can also issue tokens.
    #[must_use]
    pub fn hmac(signing_key: &[u8]) -> Self {
        Self(Keys::Hmac(HmacKey::new(signing_key)))
    }

    /// The keys of a Federation's `/.well-known/jwks.json`.
    ///
    /// # Errors
    /// When the text is no such document, or holds no Ed25519 key.
    pub fn jwks(document: &str) -> Result<Self, JwksError> {
        Ok(Self(Keys::Ed25519(jwks::read_keys(document)?)))
    }

    /// Whether one of the keys signed the token; never with a key of the other algorithm.
    fn signed(&self, token: &Signed<'_>) -> bool {
        match &self.0 {
            Keys::Hmac(key) => key.signed(token),
            Keys::Ed25519(keys) => keys.iter().any(|key| key.signed(token)),
        }
    }
}

/// Verifies form, signature and claims of a token at `now`, in unix seconds, as a Federation does.
///
/// What a Federation alone knows is not looked at: whether the token was revoked, and whether its
/// city is paused or gone. Where that matters, ask `POST /v1/cities/tokens/verify`, or keep tokens
/// short-lived.
///
/// ```
/// use downcity_types::{VerifyingKeys, verify_offline};
///
/// let token = "ub_eyJhdWQiOiJkb3duY2l0eTp1c2VyIiwiY2l0eV9pZCI6ImNpdHlfZGVtbyIsInVzZXJfaWQiOiJ1c2VyXzEyMyIsIm1ldGFkYXRhIjp7InBsYW4iOiJwcm8iLCJvcmdfaWQiOiJvcmdfMDAxIn0sImlhdCI6MTc1MDAwMDAwMCwiZXhwIjoxNzUwNjA0ODAwfQ.PfAlTIE9HW6_N2UL1y84FCnEuB7boVRLjKgnnAtLu6k";
/// let keys = VerifyingKeys::hmac(b"sign_test_key_0123456789");
/// let claims = verify_offline(token, &keys, 1_750_000_000).unwrap();
/// assert_eq!((&*claims.city_id, &*claims.user_id), ("city_demo", "user_123"));
/// assert!(verify_offline(token, &keys, 1_750_604_800).is_err(), "it has expired");
/// ```
///
/// # Errors
/// The first rule that the token breaks.
pub fn verify_offline(token: &str, keys: &VerifyingKeys, now: i64) -> Result<Claims, TokenError> {
    let mut buffer = TokenBuffer::new();
    let open = open_token(token.as_bytes(), &mut buffer, |signed| keys.signed(signed))?;
    open.claims.check(now)?;
    Ok(open.claims.to_claims()?)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// The key of RFC 8037, appendix A.
    const JWKS: &str = r#"{"keys":[{"kty":"OKP","crv":"Ed25519","kid":"k","x":"11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo"}]}"#;

    #[test]
    fn keys_are_not_printed() {
        let keys = VerifyingKeys::hmac(b"sign_secret");
        assert!(!format!("{keys:?}").contains("sign_secret"));
    }

    proptest! {
        #[test]
        fn any_text_is_refused_without_panic(
            text: String,
            ub in "ub_[A-Za-z0-9_-]{0,90}\\.[A-Za-z0-9_-]{40,46}",
            jwt in "[A-Za-z0-9_-]{1,90}\\.[A-Za-z0-9_-]{1,90}\\.[A-Za-z0-9_-]{84,88}",
            document: String,
        ) {
            for keys in [VerifyingKeys::hmac(b"key"), VerifyingKeys::jwks(JWKS).unwrap()] {
                for token in [&text, &ub, &jwt] {
                    prop_assert!(verify_offline(token, &keys, 0).is_err());
                }
            }
            prop_assert!(VerifyingKeys::jwks(&document).is_err());
        }
    }
}
