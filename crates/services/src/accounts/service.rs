//! The service `accounts`: its state and its actions.

use std::sync::Arc;

use downcity_core::{Service, ServiceDef};

use super::config::AccountsConfig;
use crate::mail::MailConfig;

/// The service `accounts`.
#[derive(Debug)]
pub struct Accounts {
    config: AccountsConfig,
    mail: MailConfig,
}

impl Accounts {
    /// The service with this configuration.
    pub fn new(config: AccountsConfig, mail: MailConfig) -> Arc<Self> {
        Arc::new(Self { config, mail })
    }
}

impl Service for Accounts {
    fn id(&self) -> &'static str {
        "accounts"
    }

    fn name(&self) -> &'static str {
        "Accounts"
    }

    fn define(self: Arc<Self>, service: &mut ServiceDef) {
        let _ = service;
    }
}
