//! Bodies of the type `multipart/form-data`, read as a whole.

use bytes::Bytes;
use downcity_types::ErrorCode;
use http::HeaderMap;
use http::header::CONTENT_TYPE;
use memchr::memmem;
use serde_json::{Map, Value};

use crate::{Error, Result};

/// The most parts of a form.
const MAX_PARTS: usize = 256;
/// The longest boundary.
const MAX_BOUNDARY: usize = 70;

/// A form that was read.
#[derive(Debug, Default)]
pub struct FormData {
    /// The fields that are texts, in order.
    pub fields: Vec<(String, String)>,
    /// The files, in order.
    pub files: Vec<FormFile>,
}

/// A file in a form.
#[derive(Clone, Debug)]
pub struct FormFile {
    /// The name of the field.
    pub name: String,
    /// The name that the sender gives to the file; may be empty.
    pub filename: String,
    /// What the sender says it is.
    pub media_type: Option<String>,
    /// What is in it.
    pub bytes: Bytes,
}

/// The boundary of a form; `None` where the body is none.
pub fn boundary(headers: &HeaderMap) -> Option<String> {
    let kind = headers.get(CONTENT_TYPE)?.to_str().ok()?;
    let (essence, parameters) = kind.split_once(';')?;
    if !essence.trim().eq_ignore_ascii_case("multipart/form-data") {
        return None;
    }
    parameter(parameters, "boundary")
        .filter(|boundary| (1..=MAX_BOUNDARY).contains(&boundary.len()))
}

/// Reads a form. Files are parts of `body`, not copies.
///
/// # Errors
/// 400 when it is none, or is cut off.
pub fn read(body: &Bytes, boundary: &str) -> Result<FormData> {
    let delimiter = format!("\r\n--{boundary}");
    let delimiter = memmem::Finder::new(delimiter.as_bytes());
    let mut form = FormData::default();
    // The first delimiter may stand at the very begin.
    let first = &delimiter.needle()[2..];
    let mut at = if body.starts_with(first) {
        first.len()
    } else {
        delimiter.find(body).ok_or_else(broken)? + delimiter.needle().len()
    };
    for _ in 0..=MAX_PARTS {
        let rest = &body[at..];
        if rest.starts_with(b"--") {
            return Ok(form);
        }
        let line = memmem::find(rest, b"\r\n").ok_or_else(broken)?;
        if !rest[..line].iter().all(|byte| matches!(byte, b' ' | b'\t')) {
            return Err(broken());
        }
        // A part without headers begins with the blank line itself.
        let head_at = at + line;
        let head_end = memmem::find(&body[head_at..], b"\r\n\r\n").ok_or_else(broken)?;
        let content_at = head_at + head_end + 4;
        // The line before a delimiter may be the blank line, where a part is empty.
        let found = delimiter.find(&body[content_at - 2..]).ok_or_else(broken)?;
        let content_end = (content_at - 2 + found).max(content_at);
        let head = std::str::from_utf8(&body[head_at..head_at + head_end]).map_err(|_| broken())?;
        add(&mut form, head, body.slice(content_at..content_end))?;
        at = content_at - 2 + found + delimiter.needle().len();
    }
    Err(Error::new(ErrorCode::InvalidInput, format!("The form has more than {MAX_PARTS} parts.")))
}

/// Adds a part to the form.
fn add(form: &mut FormData, head: &str, content: Bytes) -> Result<()> {
    let header = |wanted: &str| {
        head.split("\r\n").find_map(|line| {
            let (name, value) = line.split_once(':')?;
            name.trim().eq_ignore_ascii_case(wanted).then(|| value.trim())
        })
    };
    let disposition = header("content-disposition").and_then(|value| value.split_once(';'));
    let (_, parameters) = disposition.ok_or_else(broken)?;
    let name = parameter(parameters, "name").ok_or_else(broken)?;
    if let Some(filename) = parameter(parameters, "filename") {
        let media_type = header("content-type").map(str::to_owned);
        form.files.push(FormFile { name, filename, media_type, bytes: content });
        return Ok(());
    }
    let text = std::str::from_utf8(&content)
        .map_err(|_| Error::invalid(name.clone(), "must be a text in UTF-8"))?;
    form.fields.push((name, text.to_owned()));
    Ok(())
}

impl FormData {
    /// The fields as a JSON object.
    pub(crate) fn fields_json(&self) -> Result<Bytes> {
        let mut object = Map::new();
        for (name, text) in &self.fields {
            let text = Value::String(text.clone());
            match object.get_mut(name) {
                Some(Value::Array(list)) => list.push(text),
                Some(one) => {
                    let first = one.take();
                    *one = Value::Array(vec![first, text]);
                }
                None if name.ends_with("[]") => {
                    object.insert(name.clone(), Value::Array(vec![text]));
                }
                None => {
                    object.insert(name.clone(), text);
                }
            }
        }
        serde_json::to_vec(&object).map(Bytes::from).map_err(Error::internal)
    }
}

/// The value of a parameter of a header, without its quotes and their escapes.
fn parameter(parameters: &str, wanted: &str) -> Option<String> {
    let mut rest = parameters;
    loop {
        rest = rest.trim_start_matches([';', ' ', '\t']);
        let (name, after) = rest.split_once('=')?;
        let (value, next) = match after.strip_prefix('"') {
            Some(quoted) => {
                let mut value = String::new();
                let mut chars = quoted.char_indices();
                let end = loop {
                    match chars.next()? {
                        (at, '"') => break at,
                        (_, '\\') => match chars.next()?.1 {
                            escaped @ ('"' | '\\') => value.push(escaped),
                            // Paths of Windows stand unescaped in names of files.
                            other => value.extend(['\\', other]),
                        },
                        (_, other) => value.push(other),
                    }
                };
                // Browsers escape what would end the value like this.
                let value = value.replace("%22", "\"").replace("%0D", "\r").replace("%0A", "\n");
                (value, &quoted[end + 1..])
            }
            None => {
                let end = after.find(';').unwrap_or(after.len());
                (after[..end].trim().to_owned(), &after[end..])
            }
        };
        if name.trim().eq_ignore_ascii_case(wanted) {
            return Some(value);
        }
        rest = next;
    }
}

fn broken() -> Error {
    Error::new(ErrorCode::InvalidInput, "The body is not a whole form of multipart/form-data.")
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn form(text: &str) -> Result<FormData> {
        read(&Bytes::copy_from_slice(text.replace('\n', "\r\n").as_bytes()), "b")
    }

    #[test]
    fn fields_and_files_are_told_apart() {
        let read = form(
            "--b\nContent-Disposition: form-data; name=\"model\"\n\necho\n\
             --b\ncontent-type: audio/wav\ncontent-disposition: form-data; name=file; \
             filename=\"a \\\"b\\\"%22.wav\"\n\nRIFF\n--x\n\n\n\
             --b\nContent-Disposition: form-data; name=\"empty\"\n\n\n--b--\n",
        );
        let read = read.unwrap();
        assert_eq!(read.fields, [("model".into(), "echo".into()), ("empty".into(), String::new())]);
        let file = &read.files[0];
        assert_eq!((file.name.as_str(), file.filename.as_str()), ("file", "a \"b\"\".wav"));
        assert_eq!(file.media_type.as_deref(), Some("audio/wav"));
        assert_eq!(&file.bytes[..], b"RIFF\r\n--x\r\n\r\n");
    }

    #[test]
    fn fields_that_repeat_are_lists() {
        let part = |name: &str, text: &str| {
            format!("--b\nContent-Disposition: form-data; name=\"{name}\"\n\n{text}\n")
        };
        let text = [part("a[]", "1"), part("b", "2"), part("b", "3"), part("c", "4")].concat();
        let json = form(&format!("{text}--b--")).unwrap().fields_json().unwrap();
        assert_eq!(&json[..], br#"{"a[]":["1"],"b":["2","3"],"c":"4"}"#);
    }

    #[test]
    fn what_is_no_whole_form_is_refused() {
        let head = "Content-Disposition: form-data; name=\"a\"";
        for text in [
            "",
            "--b",
            "--b\n",
            "--c\n\n--c--",
            &format!("--b\n{head}\n\nx"),
            &format!("--b\n{head}\n\nx\n--b"),
            "--b\n\nx\n--b--",
            "--b\nContent-Disposition: form-data\n\nx\n--b--",
            "--bb\nContent-Disposition: form-data; name=\"a\"\n\nx\n--bb--",
        ] {
            assert_eq!(form(text).unwrap_err().code(), ErrorCode::InvalidInput, "{text}");
        }
        assert!(form("--b--").unwrap().fields.is_empty());
        let many = format!("--b\n{head}\n\nx\n").repeat(MAX_PARTS + 1);
        assert!(form(&format!("{many}--b--")).unwrap_err().message().contains("parts"));
    }

    #[test]
    fn the_boundary_stands_in_the_content_type() {
        let of =
            |kind: &str| boundary(&HeaderMap::from_iter([(CONTENT_TYPE, kind.parse().unwrap())]));
        assert_eq!(of("multipart/form-data; boundary=b").as_deref(), Some("b"));
        assert_eq!(of("Multipart/Form-Data;x=y; Boundary=\"a b\"").as_deref(), Some("a b"));
        for none in [
            "multipart/form-data",
            "multipart/form-data; boundary=",
            "application/json",
            "text/plain; boundary=b",
        ] {
            assert_eq!(of(none), None, "{none}");
        }
    }

    proptest! {
        #[test]
        fn any_bytes_are_a_form_or_an_error(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
            let _ = read(&Bytes::from(bytes), "b");
        }

        #[test]
        fn cut_and_changed_forms_do_no_harm(cut in 0..120_usize, at in 0..120_usize, byte: u8) {
            let text = "--b\r\nContent-Disposition: form-data; name=\"a\"; filename=\"f\"\r\n\r\nxx\r\n--b\r\n\r\n\r\n--b--";
            let mut bytes = text.as_bytes().to_vec();
            let at = at.min(bytes.len() - 1);
            bytes[at] = byte;
            bytes.truncate(cut.min(bytes.len()));
            let _ = read(&Bytes::from(bytes), "b");
        }

        #[test]
        fn what_is_sent_arrives(content in prop::collection::vec(any::<u8>(), 0..100)) {
            prop_assume!(memmem::find(&content, b"--boundary").is_none());
            let mut body = b"--boundary\r\nContent-Disposition: form-data; name=\"a\"; filename=\"f\"\r\n\r\n".to_vec();
            body.extend(&content);
            body.extend(b"\r\n--boundary--\r\n");
            let form = read(&Bytes::from(body), "boundary").unwrap();
            prop_assert_eq!(&form.files[0].bytes[..], &content[..]);
        }
    }
}
