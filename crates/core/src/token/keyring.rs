//! The admin key's digest and the keys that sign tokens.

use downcity_types::PREFIX;
use hmac::{Hmac, KeyInit as _, Mac as _};
use sha2::{Digest as _, Sha256};

use crate::Secret;
use crate::env::EnvValues;

/// What credentials are checked against; derived anew whenever the vault changes.
pub struct Credentials {
    admin: Option<AdminKey>,
    keys: Option<KeyRing>,
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
    /// Derives what is needed from the system keys of the vault.
    pub(crate) fn from_env(env: &EnvValues) -> Self {
        Self::new(env.get(crate::env::ADMIN_KEY), env.get(crate::env::SIGNING_KEY))
    }

    /// Credentials of an admin key and a signing key.
    pub fn new(admin: Option<Secret>, signing: Option<Secret>) -> Self {
        let admin = admin.map(|key| AdminKey {
            digest: digest(key.expose().as_bytes()),
            has_token_prefix: key.expose().starts_with(PREFIX),
        });
        Self { admin, keys: signing.and_then(|key| KeyRing::new(&key)) }
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

    /// The keys that sign tokens; `None` when no signing key is configured.
    pub fn keys(&self) -> Option<&KeyRing> {
        self.keys.as_ref()
    }
}

/// The keys that sign tokens: the active one signs, and verifies.
pub struct KeyRing {
    /// HMAC-SHA256 with the key already taken in, cloned for each use.
    active: Hmac<Sha256>,
}

impl KeyRing {
    /// A ring of one key: the bytes of the whole text, its prefix included.
    pub fn new(active: &Secret) -> Option<Self> {
        // An HMAC key may have any length, so there is always a ring.
        Hmac::new_from_slice(active.expose().as_bytes()).ok().map(|active| Self { active })
    }

    /// Signs the text of a token's payload.
    pub fn sign(&self, payload: &[u8]) -> [u8; 32] {
        self.active.clone().chain_update(payload).finalize().into_bytes().into()
    }

    /// Whether a key of the ring made this signature; compared in constant time.
    pub fn verify(&self, payload: &[u8], signature: &[u8]) -> bool {
        self.active.clone().chain_update(payload).verify_slice(signature).is_ok()
    }
}
