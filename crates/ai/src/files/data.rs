//! Files as they stand inside JSON: `data:` URLs and base64.

use std::borrow::Cow;

use base64::Engine as _;
use base64::alphabet;
use base64::engine::general_purpose::STANDARD;
use base64::engine::{DecodePaddingMode, GeneralPurpose, GeneralPurposeConfig};
use percent_encoding::percent_decode_str;

/// Some providers leave the padding out.
const LENIENT: GeneralPurposeConfig = GeneralPurposeConfig::new()
    .with_decode_padding_mode(DecodePaddingMode::Indifferent)
    .with_decode_allow_trailing_bits(true);
const PLAIN: GeneralPurpose = GeneralPurpose::new(&alphabet::STANDARD, LENIENT);
const URL_SAFE: GeneralPurpose = GeneralPurpose::new(&alphabet::URL_SAFE, LENIENT);

/// A file with its media type.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Inline<'a> {
    pub(crate) media_type: &'a str,
    pub(crate) bytes: Vec<u8>,
}

/// A `data:` URL, its data still encoded.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct DataUrl<'a> {
    /// The media type without its parameters; empty where none is named.
    pub(crate) media_type: &'a str,
    /// The media type with its parameters, as they stand there.
    pub(crate) full_type: &'a str,
    /// Whether the data is base64; it is text with percent signs otherwise.
    pub(crate) is_base64: bool,
    data: &'a str,
}

impl<'a> DataUrl<'a> {
    /// The parts of a `data:` URL; `None` where it is none, or has no data.
    pub(crate) fn read(url: &'a str) -> Option<Self> {
        let (head, data) = url.strip_prefix("data:")?.split_once(',')?;
        let last = head.rsplit_once(';');
        let base64 = last.filter(|(_, word)| word.eq_ignore_ascii_case("base64"));
        let full_type = base64.map_or(head, |(before, _)| before);
        let media_type = full_type.split(';').next().unwrap_or_default().trim();
        Some(Self { media_type, full_type, is_base64: base64.is_some(), data })
    }

    /// The base64 as it stands there; `None` where it is not base64.
    pub(crate) fn base64(&self) -> Option<&'a str> {
        self.is_base64.then_some(self.data)
    }

    /// The bytes; `None` where they cannot be decoded.
    pub(crate) fn bytes(&self) -> Option<Vec<u8>> {
        match self.is_base64 {
            true if self.data.contains('%') => {
                STANDARD.decode(percent_decode_str(self.data).collect::<Vec<u8>>()).ok()
            }
            true => STANDARD.decode(self.data).ok(),
            false => Some(percent_decode_str(self.data).collect()),
        }
    }

    /// The data as base64: as it stands there, or made anew.
    pub(crate) fn to_base64(self) -> Option<Cow<'a, str>> {
        if self.is_base64 && !self.data.contains('%') {
            return Some(Cow::Borrowed(self.data));
        }
        self.bytes().map(|bytes| Cow::Owned(STANDARD.encode(bytes)))
    }
}

/// The file of a `data:` URL; `None` where it is none.
pub(crate) fn inline(url: &str) -> Option<Inline<'_>> {
    let url = DataUrl::read(url)?;
    Some(Inline { media_type: url.media_type, bytes: url.bytes()? })
}

/// The `data:` URL of base64.
pub(crate) fn data_url(media_type: &str, base64: &str) -> String {
    format!("data:{media_type};base64,{base64}")
}

/// Bytes as base64.
pub(crate) fn to_base64(bytes: &[u8]) -> String {
    STANDARD.encode(bytes)
}

/// The bytes of a provider's base64: of either alphabet, with or without padding, in one line or in
/// several; or of a `data:` URL in its place.
pub(crate) fn decoded(text: &str) -> Option<Vec<u8>> {
    if text.starts_with("data:") {
        return inline(text).map(|file| file.bytes);
    }
    let text: Cow<'_, str> = match text.bytes().any(|byte| byte.is_ascii_whitespace()) {
        true => text.split_ascii_whitespace().collect::<String>().into(),
        false => text.into(),
    };
    let engine = if text.contains(['-', '_']) { URL_SAFE } else { PLAIN };
    engine.decode(&*text).ok()
}

/// The base64 of a `data:` URL, as it stands there or made anew.
pub(crate) fn base64_of(url: &str) -> Option<Cow<'_, str>> {
    DataUrl::read(url)?.to_base64()
}

/// The ending of file names for a media type.
pub(crate) fn extension(media_type: &str) -> &str {
    let kind = media_type.split(';').next().unwrap_or_default().trim();
    match kind {
        "image/jpeg" => "jpg",
        "image/svg+xml" => "svg",
        "video/quicktime" => "mov",
        "video/x-matroska" => "mkv",
        "video/x-msvideo" => "avi",
        _ => match kind.split_once('/') {
            Some((_, end)) if !end.is_empty() && end.bytes().all(|b| b.is_ascii_alphanumeric()) => {
                end
            }
            _ => "bin",
        },
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn data_urls_are_read() {
        let png = inline("data:image/png;base64,aGk=").unwrap();
        assert_eq!((png.media_type, &*png.bytes), ("image/png", &b"hi"[..]));
        let png = inline("data:image/png;BASE64,aGk=").unwrap();
        assert_eq!(png.bytes, b"hi");
        let typed = DataUrl::read("data:audio/l16;rate=24000;base64,aGk=").unwrap();
        assert_eq!((typed.media_type, typed.full_type), ("audio/l16", "audio/l16;rate=24000"));
        let text = inline("data:text/plain;charset=utf-8,a%20b").unwrap();
        assert_eq!((text.media_type, &*text.bytes), ("text/plain", &b"a b"[..]));
        for wrong in ["data:image/png;base64,%%%", "data:image/png", "https://a.example/b.png", ""]
        {
            assert_eq!(inline(wrong), None, "{wrong}");
        }
        assert_eq!(base64_of("data:image/png;base64,aGk=").as_deref(), Some("aGk="));
        assert_eq!(base64_of("data:image/png;base64,aGk%3D").as_deref(), Some("aGk="));
        assert_eq!(base64_of("data:text/plain,hi").as_deref(), Some("aGk="));
    }

    #[test]
    fn base64_of_providers_is_read_in_every_spelling() {
        for text in
            ["+/+/aGk=", "+/+/aGk", "-_-_aGk=", "+/+/\r\naGk=\n", "data:x/y;base64,+/+/aGk="]
        {
            assert_eq!(decoded(text).as_deref(), Some(&b"\xfb\xff\xbfhi"[..]), "{text}");
        }
        for wrong in ["not base64!", "a", "<html>"] {
            assert_eq!(decoded(wrong), None, "{wrong}");
        }
        assert_eq!(decoded("").as_deref(), Some(&b""[..]));
    }

    #[test]
    fn types_have_endings() {
        let endings = ["image/png", "image/jpeg", "video/mp4", "image/../x", "nothing", "image/"];
        assert_eq!(endings.map(extension), ["png", "jpg", "mp4", "bin", "bin", "bin"]);
    }
}
