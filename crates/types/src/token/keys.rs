//! The keys that tokens are held against, prepared once and used many times.

use std::fmt;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use hmac::{Hmac, KeyInit as _, Mac as _};
use ring::signature::{ED25519, UnparsedPublicKey};
use sha2::{Digest as _, Sha256};

use super::{Jwk, Signed, TokenAlgorithm};

/// An HMAC-SHA256 key with its bytes already taken in.
#[derive(Clone)]
pub struct HmacKey(Hmac<Sha256>);

impl HmacKey {
    /// A key of these bytes: for a signing key of the env vault, those of its whole text.
    #[must_use]
    pub fn new(key: &[u8]) -> Self {
        #[expect(clippy::expect_used, reason = "HMAC takes keys of any length")]
        Self(Hmac::new_from_slice(key).expect("a key of any length"))
    }

    /// Signs bytes.
    #[must_use]
    pub fn sign(&self, message: &[u8]) -> [u8; 32] {
        self.0.clone().chain_update(message).finalize().into_bytes().into()
    }

    /// Whether this key signed a token of the form for HMACs; compared in constant time.
    #[must_use]
    pub fn signed(&self, token: &Signed<'_>) -> bool {
        token.algorithm == TokenAlgorithm::Hmac
            && self.0.clone().chain_update(token.message).verify_slice(token.signature).is_ok()
    }
}

impl fmt::Debug for HmacKey {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str("HmacKey(…)")
    }
}

/// The public half of an Ed25519 key, and the one header that its tokens have.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Ed25519Key {
    key_id: String,
    header: String,
    public: [u8; 32],
}

impl Ed25519Key {
    /// A key under the id that its thumbprint gives it (RFC 7638).
    #[must_use]
    pub fn new(public: [u8; 32]) -> Self {
        // The members of the key in the order of RFC 7638 §3.2, as RFC 8037 §2 lists them.
        let members =
            format!(r#"{{"crv":"Ed25519","kty":"OKP","x":"{}"}}"#, URL_SAFE_NO_PAD.encode(public));
        Self::named(URL_SAFE_NO_PAD.encode(Sha256::digest(members)), public)
    }

    /// A key under an id that a JWK names.
    pub(super) fn named(key_id: String, public: [u8; 32]) -> Self {
        let kid = serde_json::Value::from(key_id.as_str());
        let header =
            URL_SAFE_NO_PAD.encode(format!(r#"{{"alg":"EdDSA","typ":"JWT","kid":{kid}}}"#));
        Self { key_id, header, public }
    }

    /// The id (`kid`).
    #[must_use]
    pub fn key_id(&self) -> &str {
        &self.key_id
    }

    /// The header of this key's tokens, encoded: `{"alg":"EdDSA","typ":"JWT","kid":"<key id>"}`.
    #[must_use]
    pub fn header(&self) -> &str {
        &self.header
    }

    /// The public key.
    #[must_use]
    pub const fn public(&self) -> &[u8; 32] {
        &self.public
    }

    /// The key as a JWKS document holds it.
    #[must_use]
    pub fn to_jwk(&self) -> Jwk {
        Jwk {
            kty: "OKP".to_owned(),
            crv: "Ed25519".to_owned(),
            x: URL_SAFE_NO_PAD.encode(self.public),
            kid: self.key_id.clone(),
            alg: Some("EdDSA".to_owned()),
            r#use: Some("sig".to_owned()),
        }
    }

    /// Whether this key signed a token of the form for JWTs, under its own header.
    #[must_use]
    pub fn signed(&self, token: &Signed<'_>) -> bool {
        token.algorithm == TokenAlgorithm::Ed25519
            && token.header == self.header.as_bytes()
            && UnparsedPublicKey::new(&ED25519, &self.public)
                .verify(token.message, token.signature)
                .is_ok()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The key of RFC 8037, appendix A, and its thumbprint.
    #[test]
    fn a_key_is_named_by_its_thumbprint() {
        let public = URL_SAFE_NO_PAD.decode("11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo").unwrap();
        let key = Ed25519Key::new(public.try_into().unwrap());
        assert_eq!(key.key_id(), "kPrK_qmxVWaYVA9wwBF6Iuo3vVzz7TxHCTwXBygrS4k");
        let header = URL_SAFE_NO_PAD.decode(key.header()).unwrap();
        let kid = key.key_id();
        assert_eq!(header, format!(r#"{{"alg":"EdDSA","typ":"JWT","kid":"{kid}"}}"#).as_bytes());
        assert_eq!(
            serde_json::to_string(&key.to_jwk()).unwrap(),
            r#"{"kty":"OKP","crv":"Ed25519","x":"11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo","kid":"kPrK_qmxVWaYVA9wwBF6Iuo3vVzz7TxHCTwXBygrS4k","alg":"EdDSA","use":"sig"}"#
        );
    }

    /// The example of RFC 8037, A.4, is signed with this key, but its header is not ours.
    #[test]
    fn another_header_is_another_token() {
        let public = URL_SAFE_NO_PAD.decode("11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo").unwrap();
        let signature = URL_SAFE_NO_PAD
            .decode("hgyY0il_MGCjP0JzlnLWG1PPOt7-09PGcvMg3AIbQR6dWbhijcNR4ki4iylGjg5BhVsPt9g7sVvpAr_MuM0KAg")
            .unwrap();
        let header = "eyJhbGciOiJFZERTQSJ9";
        let signed = Signed {
            algorithm: TokenAlgorithm::Ed25519,
            header: header.as_bytes(),
            message: b"eyJhbGciOiJFZERTQSJ9.RXhhbXBsZSBvZiBFZDI1NTE5IHNpZ25pbmc",
            signature: &signature,
        };
        let mut key = Ed25519Key::new(public.try_into().unwrap());
        assert!(!key.signed(&signed));
        header.clone_into(&mut key.header);
        assert!(key.signed(&signed));
        assert!(!key.signed(&Signed { algorithm: TokenAlgorithm::Hmac, ..signed }));
    }
}
