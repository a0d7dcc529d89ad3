//! The service `usage`.

mod config;
mod service;

pub use config::UsageConfig;
pub use service::Usage;
