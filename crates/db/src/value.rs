//! The four kinds of values that exist on both engines, and how Rust types map to them.

use std::fmt;

/// The column types of this layer. Times are `Integer` (Unix ms); JSON and bytes are `Text`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ValueType {
    /// TEXT
    Text,
    /// BIGINT
    Integer,
    /// BOOLEAN
    Boolean,
    /// DOUBLE PRECISION
    Real,
}

impl ValueType {
    pub(crate) fn sql_name(self) -> &'static str {
        match self {
            Self::Text => "TEXT",
            Self::Integer => "BIGINT",
            Self::Boolean => "BOOLEAN",
            Self::Real => "DOUBLE PRECISION",
        }
    }
}

/// One parameter on its way to the engine. NULL keeps its type: PostgreSQL refuses a NULL of the
/// wrong one, so SQLite must not be the only engine that a statement was tried on.
#[derive(Clone, Copy, PartialEq)]
pub enum Param<'a> {
    /// Text without NUL characters.
    Text(&'a str),
    /// A 64-bit integer.
    Integer(i64),
    /// A boolean.
    Boolean(bool),
    /// A float that is a number.
    Real(f64),
    /// NULL of a type.
    Null(ValueType),
}

impl Param<'_> {
    pub(crate) fn value_type(self) -> ValueType {
        match self {
            Self::Text(_) => ValueType::Text,
            Self::Integer(_) => ValueType::Integer,
            Self::Boolean(_) => ValueType::Boolean,
            Self::Real(_) => ValueType::Real,
            Self::Null(value_type) => value_type,
        }
    }

    /// Why the engines would disagree about this value, if they would.
    pub(crate) fn problem(self) -> Option<&'static str> {
        match self {
            Self::Text(text) if text.as_bytes().contains(&0) => {
                Some("text with a NUL character cannot be stored")
            }
            Self::Real(number) if number.is_nan() => {
                Some("a float that is not a number cannot be stored")
            }
            _ => None,
        }
    }
}

impl fmt::Debug for Param<'_> {
    /// Shows the type alone: parameters never reach a log.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Param({})", self.value_type().sql_name())
    }
}

/// A Rust value that can be a parameter.
pub trait ToValue {
    /// The value as a parameter.
    fn to_param(&self) -> Param<'_>;
}

/// The column type of a Rust type: what `Option::<T>::None` is a NULL of.
pub trait Typed {
    /// The column type.
    const TYPE: ValueType;
}

/// A Rust type that can be read from a column.
pub trait FromValue: Sized {
    /// Converts the value, or says what was expected ("an integer"). The reason must not show the
    /// value.
    fn from_value(value: &Value) -> Result<Self, &'static str>;
}

/// One stored value.
#[derive(Clone, PartialEq)]
pub enum Value {
    /// NULL.
    Null,
    /// TEXT.
    Text(String),
    /// BIGINT; on SQLite booleans too, which it stores as 0 and 1.
    Integer(i64),
    /// BOOLEAN.
    Boolean(bool),
    /// DOUBLE PRECISION.
    Real(f64),
}

impl fmt::Debug for Value {
    /// Shows the type alone: stored values never reach a log.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Null => "Null",
            Self::Text(_) => "Text",
            Self::Integer(_) => "Integer",
            Self::Boolean(_) => "Boolean",
            Self::Real(_) => "Real",
        })
    }
}

/// Declares the mapping of one Rust type to a parameter.
macro_rules! to_value {
    ($rust:ty, $variant:ident, |$value:ident| $param:expr) => {
        impl ToValue for $rust {
            fn to_param(&self) -> Param<'_> {
                let $value = self;
                Param::$variant($param)
            }
        }

        impl Typed for $rust {
            const TYPE: ValueType = ValueType::$variant;
        }
    };
}

to_value!(str, Text, |value| value);
to_value!(String, Text, |value| value.as_str());
to_value!(i64, Integer, |value| *value);
to_value!(i32, Integer, |value| i64::from(*value));
to_value!(u32, Integer, |value| i64::from(*value));
to_value!(bool, Boolean, |value| *value);
to_value!(f64, Real, |value| *value);

impl<T: ToValue + ?Sized> ToValue for &T {
    fn to_param(&self) -> Param<'_> {
        (**self).to_param()
    }
}

impl<T: Typed + ?Sized> Typed for &T {
    const TYPE: ValueType = T::TYPE;
}

impl<T: ToValue + Typed> ToValue for Option<T> {
    fn to_param(&self) -> Param<'_> {
        self.as_ref().map_or(Param::Null(T::TYPE), ToValue::to_param)
    }
}

impl<T: Typed> Typed for Option<T> {
    const TYPE: ValueType = T::TYPE;
}

impl FromValue for String {
    fn from_value(value: &Value) -> Result<Self, &'static str> {
        match value {
            Value::Text(text) => Ok(text.clone()),
            _ => Err("text"),
        }
    }
}

impl FromValue for i64 {
    fn from_value(value: &Value) -> Result<Self, &'static str> {
        match value {
            Value::Integer(number) => Ok(*number),
            _ => Err("an integer"),
        }
    }
}

impl FromValue for bool {
    fn from_value(value: &Value) -> Result<Self, &'static str> {
        match value {
            Value::Boolean(flag) => Ok(*flag),
            Value::Integer(0) => Ok(false),
            Value::Integer(1) => Ok(true),
            _ => Err("a boolean"),
        }
    }
}

impl FromValue for f64 {
    fn from_value(value: &Value) -> Result<Self, &'static str> {
        match value {
            Value::Real(number) => Ok(*number),
            _ => Err("a float"),
        }
    }
}

impl<T: FromValue> FromValue for Option<T> {
    fn from_value(value: &Value) -> Result<Self, &'static str> {
        match value {
            Value::Null => Ok(None),
            present => T::from_value(present).map(Some),
        }
    }
}
