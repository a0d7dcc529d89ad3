//! E-mail addresses: their normal form, and those that nobody reads.

use downcity_core::{Error, Result};
use downcity_types::ErrorCode;

/// Longest address, in bytes (RFC 5321: a path of 256 with its angle brackets).
pub(crate) const MAX_BYTES: usize = 254;
/// Longest part before the `@`.
const MAX_LOCAL: usize = 64;
/// Longest part of a domain between two dots.
const MAX_LABEL: usize = 63;

/// Domains of the addresses that stand in where a provider gives none. Nothing is ever sent there.
const PLACEHOLDERS: [&str; 3] = ["github.user", "google.user", "wechat.user"];

/// The normal form of an address: without space around it, in lower case. Only ASCII is taken, so
/// that no two addresses look alike and lower case means one thing.
///
/// # Errors
/// 400 for what is no address that mail can be sent to, placeholders included.
pub(crate) fn normalise(text: &str) -> Result<String> {
    let email = text.trim().to_ascii_lowercase();
    if is_address(&email) && !is_placeholder(&email) {
        return Ok(email);
    }
    Err(Error::new(ErrorCode::InvalidInput, "valid email required")
        .with_field("email", "must be an address such as ann@example.com"))
}

/// Whether the address stands in for one that a provider did not give.
pub(crate) fn is_placeholder(email: &str) -> bool {
    email.rsplit_once('@').is_some_and(|(_, domain)| PLACEHOLDERS.contains(&domain))
}

/// The part before the `@`: the name of those who give none.
pub(crate) fn local_part(email: &str) -> &str {
    email.split('@').next().unwrap_or_default()
}

fn is_address(email: &str) -> bool {
    let Some((local, domain)) = email.rsplit_once('@') else { return false };
    email.len() <= MAX_BYTES && is_local(local) && is_domain(domain)
}

/// Dot-separated atoms (RFC 5322, 3.2.3).
fn is_local(local: &str) -> bool {
    let is_atom = |c: u8| c.is_ascii_alphanumeric() || b"!#$%&'*+-/=?^_`{|}~".contains(&c);
    local.len() <= MAX_LOCAL
        && local.split('.').all(|atom| !atom.is_empty() && atom.bytes().all(is_atom))
}

/// Two labels or more, the last of which is no number.
fn is_domain(domain: &str) -> bool {
    let is_label = |label: &str| {
        (1..=MAX_LABEL).contains(&label.len())
            && !label.starts_with('-')
            && !label.ends_with('-')
            && label.bytes().all(|c| c.is_ascii_alphanumeric() || c == b'-')
    };
    let last = domain.rsplit('.').next().unwrap_or_default();
    domain.contains('.')
        && domain.split('.').all(is_label)
        && last.len() > 1
        && !last.bytes().all(|c| c.is_ascii_digit())
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn addresses_have_one_form() {
        for (text, email) in [
            ("USER@Example.com", "user@example.com"),
            ("  a.b+tag@sub.example.co.uk\n", "a.b+tag@sub.example.co.uk"),
            ("o'brien@xn--bcher-kva.example", "o'brien@xn--bcher-kva.example"),
        ] {
            assert_eq!(normalise(text).unwrap(), email);
        }
        let long = format!("{}@example.com", "x".repeat(65));
        let deep = format!("a@{}com", "x.".repeat(126));
        for bad in [
            "",
            "@",
            "a",
            "a@",
            "@example.com",
            "a@b",
            "a@b@example.com",
            "a b@example.com",
            ".a@example.com",
            "a..b@example.com",
            "a@example..com",
            "a@-x.com",
            "a@x-.com",
            "a@1.2.3.4",
            "a@example.c",
            "\u{212a}@example.com",
            "a@example.com\r\nbcc: b@x.com",
            "a@wechat.user",
            "A@GitHub.user",
            "a@exa\0mple.com",
            &long,
            &deep,
        ] {
            assert!(normalise(bad).is_err(), "{bad:?}");
        }
    }

    proptest! {
        #[test]
        fn what_is_taken_stays_as_it_is(text in "\\PC{0,12}@?[a-z0-9.-]{0,12}\\.?[a-z]{0,4}") {
            if let Ok(email) = normalise(&text) {
                prop_assert_eq!(normalise(&email).unwrap(), email.clone());
                prop_assert!(email.is_ascii() && !email.contains(char::is_whitespace));
                prop_assert!(email.parse::<lettre::Address>().is_ok(), "{}", email);
            }
        }
    }
}
