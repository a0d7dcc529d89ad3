//! Sending mail.

mod config;

pub use config::MailConfig;
