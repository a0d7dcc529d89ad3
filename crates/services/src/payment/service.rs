//! The service `payment`: its state and its actions.

use std::sync::Arc;

use downcity_core::{Service, ServiceDef};

use super::config::PaymentConfig;
use crate::balance::Balance;

/// The service `payment`.
#[derive(Debug)]
pub struct Payment {
    config: PaymentConfig,
    balance: Arc<Balance>,
}

impl Payment {
    /// The service with this configuration.
    pub fn new(config: PaymentConfig, balance: Arc<Balance>) -> Arc<Self> {
        Arc::new(Self { config, balance })
    }
}

impl Service for Payment {
    fn id(&self) -> &'static str {
        "payment"
    }

    fn name(&self) -> &'static str {
        "Payment"
    }

    fn define(self: Arc<Self>, service: &mut ServiceDef) {
        let _ = service;
    }
}
