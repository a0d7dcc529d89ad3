//! `/v1/cities/*`.

use std::sync::Arc;

use crate::{Service, ServiceDef};

/// The service `cities`.
pub struct CitiesService;

impl Service for CitiesService {
    fn id(&self) -> &'static str {
        "cities"
    }

    fn name(&self) -> &'static str {
        "Cities"
    }

    fn define(self: Arc<Self>, _service: &mut ServiceDef) {}
}
