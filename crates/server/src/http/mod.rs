//! The transport: sockets, connections, and the way from a connection to the kernel.

mod activity;
mod answer;
mod client_address;
mod connection;
mod cors;
pub(crate) mod generations;
mod head;
mod listener;
mod outgoing;
mod unread;

pub(crate) use answer::Frontend;
pub(crate) use client_address::Proxies;
pub(crate) use connection::Answer;
pub(crate) use cors::cors_layer;
pub(crate) use listener::{Listener, ListenerSettings};
