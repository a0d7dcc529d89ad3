//! The server over real sockets, and its configuration.

#![expect(
    clippy::expect_used,
    clippy::panic,
    clippy::unwrap_used,
    reason = "tests report by panicking"
)]

#[cfg(test)]
mod config;
#[cfg(test)]
mod connections;
#[cfg(test)]
mod federation;
#[cfg(test)]
mod limits;
#[cfg(test)]
mod observe;
#[cfg(test)]
mod reload;
#[cfg(test)]
mod support;
