//! The service `balance`: its state and its actions.

use std::sync::Arc;

use downcity_core::{Service, ServiceDef};

use super::config::BalanceConfig;

/// The service `balance`.
#[derive(Debug)]
pub struct Balance {
    config: BalanceConfig,
}

impl Balance {
    /// The service with this configuration.
    pub fn new(config: BalanceConfig) -> Arc<Self> {
        Arc::new(Self { config })
    }
}

impl Service for Balance {
    fn id(&self) -> &'static str {
        "balance"
    }

    fn name(&self) -> &'static str {
        "Balance"
    }

    fn define(self: Arc<Self>, service: &mut ServiceDef) {
        let _ = service;
    }
}
