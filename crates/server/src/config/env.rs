//! Where env values are kept.

use std::path::PathBuf;

use downcity_core::env::EnvStore;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// Where env values are kept: provider keys, the admin key and the other secrets.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default)]
pub struct EnvConfig {
    /// `database` keeps them sealed in the database. `dotenv:PATH` keeps them in that `.env` file,
    /// in the clear, for people and other programs to edit; `dotenv` is `dotenv:.env`. All nodes
    /// need the same one.
    pub store: String,
    /// Whether edits from outside apply without `POST /v1/env/refresh`. A file is looked at twice a
    /// second; the database before each request, which costs a query. Without this it is done for
    /// a file, and not for the database.
    pub auto_refresh: Option<bool>,
    /// Whether the process environment stands in for values that are not set. Without this it does
    /// for a file, and not for the database.
    pub process_fallback: Option<bool>,
}

impl Default for EnvConfig {
    fn default() -> Self {
        Self { store: "database".to_owned(), auto_refresh: None, process_fallback: None }
    }
}

impl EnvConfig {
    /// The store.
    ///
    /// # Errors
    /// What may stand there.
    pub(crate) fn store(&self) -> Result<EnvStore, String> {
        let path = match self.store.trim() {
            "database" => return Ok(EnvStore::Database),
            "dotenv" => ".env",
            other => other.strip_prefix("dotenv:").map(str::trim).unwrap_or_default(),
        };
        if path.is_empty() || path.ends_with('/') {
            return Err("must be database, or dotenv:PATH with the path of a file".to_owned());
        }
        Ok(EnvStore::Dotenv(PathBuf::from(path)))
    }

    /// Whether edits from outside apply by themselves.
    pub(crate) fn refreshes(&self, store: &EnvStore) -> bool {
        self.auto_refresh.unwrap_or(*store != EnvStore::Database)
    }

    /// Whether the process environment stands in.
    pub(crate) fn falls_back(&self, store: &EnvStore) -> bool {
        self.process_fallback.unwrap_or(*store != EnvStore::Database)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn store(text: &str) -> Result<EnvStore, String> {
        EnvConfig { store: text.to_owned(), ..EnvConfig::default() }.store()
    }

    #[test]
    fn a_store_is_the_database_or_a_file() {
        assert_eq!(EnvConfig::default().store(), Ok(EnvStore::Database));
        for (text, path) in [
            ("dotenv", ".env"),
            ("dotenv:.env", ".env"),
            ("dotenv: /srv/a b/.env ", "/srv/a b/.env"),
        ] {
            assert_eq!(store(text), Ok(EnvStore::Dotenv(path.into())), "{text}");
        }
        for text in ["", "dotenv:", "dotenv: ", "file:.env", "Database", "dotenv:/srv/"] {
            assert!(store(text).unwrap_err().contains("dotenv:PATH"), "{text}");
        }
    }

    #[test]
    fn what_is_not_said_follows_from_the_store() {
        let unsaid = EnvConfig::default();
        let file = EnvStore::Dotenv(".env".into());
        assert!(!unsaid.refreshes(&EnvStore::Database) && !unsaid.falls_back(&EnvStore::Database));
        assert!(unsaid.refreshes(&file) && unsaid.falls_back(&file));
        let said = EnvConfig {
            auto_refresh: Some(true),
            process_fallback: Some(false),
            ..EnvConfig::default()
        };
        assert!(said.refreshes(&EnvStore::Database) && !said.falls_back(&file));
    }
}
