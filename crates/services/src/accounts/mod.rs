//! The service `accounts`: people, how they sign in, and their sessions.

mod config;
mod email;
mod hasher;
mod login;
mod password;
mod records;
mod register;
mod service;
mod session;
mod store;

pub use config::{AccountsConfig, EmailVerification};
pub use service::Accounts;
