//! The server over real sockets, and its configuration.

mod config;
mod connections;
mod federation;
mod limits;
mod observe;
mod reload;
mod support;
