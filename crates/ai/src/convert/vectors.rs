//! The two ways in which answers with embeddings write vectors.
//!
//! Some providers know only one of them and take no notice of what was asked for.

use std::borrow::Cow;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use serde::Deserialize;
use serde_json::value::{RawValue, to_raw_value};

use crate::failure::Failure;
use crate::outgoing::Fields;
use crate::scan::has_field;

/// How vectors are written.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Encoding {
    /// A list of numbers.
    Float,
    /// A text: 32-bit floats, little endian, in base64.
    Base64,
}

impl Encoding {
    /// By its name; providers may know more.
    pub(crate) fn of(name: &str) -> Option<Self> {
        match name {
            "float" => Some(Self::Float),
            "base64" => Some(Self::Base64),
            _ => None,
        }
    }

    /// An answer with its vectors written like this; `None` where they are already. All else stays
    /// as it is.
    ///
    /// # Errors
    /// [`Failure::Unreadable`] for vectors that are none.
    pub(crate) fn written(self, answer: &[u8]) -> Result<Option<Bytes>, Failure> {
        let other = match self {
            Self::Float => b"\"",
            Self::Base64 => b"[",
        };
        if !has_field(answer, "\"embedding\"", other) {
            return Ok(None);
        }
        let unreadable = || Failure::Unreadable("vectors that are none".to_owned());
        self.rewritten(answer).map(Some).ok_or_else(unreadable)
    }

    fn rewritten(self, answer: &[u8]) -> Option<Bytes> {
        let mut answer: Fields<'_> = serde_json::from_slice(answer).ok()?;
        let items: Vec<Fields<'_>> = serde_json::from_str(answer.get("data")?.get()).ok()?;
        let mut data = Vec::with_capacity(items.len());
        for mut item in items {
            let vector = item.get("embedding")?.get();
            let written = if vector.starts_with('[') == (self == Self::Base64) {
                self.vector(vector)?
            } else {
                RawValue::from_string(vector.to_owned()).ok()?
            };
            item.set("embedding", Cow::Owned(written));
            let item = String::from_utf8(item.write().into()).ok()?;
            data.push(RawValue::from_string(item).ok()?);
        }
        let data = to_raw_value(&data).ok()?;
        answer.set("data", Cow::Owned(data));
        Some(answer.write())
    }

    /// A vector that is written in the other way.
    fn vector(self, written: &str) -> Option<Box<RawValue>> {
        match self {
            Self::Base64 => {
                let vector: Vec<f32> = serde_json::from_str(written).ok()?;
                to_raw_value(&base64_of(&vector)).ok()
            }
            Self::Float => {
                let text: Cow<'_, str> = serde_json::from_str(written).ok()?;
                let bytes = STANDARD.decode(text.as_bytes()).ok()?;
                let (numbers, rest) = bytes.as_chunks::<4>();
                let vector: Vec<f32> = numbers.iter().map(|x| f32::from_le_bytes(*x)).collect();
                let is_one = rest.is_empty() && vector.iter().all(|number| number.is_finite());
                if is_one { to_raw_value(&vector).ok() } else { None }
            }
        }
    }
}

/// A vector as 32-bit floats, little endian, in base64.
pub(crate) fn base64_of(vector: &[f32]) -> String {
    let bytes: Vec<u8> = vector.iter().flat_map(|number| number.to_le_bytes()).collect();
    STANDARD.encode(bytes)
}
