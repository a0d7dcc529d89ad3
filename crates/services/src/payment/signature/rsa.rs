//! RSA-SHA256 signatures (PKCS #1 v1.5) and the forms in which people hold RSA keys.
//!
//! Keys are PEM or its base64 alone; line ends may be written `\n`, as they are in `.env` files. Private keys are
//! PKCS #8 or PKCS #1, public keys SPKI or PKCS #1 (RFC 8017, RFC 5208, RFC 5280).

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use ring::rand::SystemRandom;
use ring::rsa::KeyPair;
use ring::signature::{RSA_PKCS1_2048_8192_SHA256, RSA_PKCS1_SHA256, UnparsedPublicKey};
use zeroize::Zeroizing;

use super::{SignatureError, Stamped};

/// What is wrong with a key. Shows nothing of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum KeyError {
    /// Neither PEM nor base64.
    #[error("The key is neither PEM nor base64.")]
    Encoding,
    /// The bytes are no RSA key of the expected kind, or one of fewer than 2048 bits.
    #[error("The key is not an RSA key of 2048 bits or more of the expected kind.")]
    Kind,
}

/// A key that signs.
pub struct PrivateKey(KeyPair);

impl PrivateKey {
    /// Reads a private key.
    ///
    /// # Errors
    /// [`KeyError`].
    pub fn parse(text: &str) -> Result<Self, KeyError> {
        let (label, der) = decode(text)?;
        let pair = match label.as_deref() {
            Some("RSA PRIVATE KEY") => KeyPair::from_der(&der),
            Some("PRIVATE KEY") | None => KeyPair::from_pkcs8(&der),
            Some(_) => return Err(KeyError::Kind),
        };
        pair.map(Self).map_err(|_| KeyError::Kind)
    }

    /// The signature of the message in base64.
    ///
    /// # Errors
    /// [`KeyError::Kind`] when the key cannot sign.
    pub fn sign(&self, message: &[u8]) -> Result<String, KeyError> {
        let mut signature = vec![0; self.0.public().modulus_len()];
        // PKCS #1 v1.5 is deterministic: the source is asked for by the signature of the function alone.
        self.0
            .sign(&RSA_PKCS1_SHA256, &SystemRandom::new(), message, &mut signature)
            .map_err(|_| KeyError::Kind)?;
        Ok(STANDARD.encode(signature))
    }

    /// The public half as PKCS #1 in base64, which `PublicKey::parse` takes as PEM.
    pub fn public_pem(&self) -> String {
        let der = STANDARD.encode(self.0.public().as_ref());
        format!("-----BEGIN RSA PUBLIC KEY-----\n{der}\n-----END RSA PUBLIC KEY-----\n")
    }
}

impl std::fmt::Debug for PrivateKey {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("PrivateKey(…)")
    }
}

/// A key that verifies.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct PublicKey(Vec<u8>);

impl PublicKey {
    /// Reads a public key.
    ///
    /// # Errors
    /// [`KeyError`]. Whether the key is fit for use shows when it verifies.
    pub(crate) fn parse(text: &str) -> Result<Self, KeyError> {
        let (label, der) = decode(text)?;
        match label.as_deref() {
            Some("RSA PUBLIC KEY") => Ok(Self(der.to_vec())),
            Some("PUBLIC KEY") | None => spki_key(&der).map(Self).ok_or(KeyError::Kind),
            Some(_) => Err(KeyError::Kind),
        }
    }

    /// Whether a signature in base64 is of this message by this key.
    pub(crate) fn verify(&self, message: &[u8], signature: &str) -> bool {
        let key = UnparsedPublicKey::new(&RSA_PKCS1_2048_8192_SHA256, &self.0);
        STANDARD.decode(signature).is_ok_and(|signature| key.verify(message, &signature).is_ok())
    }

    /// Verifies that one of the signatures of the header is of `<t>.<body>` by this key. The age is for the caller
    /// to check, who knows the unit of the time.
    ///
    /// # Errors
    /// [`SignatureError::Wrong`].
    pub(crate) fn verify_stamped(
        &self,
        stamped: &Stamped<'_>,
        body: &[u8],
    ) -> Result<(), SignatureError> {
        let message = [stamped.time.as_bytes(), b".", body].concat();
        let is_right = stamped.signatures.iter().any(|signature| self.verify(&message, signature));
        if is_right { Ok(()) } else { Err(SignatureError::Wrong) }
    }
}

/// The label and the bytes of a PEM text, or of its base64 alone.
fn decode(text: &str) -> Result<(Option<String>, Zeroizing<Vec<u8>>), KeyError> {
    let text = Zeroizing::new(text.replace("\\r", "").replace("\\n", "\n"));
    let (label, body) = match text.trim().strip_prefix("-----BEGIN ") {
        None => (None, text.trim()),
        Some(rest) => {
            let (label, rest) = rest.split_once("-----").ok_or(KeyError::Encoding)?;
            let end = format!("-----END {label}-----");
            let body = rest.strip_suffix(&end).ok_or(KeyError::Encoding)?;
            (Some(label.to_owned()), body)
        }
    };
    let packed: Zeroizing<String> =
        Zeroizing::new(body.chars().filter(|symbol| !symbol.is_ascii_whitespace()).collect());
    let der = STANDARD.decode(packed.as_bytes()).map_err(|_| KeyError::Encoding)?;
    if der.is_empty() { Err(KeyError::Encoding) } else { Ok((label, Zeroizing::new(der))) }
}

/// `AlgorithmIdentifier` of RSA keys: the object id 1.2.840.113549.1.1.1 and no parameters.
const RSA_ENCRYPTION: &[u8] = &[0x06, 9, 0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 1, 1, 1, 0x05, 0];
const SEQUENCE: u8 = 0x30;
const BIT_STRING: u8 = 0x03;

/// The PKCS #1 key in a `SubjectPublicKeyInfo` of an RSA key, which is
/// `SEQUENCE { AlgorithmIdentifier, BIT STRING }`.
fn spki_key(der: &[u8]) -> Option<Vec<u8>> {
    let (info, &[]) = element(SEQUENCE, der)? else { return None };
    let (RSA_ENCRYPTION, rest) = element(SEQUENCE, info)? else { return None };
    // The first byte of a bit string counts the unused bits of its last.
    let (&[0, ref key @ ..], &[]) = element(BIT_STRING, rest)? else { return None };
    Some(key.to_vec())
}

/// The content of the element of this tag at the beginning, and what follows it.
fn element(tag: u8, der: &[u8]) -> Option<(&[u8], &[u8])> {
    let (&[found, first], rest) = der.split_first_chunk()?;
    let (length, rest) = match first {
        0..=0x7f => (usize::from(first), rest),
        0x81..=0x82 => {
            let (bytes, rest) = rest.split_at_checked(usize::from(first & 0x7f))?;
            (bytes.iter().fold(0, |sum, byte| sum << 8 | usize::from(*byte)), rest)
        }
        _ => return None,
    };
    if found == tag { rest.split_at_checked(length) } else { None }
}

#[cfg(test)]
pub(crate) mod tests {
    use downcity_testkit::RSA_KEY_OF_NOBODY;
    use sha2::{Digest as _, Sha256};

    use super::*;

    const BODY: &[u8] = br#"{"id":"evt_1","type":"ping"}"#;
    /// As `openssl dgst -sha256 -sign` makes it.
    const SIGNATURE: &str = "S+fNGyBTquHy2lHTbyqpWs/8dgYXbLy42X0vy1KawdN4QhNirW6GLUqYDOVIZtnybj3cFrA1EHCCdA/8L2F/7mBDDvSkBxl4z5DHdk280AONF8+Jhi2lmQI0Gh7GiSHcn7Tmn4kE2KV5BQlIOKyW+CG202Yh/3Ky4KdYgZ8Zp61/AXq9L9I8JdXC46vhVcLi0iULEC3vbi6Bd3Ro6Ih89AcLQEu2NXhBTiLncAzd66T9eZAFlbaH4WjGVIPA3P1U+VeknYa2QzUYh3g11huje1uSlgAY1h473JoBVyh9lPhsCBnQneUicC8ko0MqMTO5oc7bQuiENVJ6WNBVHL1IcA==";
    const SPKI: &str = "MIIBIjANBgkqhkiG9w0BAQEFAAOCAQ8AMIIBCgKCAQEA9zznZa7B3zC2fxVbzoWMlN+wtBvpvkbpFUqVlBo+Hr/ZtJcYP9w474VvUPLHYri08ADYn5/VG0oWsx5fBkUwLoXmvc+m+2PVgsX7kvoSfdTcIa6D3nW5qF002zx92jwrqeFyVI9dYliV0uA8OHVMDE4owhs7nUNVzAr9vkH9mXYS0F4iC9jo0W2kFjQW9+Lm9rI0Vfqkwl7rOI4QA3zpYf5Bkziv2PrTztGJVKlZVBiYWDrOZDBUGv4p6kkeM1piIy++UXIb+agEz8iI29bIZ33QOfzosYAIFwYAFkUYKevhsD/risBnr5aFUcDtpYKk3x95YY/PzxSpgwO6BX9lQwIDAQAB";
    /// A key of 1024 bits.
    const SHORT: &str = "MIGfMA0GCSqGSIb3DQEBAQUAA4GNADCBiQKBgQCf+jPghyUnSK5JeDw2BMBtvZKaECI+unvAYMMfyXcGQVL1OtqsFtH3zgzN7Ao+wxw2/iBFdnvA7qSiulSJdgEE3+a3";

    fn pem(label: &str, base64: &str, line_end: &str) -> String {
        let lines: Vec<&str> =
            base64.as_bytes().chunks(64).map(|line| std::str::from_utf8(line).unwrap()).collect();
        let body = lines.join(line_end);
        format!("-----BEGIN {label}-----{line_end}{body}{line_end}-----END {label}-----{line_end}")
    }

    /// PKCS #1 is what PKCS #8 wraps in 26 bytes.
    fn pkcs1() -> String {
        let der = STANDARD.decode(pkcs8()).unwrap();
        STANDARD.encode(&der[26..])
    }

    fn pkcs8() -> String {
        RSA_KEY_OF_NOBODY.split_whitespace().collect()
    }

    fn message() -> Vec<u8> {
        [b"1700000000000.", BODY].concat()
    }

    #[test]
    fn private_keys_are_read_in_every_form_and_sign_alike() {
        for line_end in ["\n", "\r\n", "\\n", "\\r\\n", ""] {
            for text in
                [pem("PRIVATE KEY", &pkcs8(), line_end), pem("RSA PRIVATE KEY", &pkcs1(), line_end)]
            {
                let key = PrivateKey::parse(&text).unwrap();
                assert_eq!(key.sign(&message()).unwrap(), SIGNATURE);
            }
        }
        let key = PrivateKey::parse(RSA_KEY_OF_NOBODY).unwrap();
        assert_eq!(key.sign(&message()).unwrap(), SIGNATURE);
        assert_eq!(format!("{key:?}"), "PrivateKey(…)");
    }

    #[test]
    fn public_keys_are_read_in_every_form_and_verify() {
        let pkcs1 = PrivateKey::parse(&pkcs8()).unwrap().public_pem();
        let header = format!("t=1700000000000,v1=AAAA,v1={SIGNATURE}");
        let stamped = Stamped::parse(&header).unwrap();
        for text in [&pem("PUBLIC KEY", SPKI, "\n"), &pem("PUBLIC KEY", SPKI, "\\n"), SPKI, &*pkcs1]
        {
            let key = PublicKey::parse(text).unwrap();
            assert_eq!(key.verify_stamped(&stamped, BODY), Ok(()));
            let other = key.verify_stamped(&stamped, b"{}");
            assert_eq!(other, Err(SignatureError::Wrong));
        }
        let later = format!("t=1700000000001,v1={SIGNATURE}");
        let key = PublicKey::parse(SPKI).unwrap();
        let moved = key.verify_stamped(&Stamped::parse(&later).unwrap(), BODY);
        assert_eq!(moved, Err(SignatureError::Wrong));
    }

    #[test]
    fn what_is_no_key_says_so() {
        for (text, error) in [
            ("", KeyError::Encoding),
            ("hello world", KeyError::Encoding),
            ("-----BEGIN PUBLIC KEY-----", KeyError::Encoding),
            ("-----BEGIN PUBLIC KEY-----AAAA-----END OTHER-----", KeyError::Encoding),
            ("-----BEGIN CERTIFICATE-----AAAA-----END CERTIFICATE-----", KeyError::Kind),
            ("AAAA", KeyError::Kind),
        ] {
            assert_eq!(PublicKey::parse(text), Err(error), "{text}");
            assert_eq!(PrivateKey::parse(text).map(|_| ()), Err(error), "{text}");
        }
        assert_eq!(PublicKey::parse(&pkcs8()), Err(KeyError::Kind), "a private key");
        assert_eq!(PublicKey::parse(SHORT), Err(KeyError::Kind), "cut off");
        let more = format!("{}AAAA", &SPKI[..SPKI.len() - 4]);
        let stamped = Stamped::parse("t=1,v1=AAAA").unwrap();
        if let Ok(key) = PublicKey::parse(&more) {
            assert_eq!(key.verify_stamped(&stamped, BODY), Err(SignatureError::Wrong));
        }
    }

    /// Hexadecimal SHA-256 of a public key as SPKI.
    pub(crate) fn fingerprint(pem: &str) -> String {
        let (_, der) = decode(pem).unwrap();
        Sha256::digest(&*der).iter().map(|byte| format!("{byte:02x}")).collect()
    }
}
