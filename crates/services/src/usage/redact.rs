//! Texts of errors, cut and freed of what may be a credential.

use std::borrow::Cow;

/// Characters of an error that are stored.
const KEPT: usize = 500;

/// What stands in place of a credential.
const REDACTED: &str = "[redacted]";

/// How credentials begin, here and at providers.
const PREFIXES: &[&str] = &[
    "sk-", "sk_", "pk_", "rk_", "fk_", "ub_", "admin_", "sign_", "whsec_", "ghp_", "gho_", "AKIA",
    "AIza", "eyJ", "xox", "Bearer",
];

/// A word of this length that mixes letters and digits is taken for a credential, whatever it says.
const LONG: usize = 32;

/// The text as it may be stored: at most 500 characters, without credentials and NUL characters.
pub(super) fn redact(text: &str) -> String {
    let mut out = String::with_capacity(text.len().min(KEPT * 4));
    let mut word = String::new();
    let mut after_bearer = false;
    for c in text.chars().filter(|c| *c != '\0').chain([' ']) {
        if c.is_ascii_alphanumeric() || "-_.+/=~".contains(c) {
            word.push(c);
            continue;
        }
        if !word.is_empty() {
            let is_secret = after_bearer || is_credential(&word);
            after_bearer = word.eq_ignore_ascii_case("bearer");
            if is_secret {
                out.push_str(REDACTED);
                // The end of a sentence.
                out.push_str(if word.ends_with('.') { "." } else { "" });
            } else {
                out.push_str(&word);
            }
            word.clear();
        }
        out.push(c);
    }
    out.pop();
    match out.char_indices().nth(KEPT) {
        Some((end, _)) => out[..end].to_owned(),
        None => out,
    }
}

fn is_credential(word: &str) -> bool {
    let named = |prefix: &&str| word.starts_with(*prefix) && word.len() >= prefix.len() + 8;
    let mixed = || {
        word.len() >= LONG
            && word.bytes().any(|byte| byte.is_ascii_digit())
            && word.bytes().any(|byte| byte.is_ascii_alphabetic())
            && !word.contains('/')
    };
    PREFIXES.iter().any(named) || mixed()
}

/// A text without the character that no engine stores.
pub(super) fn storable(text: &str) -> Cow<'_, str> {
    if text.contains('\0') { text.replace('\0', "").into() } else { text.into() }
}

#[cfg(test)]
mod tests {
    use super::redact;

    #[test]
    fn credentials_are_taken_out_and_the_rest_stays() {
        let cases = [
            ("Nothing to hide: req_0a1b2c3d00000001.", "Nothing to hide: req_0a1b2c3d00000001."),
            ("Wrong key sk-abcdef1234567890, sorry", "Wrong key [redacted], sorry"),
            ("\"Bearer tiny\" was sent", "\"Bearer [redacted]\" was sent"),
            ("fk_12345678 or ub_abcdefghij", "[redacted] or [redacted]"),
            ("0123456789abcdef0123456789abcdef0", "[redacted]"),
            (
                "the model gpt-4o-mini-2024-07-18 is gone",
                "the model gpt-4o-mini-2024-07-18 is gone",
            ),
            (
                "see https://example.com/a/very/long/path/of/documents/1",
                "see https://example.com/a/very/long/path/of/documents/1",
            ),
            ("a\0b", "ab"),
            ("", ""),
        ];
        for (text, expected) in cases {
            assert_eq!(redact(text), expected);
        }
        assert_eq!(redact(&"ä ".repeat(400)).chars().count(), 500);
    }
}
