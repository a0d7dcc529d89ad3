//! Bodies of the type `multipart/form-data`.

use bytes::Bytes;
use downcity_core::{Call, Error, Result};
use http::HeaderValue;
use serde_json::{Map, Value};

use crate::files::{extension, inline};

/// A form that is written part by part.
pub(crate) struct Form {
    boundary: String,
    body: Vec<u8>,
}

impl Form {
    /// A form whose boundary nobody can foresee, so that no part can end another.
    pub(crate) fn new(call: &Call) -> Self {
        let mut random = [0; 16];
        call.runtime().random().fill(&mut random);
        let boundary = format!("downcity-{}", downcity_core::hex::hex(&random));
        Self { boundary, body: Vec::new() }
    }

    /// Adds a field.
    pub(crate) fn text(&mut self, name: &str, value: &str) {
        let head = format!("Content-Disposition: form-data; name=\"{}\"", quoted(name));
        self.part(&head, value.as_bytes());
    }

    /// Adds a file.
    pub(crate) fn file(&mut self, name: &str, filename: &str, media_type: &str, bytes: &[u8]) {
        let is_plain = |b: u8| b.is_ascii_graphic() || b == b' ';
        let media_type = if media_type.bytes().all(is_plain) && !media_type.is_empty() {
            media_type
        } else {
            "application/octet-stream"
        };
        let head = format!(
            "Content-Disposition: form-data; name=\"{}\"; filename=\"{}\"\r\nContent-Type: {media_type}",
            quoted(name),
            quoted(filename),
        );
        self.part(&head, bytes);
    }

    fn part(&mut self, head: &str, bytes: &[u8]) {
        let head = format!("--{}\r\n{head}\r\n\r\n", self.boundary);
        self.body.extend_from_slice(head.as_bytes());
        self.body.extend_from_slice(bytes);
        self.body.extend_from_slice(b"\r\n");
    }

    /// The body of a request for images: JSON where there are none to draw from, a form with them in
    /// `image_field` otherwise. Also the content type, where it is a form.
    ///
    /// # Errors
    /// 400 for an image that is no `data:` URL.
    pub(crate) fn request(
        mut self,
        fields: &Map<String, Value>,
        image_field: &str,
        images: &[String],
    ) -> Result<(Option<HeaderValue>, Bytes)> {
        if images.is_empty() {
            let body = serde_json::to_vec(fields).map_err(Error::internal)?;
            return Ok((None, body.into()));
        }
        for (name, value) in fields {
            match value {
                Value::String(text) => self.text(name, text),
                Value::Null => {}
                other => self.text(name, &other.to_string()),
            }
        }
        for (index, url) in images.iter().enumerate() {
            let file = inline(url).ok_or_else(|| Error::invalid("images", "must be data: URLs"))?;
            let filename = format!("image-{}.{}", index + 1, extension(file.media_type));
            self.file(image_field, &filename, file.media_type, &file.bytes);
        }
        let (kind, body) = self.end();
        Ok((Some(kind), body))
    }

    /// The content type and the body.
    pub(crate) fn end(mut self) -> (HeaderValue, Bytes) {
        self.body.extend_from_slice(format!("--{}--\r\n", self.boundary).as_bytes());
        let kind = format!("multipart/form-data; boundary={}", self.boundary);
        let kind = HeaderValue::try_from(kind);
        let kind = kind.unwrap_or_else(|_| HeaderValue::from_static("multipart/form-data"));
        (kind, self.body.into())
    }
}

/// A name as browsers write it: what would end it is escaped.
fn quoted(name: &str) -> String {
    name.replace('"', "%22").replace('\r', "%0D").replace('\n', "%0A")
}
