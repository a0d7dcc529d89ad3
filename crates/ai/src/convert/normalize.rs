//! Joining the text parts of user messages, for providers that take one text only.

use downcity_core::{Error, Result};
use downcity_types::ErrorCode;
use serde::Deserialize;
use serde_json::value::{RawValue, to_raw_value};
use serde_json::{Map, Value};

/// The types of parts that hold no text.
const FILES: &[&str] = &["image_url", "input_audio", "file", "video_url", "audio_url"];

#[derive(Deserialize)]
struct Role<'a> {
    #[serde(borrow, default)]
    role: std::borrow::Cow<'a, str>,
}

/// Messages with every list of text parts in a user message joined by newlines, and `null` contents
/// as empty texts. `None` when nothing has to change.
///
/// Lists with other parts stay as they are, unless the model takes `text_only`: then they are
/// refused, or with `lenient` lose what is not text.
///
/// # Errors
/// 422 that names the part.
pub(crate) fn messages(
    raw: &RawValue,
    text_only: bool,
    lenient: bool,
) -> Result<Option<Box<RawValue>>> {
    // Anything but a list is the provider's to refuse.
    let Ok(messages) = serde_json::from_str::<Vec<&RawValue>>(raw.get()) else { return Ok(None) };
    let mut changed = false;
    let mut out: Vec<std::borrow::Cow<'_, RawValue>> = Vec::with_capacity(messages.len());
    for (index, message) in messages.into_iter().enumerate() {
        let flat = match serde_json::from_str::<Role<'_>>(message.get()) {
            Ok(role) if role.role == "user" => user_message(message, index, text_only, lenient)?,
            Ok(_) if text_only && !lenient => {
                no_files(message, index)?;
                None
            }
            _ => None,
        };
        changed |= flat.is_some();
        out.push(match flat {
            Some(flat) => std::borrow::Cow::Owned(flat),
            None => std::borrow::Cow::Borrowed(message),
        });
    }
    if changed { to_raw_value(&out).map(Some).map_err(Error::internal) } else { Ok(None) }
}

fn user_message(
    raw: &RawValue,
    index: usize,
    text_only: bool,
    lenient: bool,
) -> Result<Option<Box<RawValue>>> {
    let mut message: Map<String, Value> =
        serde_json::from_str(raw.get()).map_err(Error::internal)?;
    let text = match message.get("content") {
        None | Some(Value::Null) => String::new(),
        Some(Value::Array(parts)) => {
            let mut texts = Vec::with_capacity(parts.len());
            for (at, part) in parts.iter().enumerate() {
                match text_of(part) {
                    Some(text) => texts.push(text),
                    None if !text_only => return Ok(None),
                    None if lenient => {}
                    None => return Err(refused(index, at)),
                }
            }
            texts.join("\n")
        }
        Some(_) => return Ok(None),
    };
    message.insert("content".to_owned(), Value::String(text));
    to_raw_value(&message).map(Some).map_err(Error::internal)
}

/// Refuses what is no text in a message of any other role; such messages stay as they are.
fn no_files(raw: &RawValue, index: usize) -> Result<()> {
    #[derive(Deserialize)]
    struct Parts {
        content: Vec<Kind>,
    }
    #[derive(Deserialize)]
    struct Kind {
        #[serde(rename = "type", default)]
        kind: String,
    }
    // Most contents are texts, and no list.
    let Ok(Parts { content }) = serde_json::from_str(raw.get()) else { return Ok(()) };
    match content.iter().position(|part| FILES.contains(&part.kind.as_str())) {
        Some(at) => Err(refused(index, at)),
        None => Ok(()),
    }
}

fn refused(index: usize, at: usize) -> Error {
    let path = format!("messages[{index}].content[{at}]");
    Error::new(ErrorCode::UnsupportedContent, "").with_field(path, "the model takes text only")
}

fn text_of(part: &Value) -> Option<&str> {
    if part.get("type")? != "text" {
        return None;
    }
    part.get("text")?.as_str()
}
