//! File parts of UI messages as content parts of a chat request.

use std::borrow::Cow;

use downcity_core::{Error, Result};
use downcity_types::{ErrorCode, FilePart};
use serde_json::{Value, json};

use crate::files::{DataUrl, to_base64};

/// A file as a content part. URLs of images are passed on, never fetched; other kinds have to be
/// inline as `data:` URLs.
///
/// # Errors
/// 400 for a URL that is none, 422 for a kind that models cannot take.
pub(crate) fn content_part(file: &FilePart, path: &str) -> Result<Value> {
    let kind = file.media_type.trim().to_ascii_lowercase();
    let is_remote = file.url.starts_with("https://") || file.url.starts_with("http://");
    if !is_remote && !file.url.starts_with("data:") {
        return Err(Error::invalid(format!("{path}.url"), "must be an https: or data: URL"));
    }
    if kind.starts_with("image/") {
        return Ok(json!({"type": "image_url", "image_url": {"url": image_url(&file.url)}}));
    }
    if kind.starts_with("text/") {
        let data = inline(file, path, &kind)?;
        let text = String::from_utf8(decoded(data, path)?)
            .map_err(|_| Error::invalid(format!("{path}.url"), "the text is not UTF-8"))?;
        return Ok(json!({"type": "text", "text": text}));
    }
    match kind.as_str() {
        "audio/wav" | "audio/x-wav" => audio(file, path, &kind, "wav"),
        "audio/mp3" | "audio/mpeg" => audio(file, path, &kind, "mp3"),
        "application/pdf" => {
            let data = as_base64(inline(file, path, &kind)?, path)?;
            let name = file.filename.as_deref().unwrap_or("document.pdf");
            let data = format!("data:application/pdf;base64,{data}");
            Ok(json!({"type": "file", "file": {"filename": name, "file_data": data}}))
        }
        _ => Err(unsupported(path, &format!("models cannot take files of type {kind:?}"))),
    }
}

/// A data URL of any image counts as JPEG.
fn image_url(url: &str) -> Cow<'_, str> {
    match url.strip_prefix("data:image/*") {
        Some(rest) => Cow::Owned(format!("data:image/jpeg{rest}")),
        None => Cow::Borrowed(url),
    }
}

fn audio(file: &FilePart, path: &str, kind: &str, format: &str) -> Result<Value> {
    let data = as_base64(inline(file, path, kind)?, path)?;
    Ok(json!({"type": "input_audio", "input_audio": {"data": data, "format": format}}))
}

fn inline<'a>(file: &'a FilePart, path: &str, kind: &str) -> Result<DataUrl<'a>> {
    if !file.url.starts_with("data:") {
        let message = format!("files of type {kind:?} have to be inline as a data: URL");
        return Err(unsupported(path, &message));
    }
    DataUrl::read(&file.url)
        .ok_or_else(|| Error::invalid(format!("{path}.url"), "is not a complete data: URL"))
}

/// The bytes of a file.
fn decoded(data: DataUrl<'_>, path: &str) -> Result<Vec<u8>> {
    let broken = || Error::invalid(format!("{path}.url"), "the base64 data is broken");
    data.bytes().ok_or_else(broken)
}

/// The data as base64: as it stands there, or made anew.
fn as_base64<'a>(data: DataUrl<'a>, path: &str) -> Result<Cow<'a, str>> {
    match data.base64() {
        Some(base64) => Ok(Cow::Borrowed(base64)),
        None => Ok(Cow::Owned(to_base64(&decoded(data, path)?))),
    }
}

pub(crate) fn unsupported(path: &str, message: &str) -> Error {
    Error::new(ErrorCode::UnsupportedContent, "").with_field(path, message)
}
