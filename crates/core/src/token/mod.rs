//! Tokens of users: the keys that sign them, what ends them, and who a request says it is.

mod identify;
mod inspect;
mod issue;
mod keyring;
mod revocation;
mod rotate;
mod signing_keys;
mod store;

pub(crate) use downcity_types::is_signature;
#[cfg(test)]
pub(crate) use identify::bearer;
pub(crate) use identify::{identify, identify_with_api_key};
pub(crate) use inspect::inspect;
pub use issue::{IssueRequest, active_city, issue};
pub(crate) use issue::{check_subject, check_token_id, check_user_id, invalid_ttl};
pub use keyring::{Credentials, KeyRing, digest};
pub(crate) use revocation::revocation_of;
pub use revocation::{Revocation, Revocations, prune_revocations};
pub use rotate::prune_signing_keys;
pub(crate) use rotate::{Dropped, Rotated, drop_retired, list, rotate};
pub(crate) use signing_keys::{Ed25519Secret, insert_first, load};
pub(crate) use store::find_since;
pub use store::revoke;
