//! The service through the real dispatcher, against a scripted provider on loopback.

#![expect(
    clippy::expect_used,
    clippy::unwrap_used,
    reason = "helpers of tests report by failing the test"
)]

mod chat;
mod chat_failures;
mod common;
mod config;
mod echo;
mod metering;
mod models;
mod resolve;
mod stream;
mod text;
