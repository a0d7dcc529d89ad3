//! The service `accounts`: its state and its actions.

use std::sync::Arc;

use async_trait::async_trait;
use downcity_core::{PUBLIC, Result, Runtime, Service, ServiceDef, USER};
use downcity_db::{MigrationSet, migrations};

use super::config::AccountsConfig;
use super::hasher::Hasher;
use crate::mail::MailConfig;

/// The service `accounts`.
pub struct Accounts {
    pub(super) config: AccountsConfig,
    pub(super) mail: MailConfig,
    pub(super) hasher: Hasher,
}

impl std::fmt::Debug for Accounts {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Accounts").field("config", &self.config).finish_non_exhaustive()
    }
}

impl Accounts {
    /// The service with this configuration.
    pub fn new(config: AccountsConfig, mail: MailConfig) -> Arc<Self> {
        Arc::new(Self { config, mail, hasher: Hasher::default() })
    }

    /// How many password hashes this node has computed, for figures and tests.
    pub fn hashes(&self) -> u64 {
        self.hasher.count()
    }
}

fn tables() -> MigrationSet {
    migrations!("accounts", [(1, "accounts", "migrations/0001_accounts.sql")])
}

#[async_trait]
impl Service for Accounts {
    fn id(&self) -> &'static str {
        "accounts"
    }

    fn name(&self) -> &'static str {
        "Accounts"
    }

    fn define(self: Arc<Self>, service: &mut ServiceDef) {
        service.migrations(tables());
        service.instruction(include_str!("instruction.md"));
        service
            .post("register", PUBLIC, &self, Self::register)
            .summary("Register with an e-mail address and a password.")
            .description(
                "With city_id the answer signs the user in. Where e-mail addresses have to be \
                 verified, the answer is the same for everybody, and a mail says what to do.",
            );
        service
            .post("login", PUBLIC, &self, Self::login)
            .summary("Sign in to a city with an e-mail address and a password.");
        service.get("me", USER, &self, Self::me).summary("Read the caller's account.");
        service
            .post("logout", USER, &self, Self::logout)
            .summary("End the session: its user_token is refused from now on.");
    }

    async fn start(&self, runtime: &Arc<Runtime>) -> Result<()> {
        let _ = (runtime, &self.mail);
        Ok(())
    }
}
