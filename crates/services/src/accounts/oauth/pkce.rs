//! The verifier of a flow (RFC 7636): made again when it is needed, so that no table holds it.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use downcity_core::Secret;
use hmac::{Hmac, KeyInit as _, Mac as _};
use oauth2::{PkceCodeChallenge, PkceCodeVerifier};
use sha2::Sha256;

/// The verifier of the flow with this nonce: who has the database has not the key, and the other way
/// round.
pub(super) fn verifier(key: &Secret, nonce: &str) -> PkceCodeVerifier {
    #[expect(clippy::expect_used, reason = "HMAC takes keys of any length")]
    let mut mac = Hmac::<Sha256>::new_from_slice(key.expose().as_bytes()).expect("a key");
    mac.update(b"downcity oauth pkce\0");
    mac.update(nonce.as_bytes());
    PkceCodeVerifier::new(URL_SAFE_NO_PAD.encode(mac.finalize().into_bytes()))
}

/// The challenge (S256) that goes into the provider's address.
pub(super) fn challenge(verifier: &PkceCodeVerifier) -> String {
    PkceCodeChallenge::from_code_verifier_sha256(verifier).as_str().to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_verifier_depends_on_key_and_nonce() {
        let key = Secret::new("one");
        let made = verifier(&key, "a").secret().clone();
        assert_eq!(made.len(), 43);
        assert_eq!(verifier(&key, "a").secret(), &made);
        assert_ne!(verifier(&key, "b").secret(), &made);
        assert_ne!(verifier(&Secret::new("two"), "a").secret(), &made);
        // RFC 7636, appendix B.
        let known = PkceCodeVerifier::new("dBjftJeZ4CVP-mB92K27uhbUJU1p1r_wW1gFWFOEjXk".to_owned());
        assert_eq!(challenge(&known), "E9Melhoa2OwvFrEMTJguCHaoeK1t8URWbuGJSstw-cM");
    }
}
