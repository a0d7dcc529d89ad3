//! What has to hold for any text that somebody gives as an e-mail address: a target for fuzzers, run by
//! tests.

use downcity_core::Error;
use downcity_fuzz::check;
use downcity_types::ErrorCode;

use super::email::{MAX_BYTES, is_placeholder, local_part, normalise};

/// One address has one form, and that is one to which a mail can be sent and nothing else: it goes into
/// the envelope and the head of mails, and says whose account it is.
fn addresses(bytes: &[u8]) {
    let Ok(text) = str::from_utf8(bytes) else { return };
    let email = match normalise(text) {
        Ok(email) => email,
        Err(error) => return is_refused(&error),
    };
    assert!(email.len() <= MAX_BYTES && email.is_ascii());
    assert!(!email.contains(|c: char| c.is_whitespace() || c.is_control() || c.is_uppercase()));
    assert!(text.trim().eq_ignore_ascii_case(&email), "nothing is left out, nothing is added");
    assert_eq!(normalise(&email).ok().as_ref(), Some(&email));
    assert_eq!(
        normalise(&format!(" {}\n", email.to_ascii_uppercase())).ok().as_ref(),
        Some(&email)
    );
    assert!(!is_placeholder(&email));
    assert!(!local_part(&email).is_empty());
    assert_eq!(email.matches('@').count(), 1);
    let address = email.parse::<lettre::Address>().unwrap();
    assert_eq!(address.to_string(), email, "mail goes where the account says");
}

fn is_refused(error: &Error) {
    assert_eq!(error.code(), ErrorCode::InvalidInput);
    assert_eq!(error.details()[0].path, "email");
}

#[test]
fn addresses_of_people() {
    let longest = format!("{}@{}.example.com", "x".repeat(64), "y".repeat(63));
    let samples = [
        "ann@example.com",
        " Ann.B+tag@Sub.Example.co.uk\r\n",
        "o'brien@xn--bcher-kva.example",
        "a@b@example.com",
        "\"ann smith\"@example.com",
        "ann@[192.0.2.1]",
        "wechat_oX@wechat.user",
        "ann@example.com\r\nbcc: bob@example.com",
        &longest,
    ];
    check(&samples, addresses);
}
