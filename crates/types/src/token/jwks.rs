//! Public keys as `/.well-known/jwks.json` shows them: RFC 7517 sets of RFC 8037 keys.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::Ed25519Key;

/// One public Ed25519 key.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Jwk {
    /// Always `OKP`.
    pub kty: String,
    /// Always `Ed25519`.
    pub crv: String,
    /// The public key: 32 bytes in base64url.
    pub x: String,
    /// The key's id, as the header of its tokens names it.
    pub kid: String,
    /// Always `EdDSA`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub alg: Option<String>,
    /// Always `sig`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub r#use: Option<String>,
}

/// The keys that verify the JWTs of a Federation: the active one and the retired ones.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct JwkSet {
    /// The keys, the active one first.
    pub keys: Vec<Jwk>,
}

/// Why a document gives no keys.
#[derive(Debug, thiserror::Error)]
pub enum JwksError {
    /// It is no JSON object with an array `keys`.
    #[error("the document is no JWKS: {0}")]
    Malformed(#[from] serde_json::Error),
    /// None of its keys is an Ed25519 key for signatures.
    #[error("the document holds no Ed25519 key")]
    NoKey,
}

impl Jwk {
    /// The key, where it is an Ed25519 key for signatures.
    fn to_key(&self) -> Option<Ed25519Key> {
        let is = |member: &Option<String>, text| member.as_deref().is_none_or(|is| is == text);
        if self.kty != "OKP" || self.crv != "Ed25519" {
            return None;
        }
        if !is(&self.alg, "EdDSA") || !is(&self.r#use, "sig") {
            return None;
        }
        let public = URL_SAFE_NO_PAD.decode(&self.x).ok()?.try_into().ok()?;
        Some(Ed25519Key::named(self.kid.clone(), public))
    }
}

/// The Ed25519 keys of a document; keys of other kinds are passed over.
pub(super) fn read_keys(document: &str) -> Result<Vec<Ed25519Key>, JwksError> {
    #[derive(Deserialize)]
    struct Any {
        keys: Vec<Value>,
    }
    let any: Any = serde_json::from_str(document)?;
    let keys: Vec<Ed25519Key> = any
        .keys
        .into_iter()
        .filter_map(|key| serde_json::from_value::<Jwk>(key).ok()?.to_key())
        .collect();
    if keys.is_empty() { Err(JwksError::NoKey) } else { Ok(keys) }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    const X: &str = "11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo";

    #[test]
    fn a_document_gives_its_ed25519_keys_alone() {
        let good = json!({"kty": "OKP", "crv": "Ed25519", "x": X, "kid": "a", "extra": 1});
        let others = [
            json!({"kty": "RSA", "n": "AQAB", "e": "AQAB", "kid": "b"}),
            json!({"kty": "oct", "k": "AQAB", "kid": "c"}),
            json!({"kty": "OKP", "crv": "X25519", "x": X, "kid": "d"}),
            json!({"kty": "OKP", "crv": "Ed25519", "x": X}),
            json!({"kty": "OKP", "crv": "Ed25519", "x": &X[1..], "kid": "e"}),
            json!({"kty": "OKP", "crv": "Ed25519", "x": X, "kid": "f", "use": "enc"}),
            json!({"kty": "OKP", "crv": "Ed25519", "x": X, "kid": "g", "alg": "HS256"}),
            json!("x"),
        ];
        let document = |keys: Vec<Value>| json!({ "keys": keys }).to_string();
        let none = read_keys(&document(others.to_vec()));
        assert!(matches!(none, Err(JwksError::NoKey)), "{none:?}");
        let keys = read_keys(&document([others.to_vec(), vec![good]].concat())).unwrap();
        assert_eq!(keys.iter().map(Ed25519Key::key_id).collect::<Vec<_>>(), ["a"]);
        for text in ["", "[]", "{}", r#"{"keys":1}"#] {
            assert!(matches!(read_keys(text), Err(JwksError::Malformed(_))), "{text}");
        }
    }
}
