//! What compares a secret takes the same time wherever the first wrong byte stands.
//!
//! Each credential is compared as calls compare it: the whole way from a header to an identity. JWTs
//! are not here: to verify one, the server needs no secret.

use std::sync::Arc;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use downcity_core::env::ADMIN_KEY;
use downcity_core::token::digest;
use downcity_core::{Identity, Runtime, Secret};
use downcity_testkit::{Engine, TestApp, block_on};
use http::header::AUTHORIZATION;
use http::{HeaderMap, HeaderValue};
use serde_json::json;

use crate::statistics::{Class, differ};

/// Long, so that a comparison that stops at the first wrong byte is seen to.
const LONG: usize = 8 * 1024;

fn long_secret() -> String {
    secret_of(LONG)
}

fn secret_of(length: usize) -> String {
    let bytes: Vec<u8> = (0..length / 4 * 3).map(|index| (index * 31 % 251) as u8).collect();
    URL_SAFE_NO_PAD.encode(bytes)
}

/// An app whose admin key is long.
async fn app() -> TestApp {
    app_with(long_secret()).await
}

async fn app_with(admin_key: String) -> TestApp {
    let seeds = vec![(ADMIN_KEY.to_owned(), Secret::new(admin_key))];
    TestApp::builder(Engine::Sqlite).options(|options| options.seeds = seeds).start().await
}

fn headers(credential: &[u8]) -> HeaderMap {
    let value = [b"Bearer ", credential].concat();
    HeaderMap::from_iter([(AUTHORIZATION, HeaderValue::from_bytes(&value).unwrap())])
}

/// The text with another byte at this place, which `random` chooses.
fn wrong_at(text: &[u8], place: usize, random: u64) -> Vec<u8> {
    let mut text = text.to_vec();
    let other = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdef";
    let choice = other[random as usize % other.len()];
    text[place] = if choice == text[place] { b'9' } else { choice };
    text
}

/// First or last.
fn place(class: Class, first: usize, last: usize) -> usize {
    match class {
        Class::A => first,
        Class::B => last,
    }
}

/// Whether the classes of credentials are told apart by the time of their refusal.
fn told_apart(runtime: &Arc<Runtime>, credential: impl Fn(Class, u64) -> Vec<u8>) -> bool {
    differ(
        |class, random| headers(&credential(class, random)),
        |headers| {
            let identity = runtime.identify(headers);
            assert!(matches!(identity, Identity::Guest(_)), "a wrong credential is none");
        },
    )
}

#[test]
fn a_comparison_that_stops_early_is_found() {
    let secret = long_secret();
    let secret = secret.as_bytes();
    let found = differ(
        |class, random| wrong_at(secret, place(class, 0, LONG - 1), random),
        |candidate| candidate == secret,
    );
    assert!(found, "the method does not see what it is there to see");
    // The same comparison without a difference.
    let found =
        differ(|_, random| wrong_at(secret, LONG - 1, random), |candidate| candidate == secret);
    assert!(!found, "the method sees what is not there");
}

#[test]
fn the_admin_key_is_compared_in_constant_time() {
    block_on(async {
        let app = app().await;
        let secret = long_secret();
        let secret = secret.as_bytes();
        assert!(app.runtime().identify(&headers(secret)).is_admin());
        let wrong = |class, random| wrong_at(secret, place(class, 0, LONG - 1), random);
        assert!(!told_apart(app.runtime(), wrong), "the place of the wrong byte shows");
    });
}

/// The same credentials, for a Federation whose admin key is as long and for one whose is not.
#[test]
fn the_length_of_the_admin_key_does_not_show() {
    block_on(async {
        let apps = [app().await, app_with(secret_of(LONG / 2)).await];
        let secret = long_secret();
        let found = differ(
            |class, random| {
                let app = &apps[place(class, 0, 1)];
                (app.runtime().clone(), headers(&wrong_at(secret.as_bytes(), LONG - 1, random)))
            },
            |(runtime, headers)| assert!(!runtime.identify(headers).is_admin()),
        );
        assert!(!found, "the length of the key shows");
    });
}

#[test]
fn service_keys_are_looked_up_in_constant_time() {
    block_on(async {
        let app = app().await;
        let admin = app.user(&long_secret());
        let input = json!({"name": "K", "actions": ["*"]});
        let issued = admin.post("/v1/keys/create", input).await.expect(200);
        let key = issued["key"].as_str().unwrap().as_bytes();
        assert!(app.runtime().identify(&headers(key)).is_trusted());
        // With a checksum that is right: a wrong one is found without any secret.
        let body_len = key.len() - 6;
        let wrong = |class, random| {
            let mut other = wrong_at(&key[..body_len], place(class, 3, body_len - 1), random);
            let check = URL_SAFE_NO_PAD.encode(&digest(&other)[..4]);
            other.extend_from_slice(check.as_bytes());
            assert!(downcity_core::keys::is_well_formed(&other));
            other
        };
        assert!(!told_apart(app.runtime(), wrong), "the place of the wrong byte shows");
    });
}

#[test]
fn signatures_of_tokens_are_compared_in_constant_time() {
    block_on(async {
        let app = app().await;
        let admin = app.user(&long_secret());
        let input = json!({"city_id": "city_downcity", "user_id": "u"});
        let issued = admin.post("/v1/cities/tokens/apply", input).await.expect(200);
        let token = issued["user_token"].as_str().unwrap();
        assert!(app.runtime().identify(&headers(token.as_bytes())).user().is_some());
        let (payload, signature) = token.rsplit_once('.').unwrap();
        let signature = URL_SAFE_NO_PAD.decode(signature).unwrap();
        let wrong = |class, random: u64| {
            let mut other = signature.clone();
            other[place(class, 0, signature.len() - 1)] ^= 1 << (random % 8);
            format!("{payload}.{}", URL_SAFE_NO_PAD.encode(other)).into_bytes()
        };
        assert!(!told_apart(app.runtime(), wrong), "the place of the wrong byte shows");
    });
}
