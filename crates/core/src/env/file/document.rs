//! The text of a `.env` file and changes of single values in it.
//!
//! A change touches the bytes of its own assignment; comments, order, quotes and line ends around it
//! stay as they are.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::fmt;
use std::ops::Range;

use zeroize::Zeroizing;

use crate::Secret;
use crate::env::dotenv::{self, Assignment, Quote};
use crate::env::{is_system_key, names_of};

/// A change that the text does not take: a quote without its partner on another line would reach
/// into it, or out of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Unfit;

impl fmt::Display for Unfit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a quote without its partner stands in the file, and the change would be read as a part of that value")
    }
}

impl std::error::Error for Unfit {}

/// The text of a `.env` file.
pub(crate) struct Document {
    text: Zeroizing<String>,
}

impl Document {
    pub(crate) fn new(text: impl Into<Zeroizing<String>>) -> Self {
        Self { text: text.into() }
    }

    pub(crate) fn text(&self) -> &str {
        &self.text
    }

    /// The values by their normalised keys; of several assignments of a key the last one counts. A
    /// system key counts under its present name, whichever of its names the file uses.
    pub(crate) fn values(&self) -> BTreeMap<String, Secret> {
        let mut values = as_written(&self.text);
        let aliased = crate::env::SYSTEM_KEYS.map(|key| (key, names_of(key)));
        for (key, names) in aliased {
            let used = used_name(names, &values).map(str::to_owned);
            let value = used.and_then(|used| values.remove(&used));
            values.retain(|key, _| !names.contains(&key.as_str()));
            values.extend(value.map(|value| (key.to_owned(), value)));
        }
        values.into_iter().map(|(key, value)| (key, Secret::new(&**value))).collect()
    }

    /// The lines whose keys are no names; nobody reads them.
    pub(crate) fn nameless(&self) -> Vec<usize> {
        let found = dotenv::assignments(&self.text).into_iter();
        found.filter(|found| found.key().is_none()).map(|found| found.line).collect()
    }

    /// Sets a normalised key: in the last of its assignments, or else in a new line at the end. A
    /// system key keeps the name that the file uses for it.
    ///
    /// # Errors
    /// When the value could not be read back from any form of it; nothing is changed then.
    pub(crate) fn set(&mut self, key: &str, value: &str) -> Result<(), Unfit> {
        let before = as_written(&self.text);
        let name =
            if is_system_key(key) { used_name(names_of(key), &before).unwrap_or(key) } else { key };
        if before.get(name).is_some_and(|stored| **stored == value) {
            return Ok(());
        }
        let mut expected = before.clone();
        expected.insert(name.to_owned(), Zeroizing::new(value.to_owned()));
        let found = dotenv::assignments(&self.text);
        let place = found.iter().rfind(|found| found.key().as_deref() == Some(name));
        let mut forms = forms(value, place.map(|place| place.quote)).into_iter();
        let changed = forms.find_map(|form| {
            let text = Zeroizing::new(match place {
                Some(place) => with(&self.text, place.span.clone(), &form),
                None => appended(&self.text, name, &form),
            });
            (as_written(&text) == expected).then_some(text)
        });
        self.text = changed.ok_or(Unfit)?;
        Ok(())
    }

    /// Drops every assignment of a normalised key, with its lines.
    ///
    /// # Errors
    /// When other values would not be read as before; nothing is changed then.
    pub(crate) fn remove(&mut self, key: &str) -> Result<(), Unfit> {
        let mut expected = as_written(&self.text);
        if expected.remove(key).is_none() {
            return Ok(());
        }
        let found = dotenv::assignments(&self.text);
        let own = |found: &&Assignment<'_>| found.key().as_deref() == Some(key);
        let mut text = self.text.clone();
        for place in found.iter().filter(own).rev() {
            text = Zeroizing::new(with(&text, place.lines.clone(), ""));
        }
        if as_written(&text) != expected {
            return Err(Unfit);
        }
        self.text = text;
        Ok(())
    }
}

/// The values by the names that the file uses.
fn as_written(text: &str) -> BTreeMap<String, Zeroizing<String>> {
    let found = dotenv::assignments(text).into_iter();
    found.filter_map(|found| Some((found.key()?, Zeroizing::new(found.value(text))))).collect()
}

/// Which of these names a file uses: the first that has a value, else the first that is there.
fn used_name<'a>(
    names: &[&'a str],
    values: &BTreeMap<String, Zeroizing<String>>,
) -> Option<&'a str> {
    let present = || names.iter().copied().filter(|name| values.contains_key(*name));
    present().find(|name| !values[*name].is_empty()).or_else(|| present().next())
}

fn with(text: &str, place: Range<usize>, new: &str) -> String {
    // Made at its full length, so that no copy of secrets is left behind.
    let mut changed = String::with_capacity(text.len() + new.len());
    changed.extend([&text[..place.start], new, &text[place.end..]]);
    changed
}

fn appended(text: &str, key: &str, form: &str) -> String {
    let end = match text.find('\n') {
        Some(at) if text[..at].ends_with('\r') => "\r\n",
        _ => "\n",
    };
    let begins_anew = text.is_empty() || text.ends_with('\n') || text == "\u{feff}";
    let mut changed = String::with_capacity(text.len() + key.len() + form.len() + 5);
    changed.extend([text, if begins_anew { "" } else { end }, key, "=", form, end]);
    changed
}

/// How a value may be written, the best first. `before` is how the one before is written.
fn forms(value: &str, before: Option<Quote>) -> Vec<Zeroizing<String>> {
    let is_plain =
        value.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"_./:@%+,=-".contains(&byte));
    let is_literal = !value.contains(['\'', '\n', '\r']);
    let bare = is_plain.then(|| Zeroizing::new(value.to_owned()));
    let single = is_literal.then(|| Zeroizing::new(format!("'{value}'")));
    let double = Some(Zeroizing::new(format!("\"{}\"", escaped(value))));
    let order = match before {
        Some(Quote::Single) => [single, bare, double],
        Some(Quote::Double) => [double, bare, single],
        // Shells and other readers put variables into double quotes.
        _ if value.contains('$') => [bare, single, double],
        _ => [bare, double, single],
    };
    order.into_iter().flatten().collect()
}

fn escaped(value: &str) -> Cow<'_, str> {
    if !value.contains(['\n', '\r', '\t', '"', '\\']) {
        return Cow::Borrowed(value);
    }
    let mut text = String::with_capacity(value.len() * 2);
    for found in value.chars() {
        match found {
            '\n' => text.push_str("\\n"),
            '\r' => text.push_str("\\r"),
            '\t' => text.push_str("\\t"),
            '"' | '\\' => text.extend(['\\', found]),
            other => text.push(other),
        }
    }
    Cow::Owned(text)
}

#[cfg(test)]
mod tests;
