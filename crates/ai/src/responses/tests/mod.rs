//! The translation of requests, and the events of answers, without a network.

mod answers;
mod requests;
