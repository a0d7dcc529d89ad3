//! Ids: which characters a new city id may have, and how generated ids are written.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;

/// Id of the city that is created when a database is used for the first time.
pub const DEFAULT_CITY_ID: &str = "city_downcity";

/// Name of the city that is created when a database is used for the first time.
pub const DEFAULT_CITY_NAME: &str = "Downcity";

/// Prefix of generated city ids.
pub const CITY_ID_PREFIX: &str = "city_";

/// Longest city id that can be created, in bytes.
pub const CITY_ID_MAX_LEN: usize = 128;

/// Random bytes in a generated id; they become 16 characters.
pub const ID_BYTES: usize = 12;

/// Why a text cannot become the id of a new city.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum CityIdError {
    /// The text is empty.
    #[error("city_id must not be empty")]
    Empty,
    /// The text has more than [`CITY_ID_MAX_LEN`] bytes.
    #[error("city_id must have at most {CITY_ID_MAX_LEN} characters")]
    TooLong,
    /// The text has a character outside `A-Z a-z 0-9 _ . -`.
    #[error("city_id may only have letters, digits, `_`, `.` and `-`")]
    BadCharacter,
}

/// Checks the id of a city to be created against `[A-Za-z0-9_.-]{1,128}`.
///
/// Only new ids are checked: cities of an imported database keep theirs, whatever they look like.
///
/// # Errors
/// The first rule that the text breaks.
pub fn check_new_city_id(id: &str) -> Result<(), CityIdError> {
    if id.is_empty() {
        return Err(CityIdError::Empty);
    }
    if id.len() > CITY_ID_MAX_LEN {
        return Err(CityIdError::TooLong);
    }
    let allowed = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'.' | b'-');
    if id.bytes().all(allowed) { Ok(()) } else { Err(CityIdError::BadCharacter) }
}

/// `prefix` followed by 12 random bytes as base64url without padding (16 characters).
///
/// The bytes are a parameter: randomness is the caller's.
#[must_use]
pub fn prefixed_id(prefix: &str, random: &[u8; ID_BYTES]) -> String {
    let mut id = String::with_capacity(prefix.len() + 16);
    id.push_str(prefix);
    URL_SAFE_NO_PAD.encode_string(random, &mut id);
    id
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn new_city_ids_have_plain_characters() {
        for good in ["a", "city_downcity", "A-Z.0_9", &"x".repeat(128)] {
            assert_eq!(check_new_city_id(good), Ok(()), "{good}");
        }
        assert_eq!(check_new_city_id(""), Err(CityIdError::Empty));
        assert_eq!(check_new_city_id(&"x".repeat(129)), Err(CityIdError::TooLong));
        for bad in ["a b", "ü", "a/b", "a\0", "用户", " a"] {
            assert_eq!(check_new_city_id(bad), Err(CityIdError::BadCharacter), "{bad}");
        }
    }

    #[test]
    fn generated_ids_are_valid_new_ids() {
        assert_eq!(prefixed_id("city_", &[0xff; 12]), "city_________________");
        let id = prefixed_id(CITY_ID_PREFIX, b"downcity1234");
        assert_eq!(id, "city_ZG93bmNpdHkxMjM0");
        assert_eq!(check_new_city_id(&id), Ok(()));
        assert_eq!(check_new_city_id(DEFAULT_CITY_ID), Ok(()));
    }
}
