//! The tenant field under all of its names: one field on the way in, the caller's name on the way
//! out.
//!
//! Bodies are split into their top-level fields; values are copied byte by byte, so numbers and
//! texts arrive as they were written. What names no tenant is not even parsed.

use std::borrow::Cow;

use bytes::Bytes;
use downcity_types::ErrorCode;
use memchr::memmem;
use serde::de::{MapAccess, Visitor};
use serde::{Deserialize, Deserializer};
use serde_json::value::RawValue;

use crate::decode::{InputSource, json, query_pairs};
use crate::{Dialect, Error, Result};

/// The name that handlers see.
const CITY_ID: &str = "city_id";

/// The names of other generations, and whose words they are. `town_id` and `bay_id` were short-lived.
const OLDER: [(&str, Dialect); 4] = [
    ("studio_id", Dialect::Gate),
    ("product_id", Dialect::VisibleBase),
    ("town_id", Dialect::City),
    ("bay_id", Dialect::City),
];

/// What the ids of the first tenants of other generations end with.
const DEFAULT_SUFFIX: &str = "_downcity";

/// Which names count, and what an id stands for.
pub(crate) struct Tenants<'a> {
    /// Whether the names of other generations count as well.
    pub(crate) all_names: bool,
    /// The id by which a tenant is stored, where that is another one than was sent.
    pub(crate) stored_as: &'a dyn Fn(&str) -> Option<&'static str>,
}

impl Tenants<'_> {
    fn is_name(&self, name: &str) -> bool {
        name == CITY_ID || self.is_older(name)
    }

    fn is_older(&self, name: &str) -> bool {
        self.all_names && OLDER.iter().any(|(older, _)| *older == name)
    }

    /// Makes all names of the tenant field `city_id`. Says whose name was used, when it was one of
    /// another generation alone.
    ///
    /// # Errors
    /// 400 when several names hold different ids, or the body is no JSON object.
    pub(crate) fn unite(&self, input: &mut InputSource) -> Result<Option<Dialect>> {
        for (name, value) in &mut input.params {
            if name == CITY_ID
                && let Some(stored) = (self.stored_as)(value.trim())
            {
                stored.clone_into(value);
            }
        }
        match &input.query {
            Some(query) => {
                let (heard, query) = self.unite_query(query)?;
                if let Some(query) = query {
                    input.query = Some(query.into());
                }
                Ok(heard)
            }
            None => {
                let Some(united) = self.unite_body(&input.body)? else { return Ok(None) };
                if let Some(body) = united.body {
                    input.body = body;
                }
                input.known_city = Some(united.city_id);
                Ok(united.words)
            }
        }
    }

    fn unite_query(&self, query: &str) -> Result<(Option<Dialect>, Option<String>)> {
        if query.is_empty() {
            return Ok((None, None));
        }
        let mut pairs = query_pairs(query);
        let mut found = Found::default();
        for (name, value) in pairs.iter().filter(|(name, _)| self.is_name(name)) {
            found.add(name, value.trim(), value.trim().is_empty())?;
        }
        let Some(id) = found.id.clone() else {
            return Ok((found.words(), None));
        };
        let stored = (self.stored_as)(&id);
        if !found.older && stored.is_none() {
            return Ok((None, None));
        }
        pairs.retain(|(name, _)| !self.is_name(name));
        pairs.push((CITY_ID.into(), stored.unwrap_or(&id).into()));
        let united = form_urlencoded::Serializer::new(String::new()).extend_pairs(&pairs).finish();
        Ok((found.words(), Some(united)))
    }

    /// `None` when the body was not looked into, or is for the action to refuse.
    fn unite_body(&self, body: &[u8]) -> Result<Option<United>> {
        match self.look(body) {
            Look::NoTenant => return Ok(Some(United { words: None, body: None, city_id: None })),
            Look::AsHandlersRead => return Ok(None),
            Look::Closer => {}
        }
        let fields: Fields<'_> = json(body)?;
        let mut found = Found::default();
        // The first value that says something, as it is written.
        let mut written = None;
        for (name, value) in fields.0.iter().filter(|(name, _)| self.is_name(name)) {
            let text = text_of(value);
            let is_absent = match &text {
                Some(text) => text.is_empty(),
                None => value.get() == "null",
            };
            found.add(name, text.as_deref().unwrap_or(value.get()), is_absent)?;
            if !is_absent {
                written.get_or_insert(*value);
            }
        }
        if !found.older && found.count > 1 {
            return Ok(None);
        }
        let id = written.and_then(text_of);
        let stored = id.as_deref().and_then(self.stored_as);
        let city_id = stored.map(str::to_owned).or(id);
        if !found.older && stored.is_none() {
            return Ok(Some(United { words: None, body: None, city_id }));
        }
        let value = match stored {
            Some(stored) => Some(format!("\"{stored}\"")),
            None => written.map(|value| value.get().to_owned()),
        };
        let others = fields.0.iter().filter(|(name, _)| !self.is_name(name));
        let others = others.map(|(name, value)| (&**name, value.get()));
        let body = write(value.iter().map(|value| (CITY_ID, value.as_str())).chain(others));
        Ok(Some(United { words: found.words(), body: Some(body), city_id }))
    }

    /// Most bodies name no tenant: a look for the text of the keys saves a pass of the parser. Only a
    /// key in escapes looks different.
    fn look(&self, body: &[u8]) -> Look {
        if memmem::find(body, b"\\u").is_some() {
            return Look::Closer;
        }
        let mut has_city = false;
        for end in memmem::find_iter(body, b"_id\"") {
            let before = &body[..end + 3];
            has_city |= before.ends_with(CITY_ID.as_bytes());
            if self.all_names && OLDER.iter().any(|(name, _)| before.ends_with(name.as_bytes())) {
                return Look::Closer;
            }
        }
        if !has_city {
            Look::NoTenant
        } else if memmem::find(body, DEFAULT_SUFFIX.as_bytes()).is_some() {
            Look::Closer
        } else {
            Look::AsHandlersRead
        }
    }
}

/// What the bytes of a body say at a glance.
enum Look {
    /// It names none.
    NoTenant,
    /// It names one at most, in the way that handlers read.
    AsHandlersRead,
    /// It has to be parsed.
    Closer,
}

/// The text that a value holds, without the space around it.
fn text_of(value: &RawValue) -> Option<String> {
    let text: String = serde_json::from_str(value.get()).ok()?;
    Some(text.trim().to_owned())
}

/// A body whose names are one.
struct United {
    words: Option<Dialect>,
    /// In place of the body, where that is another.
    body: Option<Bytes>,
    /// The tenant that it names.
    city_id: Option<String>,
}

/// What the names of the tenant field hold.
#[derive(Default)]
struct Found {
    id: Option<String>,
    count: usize,
    older: bool,
    city: bool,
    heard: Option<Dialect>,
}

impl Found {
    fn add(&mut self, name: &str, value: &str, is_absent: bool) -> Result<()> {
        self.count += 1;
        match OLDER.iter().find(|(older, _)| *older == name) {
            Some((_, words)) => {
                self.older = true;
                self.heard.get_or_insert(*words);
            }
            None => self.city = true,
        }
        if is_absent {
            return Ok(());
        }
        match &self.id {
            Some(id) if id != value && (self.older || name != CITY_ID) => Err(Error::new(
                ErrorCode::ConflictingFields,
                "city_id, studio_id, product_id, town_id and bay_id are one field, and the \
                 request holds several values of it.",
            )
            .with_fix("Send one of them.")),
            Some(_) => Ok(()),
            None => {
                self.id = Some(value.to_owned());
                Ok(())
            }
        }
    }

    fn words(&self) -> Option<Dialect> {
        if self.city { None } else { self.heard }
    }
}

/// The top-level fields of a JSON object, in their order.
struct Fields<'a>(Vec<(Cow<'a, str>, &'a RawValue)>);

/// A name that is borrowed where it holds no escapes.
#[derive(Deserialize)]
#[serde(transparent)]
struct Name<'a>(#[serde(borrow)] Cow<'a, str>);

impl<'de> Deserialize<'de> for Fields<'de> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Object;
        impl<'de> Visitor<'de> for Object {
            type Value = Fields<'de>;

            fn expecting(&self, out: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                out.write_str("a JSON object")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Fields<'de>, A::Error> {
                let mut fields = Vec::with_capacity(16);
                while let Some((Name(name), value)) = map.next_entry::<Name<'de>, &RawValue>()? {
                    fields.push((name, value));
                }
                Ok(Fields(fields))
            }
        }
        deserializer.deserialize_map(Object)
    }
}

fn write<'a>(fields: impl Iterator<Item = (&'a str, &'a str)>) -> Bytes {
    let mut out = vec![b'{'];
    for (name, value) in fields {
        if out.len() > 1 {
            out.push(b',');
        }
        // Writing a text into memory cannot fail.
        let _ = serde_json::to_writer(&mut out, name);
        out.push(b':');
        out.extend_from_slice(value.as_bytes());
    }
    out.push(b'}');
    out.into()
}

/// The JSON of an answer with `city_id` under another name, at the top and in `items`. `None` when
/// there is nothing to change.
pub(crate) fn rename(words: Dialect, body: &[u8]) -> Option<Bytes> {
    if words == Dialect::City || memmem::find(body, CITY_ID.as_bytes()).is_none() {
        return None;
    }
    let fields: Fields<'_> = serde_json::from_slice(body).ok()?;
    let items = fields.0.iter().find(|(name, _)| name == "items").map(|(_, items)| *items);
    let items = items.and_then(|items| renamed_items(words, items));
    Some(write(fields.0.iter().map(|(name, value)| match (&**name, &items) {
        ("items", Some(items)) => ("items", items.as_str()),
        (name, _) => (renamed(words, name), value.get()),
    })))
}

fn renamed(words: Dialect, name: &str) -> &str {
    if name == CITY_ID { words.tenant_field() } else { name }
}

fn renamed_items(words: Dialect, items: &RawValue) -> Option<String> {
    let items: Vec<&RawValue> = serde_json::from_str(items.get()).ok()?;
    let mut out = String::from("[");
    for (index, item) in items.into_iter().enumerate() {
        if index > 0 {
            out.push(',');
        }
        match serde_json::from_str::<Fields<'_>>(item.get()) {
            Ok(fields) => {
                let fields =
                    fields.0.iter().map(|(name, value)| (renamed(words, name), value.get()));
                out.push_str(str::from_utf8(&write(fields)).ok()?);
            }
            Err(_) => out.push_str(item.get()),
        }
    }
    out.push(']');
    Some(out)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn unite(all_names: bool, body: &str) -> Result<(Option<Dialect>, Option<String>)> {
        let stored_as = |id: &str| (id == "studio_downcity").then_some("city_downcity");
        let tenants = Tenants { all_names, stored_as: &stored_as };
        let Some(united) = tenants.unite_body(body.as_bytes())? else { return Ok((None, None)) };
        let body = united.body.map(|body| String::from_utf8(body.to_vec()).unwrap());
        Ok((united.words, body))
    }

    #[test]
    fn all_names_are_one_field_and_the_rest_stays_as_it_was_written() {
        for (body, heard, united) in [
            (r#"{"city_id":"a"}"#, None, None),
            (r#"{"x":{"studio_id":"a"}}"#, None, None),
            (r#"{"x":"studio_id"}"#, None, None),
            (
                r#"{"n":1.50,"studio_id":" a ","m":[1e2]}"#,
                Some(Dialect::Gate),
                Some(r#"{"city_id":" a ","n":1.50,"m":[1e2]}"#),
            ),
            (r#"{"city_id":"a","product_id":"a"}"#, None, Some(r#"{"city_id":"a"}"#)),
            (
                r#"{"product_id":"","studio_id":null,"town_id":"a"}"#,
                Some(Dialect::VisibleBase),
                Some(r#"{"city_id":"a"}"#),
            ),
            (r#"{"studio_id":null}"#, Some(Dialect::Gate), Some("{}")),
            (r#"{"studio_id":7}"#, Some(Dialect::Gate), Some(r#"{"city_id":7}"#)),
            (r#"{"studio\u005fid":"a"}"#, Some(Dialect::Gate), Some(r#"{"city_id":"a"}"#)),
            (
                r#"{"studio_id":"studio_downcity"}"#,
                Some(Dialect::Gate),
                Some(r#"{"city_id":"city_downcity"}"#),
            ),
            (r#"{"city_id":"studio_downcity"}"#, None, Some(r#"{"city_id":"city_downcity"}"#)),
            (r#"{"bay_id":"a","bay_id":"a"}"#, Some(Dialect::City), Some(r#"{"city_id":"a"}"#)),
        ] {
            assert_eq!(unite(true, body).unwrap(), (heard, united.map(str::to_owned)), "{body}");
        }
    }

    #[test]
    fn different_ids_are_refused() {
        for body in [
            r#"{"city_id":"a","studio_id":"b"}"#,
            r#"{"studio_id":"a","city_id":"b"}"#,
            r#"{"studio_id":"a","studio_id":"b"}"#,
            r#"{"town_id":"a","bay_id":"b"}"#,
            r#"{"studio_id":"7","product_id":8}"#,
        ] {
            let error = unite(true, body).unwrap_err();
            assert_eq!(error.code(), ErrorCode::ConflictingFields, "{body}");
        }
    }

    #[test]
    fn elsewhere_only_city_id_counts() {
        assert_eq!(unite(false, r#"{"city_id":"a","studio_id":"b"}"#).unwrap(), (None, None));
    }

    #[test]
    fn a_query_is_united_as_a_body_is() {
        let tenants = Tenants { all_names: true, stored_as: &|_| None };
        let unite = |query: &str| tenants.unite_query(query).map(|(_, query)| query);
        assert_eq!(unite("studio_id=a+b&x=1").unwrap().as_deref(), Some("x=1&city_id=a+b"));
        assert_eq!(unite("city_id=a&x=1").unwrap(), None);
        assert_eq!(unite("studio%5Fid=a").unwrap().as_deref(), Some("city_id=a"));
        assert!(unite("studio_id=a&city_id=b").is_err());
    }

    #[test]
    fn answers_say_the_name_at_the_top_and_in_items() {
        let rename = |body: &str| {
            let renamed = rename(Dialect::Gate, body.as_bytes());
            renamed.map(|bytes| String::from_utf8(bytes.to_vec()).unwrap())
        };
        assert_eq!(
            rename(r#"{"items":[{"city_id":"a","n":1.50},7],"city_id":"b"}"#).as_deref(),
            Some(r#"{"items":[{"studio_id":"a","n":1.50},7],"studio_id":"b"}"#)
        );
        assert_eq!(rename(r#"{"x":1}"#), None);
        assert_eq!(rename("city_id"), None);
    }
}
