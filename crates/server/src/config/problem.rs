//! What is wrong with a configuration, and where a value stands.

use std::fmt;
use std::path::PathBuf;

use serde::Serialize;

use crate::error::FailureKind;

/// Where a value comes from. Sorts by layer, and within a file by line.
#[derive(Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub enum Source {
    /// Nobody named it.
    #[default]
    Default,
    /// The configuration file as a whole.
    WholeFile(PathBuf),
    /// A line of the configuration file, counted from 1.
    File {
        /// The file as it was named.
        path: PathBuf,
        /// The line.
        line: usize,
    },
    /// An environment variable, or two that make one value together.
    Env(String),
    /// A flag of the command line.
    Flag(&'static str),
}

impl fmt::Display for Source {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Default => out.write_str("default"),
            Self::WholeFile(path) => write!(out, "{}", path.display()),
            Self::File { path, line } => write!(out, "{}:{line}", path.display()),
            Self::Env(name) => write!(out, "environment {name}"),
            Self::Flag(flag) => write!(out, "flag {flag}"),
        }
    }
}

impl Serialize for Source {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

/// One thing that is wrong.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Problem {
    /// Where the value stands.
    pub source: Source,
    /// The key, such as `server.listen`; empty when it is about the whole file.
    pub key: String,
    /// What is wrong and what to write instead. Never shows a value that may be secret.
    pub message: String,
}

impl fmt::Display for Problem {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        match (&self.source, self.key.is_empty()) {
            (source, true) => write!(out, "{source}: {}", self.message),
            (source, false) => write!(out, "{source}: {} {}", self.key, self.message),
        }
    }
}

/// A configuration that cannot be used: everything that is wrong with it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ConfigError {
    /// What kind of failure it is.
    pub kind: FailureKind,
    /// The problems in the order of their places; at least one.
    pub problems: Vec<Problem>,
}

impl ConfigError {
    /// A configuration with mistakes.
    pub(super) fn mistakes(problems: Vec<Problem>) -> Self {
        Self { kind: FailureKind::Failed, problems }
    }
}

impl fmt::Display for ConfigError {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, problem) in self.problems.iter().enumerate() {
            if index > 0 {
                out.write_str("\n")?;
            }
            problem.fmt(out)?;
        }
        Ok(())
    }
}

impl std::error::Error for ConfigError {}
