//! The service `payment`.

mod config;
mod providers;
pub mod sandbox;
mod service;
mod signature;

pub use config::PaymentConfig;
pub use service::Payment;

/// Signs as providers sign: for programs that play one.
pub mod sign {
    pub use super::signature::hmac::sign::{hex, standard};
    pub use super::signature::rsa::{KeyError, PrivateKey};
}
