//! The admin key's digest and the keys that sign tokens.

use sha2::{Digest as _, Sha256};

use crate::env::EnvValues;

/// What credentials are checked against.
pub struct Credentials {
    admin_digest: Option<[u8; 32]>,
}

/// SHA-256 of a secret: what is compared, so that lengths do not show.
pub fn digest(secret: &[u8]) -> [u8; 32] {
    Sha256::digest(secret).into()
}

impl Credentials {
    /// Derives what is needed from the system keys of the vault.
    pub(crate) fn from_env(env: &EnvValues) -> Self {
        let admin = env.get(crate::env::ADMIN_KEY);
        Self { admin_digest: admin.map(|key| digest(key.expose().as_bytes())) }
    }

    /// Whether this is the admin key; compared in constant time.
    pub fn is_admin_key(&self, candidate: &[u8]) -> bool {
        use subtle::ConstantTimeEq as _;
        self.admin_digest.is_some_and(|own| bool::from(own.ct_eq(&digest(candidate))))
    }
}
