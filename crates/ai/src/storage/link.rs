//! Links to files of the directory: signed, with an end.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use downcity_core::{Error, Result, Runtime};
use downcity_types::ErrorCode;
use hmac::{Hmac, KeyInit as _, Mac as _};
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};
use sha2::Sha256;

use super::key::Key;

/// Where the Federation serves files.
pub(super) const PATH: &str = "/v1/ai/files/";
/// What the key that signs is derived for.
const PURPOSE: &str = "ai file links v1";
/// What a value of a query leaves as it is.
const VALUE: &AsciiSet = &NON_ALPHANUMERIC.remove(b'-').remove(b'_').remove(b'.').remove(b'~');
/// The most characters of the name that a file is saved under.
const MAX_NAME: usize = 120;

/// What a link holds besides the key.
#[derive(Clone, Copy)]
pub(super) struct Terms<'a> {
    /// The second since 1970 from which the link does not work.
    pub(super) expires: i64,
    /// The name under which browsers save the file.
    pub(super) name: Option<&'a str>,
}

/// Path and query of a signed link.
pub(super) fn signed(runtime: &Runtime, key: &Key, terms: Terms<'_>) -> String {
    let signature = URL_SAFE_NO_PAD.encode(mac(runtime, key, terms).finalize().into_bytes());
    let name = match terms.name {
        Some(name) => format!("&name={}", utf8_percent_encode(name, VALUE)),
        None => String::new(),
    };
    format!("{PATH}{key}?expires={}{name}&signature={signature}", terms.expires)
}

/// Checks what came with a link.
///
/// # Errors
/// 403 when the link was not signed here, was changed, or has ended.
pub(super) fn check(
    runtime: &Runtime,
    key: &Key,
    terms: Terms<'_>,
    signature: Option<&str>,
) -> Result<()> {
    let refuse = |message: &'static str| {
        Err(Error::new(ErrorCode::Forbidden, message)
            .with_fix("Ask for the result that the file belongs to again; it has a new link."))
    };
    let signature = signature.and_then(|text| URL_SAFE_NO_PAD.decode(text).ok());
    let verified = signature.map(|bytes| mac(runtime, key, terms).verify_slice(&bytes));
    if !matches!(verified, Some(Ok(()))) {
        return refuse("This link to a file was not signed here, or it was changed.");
    }
    if terms.expires <= runtime.clock().now_seconds() {
        return refuse("This link to a file has expired.");
    }
    Ok(())
}

fn mac(runtime: &Runtime, key: &Key, terms: Terms<'_>) -> Hmac<Sha256> {
    let secret = runtime.derived_key(PURPOSE);
    #[expect(clippy::expect_used, reason = "HMAC takes keys of any length")]
    let mut mac = Hmac::<Sha256>::new_from_slice(&secret[..]).expect("a key of 32 bytes");
    // Neither keys nor numbers hold a line break, so no two links have one text.
    mac.update(format!("{key}\n{}\n", terms.expires).as_bytes());
    if let Some(name) = terms.name {
        mac.update(b"name\n");
        mac.update(name.as_bytes());
    }
    mac
}

/// A file name as it may stand in a header: the last part of a path, without control characters.
/// `None` where nothing is left of it.
pub(super) fn clean_name(name: &str) -> Option<String> {
    let last = name.rsplit(['/', '\\']).next().unwrap_or_default();
    let kept = last.chars().filter(|c| !c.is_control()).take(MAX_NAME).collect::<String>();
    let kept = kept.trim().trim_start_matches('.');
    (!kept.is_empty()).then(|| kept.to_owned())
}

/// The header `content-disposition` for a file (RFC 6266).
pub(super) fn disposition(key: &Key, name: Option<&str>) -> String {
    let kind = if key.kind().is_shown() { "inline" } else { "attachment" };
    let Some(name) = name else { return format!("{kind}; filename=\"{key}\"") };
    let is_plain = |c: &char| c.is_ascii_alphanumeric() || " ._-".contains(*c);
    let plain: String = name.chars().map(|c| if is_plain(&c) { c } else { '_' }).collect();
    if plain == name {
        return format!("{kind}; filename=\"{plain}\"");
    }
    let encoded = utf8_percent_encode(name, VALUE);
    format!("{kind}; filename=\"{plain}\"; filename*=UTF-8''{encoded}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_lose_their_folders_and_what_headers_cannot_hold() {
        for (name, expected) in [
            ("cat.png", Some("cat.png")),
            ("../../etc/passwd", Some("passwd")),
            ("C:\\x\\cat.png", Some("cat.png")),
            ("a\r\nset-cookie: x", Some("aset-cookie: x")),
            (".htaccess", Some("htaccess")),
            ("  ", None),
            ("a/", None),
            ("", None),
        ] {
            assert_eq!(clean_name(name).as_deref(), expected, "{name:?}");
        }
        assert_eq!(clean_name(&"ä".repeat(500)).unwrap().chars().count(), MAX_NAME);
    }

    #[test]
    fn a_disposition_is_one_header_whatever_the_name() {
        let key: Key = format!("{}.png", "a".repeat(64)).parse().unwrap();
        assert_eq!(disposition(&key, Some("a b.png")), "inline; filename=\"a b.png\"");
        assert_eq!(
            disposition(&key, Some("ä\".png")),
            "inline; filename=\"__.png\"; filename*=UTF-8''%C3%A4%22.png"
        );
        let document: Key = format!("{}.pdf", "a".repeat(64)).parse().unwrap();
        assert_eq!(disposition(&document, None), format!("attachment; filename=\"{document}\""));
    }
}
