//! Scenarios as data: what is called, what is kept of the answer, and what the answer has to be.

use std::collections::HashMap;
use std::fs;
use std::path::Path;

use regex::Regex;
use serde::Deserialize;
use serde_json::{Map, Value};

/// A file of scenarios.
pub(crate) struct Script {
    pub(crate) file: String,
    pub(crate) scenarios: Vec<Scenario>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Scenario {
    pub(crate) name: String,
    /// Who plays it; everybody when absent.
    #[serde(default)]
    clients: Option<Vec<String>>,
    pub(crate) steps: Vec<Step>,
}

#[derive(Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Step {
    pub(crate) call: String,
    #[serde(rename = "as")]
    pub(crate) role: Role,
    #[serde(default)]
    pub(crate) args: Map<String, Value>,
    /// The idempotency key of the call.
    #[serde(default)]
    pub(crate) key: Option<String>,
    /// Keeps the answer under this name.
    #[serde(default)]
    pub(crate) save: Option<String>,
    /// What the answer has at least.
    #[serde(default)]
    pub(crate) expect: Option<Value>,
    /// The call fails, and the error has at least this.
    #[serde(default)]
    pub(crate) error: Option<Value>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Role {
    Admin,
    /// An admin whose key is wrong.
    Stranger,
    User,
    Guest,
}

/// What earlier steps have kept.
#[derive(Default)]
pub(crate) struct Kept(HashMap<String, Value>);

pub(crate) fn scripts() -> Vec<Script> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../tests/behaviour");
    let mut scripts: Vec<Script> = fs::read_dir(&folder)
        .unwrap_or_else(|error| panic!("{}: {error}", folder.display()))
        .map(|entry| entry.unwrap().path())
        .filter(|path| path.extension().is_some_and(|extension| extension == "json"))
        .map(|path| {
            let file = path.file_name().unwrap().to_string_lossy().into_owned();
            let scenarios = serde_json::from_slice(&fs::read(&path).unwrap())
                .unwrap_or_else(|error| panic!("{file}: {error}"));
            Script { file, scenarios }
        })
        .collect();
    scripts.sort_by(|a, b| a.file.cmp(&b.file));
    scripts
}

impl Scenario {
    pub(crate) fn is_ours(&self) -> bool {
        self.clients.as_ref().is_none_or(|clients| clients.iter().any(|client| client == "rust"))
    }
}

impl Kept {
    pub(crate) fn keep(&mut self, name: &str, value: Value) {
        self.0.insert(name.to_owned(), value);
    }

    pub(crate) fn get(&self, name: &str) -> Option<&Value> {
        self.0.get(name)
    }

    /// The value with each `${name}` or `${name.field}` replaced: by the kept value itself where it is
    /// the whole text, by its text within a longer one.
    pub(crate) fn fill(&self, value: &Value) -> Value {
        match value {
            Value::String(text) => self.fill_text(text),
            Value::Array(items) => items.iter().map(|item| self.fill(item)).collect(),
            Value::Object(fields) => fields
                .iter()
                .map(|(key, value)| (key.clone(), self.fill(value)))
                .collect::<Map<_, _>>()
                .into(),
            other => other.clone(),
        }
    }

    fn fill_text(&self, text: &str) -> Value {
        let place = Regex::new(r"\$\{([^}]+)\}").unwrap();
        if let Some(found) = place.captures(text)
            && found[0] == *text
        {
            return self.look_up(&found[1]).clone();
        }
        let filled =
            place.replace_all(text, |found: &regex::Captures<'_>| match self.look_up(&found[1]) {
                Value::String(text) => text.clone(),
                other => other.to_string(),
            });
        Value::String(filled.into_owned())
    }

    fn look_up(&self, path: &str) -> &Value {
        let mut names = path.split('.');
        let name = names.next().unwrap_or_default();
        let kept = self.0.get(name).unwrap_or_else(|| panic!("nothing is kept as `{name}`"));
        names.fold(kept, |value, name| match name.parse::<usize>() {
            Ok(index) if value.is_array() => &value[index],
            _ => value.get(name).unwrap_or_else(|| panic!("`{path}` has no `{name}`: {value}")),
        })
    }
}

/// What an answer has otherwise than it should; `None` where it is as it should be.
///
/// Objects may have further fields, lists have just these items.
pub(crate) fn difference(expected: &Value, got: &Value, at: &str) -> Option<String> {
    let wrong = || Some(format!("{at}: expected {expected}, got {got}"));
    match (expected, got) {
        (Value::Object(fields), _) if let Some(holds) = rule(fields, got) => {
            if holds {
                None
            } else {
                wrong()
            }
        }
        (Value::Object(expected), Value::Object(got)) => {
            expected.iter().find_map(|(key, value)| {
                difference(value, got.get(key).unwrap_or(&Value::Null), &format!("{at}.{key}"))
            })
        }
        (Value::Array(expected), Value::Array(got)) if expected.len() == got.len() => {
            let pairs = expected.iter().zip(got).enumerate();
            pairs.into_iter().find_map(|(index, (expected, got))| {
                difference(expected, got, &format!("{at}[{index}]"))
            })
        }
        (Value::Object(_) | Value::Array(_), _) => wrong(),
        _ if expected == got => None,
        _ => wrong(),
    }
}

/// Whether a value follows the rule that an object is: `None` where it is no rule.
fn rule(fields: &Map<String, Value>, got: &Value) -> Option<bool> {
    let (name, wanted) = fields.iter().next().filter(|_| fields.len() == 1)?;
    let has = || {
        let items = got.as_array().map_or(&[][..], Vec::as_slice);
        items.iter().any(|item| difference(wanted, item, "").is_none())
    };
    match name.as_str() {
        "$match" => {
            let expression = Regex::new(wanted.as_str().unwrap()).unwrap();
            Some(got.as_str().is_some_and(|text| expression.is_match(text)))
        }
        "$has" => Some(has()),
        "$lacks" => Some(got.is_array() && !has()),
        rule if rule.starts_with('$') => panic!("no rule has the name `{rule}`"),
        _ => None,
    }
}

#[test]
fn answers_are_held_against_what_is_expected() {
    use serde_json::json;

    let got = json!({ "a": 1, "items": [{ "id": "x", "n": 1 }, { "id": "y" }], "text": "Hello" });
    for good in [
        json!({}),
        json!({ "a": 1, "text": { "$match": "^H.*o$" } }),
        json!({ "items": [{ "id": "x" }, {}] }),
        json!({ "items": { "$has": { "id": "y" } } }),
        json!({ "items": { "$lacks": { "id": "z" } }, "absent": null }),
    ] {
        assert_eq!(difference(&good, &got, "answer"), None, "{good}");
    }
    for bad in [
        json!({ "a": 2 }),
        json!({ "a": { "$match": "1" } }),
        json!({ "text": { "$match": "^e" } }),
        json!({ "items": [{ "id": "x" }] }),
        json!({ "items": [{ "id": "y" }, {}] }),
        json!({ "items": { "$has": { "id": "z" } } }),
        json!({ "items": { "$lacks": { "id": "x" } } }),
        json!({ "text": { "$lacks": "x" } }),
        json!({ "absent": {} }),
        json!([]),
    ] {
        assert!(difference(&bad, &got, "answer").is_some(), "{bad}");
    }
}

#[test]
fn kept_values_are_filled_in() {
    use serde_json::json;

    let mut kept = Kept::default();
    kept.keep("run", json!("7"));
    kept.keep("page", json!({ "items": [{ "n": 3 }] }));
    let filled = kept
        .fill(&json!({ "id": "a_${run}", "list": ["${page.items.0.n}", "n=${page.items.0.n}"] }));
    assert_eq!(filled, json!({ "id": "a_7", "list": [3, "n=3"] }));
}
