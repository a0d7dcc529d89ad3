//! Points in time: unix milliseconds inside, RFC 3339 on the wire.

use std::fmt;
use std::str::FromStr;
use std::time::Duration;

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::{Deserialize, Deserializer, Serialize, Serializer, de};

/// A point in time as milliseconds since the unix epoch, UTC.
///
/// The wire form always has milliseconds and `Z`: `2026-01-02T03:04:05.678Z`. Values lie within the
/// years 0000 to 9999; what is beyond is moved to the nearest end, so that every value can be written.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Timestamp(i64);

/// The wire form of a [`Timestamp`], on the stack.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Rfc3339([u8; 24]);

/// A text that is no RFC 3339 time.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("a time must look like 2026-01-02T03:04:05.678Z")]
pub struct TimestampError;

impl Timestamp {
    /// 0000-01-01T00:00:00.000Z.
    pub const MIN: Self = Self(-62_167_219_200_000);

    /// 9999-12-30T22:00:00.000Z, the last that every UTC offset can show.
    pub const MAX: Self = Self(253_402_207_200_000);

    /// From unix milliseconds; a value out of range becomes [`Timestamp::MIN`] or [`Timestamp::MAX`].
    #[must_use]
    pub const fn from_millis(millis: i64) -> Self {
        if millis < Self::MIN.0 {
            Self::MIN
        } else if millis > Self::MAX.0 {
            Self::MAX
        } else {
            Self(millis)
        }
    }

    /// From unix seconds, as in the claims `iat` and `exp`; limited like [`Timestamp::from_millis`].
    #[must_use]
    pub const fn from_seconds(seconds: i64) -> Self {
        Self::from_millis(seconds.saturating_mul(1_000))
    }

    /// Unix milliseconds.
    #[must_use]
    pub const fn millis(self) -> i64 {
        self.0
    }

    /// Unix seconds, rounded towards the past.
    #[must_use]
    pub const fn seconds(self) -> i64 {
        self.0.div_euclid(1_000)
    }

    /// `self` plus `duration` (whole milliseconds), at most [`Timestamp::MAX`].
    #[must_use]
    pub fn saturating_add(self, duration: Duration) -> Self {
        Self::from_millis(self.0.saturating_add(whole_millis(duration)))
    }

    /// `self` minus `duration` (whole milliseconds), at least [`Timestamp::MIN`].
    #[must_use]
    pub fn saturating_sub(self, duration: Duration) -> Self {
        Self::from_millis(self.0.saturating_sub(whole_millis(duration)))
    }

    /// The wire form, without allocation.
    #[must_use]
    pub fn to_rfc3339(self) -> Rfc3339 {
        // The range of `Timestamp` lies within that of jiff, so the fallback is never taken.
        let instant = jiff::Timestamp::from_millisecond(self.0).unwrap_or_default();
        let at = jiff::tz::Offset::UTC.to_datetime(instant);
        let mut text = *b"0000-00-00T00:00:00.000Z";
        put_digits(&mut text[0..4], i32::from(at.year()));
        put_digits(&mut text[5..7], i32::from(at.month()));
        put_digits(&mut text[8..10], i32::from(at.day()));
        put_digits(&mut text[11..13], i32::from(at.hour()));
        put_digits(&mut text[14..16], i32::from(at.minute()));
        put_digits(&mut text[17..19], i32::from(at.second()));
        put_digits(&mut text[20..23], i32::from(at.millisecond()));
        Rfc3339(text)
    }
}

fn whole_millis(duration: Duration) -> i64 {
    i64::try_from(duration.as_millis()).unwrap_or(i64::MAX)
}

fn put_digits(place: &mut [u8], mut value: i32) {
    for digit in place.iter_mut().rev() {
        *digit = b"0123456789"[(value % 10).unsigned_abs() as usize];
        value /= 10;
    }
}

impl Rfc3339 {
    /// The text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        // The buffer holds ASCII only, so the fallback is never taken.
        str::from_utf8(&self.0).unwrap_or_default()
    }
}

impl fmt::Display for Timestamp {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str(self.to_rfc3339().as_str())
    }
}

impl FromStr for Timestamp {
    type Err = TimestampError;

    /// Reads RFC 3339 with any offset; digits after the millisecond are cut off.
    fn from_str(text: &str) -> Result<Self, TimestampError> {
        let instant: jiff::Timestamp = text.parse().map_err(|_| TimestampError)?;
        let millis = instant.as_nanosecond().div_euclid(1_000_000);
        let millis = i64::try_from(millis).map_err(|_| TimestampError)?;
        let timestamp = Self::from_millis(millis);
        if timestamp.0 == millis { Ok(timestamp) } else { Err(TimestampError) }
    }
}

impl Serialize for Timestamp {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(self.to_rfc3339().as_str())
    }
}

impl<'de> Deserialize<'de> for Timestamp {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_str(TimestampVisitor)
    }
}

struct TimestampVisitor;

impl de::Visitor<'_> for TimestampVisitor {
    type Value = Timestamp;

    fn expecting(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str("a time such as 2026-01-02T03:04:05.678Z")
    }

    fn visit_str<E: de::Error>(self, text: &str) -> Result<Timestamp, E> {
        text.parse().map_err(E::custom)
    }
}

impl JsonSchema for Timestamp {
    fn schema_name() -> std::borrow::Cow<'static, str> {
        "Timestamp".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({
            "type": "string",
            "format": "date-time",
            "description": "RFC 3339 in UTC with milliseconds.",
            "examples": ["2026-01-02T03:04:05.678Z"],
        })
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn the_wire_form_has_milliseconds_and_z() {
        for (millis, text) in [
            (0, "1970-01-01T00:00:00.000Z"),
            (1_767_323_045_678, "2026-01-02T03:04:05.678Z"),
            (-1, "1969-12-31T23:59:59.999Z"),
            (951_782_400_000, "2000-02-29T00:00:00.000Z"),
            (i64::MIN, "0000-01-01T00:00:00.000Z"),
            (i64::MAX, "9999-12-30T22:00:00.000Z"),
        ] {
            let timestamp = Timestamp::from_millis(millis);
            assert_eq!(timestamp.to_string(), text);
            assert_eq!(serde_json::to_string(&timestamp).unwrap(), format!("\"{text}\""));
            assert_eq!(text.parse(), Ok(timestamp));
        }
    }

    #[test]
    fn offsets_and_finer_digits_are_read() {
        let expected = Ok(Timestamp::from_millis(1_767_323_045_678));
        for text in ["2026-01-02T03:04:05.678Z", "2026-01-02T05:04:05.6789+02:00"] {
            assert_eq!(text.parse(), expected, "{text}");
        }
        let before_epoch = "1969-12-31T23:59:59.9999Z".parse::<Timestamp>();
        assert_eq!(before_epoch.map(Timestamp::millis), Ok(-1));
        for bad in [
            "",
            "now",
            "2026-01-02",
            "2026-13-02T03:04:05Z",
            "2026-01-02T03:04:05",
            "用户",
            "-000001-01-01T00:00:00Z",
        ] {
            assert_eq!(bad.parse::<Timestamp>(), Err(TimestampError), "{bad}");
        }
        assert!(serde_json::from_str::<Timestamp>("5").is_err());
    }

    #[test]
    fn sums_stop_at_the_ends() {
        let day = Duration::from_hours(24);
        assert_eq!(Timestamp::from_millis(5).saturating_add(day).millis(), 86_400_005);
        assert_eq!(Timestamp::from_millis(5).saturating_sub(day).millis(), -86_399_995);
        assert_eq!(Timestamp::MAX.saturating_add(Duration::MAX), Timestamp::MAX);
        assert_eq!(Timestamp::MIN.saturating_sub(Duration::MAX), Timestamp::MIN);
        assert_eq!(Timestamp::from_seconds(i64::MAX), Timestamp::MAX);
        assert_eq!(Timestamp::from_millis(-1).seconds(), -1);
    }

    proptest! {
        #[test]
        fn every_timestamp_is_read_back(millis: i64) {
            for millis in [millis, millis % Timestamp::MAX.millis()] {
                let timestamp = Timestamp::from_millis(millis);
                prop_assert_eq!(timestamp.to_string().parse(), Ok(timestamp));
            }
        }

        #[test]
        fn any_text_is_read_without_panic(text: String) {
            if let Ok(timestamp) = text.parse::<Timestamp>() {
                prop_assert!((Timestamp::MIN..=Timestamp::MAX).contains(&timestamp));
            }
        }
    }
}
