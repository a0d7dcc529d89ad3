//! From the bytes of a request to the typed input of an action.
//!
//! POST bodies are JSON objects whatever their content type; an empty body is `{}`. Query strings
//! are objects of strings in which the last of equal keys wins; numbers and booleans are read from
//! their text. `{param}` segments of the path join the input and win over fields of the same name.

use std::borrow::Cow;
use std::sync::OnceLock;

use bytes::Bytes;
use downcity_types::ErrorCode;
use serde::de::value::MapDeserializer;
use serde::de::{DeserializeOwned, IntoDeserializer, Visitor};
use serde::{Deserialize, Deserializer, forward_to_deserialize_any};
use serde_json::value::RawValue;
use serde_json::{Map, Value};

use crate::form::FormFile;
use crate::{Error, Result};

/// The `{param}` segments of a path by name, decoded.
pub(crate) type PathParams = Vec<(String, String)>;

/// Where the input of a call comes from.
#[derive(Default)]
pub(crate) struct InputSource {
    /// The JSON body, or empty.
    pub(crate) body: Bytes,
    /// The query string of a GET.
    pub(crate) query: Option<Box<str>>,
    /// `{param}` segments of the path.
    pub(crate) params: PathParams,
    /// The files of a form, whose fields are the body.
    pub(crate) files: Vec<FormFile>,
    /// What a hook put in place of the input.
    changed: Option<Value>,
    /// The city that the body names, where it is known already.
    pub(crate) known_city: Option<Option<String>>,
    parsed: OnceLock<Value>,
}

impl InputSource {
    pub(crate) fn with_params(params: PathParams) -> Self {
        Self { params, ..Self::default() }
    }

    pub(crate) fn replace(&mut self, input: Value) {
        self.changed = Some(input);
    }

    pub(crate) fn is_changed(&self) -> bool {
        self.changed.is_some()
    }

    /// The input as JSON. Dispatch has already refused input that does not parse.
    pub(crate) fn value(&self) -> &Value {
        if let Some(changed) = &self.changed {
            return changed;
        }
        self.parsed.get_or_init(|| self.parse().unwrap_or(Value::Null))
    }

    fn parse(&self) -> Result<Value> {
        let mut map = match &self.query {
            Some(query) => query_pairs(query)
                .into_iter()
                .map(|(key, value)| (key.into_owned(), Value::String(value.into_owned())))
                .collect(),
            None => json::<Map<String, Value>>(self.body_or_empty())?,
        };
        for (name, value) in &self.params {
            map.insert(name.clone(), Value::String(value.clone()));
        }
        Ok(Value::Object(map))
    }

    fn body_or_empty(&self) -> &[u8] {
        if self.body.iter().all(u8::is_ascii_whitespace) { b"{}" } else { &self.body }
    }

    /// The bytes of the input as a JSON object, for handlers that read it themselves.
    pub(crate) fn object_bytes(&self) -> Result<Bytes> {
        if self.changed.is_none() && self.query.is_none() && self.params.is_empty() {
            json::<&RawValue>(self.body_or_empty())?;
            return Ok(if self.body.is_empty() {
                Bytes::from_static(b"{}")
            } else {
                self.body.clone()
            });
        }
        let value = match &self.changed {
            Some(changed) => changed.clone(),
            None => self.parse()?,
        };
        serde_json::to_vec(&value).map(Bytes::from).map_err(Error::internal)
    }

    /// Decodes into the input type of the action.
    pub(crate) fn decode<T: DeserializeOwned>(&self) -> Result<T> {
        if let Some(changed) = &self.changed {
            return typed(changed.clone());
        }
        if let Some(query) = &self.query {
            let mut pairs = query_pairs(query);
            for (name, value) in &self.params {
                pairs.retain(|(key, _)| key != name);
                pairs.push((Cow::Borrowed(name), Cow::Borrowed(value)));
            }
            let pairs = pairs.into_iter().map(|(key, value)| (key, QueryText(value)));
            return typed(MapDeserializer::new(pairs));
        }
        if self.params.is_empty() { json(self.body_or_empty()) } else { typed(self.parse()?) }
    }

    /// The `city_id` of the input where it is a non-empty string; anything else is ignored.
    pub(crate) fn city_id(&self) -> Result<Option<Cow<'_, str>>> {
        if let Some((_, id)) = self.params.iter().find(|(name, _)| name == "city_id") {
            return Ok(non_blank(Cow::Borrowed(id)));
        }
        if let Some(query) = &self.query {
            let pair = query_pairs(query).into_iter().find(|(key, _)| key == "city_id");
            return Ok(pair.and_then(|(_, value)| non_blank(value)));
        }
        if let Some(known) = &self.known_city {
            return Ok(known.as_deref().map(Cow::Borrowed));
        }
        // Most bodies name no city: a look for the key's text saves a pass of the parser. Only a key
        // in escapes (`"city\u005fid"`) looks different.
        if memchr::memmem::find(&self.body, b"city_id").is_none()
            && memchr::memmem::find(&self.body, b"\\u").is_none()
        {
            return Ok(None);
        }
        #[derive(Deserialize)]
        struct Peek<'a> {
            #[serde(borrow, default)]
            city_id: Option<&'a RawValue>,
        }
        let peek: Peek<'_> = json(self.body_or_empty())?;
        let id = peek.city_id.and_then(|raw| serde_json::from_str::<String>(raw.get()).ok());
        Ok(id.and_then(|id| non_blank(Cow::Owned(id))))
    }
}

fn non_blank(text: Cow<'_, str>) -> Option<Cow<'_, str>> {
    let trimmed = text.trim();
    if trimmed.is_empty() {
        return None;
    }
    Some(if trimmed.len() == text.len() { text } else { Cow::Owned(trimmed.to_owned()) })
}

/// Parses JSON; the path of the field is looked for only after a failure.
pub(crate) fn json<'a, T: Deserialize<'a>>(bytes: &'a [u8]) -> Result<T> {
    if let Ok(value) = serde_json::from_slice(bytes) {
        return if is_object(bytes) { Ok(value) } else { Err(not_an_object()) };
    }
    let mut deserializer = serde_json::Deserializer::from_slice(bytes);
    match serde_path_to_error::deserialize::<_, T>(&mut deserializer) {
        Ok(_) => {
            Err(Error::new(ErrorCode::InvalidJson, "The body has text after its JSON object."))
        }
        Err(error) if error.inner().is_data() => {
            if is_object(bytes) {
                Err(field_error(&error))
            } else {
                Err(not_an_object())
            }
        }
        Err(error) => Err(Error::new(
            ErrorCode::InvalidJson,
            format!(
                "The body is not valid JSON (line {}, column {}).",
                error.inner().line(),
                error.inner().column()
            ),
        )),
    }
}

fn is_object(bytes: &[u8]) -> bool {
    bytes.iter().find(|byte| !byte.is_ascii_whitespace()) == Some(&b'{')
}

fn not_an_object() -> Error {
    Error::new(ErrorCode::InvalidJson, "The body has to be a JSON object.")
}

fn typed<'de, T: DeserializeOwned, D>(deserializer: D) -> Result<T>
where
    D: Deserializer<'de>,
    D::Error: std::fmt::Display,
{
    serde_path_to_error::deserialize(deserializer).map_err(|error| field_error(&error))
}

fn field_error<E: std::fmt::Display>(error: &serde_path_to_error::Error<E>) -> Error {
    let message = error.inner().to_string();
    // serde_json adds the place in the body, which the path says better.
    let message = message.split(" at line ").next().unwrap_or_default().to_owned();
    let path = error.path().to_string();
    // Missing and repeated fields are reported at their parent: name the field itself.
    let named = |begin: &str| message.strip_prefix(begin)?.strip_suffix('`');
    let own = named("missing field `")
        .map(|field| (field, "is required"))
        .or_else(|| named("duplicate field `").map(|field| (field, "is given more than once")));
    match (own, path.as_str()) {
        (Some((field, said)), ".") => Error::invalid(field.to_owned(), said),
        (Some((field, said)), parent) => Error::invalid(format!("{parent}.{field}"), said),
        (None, ".") => Error::invalid("", in_plain_words(message)),
        (None, _) => Error::invalid(path, in_plain_words(message)),
    }
}

/// Says what was expected without the names of Rust types.
fn in_plain_words(message: String) -> String {
    // What stands before is what was sent, which may hold the same words.
    let Some((sent, wanted)) = message.rsplit_once(", expected ") else { return message };
    let plain = match wanted {
        "u8" | "u16" | "u32" | "u64" | "usize" => "a whole number of at least 0",
        "a nonzero u8" | "a nonzero u16" | "a nonzero u32" | "a nonzero u64" => {
            "a whole number of at least 1"
        }
        "i8" | "i16" | "i32" | "i64" | "isize" => "a whole number",
        "f32" | "f64" => "a number",
        "a sequence" => "a list",
        "a map" => "an object",
        "a boolean" => "true or false",
        "a string" | "a borrowed string" => "a text",
        _ if wanted.starts_with("struct ") => "an object",
        _ => return message,
    };
    format!("{sent}, expected {plain}")
}

pub(crate) fn query_pairs(query: &str) -> Vec<(Cow<'_, str>, Cow<'_, str>)> {
    let mut pairs: Vec<(Cow<'_, str>, Cow<'_, str>)> = Vec::new();
    for (key, value) in form_urlencoded::parse(query.as_bytes()) {
        pairs.retain(|(earlier, _)| *earlier != key);
        pairs.push((key, value));
    }
    pairs
}

/// Text of a query that reads as whatever the field wants.
struct QueryText<'a>(Cow<'a, str>);

impl<'de> IntoDeserializer<'de, serde::de::value::Error> for QueryText<'de> {
    type Deserializer = Self;

    fn into_deserializer(self) -> Self {
        self
    }
}

macro_rules! parsed {
    ($($method:ident => $visit:ident),* $(,)?) => {$(
        fn $method<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Self::Error> {
            match self.0.parse() {
                Ok(value) => visitor.$visit(value),
                Err(_) => self.deserialize_any(visitor),
            }
        }
    )*};
}

impl<'de> Deserializer<'de> for QueryText<'de> {
    type Error = serde::de::value::Error;

    fn deserialize_any<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Self::Error> {
        match self.0 {
            Cow::Borrowed(text) => visitor.visit_borrowed_str(text),
            Cow::Owned(text) => visitor.visit_string(text),
        }
    }

    parsed! {
        deserialize_bool => visit_bool,
        deserialize_i8 => visit_i8, deserialize_i16 => visit_i16,
        deserialize_i32 => visit_i32, deserialize_i64 => visit_i64,
        deserialize_u8 => visit_u8, deserialize_u16 => visit_u16,
        deserialize_u32 => visit_u32, deserialize_u64 => visit_u64,
        deserialize_f32 => visit_f32, deserialize_f64 => visit_f64,
    }

    fn deserialize_option<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Self::Error> {
        visitor.visit_some(self)
    }

    fn deserialize_newtype_struct<V: Visitor<'de>>(
        self,
        _name: &'static str,
        visitor: V,
    ) -> Result<V::Value, Self::Error> {
        visitor.visit_newtype_struct(self)
    }

    fn deserialize_enum<V: Visitor<'de>>(
        self,
        _name: &'static str,
        _variants: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, Self::Error> {
        visitor.visit_enum(self.0.into_deserializer())
    }

    forward_to_deserialize_any! {
        i128 u128 char str string bytes byte_buf unit unit_struct seq tuple tuple_struct map struct
        identifier ignored_any
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Deserialize, Debug, PartialEq)]
    struct In {
        name: String,
        limit: Option<u32>,
        deep: Option<bool>,
    }

    fn body(text: &'static str) -> InputSource {
        InputSource { body: Bytes::from_static(text.as_bytes()), ..InputSource::default() }
    }

    fn query(text: &str) -> InputSource {
        InputSource { query: Some(text.into()), ..InputSource::default() }
    }

    #[test]
    fn a_query_reads_numbers_and_booleans_from_text_and_the_last_key_wins() {
        let input: In = query("name=a&limit=7&deep=true&name=b+c%21").decode().unwrap();
        assert_eq!(input, In { name: "b c!".into(), limit: Some(7), deep: Some(true) });
    }

    #[test]
    fn a_bad_field_is_named() {
        let error = query("name=a&limit=seven").decode::<In>().unwrap_err();
        assert_eq!(
            (error.code(), error.details()[0].path.as_str()),
            (ErrorCode::InvalidInput, "limit")
        );
        let error = body(r#"{"limit":3}"#).decode::<In>().unwrap_err();
        assert_eq!(error.message(), "name: is required");
        let error = body(r#"{"name":7}"#).decode::<In>().unwrap_err();
        assert_eq!(error.details()[0].path, "name");
    }

    #[test]
    fn faults_are_told_in_plain_words() {
        #[derive(Deserialize, Debug)]
        #[expect(dead_code, reason = "only read")]
        struct All {
            whole: Option<u64>,
            least: Option<std::num::NonZeroU32>,
            signed: Option<i64>,
            number: Option<f64>,
            list: Option<Vec<In>>,
        }
        for (text, path, end) in [
            (r#"{"whole":-1}"#, "whole", "expected a whole number of at least 0"),
            (r#"{"least":-1}"#, "least", "expected a whole number of at least 1"),
            (r#"{"least":0}"#, "least", "expected a whole number of at least 1"),
            (r#"{"signed":"expected u64"}"#, "signed", "expected a whole number"),
            (r#"{"number":[]}"#, "number", "expected a number"),
            (r#"{"list":7}"#, "list", "expected a list"),
            (r#"{"list":[7]}"#, "list[0]", "expected an object"),
            (r#"{"list":[{"name":7}]}"#, "list[0].name", "expected a text"),
            (r#"{"whole":1,"whole":2}"#, "whole", "is given more than once"),
            (r#"{"list":[{"name":"a","name":"b"}]}"#, "list[0].name", "is given more than once"),
        ] {
            let error = body(text).decode::<All>().unwrap_err();
            assert_eq!(error.details()[0].path, path, "{text}");
            assert!(error.message().ends_with(end), "{}", error.message());
        }
    }

    #[test]
    fn only_objects_pass_and_an_empty_body_is_one() {
        for text in ["[]", "null", "\"x\"", "{", "{} x", "nonsense"] {
            let error = body(text).decode::<Value>().unwrap_err();
            assert_eq!(error.code(), ErrorCode::InvalidJson, "{text}");
        }
        assert_eq!(body(" ").decode::<Value>().unwrap(), serde_json::json!({}));
    }

    #[test]
    fn the_city_of_the_input_is_found_and_trimmed() {
        let id = |source: &InputSource| source.city_id().unwrap().map(Cow::into_owned);
        assert_eq!(id(&body(r#"{"city_id":" a "}"#)).as_deref(), Some("a"));
        assert_eq!(id(&body(r#"{"city\u005fid":"a"}"#)).as_deref(), Some("a"));
        assert_eq!(id(&query("city_id=a&city_id=b")).as_deref(), Some("b"));
        assert_eq!(id(&body(r#"{"city_id":7}"#)), None);
        assert_eq!(id(&body(r#"{"city_id":"  "}"#)), None);
        assert_eq!(id(&body(r#"{"x":{"city_id":"a"}}"#)), None);
    }

    #[test]
    fn path_parameters_join_the_input() {
        let mut source = body(r#"{"name":"body","limit":1}"#);
        source.params.push(("name".into(), "path".into()));
        assert_eq!(source.decode::<In>().unwrap().name, "path");
        assert_eq!(source.value()["name"], "path");
    }
}
