//! How rows become models beside those of the configuration.

use std::collections::HashSet;

use serde_json::{Map, Value};

use super::store::StoredRow;
use crate::config::{AiConfig, ModelConfig};

/// A row that is no model now, and why.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct LeftOut {
    pub(crate) id: String,
    pub(crate) problem: String,
}

/// What a catalog is made of.
pub(crate) struct Merged {
    /// The configuration with all of the models.
    pub(crate) config: AiConfig,
    /// The ids of the models of rows.
    pub(crate) stored: HashSet<String>,
    /// The rows that are no models.
    pub(crate) left_out: Vec<LeftOut>,
}

/// The configuration with the models of the rows after its own, and those that are built in after
/// both. A row that cannot be used is left out: what stands in a table never keeps a Federation from
/// serving.
pub(crate) fn merge(config: &AiConfig, built_in: &[ModelConfig], rows: &[StoredRow]) -> Merged {
    let mut merged = config.clone();
    let mut left_out = Vec::new();
    for row in rows.iter().filter(|row| row.enabled) {
        let model = match row.damage.clone().or_else(|| shadow(config, &row.id)) {
            Some(problem) => Err(problem),
            None => check(config, &row.id, &row.definition),
        };
        match model {
            Ok(model) => merged.model.push(model),
            Err(problem) => left_out.push(LeftOut { id: row.id.clone(), problem }),
        }
    }
    let stored: HashSet<String> =
        merged.model.iter().skip(config.model.len()).map(|model| model.id.clone()).collect();
    merged.model.extend_from_slice(built_in);
    Merged { config: merged, stored, left_out }
}

/// The models that are built in and have no row. One that has a row is what the row says, also where that
/// is disabled or cannot be used: nobody calls for nothing what somebody has put a price on.
pub(crate) fn without_rows(built_in: Vec<ModelConfig>, rows: &[StoredRow]) -> Vec<ModelConfig> {
    let has_none = |model: &ModelConfig| rows.iter().all(|row| row.id != model.id);
    built_in.into_iter().filter(has_none).collect()
}

/// Why a row has no effect, where the configuration has a model of its id.
pub(crate) fn shadow(config: &AiConfig, id: &str) -> Option<String> {
    let is_shadowed = config.model.iter().any(|model| model.id == id);
    is_shadowed.then(|| "the configuration has a model of this id, which counts".to_owned())
}

/// The model that a row defines, checked as those of the configuration are.
///
/// # Errors
/// What is wrong with it.
pub(crate) fn check(config: &AiConfig, id: &str, definition: &str) -> Result<ModelConfig, String> {
    let model = read(id, definition)?;
    let alone = AiConfig { model: vec![model], ..config.clone() };
    let problems: Vec<String> = alone
        .validate()
        .into_iter()
        .filter_map(|problem| {
            let path = problem.path.strip_prefix("model[0]")?;
            let field = path.trim_start_matches('.');
            Some(if field.is_empty() {
                problem.message
            } else {
                format!("{field}: {}", problem.message)
            })
        })
        .collect();
    if !problems.is_empty() {
        return Err(problems.join("; "));
    }
    alone.model.into_iter().next().ok_or_else(|| "it defines no model".to_owned())
}

/// Reads a definition. An `id` in it has to be that of the row.
fn read(id: &str, definition: &str) -> Result<ModelConfig, String> {
    let mut fields: Map<String, Value> = serde_json::from_str(definition)
        .map_err(|error| format!("it is no JSON object: {error}"))?;
    if let Some(named) = fields.get("id")
        && named.as_str() != Some(id)
    {
        return Err(format!("id: is {named}, and the row is that of {id:?}"));
    }
    fields.insert("id".to_owned(), id.into());
    serde_path_to_error::deserialize(Value::Object(fields)).map_err(|error| {
        let path = error.path().to_string();
        let what = error.inner().to_string();
        if path == "." { what } else { format!("{path}: {what}") }
    })
}

#[cfg(test)]
mod tests {
    use downcity_types::Timestamp;
    use serde_json::json;

    use super::*;

    fn config() -> AiConfig {
        serde_json::from_value(json!({
            "provider": [{"id": "up", "base_url": "https://api.example/v1", "env_key": "UP_KEY"}],
            "model": [{"id": "own", "name": "Own", "provider": "up"}],
        }))
        .unwrap()
    }

    fn row(id: &str, definition: &str, enabled: bool) -> StoredRow {
        let updated_at = Timestamp::from_millis(0);
        StoredRow {
            id: id.to_owned(),
            definition: definition.to_owned(),
            enabled,
            position: 1,
            updated_at,
            damage: None,
        }
    }

    #[test]
    fn good_rows_join_and_bad_ones_are_left_out_with_a_reason() {
        let rows = [
            row("more", r#"{"name": "More", "provider": "up"}"#, true),
            row("off", r#"{"name": "Off", "provider": "up"}"#, false),
            row("own", r#"{"name": "Mine", "provider": "up"}"#, true),
            row("text", "not json", true),
            row("typo", r#"{"name": "T", "provider": "up", "modez": []}"#, true),
            row("gone", r#"{"name": "G", "provider": "upp"}"#, true),
            row("wide", r#"{"name": "W", "provider": "up", "price": {"input": -1}}"#, true),
            row("else", r#"{"id": "other", "name": "E", "provider": "up"}"#, true),
            row("same", r#"{"id": "same", "name": "S", "provider": "up"}"#, true),
        ];
        let built_in = |id: &str| ModelConfig { id: id.to_owned(), ..ModelConfig::default() };
        let built_in = ["same", "gone", "off", "last"].map(built_in).to_vec();
        let built_in = without_rows(built_in, &rows);
        let Merged { config: merged, left_out, stored } = merge(&config(), &built_in, &rows);
        assert_eq!(stored, ["more", "same"].map(str::to_owned).into());
        let ids: Vec<&str> = merged.model.iter().map(|model| model.id.as_str()).collect();
        assert_eq!(ids, ["own", "more", "same", "last"]);
        assert_eq!(merged.model[2].name, "S", "a good row takes the place of a built-in model");
        assert_eq!(merged.model[0].name, "Own", "the configuration counts");
        let told: Vec<(&str, &str)> =
            left_out.iter().map(|it| (it.id.as_str(), it.problem.as_str())).collect();
        let reason = |id: &str| told.iter().find(|(of, _)| *of == id).unwrap().1;
        assert_eq!(told.len(), 6);
        assert!(reason("own").contains("configuration"));
        assert!(reason("text").contains("JSON"));
        assert!(reason("typo").contains("modez"), "{}", reason("typo"));
        assert!(reason("gone").starts_with("provider:") && reason("gone").contains("\"up\""));
        assert!(reason("wide").contains("price"), "{}", reason("wide"));
        assert!(reason("else").contains("other"));
    }
}
