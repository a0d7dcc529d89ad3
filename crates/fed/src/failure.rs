//! What ends a command, and the exit code that tells it.

use std::io::Write as _;
use std::process::ExitCode;

use downcity_server::config::ConfigError;
use downcity_server::{FailureKind, StartError};

use crate::output::steady;

/// The exit code of a command that was given wrongly, as clap has it.
const USAGE: u8 = 2;

/// A command that failed.
#[derive(Debug)]
pub(crate) struct Failure {
    exit_code: u8,
    message: String,
    /// Whether what was asked for may be done all the same.
    is_open: bool,
}

impl Failure {
    /// A failure with a sentence that says what to do.
    pub(crate) fn new(kind: FailureKind, message: impl Into<String>) -> Self {
        Self { exit_code: kind.exit_code(), message: message.into(), is_open: false }
    }

    /// A command that was given wrongly.
    pub(crate) fn usage(message: impl Into<String>) -> Self {
        Self { exit_code: USAGE, message: message.into(), is_open: false }
    }

    /// The same, where nobody knows whether what was asked for is done.
    pub(crate) fn open(self) -> Self {
        Self { is_open: true, ..self }
    }

    /// The sentence.
    pub(crate) fn message(&self) -> &str {
        &self.message
    }

    /// Whether nobody answered at all.
    pub(crate) fn is_unreachable(&self) -> bool {
        self.exit_code == FailureKind::Unreachable.exit_code()
    }

    /// Whether what was asked for may be done all the same: no answer came, or none of the Federation.
    pub(crate) fn is_open(&self) -> bool {
        self.is_open
    }

    /// Says what failed on standard error, and gives the exit code.
    pub(crate) fn report(&self) -> ExitCode {
        let mut err = std::io::stderr();
        for line in self.message.lines() {
            // Nobody may be reading; the exit code still tells.
            let _ = writeln!(err, "fed: {}", steady(line));
        }
        ExitCode::from(self.exit_code)
    }
}

impl From<StartError> for Failure {
    fn from(error: StartError) -> Self {
        Self::new(error.kind(), error.to_string())
    }
}

impl From<ConfigError> for Failure {
    fn from(error: ConfigError) -> Self {
        StartError::from(error).into()
    }
}

impl From<std::io::Error> for Failure {
    fn from(error: std::io::Error) -> Self {
        if error.kind() == std::io::ErrorKind::BrokenPipe {
            // Whoever reads no further, such as `head`, has what they wanted.
            return Self { exit_code: 0, message: String::new(), is_open: false };
        }
        Self::new(FailureKind::Failed, error.to_string())
    }
}
