//! Lengths of time and sizes as people write them.

use std::borrow::Cow;
use std::fmt;
use std::time::Duration;

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::de::{self, Visitor};
use serde::{Deserialize, Deserializer, Serialize, Serializer};

const SPAN_ADVICE: &str =
    "a length of time of at least 1 ms, such as 30 (seconds), \"500ms\", \"30s\", \"5m\" or \"2h\"";
const GRACE_ADVICE: &str =
    "a length of time, such as 0, 30 (seconds), \"30s\", \"5m\", \"2h\" or \"7d\"";
const SPAN_TOO_LARGE: &str = "is too large; 36500d is the longest";
const SIZE_ADVICE: &str =
    "a size of at least one byte, such as 65536 (bytes), \"64KiB\" or \"10MiB\"";
const SIZE_TOO_LARGE: &str = "is too large; this machine cannot count so many bytes";

/// A hundred years: beyond that, a length of time is a slip.
const MOST_MILLIS: u64 = 36_500 * 86_400_000;

/// Why a text is no value.
enum Fault {
    /// It is not written as one, or it is zero.
    Malformed,
    /// No value is that large.
    TooLarge,
}

/// A length of time: whole seconds, or a text with `ms`, `s`, `m`, `h` or `d`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Span(Duration);

impl Span {
    /// A length of whole seconds.
    pub const fn seconds(seconds: u64) -> Self {
        Self(Duration::from_secs(seconds))
    }

    /// A length of milliseconds.
    pub const fn millis(millis: u64) -> Self {
        Self(Duration::from_millis(millis))
    }

    /// The length.
    pub const fn get(self) -> Duration {
        self.0
    }

    fn parse(text: &str) -> Result<Self, Fault> {
        let (number, unit) = split(text)?;
        let millis = match unit {
            "ms" => 1,
            "" | "s" => 1_000,
            "m" => 60_000,
            "h" => 3_600_000,
            "d" => 86_400_000,
            _ => return Err(Fault::Malformed),
        };
        match number.checked_mul(millis) {
            Some(0) => Err(Fault::Malformed),
            Some(millis) if millis <= MOST_MILLIS => Ok(Self::millis(millis)),
            _ => Err(Fault::TooLarge),
        }
    }
}

impl fmt::Display for Span {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        let millis = self.0.as_millis();
        let (unit, name) = [(3_600_000, "h"), (60_000, "m"), (1_000, "s")]
            .into_iter()
            .find(|(unit, _)| millis.is_multiple_of(*unit))
            .unwrap_or((1, "ms"));
        write!(out, "{}{name}", millis / unit)
    }
}

/// A length of time that may be zero; otherwise written like a [`Span`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Grace(Duration);

impl Grace {
    /// A length of whole seconds.
    pub const fn seconds(seconds: u64) -> Self {
        Self(Duration::from_secs(seconds))
    }

    /// The length.
    pub const fn get(self) -> Duration {
        self.0
    }

    fn parse(text: &str) -> Result<Self, Fault> {
        match split(text)? {
            (0, "ms" | "" | "s" | "m" | "h" | "d") => Ok(Self(Duration::ZERO)),
            _ => Span::parse(text).map(|span| Self(span.0)),
        }
    }
}

impl fmt::Display for Grace {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.0.is_zero() { out.write_str("0s") } else { Span(self.0).fmt(out) }
    }
}

/// A number of bytes: an integer, or a text with `KiB`, `MiB` or `GiB`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct ByteSize(usize);

impl ByteSize {
    /// A size of bytes.
    pub const fn bytes(bytes: usize) -> Self {
        Self(bytes)
    }

    /// A size of 1,024 bytes times `count`.
    pub const fn kibibytes(count: usize) -> Self {
        Self(count * 1024)
    }

    /// The size in bytes.
    pub const fn get(self) -> usize {
        self.0
    }

    fn parse(text: &str) -> Result<Self, Fault> {
        let (number, unit) = split(text)?;
        let bytes: u64 = match unit {
            "" | "B" => 1,
            "KiB" => 1 << 10,
            "MiB" => 1 << 20,
            "GiB" => 1 << 30,
            _ => return Err(Fault::Malformed),
        };
        match number.checked_mul(bytes).map(usize::try_from) {
            Some(Ok(0)) => Err(Fault::Malformed),
            Some(Ok(bytes)) => Ok(Self(bytes)),
            _ => Err(Fault::TooLarge),
        }
    }
}

impl fmt::Display for ByteSize {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (unit, name) = [(1 << 30, "GiB"), (1 << 20, "MiB"), (1 << 10, "KiB")]
            .into_iter()
            .find(|(unit, _)| self.0.is_multiple_of(*unit))
            .unwrap_or((1, "B"));
        write!(out, "{}{name}", self.0 / unit)
    }
}

/// Digits and the unit behind them.
fn split(text: &str) -> Result<(u64, &str), Fault> {
    let text = text.trim();
    let end = text.find(|c: char| !c.is_ascii_digit()).unwrap_or(text.len());
    if end == 0 {
        return Err(Fault::Malformed);
    }
    // Digits alone fail only when they are too many.
    let number = text[..end].parse().map_err(|_| Fault::TooLarge)?;
    Ok((number, text[end..].trim_start()))
}

/// Reads an integer or a text through one parser.
struct Read<T> {
    parse: fn(&str) -> Result<T, Fault>,
    advice: &'static str,
    too_large: &'static str,
}

impl<T> Visitor<'_> for Read<T> {
    type Value = T;

    fn expecting(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str(self.advice)
    }

    fn visit_u64<E: de::Error>(self, number: u64) -> Result<T, E> {
        self.visit_str(&number.to_string())
    }

    fn visit_str<E: de::Error>(self, text: &str) -> Result<T, E> {
        (self.parse)(text).map_err(|fault| match fault {
            Fault::Malformed => E::custom(format_args!("must be {}", self.advice)),
            Fault::TooLarge => E::custom(self.too_large),
        })
    }
}

impl<'de> Deserialize<'de> for Span {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(Read {
            parse: Self::parse,
            advice: SPAN_ADVICE,
            too_large: SPAN_TOO_LARGE,
        })
    }
}

impl<'de> Deserialize<'de> for Grace {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(Read {
            parse: Self::parse,
            advice: GRACE_ADVICE,
            too_large: SPAN_TOO_LARGE,
        })
    }
}

impl<'de> Deserialize<'de> for ByteSize {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(Read {
            parse: Self::parse,
            advice: SIZE_ADVICE,
            too_large: SIZE_TOO_LARGE,
        })
    }
}

impl Serialize for Span {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl Serialize for Grace {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl Serialize for ByteSize {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl JsonSchema for Span {
    fn schema_name() -> Cow<'static, str> {
        "Span".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({ "type": ["string", "integer"], "format": "duration" })
    }
}

impl JsonSchema for Grace {
    fn schema_name() -> Cow<'static, str> {
        "Grace".into()
    }

    fn json_schema(generator: &mut SchemaGenerator) -> Schema {
        Span::json_schema(generator)
    }
}

impl JsonSchema for ByteSize {
    fn schema_name() -> Cow<'static, str> {
        "ByteSize".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({ "type": ["string", "integer"], "format": "size" })
    }
}

#[cfg(test)]
mod tests {
    use super::{ByteSize, Grace, Span};

    fn span(json: &str) -> Result<Span, String> {
        serde_json::from_str(json).map_err(|error| error.to_string())
    }

    fn size(json: &str) -> Result<ByteSize, String> {
        serde_json::from_str(json).map_err(|error| error.to_string())
    }

    #[test]
    fn lengths_of_time_are_read_and_written_in_the_largest_unit() {
        for (json, shown) in [
            ("30", "30s"),
            ("\"500ms\"", "500ms"),
            ("\"90\"", "90s"),
            ("\"120s\"", "2m"),
            ("\"2 h\"", "2h"),
            ("\"1d\"", "24h"),
        ] {
            assert_eq!(span(json).unwrap().to_string(), shown, "{json}");
        }
    }

    #[test]
    fn a_grace_may_be_zero() {
        let grace = |json: &str| {
            let read: Result<Grace, _> = serde_json::from_str(json);
            read.map(|grace| grace.to_string()).map_err(|error| error.to_string())
        };
        for (json, shown) in
            [("0", "0s"), ("\"0s\"", "0s"), ("\"0 d\"", "0s"), ("90", "90s"), ("\"7d\"", "168h")]
        {
            assert_eq!(grace(json).unwrap(), shown, "{json}");
        }
        for json in ["-1", "\"0y\"", "\"\"", "\"s\"", "false"] {
            assert!(grace(json).unwrap_err().contains("\"7d\""), "{json}");
        }
        assert!(grace("\"36501d\"").unwrap_err().starts_with("is too large"));
    }

    #[test]
    fn sizes_are_read_and_written_in_the_largest_unit() {
        for (json, shown) in
            [("1000", "1000B"), ("1024", "1KiB"), ("\"10MiB\"", "10MiB"), ("\"2 GiB\"", "2GiB")]
        {
            assert_eq!(size(json).unwrap().to_string(), shown, "{json}");
        }
    }

    #[test]
    fn other_texts_are_refused_with_examples() {
        for json in ["0", "\"0s\"", "-1", "1.5", "\"s\"", "\"5y\"", "\"\"", "true"] {
            assert!(span(json).unwrap_err().contains("\"30s\""), "{json}");
        }
        for json in ["0", "\"10MB\"", "[]"] {
            assert!(size(json).unwrap_err().contains("\"10MiB\""), "{json}");
        }
    }

    #[test]
    fn what_is_too_large_is_told_so() {
        for json in ["\"36501d\"", "\"999999999999d\"", "\"99999999999999999999s\""] {
            assert!(span(json).unwrap_err().starts_with("is too large"), "{json}");
        }
        assert!(size("\"99999999999GiB\"").unwrap_err().starts_with("is too large"));
        assert_eq!(span("\"36500d\"").unwrap().to_string(), "876000h");
    }
}
