//! Paging of lists: a lenient `limit` and an opaque `cursor`.

use std::fmt;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::{Deserialize, Deserializer, Serialize, de};

/// Longest cursor that is read, in bytes.
pub const CURSOR_MAX_LEN: usize = 4_096;

/// The `limit` and `cursor` of a list request. Works on a query string and on a JSON body.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize, JsonSchema)]
pub struct Page {
    /// How many records to return. A bad value means the default, one too high the maximum.
    #[serde(default)]
    pub limit: LimitParam,
    /// The `next_cursor` of the page before.
    #[serde(default)]
    pub cursor: Option<String>,
}

impl Page {
    /// The number of records to return: `default` when none or a bad one was asked for, and never
    /// more than `cap`.
    #[must_use]
    pub fn limit(&self, default: u32, cap: u32) -> u32 {
        self.limit.resolve(default, cap)
    }

    /// The position to read on from; `None` for the first page (no cursor, or an empty one).
    ///
    /// # Errors
    /// [`BadCursor`] if the text was not made by [`Cursor::encode`].
    pub fn cursor(&self) -> Result<Option<Cursor>, BadCursor> {
        match self.cursor.as_deref() {
            None | Some("") => Ok(None),
            Some(text) => Cursor::decode(text).map(Some),
        }
    }
}

/// A `limit` as it was sent. Reading it never fails: what is no positive whole number counts as absent.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct LimitParam(Option<u64>);

impl LimitParam {
    /// The limit to use; see [`Page::limit`].
    #[must_use]
    pub fn resolve(self, default: u32, cap: u32) -> u32 {
        self.0.map_or(default, |asked| u32::try_from(asked).unwrap_or(u32::MAX)).min(cap)
    }

    fn from_count(count: u64) -> Self {
        Self((count > 0).then_some(count))
    }

    fn from_text(text: &str) -> Self {
        let text = text.trim();
        if text.is_empty() || !text.bytes().all(|byte| byte.is_ascii_digit()) {
            return Self(None);
        }
        // Digits that overflow are a limit that is too high, not a bad one.
        Self::from_count(text.parse().unwrap_or(u64::MAX))
    }
}

impl<'de> Deserialize<'de> for LimitParam {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(LimitVisitor)
    }
}

struct LimitVisitor;

impl<'de> de::Visitor<'de> for LimitVisitor {
    type Value = LimitParam;

    fn expecting(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str("a positive whole number")
    }

    fn visit_bool<E>(self, _: bool) -> Result<LimitParam, E> {
        Ok(LimitParam(None))
    }

    fn visit_i64<E>(self, count: i64) -> Result<LimitParam, E> {
        Ok(LimitParam::from_count(u64::try_from(count).unwrap_or(0)))
    }

    fn visit_u64<E>(self, count: u64) -> Result<LimitParam, E> {
        Ok(LimitParam::from_count(count))
    }

    fn visit_f64<E>(self, count: f64) -> Result<LimitParam, E> {
        // The cast saturates; a negative number becomes zero, which counts as bad.
        let whole = count.is_finite() && count.fract() == 0.0;
        Ok(LimitParam::from_count(if whole { count as u64 } else { 0 }))
    }

    fn visit_str<E>(self, text: &str) -> Result<LimitParam, E> {
        Ok(LimitParam::from_text(text))
    }

    fn visit_none<E>(self) -> Result<LimitParam, E> {
        Ok(LimitParam(None))
    }

    fn visit_unit<E>(self) -> Result<LimitParam, E> {
        Ok(LimitParam(None))
    }

    fn visit_some<D: Deserializer<'de>>(self, inner: D) -> Result<LimitParam, D::Error> {
        inner.deserialize_any(self)
    }

    fn visit_seq<A: de::SeqAccess<'de>>(self, mut seq: A) -> Result<LimitParam, A::Error> {
        while seq.next_element::<de::IgnoredAny>()?.is_some() {}
        Ok(LimitParam(None))
    }

    fn visit_map<A: de::MapAccess<'de>>(self, mut map: A) -> Result<LimitParam, A::Error> {
        while map.next_entry::<de::IgnoredAny, de::IgnoredAny>()?.is_some() {}
        Ok(LimitParam(None))
    }
}

impl JsonSchema for LimitParam {
    fn inline_schema() -> bool {
        true
    }

    fn schema_name() -> std::borrow::Cow<'static, str> {
        "Limit".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({ "type": "integer", "minimum": 1 })
    }
}

/// A position in a sorted list: the sort values of its last record.
///
/// Callers see it as opaque text (base64url of a JSON array) and must not take it apart.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Cursor(Vec<CursorPart>);

/// One sort value of a [`Cursor`].
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(untagged)]
pub enum CursorPart {
    /// A number, such as a time in unix milliseconds.
    Int(i64),
    /// A text, such as an id.
    Text(String),
}

/// A cursor that this server did not make.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("cursor is not valid: send the next_cursor of the page before, or none to start again")]
pub struct BadCursor;

impl Cursor {
    /// A cursor of the given sort values.
    #[must_use]
    pub fn new(parts: impl IntoIterator<Item = CursorPart>) -> Self {
        Self(parts.into_iter().collect())
    }

    /// The opaque text.
    #[must_use]
    pub fn encode(&self) -> String {
        // Numbers and texts always have a JSON form, so the fallback is never taken.
        let json = serde_json::to_vec(&self.0).unwrap_or_default();
        URL_SAFE_NO_PAD.encode(json)
    }

    /// Reads the opaque text.
    ///
    /// # Errors
    /// [`BadCursor`] if it is longer than [`CURSOR_MAX_LEN`] or not of the form that
    /// [`Cursor::encode`] writes.
    pub fn decode(text: &str) -> Result<Self, BadCursor> {
        if text.len() > CURSOR_MAX_LEN {
            return Err(BadCursor);
        }
        let json = URL_SAFE_NO_PAD.decode(text).map_err(|_| BadCursor)?;
        serde_json::from_slice(&json).map(Self).map_err(|_| BadCursor)
    }

    /// The number at `index`.
    ///
    /// # Errors
    /// [`BadCursor`] if there is no number at this place.
    pub fn int(&self, index: usize) -> Result<i64, BadCursor> {
        match self.0.get(index) {
            Some(CursorPart::Int(number)) => Ok(*number),
            Some(CursorPart::Text(_)) | None => Err(BadCursor),
        }
    }

    /// The text at `index`.
    ///
    /// # Errors
    /// [`BadCursor`] if there is no text at this place.
    pub fn text(&self, index: usize) -> Result<&str, BadCursor> {
        match self.0.get(index) {
            Some(CursorPart::Text(text)) => Ok(text),
            Some(CursorPart::Int(_)) | None => Err(BadCursor),
        }
    }
}

impl From<i64> for CursorPart {
    fn from(number: i64) -> Self {
        Self::Int(number)
    }
}

impl From<String> for CursorPart {
    fn from(text: String) -> Self {
        Self::Text(text)
    }
}

impl From<&str> for CursorPart {
    fn from(text: &str) -> Self {
        Self::Text(text.to_owned())
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::{Value, json};

    use super::*;

    fn limit(value: Value) -> u32 {
        let page: Page = serde_json::from_value(json!({ "limit": value })).unwrap();
        page.limit(50, 200)
    }

    #[test]
    fn a_bad_limit_is_the_default_and_a_high_one_the_cap() {
        for bad in [
            json!(0),
            json!(-3),
            json!(1.5),
            json!(-1e30),
            json!("0"),
            json!("-3"),
            json!("+3"),
            json!("ten"),
            json!(""),
            json!("1.5"),
            json!(null),
            json!(true),
            json!([5]),
            json!({"a": [1, 2]}),
            json!("٣"),
        ] {
            assert_eq!(limit(bad.clone()), 50, "{bad}");
        }
        for high in [json!(201), json!(u64::MAX), json!(1e30), json!("99999999999999999999999")] {
            assert_eq!(limit(high.clone()), 200, "{high}");
        }
        for good in [json!(7), json!("7"), json!(" 7 "), json!(7.0), json!("007")] {
            assert_eq!(limit(good.clone()), 7, "{good}");
        }
        assert_eq!(Page::default().limit(50, 20), 20, "the cap holds for the default too");
    }

    #[test]
    fn cursors_are_opaque_and_typed() {
        let cursor = Cursor::new([1_750_000_000_000.into(), "city_ü".into()]);
        let text = cursor.encode();
        assert!(text.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-' || b == b'_'));
        let page: Page = serde_json::from_value(json!({ "cursor": text })).unwrap();
        let read = page.cursor().unwrap().unwrap();
        assert_eq!(read, cursor);
        assert_eq!((read.int(0), read.text(1)), (Ok(1_750_000_000_000), Ok("city_ü")));
        assert_eq!((read.int(1), read.text(0)), (Err(BadCursor), Err(BadCursor)));
        assert_eq!((read.int(2), read.text(2)), (Err(BadCursor), Err(BadCursor)));
    }

    #[test]
    fn foreign_cursors_are_refused_and_empty_ones_absent() {
        for bad in ["x", "e30", "bnVsbA", "WzEuNV0", "W1tdXQ", "W10=", "a b", "用户"] {
            assert_eq!(Cursor::decode(bad), Err(BadCursor), "{bad}");
        }
        assert_eq!(Cursor::decode(&"A".repeat(CURSOR_MAX_LEN + 1)), Err(BadCursor));
        let page = |cursor: Value| serde_json::from_value::<Page>(json!({ "cursor": cursor }));
        assert_eq!(page(json!("")).unwrap().cursor(), Ok(None));
        assert_eq!(page(json!(null)).unwrap().cursor(), Ok(None));
        assert!(page(json!(5)).is_err());
    }

    fn part() -> impl Strategy<Value = CursorPart> {
        prop_oneof![
            any::<i64>().prop_map(CursorPart::Int),
            any::<String>().prop_map(CursorPart::Text)
        ]
    }

    proptest! {
        #[test]
        fn cursors_round_trip(parts in prop::collection::vec(part(), 0..5)) {
            let cursor = Cursor::new(parts);
            let text = cursor.encode();
            let read = Cursor::decode(&text);
            prop_assert_eq!(read, if text.len() > CURSOR_MAX_LEN { Err(BadCursor) } else { Ok(cursor) });
        }

        #[test]
        fn any_text_is_a_cursor_or_an_error(text: String, bytes: Vec<u8>) {
            for text in [text, URL_SAFE_NO_PAD.encode(bytes)] {
                if let Ok(cursor) = Cursor::decode(&text) {
                    prop_assert_eq!(Cursor::decode(&cursor.encode()), Ok(cursor));
                }
            }
        }

        #[test]
        fn limits_stay_within_bounds(text: String, number: f64, default in 1..100_u32, cap in 1..100_u32) {
            for value in [json!(text), json!(number)] {
                let page: Page = serde_json::from_value(json!({ "limit": value })).unwrap();
                prop_assert!((1..=cap).contains(&page.limit(default, cap)));
            }
        }
    }
}
