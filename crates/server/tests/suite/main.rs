//! The server over real sockets, and its configuration.

#![expect(
    clippy::expect_used,
    clippy::panic,
    clippy::unwrap_used,
    reason = "tests report by panicking"
)]

mod config;
mod connections;
mod federation;
mod limits;
mod observe;
mod reload;
mod support;
