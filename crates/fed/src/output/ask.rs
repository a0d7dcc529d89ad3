//! What a command asks its person.

use std::io::IsTerminal as _;
use std::path::Path;

use downcity_server::FailureKind;
use inquire::{Confirm, Password, PasswordDisplayMode, Select, Text};
use secrecy::SecretString;

use super::Output;
use crate::connection::read_secret;
use crate::failure::Failure;

/// Something that cannot be taken back.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Ask<'a> {
    /// What will be done, as a sentence without its end: `Remove the city demo`.
    pub(crate) what: &'a str,
    /// What has to be typed to confirm; without it yes or no.
    pub(crate) typed: Option<&'a str>,
}

impl Ask<'_> {
    /// Asks, unless the person said `--yes`.
    ///
    /// # Errors
    /// When the answer is no, or nobody can answer.
    pub(crate) fn confirm(self, output: Output) -> Result<(), Failure> {
        if output.yes {
            return Ok(());
        }
        if !std::io::stdin().is_terminal() {
            return Err(Failure::usage(format!(
                "{}? Nobody can answer here: say --yes to do it. Where a command takes --dry-run, that shows \
                 what it does.",
                self.what
            )));
        }
        let agreed = match self.typed {
            None => Confirm::new(&format!("{}?", self.what)).with_default(false).prompt(),
            Some(name) => Text::new(&format!("{}? Type {name} to confirm:", self.what))
                .prompt()
                .map(|typed| typed.trim() == name),
        };
        match agreed {
            Ok(true) => Ok(()),
            Ok(false) => Err(left()),
            Err(error) => Err(unasked(&error)),
        }
    }
}

/// A secret: from a file or standard input where a path is given, else typed without being shown.
///
/// # Errors
/// When it cannot be read, or nobody can type it.
pub(crate) fn secret(from: Option<&Path>, label: &str) -> Result<SecretString, Failure> {
    if let Some(path) = from {
        return read_secret(path);
    }
    if !std::io::stdin().is_terminal() {
        return read_secret(Path::new("-"));
    }
    let typed = Password::new(label)
        .without_confirmation()
        .with_display_mode(PasswordDisplayMode::Masked)
        .prompt()
        .map_err(|error| unasked(&error))?;
    let typed = typed.trim();
    if typed.is_empty() {
        return Err(Failure::usage("Nothing was typed."));
    }
    Ok(SecretString::from(typed))
}

/// One of several, chosen from a list.
///
/// # Errors
/// When nothing is chosen, or nobody can choose.
pub(crate) fn choose(question: &str, from: Vec<String>) -> Result<String, Failure> {
    if !std::io::stdin().is_terminal() {
        return Err(Failure::usage("Nobody can be asked here: this needs a terminal."));
    }
    Select::new(question, from).prompt().map_err(|error| unasked(&error))
}

fn left() -> Failure {
    Failure::new(FailureKind::Failed, "Nothing was changed.")
}

fn unasked(error: &inquire::InquireError) -> Failure {
    match error {
        inquire::InquireError::OperationCanceled | inquire::InquireError::OperationInterrupted => {
            left()
        }
        other => Failure::new(FailureKind::Failed, format!("Nobody can be asked here: {other}.")),
    }
}
