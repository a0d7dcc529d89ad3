//! Something that comes from the server.

use crate::workspace::task::Trouble;

/// What is known of it: the old one stays until the new one is there, and so does what came in place of it.
#[derive(Debug)]
pub(in crate::workspace) struct Load<T> {
    known: Option<T>,
    failed: Option<String>,
    is_loading: bool,
}

impl<T> Default for Load<T> {
    fn default() -> Self {
        Self { known: None, failed: None, is_loading: false }
    }
}

/// How it stands.
#[derive(Debug)]
pub(in crate::workspace) enum Stand<'a, T> {
    /// Nothing has come yet.
    Waits,
    Here(&'a T),
    /// What came in place of it.
    Failed(&'a str),
}

impl<T> Load<T> {
    pub(in crate::workspace) fn stand(&self) -> Stand<'_, T> {
        match (&self.failed, &self.known) {
            (Some(why), _) => Stand::Failed(why),
            (None, Some(known)) => Stand::Here(known),
            (None, None) => Stand::Waits,
        }
    }

    /// What there is, old or new.
    pub(in crate::workspace) fn get(&self) -> Option<&T> {
        self.known.as_ref()
    }

    /// The same, to be changed.
    pub(super) fn get_mut(&mut self) -> Option<&mut T> {
        self.known.as_mut()
    }

    /// Marks it as asked for.
    pub(super) fn begin(&mut self) {
        self.is_loading = true;
    }

    /// Takes what was heard.
    pub(super) fn end(&mut self, answer: Result<T, Trouble>) {
        self.is_loading = false;
        match answer {
            Ok(known) => (self.known, self.failed) = (Some(known), None),
            Err(trouble) => self.failed = Some(trouble.says),
        }
    }

    /// It was broken off: what there was stays.
    pub(super) fn cancel(&mut self) {
        if self.is_loading && self.known.is_none() && self.failed.is_none() {
            self.failed = Some("Broken off.".to_owned());
        }
        self.is_loading = false;
    }

    pub(super) fn is_loading(&self) -> bool {
        self.is_loading
    }
}
