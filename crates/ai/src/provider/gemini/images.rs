//! Images of Gemini: a conversation whose answer may hold pictures.

use downcity_core::{Body, Call, Error, Result};
use downcity_types::UiRole;
use http::Response;
use serde_json::{Map, Value, json};

use super::request::{OWN_FIELDS, OWN_SETTINGS};
use super::{Gemini, path_of, refused};
use crate::failure::{Failure, Words};
use crate::files::{base64_of, inline};
use crate::heavy::heavy;
use crate::media::{Made, MediaAnswer, MediaAsk, Order, Outcome, Piece, has_own_field};
use crate::provider::{Asked, Task, collect};

impl Gemini {
    /// Makes an image.
    pub(super) async fn draw(&self, call: &Call, asked: Asked) -> Result<Response<Body>, Failure> {
        let ask: MediaAsk = asked.read_media(Task::Media).await.map_err(Failure::Ours)?;
        let path = format!("{}:generateContent", path_of(&ask.model));
        let body = heavy(asked.body.len(), move || native(&ask).to_string());
        let body = body.await.map_err(Failure::Ours)?;
        let request = self.wire.request_beside(call, &path, None, body.into());
        let response = self.wire.send(request.map_err(Failure::Ours)?).await?;
        if !response.status().is_success() {
            return Ok(refused(response).await);
        }
        let (status, mask) = (response.status(), self.wire.mask(call));
        let bytes = collect(response.into_body()).await?;
        let read = heavy(bytes.len(), move || {
            let said: Value = serde_json::from_slice(&bytes)
                .map_err(|_| Failure::Unreadable("not a JSON object".to_owned()))?;
            made(&said, &mask)?.into_response(status)
        });
        read.await.map_err(Failure::Ours)?
    }
}

/// What Gemini makes one image per request from.
pub(super) fn takes(order: &Order) -> Result<(), Error> {
    order.refuse(&["n"], "it makes one image per request")?;
    order.refuse(&["size"], "set ratio, such as 16:9")?;
    order.refuse(&["quality", "seconds"], "leave it out")
}

/// Options hold what those of a chat may: all else has a field of its own, or would make more than
/// is paid for.
pub(super) fn takes_options(path: &str, options: &Map<String, Value>) -> Result<(), Error> {
    let refused = options.iter().find_map(|(name, value)| match (name.as_str(), value) {
        ("generationConfig", Value::Object(settings)) => {
            let refused = settings.keys().find(|name| !OWN_SETTINGS.contains(&name.as_str()))?;
            Some(format!("generationConfig.{refused}"))
        }
        (own, _) if OWN_FIELDS.contains(&own) => None,
        _ => Some(name.clone()),
    });
    refused.map_or(Ok(()), |name| Err(has_own_field(path, &name)))
}

fn native(ask: &MediaAsk) -> Value {
    let order = &ask.order;
    let mut contents: Vec<Value> = Vec::new();
    let mut system: Vec<&str> = Vec::new();
    for turn in &order.turns {
        if turn.role == UiRole::System {
            system.extend(turn.content.iter().filter_map(|piece| match piece {
                Piece::Text(text) => Some(text.as_str()),
                Piece::Image(_) => None,
            }));
            continue;
        }
        let role = if turn.role == UiRole::Assistant { "model" } else { "user" };
        let parts: Vec<Value> = turn.content.iter().map(part).collect();
        contents.push(json!({"role": role, "parts": parts}));
    }
    if order.turns.is_empty() {
        let images = order.images.iter().map(|url| image(url));
        let text = json!({"text": order.prompt});
        let parts: Vec<Value> = std::iter::once(text).chain(images).collect();
        contents.push(json!({"role": "user", "parts": parts}));
    }
    let mut config = json!({"responseModalities": ["TEXT", "IMAGE"]});
    if let Some(ratio) = &order.ratio {
        config["imageConfig"] = json!({"aspectRatio": ratio});
    }
    if let Some(seed) = order.seed {
        config["seed"] = seed.into();
    }
    let mut body = Map::new();
    body.insert("contents".to_owned(), contents.into());
    if !system.is_empty() {
        let parts = json!({"parts": [{"text": system.join("\n")}]});
        body.insert("systemInstruction".to_owned(), parts);
    }
    body.insert("generationConfig".to_owned(), config);
    for (name, value) in &ask.options {
        match (body.get_mut(name), value) {
            // Beside what is set here, not in its place.
            (Some(Value::Object(ours)), Value::Object(theirs)) => ours.extend(theirs.clone()),
            _ => {
                body.insert(name.clone(), value.clone());
            }
        }
    }
    Value::Object(body)
}

fn part(piece: &Piece) -> Value {
    match piece {
        Piece::Text(text) => json!({"text": text}),
        Piece::Image(url) => image(url),
    }
}

fn image(url: &str) -> Value {
    match (inline(url), base64_of(url)) {
        (Some(file), Some(data)) => {
            json!({"inlineData": {"mimeType": file.media_type, "data": data}})
        }
        _ => {
            let kind = match url.rsplit('.').next().map(str::to_ascii_lowercase).as_deref() {
                Some("png") => "image/png",
                Some("webp") => "image/webp",
                _ => "image/jpeg",
            };
            json!({"fileData": {"mimeType": kind, "fileUri": url}})
        }
    }
}

fn made(said: &Value, mask: &crate::mask::Mask) -> Result<Outcome, Failure> {
    let candidates = said.get("candidates").and_then(Value::as_array);
    let parts = candidates
        .into_iter()
        .flatten()
        .filter_map(|candidate| candidate.pointer("/content/parts").and_then(Value::as_array));
    let parts: Vec<&Value> = parts.flatten().collect();
    let image = |part: &&Value| {
        let data = part.get("inlineData").or_else(|| part.get("inline_data"))?;
        let kind = data.get("mimeType").or_else(|| data.get("mime_type")).and_then(Value::as_str);
        Some(Made {
            b64_json: Some(data.get("data")?.as_str()?.to_owned()),
            media_type: kind.map(str::to_owned),
            ..Made::default()
        })
    };
    let data: Vec<Made> = parts.iter().filter_map(image).collect();
    if data.is_empty() {
        return Err(Failure::Told(Words(why_none(said, &parts, mask))));
    }
    let usage = said.get("usageMetadata").filter(|usage| usage.is_object()).cloned();
    Ok(Outcome::Made(MediaAnswer { data, usage, ..MediaAnswer::default() }))
}

/// An answer without images says why in its words, or by its reason.
fn why_none(said: &Value, parts: &[&Value], mask: &crate::mask::Mask) -> String {
    let texts: Vec<&str> =
        parts.iter().filter_map(|part| part.get("text").and_then(Value::as_str)).collect();
    let reason = ["/promptFeedback/blockReason", "/candidates/0/finishReason"]
        .into_iter()
        .find_map(|at| said.pointer(at)?.as_str())
        .filter(|reason| *reason != "STOP");
    let words = match (texts.concat(), reason) {
        (text, _) if !text.trim().is_empty() => text,
        (_, Some(reason)) => format!("The AI provider made no image ({reason})."),
        _ => "The AI provider made no image.".to_owned(),
    };
    mask.sentence(&words).chars().take(1_000).collect()
}
