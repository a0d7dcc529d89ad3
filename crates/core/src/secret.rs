//! Text that must not be shown.

use std::sync::Arc;

use zeroize::Zeroizing;

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

    /// The text as the lists show it: at most its last four characters, and those only of a secret
    /// of twelve characters or more.
    pub fn preview(&self) -> String {
        let length = self.0.chars().count();
        let shown = if length >= 12 { 4 } else { 0 };
        let tail: String = self.0.chars().skip(length - shown).collect();
        format!("********{tail}")
    }
}

impl std::fmt::Debug for Secret {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Secret(…)")
    }
}
