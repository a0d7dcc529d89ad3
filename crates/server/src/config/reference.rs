//! Documents about the configuration, made from its types.

use std::fmt::Write as _;

use serde_json::Value;

use super::Config;
use super::environment::NAMED;
use super::schema::{ConfigSchema, description};

/// The fields that flags and named variables set, for the table.
const OTHER_NAMES: &[(&str, &str)] =
    &[("server.listen", "`--listen`, `HOST`, `PORT`"), ("database.url", "`--database`")];

/// A key with what a reader needs to know of it.
struct Entry {
    path: String,
    description: String,
    default: Value,
}

/// A section and its keys.
struct Section {
    path: String,
    description: String,
    entries: Vec<Entry>,
}

fn sections() -> Vec<Section> {
    let schema = ConfigSchema::new();
    let defaults = serde_json::to_value(Config::default()).unwrap_or_default();
    let mut sections = Vec::new();
    collect(&schema, schema.root(), "", &defaults, &mut sections);
    sections
}

fn collect(schema: &ConfigSchema, at: &Value, path: &str, value: &Value, into: &mut Vec<Section>) {
    let index = into.len();
    let text = description(at);
    into.push(Section { path: path.to_owned(), description: text, entries: Vec::new() });
    for (key, child) in schema.properties(at).unwrap_or_default() {
        let path = super::document::join(path, key);
        let default = value.get(key).cloned().unwrap_or_default();
        if default.is_object() {
            collect(schema, child, &path, &default, into);
        } else {
            let description = description(child);
            into[index].entries.push(Entry { path, description, default });
        }
    }
}

/// The default as it stands in the file.
fn shown(default: &Value) -> String {
    match default {
        Value::Null => String::new(),
        other => other.to_string(),
    }
}

/// The table of all keys, as Markdown.
pub fn reference() -> String {
    let mut text = String::from("| Key | Default | Meaning |\n|---|---|---|\n");
    for entry in sections().into_iter().flat_map(|section| section.entries) {
        let mut meaning = entry.description.replace('|', "\\|");
        let named = NAMED.iter().find(|(_, _, key)| *key == entry.path);
        let other = OTHER_NAMES.iter().find(|(key, _)| *key == entry.path);
        let names: Vec<String> = other
            .map(|(_, names)| (*names).to_owned())
            .into_iter()
            .chain(named.map(|(name, ..)| format!("`{name}`")))
            .collect();
        if !names.is_empty() {
            let _ = write!(meaning, " Also set by {}.", names.join(", "));
        }
        let default = match shown(&entry.default) {
            none if none.is_empty() => "–".to_owned(),
            some => format!("`{some}`"),
        };
        let _ = writeln!(text, "| `{}` | {default} | {meaning} |", entry.path);
    }
    text
}

/// A configuration file that says every default in comments.
pub fn template() -> String {
    let mut text = String::from(
        "# The configuration of a Federation. Every key is optional; a commented line shows its default.\n\
         # A flag or an environment variable wins over this file; `fed config check` shows what is in\n\
         # effect and where it comes from. Keys and secrets do not belong here: they are env entries.\n",
    );
    for section in sections() {
        if section.entries.is_empty() {
            continue;
        }
        let _ = write!(text, "\n# {}\n[{}]\n", section.description, section.path);
        for entry in section.entries {
            let key = entry.path.rsplit('.').next().unwrap_or_default();
            for line in wrap(&entry.description, 96) {
                let _ = writeln!(text, "# {line}");
            }
            let _ = match shown(&entry.default) {
                none if none.is_empty() => writeln!(text, "# {key} ="),
                some => writeln!(text, "# {key} = {some}"),
            };
        }
    }
    text
}

fn wrap(text: &str, width: usize) -> Vec<String> {
    let mut lines = vec![String::new()];
    for word in text.split(' ') {
        let Some(line) = lines.last_mut() else { break };
        if !line.is_empty() && line.len() + word.len() >= width {
            lines.push(word.to_owned());
        } else {
            if !line.is_empty() {
                line.push(' ');
            }
            line.push_str(word);
        }
    }
    lines
}
