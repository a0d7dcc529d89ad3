//! What is to be made, in the one form in which every protocol is asked for it.

use std::sync::Arc;

use bytes::Bytes;
use downcity_core::{Error, Result};
use downcity_types::{ErrorCode, UiRole};
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use crate::catalog::Model;
use crate::config::Mode;
use crate::outgoing::Outgoing;
use crate::price::Consumed;
use crate::provider::Task;

/// Seconds that a video counts for where nobody says how long it is.
pub(crate) const UNTOLD_SECONDS: u64 = 8;

/// Fields of the upstream's body that `provider_options` cannot set: prices hang on them, or
/// they say what is to be made.
const RESERVED_OPTIONS: &[&str] = &["model", "prompt", "n", "count"];

/// An order for images or a video.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct Order {
    pub(crate) mode: Mode,
    /// Our own id of the job.
    pub(crate) job_id: String,
    /// All that was said, as one text.
    pub(crate) prompt: String,
    /// The conversation, where there is one.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub(crate) turns: Vec<Turn>,
    /// The images to draw from: `https:` or `data:` URLs.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub(crate) images: Vec<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) n: Option<u32>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) size: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) ratio: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) quality: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) seed: Option<i64>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) seconds: Option<u64>,
    /// Further fields of the API of OpenAI, for providers that speak it.
    #[serde(default, skip_serializing_if = "Map::is_empty")]
    pub(crate) extra: Map<String, Value>,
    /// What the caller sets for providers, by their options keys.
    #[serde(default, skip_serializing_if = "Map::is_empty")]
    pub(crate) provider_options: Map<String, Value>,
}

/// How much an order asks for: what is paid hangs on it.
#[derive(Clone, Copy, Debug, Deserialize)]
pub(crate) struct Terms {
    #[serde(default)]
    n: Option<u32>,
    /// Seconds of each video.
    #[serde(default)]
    pub(crate) seconds: Option<u64>,
}

impl Terms {
    /// How many are made.
    pub(crate) fn count(self) -> u64 {
        u64::from(self.n.unwrap_or(1).max(1))
    }
}

/// One turn of a conversation.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct Turn {
    pub(crate) role: UiRole,
    pub(crate) content: Vec<Piece>,
}

/// A piece of a turn.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Piece {
    Text(String),
    Image(String),
}

/// What goes to a protocol for [`Task::Media`].
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct MediaAsk {
    /// The upstream's own name of the model.
    pub(crate) model: String,
    /// What the caller set for this provider.
    pub(crate) options: Map<String, Value>,
    pub(crate) order: Order,
}

/// What goes to a protocol for [`Task::MediaState`].
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct StateAsk {
    pub(crate) mode: Mode,
    /// The upstream's own name of the model.
    pub(crate) model: String,
    /// The upstream's id of the job.
    pub(crate) id: String,
    /// Our own.
    pub(crate) job_id: String,
}

impl Order {
    /// The request for all upstreams of a model that can take it.
    ///
    /// # Errors
    /// 400 or 422 of the first upstream, where none can.
    pub(crate) fn outgoing(&self, model: &Arc<Model>) -> Result<Outgoing> {
        Outgoing::of_each(model, |model| {
            for access in model.provider.accesses.iter().take(1) {
                access.protocol.takes(self)?;
            }
            let ask = MediaAsk {
                model: model.upstream_model.clone(),
                options: self.options(model)?,
                order: self.clone(),
            };
            Ok(Outgoing { most: self.most(model), ..whole(model, Task::Media, &ask)? })
        })
    }

    fn options(&self, model: &Model) -> Result<Map<String, Value>> {
        let key = model.provider.options_key.as_str();
        let path = format!("provider_options.{key}");
        match self.provider_options.get(key) {
            None | Some(Value::Null) => Ok(Map::new()),
            Some(Value::Object(options)) => {
                let is_reserved = |name: &&String| RESERVED_OPTIONS.contains(&name.as_str());
                if let Some(name) = options.keys().find(is_reserved) {
                    return Err(has_own_field(&path, name));
                }
                for access in model.provider.accesses.iter().take(1) {
                    access.protocol.takes_options(&path, options)?;
                }
                Ok(options.clone())
            }
            Some(_) => Err(Error::invalid(path, "must be an object")),
        }
    }

    /// How much it asks for.
    pub(crate) fn terms(&self) -> Terms {
        Terms { n: self.n, seconds: self.seconds }
    }

    /// How many images are made.
    pub(crate) fn count(&self) -> u64 {
        self.terms().count()
    }

    /// The most that it may bring.
    fn most(&self, model: &Model) -> Consumed {
        if !model.is_priced() {
            return Consumed::default();
        }
        match self.mode {
            Mode::Video => Consumed {
                seconds: self.seconds.unwrap_or(UNTOLD_SECONDS).saturating_mul(self.count()),
                ..Consumed::default()
            },
            _ => Consumed {
                images: self.count(),
                output_tokens: crate::price::most_output(None, model.max_output, self.count()),
                ..Consumed::default()
            },
        }
    }

    /// Refuses what the assistant said, for an upstream that is sent one text: there it would be lost,
    /// or taken for the user's.
    ///
    /// # Errors
    /// 422 that names the message.
    pub(crate) fn refuse_answers(&self) -> Result<()> {
        let is_text = |piece: &Piece| matches!(piece, Piece::Text(text) if !text.trim().is_empty());
        let is_answer =
            |turn: &Turn| turn.role == UiRole::Assistant && turn.content.iter().any(is_text);
        match self.turns.iter().position(is_answer) {
            Some(at) => {
                let instead = "it takes no text of the assistant, leave it out";
                Err(unsupported(&format!("messages[{at}]"), instead))
            }
            None => Ok(()),
        }
    }

    /// Refuses what an upstream cannot take.
    ///
    /// # Errors
    /// 422 that names the field.
    pub(crate) fn refuse(&self, fields: &[&str], instead: &str) -> Result<()> {
        let set = |field: &str| match field {
            "n" => self.count() > 1,
            "size" => self.size.is_some(),
            "ratio" => self.ratio.is_some(),
            "quality" => self.quality.is_some(),
            "seed" => self.seed.is_some(),
            "seconds" => self.seconds.is_some(),
            "images" => !self.images.is_empty(),
            _ => false,
        };
        let extra = self.extra.keys().map(String::as_str);
        match fields.iter().copied().find(|field| set(field)).or_else(|| extra.into_iter().next()) {
            Some(field) => Err(unsupported(field, instead)),
            None => Ok(()),
        }
    }
}

/// 400 for an option in the place of a field.
pub(crate) fn has_own_field(path: &str, name: &str) -> Error {
    Error::invalid(format!("{path}.{name}"), "has a field of its own")
}

/// 422 for a field that the model cannot take.
pub(crate) fn unsupported(field: &str, instead: &str) -> Error {
    let message = format!("the model cannot take this; {instead}.");
    Error::new(ErrorCode::Unprocessable, "").with_field(field, message)
}

impl StateAsk {
    /// The question how far a job is, to every upstream of a model.
    ///
    /// # Errors
    /// 500 when it cannot be written.
    pub(crate) fn outgoing(
        mode: Mode,
        id: &str,
        job_id: &str,
        model: &Arc<Model>,
    ) -> Result<Outgoing> {
        Outgoing::of_each(model, |model| {
            let (id, job_id) = (id.to_owned(), job_id.to_owned());
            let ask = Self { mode, model: model.upstream_model.clone(), id, job_id };
            whole(model, Task::MediaState, &ask)
        })
    }
}

fn whole(model: &Arc<Model>, task: Task, ask: &impl Serialize) -> Result<Outgoing> {
    let body = Bytes::from(serde_json::to_vec(ask).map_err(Error::internal)?);
    Ok(Outgoing {
        task,
        body,
        model: model.clone(),
        most: Consumed::default(),
        stream: false,
        hide_usage: false,
        fallbacks: Vec::new(),
    })
}
