//! What the actions of `env` take, and the rules for it.

use std::borrow::Cow;
use std::fmt;

use downcity_types::ErrorCode;
use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::de::{self, Deserialize, Deserializer};

use super::{ADMIN_KEY, SYSTEM_KEY_MIN_CHARS, is_system_key, normalise_key};
use crate::{Error, Result, Secret};

/// The longest key in bytes.
const KEY_MAX_LEN: usize = 128;
/// The longest value in bytes.
const VALUE_MAX_LEN: usize = 64 * 1024;

/// A scalar as text: strings as they are, numbers and booleans as written, `null` as empty text.
#[derive(Clone, Debug)]
pub(crate) struct Scalar(pub(crate) Secret);

impl Default for Scalar {
    fn default() -> Self {
        Self(Secret::new(""))
    }
}

impl<'de> Deserialize<'de> for Scalar {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(ScalarVisitor)
    }
}

struct ScalarVisitor;

impl de::Visitor<'_> for ScalarVisitor {
    type Value = Scalar;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a string, a number, a boolean or null")
    }

    fn visit_str<E>(self, text: &str) -> Result<Scalar, E> {
        Ok(Scalar(Secret::new(text)))
    }

    fn visit_string<E>(self, text: String) -> Result<Scalar, E> {
        Ok(Scalar(Secret::new(text)))
    }

    fn visit_bool<E>(self, flag: bool) -> Result<Scalar, E> {
        Ok(Scalar(Secret::new(flag.to_string())))
    }

    fn visit_i64<E>(self, number: i64) -> Result<Scalar, E> {
        Ok(Scalar(Secret::new(number.to_string())))
    }

    fn visit_u64<E>(self, number: u64) -> Result<Scalar, E> {
        Ok(Scalar(Secret::new(number.to_string())))
    }

    fn visit_f64<E>(self, number: f64) -> Result<Scalar, E> {
        Ok(Scalar(Secret::new(number.to_string())))
    }

    fn visit_unit<E>(self) -> Result<Scalar, E> {
        Ok(Scalar::default())
    }
}

impl JsonSchema for Scalar {
    fn inline_schema() -> bool {
        true
    }

    fn schema_name() -> Cow<'static, str> {
        "EnvValue".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({
            "description": "The value; what is no string is stored as its text, null as empty text.",
            "type": ["string", "number", "boolean", "null"],
        })
    }
}

/// Where in a request a key or value stands, for errors.
#[derive(Clone, Copy)]
pub(crate) enum At<'a> {
    /// In the fields `key` and `value`.
    Field,
    /// In the field `key`, which is itself at fault.
    Key,
    /// On this line of the field `raw`, as the assignment of this key.
    Line(usize, &'a str),
}

impl At<'_> {
    /// An error of this code. The subject of `what` is the value, or the key, which is put before it.
    pub(crate) fn refuse(self, code: ErrorCode, what: &str) -> Error {
        match self {
            Self::Field => Error::new(code, format!("value: {what}")).with_field("value", what),
            Self::Key => Error::new(code, format!("key: {what}")).with_field("key", what),
            Self::Line(line, key) => {
                let what = format!("line {line}: the value of {key} {what}");
                Error::new(code, format!("raw: {what}")).with_field("raw", what)
            }
        }
    }
}

/// The normalised form of the field `key`.
///
/// # Errors
/// 400 `invalid_key`.
pub(crate) fn key(text: &str) -> Result<String> {
    normalise_key(text).filter(|key| key.len() <= KEY_MAX_LEN).ok_or_else(|| {
        let what = format!(
            "has to be a name of at most {KEY_MAX_LEN} letters, digits and underscores that does not start with a digit"
        );
        Error::new(ErrorCode::InvalidKey, format!("key: {what}.")).with_field("key", what)
    })
}

/// Checks what may be stored under a normalised key.
///
/// # Errors
/// 400: too long; for a system key also a mask, too short, or unfit to be sent in a header.
pub(crate) fn check_value(key: &str, value: &str, at: At<'_>) -> Result<()> {
    if key.len() > KEY_MAX_LEN {
        return Err(at.refuse(ErrorCode::InvalidKey, "has a key of more than 128 characters."));
    }
    if value.len() > VALUE_MAX_LEN {
        return Err(at.refuse(ErrorCode::InvalidInput, "is longer than 64 KiB."));
    }
    if is_system_key(key) && Secret::looks_like_preview(value) {
        return Err(masked(key, at));
    }
    match system_key_problem(key, value) {
        None => Ok(()),
        Some(problem) => Err(at.refuse(ErrorCode::SystemKey, &problem).with_fix(format!(
            "{key} is a system key: it can be replaced by another value, never be blank or removed."
        ))),
    }
}

/// The answer to a mask that is sent as if it were a value.
pub(crate) fn masked(key: &str, at: At<'_>) -> Error {
    at.refuse(ErrorCode::MaskedValue, "is how lists show the stored value, not a value.").with_fix(
        format!("Send the whole new value of {key}, or leave the key out to keep the stored one."),
    )
}

/// Why a value is unfit for a key, when that is a system key.
pub(crate) fn system_key_problem(key: &str, value: &str) -> Option<String> {
    if !is_system_key(key) {
        return None;
    }
    if value.trim().chars().count() < SYSTEM_KEY_MIN_CHARS {
        return Some(format!("needs at least {SYSTEM_KEY_MIN_CHARS} characters."));
    }
    // What cannot be sent in a header would lock everybody out.
    if key == ADMIN_KEY && !value.bytes().all(|byte| byte.is_ascii_graphic()) {
        return Some("may hold ASCII letters, digits and signs only, no spaces.".to_owned());
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::env::SIGNING_KEY;

    #[test]
    fn scalars_become_text() {
        for (json, text) in [
            (r#"" x ""#, " x "),
            ("7", "7"),
            ("-7", "-7"),
            ("1.50", "1.5"),
            ("1.0", "1"),
            ("true", "true"),
            ("null", ""),
        ] {
            let scalar: Scalar = serde_json::from_str(json).unwrap();
            assert_eq!(scalar.0.expose(), text, "{json}");
        }
        for json in ["{}", "[\"secret\"]"] {
            let error = serde_json::from_str::<Scalar>(json).unwrap_err().to_string();
            assert!(error.contains("expected a string") && !error.contains("secret"), "{error}");
        }
    }

    #[test]
    fn system_keys_need_length_and_the_admin_key_a_header() {
        let problem = |key, value: &str| system_key_problem(key, value).is_some();
        assert!(problem(SIGNING_KEY, "") && problem(SIGNING_KEY, &" ".repeat(20)));
        assert!(problem(SIGNING_KEY, "fifteen_letters"));
        assert!(!problem(SIGNING_KEY, "sixteen_letters_"));
        assert!(!problem(SIGNING_KEY, "words and späces are fine"));
        assert!(problem(ADMIN_KEY, "no spaces in an admin key"));
        assert!(problem(ADMIN_KEY, "ümlaut_ümlaut_ümlaut"));
        assert!(!problem("OTHER", ""));
    }

    #[test]
    fn errors_name_their_place() {
        let error = check_value(ADMIN_KEY, "short", At::Line(3, ADMIN_KEY)).unwrap_err();
        assert_eq!((error.code(), error.details()[0].path.as_str()), (ErrorCode::SystemKey, "raw"));
        assert!(error.message().starts_with("raw: line 3: the value of DOWNCITY_FEDERATION_ADMIN"));
        let error = check_value("K", &"x".repeat(VALUE_MAX_LEN + 1), At::Field).unwrap_err();
        assert_eq!(error.details()[0].path, "value");
        assert!(check_value("K", &"x".repeat(VALUE_MAX_LEN), At::Field).is_ok());
        assert_eq!(key(&"K".repeat(129)).unwrap_err().code(), ErrorCode::InvalidKey);
        assert_eq!(key(&"k".repeat(128)).unwrap(), "K".repeat(128));
    }
}
