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

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::json;

    use super::*;

    fn seconds(value: Value) -> Result<Option<i64>, TtlError> {
        Ttl::parse_json(&value).map(|ttl| ttl.map(Ttl::seconds))
    }

    #[test]
    fn every_accepted_form() {
        for (value, expected) in [
            (json!("60s"), 60),
            (json!("30m"), 1_800),
            (json!("1h"), 3_600),
            (json!("7d"), 604_800),
            (json!("3600"), 3_600),
            (json!("007"), 7),
            (json!(1), 1),
            (json!(60.0), 60),
            (json!("36500d"), Ttl::MAX_SECONDS),
            (json!(Ttl::MAX_SECONDS), Ttl::MAX_SECONDS),
        ] {
            assert_eq!(seconds(value.clone()), Ok(Some(expected)), "{value}");
        }
        assert_eq!(seconds(Value::Null), Ok(None));
    }

    #[test]
    fn every_refused_form() {
        use TtlError::{Fraction, Malformed, NotPositive, TooLong, WrongType};
        for (value, expected) in [
            (json!(0), NotPositive),
            (json!(-1), NotPositive),
            (json!(-0.5), NotPositive),
            (json!(""), NotPositive),
            (json!("0"), NotPositive),
            (json!("0s"), NotPositive),
            (json!("000d"), NotPositive),
            (json!(1.5), Fraction),
            (json!("1w"), Malformed),
            (json!("-1h"), Malformed),
            (json!("+1h"), Malformed),
            (json!("1.5h"), Malformed),
            (json!(" 1h"), Malformed),
            (json!("1h "), Malformed),
            (json!("1H"), Malformed),
            (json!("1h30m"), Malformed),
            (json!("d"), Malformed),
            (json!("٣d"), Malformed),
            (json!("7天"), Malformed),
            (json!("36501d"), TooLong),
            (json!("9223372036854775807d"), TooLong),
            (json!("99999999999999999999"), TooLong),
            (json!(u64::MAX), TooLong),
            (json!(1e300), TooLong),
            (json!(Ttl::MAX_SECONDS + 1), TooLong),
            (json!(true), WrongType),
            (json!([60]), WrongType),
            (json!({"ttl": 60}), WrongType),
        ] {
            assert_eq!(seconds(value.clone()), Err(expected), "{value}");
        }
    }

    #[derive(Deserialize)]
    struct Input {
        #[serde(default)]
        ttl: Option<Ttl>,
    }

    #[test]
    fn works_as_an_optional_field() {
        let read = |text: &str| serde_json::from_str::<Input>(text).map(|input| input.ttl);
        assert_eq!(read("{}").unwrap(), None);
        assert_eq!(read(r#"{"ttl":null}"#).unwrap(), None);
        assert_eq!(read(r#"{"ttl":"1h"}"#).unwrap().map(Ttl::seconds), Some(3_600));
        let error = read(r#"{"ttl":"1w"}"#).unwrap_err().to_string();
        assert!(error.contains("such as \"30m\""), "{error}");
        let error = read(r#"{"ttl":[]}"#).unwrap_err().to_string();
        assert!(error.contains("number of seconds"), "{error}");
    }

    #[test]
    fn adding_to_a_late_time_saturates() {
        let ttl = Ttl::from_seconds(60).unwrap();
        assert_eq!(ttl.expires_at(1_750_000_000), 1_750_000_060);
        assert_eq!(ttl.expires_at(i64::MAX), i64::MAX);
    }

    proptest! {
        #[test]
        fn shown_ttls_are_read_back(seconds in 1..=Ttl::MAX_SECONDS) {
            let ttl = Ttl::from_seconds(seconds).unwrap();
            prop_assert_eq!(ttl.to_string().parse(), Ok(ttl));
            prop_assert_eq!(Ttl::parse_json(&serde_json::to_value(ttl).unwrap()), Ok(Some(ttl)));
        }

        #[test]
        fn any_text_is_a_bounded_ttl_or_an_error(text: String) {
            if let Ok(ttl) = text.parse::<Ttl>() {
                prop_assert!((1..=Ttl::MAX_SECONDS).contains(&ttl.seconds()));
            }
        }

        #[test]
        fn both_readers_agree(text in "([0-9]{1,20}|-?[0-9]{1,3}(\\.[0-9])?)[smhdw]?") {
            for value in [json!(text), serde_json::from_str(&text).unwrap_or(Value::Bool(true))] {
                let direct = Ttl::parse_json(&value).ok().flatten();
                prop_assert_eq!(serde_json::from_value::<Ttl>(value).ok(), direct);
            }
        }
    }
}
