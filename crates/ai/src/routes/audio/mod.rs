//! Speech, and what is said: the routes of the Federation and those of OpenAI.

mod speech;
mod transcription;

use std::sync::Arc;

use downcity_core::{Error, ErrorShape, Result, ServiceDef, USER_OR_ADMIN};
use serde_json::{Map, Value};

pub use speech::{SpeechRequest, TtsInput};
pub use transcription::{AsrInput, Transcript, TranscriptionRequest};

use crate::catalog::Model;
use crate::service::{Ai, GUARD};

/// Bytes of a request beside its recording.
const BESIDE: usize = 64 * 1024;
/// Body fields of a provider that `provider_options` cannot set.
const RESERVED_OPTIONS: &[&str] = &["model", "input", "file", "stream", "stream_format"];

impl Ai {
    pub(crate) fn declare_audio(self: &Arc<Self>, service: &mut ServiceDef) {
        let most = self.catalog().settings.max_audio_bytes;
        service
            .post("tts", USER_OR_ADMIN, self, Self::tts)
            .summary("Speak a text.")
            .description(
                "Answers with a UI message that holds the sound as a file part. With `Accept: \
                 audio/*` it answers with the sound itself, while it is made.",
            )
            .timeout(GUARD)
            .moves_money()
            .cancel_on_disconnect();
        service
            .post("asr", USER_OR_ADMIN, self, Self::asr)
            .summary("Write down what is said in a recording.")
            .description(
                "The recording is a file of a form (multipart/form-data), or stands in `data_url` \
                 or at `url`.",
            )
            // In base64 a recording is a third longer.
            .body_limit(most.div_ceil(3).saturating_mul(4).saturating_add(BESIDE))
            .timeout(GUARD)
            .moves_money()
            .cancel_on_disconnect();
        service
            .post("/v1/audio/speech", USER_OR_ADMIN, self, Self::speech)
            .summary("Speak a text, in the form of OpenAI.")
            .description("The answer is the provider's sound, passed on as it comes.")
            .errors(ErrorShape::OpenAi)
            .produces("audio/*")
            .timeout(GUARD)
            .moves_money()
            .cancel_on_disconnect();
        service
            .post("/v1/audio/transcriptions", USER_OR_ADMIN, self, Self::transcriptions)
            .summary("Write down what is said in a recording, in the form of OpenAI.")
            .description(
                "A form (multipart/form-data) with the recording as `file`. Fields and answers are \
                 the provider's.",
            )
            .errors(ErrorShape::OpenAi)
            .produces("application/json")
            .body_limit(most.saturating_add(BESIDE))
            .timeout(GUARD)
            .moves_money()
            .cancel_on_disconnect();
    }
}

/// What the caller has for the provider of a model alone.
fn options_of(model: &Model, options: Option<&Map<String, Value>>) -> Result<Map<String, Value>> {
    let key = &model.provider.options_key;
    match options.and_then(|options| options.get(key)) {
        None | Some(Value::Null) => Ok(Map::new()),
        Some(Value::Object(own)) => {
            let free = own.iter().filter(|(name, _)| !RESERVED_OPTIONS.contains(&name.as_str()));
            Ok(free.map(|(name, value)| (name.clone(), value.clone())).collect())
        }
        Some(_) => Err(Error::invalid(format!("provider_options.{key}"), "must be an object")),
    }
}
