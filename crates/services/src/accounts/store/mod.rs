//! The tables of the service, one module each. Functions take the transaction first.

pub(crate) mod addresses;
pub(crate) mod codes;
pub(crate) mod failures;
pub(crate) mod identities;
pub(crate) mod sessions;
pub(crate) mod users;
