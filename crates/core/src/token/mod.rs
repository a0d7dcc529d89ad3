//! `user_token`s: their format, the keys that sign them, and who a request says it is.

mod identify;
mod keyring;
mod revocation;

pub(crate) use identify::identify;
pub use keyring::{Credentials, digest};
pub use revocation::Revocations;
