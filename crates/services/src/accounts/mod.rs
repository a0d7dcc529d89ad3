//! The service `accounts`: people, how they sign in, and their sessions.

mod admin;
mod code;
mod config;
mod email;
#[cfg(test)]
mod fuzz;
mod hasher;
mod import;
mod letters;
mod listing;
mod login;
mod oauth;
mod password;
mod passwords;
mod profile;
mod proof;
mod prove;
mod providers;
mod records;
mod register;
mod service;
mod session;
mod sessions;
mod store;
mod sweep;
mod throttle;
mod users;
mod verify;

pub use config::{AccountsConfig, EmailVerification, OauthConfirmation};
pub use service::Accounts;
pub use sweep::sweep;
