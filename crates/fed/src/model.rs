//! `fed model`.

use std::io::Read as _;
use std::path::{Path, PathBuf};

use clap::Subcommand;
use downcity_server::{FailureKind, Federation, FederationBuilder, NewModel, StoredModel};
use serde_json::{Map, Value, json};

use crate::args::Layers;
use crate::commands::{block_on, sources};
use crate::failure::Failure;
use crate::fed::{Fed, Flags};
use crate::nouns;
use crate::output::{json as print_json, print};

const SET: &str = "\
The definition has the form of an [[ai.model]], as JSON. It is checked as the configuration is, and
nothing is stored when it cannot be used. What is not said by a flag stays as it is.

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

#[derive(Debug, Subcommand)]
pub(crate) enum ModelCommand {
    #[command(flatten)]
    Remote(nouns::model::ModelCommand),
    /// List the models of the table, with the reason where one cannot be used.
    List {
        #[command(flatten)]
        layers: Layers,
    },
    /// Print a model of the table as JSON.
    Show {
        /// Its id.
        id: String,
        #[command(flatten)]
        layers: Layers,
    },
    /// Store a model in the table; servers that run have it at once.
    #[command(after_help = SET)]
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
        #[command(flatten)]
        layers: Layers,
    },
    /// Remove a model from the table.
    Remove {
        /// Its id.
        id: String,
        #[command(flatten)]
        layers: Layers,
    },
    /// Store the models of a file in the table, all or none.
    #[command(after_help = IMPORT)]
    Import {
        /// The file; - is JSON from the standard input.
        file: PathBuf,
        #[command(flatten)]
        layers: Layers,
    },
}

pub(crate) fn run(flags: &Flags, command: ModelCommand) -> Result<(), Failure> {
    let json = flags.output.json;
    match command {
        ModelCommand::Remote(command) => Fed::run(flags, |fed| command.run(fed)),
        ModelCommand::List { layers } => {
            let models = block_on(federation(layers).stored_models())??;
            report(&models, json)
        }
        ModelCommand::Show { id, layers } => show(&id, layers),
        ModelCommand::Set { id, definition, file, enable, disable, position, layers } => {
            let definition = match (definition, file) {
                (Some(text), _) => Some(text),
                (None, Some(path)) => Some(read(&path)?),
                (None, None) => None,
            };
            let definition = definition.as_deref().map(object).transpose()?;
            let definition = match definition {
                Some(definition) => definition,
                None => stored(&id, layers.clone())?,
            };
            let enabled = if enable || disable { Some(enable) } else { None };
            let model = NewModel { id, definition, enabled, position };
            let models = block_on(federation(layers).store_models(vec![model]))??;
            report(&models, json)
        }
        ModelCommand::Remove { id, layers } => {
            if block_on(federation(layers).remove_stored_model(&id))?? {
                return print(&format!("{id}\n"));
            }
            Err(unknown(&id))
        }
        ModelCommand::Import { file, layers } => {
            let models = definitions(&file)?.into_iter().map(new_model);
            let models = models.collect::<Result<Vec<NewModel>, Failure>>()?;
            let models = block_on(federation(layers).store_models(models))??;
            report(&models, json)
        }
    }
}

fn federation(layers: Layers) -> FederationBuilder {
    Federation::builder().config_sources(sources(layers))
}

fn show(id: &str, layers: Layers) -> Result<(), Failure> {
    let models = block_on(federation(layers).stored_models())??;
    let model = models.iter().find(|model| model.id == id).ok_or_else(|| unknown(id))?;
    print_json(&json!(model))
}

/// The definition of a model that is in the table already.
fn stored(id: &str, layers: Layers) -> Result<Map<String, Value>, Failure> {
    let models = block_on(federation(layers).stored_models())??;
    let model = models.into_iter().find(|model| model.id == id).ok_or_else(|| unknown(id))?;
    match model.definition {
        Value::Object(definition) => Ok(definition),
        _ => Err(Failure::new(
            FailureKind::Failed,
            format!("The row of {id:?} holds no JSON object; give the definition anew."),
        )),
    }
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

fn new_model(definition: Value) -> Result<NewModel, Failure> {
    let invalid = |why: &str| Failure::new(FailureKind::Failed, format!("{definition}: {why}"));
    let Value::Object(fields) = &definition else { return Err(invalid("is no JSON object.")) };
    let id = fields.get("id").and_then(Value::as_str).ok_or_else(|| invalid("has no id."))?;
    let (id, definition) = (id.to_owned(), fields.clone());
    Ok(NewModel { id, definition, enabled: None, position: None })
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

fn report(models: &[StoredModel], as_json: bool) -> Result<(), Failure> {
    if as_json {
        return print_json(&json!({ "items": models }));
    }
    let width = models.iter().map(|model| model.id.len()).max().unwrap_or(0);
    let line = |model: &StoredModel| {
        let state = match (&model.problem, model.enabled) {
            (Some(problem), _) => format!("left out: {problem}"),
            (None, true) => "enabled".to_owned(),
            (None, false) => "disabled".to_owned(),
        };
        format!("{:width$}  {:>4}  {state}\n", model.id, model.position)
    };
    print(&models.iter().map(line).collect::<String>())
}

fn unknown(id: &str) -> Failure {
    let message = format!("The table has no model {id:?}; fed model list shows those that it has.");
    Failure::new(FailureKind::NotFound, message)
}
