//! HMAC-SHA256 signatures: hexadecimal as Stripe and Creem write them, base64 in Standard Webhooks.
//!
//! Standard Webhooks: <https://github.com/standard-webhooks/standard-webhooks/blob/main/spec/standard-webhooks.md>.

use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use downcity_types::Timestamp;
use hmac::{Hmac, KeyInit as _, Mac as _};
use http::HeaderMap;
use sha2::Sha256;

use super::{SignatureError, Stamped, check_age, parse_time};

/// What the secrets of Standard Webhooks begin with.
const STANDARD_PREFIX: &str = "whsec_";

/// The active secrets of a setting: several, separated by commas, while one replaces another.
pub(crate) fn secrets(setting: &str) -> impl Iterator<Item = &str> {
    setting.split(',').map(str::trim).filter(|secret| !secret.is_empty())
}

/// The signature of the message, whose parts are put together without anything between them.
#[expect(clippy::expect_used, reason = "HMAC takes keys of any length")]
fn keyed(key: &[u8], parts: &[&[u8]]) -> Hmac<Sha256> {
    let mut mac = Hmac::<Sha256>::new_from_slice(key).expect("a key of any length");
    parts.iter().for_each(|part| mac.update(part));
    mac
}

/// Whether one of the candidates is the signature of the message by one of the secrets. Takes the same time for
/// every wrong signature.
fn matches(keys: &[Vec<u8>], parts: &[&[u8]], candidates: &[Vec<u8>]) -> bool {
    keys.iter().any(|key| {
        let mac = keyed(key, parts);
        candidates.iter().any(|candidate| mac.clone().verify_slice(candidate).is_ok())
    })
}

fn unhex(text: &str) -> Option<Vec<u8>> {
    let text = text.as_bytes();
    if !text.len().is_multiple_of(2) {
        return None;
    }
    let digit = |byte: u8| char::from(byte).to_digit(16).and_then(|digit| u8::try_from(digit).ok());
    text.chunks_exact(2)
        .map(|pair| Some((digit(*pair.first()?)? << 4) | digit(*pair.get(1)?)?))
        .collect()
}

fn verdict(is_right: bool) -> Result<(), SignatureError> {
    if is_right { Ok(()) } else { Err(SignatureError::Wrong) }
}

/// Verifies hexadecimal signatures of the message by the secrets of `setting`: one that matches suffices.
///
/// # Errors
/// [`SignatureError::Wrong`].
pub(crate) fn verify_hex(
    setting: &str,
    parts: &[&[u8]],
    candidates: &[&str],
) -> Result<(), SignatureError> {
    let keys: Vec<_> = secrets(setting).map(|secret| secret.as_bytes().to_vec()).collect();
    let candidates: Vec<_> = candidates.iter().filter_map(|text| unhex(text)).collect();
    verdict(matches(&keys, parts, &candidates))
}

/// Verifies a header `t=<unix seconds>,v1=<hex>` over `<t>.<body>`, as Stripe sends it.
///
/// # Errors
/// Every [`SignatureError`].
pub(crate) fn verify_stamped(
    setting: &str,
    header: &str,
    body: &[u8],
    now: Timestamp,
    tolerance: Duration,
) -> Result<(), SignatureError> {
    let stamped = Stamped::parse(header)?;
    verify_hex(setting, &[stamped.time.as_bytes(), b".", body], &stamped.signatures)?;
    check_age(stamped.at.checked_mul(1000), now, tolerance)
}

/// Verifies the headers `webhook-id`, `webhook-timestamp` and `webhook-signature` of Standard Webhooks and gives
/// the id of the message. Secrets are base64, with or without `whsec_`.
///
/// # Errors
/// Every [`SignatureError`].
pub(crate) fn verify_standard(
    setting: &str,
    headers: &HeaderMap,
    body: &[u8],
    now: Timestamp,
    tolerance: Duration,
) -> Result<String, SignatureError> {
    let header = |name: &str| {
        let value = headers.get(name).ok_or(SignatureError::Missing)?;
        value.to_str().map(str::trim).map_err(|_| SignatureError::Malformed)
    };
    let (id, time) = (header("webhook-id")?, header("webhook-timestamp")?);
    if id.is_empty() {
        return Err(SignatureError::Missing);
    }
    let at = parse_time(time)?;
    let candidates: Vec<_> = header("webhook-signature")?
        .split(' ')
        .filter_map(|signature| STANDARD.decode(signature.strip_prefix("v1,")?).ok())
        .collect();
    let keys: Vec<_> = secrets(setting).filter_map(standard_key).collect();
    let parts = [id.as_bytes(), b".", time.as_bytes(), b".", body];
    verdict(matches(&keys, &parts, &candidates))?;
    check_age(at.checked_mul(1000), now, tolerance)?;
    Ok(id.to_owned())
}

/// The key in a secret of Standard Webhooks.
fn standard_key(secret: &str) -> Option<Vec<u8>> {
    STANDARD.decode(secret.strip_prefix(STANDARD_PREFIX).unwrap_or(secret)).ok()
}

/// Signs as the providers do: for programs that play a provider.
pub(crate) mod sign {
    use base64::Engine as _;
    use hmac::Mac as _;

    use super::{STANDARD, keyed, standard_key};

    /// Lower-case hexadecimal HMAC-SHA256 of the message.
    pub fn hex(secret: &str, parts: &[&[u8]]) -> String {
        use std::fmt::Write as _;
        let bytes = keyed(secret.as_bytes(), parts).finalize().into_bytes();
        bytes.iter().fold(String::new(), |mut text, byte| {
            let _ = write!(text, "{byte:02x}");
            text
        })
    }

    /// One entry `v1,<base64>` of the header `webhook-signature`; `None` when the secret is not base64.
    pub fn standard(secret: &str, id: &str, unix_seconds: i64, body: &[u8]) -> Option<String> {
        let time = unix_seconds.to_string();
        let parts = [id.as_bytes(), b".", time.as_bytes(), b".", body];
        let bytes = keyed(&standard_key(secret)?, &parts).finalize().into_bytes();
        Some(format!("v1,{}", STANDARD.encode(bytes)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const BODY: &[u8] = br#"{"id":"evt_1","type":"ping"}"#;
    const AT: i64 = 1_700_000_000;
    const TOLERANCE: Duration = Duration::from_secs(300);
    const STANDARD_SECRET: &str = "whsec_MDEyMzQ1Njc4OWFiY2RlZjAxMjM0NTY3";
    const STRIPE: &str = "5e3bc96069d65815ab87a8f92152eeaaed49efa25b2a1684e02fe70d38599154";
    const CREEM: &str = "dd2ff5a55bf8a4c82fe387e87227515990e35f087b9a0fb83e4109b5a8ab34f2";
    const DODO: &str = "v1,nFr/BzqyA5uAY4VVIiSoFOXseRgQdz1XpoHY3DSEhI4=";

    fn now() -> Timestamp {
        Timestamp::from_millis(AT * 1000)
    }

    fn standard_headers(id: &str, time: &str, signature: &str) -> HeaderMap {
        let mut headers = HeaderMap::new();
        for (name, value) in
            [("webhook-id", id), ("webhook-timestamp", time), ("webhook-signature", signature)]
        {
            headers.insert(name, value.parse().unwrap());
        }
        headers
    }

    #[test]
    fn signatures_are_those_of_the_providers() {
        assert_eq!(sign::hex("whsec_demo", &[b"1700000000.", BODY]), STRIPE);
        assert_eq!(sign::hex("creem_demo", &[BODY]), CREEM);
        assert_eq!(sign::standard(STANDARD_SECRET, "msg_1", AT, BODY).unwrap(), DODO);
    }

    #[test]
    fn a_hexadecimal_signature_matches_in_either_case_and_by_any_active_secret() {
        let upper = CREEM.to_uppercase();
        assert_eq!(verify_hex("creem_demo", &[BODY], &[&upper]), Ok(()));
        assert_eq!(verify_hex("old, creem_demo", &[BODY], &["zz", CREEM]), Ok(()));
        let wrong = Err(SignatureError::Wrong);
        assert_eq!(verify_hex("other", &[BODY], &[CREEM]), wrong);
        assert_eq!(verify_hex("creem_demo", &[BODY, b" "], &[CREEM]), wrong);
        assert_eq!(verify_hex("creem_demo", &[BODY], &[&CREEM[..62]]), wrong, "a shorter one");
        assert_eq!(verify_hex("creem_demo", &[BODY], &["", "f", "+1"]), wrong);
        let empty = sign::hex("", &[BODY]);
        assert_eq!(verify_hex(" , ", &[BODY], &[&empty]), wrong, "no secret is no secret");
    }

    #[test]
    fn a_stamped_signature_covers_its_time() {
        let header = format!("t={AT},v1={},v1={STRIPE}", CREEM);
        let verify = |header: &str, now| verify_stamped("whsec_demo", header, BODY, now, TOLERANCE);
        assert_eq!(verify(&header, now()), Ok(()));
        let late = Timestamp::from_millis((AT + 301) * 1000);
        assert_eq!(verify(&header, late), Err(SignatureError::Stale));
        let moved = format!("t={},v1={STRIPE}", AT + 1);
        assert_eq!(verify(&moved, now()), Err(SignatureError::Wrong));
    }

    #[test]
    fn standard_webhooks_cover_id_time_and_body() {
        let verify = |setting: &str, id: &str, time: &str, signature: &str| {
            let headers = standard_headers(id, time, signature);
            verify_standard(setting, &headers, BODY, now(), TOLERANCE)
        };
        let bare = &STANDARD_SECRET["whsec_".len()..];
        let two = format!("whsec_b3RoZXI=,{bare}");
        for setting in [STANDARD_SECRET, bare, &two] {
            assert_eq!(verify(setting, "msg_1", "1700000000", DODO).unwrap(), "msg_1");
        }
        let several = format!("v1a,xyz v1,AAAA {DODO}");
        assert!(verify(STANDARD_SECRET, "msg_1", "1700000000", &several).is_ok());
        let wrong = Err(SignatureError::Wrong);
        assert_eq!(verify(STANDARD_SECRET, "msg_2", "1700000000", DODO), wrong);
        assert_eq!(verify(STANDARD_SECRET, "msg_1", "1700000001", DODO), wrong);
        assert_eq!(verify("whsec_b3RoZXI=", "msg_1", "1700000000", DODO), wrong);
        assert_eq!(verify("not base64!", "msg_1", "1700000000", DODO), wrong);
        assert_eq!(verify(STANDARD_SECRET, "", "1700000000", DODO), Err(SignatureError::Missing));
        assert_eq!(verify(STANDARD_SECRET, "msg_1", "soon", DODO), Err(SignatureError::Malformed));
        let headers = standard_headers("msg_1", "1700000000", DODO);
        let late = Timestamp::from_millis((AT + 301) * 1000);
        let stale = verify_standard(STANDARD_SECRET, &headers, BODY, late, TOLERANCE);
        assert_eq!(stale, Err(SignatureError::Stale));
        let missing = verify_standard(STANDARD_SECRET, &HeaderMap::new(), BODY, now(), TOLERANCE);
        assert_eq!(missing, Err(SignatureError::Missing));
    }
}
