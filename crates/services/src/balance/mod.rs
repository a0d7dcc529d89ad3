//! The service `balance`.

mod config;
mod service;

pub use config::BalanceConfig;
pub use service::Balance;
