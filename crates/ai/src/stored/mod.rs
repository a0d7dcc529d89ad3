//! Models as data: rows of the table `ai_models` beside the models of the configuration.
//!
//! The configuration counts where both have a model of one id, and providers stand in it alone. Rows
//! are read at the start and whenever the state of the Federation changes on any node; commands write
//! them, never an action.

mod merge;
mod store;

use async_trait::async_trait;
use downcity_core::audit::Target;
use downcity_core::{Error, Reload, Result, Runtime};
use downcity_db::{Db, MigrationSet, Tx, migrations};
use downcity_types::{ErrorCode, Timestamp};
use serde::Serialize;
use serde_json::{Map, Value, json};

pub(crate) use merge::{LeftOut, merge};
pub(crate) use store::StoredRow;

use crate::config::AiConfig;
use crate::service::Ai;

/// What the audit trail calls the commands.
const SET: &str = "models/set";
const REMOVE: &str = "models/remove";

/// The table of models.
pub(crate) fn migrations() -> MigrationSet {
    migrations!("ai_models", [(1, "models", "../../migrations/models_0001.sql")])
}

/// A model as a row has it.
#[derive(Clone, Debug, PartialEq, Serialize)]
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
#[derive(Clone, Debug)]
pub struct NewModel {
    /// Id to call it by.
    pub id: String,
    /// The definition in the form of an `[[ai.model]]`.
    pub definition: Map<String, Value>,
    /// Whether it is a model of the catalog; `None` keeps what the row says, `true` for a new one.
    pub enabled: Option<bool>,
    /// Its place among the rows; `None` keeps the row's, and a new one comes last.
    pub position: Option<i64>,
}

impl Ai {
    /// The models of the table, in their order, disabled ones and those that cannot be used included.
    ///
    /// # Errors
    /// When the database does not answer.
    pub async fn stored_models(&self, runtime: &Runtime) -> Result<Vec<StoredModel>> {
        let rows = runtime.db().scan(store::list).await?;
        let config = self.configuration();
        Ok(rows.into_iter().map(|row| shown(&config, row)).collect())
    }

    /// Stores models, all or none; every node has them in its catalog then. Gives them as they stand.
    ///
    /// # Errors
    /// 400 that says what is wrong with which definition.
    pub async fn store_models(
        &self,
        runtime: &Runtime,
        models: Vec<NewModel>,
    ) -> Result<Vec<StoredModel>> {
        let config = self.configuration();
        let now = runtime.clock().now();
        let mut checked = Vec::with_capacity(models.len());
        for mut model in models {
            let definition = Value::Object(model.definition.clone()).to_string();
            merge::check(&config, &model.id, &definition).map_err(|problem| {
                Error::new(ErrorCode::InvalidInput, format!("The model {:?}: {problem}.", model.id))
            })?;
            model.definition.shift_remove("id");
            checked.push((Value::Object(model.definition.clone()).to_string(), model));
        }
        let stored = runtime.change_by_command(SET, move |tx, trail| {
            let mut rows = Vec::with_capacity(checked.len());
            trail.unchanged();
            for (definition, model) in &checked {
                let before = store::find(tx, &model.id)?;
                let row = row_of(tx, model, definition, before.as_ref(), now)?;
                store::put(tx, &row)?;
                let target = Target::new("model", &row.id);
                trail.record(target, before.as_ref().map(recorded), recorded(&row));
                rows.push(row);
            }
            Ok(rows)
        });
        Ok(stored.await?.into_iter().map(|row| shown(&config, row)).collect())
    }

    /// Removes the row of a model. Says whether there was one.
    ///
    /// # Errors
    /// When the database does not answer.
    pub async fn remove_stored_model(&self, runtime: &Runtime, id: &str) -> Result<bool> {
        let id = id.to_owned();
        let removed = runtime.change_by_command(REMOVE, move |tx, trail| {
            let Some(before) = store::find(tx, &id)? else {
                trail.unchanged();
                return Ok(false);
            };
            store::delete(tx, &id)?;
            trail.record(Target::new("model", &id), recorded(&before), ());
            Ok(true)
        });
        removed.await
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

fn row_of(
    tx: &mut Tx<'_>,
    model: &NewModel,
    definition: &str,
    before: Option<&StoredRow>,
    now: Timestamp,
) -> Result<StoredRow> {
    let position = match (model.position, before) {
        (Some(position), _) => position,
        (None, Some(before)) => before.position,
        (None, None) => store::next_position(tx)?,
    };
    let enabled = model.enabled.or(before.map(|before| before.enabled)).unwrap_or(true);
    let (id, definition) = (model.id.clone(), definition.to_owned());
    Ok(StoredRow { id, definition, enabled, position, updated_at: now, damage: None })
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
