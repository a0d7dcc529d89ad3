//! Documents about a Federation: pure functions of its registry, so that none can drift from it.

mod components;
mod env_catalog;
mod instruction;
mod openapi;
mod parameters;
mod services;

pub use env_catalog::env_catalog;
pub use instruction::instruction;
pub use openapi::openapi;
pub(crate) use parameters::has_field;
pub use services::services;
