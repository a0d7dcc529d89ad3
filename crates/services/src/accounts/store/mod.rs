//! The tables of the service, one module each. Functions take the transaction first.

pub(crate) mod identities;
pub(crate) mod sessions;
pub(crate) mod users;
