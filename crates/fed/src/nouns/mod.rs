//! The nouns of the command line that speak to a Federation over HTTP, a file each: what can be said
//! of them, and which action says it.

pub(crate) mod account;
pub(crate) mod audit;
pub(crate) mod balance;
pub(crate) mod call;
pub(crate) mod chat;
pub(crate) mod city;
pub(crate) mod env;
pub(crate) mod job;
pub(crate) mod key;
pub(crate) mod model;
pub(crate) mod payment;
pub(crate) mod redeem;
pub(crate) mod server;
pub(crate) mod service;
pub(crate) mod token;
pub(crate) mod usage;
