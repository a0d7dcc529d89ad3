//! The service `usage`: its state and its actions.

use std::sync::Arc;

use downcity_core::{Service, ServiceDef};

use super::config::UsageConfig;

/// The service `usage`.
#[derive(Debug)]
pub struct Usage {
    config: UsageConfig,
}

impl Usage {
    /// The service with this configuration.
    pub fn new(config: UsageConfig) -> Arc<Self> {
        Arc::new(Self { config })
    }
}

impl Service for Usage {
    fn id(&self) -> &'static str {
        "usage"
    }

    fn name(&self) -> &'static str {
        "Usage"
    }

    fn define(self: Arc<Self>, service: &mut ServiceDef) {
        let _ = service;
    }
}
