//! Text that must not be shown.

use std::borrow::Cow;
use std::sync::Arc;

use schemars::{JsonSchema, Schema, SchemaGenerator};
use serde::{Deserialize, Deserializer};
use zeroize::Zeroizing;

/// What stands in a preview for all that is not shown.
const MASK: &str = "********";
/// The most characters that a preview shows.
const SHOWN: usize = 4;
/// The fewest characters of a secret of which a preview shows any.
const SHOWN_FROM: usize = 12;

/// A secret text. It has no `Display` and no `Serialize`, and its `Debug` shows nothing; whoever
/// needs the text calls [`Secret::expose`], which is easy to search for.
#[derive(Clone)]
pub struct Secret(Arc<Zeroizing<String>>);

impl Secret {
    /// Wraps a text; its memory is wiped when the last clone goes.
    pub fn new(text: impl Into<String>) -> Self {
        Self(Arc::new(Zeroizing::new(text.into())))
    }

    /// The text itself.
    pub fn expose(&self) -> &str {
        &self.0
    }

    /// The text as lists show it: a mask of fixed length, then the last four characters of a secret
    /// of twelve characters or more.
    pub fn preview(&self) -> String {
        let length = self.0.chars().count();
        let shown = if length >= SHOWN_FROM { SHOWN } else { 0 };
        let tail: String = self.0.chars().skip(length - shown).collect();
        format!("{MASK}{tail}")
    }

    /// Whether a text has the form of a [`Secret::preview`].
    pub(crate) fn looks_like_preview(text: &str) -> bool {
        text.strip_prefix(MASK).is_some_and(|tail| tail.chars().count() <= SHOWN)
    }
}

impl Default for Secret {
    fn default() -> Self {
        Self::new("")
    }
}

impl std::fmt::Debug for Secret {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Secret(…)")
    }
}

impl<'de> Deserialize<'de> for Secret {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        String::deserialize(deserializer).map(Self::new)
    }
}

impl JsonSchema for Secret {
    fn inline_schema() -> bool {
        true
    }

    fn schema_name() -> Cow<'static, str> {
        "Secret".into()
    }

    fn json_schema(generator: &mut SchemaGenerator) -> Schema {
        String::json_schema(generator)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_preview_shows_the_end_of_long_secrets_only() {
        for (text, preview) in [
            ("", "********"),
            ("elevenchars", "********"),
            ("twelve_chars", "********hars"),
            ("ключключключ", "********ключ"),
        ] {
            let secret = Secret::new(text);
            assert_eq!(secret.preview(), preview);
            assert!(Secret::looks_like_preview(&secret.preview()));
        }
        assert!(!Secret::looks_like_preview("*******"));
        assert!(!Secret::looks_like_preview("********12345"));
    }

    #[test]
    fn debug_shows_nothing() {
        let secret: Secret = serde_json::from_str(r#""hunter2""#).unwrap();
        assert_eq!(secret.expose(), "hunter2");
        assert_eq!(format!("{secret:?} {:?}", Some(&secret)), "Secret(…) Some(Secret(…))");
    }
}
