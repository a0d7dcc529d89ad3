//! What commands print: tables and records for people, JSON for programs.
//!
//! Data goes to standard output, everything else to standard error. JSON is what the server
//! answered, so its shape is the one that `/openapi.json` documents.

mod ask;
mod cell;
mod table;

use std::ffi::OsString;
use std::io::{IsTerminal as _, Write as _};

use clap::Args;
use serde_json::Value;

pub(crate) use ask::{Ask, choose, secret};
pub(crate) use cell::{Column, Mood, at, credits, steady};

use crate::failure::Failure;

/// Flags that say how a command prints and asks.
#[derive(Clone, Copy, Debug, Default, Args)]
#[command(next_help_heading = "Output")]
pub(crate) struct Output {
    /// Print JSON.
    #[arg(long, global = true)]
    pub(crate) json: bool,
    /// Do not ask before something is ended or removed.
    #[arg(long, short, global = true)]
    pub(crate) yes: bool,
    /// Say what would be changed, and change nothing.
    #[arg(long, global = true)]
    pub(crate) dry_run: bool,
}

impl Output {
    /// Prints a list: a page of the server with its `items`, or a plain array.
    ///
    /// # Errors
    /// When standard output is closed.
    pub(crate) fn list(self, answer: &Value, columns: &[Column]) -> Result<(), Failure> {
        if self.json {
            return json(answer);
        }
        let items = answer.get("items").unwrap_or(answer);
        let items = items.as_array().map(Vec::as_slice).unwrap_or_default();
        if items.is_empty() {
            note("Nothing is there.");
            return Ok(());
        }
        print(&table::rows(items, columns, is_colored()))?;
        if let Some(cursor) = answer.get("next_cursor").and_then(Value::as_str) {
            note(&format!("More follow: --cursor {cursor}"));
        }
        Ok(())
    }

    /// Prints one record, a line per field.
    ///
    /// # Errors
    /// When standard output is closed.
    pub(crate) fn record(self, answer: &Value, columns: &[Column]) -> Result<(), Failure> {
        if self.json {
            return json(answer);
        }
        print(&table::record(answer, columns, is_colored()))
    }

    /// Prints a sentence about what was done, or the answer as JSON.
    ///
    /// # Errors
    /// When standard output is closed.
    pub(crate) fn done(self, answer: &Value, sentence: &str) -> Result<(), Failure> {
        if self.json { json(answer) } else { print(&format!("{sentence}\n")) }
    }
}

/// Whether standard output takes colours.
pub(crate) fn is_colored() -> bool {
    takes_colors(std::io::stdout().is_terminal(), &|name| std::env::var_os(name))
}

/// What the environment says of colours: none with `NO_COLOR` (<https://no-color.org>); else always with
/// `CLICOLOR_FORCE`; else in a terminal that has them, unless `CLICOLOR` is 0.
fn takes_colors(is_terminal: bool, variable: &dyn Fn(&str) -> Option<OsString>) -> bool {
    let value = |name| variable(name).filter(|value| !value.is_empty());
    if value("NO_COLOR").is_some() {
        return false;
    }
    if value("CLICOLOR_FORCE").is_some_and(|value| value != "0") {
        return true;
    }
    let is_off = value("CLICOLOR").is_some_and(|value| value == "0");
    is_terminal && !is_off && value("TERM").is_some_and(|term| term != "dumb")
}

/// Prints data.
///
/// # Errors
/// When standard output is closed.
pub(crate) fn print(text: &str) -> Result<(), Failure> {
    Ok(std::io::stdout().write_all(text.as_bytes())?)
}

/// Prints JSON, indented.
///
/// # Errors
/// When standard output is closed.
pub(crate) fn json(value: &Value) -> Result<(), Failure> {
    let text = serde_json::to_string_pretty(value).map_err(std::io::Error::from)?;
    print(&format!("{text}\n"))
}

/// Says something beside the data, on standard error.
pub(crate) fn note(text: &str) {
    // Nobody may be reading; the exit code still tells.
    let _ = writeln!(std::io::stderr(), "{text}");
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_environment_says_whether_there_are_colors() {
        let colors = |is_terminal: bool, set: &[(&str, &str)]| {
            takes_colors(is_terminal, &|name| {
                set.iter().find(|(known, _)| *known == name).map(|(_, value)| OsString::from(value))
            })
        };
        const TERM: (&str, &str) = ("TERM", "xterm");
        assert!(colors(true, &[TERM]));
        assert!(colors(true, &[TERM, ("NO_COLOR", "")]));
        assert!(!colors(true, &[TERM, ("NO_COLOR", "0")]));
        assert!(!colors(true, &[TERM, ("CLICOLOR", "0")]));
        assert!(!colors(true, &[("TERM", "dumb")]));
        assert!(!colors(true, &[]));
        assert!(!colors(false, &[TERM]));
        assert!(!colors(false, &[TERM, ("CLICOLOR_FORCE", "0")]));
        assert!(colors(false, &[("CLICOLOR_FORCE", "1")]));
        assert!(!colors(false, &[("CLICOLOR_FORCE", "1"), ("NO_COLOR", "1")]));
    }
}
