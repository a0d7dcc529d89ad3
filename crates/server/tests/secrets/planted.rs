//! Secrets that a search recognises in every encoding.

use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD_NO_PAD, URL_SAFE_NO_PAD};

/// A secret and the forms in which it could stand somewhere.
pub(crate) struct Planted {
    pub(crate) name: String,
    pub(crate) text: String,
    forms: Vec<Vec<u8>>,
}

impl Planted {
    pub(crate) fn new(name: &str, text: &str) -> Self {
        let bytes = text.as_bytes();
        let hex: String = bytes.iter().map(|byte| format!("{byte:02x}")).collect();
        let url: String = bytes.iter().map(|byte| format!("%{byte:02X}")).collect();
        let partly: String = form_urlencoded::byte_serialize(bytes).collect();
        let quoted = serde_json::Value::from(text).to_string();
        let list = format!("{bytes:?}");
        let mut forms: Vec<Vec<u8>> = [
            text.to_owned(),
            text.chars().rev().collect(),
            hex.to_uppercase(),
            hex,
            url.to_lowercase(),
            url,
            partly,
            quoted[1..quoted.len() - 1].to_owned(),
            // As `Debug` prints bytes.
            list[1..list.len() - 1].to_owned(),
        ]
        .map(String::into_bytes)
        .into();
        // In base64 the neighbours of a text change its ends: those are left out.
        for before in 0..3 {
            let mut padded = vec![b'x'; before];
            padded.extend_from_slice(bytes);
            for engine in [STANDARD_NO_PAD, URL_SAFE_NO_PAD] {
                let encoded = engine.encode(&padded).into_bytes();
                forms.push(encoded[4..encoded.len() - 3].to_vec());
            }
        }
        Self { name: name.to_owned(), text: text.to_owned(), forms }
    }

    /// Whether the secret stands in these bytes, in any form.
    pub(crate) fn is_in(&self, bytes: &[u8]) -> bool {
        self.forms.iter().any(|form| memchr::memmem::find(bytes, form).is_some())
    }
}

#[test]
fn every_form_is_found_and_nothing_else() {
    let planted = Planted::new("it", "planted/secret+0123456789-\"end\"");
    let text = &planted.text;
    for found in [
        text.clone(),
        format!("{:?}", text.as_bytes()),
        STANDARD_NO_PAD.encode(format!("a{text}b")),
        URL_SAFE_NO_PAD.encode(format!("ab{text}c")),
        serde_json::json!([text]).to_string(),
        text.bytes().map(|byte| format!("{byte:02X}")).collect(),
    ] {
        assert!(planted.is_in(found.as_bytes()), "{found}");
    }
    assert!(!planted.is_in(&text.as_bytes()[..text.len() - 1]));
}
