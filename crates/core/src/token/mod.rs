//! `user_token`s: their format, the keys that sign them, what ends them, and who a request says
//! it is.

mod codec;
mod identify;
mod issue;
mod keyring;
mod revocation;
mod store;

pub(crate) use codec::is_signature;
pub(crate) use identify::identify;
pub use issue::{IssueRequest, issue};
pub(crate) use issue::{check_subject, check_token_id, check_user_id, invalid_ttl};
pub use keyring::{Credentials, KeyRing, digest};
pub(crate) use revocation::revocation_of;
pub use revocation::{Revocation, Revocations, prune_revocations};
pub(crate) use store::find_since;
pub use store::revoke;
