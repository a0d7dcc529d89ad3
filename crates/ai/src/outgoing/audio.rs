//! Requests of speech, and of what was said.

use std::sync::Arc;

use bytes::Bytes;
use downcity_core::{Call, Error, Result};
use serde_json::{Map, Value};

use super::{Fields, OURS, Outgoing};
use crate::catalog::Model;
use crate::price::Consumed;
use crate::provider::Task;
use crate::provider::multipart::Form;
use crate::sound;

/// Tokens that models count for a second that they hear, and for the words of a second.
pub(super) const HEARD: u64 = 10;
const WRITTEN: u64 = 5;

/// A sound whose words are asked for.
pub(crate) struct Recording {
    /// The name of the file, from whose end some providers see what it is.
    pub(crate) filename: String,
    pub(crate) media_type: String,
    pub(crate) bytes: Bytes,
    /// Further fields, by name: those that are lists stand here several times.
    pub(crate) fields: Vec<(String, String)>,
}

impl Recording {
    /// Its length in seconds, where its bytes tell.
    pub(crate) fn seconds(&self) -> Option<f64> {
        let head = self.bytes.get(..sound::HEAD).unwrap_or(&self.bytes);
        sound::seconds(&self.media_type, head, self.bytes.len() as u64)
    }

    /// The same in whole seconds, the most that it can be where its bytes do not tell.
    pub(crate) fn most_seconds(&self) -> u64 {
        // Saturates.
        let told = self.seconds().map(|seconds| seconds.ceil() as u64);
        told.unwrap_or_else(|| sound::most_of_bytes(self.bytes.len() as u64))
    }
}

impl Outgoing {
    /// A request for speech in the form of OpenAI, for the model that `resolve` finds for its `model`.
    ///
    /// # Errors
    /// 400 that names the field; those of `resolve`.
    pub(crate) fn speech(
        bytes: &[u8],
        resolve: impl FnOnce(Option<&str>) -> Result<Arc<Model>>,
    ) -> Result<Self> {
        let fields = Fields::read(bytes)?;
        let text: Option<String> = fields.typed("input", "a text")?;
        let text = text.filter(|text| !text.trim().is_empty());
        let text = text.ok_or_else(|| Error::invalid("input", "is required and not empty"))?;
        let speed: Option<f64> = fields.typed("speed", "a number")?;
        let seconds = sound::most_of_text(text.len(), speed.unwrap_or(1.0));
        let most = Consumed { seconds, ..Consumed::default() };
        Self::passed(Task::Speech, &fields, &["input", "speed"], resolve, |_| Ok(most))
    }

    /// A request for speech, with what `options` add for each of its upstreams.
    ///
    /// # Errors
    /// As [`Outgoing::speech`].
    pub(crate) fn spoken(
        model: &Arc<Model>,
        request: &Map<String, Value>,
        options: impl Fn(&Model) -> Result<Map<String, Value>>,
    ) -> Result<Self> {
        Self::of_each(model, |model| {
            let mut request = request.clone();
            request.extend(options(model)?);
            let bytes = serde_json::to_vec(&request).map_err(Error::internal)?;
            Self::speech(&bytes, |_| Ok(model.clone()))
        })
    }

    /// A request for what is said in a recording.
    ///
    /// # Errors
    /// That of the first upstream, where none can take it.
    pub(crate) fn transcription(
        call: &Call,
        model: &Arc<Model>,
        recording: &Recording,
        options: impl Fn(&Model) -> Result<Vec<(String, String)>>,
    ) -> Result<Self> {
        let seconds = recording.most_seconds();
        let output_tokens = seconds.saturating_mul(WRITTEN);
        let most = Consumed { seconds, output_tokens, ..Consumed::default() };
        Self::of_each(model, |model| {
            let mut fields = recording.fields.clone();
            for (name, value) in options(model)? {
                fields.retain(|(known, _)| *known != name);
                fields.push((name, value));
            }
            let provider = &model.provider;
            fields.retain(|(name, _)| {
                !OURS.contains(&name.as_str())
                    && name != "model"
                    && !provider.strip.contains(name)
                    && !provider.force.contains_key(name)
            });
            let forced = provider.force.iter().map(|(name, value)| (name.clone(), text_of(value)));
            fields.extend(forced);
            let mut form = Form::new(call);
            // Providers that read form and file as they come know the model before the file.
            form.text("model", &model.upstream_model);
            for (name, value) in &fields {
                form.text(name, value);
            }
            form.file("file", &recording.filename, &recording.media_type, &recording.bytes);
            let (_, body) = form.end();
            Ok(Self {
                task: Task::Transcription,
                body,
                model: model.clone(),
                most,
                stream: false,
                hide_usage: false,
                fallbacks: Vec::new(),
            })
        })
    }
}

/// A value as a form carries it.
pub(crate) fn text_of(value: &Value) -> String {
    match value {
        Value::String(text) => text.clone(),
        other => other.to_string(),
    }
}
