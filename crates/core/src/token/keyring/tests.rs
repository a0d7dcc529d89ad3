//! The format against fixed tokens, generated ones, and forgeries.

use downcity_types::{AUDIENCE, ClaimsError, VerifyingKeys, verify_offline};
use proptest::prelude::*;
use serde_json::{Map, Value, json};

use super::*;

const KEY: &str = "sign_test_key_0123456789";
const ISSUED: i64 = 1_750_000_000;

/// Tokens as an existing deployment with [`KEY`] has issued them.
const WITH_TTL: &str = "ub_eyJhdWQiOiJkb3duY2l0eTp1c2VyIiwiY2l0eV9pZCI6ImNpdHlfZGVtbyIsInVzZXJfaWQiOiJ1c2VyXzEyMyIsIm1ldGFkYXRhIjp7InBsYW4iOiJwcm8iLCJvcmdfaWQiOiJvcmdfMDAxIn0sImlhdCI6MTc1MDAwMDAwMCwiZXhwIjoxNzUwNjA0ODAwfQ.PfAlTIE9HW6_N2UL1y84FCnEuB7boVRLjKgnnAtLu6k";
const NON_ASCII: &str = "ub_eyJhdWQiOiJkb3duY2l0eTp1c2VyIiwiY2l0eV9pZCI6ImNpdHlfZGVtbyIsInVzZXJfaWQiOiLnlKjmiLciLCJtZXRhZGF0YSI6e30sImlhdCI6MTc1MDAwMDAwMH0.tXSPOsUE9H2ysd7LLovYqvX6-2eorSd4ju8ZkwieAtY";

const GOOD: &str = r#"{"aud":"downcity:user","city_id":"c","user_id":"u","metadata":{},"iat":1750000000,"exp":1750000060}"#;

/// Characters of a signature: 32 bytes in base64url without padding.
const SIGNATURE_LEN: usize = 43;

fn ring(key: &str) -> KeyRing {
    KeyRing::of_hmac(key)
}

fn sign(key: &str, message: &[u8]) -> [u8; 32] {
    HmacKey::new(key.as_bytes()).sign(message)
}

fn encode(ring: &KeyRing, claims: &Claims) -> Result<Option<String>> {
    ring.write(TokenAlgorithm::Hmac, claims)
}

fn verify<'a>(
    ring: &KeyRing,
    token: &'a [u8],
    now: i64,
    buffer: &'a mut TokenBuffer,
) -> Result<OpenToken<'a>, TokenError> {
    let open = ring.open(token, now, buffer)?;
    open.claims.check(now)?;
    Ok(open)
}

fn claims(user_id: &str, metadata: Value, exp: Option<i64>, jti: Option<&str>) -> Claims {
    Claims {
        aud: AUDIENCE.into(),
        city_id: "city_demo".to_owned(),
        user_id: user_id.to_owned(),
        metadata: metadata.as_object().cloned().unwrap(),
        iat: ISSUED,
        exp,
        jti: jti.map(str::to_owned),
    }
}

fn token(claims: &Claims) -> String {
    encode(&ring(KEY), claims).unwrap().unwrap()
}

fn b64(bytes: impl AsRef<[u8]>) -> String {
    URL_SAFE_NO_PAD.encode(bytes)
}

/// A token of any payload, properly signed with `key`.
fn signed_with(key: &str, payload: impl AsRef<[u8]>) -> String {
    let payload = b64(payload);
    let signature = b64(sign(key, payload.as_bytes()));
    format!("{PREFIX}{payload}.{signature}")
}

fn signed(payload: impl AsRef<[u8]>) -> String {
    signed_with(KEY, payload)
}

fn fault(token: impl AsRef<[u8]>) -> Option<&'static str> {
    match verify(&ring(KEY), token.as_ref(), ISSUED, &mut TokenBuffer::new()) {
        Ok(_) => None,
        Err(TokenError::Shape) => Some("shape"),
        Err(TokenError::Signature) => Some("signature"),
        Err(TokenError::Claims(_)) => Some("claims"),
    }
}

#[test]
fn tokens_of_an_existing_deployment_verify_and_are_reproduced() {
    let mut buffer = TokenBuffer::new();
    let read = verify(&ring(KEY), WITH_TTL.as_bytes(), ISSUED, &mut buffer).unwrap();
    assert_eq!((&*read.claims.city_id, &*read.claims.user_id), ("city_demo", "user_123"));
    assert_eq!((read.claims.iat, read.claims.exp), (ISSUED, Some(1_750_604_800)));
    assert_eq!(read.claims.metadata_json(), r#"{"plan":"pro","org_id":"org_001"}"#);
    assert_eq!(read.token_id(), "PfAlTIE9HW6_N2UL1y84FCnEuB7boVRLjKgnnAtLu6k");
    let mut buffer = TokenBuffer::new();
    let read = verify(&ring(KEY), NON_ASCII.as_bytes(), i64::MAX, &mut buffer).unwrap();
    assert_eq!((&*read.claims.user_id, read.claims.exp), ("用户", None));

    let metadata = json!({"plan": "pro", "org_id": "org_001"});
    assert_eq!(token(&claims("user_123", metadata, Some(1_750_604_800), None)), WITH_TTL);
    assert_eq!(token(&claims("用户", json!({}), None, None)), NON_ASCII);
}

#[test]
fn a_token_lives_until_the_second_of_its_end() {
    let at = |now| verify(&ring(KEY), WITH_TTL.as_bytes(), now, &mut TokenBuffer::new()).map(drop);
    assert!(at(1_750_604_799).is_ok());
    for now in [1_750_604_800, 1_750_604_801, i64::MAX] {
        let fault = at(now).unwrap_err();
        assert!(matches!(fault, TokenError::Claims(ClaimsError::Expired)), "{fault}");
    }
}

#[test]
fn the_id_names_the_token_and_stands_last() {
    let token = token(&claims("u", json!({}), Some(ISSUED + 1), Some("tok_1")));
    let mut buffer = TokenBuffer::new();
    let read = verify(&ring(KEY), token.as_bytes(), ISSUED, &mut buffer).unwrap();
    assert_eq!(read.token_id(), "tok_1");
    let payload = URL_SAFE_NO_PAD.decode(&token[3..token.len() - 44]).unwrap();
    assert!(payload.ends_with(br#","jti":"tok_1"}"#));
}

#[test]
fn the_longest_token_is_written_and_read_and_one_more_byte_is_not() {
    let with = |length: usize| claims("u", json!({"x": "y".repeat(length)}), None, None);
    let fits = (5_900..6_200).take_while(|n| encode(&ring(KEY), &with(*n)).unwrap().is_some());
    let longest = token(&with(fits.last().unwrap()));
    assert!((MAX_TOKEN_BYTES - 2..=MAX_TOKEN_BYTES).contains(&longest.len()));
    assert_eq!(fault(&longest), None);

    let padding = " ".repeat(6_110);
    assert_eq!(fault(signed(format!("{GOOD}{}", &padding[..5_900]))), None);
    let too_long = signed(format!("{GOOD}{padding}"));
    assert!(too_long.len() > MAX_TOKEN_BYTES);
    assert_eq!(fault(too_long), Some("shape"));
}

/// The same token with another signature part.
fn with_signature(token: &str, signature: &str) -> String {
    format!("{}.{signature}", &token[..token.len() - SIGNATURE_LEN - 1])
}

#[test]
fn forgeries_of_shape_are_refused() {
    let good = signed(GOOD);
    assert_eq!(fault(&good), None);
    let body = &good[PREFIX.len()..];
    let (payload, signature) = body.split_once('.').unwrap();
    let raw = URL_SAFE_NO_PAD.decode(signature).unwrap();
    // The last character of a signature has two bits to spare: all that set them mean the same
    // bytes to a lax reader.
    let last = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";
    let value = last.find(&signature[42..]).unwrap();
    let malleable = format!("{}{}", &signature[..42], &last[value + 1..value + 2]);
    let hex: String = raw.iter().map(|byte| format!("{byte:02x}")).collect();
    let forgeries = [
        String::new(),
        ".".to_owned(),
        "ub_".to_owned(),
        "ub_.".to_owned(),
        format!("ub_.{signature}"),
        format!("ub_{payload}"),
        format!("ub_{payload}."),
        body.to_owned(),
        format!("UB_{body}"),
        format!("Ub_{body}"),
        format!("ub-{body}"),
        format!("ub{body}"),
        format!(" {good}"),
        format!("{good} "),
        format!("{good}\n"),
        format!("{good}\0"),
        format!("{good}."),
        format!("{good}.x"),
        format!("{good}.{signature}"),
        format!("ub_.{payload}.{signature}"),
        format!("ub_{payload}..{signature}"),
        format!("ub_{payload}:{signature}"),
        format!("ub_{payload}%2E{signature}"),
        format!("ub_{signature}.{payload}"),
        format!("{good}={good}"),
        format!("ub_.{good}"),
        format!("ub_{}.{payload}.{signature}", b64(r#"{"alg":"none"}"#)),
        format!("ub_{}.{payload}.{signature}", b64(r#"{"alg":"HS256"}"#)),
        with_signature(&good, &signature[..42]),
        with_signature(&good, &format!("{signature}A")),
        with_signature(&good, &format!("{signature}=")),
        with_signature(&good, &malleable),
        with_signature(&good, &hex),
        with_signature(&good, &signature.replacen(|_| true, "+", 1)),
        with_signature(&good, &signature.replacen(|_| true, "/", 1)),
        with_signature(&good, &signature.replacen(|_| true, "é", 1)),
        with_signature(&good, "null"),
    ];
    for forgery in &forgeries {
        assert_eq!(fault(forgery), Some("shape"), "{forgery:?}");
    }
    assert_eq!(fault(b"ub_\xff\xfe.\xff"), Some("shape"));
}

#[test]
fn forgeries_of_the_signature_are_refused() {
    let good = signed(GOOD);
    let body = &good[PREFIX.len()..];
    let (payload, signature) = body.split_once('.').unwrap();
    let sign = |message: &[u8]| b64(sign(KEY, message));
    let other_payload = |from: &str, to: &str| {
        let changed = GOOD.replacen(from, to, 1);
        assert_ne!(changed, GOOD);
        format!("ub_{}.{signature}", b64(changed))
    };
    let forgeries = [
        signed_with("sign_test_key_012345678", GOOD),
        signed_with("sign_test_key_0123456789 ", GOOD),
        signed_with("SIGN_TEST_KEY_0123456789", GOOD),
        signed_with("test_key_0123456789", GOOD),
        signed_with("", GOOD),
        signed_with(&b64(KEY), GOOD),
        with_signature(&good, &sign(format!("ub_{payload}").as_bytes())),
        with_signature(&good, &sign(format!("{payload}.").as_bytes())),
        with_signature(&good, &sign(GOOD.as_bytes())),
        with_signature(&good, &sign(b"")),
        with_signature(&good, &b64(Sha256::digest(payload))),
        with_signature(&good, &b64(Sha256::digest(format!("{KEY}{payload}")))),
        with_signature(&good, &"A".repeat(43)),
        with_signature(&good, &signature.to_ascii_lowercase().replace(&signature[42..], "A")),
        with_signature(&good, WITH_TTL.rsplit('.').next().unwrap()),
        format!("ub_{payload}A.{signature}"),
        format!("ub_{payload}=.{signature}"),
        format!("ub_{}.{signature}", &payload[..payload.len() - 4]),
        format!("ub_ub_{body}"),
        other_payload(r#""u""#, r#""v""#),
        other_payload(r#""c""#, r#""d""#),
        other_payload(r#","exp":1750000060"#, ""),
        other_payload(r#""exp":1750000060"#, r#""exp":1850000060"#),
        other_payload("{}", r#"{"plan":"pro"}"#),
        other_payload("}", "} "),
    ];
    for forgery in &forgeries {
        assert_eq!(fault(forgery), Some("signature"), "{forgery:?}");
    }
}

/// Claims that only a stolen key, or an issuer gone wrong, could have signed.
#[test]
fn signed_nonsense_is_refused() {
    let replacements = [
        (r#""downcity:user""#, r#""downcity:admin""#),
        (r#""downcity:user""#, r#""Downcity:user""#),
        (r#""downcity:user""#, r#"["downcity:user"]"#),
        (r#""downcity:user""#, r#""""#),
        (r#""aud":"downcity:user","#, ""),
        (r#""city_id":"c""#, r#""city_id":"""#),
        (r#""city_id":"c""#, r#""city_id":1"#),
        (r#""city_id":"c""#, r#""city_id":"c","studio_id":"d""#),
        (r#""city_id":"c","#, ""),
        (r#""user_id":"u""#, r#""user_id":"""#),
        (r#""user_id":"u""#, r#""user_id":null"#),
        (r#""user_id":"u""#, r#""user_id":"u","user_id":"u""#),
        (r#""metadata":{}"#, r#""metadata":"x""#),
        (r#""iat":1750000000"#, r#""iat":"1750000000""#),
        (r#""iat":1750000000,"#, ""),
        (r#""exp":1750000060"#, r#""exp":1750000000"#),
        (r#""exp":1750000060"#, r#""exp":0"#),
        (r#""exp":1750000060"#, r#""exp":-1"#),
        (r#""exp":1750000060"#, r#""exp":null"#),
        (r#""exp":1750000060"#, r#""exp":"never""#),
        (r#""exp":1750000060"#, r#""exp":1e12"#),
        (r#""exp":1750000060"#, r#""exp":1750000060,"jti":7"#),
        ("}", ""),
    ];
    for (from, to) in replacements {
        let payload = GOOD.replacen(from, to, 1);
        assert_ne!(payload, GOOD);
        assert_eq!(fault(signed(&payload)), Some("claims"), "{payload}");
    }
    for payload in ["null", "[]", "\"\"", "{}", " ", "\u{feff}{}", "{}{}"] {
        assert_eq!(fault(signed(payload)), Some("claims"), "{payload}");
    }
    assert_eq!(fault(signed(b"{\"aud\":\"\xff\"}")), Some("claims"));
    // Signed, but the text is no base64url.
    for payload in ["!!!!", "e30=", "e+/0", "A", "e31"] {
        let signature = b64(sign(KEY, payload.as_bytes()));
        assert_eq!(fault(format!("ub_{payload}.{signature}")), Some("shape"), "{payload}");
    }
}

fn object() -> impl Strategy<Value = Map<String, Value>> {
    let leaf = prop_oneof![
        any::<String>().prop_map(Value::from),
        any::<i64>().prop_map(Value::from),
        Just(json!({"deep": [null, true]})),
    ];
    prop::collection::vec((any::<String>(), leaf), 0..4)
        .prop_map(|pairs| pairs.into_iter().collect())
}

/// Bytes that are always the same.
struct Fixed(u8);

impl crate::Random for Fixed {
    fn fill(&self, buffer: &mut [u8]) {
        buffer.fill(self.0);
    }
}

/// A ring with a key of each algorithm.
fn both_rings(hmac: &str, seed: u8) -> KeyRing {
    let key = Ed25519Secret::generate(&Fixed(seed));
    let key_id = key.public().key_id().to_owned();
    let secret = StoredSecret::Ed25519(Box::new(key));
    let keys = vec![StoredKey { key_id, secret, retired: None }];
    KeyRing::new(Some(&Secret::new(hmac)), StoredKeys { keys, ..StoredKeys::default() })
}

proptest! {
    /// Of either algorithm, by the ring and offline; and not by other keys.
    #[test]
    fn what_a_ring_issues_it_verifies(
        city_id in ".{1,40}", user_id in ".{1,40}", metadata in object(), jti: Option<String>,
        hmac in "[ -~]{16,40}", seed: u8, bit in 0..8_usize, at in 0.0..1.0_f64,
    ) {
        let claims = Claims {
            aud: AUDIENCE.into(), city_id, user_id, metadata, iat: ISSUED, exp: None, jti,
        };
        let ring = both_rings(&hmac, seed);
        let jwks = serde_json::to_string(&ring.jwks(ISSUED)).unwrap();
        let offline = [VerifyingKeys::hmac(hmac.as_bytes()), VerifyingKeys::jwks(&jwks).unwrap()];
        let stranger = both_rings("sign_of_a_stranger", seed.wrapping_add(1));
        for (algorithm, keys) in [TokenAlgorithm::Hmac, TokenAlgorithm::Ed25519].into_iter().zip(&offline) {
            let token = ring.write(algorithm, &claims).unwrap().unwrap();
            let mut buffer = TokenBuffer::new();
            let read = verify(&ring, token.as_bytes(), ISSUED, &mut buffer).unwrap();
            prop_assert_eq!(read.claims.to_claims().unwrap(), claims.clone());
            prop_assert_eq!(verify_offline(&token, keys, ISSUED).unwrap(), claims.clone());
            let mut buffer = TokenBuffer::new();
            prop_assert!(verify(&stranger, token.as_bytes(), ISSUED, &mut buffer).is_err());

            let mut changed = token.into_bytes();
            let place = (changed.len() as f64 * at) as usize;
            changed[place] ^= 1 << bit;
            prop_assert!(verify(&ring, &changed, ISSUED, &mut buffer).is_err());
        }
    }

    #[test]
    fn what_is_issued_verifies(
        city_id in ".{1,40}", user_id in ".{1,40}", metadata in object(),
        life in prop::option::of(1..1_000_000_i64), jti: Option<String>, key: String,
    ) {
        let claims = Claims {
            aud: AUDIENCE.into(), city_id, user_id, metadata, iat: ISSUED,
            exp: life.map(|life| ISSUED + life), jti,
        };
        if let Some(token) = encode(&ring(&key), &claims).unwrap() {
            let mut buffer = TokenBuffer::new();
            let read = verify(&ring(&key), token.as_bytes(), ISSUED, &mut buffer).unwrap();
            prop_assert_eq!(&*read.claims.city_id, &claims.city_id);
            prop_assert_eq!(&*read.claims.user_id, &claims.user_id);
            prop_assert_eq!(read.claims.metadata_map().unwrap(), claims.metadata);
            prop_assert_eq!((read.claims.iat, read.claims.exp), (claims.iat, claims.exp));
            prop_assert_eq!(read.claims.jti.as_deref(), claims.jti.as_deref());
        }
    }

    #[test]
    fn a_changed_token_never_verifies(
        at in 0..WITH_TTL.len(), byte: u8, how in 0..3, count in 1..20_usize,
    ) {
        let mut bytes = WITH_TTL.as_bytes().to_vec();
        match how {
            0 => bytes[at] = byte,
            1 => bytes.insert(at, byte),
            _ => drop(bytes.drain(at..(at + count).min(bytes.len()))),
        }
        prop_assert_eq!(fault(&bytes).is_none(), bytes == WITH_TTL.as_bytes());
    }

    #[test]
    fn any_bytes_are_refused_without_panic(bytes: Vec<u8>, text in "ub_[A-Za-z0-9_-]{0,80}\\.[A-Za-z0-9_-]{40,46}") {
        prop_assert!(fault(&bytes).is_some());
        prop_assert!(fault(text).is_some());
    }
}
