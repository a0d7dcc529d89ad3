//! The configuration file: its values as JSON, and the line of each.

use std::collections::BTreeMap;
use std::path::Path;

use serde_json::{Map, Number, Value};
use toml::Spanned;
use toml::de::{DeTable, DeValue};

use super::problem::{Problem, Source};

/// A parsed file.
#[derive(Debug, Default)]
pub(super) struct Document {
    pub(super) values: Map<String, Value>,
    /// Where each key stands, by path: `server.listen`, `ai.provider[0].id`.
    pub(super) sources: BTreeMap<String, Source>,
}

impl Document {
    /// Parses TOML 1.1.
    ///
    /// # Errors
    /// Everything that is malformed.
    pub(super) fn parse(path: &Path, text: &str) -> Result<Self, Vec<Problem>> {
        let (table, errors) = DeTable::parse_recoverable(text);
        if !errors.is_empty() {
            let problem = |error: &toml::de::Error| Problem {
                source: Source::File {
                    path: path.to_path_buf(),
                    line: line_of(text, error.span().map_or(0, |span| span.start)),
                },
                key: String::new(),
                message: format!("is not valid TOML: {}", error.message()),
            };
            return Err(errors.iter().map(problem).collect());
        }
        let mut reader = Reader { path, text, sources: BTreeMap::new() };
        let values = reader.table("", table.get_ref());
        Ok(Self { values, sources: reader.sources })
    }
}

struct Reader<'a> {
    path: &'a Path,
    text: &'a str,
    sources: BTreeMap<String, Source>,
}

impl Reader<'_> {
    fn table(&mut self, path: &str, table: &DeTable<'_>) -> Map<String, Value> {
        let entries = table.iter().map(|(key, value)| {
            let name = key.get_ref().to_string();
            let path = join(path, &name);
            self.note(&path, key.span().start);
            let value = self.value(&path, value);
            (name, value)
        });
        entries.collect()
    }

    fn value(&mut self, path: &str, value: &Spanned<DeValue<'_>>) -> Value {
        match value.get_ref() {
            DeValue::String(text) => Value::String(text.to_string()),
            DeValue::Integer(integer) => i64::from_str_radix(integer.as_str(), integer.radix())
                .map_or_else(|_| Value::String(integer.as_str().to_owned()), Value::from),
            DeValue::Float(float) => {
                let number = float.as_str().parse().ok().and_then(Number::from_f64);
                number.map_or_else(|| Value::String(float.as_str().to_owned()), Value::Number)
            }
            DeValue::Boolean(truth) => Value::Bool(*truth),
            DeValue::Datetime(time) => Value::String(time.to_string()),
            DeValue::Array(items) => {
                let items = items.iter().enumerate().map(|(index, item)| {
                    let path = format!("{path}[{index}]");
                    self.note(&path, item.span().start);
                    self.value(&path, item)
                });
                Value::Array(items.collect())
            }
            DeValue::Table(table) => Value::Object(self.table(path, table)),
        }
    }

    fn note(&mut self, path: &str, offset: usize) {
        let line = line_of(self.text, offset);
        let source = Source::File { path: self.path.to_path_buf(), line };
        self.sources.insert(path.to_owned(), source);
    }
}

pub(super) fn join(path: &str, key: &str) -> String {
    if path.is_empty() { key.to_owned() } else { format!("{path}.{key}") }
}

fn line_of(text: &str, offset: usize) -> usize {
    text.as_bytes().iter().take(offset).filter(|byte| **byte == b'\n').count() + 1
}
