//! What the provider `echo` says and hears: tones, and how long they are.

use bytes::Bytes;
use downcity_core::{Body, Error, form};
use http::header::CONTENT_TYPE;
use http::{HeaderValue, Response};
use serde_json::{Value, json};

use super::openai::boundary_of;
use crate::failure::Failure;
use crate::sound;

/// The longest tone, in seconds.
const LONGEST: u64 = 10;

fn answer(kind: &'static str, body: impl Into<Body>) -> Response<Body> {
    let mut response = Response::new(body.into());
    response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static(kind));
    response
}

/// A tone that is as long as the text, within limits; always WAV.
pub(super) fn spoken(body: &[u8]) -> Result<Response<Body>, Failure> {
    let request: Value = serde_json::from_slice(body).map_err(ours)?;
    let text = request.get("input").and_then(Value::as_str).unwrap_or_default();
    let seconds = sound::of_text(text.len()).clamp(1, LONGEST);
    let tone = sound::tone(u32::try_from(seconds).unwrap_or(1));
    Ok(answer("audio/wav", Bytes::from(tone)))
}

/// A text that says how long the recording is.
pub(super) fn heard(body: &Bytes, label: &str) -> Result<Response<Body>, Failure> {
    let boundary = boundary_of(body).unwrap_or_default();
    let form = form::read(body, boundary).map_err(Failure::Ours)?;
    let Some(file) = form.files.first() else {
        return Err(Failure::Ours(Error::internal("a form without its file")));
    };
    let media_type = file.media_type.as_deref().unwrap_or_default();
    let head = file.bytes.get(..sound::HEAD).unwrap_or(&file.bytes);
    let seconds = sound::seconds(media_type, head, file.bytes.len() as u64);
    let text = match seconds {
        Some(seconds) => format!("{label}{seconds} s of sound"),
        None => format!("{label}{} bytes of sound", file.bytes.len()),
    };
    let field = |name: &str| {
        let mut fields = form.fields.iter();
        fields.find(|(known, _)| known == name).map(|(_, value)| value.as_str())
    };
    match field("response_format") {
        None | Some("json") => Ok(answer("application/json", json!({"text": text}).to_string())),
        Some("text") => Ok(answer("text/plain; charset=utf-8", format!("{text}\n"))),
        Some("verbose_json") => {
            let language = field("language").unwrap_or("english");
            let whole = json!({
                "task": "transcribe", "language": language, "duration": seconds.unwrap_or(0.0),
                "text": text,
                "segments": [{
                    "id": 0, "start": 0.0, "end": seconds.unwrap_or(0.0), "text": text,
                }],
            });
            Ok(answer("application/json", whole.to_string()))
        }
        Some(_) => Err(Failure::Ours(Error::invalid(
            "response_format",
            "is json, verbose_json or text with the echo model",
        ))),
    }
}

fn ours(error: serde_json::Error) -> Failure {
    Failure::Ours(Error::internal(error))
}
