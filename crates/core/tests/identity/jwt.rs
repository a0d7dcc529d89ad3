//! Tokens signed with Ed25519: how they are issued, published, verified elsewhere and ended.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use downcity_core::env::MasterKey;
use downcity_core::token;
use downcity_db::{Tx, sql};
use downcity_testkit::{TestApp, TestAppBuilder, both_engines};
use downcity_types::{TokenAlgorithm, VerifyingKeys, verify_offline};
use jsonwebtoken::jwk::JwkSet;
use jsonwebtoken::{Algorithm, DecodingKey, Validation, decode, decode_header};
use serde_json::{Value, json};

use crate::probe::{assert_alive, assert_dead, hear, user_call, with_probe};

const CITY: &str = "city_downcity";
const NOW: i64 = 1_767_323_045;

fn with_ed25519(builder: TestAppBuilder) -> TestAppBuilder {
    with_probe(builder).settings(|settings| settings.token_algorithm = TokenAlgorithm::Ed25519)
}

async fn jwks(app: &TestApp) -> Value {
    app.guest().get("/.well-known/jwks.json").await.expect(200)
}

fn parts(token: &str) -> [String; 3] {
    let parts: Vec<&str> = token.split('.').collect();
    let text = |part: &str| String::from_utf8(URL_SAFE_NO_PAD.decode(part).unwrap()).unwrap();
    assert_eq!((parts.len(), parts[2].len()), (3, 86), "{token}");
    [text(parts[0]), text(parts[1]), parts[2].to_owned()]
}

/// What a stock library reads, with the published keys alone.
fn read_elsewhere(jwks: &Value, token: &str) -> Result<Value, jsonwebtoken::errors::Error> {
    let set: JwkSet = serde_json::from_value(jwks.clone()).unwrap();
    let kid = decode_header(token)?.kid.unwrap();
    let key = DecodingKey::from_jwk(set.find(&kid).unwrap()).unwrap();
    let mut rules = Validation::new(Algorithm::EdDSA);
    rules.set_audience(&["downcity:user"]);
    // The clock of the test stands in the past.
    rules.validate_exp = false;
    rules.set_required_spec_claims::<&str>(&[]);
    decode(token, &key, &rules).map(|read| read.claims)
}

both_engines! {
    async fn a_jwt_says_what_was_asked_for(app: TestApp = with_ed25519) {
        let input = json!({"city_id": CITY, "user_id": "用户", "metadata": {"plan": "pro"}, "ttl": "1h"});
        let issued = app.admin().post("/v1/cities/tokens/apply", input).await.expect(200);
        assert_eq!(issued["expires_at"], "2026-01-02T04:04:05.000Z");
        let token = issued["user_token"].as_str().unwrap();
        let [header, claims, _] = parts(token);
        let kid = jwks(&app).await["keys"][0]["kid"].as_str().unwrap().to_owned();
        assert_eq!(header, format!(r#"{{"alg":"EdDSA","typ":"JWT","kid":"{kid}"}}"#));
        let (iat, exp) = (NOW, NOW + 3_600);
        let start = format!(r#"{{"aud":"downcity:user","city_id":"{CITY}","user_id":"用户","metadata":{{"plan":"pro"}},"iat":{iat},"exp":{exp},"jti":"tok_"#);
        assert!(claims.starts_with(&start), "{claims}");
        let caller = app.user(token).get("/v1/probe/user").await.expect(200);
        assert_eq!((&caller["user_id"], &caller["metadata"]), (&json!("用户"), &json!({"plan": "pro"})));
        let endless = parts(&app.token(CITY, "u").await);
        assert!(!endless[1].contains("exp"), "{}", endless[1]);
    }

    async fn a_stock_library_reads_it_with_the_published_keys(app: TestApp = with_ed25519) {
        let first = app.token_with(json!({"city_id": CITY, "user_id": "u", "ttl": "7d"})).await;
        app.admin().post("/v1/keys/rotate", json!({})).await.expect(200);
        let second = app.token(CITY, "v").await;
        let jwks = jwks(&app).await;
        assert_eq!(jwks["keys"].as_array().unwrap().len(), 2, "the retired key is there too");
        for (token, user) in [(&first, "u"), (&second, "v")] {
            let claims = read_elsewhere(&jwks, token).unwrap();
            assert_eq!((&claims["user_id"], &claims["city_id"]), (&json!(user), &json!(CITY)));
            let own = verify_offline(token, &VerifyingKeys::jwks(&jwks.to_string()).unwrap(), NOW).unwrap();
            assert_eq!(serde_json::to_value(own).unwrap(), claims);
        }
        let forged = first.replacen("e", "f", 1);
        assert!(read_elsewhere(&jwks, &forged).is_err());
        let mixed = format!("{}.{}", first.rsplit_once('.').unwrap().0, second.rsplit_once('.').unwrap().1);
        assert!(read_elsewhere(&jwks, &mixed).is_err());
    }

    async fn the_published_keys_are_public_alone(app: TestApp = with_ed25519) {
        let reply = app.guest().get("/.well-known/jwks.json").await;
        assert_eq!(reply.header("cache-control"), Some("public, max-age=300"));
        assert_eq!(reply.header("content-type"), Some("application/json"));
        let keys = reply.expect(200)["keys"].clone();
        let members: Vec<&String> = keys[0].as_object().unwrap().keys().collect();
        assert_eq!(members, ["kty", "crv", "x", "kid", "alg", "use"]);
        assert_eq!((&keys[0]["kty"], &keys[0]["crv"], &keys[0]["alg"], &keys[0]["use"]), (&json!("OKP"), &json!("Ed25519"), &json!("EdDSA"), &json!("sig")));
        let signing = app.admin().get("/v1/keys/signing").await.expect(200);
        let ids: Vec<&Value> = signing["items"].as_array().unwrap().iter().map(|key| &key["key_id"]).collect();
        assert_eq!(ids[1], &keys[0]["kid"]);
        assert!(ids[0].as_str().unwrap().starts_with("hmac_"));
        app.admin().post("/v1/keys/rotate", json!({})).await.expect(200);
        app.admin().post("/v1/keys/retired/drop", json!({})).await.expect(200);
        let left = jwks(&app).await;
        assert_eq!(left["keys"].as_array().unwrap().len(), 1);
        assert_ne!(left["keys"][0], keys[0]);
    }

    async fn without_ed25519_nothing_is_published(app: TestApp = with_probe) {
        assert_eq!(jwks(&app).await, json!({"keys": []}));
        app.admin().post("/v1/keys/rotate", json!({})).await.expect(200);
        assert_eq!(jwks(&app).await, json!({"keys": []}));
        app.admin().post("/v1/keys/rotate", json!({"algorithm": "ed25519"})).await.expect(200);
        assert_eq!(jwks(&app).await["keys"].as_array().unwrap().len(), 1);
        assert!(app.token(CITY, "u").await.starts_with("ub_"));
    }

    async fn both_kinds_verify_side_by_side(app: TestApp = with_probe) {
        let ub = app.token(CITY, "u").await;
        let engine = app.runtime().db().engine();
        let [one, two] = [(), ()].map(|()| with_ed25519(TestApp::builder(engine)).on_database_of(&app).start());
        let (one, two) = futures_util::future::join(one, two).await;
        assert_eq!(jwks(&one).await, jwks(&two).await, "nodes that start at once share a key");
        let jwt = one.token(CITY, "u").await;
        let restarted = with_ed25519(TestApp::builder(engine)).on_database_of(&app).start().await;
        hear(&app).await;
        for node in [&app, &one, &two, &restarted] {
            assert_eq!(jwks(node).await, jwks(&one).await);
            for token in [&ub, &jwt] {
                assert_alive(user_call(&node.user(token)).await);
            }
        }
        assert!(app.token(CITY, "u").await.starts_with("ub_"), "this node is set to HMAC");
    }

    async fn revocations_end_both_kinds(app: TestApp = with_ed25519) {
        let engine = app.runtime().db().engine();
        let older = with_probe(TestApp::builder(engine)).on_database_of(&app).start().await;
        for subject in ["jti", "token", "user", "city"] {
            app.create_city(subject).await;
            let input = json!({"city_id": subject, "user_id": "u", "ttl": "1h"});
            hear(&older).await;
            for (node, start) in [(&app, "eyJ"), (&older, "ub_")] {
                let token = node.token_with(input.clone()).await;
                assert!(token.starts_with(start), "{token}");
                assert_alive(user_call(&app.user(&token)).await);
                let inspected = app.admin().post("/v1/cities/tokens/verify", json!({"user_token": token})).await;
                let revocation = match subject {
                    "jti" => json!({"jti": inspected.expect(200)["token_id"], "city_id": subject}),
                    "token" => json!({"user_token": token}),
                    "user" => json!({"city_id": subject, "user_id": "u"}),
                    _ => json!({"city_id": subject}),
                };
                app.admin().post("/v1/cities/tokens/revoke", revocation).await.expect(200);
                assert_dead(user_call(&app.user(&token)).await, "token_revoked");
                hear(&older).await;
            }
            assert_alive(user_call(&app.user(&app.token_with(input).await)).await);
        }
    }

    async fn without_a_key_there_is_a_clear_error(app: TestApp = with_ed25519) {
        let lose = |tx: &mut Tx<'_>| tx.execute(sql!("DELETE FROM signing_keys"), &[]).map(drop);
        app.runtime().db().write(lose).await.unwrap();
        app.runtime().state().refresh().await.unwrap();
        let input = json!({"city_id": CITY, "user_id": "u"});
        let reply = app.admin().post("/v1/cities/tokens/apply", input).await;
        let error = reply.expect_error(500, "missing_config");
        assert!(error["fix"].as_str().unwrap().contains("/v1/keys/rotate"), "{error}");
        app.admin().post("/v1/keys/rotate", json!({})).await.expect(200);
        assert_alive(user_call(&app.user(&app.token(CITY, "u").await)).await);
    }
}

/// The key of tokens stays the same for every seal: what the database holds is no key.
#[test]
fn another_master_key_opens_no_signing_key() {
    downcity_testkit::block_on(async {
        let app = with_ed25519(TestApp::builder(downcity_testkit::Engine::Sqlite)).start().await;
        app.token(CITY, "u").await;
        let other =
            with_ed25519(TestApp::builder(downcity_testkit::Engine::Sqlite)).on_database_of(&app);
        let other = other.options(|options| {
            options.master_key =
                MasterKey::parse("another passphrase, also of 32 characters").unwrap().into();
        });
        assert!(other.try_start().await.is_err());
        token::prune_signing_keys(app.runtime()).await.unwrap();
    });
}
