//! The provider `echo`: repeats the last text of the user and makes vectors of words, so that
//! everything works offline.

use std::borrow::Cow;

use bytes::Bytes;
use downcity_core::{Body, Call, Error};
use futures_util::future::BoxFuture;
use http::header::CONTENT_TYPE;
use http::{HeaderValue, Response, StatusCode};
use serde::Deserialize;
use serde_json::{Value, json};

use super::{Asked, Protocol, Task, embeddings, mark, tone};
use crate::failure::Failure;
use crate::files::to_base64;
use crate::media::{Made, MediaAnswer, MediaAsk, Outcome};

/// The label in front of every answer, so that nobody takes it for a model's.
const LABEL: &str = "Echo (development): ";

/// The length of vectors where the request asks for none.
const DIMENSIONS: usize = 256;

/// Answers without a provider: whole, or word by word.
pub(crate) struct Echo;

#[derive(Deserialize)]
struct Request<'a> {
    #[serde(borrow, default)]
    model: Cow<'a, str>,
    #[serde(default)]
    messages: Vec<Message>,
    #[serde(default)]
    stream: bool,
    #[serde(default)]
    stream_options: Option<StreamOptions>,
}

#[derive(Deserialize)]
struct Message {
    #[serde(default)]
    role: String,
    #[serde(default)]
    content: Value,
}

#[derive(Deserialize)]
struct StreamOptions {
    #[serde(default)]
    include_usage: bool,
}

impl Protocol for Echo {
    fn ask<'a>(
        &'a self,
        call: &'a Call,
        asked: Asked,
    ) -> BoxFuture<'a, Result<Response<Body>, Failure>> {
        let created = call.runtime().clock().now_seconds();
        let answer = match asked.task {
            Task::Chat => answer(&asked.body, created),
            Task::Embeddings => embedded(&asked.body),
            Task::Media | Task::MediaState => drawn(&asked),
            Task::Speech => tone::spoken(&asked.body),
            Task::Transcription => tone::heard(&asked.body, LABEL),
        };
        Box::pin(std::future::ready(answer))
    }
}

/// Draws the mark, as often as it is asked for.
fn drawn(asked: &Asked) -> Result<Response<Body>, Failure> {
    let ask: MediaAsk = asked.read(Task::Media).map_err(Failure::Ours)?;
    let made = |number| Made {
        b64_json: Some(to_base64(&mark::png())),
        filename: Some(format!("echo-development-{number}.png")),
        ..Made::default()
    };
    let data = (1..=ask.order.count()).map(made).collect();
    Outcome::Made(MediaAnswer { data, ..MediaAnswer::default() }).into_response(StatusCode::OK)
}

fn answer(body: &[u8], created: i64) -> Result<Response<Body>, Failure> {
    // As a value first: of two equal names the last one counts.
    let body: Value =
        serde_json::from_slice(body).map_err(|error| Failure::Ours(Error::internal(error)))?;
    let request: Request<'_> = serde_path_to_error::deserialize(&body).map_err(|error| {
        // The words of the parser would repeat what the caller sent.
        let message = "has a form that the echo model cannot read";
        Failure::Ours(Error::invalid(error.path().to_string(), message))
    })?;
    let text = format!("{LABEL}{}", last_user_text(&request.messages));
    let words = |text: &str| text.split_whitespace().count();
    let said: usize =
        request.messages.iter().map(|message| words(&text_of(&message.content))).sum();
    let usage = json!({
        "prompt_tokens": said,
        "completion_tokens": words(&text),
        "total_tokens": said + words(&text),
    });
    let (kind, body) = if request.stream {
        ("text/event-stream", streamed(&request, &text, &usage, created))
    } else {
        let whole = json!({
            "id": "chatcmpl-echo", "object": "chat.completion", "created": created,
            "model": request.model,
            "choices": [{
                "index": 0,
                "message": {"role": "assistant", "content": text},
                "finish_reason": "stop",
            }],
            "usage": usage,
        });
        ("application/json", Body::from(whole.to_string()))
    };
    let mut response = Response::new(body);
    response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static(kind));
    Ok(response)
}

/// The most numbers that one answer of vectors holds: they are all made at once.
const MOST_NUMBERS: usize = 1 << 20;

/// Vectors in which texts that share words are near to each other.
fn embedded(body: &[u8]) -> Result<Response<Body>, Failure> {
    let request = embeddings::Request::read(body).map_err(Failure::Ours)?;
    let dimensions = request.dimensions.unwrap_or(DIMENSIONS);
    let texts = request.texts().map_err(Failure::Ours)?;
    if texts.len().saturating_mul(dimensions) > MOST_NUMBERS {
        let message = format!("are too many for {dimensions} dimensions; send fewer at once");
        return Err(Failure::Ours(Error::invalid("input", message)));
    }
    let words: usize = texts.iter().map(|text| text.split_whitespace().count()).sum();
    let vectors = texts.iter().map(|text| vector(text, dimensions)).collect();
    let usage = json!({"prompt_tokens": words, "total_tokens": words});
    let mut response = Response::new(request.answer(vectors, Some(usage)).to_string().into());
    let kind = HeaderValue::from_static("application/json");
    response.headers_mut().insert(CONTENT_TYPE, kind);
    Ok(response)
}

/// Each word counts at a place that follows from its letters; the whole has the length 1.
fn vector(text: &str, dimensions: usize) -> Vec<f32> {
    let mut vector = vec![0.0_f32; dimensions];
    for word in text.split(|c: char| !c.is_alphanumeric()).filter(|word| !word.is_empty()) {
        // FNV-1a: the same on every machine, today and later.
        let hash = word.to_lowercase().bytes().fold(0xcbf2_9ce4_8422_2325_u64, |hash, byte| {
            (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3)
        });
        if let Some(place) = vector.get_mut((hash % dimensions as u64) as usize) {
            *place += 1.0;
        }
    }
    let length = vector.iter().map(|x| x * x).sum::<f32>().sqrt();
    match vector.first_mut() {
        Some(first) if length == 0.0 => *first = 1.0,
        _ => vector.iter_mut().for_each(|x| *x /= length),
    }
    vector
}

fn streamed(request: &Request<'_>, text: &str, usage: &Value, created: i64) -> Body {
    let event = |choices: Value, usage: Option<&Value>| {
        let mut chunk = json!({
            "id": "chatcmpl-echo", "object": "chat.completion.chunk", "created": created,
            "model": request.model, "choices": choices,
        });
        if let (Some(usage), Some(fields)) = (usage, chunk.as_object_mut()) {
            fields.insert("usage".to_owned(), usage.clone());
        }
        format!("data: {chunk}\n\n")
    };
    let delta = |delta: Value, finish: Value| {
        event(json!([{"index": 0, "delta": delta, "finish_reason": finish}]), None)
    };
    let mut events = vec![delta(json!({"role": "assistant", "content": ""}), Value::Null)];
    for word in text.split_inclusive(char::is_whitespace) {
        events.push(delta(json!({"content": word}), Value::Null));
    }
    events.push(delta(json!({}), json!("stop")));
    if request.stream_options.as_ref().is_some_and(|options| options.include_usage) {
        events.push(event(json!([]), Some(usage)));
    }
    events.push("data: [DONE]\n\n".to_owned());
    let pieces = events.into_iter().map(|event| Ok::<_, std::io::Error>(Bytes::from(event)));
    Body::from_stream(futures_util::stream::iter(pieces))
}

fn last_user_text(messages: &[Message]) -> Cow<'_, str> {
    let last = messages.iter().rfind(|message| message.role == "user");
    last.map_or(Cow::Borrowed(""), |message| text_of(&message.content))
}

/// The text of a content: a string, or the text parts of a list.
fn text_of(content: &Value) -> Cow<'_, str> {
    match content {
        Value::String(text) => Cow::Borrowed(text),
        Value::Array(parts) => {
            let texts = parts.iter().filter_map(|part| part.get("text").and_then(Value::as_str));
            Cow::Owned(texts.collect::<Vec<_>>().join("\n"))
        }
        _ => Cow::Borrowed(""),
    }
}
