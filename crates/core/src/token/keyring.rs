//! The admin key's digest and the keys that sign tokens, prepared for use.

use std::collections::BTreeMap;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use downcity_types::{
    Claims, Ed25519Key, HmacKey, JwkSet, MAX_TOKEN_BYTES, OpenToken, PREFIX, Signed,
    SigningKeyRecord, SigningKeyStatus, Timestamp, TokenAlgorithm, TokenBuffer, TokenError,
};
use sha2::{Digest as _, Sha256};

use super::signing_keys::{Ed25519Secret, StoredKey, StoredKeys, StoredSecret};
use crate::env::{EnvValues, SIGNING_KEY, Unreadable};
use crate::{Error, Result, Secret};

/// What an HMAC key signs to give its id; no payload of a token reads like this.
const ID_MESSAGE: &[u8] = b"downcity signing key id v1";
/// Bytes of that signature which make the id.
const ID_BYTES: usize = 16;

/// What credentials are checked against; derived anew whenever vault or signing keys change.
pub struct Credentials {
    admin: Option<AdminKey>,
    keys: KeyRing,
}

struct AdminKey {
    digest: [u8; 32],
    /// Whether the key looks like a token, so that tokens have to be compared with it.
    has_token_prefix: bool,
}

/// SHA-256 of a secret: what is compared, so that lengths do not show.
pub fn digest(secret: &[u8]) -> [u8; 32] {
    Sha256::digest(secret).into()
}

impl Credentials {
    /// Derives what is needed from the system keys of the vault and the stored signing keys.
    pub(crate) fn new(env: &EnvValues, stored: StoredKeys) -> Self {
        let signing = env.get(SIGNING_KEY);
        Self::of(env.get(crate::env::ADMIN_KEY), KeyRing::new(signing.as_ref(), stored))
    }

    /// Credentials of an admin key and a key ring.
    pub(crate) fn of(admin: Option<Secret>, keys: KeyRing) -> Self {
        let admin = admin.map(|key| AdminKey {
            digest: digest(key.expose().as_bytes()),
            has_token_prefix: key.expose().starts_with(PREFIX),
        });
        Self { admin, keys }
    }

    /// Whether this is the admin key; compared in constant time.
    pub fn is_admin_key(&self, candidate: &[u8]) -> bool {
        use subtle::ConstantTimeEq as _;
        let Some(admin) = &self.admin else { return false };
        if candidate.starts_with(PREFIX.as_bytes()) && !admin.has_token_prefix {
            return false;
        }
        bool::from(admin.digest.ct_eq(&digest(candidate)))
    }

    /// The keys that sign tokens.
    pub fn keys(&self) -> &KeyRing {
        &self.keys
    }
}

/// The keys that sign tokens: of each algorithm at most one active key, which signs and verifies,
/// and retired ones, which verify until their end.
#[derive(Default)]
pub struct KeyRing {
    hmac: Option<Active<HmacKey>>,
    ed25519: Option<Active<Ed25519Secret>>,
    /// Those that count, the last retired first.
    retired: Vec<Retired>,
    /// When the first of the stored keys, those that do not count included, is overdue.
    overdue_from: Option<Timestamp>,
    unreadable: BTreeMap<String, Unreadable>,
}

struct Active<K> {
    key_id: String,
    key: K,
}

struct Retired {
    key_id: String,
    key: Verifier,
    retired_at: Timestamp,
    verifies_until: Timestamp,
}

enum Verifier {
    Hmac(HmacKey),
    Ed25519(Ed25519Key),
}

impl Retired {
    fn algorithm(&self) -> TokenAlgorithm {
        match self.key {
            Verifier::Hmac(_) => TokenAlgorithm::Hmac,
            Verifier::Ed25519(_) => TokenAlgorithm::Ed25519,
        }
    }

    fn signed(&self, token: &Signed<'_>) -> bool {
        match &self.key {
            Verifier::Hmac(key) => key.signed(token),
            Verifier::Ed25519(key) => key.signed(token),
        }
    }
}

/// What names an HMAC key. Tells no more about it than any token that it has signed.
pub(super) fn hmac_key_id(key: &HmacKey) -> String {
    let mut id = "hmac_".to_owned();
    URL_SAFE_NO_PAD.encode_string(&key.sign(ID_MESSAGE)[..ID_BYTES], &mut id);
    id
}

impl KeyRing {
    /// The ring of an active HMAC key and of what the table of signing keys holds.
    pub(super) fn new(signing: Option<&Secret>, stored: StoredKeys) -> Self {
        let hmac = signing.map(|secret| {
            let key = HmacKey::new(secret.expose().as_bytes());
            Active { key_id: hmac_key_id(&key), key }
        });
        let mut ring = Self { hmac, unreadable: stored.unreadable, ..Self::default() };
        for key in stored.keys {
            ring.add(key);
        }
        ring.retired.sort_by_key(|key| std::cmp::Reverse(key.retired_at));
        ring
    }

    fn add(&mut self, stored: StoredKey) {
        let StoredKey { key_id, secret, retired } = stored;
        let Some(retired) = retired else {
            if let StoredSecret::Ed25519(key) = secret {
                self.ed25519 = Some(Active { key_id, key: *key });
            }
            return;
        };
        let first = self.overdue_from.unwrap_or(retired.verifies_until);
        self.overdue_from = Some(first.min(retired.verifies_until));
        let key = match secret {
            StoredSecret::Ed25519(key) => Verifier::Ed25519(key.public().clone()),
            StoredSecret::Hmac(key) => {
                let active = self.hmac.as_ref().map(|active| &active.key_id);
                if active.is_none() || active != retired.successor.as_ref() {
                    return;
                }
                Verifier::Hmac(key)
            }
        };
        let (retired_at, verifies_until) = (retired.at, retired.verifies_until);
        self.retired.push(Retired { key_id, key, retired_at, verifies_until });
    }

    /// Writes and signs a token. `None` when it would be longer than any reader takes.
    ///
    /// # Errors
    /// 500 `missing_config` when there is no active key of this algorithm.
    pub(super) fn write(
        &self,
        algorithm: TokenAlgorithm,
        claims: &Claims,
    ) -> Result<Option<String>> {
        let json = claims.to_json().map_err(Error::internal)?;
        match algorithm {
            TokenAlgorithm::Hmac => {
                let active = self.hmac.as_ref();
                let key = &active.ok_or_else(|| Error::missing_config(SIGNING_KEY))?.key;
                let mut token = PREFIX.to_owned();
                URL_SAFE_NO_PAD.encode_string(json, &mut token);
                let signature = key.sign(&token.as_bytes()[PREFIX.len()..]);
                Ok(finish(token, &signature))
            }
            TokenAlgorithm::Ed25519 => {
                let key = &self.ed25519.as_ref().ok_or_else(no_ed25519_key)?.key;
                let mut token = key.public().header().to_owned();
                token.push('.');
                URL_SAFE_NO_PAD.encode_string(json, &mut token);
                let signature = key.sign(token.as_bytes());
                Ok(finish(token, &signature))
            }
        }
    }

    /// Opens a token that one of the keys has signed; its claims are still to be judged.
    ///
    /// # Errors
    /// See [`downcity_types::open_token`].
    pub(crate) fn open<'a>(
        &self,
        token: &'a [u8],
        now: i64,
        buffer: &'a mut TokenBuffer,
    ) -> Result<OpenToken<'a>, TokenError> {
        downcity_types::open_token(token, buffer, |signed| self.signed(signed, now))
    }

    fn signed(&self, token: &Signed<'_>, now: i64) -> bool {
        let by_active = match token.algorithm {
            TokenAlgorithm::Hmac => self.hmac.as_ref().is_some_and(|key| key.key.signed(token)),
            TokenAlgorithm::Ed25519 => {
                self.ed25519.as_ref().is_some_and(|key| key.key.public().signed(token))
            }
        };
        by_active || self.verifying(now).any(|key| key.signed(token))
    }

    /// The retired keys that still verify at `now`, in seconds since 1970.
    fn verifying(&self, now: i64) -> impl Iterator<Item = &Retired> {
        let now = Timestamp::from_seconds(now);
        self.retired.iter().filter(move |key| key.verifies_until > now)
    }

    /// The public keys of JWTs that verify at `now`, in seconds since 1970.
    pub(crate) fn jwks(&self, now: i64) -> JwkSet {
        let active = self.ed25519.iter().map(|active| active.key.public().to_jwk());
        let retired = self.verifying(now).filter_map(|key| match &key.key {
            Verifier::Ed25519(key) => Some(key.to_jwk()),
            Verifier::Hmac(_) => None,
        });
        JwkSet { keys: active.chain(retired).collect() }
    }

    /// The keys that verify at `now`, in seconds since 1970; `issuing` is the algorithm in use.
    pub(super) fn records(&self, issuing: TokenAlgorithm, now: i64) -> Vec<SigningKeyRecord> {
        let active = |key_id: &String, algorithm| SigningKeyRecord {
            key_id: key_id.clone(),
            algorithm,
            status: SigningKeyStatus::Active,
            issues: algorithm == issuing,
            retired_at: None,
            verifies_until: None,
        };
        let hmac = self.hmac.iter().map(|key| active(&key.key_id, TokenAlgorithm::Hmac));
        let ed25519 = self.ed25519.iter().map(|key| active(&key.key_id, TokenAlgorithm::Ed25519));
        let retired = self.verifying(now).map(|key| SigningKeyRecord {
            key_id: key.key_id.clone(),
            algorithm: key.algorithm(),
            status: SigningKeyStatus::Retired,
            issues: false,
            retired_at: Some(key.retired_at),
            verifies_until: Some(key.verifies_until),
        });
        hmac.chain(ed25519).chain(retired).collect()
    }

    /// Whether a stored key is past its end at `now`.
    pub(super) fn has_overdue(&self, now: Timestamp) -> bool {
        self.overdue_from.is_some_and(|first| first <= now)
    }

    /// The stored keys that are skipped, by id, each with a sentence on what is wrong with it.
    pub(crate) fn unreadable(&self) -> impl Iterator<Item = (&str, String)> {
        self.unreadable.iter().map(|(key_id, reason)| (key_id.as_str(), reason.to_string()))
    }
}

fn finish(mut token: String, signature: &[u8]) -> Option<String> {
    token.push('.');
    URL_SAFE_NO_PAD.encode_string(signature, &mut token);
    (token.len() <= MAX_TOKEN_BYTES).then_some(token)
}

fn no_ed25519_key() -> Error {
    Error::new(downcity_types::ErrorCode::MissingConfig, "There is no Ed25519 key to sign with.")
        .with_fix("Make one with POST /v1/keys/rotate {\"algorithm\":\"ed25519\"}.")
}

#[cfg(test)]
impl KeyRing {
    /// A ring of one HMAC key.
    pub(super) fn of_hmac(key: &str) -> Self {
        Self::new(Some(&Secret::new(key)), StoredKeys::default())
    }
}

#[cfg(test)]
mod tests;
