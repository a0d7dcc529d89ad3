//! Finding fields in JSON by a search, without reading it.

use memchr::memmem::find_iter;

/// What follows each field of this name, in quotes, from its value on. Quotes inside of texts are
/// escaped, so that no text reads as a field.
pub(crate) fn values<'a>(bytes: &'a [u8], name: &'a str) -> impl Iterator<Item = &'a [u8]> {
    find_iter(bytes, name.as_bytes()).filter_map(|hit| {
        let rest = bytes.get(hit + name.len()..)?.trim_ascii_start();
        Some(rest.strip_prefix(b":")?.trim_ascii_start())
    })
}

/// Whether a field, by its name in quotes, has a value that begins with one of these bytes.
pub(crate) fn has_field(bytes: &[u8], name: &str, begins: &[u8]) -> bool {
    values(bytes, name).any(|value| value.first().is_some_and(|byte| begins.contains(byte)))
}
