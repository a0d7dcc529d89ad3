//! The env vault: provider keys and secrets that the Federation keeps and applies at run time.

mod service;
mod store;
mod values;
mod vault;

pub use service::EnvService;
pub(crate) use store::load;
pub use values::EnvValues;
pub use vault::{MasterKey, Vault};

/// The admin key.
pub const ADMIN_KEY: &str = "DOWNCITY_FEDERATION_ADMIN_SECRET_KEY";
/// The key that signs `user_token`s.
pub const SIGNING_KEY: &str = "DOWNCITY_FEDERATION_TOKEN_SIGNING_KEY";
/// The secret of the accounts service.
pub const AUTH_SECRET: &str = "BETTER_AUTH_SECRET";
