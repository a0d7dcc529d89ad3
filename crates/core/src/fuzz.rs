//! What has to hold for any bytes: targets for fuzzers, run by tests.

use std::collections::BTreeMap;
use std::fmt;

use bytes::Bytes;
use downcity_fuzz::check;
use downcity_types::ErrorCode;
use http::header::AUTHORIZATION;
use http::{HeaderMap, HeaderValue};
use serde::de::{Deserialize, Deserializer, MapAccess, Visitor};
use serde_json::{Map, Value};

use crate::decode::InputSource;
use crate::env::{Document, dotenv};
use crate::tenant::Tenants;
use crate::{idempotency, keys, token};

/// An input with a field of each kind.
#[derive(serde::Deserialize)]
struct Fields {
    #[serde(default)]
    city_id: Option<String>,
    #[serde(default, rename = "count")]
    _count: Option<i64>,
    #[serde(default, rename = "flag")]
    _flag: bool,
    #[serde(default, rename = "items")]
    _items: Vec<Option<f64>>,
    #[serde(default, rename = "nested")]
    _nested: Option<Box<Self>>,
}

/// What holds for an input wherever it comes from. The city that dispatch compares is the city that a
/// handler sees: whoever found an input with two would reach a city that is not theirs.
fn input(source: &InputSource) {
    let typed = source.decode::<Fields>();
    if let Err(error) = &typed {
        let code = error.code();
        assert!(matches!(code, ErrorCode::InvalidJson | ErrorCode::InvalidInput), "{error:?}");
        assert!(!error.message().is_empty());
    }
    let compared = source.city_id();
    let trimmed = |text: &str| Some(text.trim().to_owned()).filter(|text| !text.is_empty());
    if let Ok(Fields { city_id: Some(seen), .. }) = &typed {
        assert_eq!(compared.as_ref().unwrap().as_deref().map(str::to_owned), trimmed(seen));
    }
    // Handlers may also read the input as JSON, and pass it on as bytes.
    let Ok(compared) = compared else { return };
    if let Some(seen) = source.value().get("city_id").and_then(Value::as_str) {
        assert_eq!(compared.as_deref().map(str::to_owned), trimmed(seen));
    }
    if let Ok(bytes) = source.object_bytes()
        && let Ok(map) = serde_json::from_slice::<Map<String, Value>>(&bytes)
        && let Some(seen) = map.get("city_id").and_then(Value::as_str)
    {
        assert_eq!(compared.as_deref().map(str::to_owned), trimmed(seen));
    }
}

fn body(bytes: &[u8]) {
    let mut source = InputSource::default();
    source.body = Bytes::copy_from_slice(bytes);
    input(&source);
}

/// Whatever names the tenant has: one is left, its value is one that was sent or stands for one, and
/// what is compared is what a handler sees.
fn names(source: &mut InputSource) {
    let stored_as = |id: &str| (id == "bay_downcity").then_some("city_downcity");
    let sent = unread(source);
    let tenants = Tenants { all_names: true, stored_as: &stored_as };
    if let Err(error) = tenants.unite(source) {
        let code = error.code();
        assert!(
            matches!(
                code,
                ErrorCode::InvalidJson | ErrorCode::InvalidInput | ErrorCode::ConflictingFields
            ),
            "{error:?}"
        );
        return;
    }
    input(source);
    let united = unread(source);
    let united = united.value();
    for name in ["studio_id", "product_id", "town_id", "bay_id"] {
        assert!(united.get(name).is_none_or(is_blank), "{name} is left: {united}");
    }
    if let Some(id) = united.get("city_id").and_then(Value::as_str).map(str::trim) {
        let is_sent = |sent: &String| sent.trim() == id || stored_as(sent.trim()) == Some(id);
        assert!(id == "of_the_path" || texts(&sent).iter().any(is_sent), "{id} was not sent");
    }
}

/// Every text that an input gives the tenant, those of a name that is there twice included.
fn texts(source: &InputSource) -> Vec<String> {
    let pairs = match &source.query {
        Some(query) => {
            let pairs = form_urlencoded::parse(query.as_bytes());
            pairs.map(|(name, value)| (name.into_owned(), value.into_owned().into())).collect()
        }
        None => serde_json::from_slice(&source.body).map_or_else(|_| Vec::new(), |Pairs(all)| all),
    };
    let names = ["city_id", "studio_id", "product_id", "town_id", "bay_id"];
    let named = pairs.into_iter().filter(|(name, _)| names.contains(&name.as_str()));
    named.filter_map(|(_, value)| value.as_str().map(str::to_owned)).collect()
}

/// The fields of an object as they are written.
struct Pairs(Vec<(String, Value)>);

impl<'de> Deserialize<'de> for Pairs {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Fields;
        impl<'de> Visitor<'de> for Fields {
            type Value = Pairs;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("an object")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Pairs, A::Error> {
                let mut pairs = Vec::new();
                while let Some(pair) = map.next_entry()? {
                    pairs.push(pair);
                }
                Ok(Pairs(pairs))
            }
        }
        deserializer.deserialize_map(Fields)
    }
}

/// The same input as it arrives: what was read of it is not known.
fn unread(source: &InputSource) -> InputSource {
    let mut copy = InputSource::with_params(source.params.clone());
    copy.body.clone_from(&source.body);
    copy.query.clone_from(&source.query);
    copy
}

fn is_blank(value: &Value) -> bool {
    value.as_str().is_none_or(|text| text.trim().is_empty())
}

fn names_in_body(bytes: &[u8]) {
    let mut source = InputSource::default();
    source.body = Bytes::copy_from_slice(bytes);
    names(&mut source);
}

fn names_in_query(bytes: &[u8]) {
    let mut source = InputSource::default();
    source.query = Some(String::from_utf8_lossy(bytes).into());
    names(&mut source);
}

fn query(bytes: &[u8]) {
    let mut source = InputSource::default();
    source.query = Some(String::from_utf8_lossy(bytes).into());
    input(&source);
}

/// `{city_id}` of the path wins over the body, for dispatch as for handlers.
fn body_and_path(bytes: &[u8]) {
    let params = vec![("city_id".to_owned(), "of_the_path".to_owned())];
    let mut source = InputSource::with_params(params);
    source.body = Bytes::copy_from_slice(bytes);
    input(&source);
    if let Ok(typed) = source.decode::<Fields>() {
        assert_eq!(typed.city_id.as_deref(), Some("of_the_path"));
    }
}

/// A value in double quotes, as people are told to write it.
fn quoted(value: &str) -> String {
    let escaped = value.replace('\\', "\\\\").replace('"', "\\\"").replace('\n', "\\n");
    format!("\"{}\"", escaped.replace('\r', "\\r").replace('\t', "\\t"))
}

fn env_text(bytes: &[u8]) {
    let Ok(text) = str::from_utf8(bytes) else { return };
    let lines = text.split('\n').count();
    match dotenv::parse(text) {
        Err(error) => assert!((1..=lines).contains(&error.line)),
        Ok(entries) => {
            assert!(entries.is_sorted_by(|a, b| a.line < b.line));
            assert!(entries.iter().all(|entry| (1..=lines).contains(&entry.line)));
            // Written anew, it is read as the same.
            let written: String = entries
                .iter()
                .map(|entry| format!("{}={}\n", entry.key, quoted(entry.value.expose())))
                .collect();
            let again = dotenv::parse(&written).unwrap();
            let pairs = |entries: &[dotenv::Entry]| -> Vec<(String, String)> {
                let pair = |e: &dotenv::Entry| (e.key.clone(), e.value.expose().to_owned());
                entries.iter().map(pair).collect()
            };
            assert_eq!(pairs(&entries), pairs(&again), "{written}");
        }
    }
}

/// The first line is a value, the rest is a file in which it is set, and from which it is removed. What
/// the file says otherwise stays, and so do its bytes where nothing changes.
fn env_file(bytes: &[u8]) {
    let Ok(text) = str::from_utf8(bytes) else { return };
    let (value, file) = text.split_once('\n').unwrap_or(("", text));
    let read = |document: &Document| -> BTreeMap<String, String> {
        let values = document.values().into_iter();
        values.map(|(key, value)| (key, value.expose().to_owned())).collect()
    };
    let mut document = Document::new(file.to_owned());
    let before = read(&document);
    for (key, value) in &before {
        document.set(key, value).unwrap();
    }
    assert_eq!(document.text(), file, "storing what is stored changes nothing");
    for key in ["KEY", "NEW"] {
        let mut expected = read(&document);
        if document.set(key, value).is_ok() {
            expected.insert(key.to_owned(), value.to_owned());
        }
        assert_eq!(read(&document), expected);
    }
    let mut expected = read(&document);
    if document.remove("KEY").is_ok() {
        expected.remove("KEY");
    }
    assert_eq!(read(&document), expected);
    if file.trim_start_matches('\u{feff}').is_empty() {
        assert_eq!(read(&document), BTreeMap::from([("NEW".to_owned(), value.to_owned())]));
    }
}

/// Only an `Authorization` that is exactly a bearer's gives a credential, and that is a part of it.
fn authorization(bytes: &[u8]) {
    let Ok(value) = HeaderValue::from_bytes(bytes) else { return };
    let mut headers = HeaderMap::new();
    headers.insert(AUTHORIZATION, value);
    if let Ok(credential) = token::bearer(&headers) {
        assert!(!credential.is_empty() && credential.trim_ascii() == credential);
        assert!(bytes.trim_ascii().ends_with(credential));
        assert!(bytes.trim_ascii_start()[..6].eq_ignore_ascii_case(b"bearer"));
    }
    headers.append(AUTHORIZATION, HeaderValue::from_static("Bearer x"));
    assert!(token::bearer(&headers).is_err(), "two credentials are none");
}

fn service_key(bytes: &[u8]) {
    if keys::is_well_formed(bytes) {
        assert_eq!(bytes, SERVICE_KEY.as_bytes(), "no slip goes unseen");
    }
}

fn idempotency_key(bytes: &[u8]) {
    let Ok(value) = HeaderValue::from_bytes(bytes) else { return };
    match idempotency::key_of(&value) {
        Ok(key) => {
            assert!((1..=255).contains(&key.len()) && key.is_ascii());
            assert_eq!(key, str::from_utf8(bytes).unwrap().trim());
        }
        Err(error) => assert_eq!(error.code(), ErrorCode::InvalidInput),
    }
}

const SERVICE_KEY: &str = "fk_AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAxYXKDQ";

const BODIES: &[&str] = &[
    r#"{"city_id":"city_a","count":7,"flag":true,"items":[1.5,null],"nested":{"city_id":"b"}}"#,
    r#"{"count":1,"city\u005fid":" city_a ","flag":false}"#,
    r#"{"city_id":"city_a","city_id":"city_b"}"#,
    r#"{"city_id":null}"#,
    r#"{"city_id":["a"]}"#,
    " \r\n ",
];

#[test]
fn bodies() {
    check(BODIES, body);
}

#[test]
fn bodies_beside_a_path() {
    check(BODIES, body_and_path);
}

#[test]
fn queries() {
    let samples = ["city_id=city_a&count=7&flag=true", "city%5Fid=+a+&city_id=b", "a&b=&=c&flag"];
    check(&samples, query);
}

#[test]
fn names_of_the_tenant() {
    let bodies = [
        r#"{"studio_id":"a","count":7,"nested":{"product_id":"b"}}"#,
        r#"{"city_id":"a","product\u005fid":" a ","town_id":null}"#,
        r#"{"bay_id":"bay_downcity","bay_id":"b"}"#,
        r#"{"studio_id":["a"],"product_id":""}"#,
    ];
    check(&bodies, names_in_body);
    let queries =
        ["studio_id=a&count=7", "product%5Fid=+a+&city_id=a", "bay_id=bay_downcity&town_id="];
    check(&queries, names_in_query);
}

#[test]
fn env_texts() {
    let samples = [
        "# head\nexport A=1\r\nB='two' # note\nC=\"x\\ny\\\"\"\n",
        "KEY=\"-----BEGIN\nabc=\n-----END\"\nLAST=1",
        "A=x # y\nB=#z\nno equals\n=v",
    ];
    check(&samples, env_text);
}

#[test]
fn env_files() {
    let samples = [
        "v\n# head\r\nexport KEY = 'x' # note\r\n\r\nOTHER=\"a\\n\"\r\nKEY=2",
        "a b\nKEY=\"-----BEGIN\nabc=\n-----END\"\nA=x # y",
        "#x\nA=\"lone\nKEY='t'\nb.c=\"\n",
        "$x\n",
    ];
    check(&samples, env_file);
}

#[test]
fn authorizations() {
    check(&["Bearer ub_abc.def", "bearer   x y", " BEARER\tx ", "Basic YWRtaW4="], authorization);
}

#[test]
fn service_keys() {
    check(&[SERVICE_KEY], service_key);
}

#[test]
fn idempotency_keys() {
    check(&["order-4711", " a b ", &"x".repeat(255), &"x".repeat(256)], idempotency_key);
}
