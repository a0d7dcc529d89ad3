//! Sealing and opening of values at rest.

use std::sync::Arc;

use downcity_db::Db;
use downcity_types::Timestamp;

use crate::{Random, Result, Secret};

/// The key that opens the vault.
#[derive(Clone, Debug)]
pub struct MasterKey(pub(crate) Secret);

/// Seals and opens env values.
pub struct Vault {}

impl Vault {
    /// Opens the vault of a database, or makes it on a first start.
    pub(crate) async fn open(
        _db: &Db,
        _key: MasterKey,
        _random: &Arc<dyn Random>,
        _now: Timestamp,
    ) -> Result<Self> {
        Ok(Self {})
    }
}
