//! Ids: which characters a new city id may have, and what generated ids are made of.

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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn new_city_ids_have_plain_characters() {
        for good in ["a", DEFAULT_CITY_ID, "A-Z.0_9", &"x".repeat(128)] {
            assert_eq!(check_new_city_id(good), Ok(()), "{good}");
        }
        assert_eq!(check_new_city_id(""), Err(CityIdError::Empty));
        assert_eq!(check_new_city_id(&"x".repeat(129)), Err(CityIdError::TooLong));
        for bad in ["a b", "ü", "a/b", "a\0", "用户", " a"] {
            assert_eq!(check_new_city_id(bad), Err(CityIdError::BadCharacter), "{bad}");
        }
    }
}
