//! Values in the text format of PostgreSQL's COPY, in which every type of a column has one form.

use rusqlite::types::{Value, ValueRef};

/// What a column of the server holds, as far as the two engines store it in different ways.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    Integer,
    Boolean,
    Real,
    Bytes,
    /// Text, and everything that stands in SQLite as text.
    Text,
}

impl Kind {
    /// By the name that the server has for the type.
    pub(super) fn of(name: &str) -> Self {
        match name {
            "int2" | "int4" | "int8" => Self::Integer,
            "bool" => Self::Boolean,
            "float4" | "float8" => Self::Real,
            "bytea" => Self::Bytes,
            _ => Self::Text,
        }
    }
}

/// The value of one field of a line.
///
/// # Errors
/// Why SQLite cannot hold it.
pub(super) fn decode(field: &[u8], kind: Kind) -> Result<Value, &'static str> {
    if field == b"\\N" {
        return Ok(Value::Null);
    }
    let text = String::from_utf8(unescaped(field)).map_err(|_| "the text is not UTF-8")?;
    match kind {
        Kind::Text => Ok(Value::Text(text)),
        Kind::Integer => text.parse().map(Value::Integer).map_err(|_| "this is not an integer"),
        Kind::Boolean => match &*text {
            "t" => Ok(Value::Integer(1)),
            "f" => Ok(Value::Integer(0)),
            _ => Err("this is not a boolean"),
        },
        Kind::Real => match text.parse::<f64>() {
            Ok(number) if number.is_nan() => {
                Err("a float that is not a number cannot be stored in SQLite")
            }
            Ok(number) => Ok(Value::Real(number)),
            Err(_) => Err("this is not a number"),
        },
        Kind::Bytes => bytes_of(&text).map(Value::Blob).ok_or("these are not bytes"),
    }
}

/// Appends a value as one field.
///
/// # Errors
/// Why PostgreSQL cannot hold it in a column of this kind.
pub(super) fn encode(
    value: ValueRef<'_>,
    kind: Kind,
    out: &mut Vec<u8>,
) -> Result<(), &'static str> {
    match (value, kind) {
        (ValueRef::Null, _) => out.extend_from_slice(b"\\N"),
        (ValueRef::Integer(0), Kind::Boolean) => out.push(b'f'),
        (ValueRef::Integer(1), Kind::Boolean) => out.push(b't'),
        (_, Kind::Boolean) => return Err("this is not a boolean"),
        (ValueRef::Integer(number), Kind::Integer | Kind::Real | Kind::Text) => {
            out.extend_from_slice(number.to_string().as_bytes());
        }
        // The shortest text that is this number again.
        (ValueRef::Real(number), Kind::Real | Kind::Text) => {
            out.extend_from_slice(format!("{number:?}").as_bytes());
        }
        (ValueRef::Text(text), Kind::Text) => {
            std::str::from_utf8(text).map_err(|_| "the text is not UTF-8")?;
            escape(text, out)?;
        }
        (ValueRef::Blob(bytes) | ValueRef::Text(bytes), Kind::Bytes) => {
            out.extend_from_slice(b"\\\\x");
            out.extend(bytes.iter().flat_map(|byte| [digit(byte >> 4), digit(byte & 15)]));
        }
        (_, Kind::Integer) => return Err("this is not an integer"),
        (_, Kind::Real) => return Err("this is not a number"),
        (ValueRef::Blob(_), Kind::Text) => return Err("these are bytes, not text"),
        (_, Kind::Bytes) => return Err("these are not bytes"),
    }
    Ok(())
}

/// The fields of a line, without its end.
pub(super) fn fields(line: &[u8]) -> impl Iterator<Item = &[u8]> {
    line.split(|byte| *byte == b'\t')
}

fn escape(text: &[u8], out: &mut Vec<u8>) -> Result<(), &'static str> {
    for byte in text {
        match byte {
            0 => return Err("text with a NUL character cannot be stored in PostgreSQL"),
            b'\\' => out.extend_from_slice(b"\\\\"),
            b'\n' => out.extend_from_slice(b"\\n"),
            b'\r' => out.extend_from_slice(b"\\r"),
            b'\t' => out.extend_from_slice(b"\\t"),
            other => out.push(*other),
        }
    }
    Ok(())
}

fn unescaped(field: &[u8]) -> Vec<u8> {
    let mut out = Vec::with_capacity(field.len());
    let mut rest = field.iter();
    while let Some(byte) = rest.next() {
        out.push(match byte {
            b'\\' => match rest.next() {
                Some(b'b') => 8,
                Some(b't') => b'\t',
                Some(b'n') => b'\n',
                Some(b'v') => 11,
                Some(b'f') => 12,
                Some(b'r') => b'\r',
                Some(other) => *other,
                None => b'\\',
            },
            other => *other,
        });
    }
    out
}

fn digit(four: u8) -> u8 {
    b"0123456789abcdef"[usize::from(four)]
}

fn bytes_of(text: &str) -> Option<Vec<u8>> {
    let digits = text.strip_prefix("\\x")?.as_bytes();
    let value = |digit: u8| char::from(digit).to_digit(16).and_then(|four| u8::try_from(four).ok());
    digits.chunks(2).map(|pair| Some(value(pair[0])? << 4 | value(*pair.get(1)?)?)).collect()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn there_and_back(value: &Value, kind: Kind) -> Value {
        let mut line = Vec::new();
        encode(ValueRef::from(value), kind, &mut line).unwrap();
        assert!(!line.contains(&b'\n') && !line.contains(&b'\t'));
        decode(&line, kind).unwrap()
    }

    proptest! {
        #[test]
        fn texts_stay(text in "[^\0]*") {
            let value = Value::Text(text);
            prop_assert_eq!(there_and_back(&value, Kind::Text), value);
        }

        #[test]
        fn bytes_stay(bytes: Vec<u8>) {
            let value = Value::Blob(bytes);
            prop_assert_eq!(there_and_back(&value, Kind::Bytes), value);
        }

        #[test]
        fn numbers_stay(integer: i64, real in proptest::num::f64::NORMAL) {
            let (integer, real) = (Value::Integer(integer), Value::Real(real));
            prop_assert_eq!(there_and_back(&integer, Kind::Integer), integer);
            prop_assert_eq!(there_and_back(&real, Kind::Real), real);
        }
    }

    #[test]
    fn edges_stay() {
        for (value, kind) in [
            (Value::Null, Kind::Text),
            (Value::Null, Kind::Integer),
            (Value::Text("\\N".to_owned()), Kind::Text),
            (Value::Text(String::new()), Kind::Text),
            (Value::Text("\\.".to_owned()), Kind::Text),
            (Value::Text("a\\tb\tc\r\nd\u{1}\u{7f}\u{200d}\u{1f9d1}".to_owned()), Kind::Text),
            (Value::Integer(i64::MIN), Kind::Integer),
            (Value::Integer(i64::MAX), Kind::Integer),
            (Value::Integer(0), Kind::Boolean),
            (Value::Integer(1), Kind::Boolean),
            (Value::Real(f64::INFINITY), Kind::Real),
            (Value::Real(5e-324), Kind::Real),
        ] {
            assert_eq!(there_and_back(&value, kind), value);
        }
    }

    #[test]
    fn what_one_engine_cannot_hold_is_refused() {
        let mut line = Vec::new();
        for (value, kind, why) in [
            (Value::Text("a\0b".to_owned()), Kind::Text, "NUL"),
            (Value::Integer(2), Kind::Boolean, "boolean"),
            (Value::Text("1".to_owned()), Kind::Integer, "integer"),
            (Value::Real(0.5), Kind::Integer, "integer"),
            (Value::Text("1".to_owned()), Kind::Real, "number"),
            (Value::Blob(vec![1]), Kind::Text, "bytes"),
        ] {
            let refused = encode(ValueRef::from(&value), kind, &mut line).unwrap_err();
            assert!(refused.contains(why), "{refused}");
        }
        assert!(encode(ValueRef::Text(&[0xff]), Kind::Text, &mut line).is_err());
        assert!(decode(b"NaN", Kind::Real).unwrap_err().contains("not a number"));
    }
}
