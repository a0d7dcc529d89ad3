//! The text of a service key: `fk_`, 24 random bytes and a checksum, both in base64url.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;

use crate::token::digest;
use crate::{Ids, Secret};

/// What every service key begins with.
pub(crate) const PREFIX: &str = "fk_";

/// Random bytes of a key; they become 32 characters.
const RANDOM_BYTES: usize = 24;
/// Bytes of SHA-256 that make the checksum, and the characters that they become.
const CHECK_BYTES: usize = 4;
const CHECK_CHARS: usize = 6;
/// Characters before the checksum.
const BODY_CHARS: usize = PREFIX.len() + 32;
/// Characters that records show of a key: 42 of its 192 random bits.
const SHOWN_CHARS: usize = 10;

/// SHA-256 of a key: what is stored and looked up.
pub(crate) type Digest = [u8; 32];

/// A new key.
pub(super) fn generate(ids: &Ids) -> Secret {
    let mut text = ids.secret::<RANDOM_BYTES>(PREFIX);
    let check = checksum(text.as_bytes());
    text.push_str(&check);
    Secret::new(text)
}

/// The characters of a key that its record shows.
pub(super) fn shown(key: &Secret) -> String {
    key.expose().chars().take(SHOWN_CHARS).collect()
}

/// The digest of a credential that has the form of a key.
pub(super) fn digest_of(credential: &[u8]) -> Option<Digest> {
    is_well_formed(credential).then(|| digest(credential))
}

/// Whether a text has the form of a service key, its checksum included: 41 characters of which the
/// last six follow from the others. Says nothing on whether the key exists; it is for typos and for
/// scanners that look for leaked keys.
pub fn is_well_formed(text: &[u8]) -> bool {
    let Some((body, check)) = text.split_last_chunk::<CHECK_CHARS>() else { return false };
    body.len() == BODY_CHARS
        && body.starts_with(PREFIX.as_bytes())
        && checksum(body).as_bytes() == check
}

/// The first bytes of SHA-256 over all that stands before the checksum.
fn checksum(body: &[u8]) -> String {
    URL_SAFE_NO_PAD.encode(&digest(body)[..CHECK_BYTES])
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use proptest::prelude::*;

    use super::*;
    use crate::{Random, SystemClock};

    /// Gives the same bytes for ever.
    struct Fixed([u8; RANDOM_BYTES]);

    impl Random for Fixed {
        fn fill(&self, buffer: &mut [u8]) {
            buffer.copy_from_slice(&self.0);
        }
    }

    fn key(bytes: [u8; RANDOM_BYTES]) -> String {
        let ids = Ids::new(Arc::new(SystemClock), Arc::new(Fixed(bytes)));
        generate(&ids).expose().to_owned()
    }

    #[test]
    fn a_key_has_a_known_form() {
        let text = key([0; RANDOM_BYTES]);
        assert_eq!(text.len(), BODY_CHARS + CHECK_CHARS);
        // sha256("fk_" + 32 × "A") begins with these four bytes.
        assert_eq!(text, "fk_AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAxYXKDQ");
        assert_eq!(shown(&Secret::new(text)), "fk_AAAAAAA");
    }

    proptest! {
        #[test]
        fn every_key_passes_and_no_typo_does(
            bytes: [u8; RANDOM_BYTES],
            at in 0..BODY_CHARS + CHECK_CHARS,
            other in 0_u8..128,
        ) {
            let good = key(bytes);
            prop_assert!(is_well_formed(good.as_bytes()));
            let legal = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'-' || byte == b'_';
            prop_assert!(good.bytes().all(legal), "{}", good);

            let mut bad = good.clone().into_bytes();
            bad[at] = other;
            prop_assert_eq!(is_well_formed(&bad), bad == good.as_bytes());
            let mut longer = good.clone().into_bytes();
            longer.insert(at, other);
            prop_assert!(!is_well_formed(&longer));
            let mut shorter = good.into_bytes();
            shorter.remove(at);
            prop_assert!(!is_well_formed(&shorter));
        }

        #[test]
        fn neighbours_are_not_swapped_unseen(bytes: [u8; RANDOM_BYTES], at in 0..BODY_CHARS + CHECK_CHARS - 1) {
            let good = key(bytes);
            let mut swapped = good.clone().into_bytes();
            swapped.swap(at, at + 1);
            prop_assert_eq!(is_well_formed(&swapped), swapped == good.as_bytes());
        }

        #[test]
        fn garbage_is_no_key(text in proptest::collection::vec(any::<u8>(), 0..64)) {
            prop_assert!(!is_well_formed(&text));
            let prefixed = [PREFIX.as_bytes(), &text].concat();
            prop_assert!(!is_well_formed(&prefixed));
        }
    }
}
