//! What is in effect, and where it comes from.

use serde::Serialize;
use serde_json::Value;

use super::document::join;
use super::layers::LoadedConfig;
use super::problem::Source;

/// Stands for what may be secret.
const HIDDEN: &str = "********";

/// One value in effect.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Effective {
    /// The key, such as `server.listen`.
    pub key: String,
    /// The value; `null` when it is not set and has no default.
    pub value: Value,
    /// Where it comes from.
    pub source: Source,
}

pub(super) fn effective(loaded: &LoadedConfig) -> Vec<Effective> {
    let mut config = loaded.config.clone();
    if let Ok(url) = config.database_url() {
        config.database.url = url.to_string();
    }
    for provider in &mut config.ai.provider {
        // A header may carry a key.
        provider.headers.values_mut().for_each(|value| HIDDEN.clone_into(value));
    }
    let mut values = Vec::new();
    if let Ok(all) = serde_json::to_value(&config) {
        flatten("", all, loaded, &mut values);
    }
    values
}

fn flatten(path: &str, value: Value, loaded: &LoadedConfig, into: &mut Vec<Effective>) {
    // Of the tables of a list, such as models, only what is set is of interest.
    if path.contains('[') && loaded.source(path) == Source::Default {
        return;
    }
    match value {
        Value::Object(table) => {
            for (key, value) in table {
                flatten(&join(path, &key), value, loaded, into);
            }
        }
        Value::Array(items) if items.iter().any(Value::is_object) => {
            for (index, item) in items.into_iter().enumerate() {
                flatten(&format!("{path}[{index}]"), item, loaded, into);
            }
        }
        value => into.push(Effective { key: path.to_owned(), value, source: loaded.source(path) }),
    }
}
