//! `fed model`.

use clap::Subcommand;
use serde_json::{Value, json};

use crate::failure::Failure;
use crate::fed::Fed;
use crate::output::Column;

pub(crate) const MODEL: &[Column] = &[
    Column::new("ID", "id"),
    Column::new("NAME", "name"),
    Column::status("READY", "ready"),
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

const TESTED: &[Column] = &[
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
    /// List the models that products can call, from the configuration and from the table: whether
    /// they can be called now, and what is missing.
    Catalog,
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
}

impl ModelCommand {
    pub(crate) async fn run(self, fed: Fed) -> Result<(), Failure> {
        match self {
            Self::Catalog => fed.list("ai/models", json!({}), MODEL).await,
            Self::Prices => fed.list("ai/models", json!({}), PRICE).await,
            Self::Test { models } => {
                let input = json!({ "models": (!models.is_empty()).then_some(models) });
                let tested = fed.remote.post("ai/test", input).await?;
                fed.output.list(&tested, TESTED)?;
                let failed = tested["items"].as_array().into_iter().flatten();
                let failed = failed.filter(|model| model["ok"] == Value::Bool(false)).count();
                if failed > 0 {
                    let message = match failed {
                        1 => "1 model does not answer.".to_owned(),
                        more => format!("{more} models do not answer."),
                    };
                    return Err(Failure::new(downcity_server::FailureKind::Failed, message));
                }
                Ok(())
            }
        }
    }
}
