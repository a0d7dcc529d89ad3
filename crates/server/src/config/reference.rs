//! Documents about the configuration, made from its types.

use std::fmt::Write as _;

use serde_json::Value;

use super::Config;
use super::document::join;
use super::environment::NAMED;
use super::schema::{ConfigSchema, description};

/// Flags and variables that set a key, beside those that [`NAMED`] lists.
const OTHER_NAMES: &[(&str, &str)] =
    &[("server.listen", "`--listen`, `HOST`, `PORT`"), ("database.url", "`--database`")];

/// A table of the file and its keys.
struct Section {
    /// Its path; empty for the file itself.
    path: String,
    description: String,
    kind: Kind,
    entries: Vec<Entry>,
}

/// How often a table may stand in the file.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Kind {
    /// Once.
    Table,
    /// Any number of times, each time a further item of a list.
    Item,
    /// Once in each item of a list.
    WithinItem,
}

/// A key with what a reader needs to know of it.
struct Entry {
    key: String,
    description: String,
    is_required: bool,
    /// `null` when there is none.
    default: Value,
}

fn sections() -> Vec<Section> {
    let schema = ConfigSchema::new();
    let defaults = serde_json::to_value(Config::default()).unwrap_or_default();
    let mut sections = Vec::new();
    let root = Place { at: schema.root(), path: String::new(), description: String::new() };
    collect(&schema, root, Kind::Table, &defaults, &mut sections);
    sections
}

struct Place<'a> {
    at: &'a Value,
    path: String,
    description: String,
}

fn collect(
    schema: &ConfigSchema,
    place: Place<'_>,
    kind: Kind,
    defaults: &Value,
    into: &mut Vec<Section>,
) {
    let index = into.len();
    let Place { at, path, description: text } = place;
    let required: Vec<&Value> =
        schema.alternatives(at).into_iter().filter_map(|schema| schema.get("required")).collect();
    let is_required = |key: &str| {
        required.iter().filter_map(|keys| keys.as_array()).flatten().any(|name| name == key)
    };
    into.push(Section { path: path.clone(), description: text, kind, entries: Vec::new() });
    for (key, child) in schema.properties(at).unwrap_or_default() {
        let default = defaults.get(key).or_else(|| child.get("default")).cloned();
        let default = default.unwrap_or_default();
        let inner = |at| Place { at, path: join(&path, key), description: description(child) };
        if let Some(table) = schema.table(child) {
            let kind = if kind == Kind::Table { kind } else { Kind::WithinItem };
            collect(schema, inner(table), kind, &default, into);
        } else if let Some(each) = schema.table_of_list(child) {
            collect(schema, inner(each), Kind::Item, &Value::Null, into);
        } else {
            let entry = Entry {
                key: key.to_owned(),
                description: description(child),
                is_required: is_required(key),
                default,
            };
            into[index].entries.push(entry);
        }
    }
}

/// How the names of a key look from outside the file.
fn other_names(path: &str) -> Option<String> {
    let named =
        NAMED.iter().filter(|(_, _, key)| *key == path).map(|(name, ..)| format!("`{name}`"));
    let other =
        OTHER_NAMES.iter().filter(|(key, _)| *key == path).map(|(_, names)| (*names).to_owned());
    let names: Vec<String> = other.chain(named).collect();
    (!names.is_empty()).then(|| names.join(", "))
}

/// All keys as Markdown: one table per section.
pub fn reference() -> String {
    let mut text = String::new();
    for section in sections().into_iter().filter(|section| !section.entries.is_empty()) {
        let _ = write!(
            text,
            "### `{}`\n\n{}\n\n| Key | Default | Meaning |\n|---|---|---|\n",
            section.header(),
            section.description
        );
        for entry in &section.entries {
            let default = match &entry.default {
                _ if entry.is_required => "required".to_owned(),
                Value::Null => "–".to_owned(),
                default => format!("`{default}`"),
            };
            let mut meaning = entry.description.replace('|', "\\|");
            if let Some(names) = other_names(&join(&section.path, &entry.key)) {
                let _ = write!(meaning, " Also set by {names}.");
            }
            let _ = writeln!(text, "| `{}` | {default} | {meaning} |", entry.key);
        }
        text.push('\n');
    }
    text.truncate(text.trim_end().len());
    text.push('\n');
    text
}

/// A configuration file that shows every default in comments.
pub fn template() -> String {
    let mut text = String::from(
        "# The configuration of a Federation. Every key is optional; a commented line shows its default.\n\
         # A flag or an environment variable wins over this file; `fed config check` shows what is in\n\
         # effect and where it comes from. Keys and secrets do not belong here: they are env entries.\n",
    );
    for section in sections().into_iter().filter(|section| !section.entries.is_empty()) {
        text.push('\n');
        comment(&mut text, &section.description);
        // A list begins with its first table, so that an empty one has to stay a comment.
        let mark = if section.kind != Kind::Table { "# " } else { "" };
        let _ = writeln!(text, "{mark}{}", section.header());
        for entry in &section.entries {
            comment(&mut text, &entry.description);
            let key = &entry.key;
            let _ = match &entry.default {
                _ if entry.is_required => writeln!(text, "# {key} = \"…\"  # required"),
                Value::Null => writeln!(text, "# {key} ="),
                default => writeln!(text, "# {key} = {default}"),
            };
        }
    }
    text
}

impl Section {
    /// The line that opens the section in the file.
    fn header(&self) -> String {
        match self.kind {
            Kind::Item => format!("[[{}]]", self.path),
            Kind::Table | Kind::WithinItem => format!("[{}]", self.path),
        }
    }
}

/// Adds the text as comment lines of at most 100 columns.
fn comment(into: &mut String, text: &str) {
    let mut length = usize::MAX;
    for word in text.split(' ') {
        let needed = word.chars().count() + 1;
        if length.saturating_add(needed) > 100 {
            if length != usize::MAX {
                into.push('\n');
            }
            into.push('#');
            length = 1;
        }
        into.push(' ');
        into.push_str(word);
        length += needed;
    }
    into.push('\n');
}
