//! The ttl grammar: how long a token lives.

use std::fmt;
use std::str::FromStr;

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::{Deserialize, Deserializer, Serialize, Serializer, de};
use serde_json::Value;

/// A length of time of at least one second and at most [`Ttl::MAX_SECONDS`].
///
/// Read from a positive integer of seconds (`3600`), from the same as text (`"3600"`), or from digits
/// with one unit: `"60s"`, `"30m"`, `"1h"`, `"7d"`. A field of type `Option<Ttl>` reads `null` as
/// `None`. Written as an integer of seconds.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Ttl(i64);

/// Why a value is no ttl.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum TtlError {
    /// Zero seconds, or the empty text.
    #[error("ttl must be at least one second; leave it out for the default")]
    NotPositive,
    /// A number with a fraction.
    #[error("ttl must be a whole number of seconds")]
    Fraction,
    /// A text of another form.
    #[error("ttl must be seconds or a number with s, m, h or d, such as \"30m\", \"1h\" or \"7d\"")]
    Malformed,
    /// More than [`Ttl::MAX_SECONDS`].
    #[error("ttl must be at most 100 years (3153600000 seconds)")]
    TooLong,
    /// Neither number nor text.
    #[error("ttl must be a number of seconds or a text such as \"7d\"")]
    WrongType,
}

impl Ttl {
    /// The longest ttl: 100 years of 365 days. Any time that a clock shows can be added to it.
    pub const MAX_SECONDS: i64 = 100 * 365 * 86_400;

    /// A ttl of whole seconds.
    ///
    /// # Errors
    /// [`TtlError::NotPositive`] or [`TtlError::TooLong`].
    pub const fn from_seconds(seconds: i64) -> Result<Self, TtlError> {
        match seconds {
            ..=0 => Err(TtlError::NotPositive),
            1..=Self::MAX_SECONDS => Ok(Self(seconds)),
            _ => Err(TtlError::TooLong),
        }
    }

    /// Length in seconds; always positive.
    #[must_use]
    pub const fn seconds(self) -> i64 {
        self.0
    }

    /// `iat` plus this ttl, in unix seconds.
    #[must_use]
    pub const fn expires_at(self, iat: i64) -> i64 {
        iat.saturating_add(self.0)
    }

    /// Reads the `ttl` field of a JSON body; `null` is `None`.
    ///
    /// # Errors
    /// Why the value is no ttl.
    pub fn parse_json(value: &Value) -> Result<Option<Self>, TtlError> {
        match value {
            Value::Null => Ok(None),
            Value::String(text) => text.parse().map(Some),
            Value::Number(number) => Self::from_number(number).map(Some),
            Value::Bool(_) | Value::Array(_) | Value::Object(_) => Err(TtlError::WrongType),
        }
    }

    fn from_number(number: &serde_json::Number) -> Result<Self, TtlError> {
        if let Some(seconds) = number.as_i64() {
            return Self::from_seconds(seconds);
        }
        // What is left is a `u64` beyond `i64`, or a float.
        number.as_f64().map_or(Err(TtlError::TooLong), Self::from_float)
    }

    fn from_float(seconds: f64) -> Result<Self, TtlError> {
        if seconds.is_nan() {
            return Err(TtlError::WrongType);
        }
        if seconds <= 0.0 {
            return Err(TtlError::NotPositive);
        }
        if seconds.is_finite() && seconds.fract() != 0.0 {
            return Err(TtlError::Fraction);
        }
        // A whole float; the cast saturates, so whatever is too large stays too large.
        Self::from_seconds(seconds as i64)
    }
}

impl FromStr for Ttl {
    type Err = TtlError;

    /// Reads `digits` or `digits` with one of `s`, `m`, `h`, `d`; nothing around it.
    fn from_str(text: &str) -> Result<Self, TtlError> {
        if text.is_empty() {
            return Err(TtlError::NotPositive);
        }
        let (digits, unit) = match text.as_bytes().last() {
            Some(b's') => (&text[..text.len() - 1], 1),
            Some(b'm') => (&text[..text.len() - 1], 60),
            Some(b'h') => (&text[..text.len() - 1], 3_600),
            Some(b'd') => (&text[..text.len() - 1], 86_400),
            _ => (text, 1),
        };
        if digits.is_empty() || !digits.bytes().all(|byte| byte.is_ascii_digit()) {
            return Err(TtlError::Malformed);
        }
        // Only overflow is left to fail.
        let count: i64 = digits.parse().map_err(|_| TtlError::TooLong)?;
        Self::from_seconds(count.checked_mul(unit).ok_or(TtlError::TooLong)?)
    }
}

impl fmt::Display for Ttl {
    /// The shortest form of the grammar: the largest unit that divides the length.
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (unit, name) = [(86_400, 'd'), (3_600, 'h'), (60, 'm')]
            .into_iter()
            .find(|(unit, _)| self.0 % unit == 0)
            .unwrap_or((1, 's'));
        write!(out, "{}{name}", self.0 / unit)
    }
}

impl Serialize for Ttl {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_i64(self.0)
    }
}

impl<'de> Deserialize<'de> for Ttl {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(TtlVisitor)
    }
}

struct TtlVisitor;

impl de::Visitor<'_> for TtlVisitor {
    type Value = Ttl;

    fn expecting(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str("a number of seconds or a text such as \"7d\"")
    }

    fn visit_i64<E: de::Error>(self, seconds: i64) -> Result<Ttl, E> {
        Ttl::from_seconds(seconds).map_err(E::custom)
    }

    fn visit_u64<E: de::Error>(self, seconds: u64) -> Result<Ttl, E> {
        let seconds = i64::try_from(seconds).map_err(|_| E::custom(TtlError::TooLong))?;
        self.visit_i64(seconds)
    }

    fn visit_f64<E: de::Error>(self, seconds: f64) -> Result<Ttl, E> {
        Ttl::from_float(seconds).map_err(E::custom)
    }

    fn visit_str<E: de::Error>(self, text: &str) -> Result<Ttl, E> {
        text.parse().map_err(E::custom)
    }
}

impl JsonSchema for Ttl {
    fn schema_name() -> std::borrow::Cow<'static, str> {
        "Ttl".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({
            "description": "Seconds, or digits with one of s, m, h, d; at most 100 years.",
            "anyOf": [
                { "type": "integer", "minimum": 1, "maximum": Self::MAX_SECONDS },
                { "type": "string", "pattern": "^[0-9]+[smhd]?$" },
            ],
        })
    }
}
