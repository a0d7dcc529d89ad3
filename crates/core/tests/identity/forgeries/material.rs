//! What a forger may hold, and what only the Federation holds: keys, and tokens made with them.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use downcity_core::Random;
use downcity_core::env::SIGNING_KEY;
use downcity_testkit::{TestApp, TestAppBuilder};
use hmac::{Hmac, KeyInit as _, Mac as _};
use ring::signature::{Ed25519KeyPair, KeyPair as _};
use serde_json::{Value, json};
use sha2::Sha256;

use crate::probe::with_probe;

/// The second at which the clock of a test stands.
pub(crate) const NOW: i64 = 1_767_323_045;
/// The city of a good token.
pub(crate) const CITY: &str = "city_downcity";

pub(crate) fn b64(bytes: impl AsRef<[u8]>) -> String {
    URL_SAFE_NO_PAD.encode(bytes)
}

/// Randomness by number, so that a test can draw the same seeds as the Federation.
struct Counting(AtomicU64);

impl Counting {
    fn draw(number: u64, buffer: &mut [u8]) {
        for chunk in buffer.chunks_mut(8) {
            chunk.copy_from_slice(&number.to_le_bytes()[..chunk.len()]);
        }
    }
}

impl Random for Counting {
    fn fill(&self, buffer: &mut [u8]) {
        Self::draw(self.0.fetch_add(1, Ordering::SeqCst), buffer);
    }
}

/// An app whose Ed25519 keys a test can find out.
pub(crate) fn with_known_keys(builder: TestAppBuilder) -> TestAppBuilder {
    with_probe(builder).options(|options| {
        options.random = Arc::new(Counting(AtomicU64::new(1)));
        options.settings.token_algorithm = downcity_types::TokenAlgorithm::Ed25519;
    })
}

/// One Ed25519 key of the Federation, its secret half included.
pub(crate) struct Key {
    pub(crate) pair: Ed25519KeyPair,
    pub(crate) kid: String,
}

impl Key {
    pub(crate) fn of_seed(seed: &[u8; 32]) -> Self {
        let pair = Ed25519KeyPair::from_seed_unchecked(seed).unwrap();
        let public = pair.public_key().as_ref().try_into().unwrap();
        let kid = downcity_types::Ed25519Key::new(public).key_id().to_owned();
        Self { pair, kid }
    }

    pub(crate) fn public(&self) -> &[u8] {
        self.pair.public_key().as_ref()
    }

    /// The header of its tokens.
    pub(crate) fn header(&self) -> String {
        format!(r#"{{"alg":"EdDSA","typ":"JWT","kid":"{}"}}"#, self.kid)
    }

    /// A JWT of these texts, properly signed.
    pub(crate) fn jwt(&self, header: impl AsRef<[u8]>, payload: impl AsRef<[u8]>) -> String {
        self.sign(&format!("{}.{}", b64(header), b64(payload)))
    }

    /// Any text and its signature behind a dot.
    pub(crate) fn sign(&self, message: &str) -> String {
        format!("{message}.{}", b64(self.pair.sign(message.as_bytes())))
    }
}

/// All keys of a Federation.
pub(crate) struct Material {
    pub(crate) hmac: String,
    pub(crate) active: Key,
    pub(crate) retired: Key,
}

impl Material {
    /// Finds out the keys of an app that was made by [`with_known_keys`], after a rotation.
    pub(crate) async fn of(app: &TestApp) -> Self {
        app.admin().post("/v1/keys/rotate", json!({})).await.expect(200);
        let list = app.admin().get("/v1/env/list?reveal=true").await.expect(200);
        let entry = |entry: &&Value| entry["key"] == SIGNING_KEY;
        let hmac = list["items"].as_array().unwrap().iter().find(entry).unwrap()["value"].clone();
        let jwks = app.guest().get("/.well-known/jwks.json").await.expect(200);
        let key = |place: usize| {
            let seeds = (0..200_u64).map(|number| {
                let mut seed = [0; 32];
                Counting::draw(number, &mut seed);
                Key::of_seed(&seed)
            });
            let jwk = &jwks["keys"][place];
            seeds.into_iter().find(|key| jwk["x"] == b64(key.public())).unwrap()
        };
        let (active, retired) = (key(0), key(1));
        Self { hmac: hmac.as_str().unwrap().to_owned(), active, retired }
    }

    /// An `ub_` token of this payload, properly signed.
    pub(crate) fn ub(&self, payload: impl AsRef<[u8]>) -> String {
        let payload = b64(payload);
        format!("ub_{payload}.{}", b64(mac(self.hmac.as_bytes(), payload.as_bytes())))
    }

    /// A JWT of this payload, properly signed.
    pub(crate) fn jwt(&self, payload: impl AsRef<[u8]>) -> String {
        self.active.jwt(self.active.header(), payload)
    }

    /// The payload properly signed in either form.
    pub(crate) fn both(&self, payload: impl AsRef<[u8]>) -> [String; 2] {
        [self.ub(&payload), self.jwt(&payload)]
    }
}

/// HMAC-SHA256.
pub(crate) fn mac(key: &[u8], message: &[u8]) -> [u8; 32] {
    Hmac::<Sha256>::new_from_slice(key)
        .unwrap()
        .chain_update(message)
        .finalize()
        .into_bytes()
        .into()
}

/// A good payload.
pub(crate) fn payload() -> String {
    format!(
        r#"{{"aud":"downcity:user","city_id":"{CITY}","user_id":"u","metadata":{{}},"iat":{},"exp":{},"jti":"tok_x"}}"#,
        NOW - 10,
        NOW + 3_600
    )
}
