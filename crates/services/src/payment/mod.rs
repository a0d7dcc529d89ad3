//! The service `payment`.

mod config;
mod service;

pub use config::PaymentConfig;
pub use service::Payment;
