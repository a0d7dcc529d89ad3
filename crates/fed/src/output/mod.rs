//! What commands print: tables and records for people, JSON for programs.
//!
//! Data goes to standard output, everything else to standard error. JSON is what the server
//! answered, so its shape is the one that `/openapi.json` documents.

mod ask;
mod cell;
mod table;

use std::io::{IsTerminal as _, Write as _};

use clap::Args;
use serde_json::Value;

pub(crate) use ask::{Ask, choose, secret};
pub(crate) use cell::{Column, credits, steady};

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

/// Whether standard output takes colours: a terminal, and nobody has said otherwise
/// (<https://no-color.org>).
fn is_colored() -> bool {
    let is_set = |name: &str| std::env::var_os(name).is_some_and(|value| !value.is_empty());
    std::io::stdout().is_terminal() && !is_set("NO_COLOR")
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
