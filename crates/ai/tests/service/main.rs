//! The service through the real dispatcher, against a scripted provider on loopback.

#![expect(
    clippy::expect_used,
    clippy::unwrap_used,
    reason = "helpers of tests report by failing the test"
)]

#[cfg(test)]
mod chat;
#[cfg(test)]
mod chat_failures;
#[cfg(test)]
mod common;
#[cfg(test)]
mod config;
#[cfg(test)]
mod echo;
#[cfg(test)]
mod metering;
#[cfg(test)]
mod models;
#[cfg(test)]
mod resolve;
#[cfg(test)]
mod stream;
#[cfg(test)]
mod text;
