//! `/v1/env/*`.

use std::sync::Arc;

use crate::{Service, ServiceDef};

/// The service `env`.
pub struct EnvService;

impl Service for EnvService {
    fn id(&self) -> &'static str {
        "env"
    }

    fn name(&self) -> &'static str {
        "Env"
    }

    fn define(self: Arc<Self>, _service: &mut ServiceDef) {}
}
