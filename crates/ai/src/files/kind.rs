//! What a file is, by its first bytes: what somebody says of it may be wrong.

use super::BadFile;

/// How many of the first bytes are looked at.
pub(crate) const HEAD: usize = 512;

/// Bytes that files of a type begin with.
const BEGINS: &[(&[u8], &str)] = &[
    (b"\x89PNG\r\n\x1a\n", "image/png"),
    (b"\xff\xd8\xff", "image/jpeg"),
    (b"GIF87a", "image/gif"),
    (b"GIF89a", "image/gif"),
    (b"II*\0", "image/tiff"),
    (b"MM\0*", "image/tiff"),
    (b"\xff\x0a", "image/jxl"),
    (b"\0\0\0\x0cJXL \r\n\x87\n", "image/jxl"),
    (b"\0\0\x01\xb3", "video/mpeg"),
    (b"\0\0\x01\xba", "video/mpeg"),
];

/// What a file has to be.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Wanted<'a> {
    /// `image` or `video`.
    pub(crate) kind: &'static str,
    /// The media types that are taken; `image/*` is every image.
    pub(crate) types: &'a [String],
}

impl Wanted<'_> {
    /// The media type that the first bytes of a file show.
    ///
    /// # Errors
    /// When there are none, or they show something else than what is wanted.
    pub(crate) fn check(&self, head: &[u8]) -> Result<&'static str, BadFile> {
        if head.is_empty() {
            return Err(BadFile::Empty);
        }
        let seen = sniffed(head).ok_or(BadFile::Foreign(self.kind))?;
        if seen.split_once('/').is_none_or(|(kind, _)| kind != self.kind) {
            return Err(BadFile::Foreign(self.kind));
        }
        if allows(self.types, seen) { Ok(seen) } else { Err(BadFile::Type) }
    }
}

/// Whether a list of types, of which `image/*` is every image, holds this one.
pub(crate) fn allows(types: &[String], media_type: &str) -> bool {
    types.iter().any(|allowed| match allowed.strip_suffix('*') {
        Some(kind) => media_type.starts_with(kind),
        None => allowed == media_type,
    })
}

fn sniffed(head: &[u8]) -> Option<&'static str> {
    if let Some((_, kind)) = BEGINS.iter().find(|(begin, _)| head.starts_with(begin)) {
        return Some(kind);
    }
    let at = |from: usize| head.get(from..from + 4).unwrap_or_default();
    let begin = head.get(..64).unwrap_or(head);
    let holds = |word: &[u8]| memchr::memmem::find(begin, word).is_some();
    match (at(0), at(4), at(8)) {
        (b"RIFF", _, b"WEBP") => Some("image/webp"),
        (b"RIFF", _, b"AVI ") => Some("video/x-msvideo"),
        (_, b"ftyp", brand) => Some(match brand {
            b"avif" | b"avis" => "image/avif",
            b"mif1" | b"msf1" if holds(b"avif") => "image/avif",
            b"heic" | b"heix" | b"mif1" | b"msf1" => "image/heic",
            b"qt  " => "video/quicktime",
            b"M4A " | b"M4B " => "audio/mp4",
            _ => "video/mp4",
        }),
        (_, b"moov" | b"mdat" | b"wide", _) => Some("video/quicktime"),
        (b"\x1a\x45\xdf\xa3", ..) if holds(b"webm") => Some("video/webm"),
        (b"\x1a\x45\xdf\xa3", ..) => Some("video/x-matroska"),
        (b"OggS", ..) if holds(b"theora") => Some("video/ogg"),
        // The first two letters alone may begin a text.
        ([b'B', b'M', ..], ..) if head.get(6..10) == Some(&[0; 4]) => Some("image/bmp"),
        _ => is_svg(head).then_some("image/svg+xml"),
    }
}

/// Whether a drawing begins here, and not a page that holds one.
fn is_svg(head: &[u8]) -> bool {
    let head = head.strip_prefix(b"\xef\xbb\xbf").unwrap_or(head).trim_ascii_start();
    let prolog: [&[u8]; 4] = [b"<svg", b"<?xml", b"<!--", b"<!DOCTYPE svg"];
    let root = memchr::memmem::find(head, b"<svg");
    let page = memchr::memmem::find(head, b"<html");
    prolog.iter().any(|begin| head.starts_with(begin))
        && root.is_some_and(|root| page.is_none_or(|page| root < page))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn files_are_known_by_their_first_bytes() {
        for (head, expected) in [
            (&b"\x89PNG\r\n\x1a\n\0\0"[..], Some("image/png")),
            (b"\xff\xd8\xff\xe0", Some("image/jpeg")),
            (b"RIFF\0\0\0\0WEBPVP8 ", Some("image/webp")),
            (b"RIFF\0\0\0\0WAVEfmt ", None),
            (b"\0\0\0\x20ftypisom\0\0\x02\0", Some("video/mp4")),
            (b"\0\0\0\x20ftypavif\0\0\0\0", Some("image/avif")),
            (b"\0\0\0\x20ftypmif1\0\0\0\0mif1avif", Some("image/avif")),
            (b"\0\0\0\x14ftypqt  \0\0\0\0", Some("video/quicktime")),
            (b"\x1a\x45\xdf\xa3\x93\x42\x82\x88matroska", Some("video/x-matroska")),
            (b"\x1a\x45\xdf\xa3\x93\x42\x82\x84webm", Some("video/webm")),
            (b"BM\x46\0\0\0\0\0\0\0", Some("image/bmp")),
            (b"BMW is a word", None),
            (b"\xef\xbb\xbf <?xml version='1.0'?><svg xmlns=''>", Some("image/svg+xml")),
            (b"<svg width='1'>", Some("image/svg+xml")),
            (b"<?xml version='1.0'?><html><svg>", None),
            (b"<!DOCTYPE html><html><svg>", None),
            (b"{\"error\":\"busy\"}", None),
            (b"%PDF-1.7", None),
            (b"\x89PN", None),
        ] {
            assert_eq!(sniffed(head), expected, "{head:?}");
        }
    }

    #[test]
    fn a_file_has_to_be_what_is_wanted() {
        let types = ["image/png".to_owned(), "video/*".to_owned()];
        let check = |kind, head: &[u8]| Wanted { kind, types: &types }.check(head);
        let (png, jpeg) = (b"\x89PNG\r\n\x1a\n", b"\xff\xd8\xff\xe0");
        assert_eq!(check("image", png), Ok("image/png"));
        assert_eq!(check("image", jpeg), Err(BadFile::Type));
        assert_eq!(check("video", png), Err(BadFile::Foreign("video")));
        assert_eq!(check("video", b"\0\0\0\x20ftypisom"), Ok("video/mp4"));
        assert_eq!(check("image", b""), Err(BadFile::Empty));
        assert_eq!(check("image", b"<html>"), Err(BadFile::Foreign("image")));
    }
}
