//! Documents about a Federation: pure functions of its registry, so that none can drift from it.

mod env_catalog;
mod instruction;
mod openapi;
mod parameters;
mod services;

pub use env_catalog::env_catalog;
pub use instruction::instruction;
pub use openapi::openapi;
pub use services::services;
