//! Requests of other tasks than chat: passed on as they are, addressed to the provider.

use std::sync::Arc;

use downcity_core::{Error, Result};

use super::{Fields, Outgoing};
use crate::catalog::Model;
use crate::convert::vectors::Encoding;
use crate::price::Consumed;
use crate::provider::Task;

impl Outgoing {
    /// A caller's own request for embeddings, for the model that `resolve` finds for its `model`, and
    /// how it wants the vectors written, where that is a way that we know.
    ///
    /// # Errors
    /// 400 that names the field; those of `resolve`.
    pub(crate) fn embeddings(
        bytes: &[u8],
        resolve: impl FnOnce(Option<&str>) -> Result<Arc<Model>>,
    ) -> Result<(Self, Option<Encoding>)> {
        let fields = Fields::read(bytes)?;
        let encoding: Option<String> = fields.typed("encoding_format", "a text")?;
        let encoding = encoding.as_deref().map_or(Some(Encoding::Float), Encoding::of);
        let input = fields.get("input").map(|input| input.get().trim());
        match input {
            Some("\"\"") => return Err(Error::invalid("input", "must not be empty")),
            Some(list) if list.starts_with('[') => {
                if list[1..].trim_start().starts_with(']') {
                    return Err(Error::invalid("input", "must not be empty"));
                }
            }
            Some(text) if text.starts_with('"') => {}
            Some(_) | None => {
                let message = "must be a text, a list of texts, or tokens";
                return Err(Error::invalid("input", message));
            }
        }
        let read = ["input", "encoding_format"];
        let outgoing =
            Self::passed(Task::Embeddings, &fields, &read, resolve, |_| Ok(Consumed::default()))?;
        Ok((outgoing, encoding))
    }

    /// A request of which we have `read` some fields; `most` says what its answer may bring.
    ///
    /// # Errors
    /// 400 that names the field; those of `resolve` and `most`.
    pub(super) fn passed(
        task: Task,
        fields: &Fields<'_>,
        read: &[&str],
        resolve: impl FnOnce(Option<&str>) -> Result<Arc<Model>>,
        most: impl Fn(&Model) -> Result<Consumed>,
    ) -> Result<Self> {
        let asked: Option<String> = fields.typed("model", "a text")?;
        let model = resolve(asked.as_deref())?;
        Self::of_each(&model, |model| {
            let mut fields = Fields(fields.0.clone());
            fields.address(model);
            fields.settle(read);
            fields.enforce(model)?;
            Ok(Self {
                task,
                body: fields.write(),
                model: model.clone(),
                most: most(model)?,
                stream: false,
                hide_usage: false,
                fallbacks: Vec::new(),
            })
        })
    }
}
