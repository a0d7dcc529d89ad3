//! What has to hold for any bytes: targets for fuzzers, run by tests.

use std::fmt::Debug;

use downcity_fuzz::check;
use serde::{Serialize, de::DeserializeOwned};

use crate::*;

/// JSON that is read is written, and read as the same.
fn round_trip<T: Serialize + DeserializeOwned + PartialEq + Debug>(bytes: &[u8]) {
    if let Ok(value) = serde_json::from_slice::<T>(bytes) {
        let text = serde_json::to_string(&value).unwrap();
        assert_eq!(serde_json::from_str::<T>(&text).unwrap(), value, "{text}");
    }
}

fn ttl(bytes: &[u8]) {
    let bounded = |ttl: Ttl| (1..=Ttl::MAX_SECONDS).contains(&ttl.seconds());
    if let Ok(text) = str::from_utf8(bytes)
        && let Ok(ttl) = text.parse::<Ttl>()
    {
        assert!(bounded(ttl) && text.starts_with(|first: char| first.is_ascii_digit()), "{text}");
        assert_eq!(ttl.to_string().parse(), Ok(ttl));
    }
    if let Ok(value) = serde_json::from_slice(bytes) {
        let read = Ttl::parse_json(&value);
        assert!(read.iter().flatten().all(|ttl| bounded(*ttl)), "{value}");
        assert_eq!(serde_json::from_value::<Ttl>(value).ok(), read.ok().flatten());
    }
}

fn timestamp(bytes: &[u8]) {
    if let Ok(text) = str::from_utf8(bytes)
        && let Ok(timestamp) = text.parse::<Timestamp>()
    {
        assert!((Timestamp::MIN..=Timestamp::MAX).contains(&timestamp));
        assert_eq!(timestamp.to_string().parse(), Ok(timestamp));
    }
}

fn page(bytes: &[u8]) {
    if let Ok(text) = str::from_utf8(bytes)
        && let Ok(cursor) = Cursor::decode(text)
    {
        let again = cursor.encode();
        assert_eq!(Cursor::decode(&again), Ok(cursor), "{again}");
    }
    if let Ok(page) = serde_json::from_slice::<Page>(bytes) {
        assert!((1..=200).contains(&page.limit(50, 200)));
        // The cursor of a page is the cursor that its text is.
        let own = page.cursor.as_deref().filter(|text| !text.is_empty());
        assert_eq!(page.cursor().ok().flatten(), own.and_then(|text| Cursor::decode(text).ok()));
    }
}

const SIGNING_KEY: &[u8] = b"sign_test_key_0123456789";
const NOW: i64 = 1_750_000_000;
const PAYLOAD: &str =
    r#"{"aud":"downcity:user","city_id":"city_demo","user_id":"u","metadata":{},"iat":1750000000}"#;
const JWT: &str = "eyJhbGciOiJFZERTQSJ9.RXhhbXBsZSBvZiBFZDI1NTE5IHNpZ25pbmc.hgyY0il_MGCjP0JzlnLWG1PPOt7-09PGcvMg3AIbQR6dWbhijcNR4ki4iylGjg5BhVsPt9g7sVvpAr_MuM0KAg";

fn key_document() -> String {
    let keys = vec![Ed25519Key::new([7; 32]).to_jwk()];
    serde_json::to_string(&JwkSet { keys }).unwrap()
}

fn signed_token() -> String {
    use base64::Engine as _;
    use base64::engine::general_purpose::URL_SAFE_NO_PAD;
    let payload = URL_SAFE_NO_PAD.encode(PAYLOAD);
    let signature = HmacKey::new(SIGNING_KEY).sign(payload.as_bytes());
    format!("ub_{payload}.{}", URL_SAFE_NO_PAD.encode(signature))
}

/// Nothing is let in but the very token that was signed, whatever the form of the text.
fn token(bytes: &[u8]) {
    let mut buffer = TokenBuffer::new();
    let _shape = open_token(bytes, &mut buffer, |_| true).is_ok();
    let Ok(text) = str::from_utf8(bytes) else { return };
    let issued = signed_token();
    let open = verify_offline(text, &VerifyingKeys::hmac(SIGNING_KEY), NOW);
    assert_eq!(open.is_ok(), text == issued, "{text}");
    // An HMAC token is no JWT, and the key set of JWTs is no HMAC key.
    let document = key_document();
    assert!(verify_offline(text, &VerifyingKeys::jwks(&document).unwrap(), NOW).is_err(), "{text}");
    let confused = VerifyingKeys::hmac(document.as_bytes());
    assert!(verify_offline(text, &confused, NOW).is_err(), "{text}");
}

fn key_set(bytes: &[u8]) {
    if let Ok(text) = str::from_utf8(bytes)
        && let Ok(keys) = VerifyingKeys::jwks(text)
    {
        assert!(verify_offline(JWT, &keys, NOW).is_err(), "its payload is no claims");
    }
    round_trip::<JwkSet>(bytes);
}

fn claims(bytes: &[u8]) {
    if let Ok(claims) = ClaimsRef::parse(bytes) {
        let owned = claims.to_claims();
        assert_eq!(owned.is_ok(), claims.metadata_map().is_ok());
        if let Ok(owned) = owned {
            let text = owned.to_json().unwrap();
            assert_eq!(ClaimsRef::parse(text.as_bytes()).unwrap().to_claims().unwrap(), owned);
        }
    }
}

#[test]
fn ttls() {
    check(&["7d", "3600", "\"30m\"", "60", "60.0", "null", "36500d"], ttl);
}

#[test]
fn timestamps() {
    let samples =
        ["2026-01-02T03:04:05.678Z", "2026-01-02T05:04:05.6789+02:00", "9999-12-30T22:00:00Z"];
    check(&samples, timestamp);
}

#[test]
fn pages() {
    let cursor = Cursor::new([1_750_000_000_000.into(), "city_ü".into()]).encode();
    let page_of = format!(r#"{{"limit":"7","cursor":"{cursor}"}}"#);
    check(&[cursor.as_str(), &page_of, r#"{"limit":1e3}"#], page);
}

#[test]
fn tokens() {
    check(&[signed_token().as_str(), JWT], token);
}

#[test]
fn key_sets() {
    check(&[key_document()], key_set);
}

#[test]
fn payloads() {
    let older = r#"{"aud":"a","studio_id":"x","city_id":"x","user_id":"u\n","iat":-1,"exp":2,"jti":"t","sub":[1]}"#;
    check(&[PAYLOAD, older], claims);
}

#[test]
fn records() {
    check(&["5", "-9007199254740991", "1.0"], round_trip::<Microcredits>);
    let body = r#"{"error":"no","code":"not_found","details":[{"path":"a[0].b","message":"m"}]}"#;
    check(&[body], round_trip::<ErrorBody>);
}

#[test]
fn messages() {
    let message = r#"{"id":"m","role":"user","metadata":{"a":1},"parts":[{"type":"text","text":"Hi"},{"type":"file","mediaType":"image/png","url":"data:image/png;base64,AA=="},{"type":"tool-x","toolCallId":"c","state":"output-available","input":{},"output":[1]},{"type":"data-y","data":null}]}"#;
    check(&[message], round_trip::<UiMessage>);
    let chunks = [
        r#"{"type":"text-delta","id":"txt-0","delta":"He"}"#,
        r#"{"type":"tool-input-available","toolCallId":"c","toolName":"x","input":{"a":1}}"#,
        r#"{"type":"finish","finishReason":"stop","messageMetadata":{"usage":{"inputTokens":10}}}"#,
        r#"{"type":"data-y","data":[1.5],"transient":true}"#,
    ];
    check(&chunks, round_trip::<UiChunk>);
}
