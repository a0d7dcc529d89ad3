//! Whom a provider names.

use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::provider::Provider;
use crate::accounts::email;
use crate::accounts::profile::is_web;

/// Longest id of a person that is taken, in bytes.
const SUBJECT_BYTES: usize = 200;
/// Longest name, in characters, and longest address of a picture, in bytes.
const NAME_CHARS: usize = 200;
const PICTURE_BYTES: usize = 2_000;

/// A person as a provider describes them.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Person {
    pub(super) provider: Provider,
    /// The provider's id of the person.
    pub(super) subject: String,
    /// Another id under which the same person may come.
    pub(super) alias: Option<String>,
    /// The address in its normal form; `None` when there is none that mail can be sent to.
    pub(super) email: Option<String>,
    /// Whether the provider says that the address is theirs.
    pub(super) email_verified: bool,
    /// What they are called.
    pub(super) name: Option<String>,
    /// Where their picture is.
    pub(super) picture: Option<String>,
}

impl Person {
    /// A person of whom nothing but an id is known; `None` for what cannot be an id.
    pub(super) fn new(provider: Provider, subject: &str) -> Option<Self> {
        is_subject(subject).then(|| Self {
            provider,
            subject: subject.to_owned(),
            alias: None,
            email: None,
            email_verified: false,
            name: None,
            picture: None,
        })
    }

    /// Adds an address; one that cannot be one is left out, and so never counts as verified.
    pub(super) fn with_email(mut self, address: Option<&str>, is_verified: bool) -> Self {
        self.email = address.and_then(|address| email::normalise(address).ok());
        self.email_verified = is_verified && self.email.is_some();
        self
    }

    /// Adds the first name that says something.
    pub(super) fn with_name(mut self, names: &[Option<&str>]) -> Self {
        let says_something = |name: &&str| !name.is_empty() && !name.contains('\0');
        let name = names.iter().flatten().map(|name| name.trim()).find(says_something);
        self.name = name.map(|name| name.chars().take(NAME_CHARS).collect());
        self
    }

    /// Adds the address of a picture, of the web alone: it is shown by other people's browsers.
    pub(super) fn with_picture(mut self, url: Option<&str>) -> Self {
        let fits = |url: &&str| url.len() <= PICTURE_BYTES && is_web(url);
        self.picture = url.filter(fits).map(str::to_owned);
        self
    }

    /// The address that stands in where there is none. Ids are told apart by case, so it is kept.
    pub(super) fn placeholder(&self) -> String {
        let provider = self.provider.id();
        format!("{provider}_{}@{provider}.user", self.subject)
    }
}

/// Whether a text can be a provider's id of a person.
pub(in crate::accounts) fn is_subject(text: &str) -> bool {
    (1..=SUBJECT_BYTES).contains(&text.len()) && text.bytes().all(|byte| byte.is_ascii_graphic())
}

/// A text of a JSON object that is not empty.
pub(super) fn text<'a>(object: &'a Value, field: &str) -> Option<&'a str> {
    object.get(field).and_then(Value::as_str).filter(|text| !text.is_empty())
}

/// A flag of a JSON object; some answers hold flags as text.
pub(super) fn flag(object: &Value, field: &str) -> bool {
    match object.get(field) {
        Some(Value::Bool(flag)) => *flag,
        Some(Value::String(text)) => text == "true",
        _ => false,
    }
}
