//! The service `accounts`.

mod config;
mod service;

pub use config::AccountsConfig;
pub use service::Accounts;
