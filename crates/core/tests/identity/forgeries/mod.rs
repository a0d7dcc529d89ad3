//! Forged tokens: whatever is wrong with one, the answer is the same to the last byte.

mod claims;
mod corpus;
mod headers;
mod material;
mod signatures;

use std::collections::HashSet;

use downcity_testkit::{TestApp, TestReply, both_engines};
use downcity_types::{VerifyingKeys, verify_offline};
use http::HeaderMap;
use serde_json::{Value, json};

use crate::probe::{assert_alive, assert_dead, user_call};
use corpus::forgeries;
use material::{CITY, Key, Material, NOW, payload, with_known_keys};

/// What a caller sees of an answer, without what names this one request.
#[derive(Debug, PartialEq)]
struct Seen {
    status: u16,
    body: Value,
    headers: HeaderMap,
}

fn seen(reply: &TestReply) -> Seen {
    let (mut body, mut headers) = (reply.json(), reply.headers.clone());
    body.as_object_mut().unwrap().remove("request_id");
    headers.remove("x-request-id").unwrap();
    Seen { status: reply.status.as_u16(), body, headers }
}

async fn remove_city(app: &TestApp, city_id: &str) {
    app.create_city(city_id).await;
    app.admin().post("/v1/cities/remove", json!({"city_id": city_id})).await.expect(200);
}

/// Whether nothing but the city is wrong: that is gone, or never was.
fn is_of_another_city(name: &str) -> bool {
    ["city_gone", "city_never_was", " city_downcity", "CITY_DOWNCITY", r"city_downcity\u0000"]
        .iter()
        .any(|city| {
            name.starts_with("claims:") && name.ends_with(&format!(r#""city_id":"{city}""#))
        })
}

both_engines! {
    async fn all_are_refused_alike(app: TestApp = with_known_keys) {
        remove_city(&app, "city_gone").await;
        let keys = Material::of(&app).await;
        let cases = forgeries(&keys);
        let distinct: HashSet<&str> = cases.iter().map(|(_, token)| token.as_str()).collect();
        assert!(distinct.len() >= 500, "{} cases", distinct.len());
        // What they are made from is good.
        for token in [keys.ub(payload()), keys.jwt(payload()), keys.retired.jwt(keys.retired.header(), payload())] {
            assert_alive(user_call(&app.user(&token)).await);
        }
        let expected = seen(&app.user("nonsense").get("/v1/probe/user").await);
        assert_eq!((expected.status, &expected.body["code"]), (401, &json!("invalid_credential")));
        for (name, token) in &cases {
            let reply = app.user(token).get("/v1/probe/user").await;
            assert_eq!(seen(&reply), expected, "{name}");
            let public = app.user(token).get("/v1/probe/public").await.expect(200);
            assert_eq!(public["kind"], "guest", "{name}");
        }
        for (name, token) in &cases {
            let status = app.admin().post("/v1/cities/tokens/verify", json!({"user_token": token})).await;
            let unknown = downcity_types::TokenStatus {
                reason: Some(downcity_types::ErrorCode::InvalidCredential),
                ..Default::default()
            };
            assert_eq!(status.expect(200), json!(unknown), "{name}");
            let revoke = app.admin().post("/v1/cities/tokens/revoke", json!({"user_token": token})).await;
            // A token may outlive its city, and be ended then; what cannot be stored cannot.
            if is_of_another_city(name) && !name.contains(r"\u0000") {
                revoke.expect(200);
            } else {
                revoke.expect_error(400, "invalid_input");
            }
        }
    }

    async fn offline_they_are_refused_too(app: TestApp = with_known_keys) {
        let keys = Material::of(&app).await;
        let jwks = app.guest().get("/.well-known/jwks.json").await.text();
        let verifiers = [VerifyingKeys::hmac(keys.hmac.as_bytes()), VerifyingKeys::jwks(&jwks).unwrap()];
        let verified = |token: &str| verifiers.iter().filter(|keys| verify_offline(token, keys, NOW).is_ok()).count();
        for token in keys.both(payload()) {
            assert_eq!(verified(&token), 1, "each form has its key: {token}");
        }
        // Offline a city that is gone, or never was, looks like any other.
        for (name, token) in forgeries(&keys) {
            assert_eq!(verified(&token) > 0, is_of_another_city(&name), "{name}");
        }
    }

    async fn ends_of_genuine_tokens_are_told_and_of_forged_ones_are_not(app: TestApp = with_known_keys) {
        let keys = Material::of(&app).await;
        remove_city(&app, "city_again").await;
        app.create_city("city_again").await;
        let with = |from: &str, to: &str| payload().replacen(from, to, 1);
        let end = format!(r#""exp":{}"#, NOW + 3_600);
        let expired = [NOW, NOW - 1, 0, -1, i64::MIN].map(|exp| with(&end, &format!(r#""exp":{exp}"#)));
        let recreated = with(CITY, "city_again");
        let stranger = Key::of_seed(&[7; 32]);
        let mut answers = Vec::new();
        for expired in &expired {
            for token in keys.both(expired) {
                assert_dead(user_call(&app.user(&token)).await, "token_expired");
                answers.push(seen(&app.user(&token).get("/v1/probe/user").await));
            }
        }
        assert!(answers.iter().all(|answer| *answer == answers[0]));
        for token in keys.both(&recreated) {
            assert_dead(user_call(&app.user(&token)).await, "token_revoked");
        }
        for dead in expired.iter().chain([&recreated]) {
            for token in [stranger.jwt(keys.active.header(), dead), keys.active.jwt("{}", dead), format!("{}x", keys.ub(dead))] {
                assert_dead(user_call(&app.user(&token)).await, "invalid_credential");
            }
        }
    }

    /// Clocks differ, and issuing keeps to the bounds of revocations: a near date is no fault.
    async fn a_token_of_the_near_future_is_good(app: TestApp = with_known_keys) {
        let keys = Material::of(&app).await;
        for ahead in [1, 3_600, 86_400, 2 * 86_400] {
            let dated = payload().replacen(&(NOW - 10).to_string(), &(NOW + ahead).to_string(), 1);
            for token in keys.both(&dated) {
                assert_alive(user_call(&app.user(&token)).await);
            }
        }
    }

    async fn every_single_bit_counts(app: TestApp = with_known_keys) {
        let keys = Material::of(&app).await;
        let expected = seen(&app.user("nonsense").get("/v1/probe/user").await);
        for token in keys.both(payload()) {
            for place in 0..token.len() * 8 {
                let mut bytes = token.clone().into_bytes();
                bytes[place / 8] ^= 1 << (place % 8);
                let header = [b"Bearer ", &bytes[..]].concat();
                // What is no header value never gets here.
                let Ok(value) = http::HeaderValue::from_bytes(&header) else { continue };
                let request = http::Request::get("/v1/probe/user")
                    .header("authorization", value)
                    .body(downcity_core::Body::Empty);
                let reply = app.handle(request.unwrap()).await;
                assert_eq!(reply.status().as_u16(), expected.status, "bit {place} of {token}");
            }
        }
    }
}
