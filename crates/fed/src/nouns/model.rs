//! `fed model`.

use std::io::Read as _;
use std::path::{Path, PathBuf};

use clap::{ArgGroup, Subcommand};
use downcity_server::FailureKind;
use serde_json::{Map, Value, json};

use crate::failure::Failure;
use crate::fed::{Change, Fed};
use crate::output::{Ask, Column, json as print_json};

const SET: &str = "\
The definition has the form of an [[ai.model]], as JSON. It is checked as the configuration is, and
nothing is stored when it cannot be used. What is not said stays as it is.

Examples:
  fed model set chat '{\"name\": \"Chat\", \"provider\": \"deepseek\", \"upstream_model\": \"deepseek-chat\"}'
  fed model set chat --file chat.json --position 1
  fed model set chat --disable";

const IMPORT: &str = "\
The file is a JSON array of definitions in the form of an [[ai.model]], each with its id, or a TOML file
with [[ai.model]] tables, such as a federation.toml. All of them are stored, or none.

Examples:
  fed model import models.json
  fed model import old/federation.toml";

pub(crate) const MODEL: &[Column] = &[
    Column::new("ID", "id"),
    Column::new("NAME", "name"),
    Column::status("READY", "ready"),
    Column::new("FROM", "source"),
    Column::new("MODES", "modalities"),
    Column::new("DEFAULT FOR", "default_modes"),
    Column::new("MISSING ENV", "missing_env"),
];

pub(crate) const PRICE: &[Column] = &[
    Column::new("ID", "id"),
    Column::credits("PER REQUEST", "price.per_request"),
    Column::credits("INPUT / M", "price.input_per_m"),
    Column::credits("CACHED / M", "price.cached_per_m"),
    Column::credits("OUTPUT / M", "price.output_per_m"),
    Column::credits("PER IMAGE", "price.per_image"),
    Column::credits("PER SECOND", "price.per_second"),
    Column::credits("MINIMUM", "price.minimum"),
];

pub(crate) const STORED: &[Column] = &[
    Column::new("ID", "id"),
    Column::new("NAME", "definition.name"),
    Column::new("POSITION", "position"),
    Column::status("ENABLED", "enabled"),
    Column::time("CHANGED", "updated_at"),
    Column::new("PROBLEM", "problem"),
];

pub(crate) const TESTED: &[Column] = &[
    Column::new("MODEL", "model"),
    Column::status("OK", "ok"),
    Column::new("MS", "latency_ms"),
    Column::new("FIRST BYTE MS", "first_byte_ms"),
    Column::new("STREAMS", "streaming"),
    Column::new("TOOLS", "tools"),
    Column::new("USAGE", "usage"),
    Column::new("PROBLEM", "error"),
];

/// Models that products can call.
#[derive(Debug, Subcommand)]
pub(crate) enum ModelCommand {
    /// List the models: whether they can be called now, and what is missing.
    List,
    /// Make a tiny live call of each model, or of those that are named. It costs what the providers
    /// ask for it.
    #[command(after_help = "Examples:\n  fed model test\n  fed model test gpt claude --json")]
    Test {
        /// Ids of models; without one, all.
        #[arg(value_name = "MODEL")]
        models: Vec<String>,
    },
    /// List what calls cost, in credits.
    Prices,
    /// List the models of the table, which stands beside the configuration, with the reason where one
    /// cannot be used.
    Stored,
    /// Print a model of the table as JSON.
    Show {
        /// Its id.
        id: String,
    },
    /// Store a model in the table; every node has it at once.
    #[command(
        after_help = SET,
        group(ArgGroup::new("what").required(true).multiple(true)
            .args(["definition", "file", "enable", "disable", "position"])),
    )]
    Set {
        /// Its id.
        id: String,
        /// Its definition as JSON.
        #[arg(value_name = "JSON", conflicts_with = "file")]
        definition: Option<String>,
        /// Read the definition from this file; - is the standard input.
        #[arg(long, value_name = "PATH")]
        file: Option<PathBuf>,
        /// Take it into the catalog.
        #[arg(long, conflicts_with = "disable")]
        enable: bool,
        /// Leave it out of the catalog.
        #[arg(long)]
        disable: bool,
        /// Its place among the models of the table.
        #[arg(long, value_name = "NUMBER", allow_negative_numbers = true)]
        position: Option<i64>,
    },
    /// Remove a model from the table.
    Remove {
        /// Its id.
        id: String,
    },
    /// Store the models of a file in the table, all or none.
    #[command(after_help = IMPORT)]
    Import {
        /// The file; - is JSON from the standard input.
        file: PathBuf,
    },
}

impl ModelCommand {
    pub(crate) async fn run(self, fed: Fed) -> Result<(), Failure> {
        match self {
            Self::List => fed.list("ai/models", json!({}), MODEL).await,
            Self::Prices => fed.list("ai/models", json!({}), PRICE).await,
            Self::Test { models } => test(&fed, models).await,
            Self::Stored => fed.list("ai/models/stored", json!({}), STORED).await,
            Self::Show { id } => show(&fed, &id).await,
            Self::Set { id, definition, file, enable, disable, position } => {
                let definition = match (definition, file) {
                    (Some(text), _) => Some(object(&text)?),
                    (None, Some(path)) => Some(object(&read(&path)?)?),
                    (None, None) => None,
                };
                let enabled = (enable || disable).then_some(enable);
                store(&fed, vec![model(&id, definition, enabled, position)]).await
            }
            Self::Remove { id } => {
                let what = format!("Remove the model {id} from the table");
                let ask = Ask { what: &what, typed: None };
                let change = Change::new("ai/models/remove", json!({ "id": id })).asking(ask);
                fed.carry_out(change, &format!("{id} is removed.")).await
            }
            Self::Import { file } => {
                let models = definitions(&file)?.into_iter().map(imported);
                store(&fed, models.collect::<Result<_, Failure>>()?).await
            }
        }
    }
}

async fn test(fed: &Fed, models: Vec<String>) -> Result<(), Failure> {
    let input = json!({ "models": (!models.is_empty()).then_some(models) });
    let Some(tested) = fed.send(Change::new("ai/test", input)).await? else { return Ok(()) };
    fed.output.list(&tested, TESTED)?;
    let failed = tested["items"].as_array().into_iter().flatten();
    let message = match failed.filter(|model| model["ok"] == Value::Bool(false)).count() {
        0 => return Ok(()),
        1 => "1 model does not answer.".to_owned(),
        more => format!("{more} models do not answer."),
    };
    Err(Failure::new(FailureKind::Failed, message))
}

async fn show(fed: &Fed, id: &str) -> Result<(), Failure> {
    let stored = fed.remote.get("ai/models/stored", json!({})).await?;
    let found = stored["items"].as_array().into_iter().flatten().find(|model| model["id"] == id);
    match found {
        Some(model) => print_json(model),
        None => Err(Failure::new(
            FailureKind::NotFound,
            format!("The table has no model {id:?}; fed model stored shows those that it has."),
        )),
    }
}

/// Stores models, all or none, and prints them as they stand.
async fn store(fed: &Fed, models: Vec<Value>) -> Result<(), Failure> {
    match fed.send(Change::new("ai/models/set", json!({ "models": models }))).await? {
        Some(answer) => fed.output.list(&answer, STORED),
        None => Ok(()),
    }
}

/// A model as it is sent; what is not said is left out.
fn model(
    id: &str,
    definition: Option<Map<String, Value>>,
    enabled: Option<bool>,
    position: Option<i64>,
) -> Value {
    let fields = [
        ("id", Some(id.into())),
        ("definition", definition.map(Value::Object)),
        ("enabled", enabled.map(Value::Bool)),
        ("position", position.map(Value::from)),
    ];
    let said = fields.into_iter().filter_map(|(name, value)| Some((name.to_owned(), value?)));
    Value::Object(said.collect())
}

/// The definitions of a file.
fn definitions(file: &Path) -> Result<Vec<Value>, Failure> {
    let text = read(file)?;
    let invalid =
        |why: String| Failure::new(FailureKind::Failed, format!("{}: {why}", file.display()));
    if file.extension().is_some_and(|extension| extension == "toml") {
        let document: Value = toml::from_str(&text).map_err(|error| invalid(error.to_string()))?;
        let models = document.pointer("/ai/model").and_then(Value::as_array);
        return models.cloned().ok_or_else(|| invalid("it has no [[ai.model]].".to_owned()));
    }
    match serde_json::from_str(&text) {
        Ok(Value::Array(models)) => Ok(models),
        Ok(_) => Err(invalid("it has to be a JSON array of definitions.".to_owned())),
        Err(error) => Err(invalid(format!("it is no JSON: {error}."))),
    }
}

/// A definition of a file as it is sent.
fn imported(definition: Value) -> Result<Value, Failure> {
    let invalid = |why: &str| Failure::new(FailureKind::Failed, format!("{definition}: {why}"));
    let Value::Object(fields) = &definition else { return Err(invalid("is no JSON object.")) };
    let id = fields.get("id").and_then(Value::as_str).ok_or_else(|| invalid("has no id."))?;
    Ok(model(id, Some(fields.clone()), None, None))
}

fn object(text: &str) -> Result<Map<String, Value>, Failure> {
    serde_json::from_str(text).map_err(|error| {
        Failure::new(FailureKind::Failed, format!("The definition is no JSON object: {error}."))
    })
}

fn read(path: &Path) -> Result<String, Failure> {
    if path == Path::new("-") {
        let mut text = String::new();
        std::io::stdin().read_to_string(&mut text)?;
        return Ok(text);
    }
    std::fs::read_to_string(path).map_err(|error| {
        let kind = match error.kind() {
            std::io::ErrorKind::NotFound => FailureKind::NotFound,
            std::io::ErrorKind::PermissionDenied => FailureKind::NotAllowed,
            _ => FailureKind::Failed,
        };
        Failure::new(kind, format!("{} cannot be read: {error}.", path.display()))
    })
}
