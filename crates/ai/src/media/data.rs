//! Files as they stand inside JSON: `data:` URLs and base64.

use std::borrow::Cow;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use percent_encoding::percent_decode_str;

/// A file with its media type.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Inline<'a> {
    pub(crate) media_type: &'a str,
    pub(crate) bytes: Vec<u8>,
}

/// The file of a `data:` URL; `None` where it is none.
pub(crate) fn inline(url: &str) -> Option<Inline<'_>> {
    let (head, data) = url.strip_prefix("data:")?.split_once(',')?;
    let bytes = match head.strip_suffix(";base64") {
        Some(_) => STANDARD.decode(percent_decode_str(data).collect::<Vec<u8>>()).ok()?,
        None => percent_decode_str(data).collect(),
    };
    let media_type = head.split(';').next().unwrap_or_default().trim();
    Some(Inline { media_type, bytes })
}

/// The `data:` URL of base64.
pub(crate) fn data_url(media_type: &str, base64: &str) -> String {
    format!("data:{media_type};base64,{base64}")
}

/// Bytes as base64.
pub(crate) fn to_base64(bytes: &[u8]) -> String {
    STANDARD.encode(bytes)
}

/// The base64 of a `data:` URL, as it stands there or made anew.
pub(crate) fn base64_of(url: &str) -> Option<Cow<'_, str>> {
    let (head, data) = url.strip_prefix("data:")?.split_once(',')?;
    if head.ends_with(";base64") && !data.contains('%') {
        return Some(Cow::Borrowed(data));
    }
    inline(url).map(|file| Cow::Owned(STANDARD.encode(file.bytes)))
}

/// The media type that the first bytes of a file show, where they do.
pub(crate) fn sniffed(base64: &str) -> Option<&'static str> {
    let known = [
        ("iVBORw0KGgo", "image/png"),
        ("/9j/", "image/jpeg"),
        ("UklGR", "image/webp"),
        ("R0lGOD", "image/gif"),
    ];
    known.into_iter().find(|(begin, _)| base64.starts_with(begin)).map(|(_, kind)| kind)
}

/// The ending of file names for a media type.
pub(crate) fn extension(media_type: &str) -> &str {
    let kind = media_type.split(';').next().unwrap_or_default().trim();
    match kind {
        "image/jpeg" => "jpg",
        "image/svg+xml" => "svg",
        "video/quicktime" => "mov",
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
    fn types_have_endings() {
        let endings = ["image/png", "image/jpeg", "video/mp4", "image/../x", "nothing", "image/"];
        assert_eq!(endings.map(extension), ["png", "jpg", "mp4", "bin", "bin", "bin"]);
        assert_eq!(sniffed("/9j/4AAQ"), Some("image/jpeg"));
        assert_eq!(sniffed("AAAA"), None);
    }
}
