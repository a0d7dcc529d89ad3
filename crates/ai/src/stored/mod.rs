//! Models as data: rows of the table `ai_models` beside the models of the configuration.
//!
//! The configuration counts where both have a model of one id, and providers stand in it alone. Rows
//! are read at the start and whenever the state of the Federation changes on any node.

mod merge;
mod store;

use std::collections::HashSet;

use async_trait::async_trait;
use downcity_core::audit::Target;
use downcity_core::{Cx, Error, Reload, Result, Runtime};
use downcity_db::{Db, MigrationSet, Tx, migrations};
use downcity_types::{ErrorCode, Timestamp};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value, json};

pub(crate) use merge::{LeftOut, Merged, merge, without_rows};
pub(crate) use store::StoredRow;

use crate::config::AiConfig;
use crate::service::Ai;

/// The table of models.
pub(crate) fn migrations() -> MigrationSet {
    migrations!("ai_models", [(1, "models", "../../migrations/models_0001.sql")])
}

/// A model as a row has it.
#[derive(Clone, Debug, PartialEq, Serialize, JsonSchema)]
pub struct StoredModel {
    /// Id to call it by.
    pub id: String,
    /// The definition in the form of an `[[ai.model]]`, without the id; a text where the row holds no
    /// JSON.
    pub definition: Value,
    /// Whether it is a model of the catalog.
    pub enabled: bool,
    /// Its place among the rows; those of one place are in the order of their ids.
    pub position: i64,
    /// When it was written last.
    pub updated_at: Timestamp,
    /// Why it is no model of the catalog although it is enabled.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub problem: Option<String>,
}

/// A model that is to be stored.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
pub(crate) struct NewModel {
    /// Id to call it by.
    id: String,
    /// The definition in the form of an `[[ai.model]]`; without it that of the row stays.
    #[serde(default)]
    definition: Option<Map<String, Value>>,
    /// Whether it is a model of the catalog; without it what the row says, `true` for a new one.
    #[serde(default)]
    enabled: Option<bool>,
    /// Its place among the rows; without it the row's, and a new one comes last.
    #[serde(default)]
    position: Option<i64>,
}

/// The most models that are stored at once.
const MOST: usize = 1_000;

impl Ai {
    /// The models of the table, in their order, disabled ones and those that cannot be used included.
    ///
    /// # Errors
    /// When the database does not answer.
    pub(crate) async fn stored(&self, runtime: &Runtime) -> Result<Vec<StoredModel>> {
        let rows = runtime.db().scan(store::list).await?;
        let config = self.configuration();
        Ok(rows.into_iter().map(|row| shown(&config, row)).collect())
    }

    /// Stores models, all or none; every node has them in its catalog then. Gives them as they stand.
    ///
    /// # Errors
    /// 400 that says what is wrong with which definition; 404 for a model without a definition that
    /// the table does not have.
    pub(crate) async fn store(&self, cx: &Cx, models: Vec<NewModel>) -> Result<Vec<StoredModel>> {
        let config = self.configuration();
        let now = cx.runtime().clock().now();
        let checked = checked(&config, models)?;
        let of_rows = config.clone();
        let stored = cx.change(move |tx, trail| {
            let mut rows = Vec::with_capacity(checked.len());
            for model in &checked {
                let before = store::find(tx, &model.id)?;
                let row = row_of(tx, &of_rows, model, before.as_ref(), now)?;
                store::put(tx, &row)?;
                let target = Target::new("model", &row.id);
                trail.record(target, before.as_ref().map(recorded), recorded(&row));
                rows.push(row);
            }
            Ok(rows)
        });
        Ok(stored.await?.into_iter().map(|row| shown(&config, row)).collect())
    }

    /// Removes the row of a model.
    ///
    /// # Errors
    /// 404 when there is none.
    pub(crate) async fn remove_stored(&self, cx: &Cx, id: String) -> Result<()> {
        cx.change(move |tx, trail| {
            let before = store::find(tx, &id)?.ok_or_else(|| unknown(&id))?;
            store::delete(tx, &id)?;
            trail.record(Target::new("model", &id), recorded(&before), ());
            Ok(())
        })
        .await
    }
}

/// Rows of the table are taken over where they have changed.
#[async_trait]
impl Reload for Ai {
    async fn reload(&self, db: &Db) -> Result<()> {
        let rows = db.load(store::list).await?;
        self.take_rows(rows);
        Ok(())
    }
}

/// The models with their definitions as they are stored: checked, and without an id.
fn checked(config: &AiConfig, mut models: Vec<NewModel>) -> Result<Vec<NewModel>> {
    if models.is_empty() || models.len() > MOST {
        return Err(Error::invalid("models", format!("must hold 1 to {MOST} models")));
    }
    let mut ids = HashSet::new();
    if let Some(twice) = models.iter().find(|model| !ids.insert(model.id.as_str())) {
        return Err(invalid(&twice.id, "is named twice"));
    }
    for model in &mut models {
        let Some(definition) = &mut model.definition else { continue };
        let text = Value::Object(definition.clone()).to_string();
        merge::check(config, &model.id, &text).map_err(|problem| invalid(&model.id, &problem))?;
        definition.shift_remove("id");
    }
    Ok(models)
}

fn row_of(
    tx: &mut Tx<'_>,
    config: &AiConfig,
    model: &NewModel,
    before: Option<&StoredRow>,
    now: Timestamp,
) -> Result<StoredRow> {
    let definition = match (&model.definition, before) {
        (Some(definition), _) => Value::Object(definition.clone()).to_string(),
        (None, Some(before)) => before.definition.clone(),
        (None, None) => return Err(unknown(&model.id)),
    };
    // Whoever switches on what stands there wants it to be used; it may still be moved or switched off.
    if model.definition.is_none() && model.enabled == Some(true) {
        merge::check(config, &model.id, &definition)
            .map_err(|problem| invalid(&model.id, &problem))?;
    }
    let position = match (model.position, before) {
        (Some(position), _) => position,
        (None, Some(before)) => before.position,
        (None, None) => store::next_position(tx)?,
    };
    let enabled = model.enabled.or(before.map(|before| before.enabled)).unwrap_or(true);
    let id = model.id.clone();
    Ok(StoredRow { id, definition, enabled, position, updated_at: now, damage: None })
}

fn invalid(id: &str, problem: &str) -> Error {
    Error::new(ErrorCode::InvalidInput, format!("The model {id:?}: {problem}."))
        .with_field("models", problem)
}

fn unknown(id: &str) -> Error {
    Error::new(ErrorCode::NotFound, format!("The table has no model {id:?}."))
        .with_fix("GET /v1/ai/models/stored lists those that it has.")
}

fn shown(config: &AiConfig, row: StoredRow) -> StoredModel {
    let checked = || merge::check(config, &row.id, &row.definition).err();
    let problem = row.damage.clone().or_else(checked);
    let problem = problem.or_else(|| merge::shadow(config, &row.id)).filter(|_| row.enabled);
    StoredModel {
        definition: definition_of(&row),
        id: row.id,
        enabled: row.enabled,
        position: row.position,
        updated_at: row.updated_at,
        problem,
    }
}

fn definition_of(row: &StoredRow) -> Value {
    serde_json::from_str(&row.definition).unwrap_or_else(|_| row.definition.clone().into())
}

/// A row as the audit trail shows it.
fn recorded(row: &StoredRow) -> Value {
    json!({
        "definition": definition_of(row),
        "enabled": row.enabled,
        "position": row.position,
    })
}
