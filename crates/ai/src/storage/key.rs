//! Names of stored files, and the kinds that there are.

use std::fmt;
use std::str::FromStr;

use downcity_core::hex::hex;
use serde::{Deserialize, Serialize};
use sha2::Sha256;
use sha2::digest::Output;

/// The digits of a SHA-256.
const DIGITS: usize = 64;

/// Media types and the ends of names that stand for them, the usual type of each end first. A file of
/// any other type is `bin`, which nothing opens by itself.
const KINDS: &[(&str, &str)] = &[
    ("image/png", "png"),
    ("image/jpeg", "jpg"),
    ("image/jpg", "jpg"),
    ("image/webp", "webp"),
    ("image/gif", "gif"),
    ("image/avif", "avif"),
    ("image/heic", "heic"),
    ("image/bmp", "bmp"),
    ("image/tiff", "tiff"),
    ("image/svg+xml", "svg"),
    ("video/mp4", "mp4"),
    ("video/webm", "webm"),
    ("video/quicktime", "mov"),
    ("video/x-matroska", "mkv"),
    ("audio/mpeg", "mp3"),
    ("audio/mp3", "mp3"),
    ("audio/wav", "wav"),
    ("audio/x-wav", "wav"),
    ("audio/wave", "wav"),
    ("audio/ogg", "ogg"),
    ("audio/opus", "opus"),
    ("audio/flac", "flac"),
    ("audio/x-flac", "flac"),
    ("audio/aac", "aac"),
    ("audio/mp4", "m4a"),
    ("audio/x-m4a", "m4a"),
    ("audio/webm", "weba"),
    ("audio/pcm", "pcm"),
    ("audio/l16", "pcm"),
    ("application/pdf", "pdf"),
    ("application/json", "json"),
    ("text/plain", "txt"),
    (ANY_TYPE, "bin"),
];

/// The type of files about which nothing is known.
pub(crate) const ANY_TYPE: &str = "application/octet-stream";

/// What a stored file is called: the SHA-256 of its bytes, and an end that tells its media type. A
/// name of this form is the name of nothing outside the storage.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub(crate) struct Key(String);

/// The text is not the name of a stored file.
#[derive(Debug, thiserror::Error)]
#[error("not the name of a stored file")]
pub(crate) struct NoKey;

impl Key {
    /// The name of the file with this hash.
    pub(super) fn new(hash: &Output<Sha256>, kind: Kind) -> Self {
        Self(format!("{}.{}", hex(hash), kind.end))
    }

    pub(crate) fn as_str(&self) -> &str {
        &self.0
    }

    /// The hash in hexadecimal digits.
    pub(super) fn hash(&self) -> &str {
        self.0.get(..DIGITS).unwrap_or_default()
    }

    /// The kind of file.
    pub(super) fn kind(&self) -> Kind {
        let end = self.0.get(DIGITS + 1..).unwrap_or_default();
        Kind::with_end(end).unwrap_or(Kind::ANY)
    }
}

impl FromStr for Key {
    type Err = NoKey;

    fn from_str(text: &str) -> Result<Self, NoKey> {
        let (hash, end) = text.split_once('.').ok_or(NoKey)?;
        let is_digit = |byte: u8| matches!(byte, b'0'..=b'9' | b'a'..=b'f');
        let is_hash = hash.len() == DIGITS && hash.bytes().all(is_digit);
        match Kind::with_end(end) {
            Some(_) if is_hash => Ok(Self(text.to_owned())),
            _ => Err(NoKey),
        }
    }
}

impl TryFrom<String> for Key {
    type Error = NoKey;

    fn try_from(text: String) -> Result<Self, NoKey> {
        text.parse()
    }
}

impl From<Key> for String {
    fn from(key: Key) -> Self {
        key.0
    }
}

impl fmt::Display for Key {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str(&self.0)
    }
}

/// A kind of file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Kind {
    /// The media type that files of the kind are served with.
    pub(super) media_type: &'static str,
    end: &'static str,
}

impl Kind {
    /// Files about which nothing is known.
    pub(super) const ANY: Self = Self { media_type: ANY_TYPE, end: "bin" };

    /// The kind of a media type, whose parameters do not matter; where that says nothing, the kind
    /// that the end of the name tells.
    pub(super) fn of(media_type: &str, filename: Option<&str>) -> Self {
        let essence = essence(media_type);
        if !is_vague(&essence) {
            let known = KINDS.iter().find(|(media_type, _)| *media_type == essence);
            return known.and_then(|(_, end)| Self::with_end(end)).unwrap_or(Self::ANY);
        }
        let end = filename.and_then(|name| name.rsplit_once('.')).map(|(_, end)| end);
        end.and_then(|end| Self::with_end(&end.to_ascii_lowercase())).unwrap_or(Self::ANY)
    }

    fn with_end(text: &str) -> Option<Self> {
        let found = KINDS.iter().find(|(_, end)| *end == text);
        found.map(|&(media_type, end)| Self { media_type, end })
    }

    /// Whether a browser shows such a file itself. Documents that hold scripts are not among them, but
    /// for SVG, which is served with a policy under which none run.
    pub(super) fn is_shown(self) -> bool {
        ["image/", "video/", "audio/"].iter().any(|kind| self.media_type.starts_with(kind))
    }

    /// Whether such a file may hold scripts, which run where no policy of ours goes with it.
    pub(super) fn may_hold_scripts(self) -> bool {
        self.end == "svg" || !self.is_shown()
    }
}

/// A media type without its parameters, in lower case.
pub(super) fn essence(media_type: &str) -> String {
    media_type.split(';').next().unwrap_or_default().trim().to_ascii_lowercase()
}

/// Whether a media type tells nothing about the file.
pub(super) fn is_vague(essence: &str) -> bool {
    matches!(essence, "" | ANY_TYPE | "binary/octet-stream" | "application/binary")
}

#[cfg(test)]
mod tests {
    use sha2::Digest as _;

    use super::*;

    #[test]
    fn a_key_is_a_hash_with_a_known_end() {
        let hash = Sha256::digest(b"abc");
        let key = Key::new(&hash, Kind::of("image/PNG; x=1", None));
        let text = "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad.png";
        assert_eq!(key.as_str(), text);
        assert_eq!(key.hash(), &text[..64]);
        assert_eq!(key.kind().media_type, "image/png");
        assert_eq!(text.parse::<Key>().unwrap(), key);
    }

    #[test]
    fn nothing_else_is_a_key() {
        let hash = "a".repeat(64);
        for text in [
            String::new(),
            hash.clone(),
            format!("{hash}."),
            format!("{hash}.exe"),
            format!("{hash}.html"),
            format!("{hash}.PNG"),
            format!("{}.png", hash.to_ascii_uppercase()),
            format!("{}.png", "a".repeat(63)),
            format!("{}.png", "g".repeat(64)),
            format!("../{}.png", "a".repeat(61)),
            format!("{hash}.png/../x"),
            format!("{hash}.png\0"),
            format!("{hash}/.png"),
        ] {
            assert!(text.parse::<Key>().is_err(), "{text:?}");
        }
    }

    #[test]
    fn kinds_come_from_the_type_and_from_names_only_where_that_says_nothing() {
        for (media_type, name, expected) in [
            ("image/jpg", None, "image/jpeg"),
            ("Audio/X-WAV", None, "audio/wav"),
            ("text/html", None, ANY_TYPE),
            ("text/html", Some("x.png"), ANY_TYPE),
            ("image/x-unknown", Some("x.png"), ANY_TYPE),
            ("", Some("cat.PNG"), "image/png"),
            ("binary/octet-stream", Some("a.b.mp4"), "video/mp4"),
            ("application/octet-stream", Some("page.html"), ANY_TYPE),
            ("application/octet-stream", None, ANY_TYPE),
        ] {
            assert_eq!(Kind::of(media_type, name).media_type, expected, "{media_type} {name:?}");
        }
        for (media_type, end) in KINDS {
            assert_eq!(Kind::of(media_type, None).end, *end);
        }
    }
}
